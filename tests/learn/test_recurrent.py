"""The recurrent model: its layer as written out step by step, one mask a sequence, all tasks, and it learns."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from learn.models.layers import dropout
from learn.models.recurrent import Recurrent
from learn.models.twinformer import spoken
from learn.serving.predict import predict
from learn.tasks import Forecast, RemainingLife, TimeToEvent
from learn.training.fit import Budget, fit
from learn.training.update import Optim
from learn.windows.batch import anchors, gather

SHAPE = Recurrent(width=8, layers=1, heads=2, hidden=12, patch=6, dropout=0.5)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_a_layer_is_the_one_that_is_written_out(rate):
    layer = Recurrent(width=8, heads=2, dropout=rate).block(jnp.float32, nnx.Rngs(0))
    z = jax.random.normal(jax.random.PRNGKey(1), (2, 3, 5, 8))
    reads = jnp.asarray(np.random.default_rng(0).random((2, 3, 3)) < 0.5) | jnp.eye(3, dtype=bool)
    key = jax.random.PRNGKey(2)
    found = np.asarray(layer(z, reads, key))
    of_input, of_state = jax.random.split(key)
    x = np.asarray(layer.norm(z))
    across = np.stack([[x[b, np.asarray(reads[b, v])].mean(0) for v in range(3)] for b in range(2)])
    keep_input = np.asarray(dropout(jnp.ones((2, 3, 16)), rate, jnp.asarray(of_input)))
    keep_state = np.asarray(dropout(jnp.ones((2, 3, 8)), rate, of_state))
    assert (rate == 0) == bool((keep_input == 1).all())
    w, u, bias = (np.asarray(p[...]) for p in (layer.into.kernel, layer.back.kernel, layer.into.bias))
    h = c = np.zeros((2, 3, 8))

    def squash(a):
        return 1 / (1 + np.exp(-a))

    for p in range(5):
        i, f, g, o = np.split(
            (np.concatenate((x, across), -1)[:, :, p] * keep_input) @ w + bias + (h * keep_state) @ u, 4, -1
        )
        c = squash(f) * c + squash(i) * np.tanh(g)
        h = squash(o) * np.tanh(c)
        np.testing.assert_allclose(found[:, :, p], np.asarray(z)[:, :, p] + h, atol=1e-5)


def test_a_word_is_left_out_of_all_channels_of_a_window():
    embed = nnx.Embed(256, 4, rngs=nnx.Rngs(0))
    words = jnp.broadcast_to(jnp.asarray([[3], [3], [9]]), (400, 3, 1))
    said = np.asarray(spoken(embed, words, 0.25, jax.random.PRNGKey(0)))
    gone = np.abs(said).max(-1) == 0
    np.testing.assert_array_equal(gone[:, 0], gone[:, 1])
    assert 0.15 < gone[:, 0].mean() < 0.35
    assert (gone[:, 0] != gone[:, 2]).any()
    np.testing.assert_allclose(
        said[~gone[:, 0], 0], np.asarray(embed(jnp.asarray(3))) / 0.75 * np.ones((sum(~gone[:, 0]), 1)), rtol=1e-5
    )


@pytest.mark.parametrize("task", [TimeToEvent(), Forecast(4), RemainingLife()])
def test_it_answers_every_task_and_learns(task, event_windows, series_windows):
    windows = series_windows if isinstance(task, Forecast) else event_windows
    model: Any = SHAPE.build(task, windows)
    fitted = fit(model, windows, None, Optim(1e-2), Budget(steps=60, batch=32, chunk=20, stride=3))
    assert fitted.rows[-1]["loss"] < 0.95 * fitted.rows[0]["loss"]
    assert predict(model, fitted.params, windows, anchors(windows)[:5]) is not None
    batch = gather(windows, jnp.asarray(anchors(windows)[:4]))
    keys = jax.random.split(jax.random.PRNGKey(0))
    trained = nnx.merge(nnx.split(model)[0], fitted.params)
    once, again = (jax.jit(lambda key: trained(batch, key)) for _ in range(2))  # traced twice: no chance is built in
    np.testing.assert_array_equal(once(keys[0]), again(keys[0]))
    assert not np.array_equal(once(keys[0]), once(keys[1]))
