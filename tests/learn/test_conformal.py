"""Coverage: exact on exchangeable data whatever the quantiles were, and regained after a drift."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.scores.conformal import adaptive, conformal, fewest, followed, shift
from learn.scores.metrics import ForecastPrediction, ForecastTruth
from learn.tasks import LEVELS
from sim.errors import InputError


@given(st.integers(20, 400), st.sampled_from([0.05, 0.3, 0.5, 0.9]), st.integers(0, 10))
def test_a_shift_covers_at_least_its_level_and_hardly_more(n, level, seed):
    """Of n + 1 exchangeable misses without ties the last lies below the shift of the others in ⌈(n + 1)a⌉ of n + 1."""
    miss = np.random.default_rng(seed).normal(size=n + 1)
    covered = [miss[i] <= shift(np.zeros(n), np.delete(miss, i), level) for i in range(n + 1)]
    assert level - 1e-9 <= np.mean(covered) <= level + 1 / (n + 1) + 1e-9


def test_too_few_windows_for_a_level_are_refused():
    with pytest.raises(InputError, match=r"19 windows cannot tell where a quantile of level 0\.99 lies"):
        shift(np.zeros(19), np.arange(19.0), 0.99)


@given(st.floats(0.001, 0.999))
def test_the_fewest_windows_that_a_level_needs_are_enough_for_it_and_one_less_is_not(level):
    n = fewest(level)
    assert shift(np.zeros(n), np.arange(float(n)), level) <= n - 1
    if n > 1:
        with pytest.raises(InputError, match=f"give {n}$"):
            shift(np.zeros(n - 1), np.arange(n - 1.0), level)


@settings(max_examples=5)
@given(st.floats(0.3, 3), st.floats(-1, 1), st.integers(0, 100))
def test_wrong_quantiles_come_to_cover_what_they_claim(width, bias, seed):
    rng = np.random.default_rng(seed)
    levels, normal = np.array(LEVELS), np.quantile(np.random.default_rng(1).normal(size=100_000), LEVELS)

    def told(n):
        location = rng.normal(size=(n, 1, 4))
        y = location + rng.standard_t(5, size=location.shape)
        quantiles = bias + location[..., None] + width * normal
        return ForecastPrediction(location, quantiles, levels), ForecastTruth(y, np.ones(y.shape, bool))

    calibration, seen = told(5000)
    prediction, truth = told(5000)
    moved = conformal(prediction, calibration, seen)
    cover = (truth.y_NxVxH[..., None] <= moved.quantiles_NxVxHxQ).mean((0, 1, 2))
    np.testing.assert_allclose(cover, levels, atol=0.015)
    assert np.abs(cover - levels).mean() < 0.01
    assert np.all(np.diff(moved.quantiles_NxVxHxQ, axis=-1) >= 0)
    before = (truth.y_NxVxH[..., None] <= prediction.quantiles_NxVxHxQ).mean((0, 1, 2))
    assert abs(width - 1) + abs(bias) < 0.3 or np.abs(before - levels).max() > 0.03  # the planted fault


def test_an_adaptive_level_regains_its_coverage_after_a_drift():
    rng = np.random.default_rng(0)
    score = np.concatenate((np.abs(rng.normal(0, 1, 1500)), np.abs(rng.normal(0, 3, 1500))))
    found = adaptive(score, 0.9, rate=0.02, window=250)
    assert found.covered_T[500:1500].mean() == pytest.approx(0.9, abs=0.01)
    assert found.covered_T[2000:].mean() == pytest.approx(0.9, abs=0.01)
    frozen = score[2000:] <= np.quantile(score[:1500], 0.9)  # the planted fault: a level that follows nothing
    assert frozen.mean() < 0.6


@given(st.lists(st.floats(-5, 5), min_size=50, max_size=300), st.sampled_from([0.5, 0.8, 0.9]))
def test_the_bound_on_coverage_holds_whatever_comes(score, coverage):
    found, rate = adaptive(np.array(score), coverage, rate=0.05), 0.05
    bound = (max(coverage, 1 - coverage) + rate) / (len(score) * rate)
    assert abs(found.covered_T.mean() - coverage) <= bound + 1e-9


def test_what_was_not_observed_moves_no_level():
    rng = np.random.default_rng(0)
    score, gone = rng.normal(size=400), rng.random(400) < 0.5
    found = adaptive(np.where(gone, np.nan, score), 0.8, window=400)
    whole = adaptive(score[~gone], 0.8, window=400)
    np.testing.assert_array_equal(found.width_T[~gone], whole.width_T)
    np.testing.assert_array_equal(found.covered_T[~gone], whole.covered_T)
    assert not found.covered_T[gone].any()


def test_each_series_is_steered_as_if_alone_and_earlier_scores_give_the_first_width():
    rng = np.random.default_rng(0)
    score, past, coverage = rng.normal(size=(2, 3, 60)), rng.normal(size=(2, 3, 99)), np.array([0.5, 0.8, 0.95])
    found = adaptive(score, coverage, past_M=past)
    for a, b in np.ndindex(2, 3):
        alone = adaptive(score[a, b], coverage[b], past_M=past[a, b])
        np.testing.assert_array_equal(found.width_T[a, b], alone.width_T)
        assert found.width_T[a, b, 0] == shift(np.zeros(99), past[a, b], coverage[b])


def told(rng, runs, samples, horizon, drift=0.0):
    """Forecasts of *runs* series that do not know of a drift in the second half, one at every sample."""
    y_RxS = rng.normal(size=(runs, samples + horizon))
    y_RxS[:, (samples + horizon) // 2 :] += drift
    e_N, k_N = np.repeat(np.arange(runs), samples), np.tile(np.arange(samples), runs)
    y_NxVxH = y_RxS[e_N[:, None], k_N[:, None] + np.arange(horizon)][:, None]
    levels = np.array((0.1, 0.5, 0.9))
    quantiles = np.broadcast_to([-1.2816, 0.0, 1.2816], (*y_NxVxH.shape, 3))
    truth = ForecastTruth(y_NxVxH, np.ones(y_NxVxH.shape, bool))
    return ForecastPrediction(np.zeros(y_NxVxH.shape), quantiles, levels), truth, np.stack((e_N, k_N), axis=1)


def test_quantiles_that_follow_their_misses_regain_their_levels_after_a_drift():
    rng = np.random.default_rng(0)
    calibration, seen, _ = told(rng, 3, 400, 3)
    prediction, truth, anchors = told(rng, 2, 3000, 3, drift=2.0)
    late = anchors[:, 1] > 2000

    def cover(some):
        return (truth.y_NxVxH[late, ..., None] <= some.quantiles_NxVxHxQ[late]).mean((0, 1, 2))

    found = followed(prediction, truth, anchors, calibration, seen)
    np.testing.assert_allclose(cover(found), prediction.levels, atol=0.02)
    assert cover(conformal(prediction, calibration, seen))[1] < 0.05  # the planted fault: misses of before the drift
    assert np.all(np.diff(found.quantiles_NxVxHxQ, axis=-1) >= 0)


def test_what_goes_on_to_drift_is_followed_with_a_lag():
    """Where the widest is not wide enough, that counts as the miss that it is, and the level goes up."""
    rng = np.random.default_rng(0)
    calibration, seen, _ = told(rng, 1, 400, 1)
    prediction, truth, anchors = told(rng, 1, 1500, 1)
    truth = truth._replace(y_NxVxH=truth.y_NxVxH + 0.05 * anchors[:, 1, None, None])
    found = followed(prediction, truth, anchors, calibration, seen)
    late = anchors[:, 1] > 300
    assert (truth.y_NxVxH[late] <= found.quantiles_NxVxHxQ[late, ..., 2]).mean() > 0.87
    score = np.arange(500.0)
    free, held = (adaptive(score, 0.9, window=50, held=held) for held in (False, True))
    assert np.isinf(free.width_T).any()
    assert not held.covered_T[1:].any()
    assert held.level_T.max() <= 1.1 + 1e-9  # and would come back


def test_misses_that_come_together_long_after_they_were_told_of_do_not_swing_a_level():
    """Of a slow series whose law is told rightly there is nothing to mend: each level keeps its place."""
    rng = np.random.default_rng(1)
    x, lag = np.zeros(4100), 24
    for t in range(1, len(x)):
        x[t] = 0.95 * x[t - 1] + np.sqrt(1 - 0.95**2) * rng.normal()
    k_N = np.arange(3000)
    y_NxVxH = x[1000 + k_N[:, None] + np.arange(lag)][:, None]
    levels, shape = np.array((0.1, 0.5, 0.9)), y_NxVxH.shape
    quantiles = np.broadcast_to([-1.2816, 0.0, 1.2816], (*shape, 3))
    told_of = ForecastPrediction(np.zeros(shape), quantiles, levels)
    anchors = np.stack((np.zeros_like(k_N), k_N), axis=1)
    truth, past = (ForecastTruth(y, np.ones(shape, bool)) for y in (y_NxVxH, rng.permuted(y_NxVxH, axis=0)))
    found = followed(told_of, truth, anchors, told_of, past)
    swing = found.quantiles_NxVxHxQ[..., -1, 1].std()
    known = np.maximum(k_N - lag + 1, 0)
    miss = np.moveaxis(y_NxVxH[:, 0, -1, None] - quantiles[:, 0, -1], 0, -1)
    hasty = adaptive(miss, levels, past_M=miss[:, :500], known_T=known, held=True).width_T
    assert swing < 0.5 * hasty[1].std()  # the planted fault: a rate that answers to every miss


def test_without_any_score_a_quantile_stays_as_it_was_told():
    rng = np.random.default_rng(0)
    calibration, seen, _ = told(rng, 1, 30, 2)
    prediction, truth, anchors = told(rng, 1, 20, 2)
    unseen = seen._replace(mask_NxVxH=np.zeros_like(seen.mask_NxVxH))
    found = followed(prediction, truth, anchors, calibration, unseen)
    first = anchors[:, 1] == 0
    np.testing.assert_array_equal(found.quantiles_NxVxHxQ[first], prediction.quantiles_NxVxHxQ[first])
    assert np.isfinite(found.quantiles_NxVxHxQ).all()


@settings(max_examples=10)
@given(st.integers(0, 40), st.integers(0, 100))
def test_a_quantile_knows_no_miss_before_its_time(now, seed):
    """What comes after sample *now* of an asset moves none of the quantiles that were told until then."""
    rng = np.random.default_rng(seed)
    calibration, seen, _ = told(rng, 1, 60, 4)
    prediction, truth, anchors = told(rng, 2, 41, 4)
    order = rng.permutation(len(anchors))
    truth, anchors = ForecastTruth(truth.y_NxVxH[order], truth.mask_NxVxH[order]), anchors[order]
    later_NxVxH = (anchors[:, 0] == 1)[:, None, None] & (anchors[:, 1, None, None] + np.arange(4) >= now)
    other = truth._replace(y_NxVxH=np.where(later_NxVxH, 50.0, truth.y_NxVxH))
    found, changed = (followed(prediction, t, anchors, calibration, seen, rate=0.1) for t in (truth, other))
    until = (anchors[:, 0] == 0) | (anchors[:, 1] <= now)
    np.testing.assert_array_equal(found.quantiles_NxVxHxQ[until], changed.quantiles_NxVxHxQ[until])
    assert now > 38 or np.any(found.quantiles_NxVxHxQ[~until] != changed.quantiles_NxVxHxQ[~until])
