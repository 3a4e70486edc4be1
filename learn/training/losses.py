"""What training lowers: squared error, cross-entropy, pinball, the likelihood of counts and of competing hazards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from learn.models import counts
from learn.models.heads import Told
from learn.scores.metrics import quadrature
from learn.tasks import Classify, Counterfactual, Forecast, Imputation, RemainingLife, States, Task
from learn.windows.batch import ROLES, Batch
from twins.channel import Role


def squared_error(prediction_x: jax.Array, target_x: jax.Array) -> jax.Array:
    return (prediction_x - target_x) ** 2


def cross_entropy(logits_xC: jax.Array, label_x: jax.Array) -> jax.Array:
    """−log of the probability of each label, in nats."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits_xC), label_x[..., None], axis=-1)[..., 0]


def pinball(quantiles_xQ: jax.Array, target_x: jax.Array, levels: Sequence[float]) -> jax.Array:
    """max(q·u, (q − 1)·u) for u = target − prediction, mean over levels (Koenker & Bassett 1978)."""
    above = target_x[..., None] - quantiles_xQ
    level_Q = jnp.asarray(levels, quantiles_xQ.dtype)
    return jnp.mean(jnp.maximum(level_Q * above, (level_Q - 1) * above), axis=-1)


def hazard(logits_xKxC: jax.Array, event_h_x: jax.Array, cause_x: jax.Array, edges_h: Sequence[float]) -> jax.Array:
    """−log likelihood of lives that end after *event_h_x* hours of *cause_x*, or are censored there (cause 0).

    A life that fails in bin (eₖ₋₁, eₖ] survives those before and ends in it of its cause (Tutz & Schmid 2016, ch. 8).
    One censored inside a bin at the fraction f of its width survives it with Sᶠ, as under a constant hazard in the bin.
    Zero for entries off risk (cause −1).
    """
    log_p = jax.nn.log_softmax(logits_xKxC.astype(jnp.float32))
    right_K = jnp.asarray(edges_h, jnp.float32)
    left_K = jnp.concatenate((jnp.zeros(1), right_K[:-1]))
    t_x1 = jnp.where(cause_x >= 0, event_h_x, 0.0)[..., None]
    ends_xK = (t_x1 <= right_K) & ((t_x1 > left_K) | (left_K == 0)) & (cause_x > 0)[..., None]
    survived_xK = jnp.where(ends_xK, 0.0, jnp.clip((t_x1 - left_K) / (right_K - left_K), 0.0, 1.0))
    cause_x11 = jnp.maximum(cause_x, 0)[..., None, None]
    log_end_xK = jnp.take_along_axis(log_p, cause_x11, axis=-1)[..., 0]
    return -jnp.sum(survived_xK * log_p[..., 0] + jnp.where(ends_xK, log_end_xK, 0.0), axis=-1)


def moments(context: int, count: int) -> np.ndarray:
    """Sample indices that follow each of *count* evenly spaced moments of a context; the last one is its end."""
    patch = context // count
    return context - patch * np.arange(count - 1, -1, -1)


def targets(batch: Batch, count: int) -> tuple[jax.Array, jax.Array]:
    """The H samples after each of *count* moments, and whether each counts: (B, V, P, H) twice."""
    context, horizon = batch.x_BxVxT.shape[-1], batch.future_BxVxH.shape[-1]
    if count == 1:
        return batch.future_BxVxH[:, :, None], batch.future_mask_BxVxH[:, :, None]
    index_PxH = moments(context, count)[:, None] + np.arange(horizon)
    target_BxV1 = (batch.variate_mask_BxV & (batch.role_BxV == ROLES.index(Role.TARGET)))[..., None]
    y = jnp.concatenate((batch.x_BxVxT, batch.future_BxVxH), axis=-1)
    mask = jnp.concatenate((batch.mask_BxVxT & target_BxV1, batch.future_mask_BxVxH), axis=-1)
    return y[..., index_PxH], mask[..., index_PxH]


def remaining(event_h_x: jax.Array, cause_x: jax.Array, task: RemainingLife) -> tuple[jax.Array, jax.Array]:
    """The life left, in the task's unit and held at its cap, and whether it is known: it failed, or outlived it."""
    known_x = (cause_x > 0) | ((cause_x == 0) & (event_h_x >= task.cap_h))
    return jnp.where(known_x, jnp.minimum(event_h_x, task.cap_h) / task.unit_h, 0.0), known_x


def told(task: Classify, outputs: Told, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy of the class and of the marks of the sample before each moment, and which are known: (B, P)."""
    index_P = moments(batch.x_BxVxT.shape[-1], outputs.logits_BxPxC.shape[1]) - 1
    label_BxP = batch.cause_BxL[:, index_P]
    each_BxP = cross_entropy(outputs.logits_BxPxC, jnp.maximum(label_BxP, 0))
    if outputs.marks_BxPxHxWxK is not None and batch.marks_BxTxHxW is not None:
        logits = outputs.marks_BxPxHxWxK
        bits = batch.marks_BxTxHxW[:, index_P, ..., None] >> jnp.arange(len(task.kinds), dtype=jnp.uint8) & 1
        pixel = jax.nn.softplus(logits) - logits * bits
        each_BxP += task.marks_weight * pixel.sum(-1).mean((-1, -2))
    return each_BxP, label_BxP >= 0


def foretold(logits_BxPxHxC: jax.Array, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Cross-entropy of the state at each of the H samples after each moment, and which are known: (B, P, H)."""
    count, horizon = logits_BxPxHxC.shape[1:3]
    state_BxPxH = batch.cause_BxL[:, moments(batch.x_BxVxT.shape[-1], count)[:, None] + np.arange(horizon)]
    return cross_entropy(logits_BxPxHxC, jnp.maximum(state_BxPxH, 0)), state_BxPxH >= 0


def effects(task: Counterfactual, outputs_BxVxPxHxQ: jax.Array, batch: Batch) -> jax.Array:
    """Mean squared error of the difference between two plans, one window after the other, at the newest moment."""
    levels = quadrature(np.asarray(task.quantiles)) if outputs_BxVxPxHxQ.shape[-1] > 1 else np.ones(1)
    expected_BxVxH = outputs_BxVxPxHxQ[:, :, -1] @ jnp.asarray(levels, outputs_BxVxPxHxQ.dtype)
    pairs = expected_BxVxH.shape[0] // 2

    def arms(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        return x[: 2 * pairs : 2], x[1 : 2 * pairs : 2]

    (told_0, told_1), (came_0, came_1), (there_0, there_1) = map(
        arms, (expected_BxVxH, batch.future_BxVxH, batch.future_mask_BxVxH)
    )
    error = squared_error(told_1 - told_0, came_1 - came_0)
    both = there_0 & there_1
    return jnp.sum(jnp.where(both, error, 0.0)) / jnp.maximum(both.sum(), 1)


def forecast_loss(task: Forecast, outputs: jax.Array, y_BxVxPxH: jax.Array, batch: Batch) -> jax.Array:
    """The loss of each sample, (B, V, P, H)."""
    if task.loss == "counts":
        zero, one = (x[..., None, None] for x in (batch.zero_BxV, batch.one_BxV))
        return counts.surprise(outputs, jnp.round((y_BxVxPxH - zero) / one))
    if task.loss == "mse":
        return squared_error(outputs[..., 0], y_BxVxPxH)
    return pinball(outputs, y_BxVxPxH, task.quantiles)


def loss(task: Task, outputs: Any, batch: Batch) -> tuple[jax.Array, jax.Array]:
    """Sum of the task's loss over all that counts at the moments that *outputs* has, and how much counts."""
    if isinstance(task, Classify):
        each, mask = told(task, outputs, batch)
    elif isinstance(task, States):
        each, mask = foretold(outputs, batch)
    elif isinstance(task, Forecast):
        if isinstance(task, Imputation):  # both sides of a gap are seen at the newest moment alone
            outputs = outputs[:, :, -1:]
        y, mask = targets(batch, outputs.shape[2])
        each = forecast_loss(task, outputs, y, batch)
    else:
        index_P = moments(batch.x_BxVxT.shape[-1], outputs.shape[1]) - 1
        event_h, cause = batch.event_h_BxT[:, index_P], batch.cause_BxL[:, index_P]
        if isinstance(task, RemainingLife):
            y, mask = remaining(event_h, cause, task)
            each = pinball(outputs, y, task.quantiles) / task.cap
        else:
            each, mask = hazard(outputs, event_h, cause, task.edges_h), cause >= 0
    total, count = jnp.sum(jnp.where(mask, each, 0.0)), jnp.sum(mask)
    if isinstance(task, Counterfactual) and task.difference_weight:
        total += task.difference_weight * count * effects(task, outputs, batch)
    return total, count
