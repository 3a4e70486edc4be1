"""A recurrent model behind the same interface: long short-term memory over patches where a TwinFormer has attention.

It reads patches, scales, channels and what is known ahead as a TwinFormer does, and ends in the same heads. A channel
looks at the mean of those that it may read. Dropout is variational (Gal & Ghahramani 2016): a sequence keeps one mask
for a layer's input, one for its state and one for the words of its channels from its first patch to its last; what the
head reads is not masked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from learn.models.layers import Wide, dropout
from learn.models.twinformer import TwinFormer


class Memory(NamedTuple):
    """What a layer knows of the patches before, (B, V, D) each."""

    out: jax.Array
    cell: jax.Array


@dataclass(frozen=True)
class Recurrent(TwinFormer):
    """An LSTM over patches of many channels; `heads` and `hidden` are of the reading of frames alone."""

    def block(self, dtype: Any, rngs: nnx.Rngs) -> RecurrentBlock:
        return RecurrentBlock(self, dtype, rngs)

    def blank(self, assets: int, rows: int, patches: int, dtype: Any) -> Memory:
        none = jnp.zeros((assets, rows, self.width), dtype)
        return Memory(none, none)

    @property
    def word_dropout(self) -> float:
        return self.dropout


class RecurrentBlock(nnx.Module):
    """A layer of LSTM (Hochreiter & Schmidhuber 1997; forget gates begin open), added to the stream that it reads."""

    def __init__(self, shape: Recurrent, dtype: Any, rngs: nnx.Rngs):
        self.rate, self.together = shape.dropout, shape.join
        linear = partial(Wide, dtype=dtype, rngs=rngs, wider=shape.wider)
        self.norm = nnx.RMSNorm(shape.width, dtype=dtype, rngs=rngs)
        self.into = linear(shape.width if shape.join else 2 * shape.width, 4 * shape.width)
        self.back = linear(shape.width, 4 * shape.width, use_bias=False)
        assert self.into.bias is not None
        self.into.bias[...] = jnp.repeat(jnp.array([0.0, 1.0, 0.0, 0.0]), shape.width)

    def __call__(self, z_BxVxPxD: jax.Array, reads_BxVxV: jax.Array, key: jax.Array | None) -> jax.Array:
        return self._run(z_BxVxPxD, reads_BxVxV, key)[0]

    def onward(self, z_BxVxPxD: jax.Array, reads_BxVxV: jax.Array, past: Memory) -> tuple[jax.Array, Memory]:
        """The same of patches that follow on those of *past*."""
        return self._run(z_BxVxPxD, reads_BxVxV, None, past)

    def _run(
        self, z_BxVxPxD: jax.Array, reads_BxVxV: jax.Array, key: jax.Array | None, past: Memory | None = None
    ) -> tuple[jax.Array, Memory]:
        keys = jax.random.split(key) if key is not None else (None, None)
        x = self.norm(z_BxVxPxD)
        if not self.together:
            share = reads_BxVxV / jnp.maximum(reads_BxVxV.sum(-1, keepdims=True), 1)
            x = jnp.concatenate((x, jnp.einsum("bvw,bwpd->bvpd", share.astype(x.dtype), x)), axis=-1)
        gates = self.into(dropout(x, self.rate, keys[0], shared=2))
        none = jnp.zeros_like(z_BxVxPxD[:, :, 0])
        kept = dropout(jnp.ones_like(none), self.rate, keys[1])

        def step(now: Memory, gates_BxVx4D: jax.Array) -> tuple[Memory, jax.Array]:
            enter, keep, new, leave = jnp.split(gates_BxVx4D + self.back(now.out * kept), 4, axis=-1)
            cell = jax.nn.sigmoid(keep) * now.cell + jax.nn.sigmoid(enter) * jnp.tanh(new)
            out = jax.nn.sigmoid(leave) * jnp.tanh(cell)
            return Memory(out, cell), out

        newest, out = jax.lax.scan(step, Memory(none, none) if past is None else past, jnp.moveaxis(gates, 2, 0))
        return z_BxVxPxD + jnp.moveaxis(out, 0, 2), newest
