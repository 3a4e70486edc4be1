"""Windows and batches: what lies where, what is left out, and which anchors a split allows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from learn.tasks import Forecast, TimeToEvent
from learn.windows.batch import ROLES, Windows, anchors, gather, runs
from sim.errors import InputError
from twins.channel import Role
from twins.episode import Episode, Series, Spell

STEP_H = 0.5


def episode(run=0, n=60, spells=(), roles=(Role.TARGET, Role.PAST), offset=0.0, truth=None):
    series = [
        Series("m1", f"q{i}", "1", role, np.arange(n, dtype=np.float32) * (i + 1) + offset, step_h=STEP_H)
        for i, role in enumerate(roles)
    ]
    if truth is not None:
        series.append(Series("m1", "wear", "1", Role.TRUTH, truth, step_h=STEP_H))
    return Episode(run, "m1", tuple(series), spells=spells, end_h=n * STEP_H)


class Cut:
    """A dataset of one episode, split in time."""

    def __init__(self, from_h, to_h):
        self._span = (from_h, to_h)

    def episodes(self, split):
        return [episode()]

    def span(self, split):
        return self._span


def test_a_window_holds_the_samples_before_its_anchor_and_its_targets_after():
    windows = Windows.of([episode()], context=8, task=Forecast(4))
    batch = jax.jit(gather)(windows, jnp.asarray([[0, 8], [0, 30]]))
    restored = windows.scale.restore(batch.x_BxVxT)
    np.testing.assert_allclose(restored[1, 0], np.arange(22, 30), atol=1e-4)
    np.testing.assert_allclose(restored[0, 1], 2 * np.arange(8), atol=1e-4)
    np.testing.assert_allclose(windows.scale.restore(batch.future_BxVxH)[1, 0], np.arange(30, 34), atol=1e-4)
    assert batch.future_mask_BxVxH[:, 0].all()
    assert not batch.future_mask_BxVxH[:, 1].any()  # a past channel is no target
    assert batch.role_BxV[0].tolist() == [ROLES.index(Role.TARGET), ROLES.index(Role.PAST)]


def test_training_data_have_mean_zero_and_deviation_one():
    windows = Windows.of([episode(), episode(offset=5)], context=8, task=Forecast(4))
    x = np.asarray(windows.values_ExVxL)
    np.testing.assert_allclose(np.nanmean(x, axis=(0, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(np.nanstd(x, axis=(0, 2)), 1, atol=1e-5)
    other = Windows.of([episode(offset=9)], context=8, task=Forecast(4), scale=windows.scale)
    assert other.scale == windows.scale


def test_calendar_features_follow_the_epoch():
    windows = Windows.of([episode()], context=8, task=Forecast(1))  # 2025-01-01 is a Wednesday
    time_TxF = np.asarray(gather(windows, jnp.asarray([[0, 8]])).time_BxTxF[0])
    hour = np.arange(8) * STEP_H
    np.testing.assert_allclose(time_TxF[:, 0], np.sin(2 * np.pi * hour / 24), atol=1e-5)
    np.testing.assert_allclose(time_TxF[:, 3], np.cos(2 * np.pi * (hour + 48) / 168), atol=1e-5)


def test_labels_count_from_just_after_a_sample_to_the_end_of_its_spell():
    spells = (Spell(0.0, 10.25, "wear", 9.0), Spell(12.0, 20.0, "planned", 7.0), Spell(21.0, 30.0, "", 8.0))
    task = TimeToEvent(causes=("wear", "sudden"))
    windows = Windows.of([episode(spells=spells)], context=8, task=task)
    batch = gather(windows, jnp.asarray([[0, 20], [0, 30], [0, 44]]))
    np.testing.assert_allclose(batch.event_h_BxT[0, -1], 0.25)  # now is 10 h
    assert batch.cause_BxL[0].tolist() == [1] * 8
    assert batch.cause_BxL[1, -1] == 0
    np.testing.assert_allclose(batch.event_h_BxT[1, -1], 5.0)
    down = gather(windows, jnp.asarray([[0, 23]]))  # now is 11.5 h, under repair
    assert np.isnan(down.event_h_BxT[0, -1])
    assert down.cause_BxL[0, -1] == -1
    kept = anchors(windows)
    assert 23 not in kept[:, 1]
    assert 20 in kept[:, 1]


def test_truth_is_never_loaded():
    a, b = (Windows.of([episode(truth=np.full(60, v, np.float32))], context=8, task=Forecast(4)) for v in (0.0, 1e9))
    assert a.scale == b.scale
    assert "wear" not in a.scale.names
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def test_missing_values_are_masked_and_padded_variates_too():
    holed = episode()
    holed.series[0].values[10] = np.nan
    windows = Windows.of([holed, episode(run=7, roles=(Role.TARGET,))], context=8, task=Forecast(4))
    batch = gather(windows, jnp.asarray([[0, 12], [1, 12]]))
    assert batch.mask_BxVxT[0, 0].tolist() == [True] * 6 + [False, True]
    assert batch.x_BxVxT[0, 0, 6] == 0
    assert batch.variate_mask_BxV.tolist() == [[True, True], [True, False]]
    assert not batch.mask_BxVxT[1, 1].any()
    assert runs(windows, np.asarray([[1, 12]])).tolist() == [7]


def test_two_channels_of_one_quantity_are_two_variates():
    pair = [Series(b, "level", "1", Role.PAST, np.full(40, i, np.float32), step_h=1.0) for i, b in enumerate("ab")]
    windows = Windows.of([Episode(0, "m1", tuple(pair))], context=4, task=TimeToEvent())
    assert windows.scale.names == ("level", "level#2")


def test_a_window_belongs_to_the_side_of_its_first_target_and_ends_within_it():
    windows = Windows.of(Cut(10.0, 20.0), "validation", 8, task=Forecast(4))
    k = anchors(windows)[:, 1]
    assert k.tolist() == list(range(20, 37))  # 20 samples in the span, 4 targets: 17 windows
    assert anchors(windows, stride=5)[:, 1].tolist() == [20, 25, 30, 35]
    # the scale comes from the span alone
    np.testing.assert_allclose(windows.scale.mean[0], np.arange(20, 40).mean())


def test_irregular_samples_are_a_plain_sequence_and_a_context_of_zero_is_allowed():
    times = np.sort(np.random.default_rng(0).uniform(0, 100, 30))
    area = Series("home", "area", "m2", Role.KNOWN, np.linspace(50, 200, 30, dtype=np.float32), times_h=times)
    price = Series("home", "price", "1", Role.TARGET, np.linspace(1, 2, 30, dtype=np.float32), times_h=times)
    windows = Windows.of([Episode(0, "home", (area, price))], context=0, task=Forecast(1, loss="mse"))
    found = anchors(windows)
    assert len(found) == 30
    batch = gather(windows, found)
    np.testing.assert_allclose(windows.scale.restore(batch.future_BxVxH)[:, 0, 0], area.values, rtol=1e-5)
    assert batch.future_mask_BxVxH[:, 1].all()
    assert batch.x_BxVxT.shape == (30, 2, 0)


def test_a_slower_channel_fills_the_samples_it_has():
    slow = Series("m1", "oil", "1", Role.PAST, np.arange(15, dtype=np.float32), step_h=4 * STEP_H)
    fast = episode().series[0]
    windows = Windows.of([Episode(0, "m1", (fast, slow))], context=8, task=Forecast(1))
    mask = np.asarray(gather(windows, jnp.asarray([[0, 8]])).mask_BxVxT[0, 1])
    assert mask.tolist() == [True, False, False, False] * 2


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Windows.of([], "test", 8, task=Forecast(4)), "'test' holds no episode"),
        (lambda: anchors(Windows.of([episode()], context=100, task=Forecast(4))), "100 \\+ 4 samples"),
        (lambda: Windows.of([episode(truth=None, roles=())], context=1), "no channel"),
        (lambda: Windows.of([episode(spells=(Spell(0, 9, "rust", 1),))], task=TimeToEvent()), "'rust'"),
        (lambda: Forecast(0), "Forecast.horizon is 0"),
        (lambda: Forecast(3, quantiles=(0.5, 0.1)), "rise strictly"),
        (lambda: TimeToEvent(edges_h=(2.0, 1.0)), "edges_h"),
        (lambda: TimeToEvent(horizon_h=7.0), "one of the edges_h"),
    ],
)
def test_bad_input_is_one_sentence(make, says):
    with pytest.raises(InputError, match=says):
        make()


def test_an_unknown_channel_is_refused():
    scale = Windows.of([episode()], context=8, task=Forecast(4)).scale
    with pytest.raises(InputError, match="q2"):
        Windows.of([episode(roles=(Role.PAST,) * 3)], context=8, task=Forecast(4), scale=scale)
