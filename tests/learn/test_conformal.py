"""Coverage: exact on exchangeable data whatever the quantiles were, and regained after a drift."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.conformal import adaptive, conformal, shift
from learn.metrics import ForecastPrediction, ForecastTruth
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
