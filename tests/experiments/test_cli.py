"""The door of every command: exit codes, one sentence on stderr, and no folder that nobody asked for."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from types import SimpleNamespace

import pytest

from experiments import cli, load
from experiments.experiment import Experiment
from sim.errors import InputError
from tests.commands import ROOT, finish, start

JOB = """
import sys, time
from experiments import cli

def job(config):
    from experiments.experiment import Experiment
    experiment = Experiment.of(config)
    print(experiment.config["seed"], experiment.task.horizon_h, flush=True)
    if experiment.config["name"] == "wait":
        time.sleep(60)

if __name__ == "__main__":
    cli.run(job, "train")
"""


@pytest.fixture
def call(tmp_path):
    """Start the job of this test with arguments, in a working folder of its own."""
    script = tmp_path / "job.py"
    script.write_text(JOB)
    work = tmp_path / "work"
    work.mkdir()
    return partial(start, work, str(script))


def test_a_job_leaves_no_folder_of_hydras(call, tmp_path):
    code, out, err = finish(call("seed=3"))
    assert (code, out, err) == (0, "3 24.0\n", "")
    assert not list((tmp_path / "work").iterdir())


def test_a_sweep_runs_every_point(call, tmp_path):
    code, out, _ = finish(call("-m", "seed=0,1", "task.horizon_h=24,48"))
    assert code == 0
    assert [line for line in out.splitlines() if "HYDRA" not in line] == ["0 24.0", "0 48.0", "1 24.0", "1 48.0"]
    assert [str(p.relative_to(tmp_path / "work")) for p in (tmp_path / "work").rglob("*") if p.is_file()] == [
        "outputs/.multirun/multirun.yaml"
    ]


LAUNCHED = """
import json, pathlib
from experiments import cli
from twins.executors.workers import spread

def job(config):
    spawned = dict(spread(abs, [-1, -2, -3], 2))
    pathlib.Path(f"point-{config.seed}").write_text(json.dumps([cli.command(), spawned]))

if __name__ == "__main__":
    cli.run(job, "train")
"""


@pytest.mark.long
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_launchers_run_the_points_of_a_sweep_in_processes_of_their_own(call, tmp_path, launcher):
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher")
    (tmp_path / "job.py").write_text(LAUNCHED)
    code, _, err = finish(call("-m", "seed=0,1", f"hydra/launcher={launcher}"))
    assert code == 0, err
    for seed in (0, 1):
        told, spawned = json.loads((tmp_path / "work" / f"point-{seed}").read_text())
        assert told == f"python -m experiments.job seed={seed}"
        assert spawned == {"0": 1, "1": 2, "2": 3}
    (tmp_path / "job.py").write_text(JOB)
    code, _, err = finish(call("-m", "task.horizon_h=25,26", f"hydra/launcher={launcher}"))
    assert code == 2
    assert re.match(r"task.horizon_h is 2[56].0; it must be one of the edges_h", err.splitlines()[-1])


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["modle=nano"], "unknown key modle; did you mean model?"),
        (["fit.stpes=3"], "unknown key fit.stpes; did you mean fit.steps?"),
        (["model=smal"], "model=smal: there is no such model; did you mean small? Choose from base, "),
        (["experiment=nono"], "experiment=nono: there is no such experiment; choose from"),
        (["task.horizon_h=soon"], "task.horizon_h is 'soon'; it must be a number"),
        (["task.horizon_h=25"], "task.horizon_h is 25.0; it must be one of the edges_h"),
        (["task.horizon_h=???"], "task.horizon_h is not set; give it as task.horizon_h=…"),
        (["seed"], "'seed' on the command line is not key=value"),
        (["seed=1,2"], "Ambiguous value for argument 'seed=1,2'"),
        (["--config-dir", "nowhere"], "not found"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(call, args, message):
    code, _, err = finish(call(*args))
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_the_traceback_is_there_on_request(call):
    code, _, err = finish(call("task.horizon_h=25", "debug.traceback=true"))
    assert code == 1
    assert "Traceback" in err


def test_ctrl_c_says_that_the_same_command_resumes(call):
    process = call("name=wait")
    assert process.stdout.readline() == "0 24.0\n"
    time.sleep(0.2)
    os.killpg(process.pid, signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130
    assert err == "interrupted; the same command resumes where this one stopped\n"


def test_a_plant_of_ones_own_is_found(call, tmp_path):
    plant = tmp_path / "kiln"
    (plant / "experiment").mkdir(parents=True)
    (plant / "ask.py").write_text("from learn.tasks import TimeToEvent\nclass Ask(TimeToEvent):\n    pass\n")
    preset = "# @package _global_\ntask: {_target_: kiln.ask.Ask, horizon_h: 48}\n"
    (plant / "experiment" / "kiln.yaml").write_text(preset)
    code, out, _ = finish(call("--config-dir", str(plant), "experiment=kiln"))
    assert (code, out) == (0, "0 48.0\n")
    assert load("kiln", config_dir=plant).task.horizon_h == 48


def test_load_refuses_what_does_not_exist():
    with pytest.raises(InputError, match="there is no such experiment; choose from"):
        load("nono")
    with pytest.raises(InputError, match="did you mean fit"):
        load("line_failure", ["fit.stpes=3"])


def test_load_needs_no_jax():
    code = "from experiments import load; load('line_failure').task; import sys; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("key", "value"), [("fresh", "no"), ("outputs", None), ("name", "../elsewhere"), ("name", ""), ("seed", 10**30)]
)
def test_what_a_run_is_kept_by_is_checked(tmp_path, key, value):
    experiment = Experiment({**load("house_price", [f"outputs={tmp_path}"]).config, key: value})
    with pytest.raises(InputError, match=f"{key} is "), experiment.open_run():
        _ = experiment.seed


@pytest.mark.parametrize("group", ["oracle=null", "model=3"])
def test_a_group_that_is_no_name_is_one_sentence(call, group):
    code, out, err = finish(call(group))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "~oracle" in err


def test_a_full_disk_says_what_to_do():
    told = cli.sentence(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert told.startswith("no room to write: No space left on device; what is finished is kept")


def test_an_experiment_prints_in_one_line():
    assert repr(load("line_failure")).startswith("<Experiment line_failure: ")


def test_a_last_word_is_one_write_that_no_other_process_can_part(monkeypatch):
    writes = []
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(write=writes.append, flush=lambda: None))
    with pytest.raises(SystemExit) as left:
        cli.leave("no room", cli.BAD_INPUT)
    assert left.value.code == cli.BAD_INPUT
    assert [text for text in writes if text] == ["no room\n"]
