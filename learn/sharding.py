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
    """How an array of that name and shape is cut; axes that do not divide a side leave it whole."""
    rule = next((axes for pattern, axes in RULES if re.search(pattern, path)), PartitionSpec())
    if len(rule) > len(shape):
        return PartitionSpec()
    return PartitionSpec(
        *(a if a and side % mesh.shape[a] == 0 else None for a, side in zip(rule, shape, strict=False))
    )


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
    ways = mesh.shape["data"] * mesh.shape["fsdp"]
    if array.shape[lead] % ways:
        raise InputError(
            f"fit.batch deals {array.shape[lead]} windows to {ways} devices; it must be a multiple of them"
        )
    return jax.device_put(array, NamedSharding(mesh, PartitionSpec(*[None] * lead, *BATCH)))


def everywhere(tree: Any, mesh: Mesh | None) -> Any:
    """A copy on every device."""
    return tree if mesh is None else jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))
