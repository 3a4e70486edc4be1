"""What a transformer is built of: rotary positions, attention and the block that holds it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

if TYPE_CHECKING:
    from learn.models.twinformer import TwinFormer


class Past(NamedTuple):
    """What attention over time keeps of the patches before: room for N of them, of which *at* are taken."""

    k: jax.Array  # (…, heads, N, width / heads), turned to their places
    v: jax.Array
    at: jax.Array  # int32


def rope(x_xPxD: jax.Array, at: jax.Array | int = 0) -> jax.Array:
    """Rotary position embedding over the patch index, the last axis but one, from *at* on (Su et al. 2021)."""
    half = x_xPxD.shape[-1] // 2
    turn = jnp.asarray(10_000.0 ** -(np.arange(half) / half), jnp.float32)
    angle = (at + jnp.arange(x_xPxD.shape[-2]))[:, None] * turn
    sin, cos = jnp.sin(angle).astype(x_xPxD.dtype), jnp.cos(angle).astype(x_xPxD.dtype)
    a, b = x_xPxD[..., :half], x_xPxD[..., half:]
    return jnp.concatenate((a * cos - b * sin, a * sin + b * cos), axis=-1)


def dropout(x: jax.Array, rate: float, key: jax.Array | None, shared: int | None = None) -> jax.Array:
    """*x* with a share of its entries set to 0, the same all along the axis *shared*; as it is without a *key*."""
    if key is None or rate == 0:
        return x
    shape = tuple(1 if axis == shared else side for axis, side in enumerate(x.shape))
    return jnp.where(jax.random.bernoulli(key, 1 - rate, shape), x / (1 - rate), 0)


class Wide(nnx.Linear):
    """A linear map of what is *wider* than in a base model, by that factor divided.

    With the width, its weights as they take effect begin at the usual spread and change by 1/width at a step of Adam:
    the maximal update parametrisation (Yang et al. 2022, table 8, by its equation of scaled weights), under which a
    learning rate that is found at the base width holds at any.
    """

    def __init__(self, inputs: int, outputs: int, *, wider: float = 1.0, **how: Any):
        super().__init__(inputs, outputs, **how)
        self.wider = wider
        if wider != 1:
            self.kernel[...] = wider * self.kernel[...]

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return super().__call__(inputs if self.wider == 1 else inputs / self.wider)


class Attention(nnx.Module):
    """Attention with QK-norm over the last axis but one; with RoPE and causal where it runs over *time*."""

    def __init__(self, shape: TwinFormer, time: bool, dtype, rngs: nnx.Rngs):
        self.heads, self.time = shape.heads, time
        self.scale = (shape.width // shape.heads * shape.wider) ** -0.5  # 1/d of as many heads, however wide
        linear = partial(Wide, use_bias=False, dtype=dtype, rngs=rngs, wider=shape.wider)
        self.qkv = linear(shape.width, 3 * shape.width)
        self.out = linear(shape.width, shape.width)
        self.q_norm = nnx.RMSNorm(shape.width // shape.heads, dtype=dtype, rngs=rngs)
        self.k_norm = nnx.RMSNorm(shape.width // shape.heads, dtype=dtype, rngs=rngs)

    def __call__(self, x_xNxD: jax.Array, mask_xNxN: jax.Array) -> jax.Array:
        return self._mixed(*self._heads(x_xNxD), mask_xNxN)

    def onward(self, x_xNxD: jax.Array, past: Past) -> tuple[jax.Array, Past]:
        """The same, causal over time, of patches that follow on those of *past*."""
        q, k, v = self._heads(x_xNxD, past.at)
        k, v = (
            jax.lax.dynamic_update_slice_in_dim(old, new, past.at, axis=-2) for old, new in ((past.k, k), (past.v, v))
        )
        new = x_xNxD.shape[-2]
        before = jnp.arange(k.shape[-2]) <= (past.at + jnp.arange(new))[:, None]
        return self._mixed(q, k, v, before), Past(k, v, past.at + new)

    def _heads(self, x_xNxD: jax.Array, at: jax.Array | int = 0) -> tuple[jax.Array, jax.Array, jax.Array]:
        *lead, n, width = x_xNxD.shape
        split = self.qkv(x_xNxD).reshape(*lead, n, 3, self.heads, width // self.heads)
        q, k, v = jnp.moveaxis(split, (-3, -2), (0, -3))  # each (…, heads, N, width / heads)
        q, k = self.q_norm(q), self.k_norm(k)
        return (rope(q, at), rope(k, at), v) if self.time else (q, k, v)

    def _mixed(self, q: jax.Array, k: jax.Array, v: jax.Array, mask_xNxN: jax.Array) -> jax.Array:
        logits = jnp.einsum("...qd,...kd->...qk", q, k).astype(jnp.float32) * self.scale
        weights = jax.nn.softmax(jnp.where(mask_xNxN, logits, -1e9)).astype(v.dtype)
        mixed = jnp.moveaxis(jnp.einsum("...qk,...kd->...qd", weights, v), -3, -2)
        return self.out(mixed.reshape(*mixed.shape[:-2], -1))


class Block(nnx.Module):
    """Attention over time, attention across variates, SwiGLU; each adds to the stream from its normed reading of it."""

    def __init__(self, shape: TwinFormer, dtype, rngs: nnx.Rngs):
        self.rate = shape.dropout
        norm = partial(nnx.RMSNorm, shape.width, dtype=dtype, rngs=rngs)
        linear = partial(Wide, use_bias=False, dtype=dtype, rngs=rngs, wider=shape.wider)
        self.time_norm, self.variate_norm, self.mlp_norm = norm(), norm(), norm()
        self.time = Attention(shape, True, dtype, rngs)
        self.variate = None if shape.join else Attention(shape, False, dtype, rngs)
        self.gate_up = linear(shape.width, 2 * shape.hidden)
        self.down = linear(shape.hidden, shape.width)

    def __call__(self, z_BxVxPxD: jax.Array, reads_BxVxV: jax.Array, key: jax.Array | None) -> jax.Array:
        patches = z_BxVxPxD.shape[2]
        before = jnp.tril(jnp.ones((patches, patches), bool))
        return self._rest(z_BxVxPxD, self.time(self.time_norm(z_BxVxPxD), before), reads_BxVxV, key)

    def onward(self, z_BxVxPxD: jax.Array, reads_BxVxV: jax.Array, past: Past) -> tuple[jax.Array, Past]:
        """The same of patches that follow on those of *past*."""
        over_time, past = self.time.onward(self.time_norm(z_BxVxPxD), past)
        return self._rest(z_BxVxPxD, over_time, reads_BxVxV, None), past

    def _rest(
        self, z_BxVxPxD: jax.Array, over_time: jax.Array, reads_BxVxV: jax.Array, key: jax.Array | None
    ) -> jax.Array:
        keys = jax.random.split(key, 3) if key is not None else (None,) * 3
        z_BxVxPxD = z_BxVxPxD + dropout(over_time, self.rate, keys[0])
        if self.variate is not None:
            across_BxPxVxD = self.variate(jnp.swapaxes(self.variate_norm(z_BxVxPxD), 1, 2), reads_BxVxV[:, None, None])
            z_BxVxPxD = z_BxVxPxD + dropout(jnp.swapaxes(across_BxPxVxD, 1, 2), self.rate, keys[1])
        gate, up = jnp.split(self.gate_up(self.mlp_norm(z_BxVxPxD)), 2, axis=-1)
        return z_BxVxPxD + dropout(self.down(jax.nn.silu(gate) * up), self.rate, keys[2])


class LinearSkip(nnx.Module):
    """The samples of the context → the horizon, by one linear map for all channels, about where a series lies so far.

    At each patch it sees as many patches as a context has; what lies before the first, or is missing, counts as lying
    there. A transformer beside it has only the rest to learn (the residual of Das et al. 2023, TiDE, section 4.2).
    """

    def __init__(self, patches: int, patch: int, horizon: int, rngs: nnx.Rngs):
        zeros = nnx.initializers.zeros
        self.lags = patches, patch, horizon
        self.map = nnx.Conv(patch, horizon, patches, padding="VALID", use_bias=False, kernel_init=zeros, rngs=rngs)

    def __call__(
        self, x_BxVxPxS: jax.Array, mask_BxVxPxS: jax.Array, location_BxVxP: jax.Array, newest: jax.Array | None
    ) -> tuple[jax.Array, jax.Array]:
        """(B, V, P, H), and the newest samples and which are there (2, B, V, ·, S), for the patches that follow."""
        new = jnp.stack((jnp.where(mask_BxVxPxS, x_BxVxPxS, 0.0), mask_BxVxPxS.astype(x_BxVxPxS.dtype)))
        if newest is None:
            newest = jnp.zeros((*new.shape[:3], self.lags[0] - 1, new.shape[-1]), new.dtype)
        seen = jnp.concatenate((newest, new), axis=3)
        level, weight = self.map(seen)
        return level - location_BxVxP[..., None] * weight, seen[:, :, :, new.shape[3] :]
