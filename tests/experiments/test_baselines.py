"""What a baseline has said is kept beside the dataset, and read again by the runs that would ask it the very same."""

import errno
import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from experiments import load
from experiments.run import baselines
from experiments.run.questions import ask
from learn.baselines import AgeWeibull, BoostedTrees

BOTH = ["age_weibull", "boosted_trees"]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return tmp_path_factory.mktemp("baselines")


@pytest.fixture
def fitted(monkeypatch):
    """The names of the baselines that were fitted."""
    names = []
    for kind, name in zip((AgeWeibull, BoostedTrees), BOTH, strict=True):

        def fit(self, *given, real=kind.fit, name=name):
            names.append(name)
            return real(self, *given)

        monkeypatch.setattr(kind, "fit", fit)
    return names


def asked(work, run, *given):
    base = ["debug=fast", "~baselines.support_vectors", "rows.trees=200", "workers=1", f"datasets={work}"]
    experiment = load("line_failure", [*base, *given])
    test, episodes = experiment.windows("test"), experiment.dataset.episodes("test")
    about = ask(experiment.task, experiment.scoring, experiment.windows("train"), test, episodes)
    return experiment, baselines.predicted(experiment, about, work / run)


def test_runs_that_differ_in_what_no_baseline_sees_read_the_same_predictions(work, fitted):
    _, first = asked(work, "first", "seed=0")
    assert fitted == BOTH
    fitted.clear()
    linear = "model=linear", "~model.patch", "~model.identity_std"
    _, other = asked(work, "model", "seed=0", *linear, "fit.steps=7", "evaluate.resamples=7")
    assert not fitted
    _, seed = asked(work, "seed", "seed=1")
    assert fitted == ["boosted_trees"]  # whose own randomness the seed of the experiment is
    for name, rows in (("age_weibull", other), ("boosted_trees", other), ("age_weibull", seed)):
        assert rows[name].prediction.p_N.tobytes() == first[name].prediction.p_N.tobytes()


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ("baselines.boosted_trees.rows=100", ["boosted_trees"]),
        ("context=72", BOTH),
        ("plan.seed=8", BOTH),
        ("train_runs=2", BOTH),
        ("task.horizon_h=8", BOTH),
        ("evaluate.every=24", BOTH),
        ("source.faults=[{_target_: twins.faults.Noise, size: 1}]", BOTH),
    ],
)
def test_what_would_change_a_prediction_has_it_made_anew(work, fitted, change, again):
    asked(work, "before")
    fitted.clear()
    asked(work, change.partition("=")[0], change)
    assert fitted == again


def test_other_code_and_other_libraries_read_nothing(work, monkeypatch):
    experiment, _ = asked(work, "before")
    name = baselines._shared(experiment, "age_weibull")
    assert name is not None
    assert name.exists()
    for what in ("_code", "stamp", "version"):
        with monkeypatch.context() as patch:
            patch.setattr(baselines, what, lambda *_: "another")
            assert baselines._shared(experiment, "age_weibull") != name


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("baselines", {"age_weibull": {"_target_": "plant.AgeWeibull"}}),
        ("baselines", {"age_weibull": {"_target_": "learn.baselines.Known", "law": {"_target_": "plant.Law"}}}),
        ("task", {"_target_": "plant.Task"}),
        ("evaluate", {"_target_": "plant.Scoring"}),
    ],
)
def test_what_code_of_a_plant_of_ones_own_says_is_not_kept(work, key, part):
    experiment, _ = asked(work, "before")
    assert baselines._shared(experiment, "age_weibull") is not None
    experiment.config = {**experiment.config, key: part}
    assert baselines._shared(experiment, "age_weibull") is None


def test_the_code_is_that_which_runs_whatever_is_written_there_meanwhile(tmp_path):
    def loaded():
        (tmp_path / "experiments" / "run").mkdir(parents=True, exist_ok=True)
        copy = Path(shutil.copy(baselines.__file__, tmp_path / "experiments" / "run"))
        spec = importlib.util.spec_from_file_location("baselines_elsewhere", copy)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    before = loaded()
    (tmp_path / "experiments" / "new.py").write_text("1\n")
    after = loaded()
    (tmp_path / "experiments" / "new.py").unlink()
    assert loaded()._code() == before._code() != after._code()


def test_a_dataset_that_cannot_be_written_to_is_read_alone(work, tmp_path, monkeypatch, fitted):
    def refused(path, prediction, real=baselines.predictions.save):
        if work in path.parents and path.parent.name == "cache":
            raise OSError(errno.EROFS, "Read-only file system")
        real(path, prediction)

    monkeypatch.setattr(baselines.predictions, "save", refused)
    _, told = asked(work, tmp_path / "run", "context=60")
    assert list(told) == fitted == BOTH


@pytest.mark.parametrize("harm", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"x" * len(data)])
def test_a_damaged_file_is_made_anew(work, tmp_path, fitted, harm):
    experiment, before = asked(work, "before")
    path = baselines._shared(experiment, "age_weibull")
    path.write_bytes(harm(path.read_bytes()))
    fitted.clear()
    _, after = asked(work, tmp_path / "after")
    assert fitted == ["age_weibull"]
    np.testing.assert_array_equal(after["age_weibull"].prediction.p_N, before["age_weibull"].prediction.p_N)
    fitted.clear()
    asked(work, tmp_path / "again")
    assert not fitted
