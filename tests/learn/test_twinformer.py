"""TwinFormer: causal to the last bit, blind to the truth, of the stated sizes, and able to tell levels apart."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import load
from learn.models.layers import rope
from learn.models.recurrent import Recurrent
from learn.models.scaling import causal_scale
from learn.models.twinformer import TwinFormer
from learn.tasks import LEVELS, Forecast, States, TimeToEvent
from learn.windows.batch import Batch, Windows, anchors, gather
from sim.errors import InputError
from twins.channel import Role
from twins.episode import Episode, Series

PATCH = 6
SMALL = TwinFormer(width=16, layers=2, heads=2, hidden=24, patch=PATCH)
AGES = States("wear", tuple(f"hour {h}" for h in range(40)), 4)
RECURRENT = Recurrent(width=16, layers=2, heads=2, hidden=24, patch=PATCH)


def awake(model):
    """The model with its last layers, which start at zero, at work."""
    for kernel in (model.head.out.kernel, *([model.skip.map.kernel] if model.skip else [])):
        kernel[...] = 0.1 * jax.random.normal(jax.random.PRNGKey(1), kernel.shape)
    return model


@pytest.fixture(
    scope="module", params=["event", "series", "skip series", "states", "recurrent event", "recurrent series"]
)
def case(request, event_windows, series_windows, state_windows):
    """(model, batch, outputs with patches first)"""
    windows, task = {
        "event": (event_windows, TimeToEvent()),
        "series": (series_windows, Forecast(4)),
        "states": (state_windows, AGES),
    }[request.param.split()[-1]]
    shape = RECURRENT if "recurrent" in request.param else replace(SMALL, skip="skip" in request.param)
    model = awake(shape.build(task, windows))
    axis = 2 if isinstance(task, Forecast) else 1
    batch = gather(windows, jnp.asarray(anchors(windows)[:20:5]))
    return model, batch, jax.jit(lambda b: jnp.moveaxis(model(b), axis, 0))


def test_a_patch_depends_on_no_later_one(case):
    _, batch, outputs = case
    patches = batch.x_BxVxT.shape[-1] // PATCH

    @jax.jit
    @jax.grad
    def gradient_at(x, p):
        return jnp.sum(outputs(batch._replace(x_BxVxT=x))[p] ** 2)

    for p in range(patches):
        gradient = np.asarray(gradient_at(batch.x_BxVxT, p))
        assert np.all(gradient[..., (p + 1) * PATCH :] == 0)
        assert np.abs(gradient[..., p * PATCH : (p + 1) * PATCH]).max() > 0


@settings(max_examples=10)
@given(st.integers(1, 4), st.floats(-100, 100, width=32))
def test_changing_later_samples_changes_no_bit(case, kept, value):
    _, batch, outputs = case
    before = np.asarray(outputs(batch))
    changed = batch._replace(
        x_BxVxT=batch.x_BxVxT.at[..., kept * PATCH :].set(value),
        mask_BxVxT=batch.mask_BxVxT.at[..., kept * PATCH :].set(value > 0),
        time_BxTxF=batch.time_BxTxF.at[:, kept * PATCH :].set(value / 100),
    )
    np.testing.assert_array_equal(np.asarray(outputs(changed))[:kept], before[:kept])


def test_neither_targets_nor_labels_reach_the_outputs(case):
    _, batch, outputs = case

    def total(future, event_h):
        return jnp.sum(outputs(batch._replace(future_BxVxH=future, event_h_BxT=event_h)) ** 2)

    for gradient in jax.jit(jax.grad(total, argnums=(0, 1)))(batch.future_BxVxH, batch.event_h_BxT):
        assert np.all(np.asarray(gradient) == 0)


@pytest.mark.parametrize("shape", [SMALL, RECURRENT])
def test_the_truth_reaches_no_output_by_shuffling_it(episodes, shape):
    rng = np.random.default_rng(0)

    def shuffled(s):
        if s.role is not Role.TRUTH:
            return s
        return Series(s.entity, s.quantity, s.unit, s.role, rng.permutation(s.values), step_h=s.step_h)

    mixed = [Episode(e.run, e.asset, tuple(map(shuffled, e.series)), spells=e.spells, end_h=e.end_h) for e in episodes]
    a, b = (Windows.of(some, context=24, task=TimeToEvent()) for some in (episodes, mixed))
    model = awake(shape.build(TimeToEvent(), a))
    picked = jnp.asarray(anchors(a)[::40])
    outputs = jax.jit(lambda windows: model(gather(windows, picked)))
    np.testing.assert_array_equal(outputs(a), outputs(b))


def test_padded_variates_and_other_groups_change_nothing(case):
    model, batch, _ = case

    def padded(a, fill):
        return jnp.concatenate((a, jnp.full_like(a[:, :1], fill)), axis=1)

    wide = batch._replace(
        x_BxVxT=padded(batch.x_BxVxT, 9.0),
        mask_BxVxT=padded(batch.mask_BxVxT, True),
        role_BxV=padded(batch.role_BxV, 0),
        words_BxVxW=padded(batch.words_BxVxW, 0),
        zero_BxV=padded(batch.zero_BxV, 0.0),
        one_BxV=padded(batch.one_BxV, 1.0),
        group_BxV=padded(batch.group_BxV, 0),
        variate_mask_BxV=padded(batch.variate_mask_BxV, False),
        future_BxVxH=padded(batch.future_BxVxH, 0.0),
        future_mask_BxVxH=padded(batch.future_mask_BxVxH, False),
    )
    outputs = jax.jit(lambda b: model(b))
    narrow_out, wide_out = outputs(batch), outputs(wide)
    same = wide_out[:, : batch.x_BxVxT.shape[1]] if isinstance(model.task, Forecast) else wide_out
    np.testing.assert_allclose(same, narrow_out, atol=1e-5)
    if isinstance(model.task, Forecast):
        apart = wide._replace(
            group_BxV=wide.group_BxV.at[:, -1].set(1), variate_mask_BxV=wide.variate_mask_BxV.at[:, -1].set(True)
        )
        np.testing.assert_allclose(outputs(apart)[:, :-1], narrow_out, atol=1e-5)


def test_a_model_that_peeks_is_caught(case):
    """The causality test's own planted fault: the scale over the whole window."""
    _, batch, _ = case

    def whole_window(x):
        return jnp.sum((x - x.mean(-1, keepdims=True))[..., :PATCH] ** 2)

    assert np.abs(np.asarray(jax.grad(whole_window)(batch.x_BxVxT))[..., PATCH:]).max() > 0


SIZES = {
    "recurrent": 0.3,
    "nano": 0.3,
    "tiny": 1.6,
    "small": 10,
    "base": 79,
    "large": 311,
    "xl": 920,
    "xxl": 2450,
}  # millions


@pytest.mark.parametrize("name", SIZES)
def test_models_have_their_stated_sizes(name):
    plant = [Series("m1", f"q{v}", "1", Role.PAST, np.zeros(300, np.float32), step_h=1.0) for v in range(12)]
    windows = Windows.of([Episode(0, "m1", tuple(plant))], context=144, task=TimeToEvent())
    shape = load("line_failure", [f"model={name}"]).part("model")
    model = nnx.eval_shape(lambda: shape.build(TimeToEvent(), windows))
    size = sum(p.size for p in jax.tree.leaves(nnx.split(model)[1]))
    assert size == pytest.approx(1e6 * SIZES[name], rel=0.1)


def test_the_causal_scale_is_that_of_the_samples_so_far():
    rng = np.random.default_rng(0)
    x = rng.normal(1000, 5, size=(2, 3, 4, PATCH)).astype(np.float32)
    mask = rng.random(x.shape) < 0.8
    (location, spread, own), _ = causal_scale(jnp.asarray(np.where(mask, x, 0)), jnp.asarray(mask))
    for p in range(4):
        seen, now = (np.where(mask, x, np.nan)[:, :, part] for part in (slice(0, p + 1), slice(p, p + 1)))
        np.testing.assert_allclose(location[..., p], np.nanmean(seen, (2, 3)), rtol=1e-5)
        np.testing.assert_allclose(spread[..., p], np.nanstd(seen, (2, 3)), rtol=1e-2)
        np.testing.assert_allclose(own[..., p], np.nanmean(now, (2, 3)), rtol=1e-5)


def test_absolute_levels_survive_the_scaling(event_windows):
    model = awake(SMALL.build(TimeToEvent(), event_windows))
    batch = gather(event_windows, jnp.asarray(anchors(event_windows)[:4]))
    outputs = jax.jit(lambda x: model(batch._replace(x_BxVxT=x)))
    assert np.abs(np.asarray(outputs(batch.x_BxVxT) - outputs(batch.x_BxVxT + 1))).max() > 1e-3


def test_rope_makes_products_depend_on_distance_alone():
    q, k = jax.random.normal(jax.random.PRNGKey(0), (2, 8))
    a = rope(jnp.broadcast_to(q, (6, 8))) @ rope(jnp.broadcast_to(k, (6, 8))).T
    for distance in range(-5, 6):
        diagonal = np.diag(np.asarray(a), distance)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-4)


@pytest.mark.parametrize("shape", [SMALL, RECURRENT])
def test_known_channels_are_seen_ahead(shape):
    rng = np.random.default_rng(0)
    tariff = Series("g", "tariff", "1", Role.KNOWN, rng.normal(size=100).astype(np.float32), step_h=1.0)
    load = Series("g", "load", "1", Role.TARGET, rng.normal(size=100).astype(np.float32), step_h=1.0)
    windows = Windows.of([Episode(0, "g", (tariff, load))], context=24, task=Forecast(4))
    model = awake(shape.build(Forecast(4), windows))
    batch = gather(windows, jnp.asarray([[0, 50]]))

    def last_load(future):
        return jnp.sum(model(batch._replace(future_BxVxH=future), last=True)[:, 1] ** 2)

    gradient = np.asarray(jax.jit(jax.grad(last_load))(batch.future_BxVxH))
    assert np.abs(gradient[:, 0]).max() > 0
    assert np.all(gradient[:, 1] == 0)


def test_bfloat16_computes_in_it_and_keeps_its_parameters(series_windows):
    shape = TwinFormer(width=16, layers=2, heads=2, hidden=24, patch=PATCH, bf16=True)
    model = awake(shape.build(Forecast(4), series_windows))
    exact = awake(SMALL.build(Forecast(4), series_windows))
    batch: Batch = gather(series_windows, jnp.asarray([[0, 40], [1, 60]]))
    assert all(p.dtype == jnp.float32 for p in jax.tree.leaves(nnx.split(model)[1]))
    out, reference = jax.jit(lambda b: model(b))(batch), jax.jit(lambda b: exact(b))(batch)
    assert out.dtype == jnp.float32
    assert out.shape == (2, 3, 4, 4, len(LEVELS))
    np.testing.assert_allclose(out, reference, atol=0.1)
    assert not np.array_equal(out, reference)


def test_dropout_needs_a_key_and_follows_it(event_windows):
    model = awake(TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=PATCH, dropout=0.5).build(
        TimeToEvent(), event_windows))  # fmt: skip
    batch = gather(event_windows, jnp.asarray(anchors(event_windows)[:4]))
    keys = jax.random.split(jax.random.PRNGKey(0))
    outputs = jax.jit(lambda key: model(batch, key))
    np.testing.assert_array_equal(outputs(None), outputs(None))
    np.testing.assert_array_equal(outputs(keys[0]), outputs(keys[0]))
    assert not np.array_equal(outputs(keys[0]), outputs(keys[1]))


@pytest.mark.parametrize("lag", [1, 8, 24])
def test_the_linear_skip_repeats_what_lay_a_lag_before(series_windows, lag):
    """One weight of 1 on the sample so many back: all of the horizon is moved by how far that lay from the mean."""
    batch = gather(series_windows, jnp.asarray([[0, 40], [1, 60]]))
    model = replace(SMALL, skip=True).build(Forecast(4), series_windows)
    plain = jax.jit(lambda b: model(b))(batch)
    kernel = model.skip.map.kernel
    patch, within = divmod(24 - lag, PATCH)
    kernel[...] = kernel[...].at[patch, within].set(1.0)
    out = jax.jit(lambda b: model(b))(batch)
    x, seen = (np.asarray(a).reshape(2, 3, 4, PATCH) for a in (batch.x_BxVxT, batch.mask_BxVxT))
    (location, *_), _ = causal_scale(jnp.asarray(x), jnp.asarray(seen))
    for p in range(4):
        at = (p + 1) * PATCH - lag
        there = (at >= 0) & np.asarray(batch.mask_BxVxT)[..., max(at, 0)]
        moved = np.where(there, np.asarray(batch.x_BxVxT)[..., max(at, 0)] - location[..., p], 0.0)
        np.testing.assert_allclose(out[:, :, p] - plain[:, :, p], moved[..., None, None] * np.ones((4, 21)), atol=1e-5)


def test_a_linear_skip_is_of_forecasts_alone(event_windows):
    with pytest.raises(InputError, match=r"model\.skip is true, which takes a forecast"):
        replace(SMALL, skip=True).build(TimeToEvent(), event_windows)


@pytest.mark.parametrize("wrong", [{"width": 90}, {"layers": 0}, {"dropout": 1.0}, {"patch": 0}, {"identity_std": 0}])
def test_bad_shapes_are_refused(wrong):
    with pytest.raises(InputError, match=f"TwinFormer.{next(iter(wrong))}"):
        TwinFormer(**wrong)


def test_a_context_without_a_patch_is_refused(event_windows):
    with pytest.raises(InputError, match=r"at least model\.patch, which is 48"):
        TwinFormer(patch=48).build(TimeToEvent(), event_windows)


def test_without_mixing_a_variate_is_read_by_itself_and_without_levels_by_its_shape(series_windows):
    batch = gather(series_windows, jnp.asarray([[0, 40], [1, 60]]))
    full = batch._replace(mask_BxVxT=jnp.ones_like(batch.mask_BxVxT))
    raised = full._replace(x_BxVxT=full.x_BxVxT.at[:, 1].add(2.0))

    def outputs(**options):
        shape = TwinFormer(width=16, layers=2, heads=2, hidden=24, patch=PATCH, **options)
        model = awake(shape.build(Forecast(4), series_windows))
        return [np.asarray(jax.jit(lambda b: model(b))(b)) for b in (full, raised)]

    before, after = outputs(mix=False, levels=False)
    np.testing.assert_array_equal(before[:, [0, 2]], after[:, [0, 2]])
    np.testing.assert_allclose(before[:, 1] + 2.0, after[:, 1], atol=1e-3)
    before, after = outputs()
    assert np.abs(before[:, [0, 2]] - after[:, [0, 2]]).max() > 1e-3
    assert np.abs(before[:, 1] + 2.0 - after[:, 1]).max() > 1e-3


def test_the_more_identities_spread_at_first_the_more_it_matters_which_channel_is_which(series_windows):
    batch = gather(series_windows, jnp.asarray([[0, 40], [1, 60]]))
    order = jnp.array([1, 0, *range(2, batch.x_BxVxT.shape[1])])
    renamed = batch._replace(words_BxVxW=batch.words_BxVxW[:, order])

    def moved(spread):
        model = awake(replace(SMALL, identity_std=spread).build(Forecast(4), series_windows))
        told, other = (jax.jit(lambda b: model(b))(b) for b in (batch, renamed))
        return float(jnp.abs(told - other).mean())

    assert moved(1.0) > 5 * moved(0.02) > 0
