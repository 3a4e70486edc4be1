"""Cleaning from the command line: declared, scored against planted faults, told on one page, refused where it peeks."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments import load
from experiments.cli import compose
from experiments.datasets import cleaning, looking, own_data
from experiments.run.checks import check
from experiments.run.model import Model
from experiments.run.pipeline import examine
from experiments.run_dir import config_hash, to_yaml
from experiments.source import Observed
from sim.errors import InputError
from twins import faults
from twins.clean import Clean, Range, Spikes, Stuck, Units
from twins.clean.pipeline import Closed
from twins.clean.scored import ALL, scored
from twins.faults import Faults
from twins.observed import Cuts

SMALL = "plan={train: 2, validation: 1, test: 2, duration_h: 120, runs_per_shard: 1}"
PLANT = [
    "source.faults=[{_target_: twins.faults.Spikes, share: .004, size: 10}, {_target_: twins.faults.Stuck, share: .1}]",
    "source.clean=[{_target_: twins.clean.Range}, {_target_: twins.clean.Spikes}, {_target_: twins.clean.Stuck}]",
]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("clean")


def command(work, *more):
    base = ["experiment=line_failure", "workers=1", SMALL, f"datasets={work}/datasets", f"outputs={work}/outputs"]
    return compose("clean", [*base, *more])


def test_the_page_tells_what_each_step_found_and_loads_nothing(work, capsys):
    path = cleaning.write(command(work, *PLANT, "examples=2"))
    html, (out, err) = Path(path).read_text(), capsys.readouterr()
    assert not re.search(r"""(src|href)\s*=\s*["']\s*(https?:)?//|@import|url\(http""", html)
    assert html.count("<figure") == 3
    assert "the record gives back the readings of all 5 runs before cleaning, bit for bit" in out
    assert re.search(r"2 Stuck: [\d,]+ of [\d,]+ readings", err)
    all_steps = re.search(rf"<td>{ALL}</td><td>[^<]+</td><td>([^<]+)</td><td>([^<]+)</td>", html)
    assert all_steps
    assert min(map(float, all_steps.groups())) > 0.6  # precision, recall of spikes
    where = [f"datasets={work}/datasets", f"outputs={work}/outputs", "episodes=0"]
    page = looking.write(compose("look", ["experiment=line_failure", SMALL, *PLANT, *where])).read_text()
    assert "What was changed on the way" in page


def test_faults_of_ones_own_and_wrong_labels_are_scored_as_they_were_planted(work, capsys):
    kinds = ("tests.plants.clipped.Clipped", "twins.faults.Gaps", "twins.faults.WrongLabels")
    planted = ", ".join(f"{{_target_: {kind}}}" for kind in kinds)
    path = cleaning.write(command(work, f"source.faults=[{planted}]", *PLANT[1:], "examples=0", "split=train"))
    assert "recall of 0 Clipped" in (out := " ".join(capsys.readouterr().out.split())), out
    assert re.search(r"\d+ % of the readings that are wrong by themselves", Path(path).read_text())


def steps_scored(work, *steps):
    experiment = command(work, *PLANT)
    raw = experiment.source.raw(Path(experiment.config["datasets"]))
    train = raw.episodes("train")
    planted = Faults((faults.Spikes(share=0.004, size=10), faults.Stuck(share=0.1))).close(train)
    closed = Clean(steps).close([planted(episode, "train").episode for episode in train])
    return scored(raw.shard("test-00000"), planted, closed, experiment.twin, "test")


def good(found):
    """Most of what was found is wrong, most spikes were found, and readings lie nearer to the truth."""
    one = found.steps[ALL]
    nearer = [e.rmse("cleaned") and e.rmse("cleaned") < e.rmse("faulty") for e in found.errors.values()]
    return (one.precision or 0) > 0.6 and (one.recall("0 Spikes") or 0) > 0.7 and all(nearer)


def test_steps_that_find_nothing_or_everything_are_told_from_good_ones(work):
    found = steps_scored(work, Range(), Spikes(), Stuck())
    assert good(found)
    quantities = tuple(found.errors)
    none = steps_scored(work, Range(limits=dict.fromkeys(quantities, (-1e9, 1e9))))
    assert none.steps[ALL].found == 0
    assert not good(none)
    every = steps_scored(work, Range(limits=dict.fromkeys(quantities, (1e8, 1e9))))
    assert every.steps[ALL].recall("0 Spikes") == 1.0
    assert every.steps[ALL].precision < 0.2
    assert not good(every)


def test_a_logger_whose_clock_jumps_is_set_right_and_learned_from(work):
    small = ["experiment=line_failure", "workers=1", SMALL, f"datasets={work}/datasets", "context=24"]
    healthy = compose("train", small)
    small += ["source.faults=[{_target_: twins.faults.Duplicates}, {_target_: twins.faults.ClockJumps, share: .2}]"]
    cleaned, faulty = compose("train", [*small, "clean=standard"]), compose("train", small)
    step_h = healthy.twin.step_h
    (one, *_), (other, *_) = (e.dataset.episodes("test") for e in (faulty, cleaned))
    assert one.series[0].step_h is None
    assert any((np.diff(e.series[0].clock_h()) < 0).any() for e in faulty.dataset.episodes("test"))
    assert other.series[0].step_h == step_h
    windows = cleaned.windows("train")
    assert windows.step_h == step_h
    right = []
    for a, b in zip(healthy.dataset.episodes("test"), cleaned.dataset.episodes("test"), strict=True):
        true, at = a.series[0].values, np.rint(b.series[0].clock_h() / step_h).astype(int)
        inside = at < len(true)
        now = b.series[0].values[inside]
        right.append(np.mean(np.isclose(now, true[at[inside]])[np.isfinite(now)]))
    assert np.mean(right) > 0.8  # lie where they were taken, but for those within a jump ahead


def test_what_looks_ahead_is_refused_where_a_model_learns():
    centred = "source.clean=[{_target_: twins.clean.Range}, {_target_: twins.clean.Spikes, centred: true}]"
    with pytest.raises(InputError, match=r"source\.clean\[1\] \(Spikes\) looks ahead: a reading would depend on later"):
        check(load("line_failure", [centred]))
    for clean, planted in (("standard", "mixed"), ("filled", "clocks")):
        check(load("line_failure", [f"clean={clean}", f"faults={planted}"]))
    with pytest.raises(InputError, match=r"source\.clean is empty"):
        cleaning.write(compose("clean", ["experiment=line_failure", "source.clean=[]"]))


def test_steps_name_the_data_and_no_steps_name_what_was_there_before():
    plain, cleaned = load("line_failure"), load("line_failure", ["clean=standard"])
    assert plain.source.identity != cleaned.source.identity
    assert plain.run_path != cleaned.run_path
    before = {k: v for k, v in plain.config["source"].items() if k not in ("faults", "clean")}
    was = {k: v for k, v in plain.config.items() if k != "train_runs"} | {"source": before}
    assert config_hash(was, "x") == config_hash(plain.config, "x")


def test_a_table_is_cleaned_and_a_trained_model_cleans_alike(tmp_path):
    rng, path = np.random.default_rng(0), tmp_path / "my.csv"
    values = rng.normal(20, 1, 600)
    values[[300, 550]] = 500.0
    path.write_text("t,x\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values)))
    table = Observed(str(path), {"x": {"unit": "Cel"}}, time="t", splits=Cuts(400, 100, unit="rows"), clean=(Range(),))
    raw = replace(table, clean=())
    assert table.identity != raw.identity == replace(raw, path=str(path)).identity
    dataset = table.ensure(tmp_path / "data")
    (episode,) = dataset.episodes("test")
    assert np.isnan(episode.series[0].values[[300, 550]]).all()
    assert np.isnan(episode.series[0].values).sum() == 2
    assert dataset.span("test") == raw.ensure(tmp_path / "data").span("test")
    closed = Closed.of(dataset.manifest["closed"]["clean"])
    model = Model(None, None, 1, None, (), 1.0, cleaning=closed)  # type: ignore[arg-type]
    (again,), said = own_data.cleaned(raw.ensure(tmp_path / "data").episodes("test"), model)
    assert np.array_equal(again.series[0].values, episode.series[0].values, equal_nan=True)
    assert said == ["x: 2 of 600 readings changed by clean 0 Range"]
    with pytest.raises(InputError, match="steps that convert units"):
        own_data.cleaned([], replace(model, cleaning=Closed((Units(to={"x": "K"}),))))
    shown = ["experiment=null", "~world", "~twin", "~oracle", "~faults", "source=observed", f"source.path={path}"]
    shown += [
        "source.time=t",
        "+source.splits={_target_: twins.observed.Cuts, train: 400, validation: 100, unit: rows}",
    ]
    html = cleaning.write(compose("clean", [*shown[1:], f"datasets={tmp_path}/d", f"outputs={tmp_path}/o"])).read_text()
    assert "2 Range" in html
    assert "What each step found" not in html


def test_a_model_keeps_its_steps_and_is_scored_behind_them(work):
    small = ["experiment=line_failure", "debug=fast", "workers=1", "~oracle", SMALL, "context=24", "baselines={}"]
    small += [
        f"datasets={work}/datasets",
        f"outputs={work}/outputs",
        "fit.steps=2",
        "fit.chunk=2",
        "fit.validate_every=2",
    ]
    experiment = compose("train", [*small, "clean=standard"])
    model = Model.first(experiment)
    model.save(work / "kept")
    (work / "kept" / "config.yaml").write_text(to_yaml(experiment.config))
    again = Model.load(work / "kept")
    assert again.cleaning == model.cleaning
    assert again.cleaning == Closed.of(experiment.dataset.manifest["closed"]["clean"])
    raw = compose("train", small).dataset
    more = Range(limits={"of_another_plant": (0.0, 1.0)}, spread=None)  # a model may know more than a dataset has
    wider = replace(again, cleaning=Closed((*again.cleaning.steps, more)))
    asked = ((again, raw), (wider, raw), (again, experiment.dataset))
    scores = [examine(experiment, model, dataset, "test")["rows"][-1]["scores"] for model, dataset in asked]
    assert scores[0] == scores[1] == scores[2]
