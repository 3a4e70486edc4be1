"""Every preset, shrunk by debug=fast, from its data to its report, by the command that a user types."""

import csv
import json
import math
import os
import re
import shutil
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pyarrow.parquet
import pytest
from flax import nnx

from experiments.run.model import Model
from tests import commands

ROOT = Path(__file__).parents[1]
OTHERS = {
    "line_decisions",
    "line_optimise",
    "grid_saving",
    "all_twins",
}  # presets of other commands, which have tests of their own
PRESETS = sorted(p.stem for p in (ROOT / "conf" / "experiment").glob("*.yaml") if p.stem not in OTHERS)
# by `make long`, since each asks what another does
LATER = {
    "factory_failure",
    "line_supply",
    "line_rul",
    "outage",
    "transformer_failure",
    "device_failure",
    "heart_procedure",
    "heart_failure",
    "tumour_counterfactual",
    "grid_monitor",
    "grid_forecast",
    "street_loads",
}
AGAIN = ("line_failure", "heart_treatment", "cmapss")  # simulated, with plans that are tried, and from tables
SOURCE = {
    "etth1": ["source.path=table.csv", "evaluate.conformal=true", "evaluate.adaptive=0.02", "evaluate.mc_dropout=3"],
    "grid_forecast": ["fit.members=2"],
    "cmapss": ["source.path=engines.txt", "source.test=cut.txt", "source.left=left.txt"],
}
# compiled as a user's: the main experiment, and those whose losses are so wide that running them takes longer than that
OPTIMISED = {"line_failure", "etth1", "grid_forecast", "homes_imputation", "street_loads"}
# of all but the main experiment, which is as a user has it, and the linear one
SMALL = ("model.width=48", "model.layers=1", "model.hidden=96", "plan.train=2", "plan.validation=1")
OFTEN = {"line_rul", "line_states", "line_output", "line_quality"}  # asked so often that the oracle takes its time
FOLDER = ("checkpoints", "config.yaml", "figures.json", "metrics.json", "metrics.jsonl", "report.html", "stamp.json")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A working folder that the tests of this file share, with a table such as etth1 wants."""
    folder = tmp_path_factory.mktemp("work")
    names = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
    with (folder / "table.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("date", *names))
        for hour in range(14400):
            day, at = divmod(hour, 24)
            values = [math.sin(hour / (3 + v)) + math.cos(math.tau * at / 24) for v in range(len(names))]
            date = f"{2016 + day // 336}-{day % 336 // 28 + 1:02d}-{day % 28 + 1:02d} {at:02d}:00:00"
            rows.writerow((date, *(f"{x:.4f}" for x in values)))
    for name, lives in (("engines", range(40, 60)), ("cut", range(35, 41))):
        rows = [
            f"{unit} {cycle} " + " ".join(f"{v + math.sin(cycle + v) + 9 * cycle / life:.3f}" for v in range(24))
            for unit, life in enumerate(lives, 1)
            for cycle in range(1, life + 1)
        ]
        (folder / f"{name}.txt").write_text("\n".join(rows) + "\n")
    (folder / "left.txt").write_text("7\n20\n3\n90\n140\n11\n")
    return folder


def start(work, *args):
    env = {"JAX_COMPILATION_CACHE_DIR": str(work / "jax"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    if not OPTIMISED.isdisjoint(arg.removeprefix("experiment=") for arg in args):
        env |= {"JAX_DISABLE_MOST_OPTIMIZATIONS": "0", "XLA_FLAGS": ""}
    return commands.start(work, "-m", *args, **env)


def call(work, *args):
    return commands.finish(start(work, *args))


def train(work, preset, *more):
    small = () if preset in ("line_failure", "house_price") else SMALL
    small += ("evaluate.every=48",) if preset in OFTEN else ()
    return call(work, "experiments.train", f"experiment={preset}", "debug=fast", *SOURCE.get(preset, ()), *small, *more)


def scores(run):
    """The part of metrics.json that does not say how long it took."""
    return {k: v for k, v in json.loads((run / "metrics.json").read_text()).items() if k != "cost"}


@pytest.fixture(scope="module")
def runs(work):
    """The folder of each preset's run, made when it is first asked for."""
    made = {}

    def run(preset):
        if preset not in made:
            code, out, err = train(work, preset)
            assert code == 0, err
            made[preset] = (work / out.splitlines()[-1]).parent
        return made[preset]

    return run


@pytest.mark.slow
@pytest.mark.parametrize("preset", [pytest.param(p, marks=pytest.mark.long if p in LATER else ()) for p in PRESETS])
def test_a_preset_runs_to_its_report(runs, preset):
    run = runs(preset)
    assert run.parent.name == preset
    assert {p.name for p in run.iterdir()} >= set(FOLDER)
    kinds = {row["kind"] for row in scores(run)["rows"]}
    assert {"naive", "baseline", "model"} <= kinds
    assert {row["name"] for row in scores(run)["rows"]} == {path.stem for path in (run / "predictions").iterdir()}
    variants = {row["name"] for row in scores(run)["rows"] if row["kind"] == "variant"}
    assert variants == (
        {f"model_{how}" for how in ("conformal", "adaptive", "mc_dropout")} if preset == "etth1" else set()
    )
    assert ("oracle" in kinds) == preset.startswith(
        ("line_", "factory_", "tumour_", "grid_", "heart_", "outage", "device_", "transformer_")
    )
    stamp = json.loads((run / "stamp.json").read_text())
    assert {"commit", "dirty", "versions", "platform", "device", "dataset"} <= set(stamp)


@pytest.mark.slow
@pytest.mark.parametrize("preset", AGAIN)
def test_the_same_command_again_says_that_it_is_done(work, runs, preset):
    run = runs(preset)
    before = (run / "report.html").stat().st_mtime_ns
    code, out, err = train(work, preset)
    assert (code, work / out.splitlines()[-1]) == (0, run / "report.html")
    assert "done before; fresh=true starts over" in err
    assert (run / "report.html").stat().st_mtime_ns == before


@pytest.mark.slow
def test_fresh_starts_over_and_ends_with_the_same_scores(work, runs):
    run = runs("house_price")
    before, made = scores(run), (run / "report.html").stat().st_mtime_ns
    code, _, err = train(work, "house_price", "fresh=true")
    assert code == 0, err
    assert (run / "report.html").stat().st_mtime_ns > made
    assert scores(run) == before


@pytest.mark.slow
def test_seeds_are_compared_in_one_table(work, runs):
    runs("house_price")
    assert train(work, "house_price", "seed=1")[0] == 0
    code, out, err = call(work, "experiments.compare", "runs=outputs/house_price/*")
    assert code == 0, err
    found = json.loads((work / out.splitlines()[-1]).read_text())
    folders = found["runs"]["model"]
    assert (found["seeds"], len(folders)) == (2, 2)
    single = [{row["name"]: row for row in scores(Path(work, run))["rows"]} for run in folders]
    for row in found["rows"]:
        means = [one[row["name"]]["scores"]["mse"]["mean"] for one in single]
        assert row["scores"]["mse"]["mean"] == pytest.approx(sum(means) / 2)
    assert train(work, "house_price", "fit.steps=10", "outputs=others")[0] == 0
    pair = "runs={long: outputs/house_price/*, again: outputs/house_price/*}"
    code, out, err = call(work, "experiments.compare", pair)
    rows = {row["name"]: row for row in json.loads((work / out.splitlines()[-1]).read_text())["rows"]}
    assert (code, rows["long"]["difference"]["again"]["mean"]) == (0, 0.0), err
    code, _, err = call(work, "experiments.compare", f"runs=[{folders[0]},{next((work / 'others').glob('*/*'))}]")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "in fit.steps; runs to compare differ in their seed alone" in err
    code, _, err = call(work, "experiments.compare", "runs=outputs/nothing/*")
    assert (code, err) == (2, "runs is 'outputs/nothing/*', which finds 0 finished runs; it takes two or more\n")


@pytest.mark.slow
def test_seeds_are_compared_where_plans_are_asked(work, runs):
    """A second run with the same predictions and another seed changes no mean."""
    run = runs("heart_treatment")
    other = shutil.copytree(run, run.with_name("other"))
    config = (run / "config.yaml").read_text()
    (other / "config.yaml").write_text(re.sub(r"^seed: 0$", "seed: 1", config, flags=re.M))
    code, out, err = call(work, "experiments.compare", f"runs=[{run},{other}]")
    shutil.rmtree(other)
    assert code == 0, err
    found = json.loads((work / out.splitlines()[-1]).read_text())
    alone, both = (
        {row["name"]: row["scores"]["pehe"]["mean"] for row in told["rows"]} for told in (scores(run), found)
    )
    assert (both, found["seeds"]) == (pytest.approx(alone), 2)


@pytest.mark.slow
def test_kill_9_in_training_and_the_same_command_end_with_the_same_scores(work, runs):
    reference = runs("line_failure")
    args = ("experiments.train", "experiment=line_failure", "debug=fast", "outputs=killed")
    run = work / "killed" / reference.relative_to(work / "outputs")
    process = start(work, *args)
    deadline = time.monotonic() + 200
    while not list(run.glob("checkpoints/step-*.json")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (run / "report.html").exists()
    code, _, err = call(work, *args)
    assert code == 0, err
    assert scores(run) == scores(reference)
    assert (run / "metrics.jsonl").read_text() == (reference / "metrics.jsonl").read_text()


@pytest.mark.slow
def test_a_trained_model_is_scored_on_another_dataset_and_predicts_from_a_table(work, runs):
    run = runs("line_failure")
    code, out, err = call(work, "experiments.generate", "experiment=line_failure", "debug=fast", "plan.seed=7")
    assert code == 0, err
    code, out, err = call(work, "experiments.evaluate", f"run={run}", f"dataset={out.strip()}")
    assert code == 0, err
    assert {row["kind"] for row in json.loads((work / out.splitlines()[-1]).read_text())["rows"]} >= {"model", "oracle"}

    with (work / "own.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("time", "machine", "temperature", "current"))
        for machine in "AB":
            for i in range(150):
                rows.writerow((f"2026-01-{i // 144 + 1:02d}T{i // 6 % 24:02d}:{i % 6}0", machine, 320 + i % 3, 12.0))
    columns = (
        "+source.columns={temperature: {quantity: bearing_temperature, unit: K}, current: {quantity: %s, unit: A}}"
    )
    args = ("experiments.predict", f"run={run}", "source.path=own.csv", "source.time=time", "source.asset=machine")
    code, out, err = call(work, *args, columns % "motor_current")
    assert code == 0, err
    assert "not in the table, so missing to the model: vibration_rms" in err
    with (work / out.strip()).open() as file:
        found = list(csv.DictReader(file))
    assert [row["asset"] for row in found] == ["A", "B"]
    assert all(0 <= float(row["fails_within_24_h"]) <= 1 for row in found)
    code, _, err = call(work, *args, columns % "motor_curent")
    assert code == 2
    assert "source.columns.current is of quantity 'motor_curent', which the model does not know; it knows" in err
    code, _, err = call(work, *args, (columns % "motor_current").replace("K", "mm"))
    assert code == 2
    assert len(err.splitlines()) == 1


@pytest.mark.long
def test_lives_like_those_of_a_table_are_simulated_and_a_model_of_them_goes_on_with_the_table(work):
    code, out, err = call(work, "experiments.calibrate", "experiment=cmapss", *SOURCE["cmapss"])
    assert code == 0, err
    folder = out.splitlines()[-1]
    small = ("debug=fast", "plan.duration_h=40000", "model.width=16", "model.heads=2", "model.hidden=16")
    code, out, err = call(
        work, "experiments.train", "--config-dir", folder, "experiment=calibrated", "~baselines.boosted_trees", *small
    )
    assert code == 0, err
    first = Path(out.splitlines()[-1]).parent
    init, alike = f"init={first}", ("optim.learning_rate=1e-12", "~baselines.boosted_trees", *small[2:])
    code, out, err = train(work, "cmapss", init, "name=after", *alike)
    assert code == 0, err
    ends = [
        jax.tree.leaves(nnx.state(Model.load(work / run).module)) for run in (first, Path(out.splitlines()[-1]).parent)
    ]
    for a, b in zip(*ends, strict=True):  # hardly anything was learned since, so it ends as it began
        np.testing.assert_allclose(a, b, atol=1e-6)
    code, _, err = train(work, "cmapss", init, "model.width=32", "name=other")
    assert (code, "init=" in err and "of another shape" in err) == (2, True), err


@pytest.mark.slow
def test_a_forecast_of_ones_own_table(work, runs):
    run = runs("etth1")
    table = (work / "table.csv").read_text().splitlines()
    (work / "recent.csv").write_text("\n".join(table[:1] + table[-400:]) + "\n")
    args = ("experiments.predict", f"run={run}", "source.path=recent.csv", "source.time=date", "output=ahead.parquet")
    code, _, err = call(work, *args)
    assert code == 0, err

    found = pyarrow.parquet.read_table(work / "ahead.parquet").to_pydict()
    assert len(found["time"]) == 7 * 96
    assert all(a <= b <= c for a, b, c in zip(found["q0.1"], found["q0.5"], found["q0.9"], strict=True))


BAD = [
    (["experiment=etth1"], "source.path is not set; give it as source.path=…"),
    (["experiment=etth1", "source.path=nowhere.csv"], "nowhere.csv"),
    (["experiment=etth1", "source.path=broken.csv"], "broken.csv, line 3: HUFL is 'much'"),
    (["experiment=etth1", "source.path=short.csv"], "Cuts"),
    (
        ["experiment=etth1", "source.path=table.csv", "evaluate.conformal=true", "source.splits.validation=96"],
        "has 72 readings of HUFL to be told; the quantile of level 0.99 needs 99",
    ),
    (["experiment=cmapss", "source.path=engines.txt"], "source.test is not set; give it as source.test=…"),
    (["experiment=line_failure", "evaluate.every=null"], "evaluate.every is null"),
    (["experiment=house_price", "plan.train=-1"], "plan.train is -1; it must be at least 0"),
    (["experiment=house_price", "plan.train=many"], "plan.train is 'many'; it must be a whole number"),
    (["experiment=house_price", "world.noise_keur=-1"], "world.noise_keur is -1.0; it must be at least 0"),
    (["experiment=house_price", "model=huge"], "model=huge: there is no such model; choose from"),
    (["experiment=house_price", "context=-1"], "context is -1; it must be at least 0"),
    (["experiment=house_price", "workers=0"], "workers is 0; it must be at least 1"),
    (["experiment=house_price", "plan.duration_h=1", "plan.train=1"], "empty"),
    (["experiment=line_failure", "debug=fast", "plan.test=0"], "test"),
    (["experiment=line_failure", "station.wear.drift_per_h=0"], "world.stations.0.wear.drift_per_h is 0.0"),
    (["experiment=line_failure", "fit=3"], "fit is 3; it must be a Budget"),
    (["experiment=line_failure", "fit.batch=0"], "fit.batch is 0; it must be at least 1"),
    (["experiment=line_failure", "oracle.count=1"], "oracle.count is 1; it must be at least 2"),
    (
        ["experiment=line_failure", "oracle._target_=learn.tasks.Forecast"],
        "oracle.count and oracle.seed are unknown to Forecast",
    ),
]
THE_DOOR = """
import contextlib, io, json, sys
from experiments.train import main
for args in json.loads(sys.argv[1]):
    sys.argv[1:] = args
    code = 0
    with contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as left:
            code = left.code
    print(json.dumps([code, err.getvalue()]))
"""


@pytest.fixture(scope="module")
def answers(work):
    """Exit code and stderr of the command for each of the bad inputs, one after another in one process."""
    (work / "broken.csv").write_text("date,HUFL\n2020-01-01 00:00,1\n2020-01-01 01:00,much\n")
    (work / "short.csv").write_text("date,HUFL\n2020-01-01 00:00,1\n2020-01-01 01:00,2\n")
    done = commands.call(work, "-c", THE_DOOR, json.dumps([args for args, _ in BAD]))
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("case", range(len(BAD)), ids=[" ".join(args) for args, _ in BAD])
def test_bad_input_is_one_sentence(answers, case):
    code, err = answers[case]
    said = [line for line in err.splitlines() if not line.startswith("dataset: ")]
    assert code == 2, err
    assert len(said) == 1
    assert BAD[case][1] in said[0]


def test_a_worker_never_imports_jax(work):
    plant = work / "spied"
    (plant / "experiment").mkdir(parents=True)
    (plant / "spy.py").write_text(
        "import multiprocessing, sys\n"
        "from pathlib import Path\n"
        "from twins.house import HouseTwin\n"
        "class Spy(HouseTwin):\n"
        "    def observe(self, run):\n"
        "        assert multiprocessing.parent_process() is not None\n"
        "        Path('spied.txt').write_text(str(sorted({'jax', 'hydra'} & set(sys.modules))))\n"
        "        return super().observe(run)\n"
    )
    preset = "# @package _global_\ndefaults: [house_price]\ntwin: {_target_: spied.spy.Spy}\n"
    (plant / "experiment" / "spied.yaml").write_text(preset)
    args = ("experiments.generate", "--config-dir", "spied", "experiment=spied", "debug=fast", "workers=2")
    code, _, err = call(work, *args)
    assert code == 0, err
    assert (work / "spied.txt").read_text() == "[]"
