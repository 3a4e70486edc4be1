"""Which part of what lies on which device: rules by name, on a mesh of the axes data, fsdp and tensor.

Batches are dealt out over data and fsdp. Parameters, and what the optimiser keeps of them, are cut over fsdp, so that
each device holds a share, and over tensor, so that each computes a share of a layer (Megatron's columns, then rows:
Shoeybi et al. 2019). XLA puts in the communication.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sim.errors import InputError, require

AXES = ("data", "fsdp", "tensor")
BATCH = PartitionSpec(("data", "fsdp"))
RULES = (  # the first that is found in a parameter's path
    (r"(qkv|gate_up|up|into|from_values)\W+kernel", PartitionSpec("fsdp", "tensor")),
    (r"(out|down|embed_out)\W+kernel", PartitionSpec("tensor", "fsdp")),
    (r"kernel", PartitionSpec("fsdp")),
    (r"embedding|place", PartitionSpec(None, "fsdp")),
)


@dataclass(frozen=True)
class Layout:
    """How many devices lie along each axis; all three together are the devices used."""

    data: int = 1
    fsdp: int = 1
    tensor: int = 1

    def __post_init__(self):
        for field in AXES:
            require(getattr(self, field) >= 1, self, field, "at least 1")

    def mesh(self) -> Mesh | None:
        """Of the first devices there are, None where one is enough; raises InputError where there are too few."""
        shape = (self.data, self.fsdp, self.tensor)
        devices, wanted = jax.devices(), math.prod(shape)
        if len(devices) < wanted:
            raise InputError(f"mesh is {shape}, {wanted} devices; there are {len(devices)}")
        return Mesh(np.array(devices[:wanted]).reshape(shape), AXES) if wanted > 1 else None


def spec(path: str, shape: tuple[int, ...], mesh: Mesh) -> PartitionSpec:
    """How an array of that name and shape is cut; axes that do not divide a side leave it whole.

    Rules are of matrices: of a stack of them, one for each member of an ensemble, the first axis is whole.
    """
    rule = next((axes for pattern, axes in RULES if re.search(pattern, path)), PartitionSpec())
    if len(rule) > len(shape):
        return PartitionSpec()
    lead = max(len(shape) - 2, 0)
    cuts = (a if a and side % mesh.shape[a] == 0 else None for a, side in zip(rule, shape[lead:], strict=False))
    return PartitionSpec(*[None] * lead, *cuts)


def shardings(state: Any, mesh: Mesh) -> Any:
    """A sharding for each leaf of a training state (or of parameters), by its path."""

    def of(path: Any, leaf: Any) -> NamedSharding:
        return NamedSharding(mesh, spec(jax.tree_util.keystr(path), jax.numpy.shape(leaf), mesh))

    return jax.tree.map_with_path(of, state)


def place(state: Any, mesh: Mesh | None) -> Any:
    """*state* laid out on the mesh; as it is where there is none."""
    return state if mesh is None else jax.device_put(state, shardings(state, mesh))


def held(state: Any, mesh: Mesh | None) -> Any:
    """Within a compiled function: *state* kept where `place` lays it."""
    return state if mesh is None else jax.lax.with_sharding_constraint(state, shardings(state, mesh))


def deal(array: Any, mesh: Mesh | None, lead: int = 0) -> Any:
    """A batch dealt out over the devices along its axis *lead*, a multiple of the devices of data and fsdp."""
    if mesh is None:
        return array
    _require_dealt(array.shape[lead], mesh)
    return _put(array, dealt(mesh, lead))


def rows(batch: int, mesh: Mesh | None) -> slice:
    """Which of the *batch* windows of a step lie on devices of this process."""
    if mesh is None:
        return slice(batch)
    _require_dealt(batch, mesh)
    mine = [at[0].indices(batch) for at in dealt(mesh).addressable_devices_indices_map((batch,)).values() if at]
    return slice(min(start for start, _, _ in mine), max(stop for _, stop, _ in mine))


def gathered(tree: Any, batch: int, mesh: Mesh | None, lead: int = 0) -> Any:
    """Arrays of which each process has its own `rows`, as arrays over all devices, *batch* long along their axis
    *lead*."""
    if mesh is None:
        return jax.tree.map(jax.numpy.asarray, tree)

    def one(array: np.ndarray) -> jax.Array:
        shape = (*array.shape[:lead], batch, *array.shape[lead + 1 :])
        return jax.make_array_from_process_local_data(dealt(mesh, lead), array, shape)

    return jax.tree.map(one, tree)


def home(tree: Any, mesh: Mesh | None) -> Any:
    """What lies on a mesh, whole on the first device of each process."""
    if mesh is None:
        return tree
    if jax.process_count() > 1:
        tree = jax.jit(lambda same: same, out_shardings=NamedSharding(mesh, PartitionSpec()))(tree)
        return jax.tree.map(lambda array: jax.numpy.asarray(array.addressable_data(0)), tree)
    return jax.device_put(tree, jax.devices()[0])


def _require_dealt(batch: int, mesh: Mesh) -> None:
    ways = mesh.shape["data"] * mesh.shape["fsdp"]
    if batch % ways:
        raise InputError(f"fit.batch deals {batch} windows to {ways} devices; it must be a multiple of them")


def dealt(mesh: Mesh, lead: int = 0) -> NamedSharding:
    """How a batch lies along its axis *lead*."""
    return NamedSharding(mesh, PartitionSpec(*[None] * lead, *BATCH))


def everywhere(tree: Any, mesh: Mesh | None) -> Any:
    """A copy on every device."""
    if mesh is None:
        return tree
    return jax.tree.map(lambda array: _put(array, NamedSharding(mesh, PartitionSpec())), tree)


def _put(array: Any, sharding: NamedSharding) -> jax.Array:
    """An array that every process has, laid out; without asking the others, so that any thread may do it."""
    if jax.process_count() == 1:
        return jax.device_put(array, sharding)
    array = np.asarray(array)
    return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])
