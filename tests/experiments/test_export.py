"""A run's folder becomes a bundle that says where it comes from; what cannot be exported is refused in one sentence."""

import json

import numpy as np
import pytest
from omegaconf import OmegaConf

from experiments import load
from experiments.cli import compose
from experiments.export import job
from experiments.run import checks, exported
from experiments.run.model import Model, blank
from experiments.run_dir import to_yaml
from learn.serving import bundle
from learn.serving.export import Source
from learn.windows.batch import Scale
from sim.errors import InputError
from twins.clean import Range, Stuck
from twins.clean.pipeline import Closed

NAMES = ("load", "heat")


def _run(folder, preset="line_failure", cleaning=None, **more):
    """A run's folder as training leaves it, of a small model that was not trained."""
    shape = ["model.width=16", "model.layers=1", "model.heads=2", "model.hidden=16", "context=24"]
    config = dict(compose("train", [f"experiment={preset}", *shape]).config) | more
    experiment = compose("train", [f"experiment={preset}", *shape])
    scale = Scale(NAMES, (1.0, 20.0), (2.0, 3.0), ("kW", "Cel"), ("m", "m"))
    roles = ("target", "past")
    like = blank(scale, roles, 24, experiment.task.samples_ahead, 0.5)
    module = experiment.part("model").build(experiment.task, like, 0)
    folder.mkdir()
    (folder / "config.yaml").write_text(to_yaml(config))
    Model(module, experiment.task, 24, scale, roles, 0.5, step=7, cleaning=cleaning).save(folder)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return _run(tmp_path_factory.mktemp("runs") / "one", datasets="/home/somebody/data")


def test_a_bundle_says_where_its_model_comes_from(run, tmp_path):
    row = {"name": "model", "kind": "model", "scores": {"brier": {"mean": 0.05, "low": 0.04, "high": 0.06}}}
    scores = {"primary": "brier", "scored": 10, "clusters": 3, "rows": [row | {"skill": {"mean": 0.8, "low": None}}]}
    (run / "metrics.json").write_text(json.dumps(scores))
    made_with = {"commit": "abc", "dirty": False, "dataset": "def", "command": "python /home/somebody"}
    (run / "stamp.json").write_text(json.dumps(made_with))
    path = tmp_path / "model.zip"
    exported.export(run, path, "cc-by-4.0")
    files = bundle.read(path)
    card = files["README.md"].decode()
    assert "license: cc-by-4.0" in card
    assert "| heat | `Cel` | m | past | 20 ± 3 |" in card
    assert "| model | 0.0500 | 0.0400 to 0.0600 | 0.80 |" in card
    assert "- commit `abc`\n" in card
    assert "7 updates" in card
    assert "not for clinical use" not in card
    assert "A line seen through its sensors" in card
    loaded = bundle.load(path)
    assert loaded.manifest["revisions"] == {"world": 1, "twin": 1}
    assert loaded.manifest["made_with"] == {"commit": "abc", "dirty": False, "dataset": "def"}
    assert b"somebody" not in b"".join(files.values())
    told = loaded.predict({"load": np.ones((3, 24)), "heat": np.ones((3, 24))}, np.zeros(3))
    assert told["incidence"].shape == (3, 2, 10)


def test_a_bundle_says_by_which_steps_readings_have_to_be_cleaned(run, tmp_path, capfd):
    steps = Closed((Range(limits={"load": (0.0, 9.0)}), Stuck(least=4)))
    cleaned, path = _run(tmp_path / "cleaned", cleaning=steps), tmp_path / "model.zip"
    job(OmegaConf.create({"run": str(cleaned), "output": str(path), "licence": "unknown"}))
    assert (
        "it does not clean: readings have to go through Range(limits={'load': [0.0, 9.0]}, " in capfd.readouterr().err
    )
    files, loaded = bundle.read(path), bundle.load(path)
    assert loaded.manifest["cleaning"] == steps.told()
    assert [step.partition("(")[0] for step in loaded.cleaning] == ["Range", "Stuck"]
    card = files["README.md"].decode()
    assert "## Cleaning" in card
    assert f"1. `{loaded.cleaning[0]}`\n2. `{loaded.cleaning[1]}`\n" in card
    exported.export(run, tmp_path / "raw.zip")
    assert bundle.load(tmp_path / "raw.zip").cleaning == ()
    assert "Cleaning" not in bundle.read(tmp_path / "raw.zip")["README.md"].decode()


def test_equal_models_make_equal_bundles(run, tmp_path):
    for name in ("a", "b"):
        exported.export(run, tmp_path / f"{name}.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_what_is_not_for_clinical_use_says_so():
    experiment = compose("train", ["experiment=device_failure"])
    assert exported._clinical(experiment.config)
    scale = Scale(NAMES, (1.0, 20.0), (2.0, 3.0), ("kW", "Cel"), ("m", "m"))
    source = Source(None, experiment.task, 24, scale, ("target", "past"), 0.5)
    about = {"name": "x", "licence": "unknown", "notice": exported.NOTICE, "steps": 1, "revisions": {}, "made_with": {}}
    about["cleaning"] = []
    assert f"\n{exported.NOTICE}\n" in exported.card(about, experiment.config, {}, source)


@pytest.mark.parametrize("name", ["model.tar", "nowhere/model.zip"])
def test_where_it_is_written_is_checked_first(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"output is {name}"):
        exported.output(name)


def test_only_a_trained_run_is_exported(tmp_path):
    with pytest.raises(InputError, match="is no run's folder"):
        exported.export(tmp_path, tmp_path / "model.zip")
    (tmp_path / "config.yaml").write_text("name: x\n")
    with pytest.raises(InputError, match="holds no trained model yet"):
        exported.export(tmp_path, tmp_path / "model.zip")
    assert not (tmp_path / "model.zip").exists()


def test_a_run_of_other_code_is_named_and_how_to_mend_it(tmp_path):
    folder = _run(tmp_path / "old")
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("learn.models.twinformer.TwinFormer", "learn.gone.TwinFormer"))
    said = r"old/config\.yaml is not of this code: model\._target_ is 'learn\.gone\.TwinFormer'.*; train it anew"
    with pytest.raises(InputError, match=said):
        exported.export(folder, tmp_path / "model.zip")
    with pytest.raises(InputError, match=said):
        checks.check(load("line_failure", [f"init={folder}"]))  # before any data are made
