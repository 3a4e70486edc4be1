"""The command that searches hyperparameters: the same trials by any workers and any kills; what cannot be searched."""

import json
import os
import random
import re
import signal
import time
from collections import Counter
from types import SimpleNamespace

import pytest

from experiments import report
from experiments.sweeps import search_report, space
from experiments.sweeps.search import JOURNAL, Sweep
from sim.errors import InputError
from tests import commands

COMMAND = ["experiments.sweep", "experiment=house_price", "debug=fast", "sweep.batch=3", "sweep.startup=3"]


def start(work, *args):
    return commands.start(work, "-m", COMMAND[0], *args, *COMMAND[1:])  # flags come before overrides


def call(work, *args):
    return commands.finish(start(work, *args))


def entries(journal):
    return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []


def trials(run):
    """What follows from the configuration alone."""
    found = json.loads((run / "sweep.json").read_text())
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in found["trials"]]


def killed(work, folder, entries_more, pause_s, *args, kill=os.killpg):
    """Start the sweep, and kill all its processes once its journal has grown and a pause is over."""
    process = start(work, *args)
    had, deadline = len(entries(folder / JOURNAL)), time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if len(entries(folder / JOURNAL)) >= had + entries_more:
            break
        time.sleep(0.01)
    time.sleep(pause_s)
    ended = process.poll()
    if ended is None:
        kill(process.pid, signal.SIGKILL)
    process.communicate()  # until the last of its workers has closed its end
    return ended is None


def told_once(folder, asked):
    """Every trial asked for is in the journal once, and told once that it is finished."""
    creation, state = 4, 6  # of optuna's JournalOperation
    log = entries(folder / JOURNAL)
    ends = Counter(entry["trial_id"] for entry in log if entry["op_code"] == state)
    return sum(entry["op_code"] == creation for entry in log) == asked and ends == Counter(range(asked))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def run(work):
    code, out, err = call(work, "sweep.trials=5", "workers=1")
    assert code == 0, err
    assert re.findall(r"^trial (\d): optim\.learning_rate=", err, re.M) == list("01234")
    return (work / out.splitlines()[-1]).parent


@pytest.mark.slow
def test_a_sweep_tells_every_trial_and_how_to_repeat_the_best(run):
    found = json.loads((run / "sweep.json").read_text())
    assert [trial["number"] for trial in found["trials"]] == list(range(5))
    complete = [trial for trial in found["trials"] if trial["state"] == "complete"]
    best = min(complete, key=lambda trial: trial["score"])
    assert found["best"]["number"] == best["number"]
    assert best["score"] == min(loss for _, loss in best["losses"])
    assert found["best"]["command"].startswith("python -m experiments.train experiment=house_price debug=fast")
    assert f"optim.learning_rate={best['values']['optim.learning_rate']}" in found["best"]["command"]
    assert len({trial["values"]["optim.learning_rate"] for trial in found["trials"]}) == 5
    page = (run / "report.html").read_text()
    assert search_report.verdict(found).headline in page
    assert found["best"]["command"] in page
    assert page.count("<svg") == 6
    assert not re.search(r'(src|href)="(?!#)', page)
    report.job(SimpleNamespace(run=str(run)))
    assert (run / "report.html").read_text().split("<footer>")[0] == page.split("<footer>")[0]
    folders = run / "trials"
    assert [path.parent.name for path in folders.glob("*/model")] == [f"{best['number']:04d}"]
    assert not list(folders.glob("*/checkpoints"))
    assert not list(folders.glob("*/metrics.json"))  # no trial has seen the test split


@pytest.mark.long
def test_killed_once_and_with_more_workers_a_sweep_ends_with_the_same_trials(work, run):
    folder = work / "killed" / run.relative_to(work / "outputs")
    more = ("outputs=killed", "workers=2", "sweep.trials=5")
    assert killed(work, folder, 12, 0.0, *more, kill=os.kill)  # its workers have to see for themselves
    with (folder / JOURNAL).open("a") as journal:
        journal.write('{"op_code": 4, "wor')  # torn by the kill
    if not os.path.lexists(lock := folder / f"{JOURNAL}.lock"):
        lock.symlink_to(folder / JOURNAL)
    code, _, err = call(work, *more)
    assert code == 0, err
    assert trials(folder) == trials(run)
    assert told_once(folder, 5)


@pytest.mark.slow
def test_a_sweep_goes_on_to_more_trials_and_then_is_done(work, run):
    code, out, err = call(work, "sweep.trials=5")
    assert (code, (work / out.splitlines()[-1]).parent) == (0, run)
    assert "done before" in err
    before = trials(run)
    code, out, err = call(work, "sweep.trials=7", "workers=1")
    assert (code, (work / out.splitlines()[-1]).parent) == (0, run), err
    assert trials(run)[:5] == before
    assert told_once(run, 7)


@pytest.mark.long
def test_killed_ten_times_at_random_none_is_lost_and_none_comes_twice(tmp_path):
    asked = ("sweep.trials=15", "sweep.pruner=hyperband", "fit.steps=60")
    code, out, err = call(tmp_path, "outputs=whole", "workers=1", *asked)
    assert code == 0, err
    whole = (tmp_path / out.splitlines()[-1]).parent
    folder = tmp_path / "killed" / whole.relative_to(tmp_path / "whole")
    more, rng, kills = ("outputs=killed", "workers=2", *asked), random.Random(7), 0
    while kills < 10:
        assert killed(tmp_path, folder, rng.randrange(10), rng.random() * 6, *more), f"it ended after {kills} kills"
        kills += 1
    assert not (folder / "report.html").exists()
    code, _, err = call(tmp_path, *more)
    assert code == 0, err
    assert told_once(folder, 15)
    assert trials(folder) == trials(whole)


def sweep(*overrides):
    from hydra import compose, initialize_config_module

    with initialize_config_module("conf", version_base="1.3"):
        return Sweep.of(compose("sweep", list(overrides)), overrides)


DEADLY = """
import os, signal
from dataclasses import dataclass
from learn.models.linear import Linear

@dataclass(frozen=True)
class Deadly(Linear):
    poison: int = 0

    def build(self, task, windows, seed=0):
        if self.poison == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.poison == 2:
            raise RuntimeError("no memory is left")
        return super().build(task, windows, seed)
"""


@pytest.mark.long
def test_what_fails_counts_once_and_says_why(tmp_path):
    (tmp_path / "deadly" / "model").mkdir(parents=True)
    (tmp_path / "deadly" / "it.py").write_text(DEADLY)
    (tmp_path / "deadly" / "model" / "deadly.yaml").write_text("_target_: deadly.it.Deadly\npoison: 0\n")
    given = ["--config-dir", "deadly", "model=deadly", "+sweep.space.model.poison={choices: [0, 1, 2]}"]
    code, out, err = call(tmp_path, *given, "workers=2", "sweep.trials=6", "sweep.sampler=random")
    assert code == 0, err
    run = (tmp_path / out.splitlines()[-1]).parent
    found, why = trials(run), {0: set(), 1: set(), 2: set()}
    for one in found:
        why[one["values"]["model.poison"]].add(one["sentence"])
    assert why[0] == {None}
    assert why[1] == {"its worker process ended with exit code -9 (killed; for want of memory?), again and again"}
    assert why[2] == {"RuntimeError: no memory is left"}
    assert told_once(run, 6)
    assert "no memory is left" in (run / "report.html").read_text()
    code, out, err = call(tmp_path, *given[:3], "model.poison=2", "workers=1", "sweep.trials=1")
    assert code == 2
    assert err.splitlines()[-1].endswith("says why, the first: RuntimeError: no memory is left")


def trial(number, state, score=None, losses=((10, 2.0),), sentence=None, **values):
    told = {"number": number, "state": state, "score": score, "losses": losses, "seconds": 1.0, "sentence": sentence}
    return told | {"values": {"optim.clip": 1.0, "model": "nano", **values}}


def told(*trials, best=None):
    laws = {"optim.clip": {"low": 0.1, "high": 10.0, "log": True, "step": None}, "model": {"choices": ["nano", "tiny"]}}
    best = best and best | {"command": "python -m experiments.train"}
    return {"space": laws, "asked": len(trials), "trials": list(trials), "best": best, "importances": None}


def test_trials_are_ranked_by_what_became_of_them():
    some = [trial(0, "failed", losses=[], sentence="no"), trial(1, "pruned"), trial(2, "complete", 0.9)]
    some += [trial(3, "complete", 0.5), trial(4, "pruned", losses=[(10, 2.0), (20, 1.0)])]
    found = told(*some, best=some[3])
    assert [t["number"] for t in search_report.ranked(found)] == [3, 2, 4, 1, 0]
    headline, detail = search_report.verdict(found)
    assert headline == "Trial 3 is the best, with a validation loss of 0.5"
    assert detail == "Of 5 trials 2 trained to their end, 2 ended early, 1 failed."
    assert {t["number"]: search_report.outcome(t) for t in some} == {
        0: "failed",
        1: "ended at 10",
        2: "0.9",
        3: "0.5",
        4: "ended at 20",
    }


@pytest.mark.parametrize(("clip", "edges"), [(0.11, ["optim.clip"]), (0.2, []), (1.0, []), (9.0, ["optim.clip"])])
def test_a_best_value_at_the_edge_of_its_range_is_named(clip, edges):
    best = trial(0, "complete", 0.5, **{"optim.clip": clip})
    assert search_report.at_edge(told(best, best=best)) == edges
    assert ("edge of its range in optim.clip" in search_report.verdict(told(best, best=best)).detail) == bool(edges)


def test_a_sweep_whose_trials_all_fail_says_why(tmp_path):
    found = told(trial(0, "failed", losses=[], sentence="the loss of step 3 is not a number"))
    (tmp_path / "sweep.json").write_text(json.dumps(found))
    (tmp_path / "config.yaml").write_text("name: sweeps/mine\n")
    page = search_report.write(tmp_path).read_text()
    assert "No trial came to a score" in page
    assert "the loss of step 3 is not a number" in page
    search_report.show(found)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["+sweep.space.optim.learning_rat={low: 1, high: 2}"], "did you mean optim.learning_rate?"),
        (["+sweep.space.modle={choices: [nano, tiny]}"], "did you mean model?"),
        (["+sweep.space.model={choices: [nano, tyny]}"], "there is no such model; did you mean tiny?"),
        (
            ["+sweep.space.model={choices: [1, 2]}"],
            "sweep.space.model: a group of the configuration is chosen by names",
        ),
        (["+sweep.space.world.crew={low: 1, high: 3}"], "sweep.space.world.crew: it changes source, twin, world"),
        (["+sweep.space.task.horizon_h={choices: [24, 48]}"], "what is asked of one trial is asked of all"),
        (["+sweep.space.fit.batch={choices: [32, many]}"], "fit.batch is 'many'; it must be a whole number"),
        (["+sweep.space.model.dropout={low: 0, high: 2}"], "sweep.space.model.dropout: model.dropout is 2"),
        (["+sweep.space.fit.batch=3"], "sweep.space.fit.batch is 3; it must be {low, high}"),
        (["sweep.space.optim.learning_rate.low=0"], "sweep.space.optim.learning_rate.low is 0; it must be above 0"),
        (
            ["sweep.space.optim.learning_rate.low=1"],
            "sweep.space.optim.learning_rate.high is 0.01; it must be above low",
        ),
        (["+sweep.space.optim.learning_rate.step=1"], "sweep.space.optim.learning_rate.step is 1; it must be null"),
        (["+sweep.space.optim.learning_rate.choices=[1]"], "are unknown to Choices; it takes choices; leave out"),
        (["+sweep.space.fit.batch={choices: [8, 8]}"], "choices is (8, 8); it must be two or more, none of them twice"),
        (["~sweep.space", "+sweep.space={}"], "sweep.space is {}; it must say what to change"),
        (["sweep.trials=0"], "sweep.trials is 0; it must be at least 1"),
        (["sweep.sampler=grid"], "sweep.sampler is 'grid'; it must be one of 'tpe', 'random'"),
        (["fit.validate_every=1000"], "fit.validate_every is 1000; a sweep judges by validation losses"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_any_work(overrides, said):
    with pytest.raises(InputError) as error:
        sweep(*overrides).check()
    assert said in str(error.value)


def test_a_space_is_written_in_one_key_or_level_by_level():
    node = {
        "fit.batch": {"choices": [16, 32]},
        "optim": {"clip": {"low": 1, "high": 2}, "beta2": {"high": 1, "low": 0}},
    }
    laws = space.space(node)
    assert laws == {
        "fit.batch": space.Choices((16, 32)),
        "optim.clip": space.Range(1, 2),
        "optim.beta2": space.Range(0, 1),
    }
    both = {"model": {"choices": ["nano", "tiny"], "dropout": {"low": 0, "high": 0.3}}}
    assert list(space.space(both)) == ["model", "model.dropout"]
    assert type(laws["optim.clip"].distribution(1.0)).__name__ == "FloatDistribution"
    assert type(laws["optim.clip"].distribution(None)).__name__ == "IntDistribution"


def test_a_drawn_number_has_few_digits_and_stays_within_its_range():
    law = space.Range(0.00012345, 0.1, log=True)
    assert law.shown(0.012345678) == 0.01235
    assert law.shown(0.00012345) == 0.00012345
    assert space.Range(0.0, 1.0, step=0.125).shown(0.375) == 0.375


def test_values_come_back_as_they_were_set():
    values = {"optim.clip": None, "model.mix": True, "fit.batch": 32, "optim.learning_rate": 1e-5}
    found = sweep().experiment(values).config
    assert {key: space.at(found, key) for key in values} == values
    assert space.override("name", "it's, new") == "name='it\\'s, new'"
    assert sweep().experiment({"name": "it's, new"}).config["name"] == "it's, new"


def test_the_command_of_the_best_leaves_out_what_is_of_the_sweep():
    made = sweep("experiment=line_failure", "sweep.trials=3", "+sweep.space.fit.batch={choices: [32, 64]}", "workers=1")
    assert made.command({"fit.batch": 64}).endswith("experiments.train experiment=line_failure fit.batch=64")
