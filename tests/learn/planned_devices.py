"""Run by test_plan in a process of its own, whose one CPU acts as eight devices: prints what it found as JSON."""

import contextlib
import json
import math

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from experiments.cli import compose
from experiments.plan import stand_ins
from experiments.run import training_plan
from learn.compute.collectives import traffic
from learn.compute.plan import plan
from learn.models.twinformer import TwinFormer
from learn.tasks import TimeToEvent
from learn.training import fit
from learn.training.sharding import Layout
from learn.training.update import Optim, split, start
from learn.windows.batch import Windows
from tests.learn.conftest import CONTEXT, _episode

SHAPE = TwinFormer(width=32, layers=1, heads=4, hidden=64, patch=8)
BUDGET = fit.Budget(steps=10, batch=16, chunk=5, validate_every=10, microbatch=8)


def on(device, tree):
    """Bytes that *tree* has on one device."""
    return sum(s.data.nbytes for leaf in jax.tree.leaves(tree) for s in leaf.addressable_shards if s.device == device)


class Begun(Exception):
    """Stops a run before its first step."""


def trained(windows, layout):
    """What lies on each device when a real run is about to take its first steps, and what the program takes of it."""
    found, programs = {}, fit.programs

    def watched(*args, **kwargs):
        run_chunk, validate = programs(*args, **kwargs)

        def run(trains, state, picked):
            parts = {"parameters": state.params, "state": state, "data": (trains, picked)}
            found.update({name: [on(d, tree) for d in jax.devices()] for name, tree in parts.items()})
            compiled = run_chunk.lower(trains, state, picked).compile()
            found["arguments"] = compiled.memory_analysis().argument_size_in_bytes
            raise Begun

        return run, validate

    fit.programs = watched
    try:
        with contextlib.suppress(Begun):
            fit.fit(SHAPE.build(TimeToEvent(), windows), windows, None, Optim(), BUDGET, mesh=layout.mesh())
    finally:
        fit.programs = programs
    return found


def exchanged():
    """Of a sum over eight devices, five times in a loop."""
    mesh = Mesh(jax.devices(), ("x",))
    cut = NamedSharding(mesh, PartitionSpec("x"))
    whole = NamedSharding(mesh, PartitionSpec())

    def loop(x):
        def step(total, _):
            return jax.lax.with_sharding_constraint(jnp.sin(x * total.mean()).sum(0), whole), None

        return jax.lax.scan(step, jnp.zeros(100), None, 5)[0]

    x = jax.ShapeDtypeStruct((64, 100), jnp.float32, sharding=cut)
    return traffic(jax.jit(loop).lower(x).compile().as_text())


def main():
    windows = Windows.of([_episode(run) for run in range(4)], context=CONTEXT, task=TimeToEvent())
    like = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), windows)
    layout, before = Layout(2, 2, 2), len(jax.live_arrays())
    found = plan(SHAPE, TimeToEvent(), like, Optim(), BUDGET, layout.mesh())
    told = {"allocated": sum(array.nbytes for array in jax.live_arrays()[before:]), "parameters": found.parameters}
    state = start(split(SHAPE.build(TimeToEvent(), windows))[1], Optim().transform(BUDGET.steps))
    told |= {"chunk": BUDGET.steps_per_chunk, "leaves": len(jax.tree.leaves(state))}
    told |= {"planned": found.memory._asdict(), "real": trained(windows, layout), "work": found.work._asdict()}
    sums = exchanged()
    told["exchanged"] = {"by_kind": sums.by_kind, "sent": sums.sent, "endless": sums.endless}
    small = ["model.width=32", "model.layers=1", "model.hidden=32", "context=24", "data.episodes=2", "data.samples=50"]
    asked = training_plan.Asked.of(compose("plan", ["mesh.data=2", "fit.batch=8", "fit.microbatch=null", *small]))
    plain = asked.told()
    told["told"], told["rows"] = plain, training_plan.rows(plain)
    assert math.isfinite(plain["step"]["step_s"])
    print(json.dumps(told))


stand_ins({"_target_": "learn.training.sharding.Layout", "data": 2, "fsdp": 2, "tensor": 2})
main()
