"""Heads: quantiles never cross, hazards add up, and the first biases are those of the data."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from learn.models.heads import first_bias, incidence, quantiles
from learn.tasks import LEVELS, Forecast, TimeToEvent

numbers = st.floats(-50, 50, width=32)


@settings(max_examples=50)
@given(hnp.arrays(np.float32, (3, 21), elements=numbers))
def test_quantiles_never_cross_whatever_the_network_says(raw):
    assert np.all(np.diff(np.asarray(quantiles(jnp.asarray(raw))), axis=-1) >= 0)


def test_quantiles_never_cross_on_a_million_random_inputs():
    """Of layers as they come, ever wilder: all of their outputs rise."""
    levels = jax.jit(quantiles)
    for spread in (0.1, 1.0, 10.0, 100.0):
        raw = spread * jax.random.normal(jax.random.PRNGKey(int(spread * 10)), (250_000, 21))
        assert bool((jnp.diff(levels(raw), axis=-1) >= 0).all())


def test_before_training_quantiles_are_those_of_a_normal():
    first = np.asarray(quantiles(jnp.asarray(first_bias(Forecast(1)))))
    np.testing.assert_allclose(first[LEVELS.index(0.5)], 0, atol=1e-6)
    np.testing.assert_allclose(first[LEVELS.index(0.95)], 1.6449, atol=1e-3)
    np.testing.assert_allclose(first[LEVELS.index(0.01)], -2.3263, atol=1e-3)


@settings(max_examples=50)
@given(hnp.arrays(np.float32, (2, 5, 3), elements=numbers))
def test_survival_and_incidence_of_all_causes_add_up_to_one(logits):
    survival, by_cause = incidence(jnp.asarray(logits))
    np.testing.assert_allclose(survival + by_cause.sum(-2), 1, atol=1e-5)
    assert np.all(np.diff(np.asarray(by_cause), axis=-1) >= -1e-6)


def test_first_hazards_are_those_of_the_labels():
    rng = np.random.default_rng(0)
    task = TimeToEvent(causes=("a", "b"), edges_h=(1.0, 2.0, 4.0), horizon_h=2.0)
    life = rng.exponential(2.0, 20_000)
    cause = 1 + (rng.random(20_000) < 0.25)
    p = np.asarray(jax.nn.softmax(jnp.asarray(first_bias(task, life, cause.astype(np.int32)).reshape(3, 3))))
    np.testing.assert_allclose(p[0], [np.exp(-0.5), *(np.array([0.75, 0.25]) * (1 - np.exp(-0.5)))], atol=0.01)
    np.testing.assert_allclose(p[2, 0], np.exp(-1.0), atol=0.02)
