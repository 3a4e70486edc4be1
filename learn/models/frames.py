"""How pictures and waveforms are read: in pieces that look at each other."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
from flax import nnx

from learn.models.layers import Attention, Wide

if TYPE_CHECKING:
    from learn.models.twinformer import TwinFormer

QUIET = 1e-6  # mean square of a waveform, in train variances, below which it is silence


class FrameReader(nnx.Module):
    """Frames cut into pieces, which look at each other: features of each piece, and of the frame as a whole.

    A picture is cut into squares, and its level is its grey. A waveform is cut into stretches; it swings about zero,
    and its level is how loud it is.
    """

    def __init__(self, shape: TwinFormer, sides: tuple[int, ...], dtype, rngs: nnx.Rngs):
        self.side, self.waves = shape.piece(sides), len(sides) == 1
        self.rows, self.columns = (side // self.side for side in (self.side, *sides)[-2:])
        linear, wide = (
            partial(kind, dtype=dtype, rngs=rngs) for kind in (nnx.Linear, partial(Wide, wider=shape.wider))
        )
        values = self.side if self.waves else self.side**2
        self.into, self.out = linear(values + 2, shape.hidden), wide(shape.hidden, shape.width)
        place = nnx.initializers.normal(0.02)(rngs.params(), (self.rows * self.columns, shape.width))
        self.place = nnx.Param(place)
        self.norm, self.mlp_norm = (nnx.RMSNorm(shape.width, dtype=dtype, rngs=rngs) for _ in range(2))
        self.look = Attention(shape, False, dtype, rngs)
        self.up, self.down = wide(shape.width, shape.hidden), wide(shape.hidden, shape.width)
        self.pool = wide(2 * shape.width, shape.width)

    def __call__(self, frames: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Features of the pieces (B, T, N, D) and of the *frames* (B, T, D), of shape (B, T, *sides); a missing
        frame's are zero."""
        b, t, *sides = frames.shape
        there = jnp.isfinite(frames).all(range(2, frames.ndim))[..., None]
        x = jnp.where(there[(...,) + (None,) * (len(sides) - 1)], frames, 0.0)
        if self.waves:
            x = x.reshape(b, t, self.columns, self.side)
            level, whole = (jnp.log(jnp.square(x).mean(a, keepdims=True) + QUIET) / 2 for a in (-1, (-1, -2)))
            x = x * jnp.exp(-level)
        else:
            x = x.reshape(b, t, self.rows, self.side, self.columns, self.side)
            x = jnp.swapaxes(x, 3, 4).reshape(b, t, self.rows * self.columns, self.side**2)
            level, whole = x.mean(-1, keepdims=True), x.mean((-1, -2), keepdims=True)
            x = x - level
        parts = (x, level - whole, jnp.broadcast_to(whole, level.shape))
        tokens = jnp.concatenate(parts, axis=-1).astype(self.out.dtype)
        z = self.out(jax.nn.silu(self.into(tokens))) + self.place[...].astype(self.out.dtype)
        z = z + self.look(self.norm(z), jnp.ones((z.shape[-2], z.shape[-2]), bool))
        z = z + self.down(jax.nn.silu(self.up(self.mlp_norm(z))))
        return z, self.pool(jnp.concatenate((z.mean(-2), z.max(-2)), axis=-1)) * there
