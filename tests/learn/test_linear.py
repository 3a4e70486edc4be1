"""The linear model: least squares to three digits on the classic exercise, and the same interface as the large ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from learn.models.linear import Linear, in_units
from learn.serving.predict import predict
from learn.tasks import Forecast, TimeToEvent
from learn.training.fit import Budget, fit
from learn.training.update import Optim, split
from learn.windows.batch import Windows, anchors, gather
from sim.errors import InputError
from twins.channel import Role
from twins.episode import Episode, Series


def homes(noise: float, n: int = 400) -> Windows:
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 1000, n))
    area = rng.uniform(40, 200, n).astype(np.float32)
    price = (3000 * area + 50_000 + noise * rng.normal(size=n)).astype(np.float32)
    series = (
        Series("home", "area", "m2", Role.KNOWN, area, times_h=times),
        Series("home", "price", "1", Role.TARGET, price, times_h=times),
    )
    return Windows.of([Episode(0, "home", series)], context=0, task=Forecast(1, loss="mse"))


def test_one_dense_layer_by_adam_finds_the_least_squares_line():
    windows = homes(noise=10_000.0)
    model = Linear().build(Forecast(1, loss="mse"), windows)
    assert sum(p.size for p in jax.tree.leaves(split(model)[1])) == 2
    budget = Budget(steps=600, batch=400, chunk=100, validate_every=600)
    fitted = fit(model, windows, None, Optim(0.05, weight_decay=0, clip=None, final=0.0), budget)
    trained = nnx.merge(split(model)[0], fitted.params)
    x, y = (np.asarray(windows.values_ExVxL)[0, v, :400] for v in (0, 1))
    normal = np.linalg.lstsq(np.stack((x, np.ones_like(x)), 1), y, rcond=None)[0]
    w = np.asarray(trained.dense.kernel[...])[0, 0]
    assert abs(w - normal[0]) < 1e-3
    slope, intercept = in_units(trained, windows.scale)
    np.testing.assert_allclose(slope, [[3000]], rtol=0.01)
    np.testing.assert_allclose(intercept, [50_000], rtol=0.1)
    prediction = predict(model, fitted.params, windows, anchors(windows))
    np.testing.assert_allclose(prediction.mean_NxVxH[:, 1, 0], w * x, atol=1e-3)


def test_it_forecasts_from_the_flattened_context(series_windows):
    model = Linear().build(Forecast(4), series_windows)
    out = model(gather(series_windows, jnp.asarray([[0, 40], [1, 50]])))
    assert out.shape == (2, 3, 1, 4, 21)
    assert np.all(np.diff(np.asarray(out[:, 0]), axis=-1) > 0)


def test_it_learns_hazards(event_windows):
    model = Linear().build(TimeToEvent(), event_windows)
    fitted = fit(model, event_windows, None, Optim(3e-3), Budget(steps=60, batch=64, chunk=30))
    assert fitted.rows[-1]["loss"] < fitted.rows[0]["loss"]


def test_a_model_with_nothing_to_see_is_refused():
    price = Series("home", "price", "1", Role.TARGET, np.arange(9, dtype=np.float32), step_h=1.0)
    windows = Windows.of([Episode(0, "home", (price,))], context=0, task=Forecast(1))
    with pytest.raises(InputError, match="nothing to look at"):
        Linear().build(Forecast(1), windows)
