"""Laws over the whole numbers from 0 on: mixtures of logistics, cut into counts.

A logistic of location m and scale s gives the count y what it holds between y − ½ and y + ½, and 0 all that it holds
below ½ (Salimans et al. 2017, PixelCNN++, eq. 2). A mixture of a few, one of which is nothing but 0, is narrower than a
Poisson law where machines work in step, wider where customers do not, and has several humps where a line either runs or
stands. A negative binomial (Salinas et al. 2020, DeepAR, section 3) is never narrower than a Poisson law and has one.

A law is an array (…, K, 3): of each part the logarithm of its weight, its location and its scale, in counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import jax
import jax.numpy as jnp
import numpy as np

PARTS = 4  # logistics of a law, beside the part that is nothing but 0
SMALLEST = 0.05  # scale: by then all is in one count, or on its edge in two
NAUGHT = (-1.0, SMALLEST)  # location and scale of the part that is 0
HALVINGS = 30
NEAR = 16  # scales from a logistic's location, beyond which it holds 1e-7


def first_bias() -> np.ndarray:
    """Free numbers of a law before training, about as wide as the series was: float32[1 + 3 · PARTS]."""
    places = [NormalDist().inv_cdf((k + 0.5) / PARTS) for k in range(PARTS)]
    return np.array([-3.0, *np.zeros(PARTS), *places, *np.full(PARTS, np.log(0.3))], np.float32)


def law(raw_xN: jax.Array, location_x: jax.Array, spread_x: jax.Array) -> jax.Array:
    """The law of free numbers about a *location*, in reaches of its *spread* and one count more; (…, 1 + PARTS, 3)."""
    logit, place, wide = jnp.split(raw_xN, [1 + PARTS, 1 + 2 * PARTS], axis=-1)
    reach = 1.0 + spread_x[..., None]
    told = (location_x[..., None] + reach * place, SMALLEST + reach * jnp.exp(jnp.minimum(wide, 8.0)))
    columns = [
        jnp.concatenate((jnp.full_like(a[..., :1], naught), a), axis=-1) for naught, a in zip(NAUGHT, told, strict=True)
    ]
    return jnp.stack(jnp.broadcast_arrays(jax.nn.log_softmax(logit), *columns), axis=-1)


def surprise(law_xKx3: jax.Array, y_x: jax.Array) -> jax.Array:
    """−log of the probability of each count, in nats."""
    log_weight, location, scale = (law_xKx3[..., i] for i in range(3))
    high, low = ((y_x[..., None] + half - location) / scale for half in (0.5, -0.5))
    # σ(a) − σ(b) = σ(a) · σ(−b) · (1 − exp(b − a)): no digit is lost far from the location
    within = jax.nn.log_sigmoid(high) + jax.nn.log_sigmoid(-low) + jnp.log(-jnp.expm1(-1.0 / scale))
    each = jnp.where(y_x[..., None] > 0, within, jax.nn.log_sigmoid(high))
    return -jax.nn.logsumexp(log_weight + each, axis=-1)


def below(law_xKx3: jax.Array, y_x: jax.Array) -> jax.Array:
    """The probability of at most *y*, a whole number; 0 below 0."""
    log_weight, location, scale = (law_xKx3[..., i] for i in range(3))
    each = jnp.exp(log_weight) * jax.nn.sigmoid((y_x[..., None] + 0.5 - location) / scale)
    return jnp.where(y_x < 0, 0.0, each.sum(-1))


def quantiles(law_xKx3: jax.Array, levels: Sequence[float]) -> jax.Array:
    """The least count with so much of the law at or below it, for each of *levels*: whole numbers, (…, Q)."""
    level_Q = np.asarray(levels, np.float32)
    _, location, scale = (law_xKx3[..., None, :, i] for i in range(3))
    each_xQxK = location + scale * np.log(level_Q / (1 - level_Q))[:, None]
    low = jnp.maximum(jnp.floor(each_xQxK.min(-1)) - 1, -1.0)  # what a part reaches, so that the law reaches less,
    high = jnp.maximum(jnp.ceil(each_xQxK.max(-1)), low + 1)  # and what it reaches at least

    def halve(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = jnp.floor((low + high) / 2)
        enough = below(law_xKx3[..., None, :, :], middle) >= level_Q
        apart = middle > low
        return jnp.where(apart & ~enough, middle, low), jnp.where(apart & enough, middle, high)

    return jax.lax.fori_loop(0, HALVINGS, halve, (low, high))[1]


def mean(law_xKx3: jax.Array) -> jax.Array:
    """The mean of each law, in counts: the sum over n ≥ 0 of the probability of more than n.

    Of a wide part it is the integral with the first term of Euler and Maclaurin, of a narrow one the sum itself.
    """
    log_weight, location, scale = (law_xKx3[..., i] for i in range(3))
    at_0 = location / scale
    smooth = scale * jax.nn.softplus(at_0) - jax.nn.sigmoid(at_0) * jax.nn.sigmoid(-at_0) / (24 * scale)
    first = jnp.floor(location) - NEAR
    n = first[..., None] + np.arange(2 * NEAR + 1, dtype=np.float32)
    more = jax.nn.sigmoid((location[..., None] - 0.5 - n) / jnp.minimum(scale, 1.0)[..., None])
    summed = jnp.maximum(first, 0.0) + jnp.where(n >= 0, more, 0.0).sum(-1)
    return (jnp.exp(log_weight) * jnp.where(scale > 1.0, smooth, summed)).sum(-1)


def mixture(law_MxKx3: jax.Array) -> jax.Array:
    """The law of drawing one of M, which lie along a first axis, and then from it: all their parts."""
    share = jnp.asarray([np.log(len(law_MxKx3)), 0.0, 0.0], law_MxKx3.dtype)
    parts = jnp.moveaxis(law_MxKx3 - share, 0, -3)
    return parts.reshape(*parts.shape[:-3], -1, 3)
