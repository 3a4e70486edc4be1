"""A plan against the run that it plans: bytes on each of eight devices; work, traffic and time against arithmetic."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from experiments import plan as command
from experiments.cli import compose
from experiments.run import training_plan
from learn.compute.collectives import Traffic, traffic
from learn.compute.plan import Device, Memory, Plan, expected
from learn.compute.work import Work, analytic, shapes
from sim.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def told():
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "tests/learn/planned_devices.py")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_each_device_holds_what_was_planned(told):
    planned, real = told["planned"], told["real"]
    assert len(real["state"]) == 8
    assert set(real["parameters"]) == {planned["parameters"]}
    assert set(real["state"]) == {planned["parameters"] + planned["optimiser"]}
    assert set(real["data"]) == {planned["data"]}
    assert real["arguments"] == planned["arguments"] == sum(planned[k] for k in ("parameters", "optimiser", "data"))


def test_the_next_state_lies_where_the_last_one_did(told):
    planned = told["planned"]
    rows = 2 * 4 * told["chunk"]  # of the loss and of the gradient's norm
    table = 8 * (told["leaves"] + 2)  # where each result lies
    assert planned["outputs"] == rows + table


def test_fsdp_and_tensor_cut_parameters_and_data_does_not(told):
    assert told["planned"]["parameters"] < 0.4 * 4 * told["parameters"]
    assert told["told"]["memory"]["parameters"] == 4 * told["told"]["parameters"]


def test_planning_allocates_next_to_nothing(told):
    assert told["allocated"] < 1e5


def test_operations_agree_with_the_formula(told):
    for work in (told["told"]["flops"], told["work"]):
        assert work["xla"] == pytest.approx(work["analytic"], rel=0.25)  # small models do much besides products


def test_what_is_sent_in_a_loop_counts_as_often_as_it_runs(told):
    found = told["exchanged"]
    assert found["endless"] == 0
    assert found["by_kind"] == {"all-reduce": 5 * 400}
    assert found["sent"] == pytest.approx(5 * 400 * 2 * 7 / 8)


def test_the_table_says_it_all(told):
    rows = {row[0]: row[1:] for row in told["rows"]}
    assert rows["peak"][1] == "fits into 80 GB of H100 SXM"
    assert rows["parameters on a device"][1] == "of 2, exact"
    assert rows["900 updates"][0].endswith(" h")
    tight = told["told"] | {"memory": told["told"]["memory"] | {"room": 1e3}}
    assert ("peak", "does NOT fit into 1 kB of H100 SXM") in {(row[0], row[2]) for row in training_plan.rows(tight)}


HLO = """HloModule step, num_partitions=8

%body (p: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %g = f32[8,4]{1,0} get-tuple-element(%p), index=1
  %ag = f32[16,4]{1,0} all-gather(%g), channel_id=1, replica_groups=[4,2]<=[8], dimensions={0}
  ROOT %t = (s32[], f32[8,4]{1,0}) tuple(%i, %g)
}

%other (p: f32[8,4]) -> f32[8,4] {
  ROOT %rs = bf16[2,4]{1,0} reduce-scatter(%p), replica_groups={{0,1,2,3},{4,5,6,7}}, to_apply=%add
}

ENTRY %main (x: f32[8,4]) -> f32[8,4] {
  %w = (s32[], f32[8,4]{1,0}) while(%t), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %ar = (f32[10]{0}, f32[]) all-reduce(%a, %b), replica_groups={}, to_apply=%add
  %aa = f32[6]{0} all-to-all(%a), replica_groups=mesh['x'=2,'y'=4] {'x','y':(2)2}, dimensions={0}
  ROOT %call = f32[8,4]{1,0} call(%x), to_apply=%other
}
"""


def test_traffic_is_read_off_a_program():
    found = traffic(HLO)
    assert found.by_kind == {"all-gather": 3 * 256, "all-reduce": 44, "reduce-scatter": 16, "all-to-all": 24}
    assert found.sent == pytest.approx(3 * 256 / 2 + 44 * 2 * 7 / 8 + 16 * 3 + 24 * 3 / 4)
    assert found.endless == 0
    unknown = traffic(HLO.replace(', backend_config={"known_trip_count":{"n":"3"}}', ""))
    assert (unknown.by_kind["all-gather"], unknown.endless) == (256, 1)


def test_time_and_energy_are_those_of_the_longest_part():
    memory = Memory(1_000_000_000, 2_000_000_000, 0, 0, 0, 0)
    plan = Plan(1, 1, 4, memory, Work(9e15, 8e15), Traffic({}, 4.5e9), 0.0)
    device = Device("one", 1000, 500, 80, 3000, 450, 700)
    found = expected(plan, device, 0.5, bf16=True)
    assert found.compute_s == pytest.approx(8e15 / (4 * 1000e12 * 0.5))
    assert found.memory_s == pytest.approx(6e9 / 3e12)
    assert found.link_s == pytest.approx(0.01)
    assert found.step_s == found.compute_s
    assert found.energy_j == pytest.approx(4 * 4 * 700)
    assert expected(plan, device, 0.5, bf16=False).compute_s == 2 * found.compute_s
    with pytest.raises(InputError, match=r"Device\.power_w is 0"):
        Device("none", 1, 1, 1, 1, 1, 0)


@pytest.mark.parametrize(("remat", "passes"), [("false", 3), ("true", 4)])
def test_the_formula_is_six_a_weight_and_token(remat, passes):
    asked = compose("plan", ["task=forecast", f"model.remat={remat}"])
    shape, task = asked.part("model"), asked.task
    batch = shapes(training_plan.Data(3, 2, 10).windows(task, 144), 4)
    kernels = {"blocks": {"time": {"qkv": {"kernel": (8, 24)}}, "down": {"kernel": (7, 5)}}, "norm": (9,)}
    kernels |= {"from_time": {"kernel": (2, 3)}}
    params = jax.tree.map(jnp.zeros, kernels, is_leaf=lambda x: isinstance(x, tuple))
    tokens, moments = 4 * 12 * 3, 4 * 12
    mixed = 2 * 8 * 24 * tokens + 4 * 8 * 12 * tokens  # products of weights; and of queries, keys and values
    assert analytic(shape, task, params, batch) == passes * mixed + 6 * 7 * 5 * tokens + 6 * 6 * moments
    assert analytic(compose("plan", ["model=linear"]).part("model"), task, params, batch) is None


@pytest.mark.parametrize("device", ["h100", "h200", "a100", "l4"])
def test_devices_have_names(device):
    found = compose("plan", [f"device={device}"]).part("device", Device)
    assert found.name.lower().startswith(device)


WRONG = {
    "mfu=0": "mfu is 0",
    "data.channels=0": r"data\.channels is 0",
    "mesh.fsdp=1000": "there are",
    "fit.members=3": "of one model",
}


@pytest.mark.parametrize("override", WRONG)
def test_what_cannot_be_planned_is_refused(override):
    with pytest.raises(InputError, match=WRONG[override]):
        training_plan.Asked.of(compose("plan", [override])).layout.mesh()


def test_batches_have_to_be_dealt_out_and_outputs_to_be_json():
    with pytest.raises(InputError, match="output is plan"):
        training_plan.output("plan.txt")
    with pytest.raises(InputError, match=r"mesh\.fsdp is 'many'"):
        command.stand_ins({"fsdp": "many"})
    assert len(jax.devices()) >= 1
