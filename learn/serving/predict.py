"""From parameters and windows to predictions, in chunks of one size so that the model is compiled once."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from learn.models import counts
from learn.models.heads import incidence
from learn.scores.metrics import (
    EventPrediction,
    ForecastPrediction,
    LifePrediction,
    Prediction,
    StatePrediction,
    quadrature,
)
from learn.tasks import Classify, Forecast, RemainingLife, States
from learn.windows.batch import ROLES, Windows, gather
from twins.channel import Role


@partial(jax.jit, static_argnums=0)
def _outputs(graphdef: Any, params: Any, windows: Windows, anchors_Bx2: jax.Array) -> Any:
    return nnx.merge(graphdef, params)(gather(windows, anchors_Bx2), last=True)


def predict(model: Any, params: Any, windows: Windows, anchors: np.ndarray, chunk: int = 256) -> Prediction:
    """Predictions of *model* with *params* (its own where None) at *anchors* (int32[N, 2]), in scaled units."""
    graphdef, own = nnx.split(model)
    params = own if params is None else params
    count = len(anchors)
    chunk = min(chunk, count)
    padded = np.concatenate((anchors, np.repeat(anchors[-1:], -count % chunk, axis=0)))
    parts = [_outputs(graphdef, params, windows, jnp.asarray(part)) for part in padded.reshape(-1, chunk, 2)]
    task = model.task
    if isinstance(task, Classify):
        p_NxC = np.concatenate([np.asarray(jax.nn.softmax(p.logits_BxPxC[:, -1])) for p in parts])[:count]
        marks = None
        if parts[0].marks_BxPxHxWxK is not None:
            each = [np.asarray(jax.nn.sigmoid(p.marks_BxPxHxWxK[:, -1]), np.float16) for p in parts]
            marks = np.concatenate(each)[:count]
        return EventPrediction(1 - p_NxC[:, 0], marks_NxHxWxK=marks)
    if isinstance(task, States):
        return StatePrediction(np.concatenate([np.asarray(jax.nn.softmax(p[:, -1])) for p in parts])[:count])
    if isinstance(task, Forecast) and task.loss == "counts":
        return _counted(task, windows, [p[:, :, -1] for p in parts], count)
    if isinstance(task, Forecast):
        quantiles_NxVxHxQ = np.concatenate([np.asarray(p[:, :, -1]) for p in parts])[:count]
        if task.loss == "mse":
            return ForecastPrediction.point(quantiles_NxVxHxQ[..., 0])
        levels = np.asarray(task.quantiles)
        mean_NxVxH = quantiles_NxVxHxQ @ quadrature(levels).astype(np.float32)
        return ForecastPrediction(mean_NxVxH, quantiles_NxVxHxQ, levels)
    if isinstance(task, RemainingLife):
        return LifePrediction.of(np.concatenate([np.asarray(p[:, -1]) for p in parts])[:count], task)
    logits_NxKxC = jnp.concatenate([p[:, -1] for p in parts])[:count]
    survival_NxK, cif_NxCxK = map(np.asarray, incidence(logits_NxKxC))
    return EventPrediction(1 - survival_NxK[:, task.edges_h.index(task.horizon_h)], cif_NxCxK)


def _counted(task: Forecast, windows: Windows, laws: list[jax.Array], count: int) -> ForecastPrediction:
    """Means and quantiles of the targets' laws, each BxVxHxKx3; 0 of all other variates."""

    @jax.jit
    def told(law_BxTxHxKx3: jax.Array) -> tuple[jax.Array, jax.Array]:
        return counts.mean(law_BxTxHxKx3), counts.quantiles(law_BxTxHxKx3, task.quantiles)

    asked_V = (np.asarray(windows.role_ExV) == ROLES.index(Role.TARGET)).any(0)
    mean, quantiles = (np.concatenate(x)[:count] for x in zip(*(told(law[:, asked_V]) for law in laws), strict=True))
    mean_NxVxH = np.zeros((count, len(asked_V), task.horizon), np.float32)
    quantiles_NxVxHxQ = np.zeros((*mean_NxVxH.shape, len(task.quantiles)), np.float32)
    mean_NxVxH[:, asked_V], quantiles_NxVxHxQ[:, asked_V] = mean, quantiles
    scale = windows.scale
    return ForecastPrediction(
        scale.normalise(mean_NxVxH), scale.normalise(quantiles_NxVxHxQ, 2), np.asarray(task.quantiles)
    )
