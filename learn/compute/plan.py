"""What a step of training will take on devices that are not there: it is compiled for as many stand-ins, from shapes
alone, and its memory, work and communication are read off the program.

The program is the very one that `learn.training.fit` runs, cut over the mesh by the same rules; nothing of it is
allocated. XLA for CPUs compiles it: what arguments take is exact on any device, temporaries are an estimate (a GPU
fuses more, and keeps bfloat16 where a CPU widens it), and so is communication (a GPU scatters sums, a CPU gives all to
all).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from learn.compute.collectives import Traffic, traffic
from learn.compute.work import Work, shapes, tokens
from learn.tasks import Task
from learn.training.fit import Budget, programs
from learn.training.sharding import dealt, rows, shardings
from learn.training.update import Optim, split, start
from learn.windows.batch import Windows
from sim.errors import require

NOT_RUN = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}  # compiles in a third


@dataclass(frozen=True)
class Device:
    """An accelerator by its published figures: dense matrix products, no sparsity."""

    name: str
    bf16_tflops: float
    tf32_tflops: float  # of float32 inputs, as JAX multiplies them by default
    memory_gb: float
    memory_gb_per_s: float
    link_gb_per_s: float  # to its neighbours, one way
    power_w: float  # at most

    def __post_init__(self):
        fields = ("bf16_tflops", "tf32_tflops", "memory_gb", "memory_gb_per_s", "link_gb_per_s", "power_w")
        for field in fields:
            require(0 < getattr(self, field) < math.inf, self, field, "above 0 and finite")


class Memory(NamedTuple):
    """Bytes on one device."""

    parameters: int
    optimiser: int  # moments, step and key
    data: int  # windows, and which of them the steps of a chunk see
    arguments: int  # as the program takes them: the above, but for what it does not read
    outputs: int  # beside the next state, which lies where this one did
    temporary: int

    @property
    def peak(self) -> int:
        return self.arguments + self.outputs + self.temporary


class Plan(NamedTuple):
    parameters: int
    tokens: int  # of one update
    devices: int
    memory: Memory
    work: Work
    traffic: Traffic  # of one update
    compile_s: float


class Expected(NamedTuple):
    """One update on a named device, were its share of the peak as assumed."""

    compute_s: float
    memory_s: float  # to read and write the state once
    link_s: float
    energy_j: float  # of all devices

    @property
    def step_s(self) -> float:
        """The longest of the three, which overlap."""
        return max(self[:3])


def plan(shape: Any, task: Task, like: Windows, optim: Optim, budget: Budget, mesh: Mesh | None = None) -> Plan:
    """What a model of *shape* takes to train on windows of the shapes of *like*, whose arrays may be mere shapes.

    Raises InputError where the batch cannot be dealt out to the devices.
    """
    rows(budget.batch, mesh)
    blank = jax.tree.map(lambda a: jnp.zeros((1, *a.shape[1:]), a.dtype), like)
    model, batch = nnx.eval_shape(lambda: shape.build(task, blank, budget.seed)), shapes(like, budget.batch)
    graphdef, params = split(model)
    transform = optim.transform(budget.steps)
    state = jax.eval_shape(lambda p: start(p, transform, budget.seed), params)
    picked = jax.ShapeDtypeStruct((budget.steps_per_chunk, budget.batch, 2), jnp.int32)
    work = Work.of(model, transform, batch)
    if mesh is not None:
        whole = NamedSharding(mesh, PartitionSpec())
        state = _laid(state, shardings(state, mesh))
        like, picked = _laid(like, jax.tree.map(lambda _: whole, like)), _laid(picked, dealt(mesh, 1))
    run_chunk, _ = programs(graphdef, optim, budget.steps, budget.microbatch, mesh=mesh)
    began = time.perf_counter()
    compiled = run_chunk.lower((like,), state, (picked,)).compile(compiler_options=NOT_RUN)
    compile_s = time.perf_counter() - began
    found: Any = compiled.memory_analysis()
    memory = Memory(
        held(state.params),
        held(state) - held(state.params),
        held((like, picked)),
        found.argument_size_in_bytes,
        found.output_size_in_bytes - found.alias_size_in_bytes,
        found.temp_size_in_bytes,
    )
    sent = traffic(compiled.as_text()).over(budget.steps_per_chunk)
    parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
    devices = 1 if mesh is None else mesh.size
    return Plan(parameters, tokens(shape, batch), devices, memory, work, sent, compile_s)


def expected(plan: Plan, device: Device, mfu: float, bf16: bool) -> Expected:
    """How long an update takes, and what energy, where matrix products run at the share *mfu* of the device's peak."""
    peak = (device.bf16_tflops if bf16 else device.tf32_tflops) * 1e12
    compute_s = (plan.work.analytic or plan.work.xla) / (plan.devices * peak * mfu)
    memory_s = 2 * (plan.memory.parameters + plan.memory.optimiser) / (device.memory_gb_per_s * 1e9)
    link_s = plan.traffic.sent / (device.link_gb_per_s * 1e9)
    return Expected(compute_s, memory_s, link_s, max(compute_s, memory_s, link_s) * device.power_w * plan.devices)


def held(tree: Any) -> int:
    """Bytes of *tree* on one device, as its leaves are laid out."""
    return sum(
        math.prod(leaf.sharding.shard_shape(leaf.shape) if leaf.sharding else leaf.shape) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(tree)
    )


def _laid(tree: Any, over: Any) -> Any:
    """Shapes with the shardings *over* them."""
    return jax.tree.map(lambda leaf, s: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=s), tree, over)
