"""Losses against closed forms, and the likelihood of hazards against a brute-force one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, mean_pinball_loss

from learn.tasks import Forecast
from learn.training.losses import cross_entropy, hazard, loss, moments, pinball, squared_error, targets
from learn.windows.batch import gather

EDGES = (1.0, 2.0, 4.0, 8.0)


def test_pinball_and_cross_entropy_and_squared_error_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    y, q = rng.normal(size=200), np.sort(rng.normal(size=(200, 3)), axis=1)
    levels = (0.1, 0.5, 0.9)
    ours = pinball(jnp.asarray(q), jnp.asarray(y), levels).mean()
    theirs = np.mean([mean_pinball_loss(y, q[:, i], alpha=a) for i, a in enumerate(levels)])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    logits, label = rng.normal(size=(200, 4)), rng.integers(0, 4, 200)
    entropy = cross_entropy(jnp.asarray(logits), jnp.asarray(label)).mean()
    np.testing.assert_allclose(entropy, log_loss(label, jax.nn.softmax(logits)), rtol=1e-5)
    np.testing.assert_allclose(squared_error(jnp.asarray([1.0]), jnp.asarray([3.0])), [4.0])


@settings(max_examples=60)
@given(st.floats(0.01, 20), st.integers(0, 2), st.integers(0, 1000))
def test_the_likelihood_of_a_life_is_that_of_its_bins(life_h, cause, seed):
    logits = np.random.default_rng(seed).normal(size=(4, 3))
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected, left = 1.0, 0.0
    for k, right in enumerate(EDGES):
        if life_h > right:
            expected *= p[k, 0]
        elif life_h > left:
            expected *= p[k, cause] if cause else p[k, 0] ** ((life_h - left) / (right - left))
        left = right
    found = hazard(jnp.asarray(logits), jnp.asarray(life_h), jnp.asarray(cause), EDGES)
    np.testing.assert_allclose(found, -np.log(expected), rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("fault", [False, True])
def test_hazards_fitted_to_censored_lives_are_the_true_ones(fault):
    """Exponential lives of two causes, censored inside bins at random; ending the bin at censoring is the fault."""
    rng = np.random.default_rng(1)
    a, b, censored = (rng.exponential(m, 40_000) for m in (5.0, 10.0, 4.0))
    life = np.minimum(np.minimum(a, b), censored)
    cause = np.where(censored <= life, 0, np.where(a <= life, 1, 2))
    if fault:
        edges = np.asarray(EDGES)
        up = edges[np.minimum(np.searchsorted(edges, life), 3)]
        life = np.where(cause == 0, np.maximum(up, life), life)

    def objective(logits):
        return hazard(jnp.broadcast_to(logits, (len(life), 4, 3)), jnp.asarray(life), jnp.asarray(cause), EDGES).mean()

    logits, step = jnp.zeros((4, 3)), jax.jit(jax.grad(objective))
    for _ in range(150):
        logits = logits - 3.0 * step(logits)
    survival = np.asarray(jax.nn.softmax(logits))[:, 0]
    width = np.diff(EDGES, prepend=0)
    close = np.abs(survival - np.exp(-0.3 * width)) < 0.02
    assert close[:3].all() != fault


def test_off_risk_moments_count_nothing_and_have_no_gradient():
    def value(logits):
        return hazard(logits, jnp.asarray(jnp.nan), jnp.asarray(-1), EDGES) * 0 + hazard(
            logits, jnp.asarray(3.0), jnp.asarray(0), EDGES
        )

    assert np.isfinite(jax.grad(value)(jnp.zeros((4, 3)))).all()


def test_targets_of_each_moment_are_the_samples_after_it(series_windows):
    batch = gather(series_windows, jnp.asarray([[0, 50], [1, 90]]))
    y, mask = targets(batch, 4)
    assert moments(24, 4).tolist() == [6, 12, 18, 24]
    np.testing.assert_array_equal(y[:, :, -1], batch.future_BxVxH)
    np.testing.assert_array_equal(y[:, :, 0], batch.x_BxVxT[..., 6:10])
    np.testing.assert_array_equal(mask[:, 0], True)
    assert not mask[:, 1:].any()  # only targets count
    total, count = loss(Forecast(4, loss="mse"), jnp.zeros((2, 3, 4, 4, 1)), batch)
    assert count == 2 * 4 * 4
    np.testing.assert_allclose(total, np.square(y[:, 0]).sum(), rtol=1e-5)
