"""Patch by patch the same is said as in one pass over all of them; and what cannot run so is refused."""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.models.recurrent import Recurrent
from learn.models.twinformer import TwinFormer
from learn.serving.stream import Stream
from learn.tasks import Forecast, States, TimeToEvent
from learn.windows.batch import Windows, anchors, gather
from sim.errors import InputError
from twins.channel import Role
from twins.episode import Episode, Series

PATCH, PATCHES = 6, 4
SHAPE = TwinFormer(width=16, layers=2, heads=2, hidden=24, patch=PATCH)


def awake(model):
    for kernel in (model.head.out.kernel, *([model.skip.map.kernel] if model.skip else [])):
        kernel[...] = 0.1 * jax.random.normal(jax.random.PRNGKey(1), kernel.shape)
    return model


@pytest.fixture(scope="module")
def known_windows():
    rng = np.random.default_rng(0)
    roles = {"load": Role.TARGET, "tariff": Role.KNOWN}
    series = tuple(
        Series("g", name, "1", role, rng.normal(1000, 5, size=100).astype(np.float32), step_h=1.0)
        for name, role in roles.items()
    )
    return Windows.of([Episode(0, "g", series)], context=24, task=Forecast(4))


@pytest.fixture(scope="module", params=["event", "series", "states", "known", "alone", "skip", "recurrent"])
def case(request, event_windows, series_windows, state_windows, known_windows):
    """(model, batch, outputs of one pass with patches first)"""
    several = {"event": event_windows, "states": state_windows, "known": known_windows}
    windows = several.get(request.param, series_windows)
    shape = TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=PATCH, mix=False, levels=False)
    ages = States("wear", tuple(f"hour {h}" for h in range(40)), 4)
    task = {"event": TimeToEvent(), "states": ages}.get(request.param, Forecast(4))
    recurrent = Recurrent(width=16, layers=2, heads=2, hidden=24, patch=PATCH)
    shapes = {"alone": shape, "skip": replace(SHAPE, skip=True), "recurrent": recurrent}
    model = awake(shapes.get(request.param, SHAPE).build(task, windows))
    batch = gather(windows, jnp.asarray(anchors(windows)[:20:5]))
    axis = 2 if isinstance(task, Forecast) else 1
    return model, batch, np.moveaxis(np.asarray(jax.jit(lambda b: model(b))(batch)), axis, 0)


def part(batch, first, last):
    """The samples of patches *first* … *last* − 1, with what comes after them."""
    a, b = first * PATCH, last * PATCH
    horizon = batch.future_BxVxH.shape[-1]
    whole = jnp.concatenate((batch.x_BxVxT, batch.future_BxVxH), axis=-1)
    return batch._replace(
        x_BxVxT=batch.x_BxVxT[..., a:b],
        mask_BxVxT=batch.mask_BxVxT[..., a:b],
        time_BxTxF=batch.time_BxTxF[:, a:b],
        gap_BxT=batch.gap_BxT[:, a:b],
        future_BxVxH=whole[..., b : b + horizon],
        event_h_BxT=batch.event_h_BxT[:, a:b],
        cause_BxL=batch.cause_BxL[:, a:b],
    )


def said(model, batch, cuts):
    stream = Stream(model, *batch.x_BxVxT.shape[:2], PATCHES)
    return [np.asarray(stream.push(part(batch, a, b))) for a, b in itertools.pairwise(cuts)]


@settings(max_examples=6)
@given(st.sets(st.integers(1, PATCHES - 1)))
def test_a_stream_says_what_one_pass_says(case, inner):
    model, batch, whole = case
    cuts = [0, *sorted(inner), PATCHES]
    axis = 2 if isinstance(model.task, Forecast) else 1
    for end, out in zip(cuts[1:], said(model, batch, cuts), strict=True):
        np.testing.assert_allclose(np.moveaxis(out, axis, 0)[0], whole[end - 1], atol=1e-5 * np.abs(whole).max())


def test_forgetting_what_went_before_is_noticed(case):
    """The planted fault: each patch by itself."""
    model, batch, whole = case
    out = np.asarray(Stream(model, *batch.x_BxVxT.shape[:2], PATCHES).push(part(batch, 3, 4)))
    axis = 2 if isinstance(model.task, Forecast) else 1
    assert np.abs(np.moveaxis(out, axis, 0)[0] - whole[-1]).max() > 1e-3 * np.abs(whole).max()


def test_what_does_not_fit_is_refused(case):
    model, batch, _ = case
    stream = Stream(model, *batch.x_BxVxT.shape[:2], 2)
    with pytest.raises(InputError, match="whole patches of 6"):
        stream.push(jax.tree.map(lambda a: a, part(batch, 0, 1))._replace(x_BxVxT=batch.x_BxVxT[..., :5]))
    stream.push(part(batch, 0, 2))
    with pytest.raises(InputError, match="room was made for 2 patches"):
        stream.push(part(batch, 2, 3))
    grown = TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=PATCH, growth=True)
    with pytest.raises(InputError, match="cannot run on a stream"):
        Stream(grown.build(Forecast(4), _windows()), 1, 3, 4)


def _windows():
    rng = np.random.default_rng(0)
    series = tuple(
        Series("g", f"q{v}", "1", Role.TARGET, rng.normal(size=100).astype(np.float32), step_h=1.0) for v in range(3)
    )
    return Windows.of([Episode(0, "g", series)], context=24, task=Forecast(4))
