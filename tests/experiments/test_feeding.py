"""Where training windows come from, as a configuration says it: in memory, from disk, rendered, simulated meanwhile."""

import json

import jax
import numpy as np
import pytest

from experiments import load
from experiments.run import checks, training
from experiments.run_dir import config_hash
from learn.windows.batch import Windows
from learn.windows.feed import Feed, FreshFeed
from sim.errors import InputError

SMALL = [
    "debug=fast", "plan.train=2", "plan.validation=1", "plan.test=1", "plan.duration_h=120", "model=linear",
    "~model.patch", "~model.identity_std",
    "fit.validate_every=20", "context=36", "workers=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    root = tmp_path_factory.mktemp("feeding")

    def made(*more):
        return load("line_failure", [*SMALL, f"datasets={root / 'data'}", f"outputs={root / 'runs'}", *more])

    return made


def trained(experiment):
    costs = {}

    class Costs:
        def add_waiting(self, name, seconds):
            costs[name] = seconds

    with experiment.open_run() as run:
        model, _ = training.train(experiment, run, costs=Costs())
        rows = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert all(seconds >= 0 for seconds in costs.values())
    return jax.tree.leaves(training.update.split(model.module)[1]), rows


def test_rendered_or_read_from_disk_it_is_the_same_model(experiment):
    plain, live, cut = experiment(), experiment("render=live"), experiment("feed.cut=true")
    assert isinstance(plain.feed("train"), Windows)
    assert isinstance(live.feed("train"), Feed)
    assert isinstance(cut.feed("train"), Feed)
    assert live.dataset.live
    assert live.dataset.manifest["content"] == plain.dataset.manifest["content"]
    assert cut.dataset.path == plain.dataset.path
    leaves, rows = trained(plain)
    for other in (live, cut):
        theirs, told = trained(other)
        assert told == rows
        for a, b in zip(leaves, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(live.windows("test").values_ExVxL, plain.windows("test").values_ExVxL)


def test_fresh_runs_are_learned_from_and_baselines_from_a_sample(experiment):
    fresh = experiment("feed.fresh_runs=1", "feed.fresh_steps=10", "feed.sample=3")
    assert isinstance(training.learned_from(fresh, "train"), FreshFeed)
    assert len(fresh.windows("train").runs) == 3
    assert len(trained(fresh)[1]) == 2
    assert trained(fresh)[1] != trained(experiment())[1]
    assert fresh.run_path != experiment().run_path


def test_what_is_not_said_leaves_the_run_where_it_was(experiment):
    config = dict(experiment().config)
    before = {key: value for key, value in config.items() if key not in ("feed", "render")}
    assert config_hash(config) == config_hash(before)


@pytest.mark.parametrize(
    ("given", "said"),
    [("render=both", "stored or live"), ("feed.fresh_steps=0", "at least 1"), ("feed.sample=0", "at least 1 episode")],
)
def test_bad_settings_are_refused_by_name(experiment, given, said):
    with pytest.raises(InputError, match=said):
        checks.check(experiment(given))
