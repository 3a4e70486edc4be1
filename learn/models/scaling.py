"""How a model reads a series: by its own scale up to each patch, by its growth, by what came just before a patch."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

SPREAD_FLOOR = 1e-2  # train standard deviations
SMALLEST = 1e-3  # likewise: less of a positive quantity is not told from it


class Sums(NamedTuple):
    """Of all samples so far, about an origin that lies among them; (B, V) each."""

    origin: jax.Array
    count: jax.Array
    total: jax.Array
    square: jax.Array


def causal_scale(
    x_BxVxPxS: jax.Array, mask_BxVxPxS: jax.Array, sums: Sums | None = None
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], Sums]:
    """Mean and standard deviation of all observed samples up to each patch's end, and each patch's own mean; (B, V, P).

    Sums run about the first patch's mean, so that a level far from zero costs no digits; on from *sums* where patches
    went before.
    """
    count = mask_BxVxPxS.sum(-1)
    if sums is None:
        origin = jnp.sum(x_BxVxPxS[:, :, 0], -1) / jnp.maximum(count[:, :, 0], 1)  # missing samples are 0
        zero = jnp.zeros_like(origin)
        sums = Sums(origin, jnp.zeros_like(count[:, :, 0]), zero, zero)
    from_origin = jnp.where(mask_BxVxPxS, x_BxVxPxS - sums.origin[..., None, None], 0.0)
    total, square = from_origin.sum(-1), jnp.square(from_origin).sum(-1)
    counts, totals, squares = (
        jnp.cumsum(new, -1) + old[..., None]
        for new, old in ((count, sums.count), (total, sums.total), (square, sums.square))
    )
    seen = jnp.maximum(counts, 1)
    mean = totals / seen
    spread = jnp.sqrt(jnp.maximum(squares / seen - mean**2, 0.0) + SPREAD_FLOOR**2)
    own = jnp.where(count > 0, total / jnp.maximum(count, 1), mean)
    origin = sums.origin[..., None]
    newest = Sums(sums.origin, counts[..., -1], totals[..., -1], squares[..., -1])
    return (origin + mean, spread, origin + own), newest


def growth(x_BxVxT: jax.Array, mask_BxVxT: jax.Array, zero_BxV: jax.Array) -> jax.Array:
    """The logarithms of positive series, and by how much each grew since the sample before; (2, B, V, T).

    *zero_BxV* is where 0 lies in scaled units. Whatever is below a thousandth of a deviation counts as that.
    """
    above = jnp.maximum(x_BxVxT - zero_BxV[..., None], 0.0) + SMALLEST
    level = jnp.where(mask_BxVxT, jnp.log(above), 0.0)
    both = mask_BxVxT[..., 1:] & mask_BxVxT[..., :-1]
    grew = jnp.where(both, jnp.clip(level[..., 1:] - level[..., :-1], -2.0, 2.0), 0.0)
    return jnp.stack((level, 10 * jnp.pad(grew, ((0, 0), (0, 0), (1, 0)))))


def before(x_BxVxT: jax.Array, patch: int, count: int) -> jax.Array:
    """The *count* samples before each patch, 0 before the first one; (B, V, P, count)."""
    padded = jnp.pad(x_BxVxT, ((0, 0), (0, 0), (count, 0)))
    starts = np.arange(0, x_BxVxT.shape[-1], patch)
    return padded[..., starts[:, None] + np.arange(count)]
