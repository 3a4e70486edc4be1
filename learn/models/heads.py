"""From a model's last features to predictions: quantiles that cannot cross, and competing discrete-time hazards.

Outputs, for all models alike, at each of P moments of a window (the last one is "now"):
`Forecast`: quantiles_BxVxPxHxQ in the windows' scaled units (Q = 1, the mean, where the loss is `mse`); where the
loss is `counts` law_BxVxPxHxKx3, as in `learn.models.counts`.
`TimeToEvent`: logits_BxPxKxC over bins K; of the C entries 0 is "survives the bin", 1 … are the task's causes.
`RemainingLife`: quantiles_BxPxQ in the task's unit, not yet held between 0 and the cap.
`States`: logits_BxPxHxC of the states at each of the H samples after a moment.
`Classify`: `Told`, logits_BxPxC of the classes and, where a model looks at frames, of the marks on each pixel.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from learn.models import counts
from learn.models.layers import Wide
from learn.tasks import Classify, Forecast, RemainingLife, States, Task, TimeToEvent


class Told(NamedTuple):
    """What a model says of the newest sample at each of P moments."""

    logits_BxPxC: jax.Array
    marks_BxPxHxWxK: jax.Array | None = None  # logits


def outputs_per_step(task: Forecast) -> int:
    """Free numbers that a model gives of each step."""
    return {"mse": 1, "pinball": len(task.quantiles), "counts": len(counts.first_bias())}[task.loss]


def first_bias(task: Task, event_h_x: np.ndarray | None = None, cause_x: np.ndarray | None = None) -> np.ndarray:
    """Biases of one output group before training: normal quantiles (Q), a law of counts, or the hazards of the labels,
    flat (K · C).

    Of classes, or of states at a sample: the logarithms of their shares (C). A hazard is the share of those at risk at
    a bin's start that end in it, of each cause. Half a case is added.
    """
    if isinstance(task, Forecast | RemainingLife):
        if isinstance(task, Forecast) and task.loss == "mse":
            return np.zeros(1, np.float32)
        if isinstance(task, Forecast) and task.loss == "counts":
            return counts.first_bias()
        normal = np.array([NormalDist().inv_cdf(q) for q in task.quantiles])
        middle = len(normal) // 2
        gaps = np.diff(normal, prepend=normal[0] - 1)
        return np.concatenate((normal[middle : middle + 1], np.log(np.expm1(gaps[1:])))).astype(np.float32)
    if isinstance(task, Classify | States):
        count = np.full(len(task.classes if isinstance(task, Classify) else task.states), 0.5)
        if cause_x is not None:
            np.add.at(count, cause_x[cause_x >= 0], 1)
        return np.log(count / count.sum()).astype(np.float32)
    edges, causes = np.asarray(task.edges_h), len(task.causes)
    count = np.full((len(edges), causes + 1), 0.5)
    if event_h_x is not None and cause_x is not None:
        risk = cause_x >= 0
        event_h, cause = event_h_x[risk], cause_x[risk]
        ended = np.searchsorted(edges, event_h)  # edges[i − 1] < event_h ≤ edges[i]; len(edges) where beyond them all
        np.add.at(count, (ended[(cause > 0) & (ended < len(edges))], cause[(cause > 0) & (ended < len(edges))]), 1)
        count[:, 0] += (ended[:, None] > np.arange(len(edges))).sum(0)
    return np.log(count / count.sum(1, keepdims=True)).astype(np.float32).reshape(-1)


def dense(inputs: int, bias: np.ndarray, rngs: nnx.Rngs, wider: float = 1.0) -> Wide:
    """A last layer that gives *bias* whatever it sees, until it is trained."""
    layer = Wide(inputs, len(bias), wider=wider, kernel_init=nnx.initializers.zeros, rngs=rngs)
    assert layer.bias is not None
    layer.bias[...] = jnp.asarray(bias)
    return layer


def quantiles(raw_xQ: jax.Array) -> jax.Array:
    """Increasing numbers from free ones: the middle one, and gaps that are softplus of the others, summed outwards."""
    gaps = jnp.cumsum(jax.nn.softplus(raw_xQ[..., 1:]), axis=-1)
    steps = jnp.concatenate((jnp.zeros_like(raw_xQ[..., :1]), gaps), axis=-1)
    middle = raw_xQ.shape[-1] // 2
    return raw_xQ[..., :1] + steps - steps[..., middle : middle + 1]


def lives(raw_xQ: jax.Array, task: RemainingLife) -> jax.Array:
    """Increasing lives in the task's unit from free numbers: half the cap, give or take a quarter, where they begin."""
    return task.cap * (0.5 + 0.25 * quantiles(raw_xQ))


def incidence(logits_xKxC: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Probability of surviving to each bin's end (x, K), and of having ended of each cause by then (x, C − 1, K)."""
    p_xKxC = jax.nn.softmax(logits_xKxC, axis=-1)
    survival_xK = jnp.cumprod(p_xKxC[..., 0], axis=-1)
    before_xK = jnp.concatenate((jnp.ones_like(survival_xK[..., :1]), survival_xK[..., :-1]), axis=-1)
    return survival_xK, jnp.moveaxis(jnp.cumsum(before_xK[..., None] * p_xKxC[..., 1:], axis=-2), -1, -2)


class QuantileHead(nnx.Module):
    """Features of each variate at each moment → its next H samples, each as quantiles, in units of the causal scale."""

    def __init__(self, width: int, task: Forecast, rngs: nnx.Rngs, wider: float = 1.0):
        self.steps, self.count = task.horizon, outputs_per_step(task)
        self.out = dense(width, np.tile(first_bias(task), self.steps), rngs, wider)

    def __call__(self, z_BxVxPxD: jax.Array, location_BxVxP: jax.Array, spread_BxVxP: jax.Array) -> jax.Array:
        raw = self.out(z_BxVxPxD).reshape(*z_BxVxPxD.shape[:-1], self.steps, self.count)
        scaled = quantiles(raw) if self.count > 1 else raw
        return location_BxVxP[..., None, None] + spread_BxVxP[..., None, None] * scaled


class CountHead(nnx.Module):
    """Features of each variate at each moment → the laws of its next H samples, about the causal scale.

    *zero_BxV* and *one_BxV* say where 0 lies in scaled units, and how far from it 1 does.
    """

    def __init__(self, width: int, task: Forecast, rngs: nnx.Rngs, wider: float = 1.0):
        self.steps = task.horizon
        self.out = dense(width, np.tile(first_bias(task), self.steps), rngs, wider)

    def __call__(
        self,
        z_BxVxPxD: jax.Array,
        location_BxVxP: jax.Array,
        spread_BxVxP: jax.Array,
        zero_BxV: jax.Array,
        one_BxV: jax.Array,
    ) -> jax.Array:
        raw = self.out(z_BxVxPxD).reshape(*z_BxVxPxD.shape[:-1], self.steps, -1)
        zero, one = zero_BxV[..., None, None], one_BxV[..., None, None]
        return counts.law(raw, (location_BxVxP[..., None] - zero) / one, spread_BxVxP[..., None] / one)


def pool(z_BxVxPxD: jax.Array, variate_mask_BxV: jax.Array) -> jax.Array:
    """Features of an asset at each moment: the mean over its variates, (B, P, D)."""
    weight_BxV = variate_mask_BxV / jnp.maximum(variate_mask_BxV.sum(1, keepdims=True), 1)
    return jnp.einsum("bvpd,bv->bpd", z_BxVxPxD, weight_BxV)


class LifeHead(nnx.Module):
    """Features pooled over the variates of an asset → quantiles of the life that is left to it."""

    def __init__(self, width: int, task: RemainingLife, rngs: nnx.Rngs, wider: float = 1.0):
        self.task = task
        self.out = dense(width, first_bias(task), rngs, wider)

    def __call__(self, z_BxVxPxD: jax.Array, variate_mask_BxV: jax.Array) -> jax.Array:
        return lives(self.out(pool(z_BxVxPxD, variate_mask_BxV)), self.task)


class ClassHead(nnx.Module):
    """Features pooled over the variates of an asset → logits of the classes of its newest sample."""

    def __init__(self, width: int, bias: np.ndarray, rngs: nnx.Rngs, wider: float = 1.0):
        self.out = dense(width, bias, rngs, wider)

    def __call__(self, z_BxVxPxD: jax.Array, variate_mask_BxV: jax.Array) -> jax.Array:
        return self.out(pool(z_BxVxPxD, variate_mask_BxV))


class StateHead(nnx.Module):
    """Features pooled over the variates of an asset → logits of its state at each of the next H samples."""

    def __init__(self, width: int, task: States, bias: np.ndarray, rngs: nnx.Rngs, wider: float = 1.0):
        self.steps, self.states = task.horizon, len(task.states)
        self.out = dense(width, np.tile(bias, self.steps), rngs, wider)

    def __call__(self, z_BxVxPxD: jax.Array, variate_mask_BxV: jax.Array) -> jax.Array:
        pooled_BxPxD = pool(z_BxVxPxD, variate_mask_BxV)
        return self.out(pooled_BxPxD).reshape(*pooled_BxPxD.shape[:-1], self.steps, self.states)


class HazardHead(nnx.Module):
    """Features pooled over the variates of an asset → logits of its competing hazards."""

    def __init__(self, width: int, task: TimeToEvent, bias: np.ndarray, rngs: nnx.Rngs, wider: float = 1.0):
        self.bins, self.outcomes = len(task.edges_h), len(task.causes) + 1
        self.out = dense(width, bias, rngs, wider)

    def __call__(self, z_BxVxPxD: jax.Array, variate_mask_BxV: jax.Array) -> jax.Array:
        pooled_BxPxD = pool(z_BxVxPxD, variate_mask_BxV)
        return self.out(pooled_BxPxD).reshape(*pooled_BxPxD.shape[:-1], self.bins, self.outcomes)
