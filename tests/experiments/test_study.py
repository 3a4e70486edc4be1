"""A study asks one experiment at the points of a grid: ordinary runs, made once, scored together and paired."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from experiments.build import fit
from experiments.cli import compose
from experiments.run.questions import Asked
from experiments.run_dir import config_of
from experiments.studies import laws, studied
from experiments.studies.grid import Point, Study, Sweep, spelled
from learn.scores.evaluate import Row, interval
from learn.scores.metrics import EventPrediction, EventTruth
from learn.scores.power_law import power_law
from sim.errors import InputError

BASE = ["experiment=house_price", "debug=fast", "plan.test=6", "plan.duration_h=2000", "workers=1"]
SWEEP = Sweep({"runs": (1, 3)}, ("train_runs=$runs",), label="runs")


def test_a_grid_gives_every_combination_and_what_it_sets():
    sweep = Sweep({"a": (1, 0.5), "b": ("x", None, True)}, ("m=$a", "n=[$b,$a]"), x="seconds")
    found = list(sweep.points())
    assert len(found) == 6
    assert found[-1] == ({"a": 0.5, "b": True}, ("m=0.5", "n=[true,0.5]"))
    assert [spelled(v) for v in (None, [1, 2], "text", 1e-9)] == ["null", "[1, 2]", "text", "1.0e-09"]
    study = Study("some", "", {"one": SWEEP, "two": sweep}, {"": (), "more": ("c=1",)}, ("d=2",), seeds=(0, 7))
    points = study.points(["experiment=e"])
    assert len(points) == 2 * 2 * (2 + 6)
    assert points[-1].overrides == ("experiment=e", "d=2", "m=0.5", "n=[true,0.5]", "c=1", "seed=7")


def test_sweeps_share_the_run_in_which_nothing_is_set():
    config = compose("study", ["study=data_quality", "experiment=line_failure"]).config
    study = fit(config["study"], Study, "study")
    study = replace(study, sweeps={name: study.sweeps[name] for name in ("spikes", "wrong_labels")})
    points = study.points(["experiment=line_failure"])
    first = {(p.sweep, p.variant): compose("train", p.overrides) for p in points if set(p.values.values()) == {0}}
    assert len(first) == len(study.sweeps) * 2
    assert len({experiment.run_path for experiment in first.values()}) == 2
    others = {compose("train", p.overrides).run_path for p in points} - {e.run_path for e in first.values()}
    assert len(others) == len(points) - len(first)
    with pytest.raises(InputError, match=r"Sweep\.base is \{'b': 0\}; it must be a value of each name of grid"):
        Sweep({"a": (1,)}, ("m=$a",), base={"b": 0})


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Sweep({}, ()), "Sweep.grid is {}; it must be at least one name"),
        (lambda: Sweep({"a": (1,)}, ("m=$b",)), r"\$a must be both there and in grid"),
        (lambda: Sweep({"a": (1,)}, ("m=$a",), x="c"), "one of a, parameters, flops, seconds"),
        (lambda: Study("a b", "", {"s": SWEEP}), "Study.name is 'a b'"),
        (lambda: Study("a", "", {"s": SWEEP}, seeds=(1, 1)), "without repetition"),
    ],
)
def test_what_is_no_study_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


def carried_out(work, study):
    base = [*BASE, f"outputs={work}/outputs", f"datasets={work}/datasets"]
    return studied.execute(study, compose("train", base).config, base)


VARIANTS = {"short": ("fit.steps=10",), "long": ("fit.steps=20",)}
STUDY = Study("amount", "How much", {"data": SWEEP}, VARIANTS)


@pytest.mark.slow
def test_points_are_ordinary_runs_scored_together_and_taken_up_where_they_are(work):
    carried_out(work, replace(STUDY, variants={"short": VARIANTS["short"]}))
    runs = sorted((work / "outputs" / "house_price").iterdir())
    assert len(runs) == 2
    made = {run: (run / "metrics.json").stat().st_mtime_ns for run in runs}
    folder = carried_out(work, STUDY)
    assert len(sorted((work / "outputs" / "house_price").iterdir())) == 4
    assert {run: (run / "metrics.json").stat().st_mtime_ns for run in runs} == made
    found = studied.told(folder)
    for point in found["points"]:
        (run,) = point["runs"]
        own = {r["name"]: r for r in json.loads(Path(run, "metrics.json").read_text())["rows"]}["model"]
        assert point["score"]["mean"] == pytest.approx(own["scores"]["mse"]["mean"])
        cost = json.loads(Path(run, "metrics.json").read_text())["cost"]
        assert point["measures"]["seconds"] == cost["stages"]["training"]["seconds"]  # whatever else was there before
    by = {(p["variant"], p["x"]): p for p in found["points"]}
    gain = by["long", 3]["gain"]
    assert gain["mean"] == pytest.approx(by["long", 3]["score"]["mean"] - by["short", 3]["score"]["mean"])
    assert gain["low"] < gain["mean"] < gain["high"]
    assert by["short", 3]["gain"] is None
    assert by["long", 1]["asked"] != by["long", 3]["asked"]  # forecasts are in units of what was learned from
    assert by["long", 3]["change"] is None


def test_the_page_tells_every_point_and_loads_nothing(work):
    sweep = Sweep({"n": (10, 20)}, ("fit.steps=$n",), x="parameters")
    study = Study("page", "Steps", {"steps": sweep}, set=("train_runs=3",))
    folder = carried_out(work, study)
    found, html = studied.told(folder), (folder / "report.html").read_text()
    assert not re.search(r"""(src|href)\s*=\s*["']\s*(https?:)?//|@import|url\(http""", html)
    assert {p["x"] for p in found["points"]} == {2.0}  # a straight line's
    assert html.count("<td>steps: n ") == 2
    first, second = found["points"]
    assert second["change"]["mean"] == pytest.approx(second["score"]["mean"] - first["score"]["mean"])
    assert studied.verdict(found).headline in html


def test_a_point_that_cannot_be_is_named(work):
    nine = Study("amount", "", {"data": Sweep({"runs": (9,)}, ("train_runs=$runs",))})
    with pytest.raises(
        InputError, match=r"^study\.sweeps\.data at runs=9, seed 0: train_runs is 9; it must be at most the 3"
    ):
        carried_out(work, nine)
    with pytest.raises(InputError, match=r"study\.rows names nobody; the rows of"):
        carried_out(work, replace(STUDY, rows=("nobody",)))


def test_a_point_that_sweeps_share_is_composed_and_read_once(work, monkeypatch):
    calls = []
    for module, name in ((studied.cli, "compose"), (studied, "_read")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, real=real, name=name: calls.append(name) or real(*given))
    sweeps = {name: Sweep({"n": steps}, ("fit.steps=$n",)) for name, steps in (("up", (10, 20)), ("down", (20, 10)))}
    study = Study("shared", "", sweeps, set=("train_runs=3",))
    base = [*BASE, f"outputs={work}/outputs", f"datasets={work}/datasets"]
    folder = studied.execute(study, compose("train", base).config, base)
    assert sorted(calls) == ["_read", "_read", "compose", "compose"]
    assert len(studied.told(folder)["points"]) == 4
    assert fit(config_of(folder)["study"], Study, "study") == study


@pytest.mark.slow
def test_seeds_are_drawn_with_the_runs(work):
    study = Study("seeds", "", {"data": Sweep({"n": (10, 20)}, ("fit.steps=$n",))}, set=("train_runs=3",))
    one, two = (studied.told(carried_out(work, replace(study, seeds=s))) for s in ((0,), (0, 1)))
    assert [len(p["runs"]) for p in two["points"]] == [2, 2]
    assert one["points"][0]["score"]["mean"] != two["points"][0]["score"]["mean"]
    assert np.isfinite(two["points"][1]["change"]["low"])


def test_a_power_law_is_found_again_with_its_interval():
    rng = np.random.default_rng(0)
    x, floor = np.array([1.0, 3.0, 10.0, 30.0]), rng.normal(2.0, 0.01, 500)
    score = floor[:, None] + 0.5 * x**-0.4 * rng.lognormal(0, 0.02, (500, 4))
    law = power_law(x, score, floor)
    found = interval(law.exponent_R)
    assert found["low"] < 0.4 < found["high"]
    assert found["high"] - found["low"] < 0.1
    assert (law.floor_R[0], law.scale_R[0]) == pytest.approx((2, 0.5), rel=0.05)
    assert law.misfit < 0.05
    off = power_law(x, score, floor - 0.5)  # a floor that is not the oracle's
    assert interval(off.exponent_R)["high"] < 0.4
    assert np.isnan(power_law(x, score, floor + 1).exponent_R).all()
    with pytest.raises(ValueError, match="at least three"):
        power_law(x[:2], score[:, :2], floor)


def ran_at(flops, asked="a"):
    """A run whose model is at 0.4 about failures that happen half the time, and whose oracle knows more."""
    happens_N = np.arange(8) % 2 == 0
    told = {"model": 0.6, "oracle": 0.9}
    rows: dict = {name: Row(name, EventPrediction(np.where(happens_N, p, 1 - p))) for name, p in told.items()}
    truth = EventTruth(happens_N, np.ones(8, bool))
    about = Asked(None, np.zeros((8, 2), int), truth, np.arange(8) // 2)
    return studied.Ran(Point("work", {"n": flops}, "", 0, ()), Path(), {}, about, asked, rows, {"flops": flops})


@pytest.mark.parametrize(
    ("ran", "why"),
    [
        ([ran_at(5.0)] * 3, "at least three different places above 0"),
        ([ran_at(1.0), ran_at(2.0, "b"), ran_at(3.0)], "its points are not all asked the same"),
    ],
)
def test_what_has_no_law_after_training_says_why_in_its_place(ran, why):
    sweep = Sweep({"n": (1, 2, 3)}, ("fit.steps=$n",), x="flops", label="work", law=True)
    study = Study("law", "Law", {"work": sweep})
    (law,) = laws.fitted(study, ran, "brier", 20)
    assert why in law["why"]
    assert law["scale"] is None
    found = {"study": {"seeds": [0], "sweeps": {"work": {"label": "work"}}}, "laws": [law]}
    (said,) = laws.told(found)
    assert said == f"work, model: no law, since {law['why']}."
    laws.draw(Figure().subplots(), found, "work")


@pytest.mark.parametrize("grid", [(0, 1, 2, 3), ("a", "b", "c"), (1, 2)])
def test_a_law_over_what_has_no_three_places_is_refused_before_training(grid):
    study = Study("law", "", {"work": Sweep({"n": grid}, ("fit.steps=$n",), law=True)})
    with pytest.raises(InputError, match=r"study\.sweeps\.work\.law is true; it takes at least three places"):
        laws.check(study, [(point, {"oracle": {}}) for point in study.points(())])


@pytest.mark.long
def test_a_sweep_tells_its_law_above_the_oracle(work):
    base = [
        "experiment=line_failure",
        "debug=fast",
        "model=linear",
        "~model.patch",
        "~model.identity_std",
        f"outputs={work}/outputs",
        f"datasets={work}/datasets",
    ]
    sweep = Sweep({"n": (10, 20, 40)}, ("fit.steps=$n",), x="flops", label="work", log=True, law=True)
    found = studied.told(studied.execute(Study("law", "Law", {"work": sweep}), compose("train", base).config, base))
    (law,) = found["laws"]
    assert law["x"] == [p["x"] for p in found["points"]]
    metrics = json.loads(Path(found["points"][0]["runs"][0], "metrics.json").read_text())
    oracle = next(row for row in metrics["rows"] if row["name"] == "oracle")
    assert law["floor"] == pytest.approx(oracle["scores"]["brier"]["mean"])
    left = [p["score"]["mean"] - law["floor"] for p in found["points"]]
    assert min(left) > 0
    assert law["exponent"]["mean"] == pytest.approx(-np.polyfit(np.log(law["x"]), np.log(left), 1)[0])
    assert "to the power" in laws.told(found)[0]
    two = replace(sweep, grid={"n": (10, 20)})
    with pytest.raises(InputError, match=r"study\.sweeps\.work\.law is true; it takes at least three places"):
        studied.execute(Study("law", "", {"work": two}), compose("train", base).config, base)
