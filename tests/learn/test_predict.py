"""Predictions: one for each anchor, the same whatever the chunk, read off rightly from the outputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from learn.models.twinformer import TwinFormer
from learn.scores.metrics import EventPrediction, ForecastPrediction
from learn.serving.predict import predict
from learn.tasks import Forecast, TimeToEvent
from learn.training.update import split
from learn.windows.batch import anchors, gather

SMALL = TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=6)


@pytest.mark.parametrize("chunk", [3, 8, 1000])
def test_events_are_read_off_at_the_horizon(event_windows, chunk):
    task = TimeToEvent()
    model = SMALL.build(task, event_windows)
    picked = anchors(event_windows)[:10]
    found = predict(model, None, event_windows, picked, chunk)
    assert isinstance(found, EventPrediction)
    assert found.cif_NxCxK is not None
    assert found.cif_NxCxK.shape == (10, 2, len(task.edges_h))
    np.testing.assert_allclose(found.p_N, found.cif_NxCxK[:, :, task.edges_h.index(24.0)].sum(1), atol=1e-6)
    np.testing.assert_allclose(found.p_N, predict(model, None, event_windows, picked, 5).p_N, atol=1e-6)


def test_forecasts_are_the_last_patch(series_windows):
    model = SMALL.build(Forecast(4), series_windows)
    picked = anchors(series_windows)[:10]
    found = predict(model, split(model)[1], series_windows, picked)
    assert isinstance(found, ForecastPrediction)
    whole = jax.jit(lambda b: model(b))(gather(series_windows, jnp.asarray(picked)))
    np.testing.assert_allclose(found.quantiles_NxVxHxQ, whole[:, :, -1], atol=1e-5)
    # before training: normal quantiles about the causal location, so the mean is the median
    np.testing.assert_allclose(found.mean_NxVxH, found.quantiles_NxVxHxQ[..., 10], atol=1e-3)


def test_a_mean_forecast_is_a_point(series_windows):
    task = Forecast(4, loss="mse")
    found = predict(SMALL.build(task, series_windows), None, series_windows, anchors(series_windows)[:3])
    assert isinstance(found, ForecastPrediction)
    assert found.levels.tolist() == [0.5]
