"""The step: pure, the same in parts, over seeds at once, with decay only where it belongs."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from learn.models.twinformer import TwinFormer
from learn.tasks import Forecast, TimeToEvent
from learn.training.losses import loss
from learn.training.update import Optim, decayed, make_update, split, start, told
from learn.windows.batch import anchors, gather
from sim.errors import InputError

SMALL = TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=6)
OPTIM = Optim(learning_rate=1e-2)


@pytest.fixture(scope="module")
def ready(event_windows):
    graphdef, params = split(SMALL.build(TimeToEvent(), event_windows))
    transform = OPTIM.transform(20)
    batch = gather(event_windows, jnp.asarray(anchors(event_windows)[:32:2]))
    return graphdef, params, transform, batch


def test_a_step_leaves_its_state_alone_and_repeats(ready):
    graphdef, params, transform, batch = ready
    update = jax.jit(make_update(graphdef, transform))
    state = start(params, transform)
    before = jax.tree.map(np.array, state)
    a, b = update(state, batch)[0], update(state, batch)[0]
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.array, state))
    jax.tree.map(np.testing.assert_array_equal, a, b)
    assert int(a.step) == 1


def test_the_gradient_of_parts_is_that_of_the_whole(ready):
    graphdef, params, transform, batch = ready
    state = start(params, transform)
    whole = jax.jit(make_update(graphdef, transform))(state, batch)[1]
    parts = jax.jit(make_update(graphdef, transform, microbatch=4))(state, batch)[1]
    for name in whole:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-4)
    with pytest.raises(InputError, match="must divide"):
        make_update(graphdef, transform, microbatch=5)(state, batch)


def test_seeds_run_side_by_side(event_windows, ready):
    graphdef, _, transform, batch = ready
    update = make_update(graphdef, transform)
    states = [start(split(SMALL.build(TimeToEvent(), event_windows, seed))[1], transform, seed) for seed in range(3)]
    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    together, metrics = jax.jit(jax.vmap(update, in_axes=(0, None)))(together, batch)
    assert metrics["loss"].shape == (3,)
    one = jax.jit(update)
    for seed, state in enumerate(states):
        alone, _ = one(state, batch)
        for a, b in zip(jax.tree.leaves(alone.params), jax.tree.leaves(together.params), strict=True):
            np.testing.assert_allclose(b[seed], a, atol=2e-3)


def test_the_running_mean_is_that_of_the_parameters_and_changes_no_step(ready):
    graphdef, params, transform, batch = ready
    averaging = replace(OPTIM, average=0.15).transform(20)
    plain, averaged = (jax.jit(make_update(graphdef, t)) for t in (transform, averaging))
    newest, state, mean = start(params, transform), start(params, averaging), params
    for kept in (0.1, 0.15, 0.15):  # after no step 1/10, after one 2/11, above what is asked for
        newest, state = plain(newest, batch)[0], averaged(state, batch)[0]
        mean = jax.tree.map(lambda old, now, kept=kept: kept * old + (1 - kept) * now, mean, newest.params)
    jax.tree.map(np.testing.assert_array_equal, state.params, newest.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), told(state), mean)
    assert told(newest) is newest.params
    with pytest.raises(AssertionError):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), told(state), state.params)


def test_activations_made_again_give_the_same_gradient_and_are_not_kept_for_it(event_windows, ready):
    *_, batch = ready
    shape = replace(SMALL, layers=4, dropout=0.1)
    kept, again = (split(s.build(TimeToEvent(), event_windows)) for s in (shape, replace(shape, remat=True)))

    def objective(graphdef, params):
        model = nnx.merge(graphdef, params)
        return loss(model.task, model(batch, jax.random.PRNGKey(0)), batch)[0]

    one, other = (jax.jit(jax.grad(partial(objective, graphdef)))(params) for graphdef, params in (kept, again))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), one, other)
    held = [
        sum(
            leaf.size
            for leaf in jax.tree.leaves(jax.eval_shape(lambda p, g=g: jax.vjp(partial(objective, g), p)[1], p))
        )
        for g, p in (kept, again)
    ]  # numbers that the forward pass leaves to the backward one
    assert held[1] < 0.3 * held[0]


def test_only_kernels_decay(ready):
    params = ready[1]
    names = {jax.tree_util.keystr(path) for path, on in jax.tree_util.tree_flatten_with_path(decayed(params))[0] if on}
    assert names
    assert all("kernel" in name for name in names)
    assert not any(word in name for name in names for word in ("scale", "bias", "embedding"))


def test_the_learning_rate_warms_up_and_falls():
    transform = Optim(learning_rate=1.0, weight_decay=0, warmup=0.1, clip=None, final=0.0).transform(100)
    w = {"kernel": jnp.ones(1)}
    state, sizes = transform.init(w), []
    for _ in range(100):
        change, state = transform.update({"kernel": jnp.ones(1)}, state, w)
        sizes.append(float(abs(change["kernel"][0])))
    assert sizes[0] < 0.2
    assert sizes.index(max(sizes)) in range(8, 13)
    assert sizes[-1] < 0.01


def test_training_lowers_the_loss(ready):
    graphdef, params, transform, batch = ready
    update = make_update(graphdef, transform)
    _, metrics = jax.lax.scan(lambda s, _: update(s, batch), start(params, transform), None, length=20)
    assert metrics["loss"][-1] < 0.9 * metrics["loss"][0]


def test_a_forecast_trains_too(series_windows):
    graphdef, params = split(SMALL.build(Forecast(4), series_windows))
    transform = OPTIM.transform(20)
    batch = gather(series_windows, jnp.asarray(anchors(series_windows)[:16]))
    update = make_update(graphdef, transform)
    _, metrics = jax.lax.scan(lambda s, _: update(s, batch), start(params, transform), None, length=20)
    assert metrics["loss"][-1] < 0.9 * metrics["loss"][0]


@pytest.mark.parametrize("wrong", [{"learning_rate": 0.0}, {"warmup": 1.0}, {"clip": 0.0}, {"beta2": 1.0}])
def test_bad_settings_are_refused(wrong):
    with pytest.raises(InputError, match=f"Optim.{next(iter(wrong))}"):
        Optim(**wrong)
