"""One step under a loop, a scan, a vmap and a mesh of eight devices; and a run that goes on on fewer of them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from learn.training.sharding import Layout, spec
from sim.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    env = os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(ROOT / "tests/learn/eight_devices.py"), str(tmp_path_factory.mktemp("run"))]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_first_gradient_is_the_same_however_the_step_is_wrapped(told):
    assert set(told["gradient"]) == {"scan", "vmap", "mesh", "tensor"}
    for name, apart in told["gradient"].items():
        assert apart < 1e-5, name


def test_ten_losses_agree(told):
    for name, losses in told["losses"].items():
        np.testing.assert_allclose(losses, told["losses"]["loop"], rtol=1e-5, err_msg=name)


def test_each_device_holds_a_share(told):
    assert told["held"] < 0.4 * told["whole"]
    assert told["cut"] > 15


def test_a_run_on_eight_devices_goes_on_on_four_and_on_one(told):
    whole, again = told["resumed"]
    assert len(whole) == len(again) == 6
    np.testing.assert_allclose(again, whole, rtol=1e-4)


def test_rules_go_by_name_and_leave_whole_what_cannot_be_cut():
    eight = SimpleNamespace(shape={"data": 1, "fsdp": 4, "tensor": 2})
    assert tuple(spec("['blocks'][0]['time']['qkv']['kernel']", (96, 288), eight)) == ("fsdp", "tensor")
    assert tuple(spec("['blocks'][0]['down']['kernel']", (192, 96), eight)) == ("tensor", "fsdp")
    assert tuple(spec("['blocks'][0]['down']['kernel']", (193, 96), eight)) == (None, "fsdp")
    assert tuple(spec("['norm']['scale']", (96,), eight)) == ()


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(InputError, match=f"there are {len(jax.devices())}"):
        Layout(data=64).mesh()
    with pytest.raises(InputError, match=r"Layout\.fsdp is 0"):
        Layout(fsdp=0)
