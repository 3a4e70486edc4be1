"""Scores against hand values, closed forms, scikit-learn, scoringrules and brute force; bias against simulation."""

import numpy as np
import pytest
import scoringrules
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, poisson
from sklearn.metrics import log_loss, roc_auc_score

from learn.scores.metrics import (
    EventPrediction,
    EventTruth,
    ForecastPrediction,
    ForecastTruth,
    Pairs,
    Ratio,
    event_scores,
    fair_crps,
    forecast_scores,
    pinball,
    pit,
    quadrature,
    reached,
)
from learn.tasks import LEVELS


def value(score):
    """The score of all windows as one cluster."""
    cluster_N = np.zeros(len(score[0]), int)
    return float(score(cluster_N, np.ones((1, 1)))[0])


def forecast(y, quantiles, levels, mask=None, scale=None):
    """Scores of N windows of one variate: y NxH, quantiles NxHxQ whose middle level is also the mean."""
    quantiles = np.asarray(quantiles, np.float32)[:, None]
    y = np.asarray(y, np.float32)[:, None]
    mask = np.ones(y.shape, bool) if mask is None else np.asarray(mask)[:, None]
    prediction = ForecastPrediction(quantiles[..., len(levels) // 2], quantiles, np.asarray(levels))
    return {k: value(v) for k, v in forecast_scores(prediction, ForecastTruth(y, mask, scale)).items()}


def normal_crps(y):
    """CRPS of the standard normal law (Gneiting and Raftery 2007, eq. 21)."""
    return y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi)


def test_forecast_scores_by_hand():
    scores = forecast([[1.0, -2.0]], [[[0.0, 1.5, 2.0], [-1.0, -1.0, 3.0]]], [0.1, 0.5, 0.9], scale=np.array([[0.5]]))
    assert scores["mse"] == pytest.approx((0.25 + 1.0) / 2)
    assert scores["mae"] == pytest.approx((0.5 + 1.0) / 2)
    assert scores["mase"] == pytest.approx((0.5 + 1.0) / 2 / 0.5)
    losses = np.array([[0.1 * 1, 0.5 * 0.5, 0.1 * 1], [0.9 * 1, 0.5 * 1, 0.1 * 5]])
    assert scores["wql"] == pytest.approx(2 * losses.mean(1).sum() / 3.0)
    assert scores["crps"] == pytest.approx(2 * (losses @ [0.3, 0.4, 0.3]).mean())
    assert scores["coverage_80"] == pytest.approx(0.5)


def test_pinball_is_half_the_absolute_error_at_the_median():
    y, q = np.array([1.0, -3.0]), np.array([2.0, -4.0])
    np.testing.assert_allclose(pinball(y, q, 0.5), np.abs(y - q) / 2)
    np.testing.assert_allclose(pinball(y, q, 0.9), [0.1, 0.9])


def test_crps_of_a_point_is_its_absolute_error():
    y = np.array([[[1.0, 4.0]]])
    truth = ForecastTruth(y, np.ones_like(y, bool))
    scores = forecast_scores(ForecastPrediction.point(np.zeros_like(y)), truth)
    assert value(scores["crps"]) == value(scores["mae"]) == 2.5
    assert "coverage_80" not in scores


@pytest.mark.parametrize("levels", [(np.arange(200) + 0.5) / 200, np.r_[0.002, np.linspace(0.01, 0.99, 99), 0.998]])
@pytest.mark.parametrize("y", [0.0, 0.7, -2.0])
def test_crps_from_quantiles_nears_the_closed_form(levels, y):
    scores = forecast([[y]], norm.ppf(levels)[None, None], levels)
    assert scores["crps"] == pytest.approx(normal_crps(y), rel=0.01)
    assert quadrature(levels).sum() == pytest.approx(1)


def test_what_was_not_observed_counts_nowhere():
    rng = np.random.default_rng(1)
    y, q, mask = rng.normal(size=(6, 4)), np.sort(rng.normal(size=(6, 4, 3))), rng.random((6, 4)) < 0.6
    levels, scale = [0.1, 0.5, 0.9], np.ones((6, 1))
    whole = forecast(y, q, levels, mask, scale)
    hidden = forecast(np.where(mask, y, np.nan), np.where(mask[..., None], q, np.nan), levels, mask, scale)
    assert whole == hidden
    error = (y - q[..., 1])[mask]
    assert whole["mse"] == pytest.approx((error**2).mean(), rel=1e-5)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 12))
def test_fair_crps_is_its_definition(seed, size):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(3, size)), rng.normal(size=3)
    pairs = np.abs(x[:, :, None] - x[:, None, :]).sum((1, 2)) / (2 * size * (size - 1))
    np.testing.assert_allclose(fair_crps(y, x), np.abs(x - y[:, None]).mean(1) - pairs, atol=1e-12)


def test_an_ensembles_scores_are_those_of_the_law_it_comes_from():
    """Four members of N(0, 1): crps and mse come out as of infinitely many; scored as they stand they do not."""
    rng = np.random.default_rng(2)
    y, samples = rng.normal(size=(40_000, 1, 1)), rng.normal(size=(40_000, 1, 1, 4))
    truth = ForecastTruth(y, np.ones_like(y, bool))
    ensemble = ForecastPrediction.ensemble(samples, np.linspace(0.05, 0.95, 19))
    biased = forecast_scores(
        ForecastPrediction(ensemble.mean_NxVxH, ensemble.quantiles_NxVxHxQ, ensemble.levels), truth
    )
    fair = forecast_scores(ensemble, truth)
    for metric, expected in (("crps", 1 / np.sqrt(np.pi)), ("mse", 1.0)):
        error = fair[metric].num_N.std() / np.sqrt(len(y))
        assert value(fair[metric]) == pytest.approx(expected, abs=3 * error)
        assert value(biased[metric]) > expected + 10 * error  # the planted fault


def test_pit_is_the_level_of_a_quantile():
    levels = np.array([0.1, 0.4, 0.9])
    quantiles = np.array([-1.0, 0.0, 2.0])
    y = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
    np.testing.assert_allclose(pit(y, np.tile(quantiles, (6, 1)), levels), [0, 0.1, 0.4, 0.65, 1, 1])


@pytest.mark.parametrize("mean", [0.3, 2.0, 30.0])
def test_laws_of_counts_reach_each_level_as_often_as_it_says(mean):
    y, levels = np.random.default_rng(0).poisson(mean, 20_000).astype(float), np.array(LEVELS)
    quantiles = np.tile(poisson.ppf(levels, mean), (len(y), 1))
    often = np.array([share.mean() for share in reached(y, quantiles, levels)])
    np.testing.assert_allclose(often, levels, atol=0.03)
    assert np.abs((y[:, None] <= quantiles).mean(0) - levels).max() > (0.2 if mean < 10 else 0.04)  # the planted fault
    apart = [share.mean() for share in reached(y + 0.5, quantiles, levels)]
    np.testing.assert_array_equal(apart, (y[:, None] + 0.5 <= quantiles).mean(0))  # without lumps nothing is drawn


def events(p, failed, known=None, members=None):
    failed = np.asarray(failed, bool)
    truth = EventTruth(failed, np.ones(len(failed), bool) if known is None else np.asarray(known))
    return event_scores(EventPrediction(np.asarray(p), members=members), truth)


def test_event_scores_by_hand_and_by_scikit_learn():
    p, failed = np.array([0.1, 0.8, 0.4, 0.3]), np.array([0, 1, 0, 1])
    scores = events(p, failed)
    assert value(scores["brier"]) == pytest.approx((0.01 + 0.04 + 0.16 + 0.49) / 4)
    assert value(scores["auroc"]) == roc_auc_score(failed, p) == 0.75
    assert value(scores["log_loss"]) == pytest.approx(log_loss(failed, p))


def test_windows_without_a_known_truth_count_nowhere():
    rng = np.random.default_rng(3)
    p, failed, known = rng.random(50), rng.random(50) < 0.3, rng.random(50) < 0.7
    some, all_known = events(p, failed, known), events(p[known], failed[known])
    assert {k: value(v) for k, v in some.items()} == pytest.approx({k: value(v) for k, v in all_known.items()})


@settings(max_examples=40)
@given(st.integers(0, 10**6))
def test_resampled_scores_are_those_of_the_windows_repeated(seed):
    """A cluster drawn twice counts as its windows written down twice, for means and for ranks, ties included."""
    rng = np.random.default_rng(seed)
    cluster_N, p, failed = rng.integers(0, 4, 40), rng.integers(0, 6, 40) / 6, rng.random(40) < 0.4
    weights_RxC = rng.integers(0, 3, (5, 4))
    num_N, den_N = rng.normal(size=40), rng.integers(0, 3, 40)
    pairs, ratio = Pairs(p, failed, ~failed)(cluster_N, weights_RxC), Ratio(num_N, den_N)(cluster_N, weights_RxC)
    for r, weight_C in enumerate(weights_RxC):
        again = np.repeat(np.arange(40), weight_C[cluster_N])
        if 0 < failed[again].sum() < len(again):
            assert pairs[r] == pytest.approx(roc_auc_score(failed[again], p[again]))
        else:
            assert np.isnan(pairs[r])
        if den_N[again].sum():
            assert ratio[r] == pytest.approx(num_N[again].sum() / den_N[again].sum())


def test_the_brier_score_of_an_ensemble_is_rid_of_its_sampling_error():
    """Eight futures of windows whose chances are known: unbiased for the Brier score of the chances themselves."""
    rng = np.random.default_rng(4)
    chance = rng.beta(0.5, 3.0, 60_000)
    failed, share = rng.random(60_000) < chance, rng.binomial(8, chance) / 8
    ideal = events(chance, failed)["brier"].num_N
    for members, fault in ((8, False), (None, True)):
        gap = events(share, failed, members=members)["brier"].num_N - ideal
        error = gap.std() / np.sqrt(len(gap))
        assert (abs(gap.mean()) > 10 * error) == fault
        assert fault or abs(gap.mean()) < 3 * error


def test_the_library_of_proper_scores_says_the_same():
    rng = np.random.default_rng(0)
    y, samples, levels = rng.normal(size=200), rng.normal(size=(200, 7)), np.arange(1, 20) / 20
    np.testing.assert_allclose(fair_crps(y, samples), scoringrules.crps_ensemble(y, samples, estimator="fair"))
    quantiles = np.sort(rng.normal(size=(200, 19)), axis=-1)
    ours = 2 * np.mean([pinball(y, quantiles[:, q], level) for q, level in enumerate(levels)], axis=0)
    np.testing.assert_allclose(ours, scoringrules.crps_quantile(y, quantiles, levels))
    even = (np.arange(19) + 0.5) / 19
    scored = forecast(y[:, None], quantiles[:, None], even)["crps"]
    assert scored == pytest.approx(scoringrules.crps_quantile(y, quantiles, even).mean(), rel=1e-5)
    p, failed = rng.random(200), rng.random(200) < 0.4
    known = EventTruth(failed, np.ones(200, bool))
    brier = scoringrules.brier_score(failed.astype(float), p).mean()
    assert value(event_scores(EventPrediction(p), known)["brier"]) == pytest.approx(brier)
