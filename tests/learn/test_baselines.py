"""Baselines recover the laws they assume, see nothing but the past, and agree with independent fits."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.stats import weibull_min

from learn.baselines import (
    AgeWeibull,
    BoostedTrees,
    ForecastTrees,
    RepeatLast,
    Ridge,
    SameHour,
    SupportVectors,
    TrainMean,
    Weibull,
    features,
    horizon_labels,
)
from learn.baselines.hazard import AgeHazard, ages
from learn.tasks import Forecast, TimeToEvent
from learn.windows.batch import Windows, anchors
from sim.errors import InputError
from twins.channel import Role
from twins.episode import Episode, Series, Spell

TASK = TimeToEvent(causes=("wear", "sudden"), edges_h=(6.0, 24.0), horizon_h=24.0)
EVENTS = (AgeWeibull(), BoostedTrees(rows=4000, leaves=(8,)), SupportVectors(rows=2000, landmarks=50, widths=(0.3,)))
FORECASTS = (TrainMean(), RepeatLast(), SameHour(24.0), SameHour(24.0, 3), Ridge(), ForecastTrees(500, leaves=4))


def hourly(values, run=0, role=Role.TARGET, **more):
    """An episode of hourly series, one per row of *values*."""
    series = tuple(
        Series("m1", f"q{v}", "1", role, np.asarray(x, np.float32), step_h=1.0) for v, x in enumerate(values)
    )
    return Episode(run, "m1", series, end_h=float(len(values[0])), **more)


def plant(run, hours=600):
    """A machine that fails at Weibull ages (shape 3, scale 120 h, "wear") or at any age (mean 400 h, "sudden"), is down
    for 5 h, and whose one sensor shows how near the wear-out failure is; its counter runs at .8 h an hour and keeps the
    old unit's age until there is a new one."""
    rng = np.random.default_rng(run)
    spells, time_h, hint, counter = [], 0.0, np.zeros(hours), np.zeros(hours)
    while time_h < hours:
        wear, sudden = 120 * rng.weibull(3), rng.exponential(400)
        life, cause = min((wear, "wear"), (sudden, "sudden"))
        end_h = min(time_h + life, hours)
        spells.append(Spell(time_h, end_h, cause if time_h + life < hours else "", end_h - time_h))
        seen = slice(int(np.ceil(time_h)), int(np.ceil(end_h)))
        age = np.arange(seen.start, seen.stop) - time_h
        hint[seen], counter[seen] = age / wear, 0.8 * age
        counter[seen.stop : int(np.ceil(end_h + 5.0))] = 0.8 * (end_h - time_h)
        time_h = end_h + 5.0
    hint += rng.normal(0, 0.1, hours)
    series = (
        Series("m1", "hint", "1", Role.PAST, hint.astype(np.float32), step_h=1.0),
        Series("m1", "operating_age", "h", Role.PAST, counter.astype(np.float32), step_h=1.0),
    )
    return Episode(run, "m1", series, spells=tuple(spells), end_h=float(hours))


@pytest.fixture(scope="module")
def plants():
    train = Windows.of([plant(run) for run in range(40)], context=24, task=TASK)
    others = [
        Windows.of([plant(run) for run in runs], context=24, task=TASK, scale=train.scale)
        for runs in (range(40, 55), range(55, 75))
    ]
    return train, *others


# Forecasts


def test_repeat_last_and_same_hour_by_hand():
    day = np.arange(24.0)
    windows = Windows.of([hourly([np.concatenate([day, day + 2, day + 7, day])])], context=24, task=Forecast(30))
    asked = np.array([[0, 62]])
    for baseline, expected in (
        (RepeatLast(), np.full(30, 20.0)),  # sample 61 is hour 13 of the third day
        (SameHour(24.0), [*(np.arange(14, 24) + 2), *(np.arange(14) + 7), *(np.arange(14, 20) + 2)]),
        (SameHour(24.0, 2), [*(np.arange(14, 24) + 1), *(np.arange(14) + 4.5), *(np.arange(14, 20) + 1)]),
        (TrainMean(), np.full(30, windows.scale.mean[0])),
    ):
        prediction = baseline.fit(windows, windows, Forecast(30))(windows, asked)
        np.testing.assert_allclose(windows.scale.restore(prediction.mean_NxVxH)[0, 0], expected, atol=1e-4)


def test_a_gap_counts_as_the_last_observation_and_before_any_as_the_mean():
    x = np.array([np.nan, np.nan, 4.0, np.nan, np.nan, 6.0, 5.0, 5.0])
    windows = Windows.of([hourly([x])], context=2, task=Forecast(1))
    predictor = RepeatLast().fit(windows, windows, Forecast(1))
    found = windows.scale.restore(predictor(windows, np.array([[0, 2], [0, 5], [0, 6]])).mean_NxVxH)[:, 0, 0]
    np.testing.assert_allclose(found, [5.0, 4.0, 6.0], atol=1e-5)


@settings(max_examples=10)
@given(st.integers(0, 10**6), st.integers(30, 60))
def test_no_forecast_sees_what_comes(seed, k):
    """Whatever happens at the anchor and later, the forecast stays the same."""
    rng = np.random.default_rng(seed)
    before = rng.normal(size=(2, 90))
    after = before.copy()
    after[:, k:] = rng.normal(size=(2, 90 - k))
    task = Forecast(4, quantiles=(0.1, 0.5, 0.9))
    windows = Windows.of([hourly(before)], context=24, task=task)
    changed = Windows.of([hourly(after)], context=24, task=task, scale=windows.scale)
    for baseline in FORECASTS:
        predictor = baseline.fit(windows, windows, task)
        one, two = (predictor(w, np.array([[0, k]])) for w in (windows, changed))
        np.testing.assert_array_equal(one.mean_NxVxH, two.mean_NxVxH)
        np.testing.assert_array_equal(one.quantiles_NxVxHxQ, two.quantiles_NxVxHxQ)
        assert (np.diff(one.quantiles_NxVxHxQ) >= 0).all()


def test_ridge_finds_the_linear_law_of_a_series():
    """x_t = 1.2 x_{t−1} − .5 x_{t−2} + e: nothing forecasts the next value better than that, to within the noise."""
    rng = np.random.default_rng(5)
    x = np.zeros(9000)
    for t in range(2, len(x)):
        x[t] = 1.2 * x[t - 1] - 0.5 * x[t - 2] + rng.normal()
    task = Forecast(1)
    windows = Windows.of([hourly([x[:6000]])], context=12, task=task)
    test = Windows.of([hourly([x[6000:]])], context=12, task=task, scale=windows.scale)
    asked = anchors(test)
    prediction = Ridge().fit(windows, windows, task)(test, asked)
    mean = windows.scale.restore(prediction.mean_NxVxH)[:, 0, 0]
    ideal = 1.2 * x[6000 + asked[:, 1] - 1] - 0.5 * x[6000 + asked[:, 1] - 2]
    assert np.std(mean - ideal) < 0.1
    level = {q: prediction.quantiles_NxVxHxQ[:, 0, 0, i] for i, q in enumerate(task.quantiles)}
    y = windows.scale.normalise(x[None, 6000:])[0, asked[:, 1]]
    assert np.mean((level[0.05] <= y) & (y <= level[0.95])) == pytest.approx(0.9, abs=0.03)


def test_ridge_without_a_past_is_least_squares_on_what_is_known_ahead():
    rng = np.random.default_rng(6)
    area = rng.uniform(50, 200, 400)
    price = 40 + 3 * area + rng.normal(0, 20, 400)
    series = [
        Series("market", name, "1", role, x.astype(np.float32), times_h=np.arange(400.0))
        for name, role, x in (("area", Role.KNOWN, area), ("price", Role.TARGET, price))
    ]
    task = Forecast(1, loss="mse")
    windows = Windows.of([Episode(0, "market", tuple(series), end_h=400.0)], context=0, task=task)
    asked = anchors(windows)
    found = windows.scale.restore(Ridge().fit(windows, windows, task)(windows, asked).mean_NxVxH)[:, 1, 0]
    slope, intercept = np.polyfit(area, price, 1)
    np.testing.assert_allclose(found, intercept + slope * area, rtol=1e-4)


def test_trees_find_what_is_not_linear_and_how_wide_it_spreads():
    """x jumps where a known number is above 0, and scatters there three times as much: no ridge can tell."""
    rng = np.random.default_rng(7)

    def made(count: int) -> Episode:
        known = rng.normal(size=count)
        x = 2.0 * (np.abs(known) > 0.7) + np.where(np.abs(known) > 0.7, 0.6, 0.2) * rng.normal(size=count)
        series = [hourly([v], role=r).series[0] for r, v in ((Role.KNOWN, known), (Role.TARGET, x))]
        return Episode(0, "m1", (replace(series[0], quantity="known"), series[1]), end_h=float(count))

    task = Forecast(2, quantiles=(0.05, 0.5, 0.95))
    windows = Windows.of([made(3000)], context=8, task=task)
    validation, test = (Windows.of([made(3000)], context=8, task=task, scale=windows.scale) for _ in range(2))
    asked = anchors(test)[::3]
    found = ForecastTrees(rows=6000, period_h=4.0, periods=2).fit(windows, validation, task)(test, asked)
    truth = np.stack([np.asarray(test.values_ExVxL)[0, :, 8 + k : 10 + k] for k in asked[:, 1]])
    y_NxH, known_NxH = truth[:, 1], test.scale.restore(truth)[:, 0]
    q_NxHxQ = found.quantiles_NxVxHxQ[:, 1]
    assert np.mean((q_NxHxQ[..., 0] <= y_NxH) & (y_NxH <= q_NxHxQ[..., 2])) == pytest.approx(0.9, abs=0.04)
    width = q_NxHxQ[..., 2] - q_NxHxQ[..., 0]
    loud = np.abs(known_NxH) > 0.7
    assert width[loud].mean() / width[~loud].mean() == pytest.approx(3.0, rel=0.3)
    ridge = Ridge().fit(windows, windows, task)(test, asked)
    assert np.mean((found.mean_NxVxH[:, 1] - y_NxH) ** 2) < 0.5 * np.mean((ridge.mean_NxVxH[:, 1] - y_NxH) ** 2)


def test_trees_without_a_period_go_on_from_the_last_samples_at_whatever_times_they_came():
    rng = np.random.default_rng(8)
    task = Forecast(1, loss="mse")

    def made() -> Episode:
        x = np.cumsum(rng.normal(size=1500)).astype(np.float32)
        times_h = np.cumsum(rng.exponential(size=1500))
        return Episode(0, "m1", (Series("m1", "x", "1", Role.TARGET, x, times_h=times_h),), end_h=times_h[-1] + 1)

    windows = Windows.of([made()], context=8, task=task)
    asked = anchors(windows)
    trees = ForecastTrees(rows=1400, period_h=None, periods=3)
    y_N = np.asarray(windows.values_ExVxL)[0, 0, 8 + asked[:, 1]]
    error_N = trees.fit(windows, windows, task)(windows, asked).mean_NxVxH[:, 0, 0] - y_N
    step_N = RepeatLast().fit(windows, windows, task)(windows, asked).mean_NxVxH[:, 0, 0] - y_N
    assert np.mean(error_N**2) < 1.3 * np.mean(step_N**2) < 0.1 * y_N.var()
    with pytest.raises(InputError, match="samples at a fixed step"):
        ForecastTrees().fit(windows, windows, task)


def test_a_period_that_is_no_number_of_steps_is_refused():
    windows = Windows.of([hourly([np.arange(99.0)])], context=4, task=Forecast(1))
    with pytest.raises(InputError, match=r"1.5 h is no whole number of steps of 1 h"):
        SameHour(1.5).fit(windows, windows, Forecast(1))


# Hazards


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.6, 5.0), st.floats(10.0, 1000.0))
def test_weibull_fit_is_the_maximum_of_the_censored_likelihood(seed, shape, scale):
    """Against a numerical search over the likelihood itself, with lives entered late and cut early."""
    rng = np.random.default_rng(seed)
    life, cut, entry = (
        scale * rng.weibull(shape, 300),
        scale * rng.uniform(0.2, 2, 300),
        scale * rng.uniform(0, 0.3, 300),
    )
    kept = np.minimum(life, cut) > entry
    life, cut, entry = life[kept], cut[kept], entry[kept]
    exit_, failed = np.minimum(life, cut), life <= cut
    found = Weibull.fit(entry, exit_, failed)

    def loss(log):
        k, s = np.exp(log)
        density = np.log(k / s) + (k - 1) * np.log(exit_[failed] / s)
        return (((exit_ / s) ** k - (entry / s) ** k).sum() - density.sum()) / len(exit_)

    searched = minimize(loss, np.log([1.0, scale]), method="BFGS", options={"gtol": 1e-8})
    assert [found.shape, found.scale_h] == pytest.approx(np.exp(searched.x), rel=1e-3)


def test_weibull_fit_of_whole_lives_is_scipys():
    life = 50 * np.random.default_rng(7).weibull(2.5, 500)
    found = Weibull.fit(np.zeros(500), life, np.ones(500, bool))
    shape, _, scale = weibull_min.fit(life, floc=0)
    assert (found.shape, found.scale_h) == pytest.approx((shape, scale), rel=1e-3)


def test_where_nothing_failed_nothing_will():
    assert Weibull.fit(np.zeros(3), np.ones(3), np.zeros(3, bool)).cumulative(np.array([5.0])) == 0


@pytest.mark.parametrize(("counter", "pace"), [(None, 1.0), ("operating_age", 0.8)])
def test_the_age_hazard_finds_the_plants_laws(plants, counter, pace):
    predictor = AgeHazard.fit(plants[0], 24.0, counter)
    wear, sudden = predictor.hazards
    assert (wear.shape, wear.scale_h) == pytest.approx((3, 120 * pace), rel=0.1)
    assert (sudden.shape, sudden.scale_h) == pytest.approx((1, 400 * pace), rel=0.35)
    assert predictor.pace == pytest.approx(pace, rel=0.02)


def test_both_ages_start_anew_with_each_life(plants):
    train, _, _ = plants
    for spell in (spell for spell in plant(0).spells if spell.end_h - spell.start_h > 3):
        k = int(spell.end_h) - 1
        for counter, pace in ((None, 1.0), ("operating_age", 0.8)):
            age_h = ages(train, counter)[0, train.context + k]
            assert age_h == pytest.approx(pace * (k + 1 - spell.start_h), abs=1.01)


# Classifiers


def test_labels_are_what_happened_within_the_horizon():
    spells = (Spell(0, 50.5, "wear", 50.5), Spell(60, 90.2, "planned", 30.2), Spell(95, 130, "", 35))
    windows = Windows.of([hourly([np.zeros(130)], spells=spells)], context=2, task=TASK)
    asked = np.array([[0, k] for k in (26, 27, 50, 66, 67, 100, 106)])
    failed, weight = horizon_labels(windows, asked, 24.0)
    assert failed.tolist() == [False, True, True, False, False, False, False]
    assert weight == pytest.approx([1, 1, 1, 1, 23.2 / 24, 1, 1])


def test_features_by_hand():
    x = np.array([0.0, 2, 4, np.nan, 8, 10, 12, 14, 16, 18, 20, 22, 0, 0])
    windows = Windows.of([hourly([x], spells=(Spell(0, 14, "", 14),))], context=12, task=TASK)
    row = features(windows, np.array([[0, 12]]))[0]
    unit, mean = windows.scale.std[0], windows.scale.mean[0]
    assert len(row) == 3 + 3 * 5
    assert row[:3] == pytest.approx([12, 1 / 12, (22 - mean) / unit])
    whole = np.array([0, 2, 4, 4, 8, 10, 12, 14, 16, 18, 20, 22]) / unit
    assert row[-5:-1] == pytest.approx(
        [whole.mean() - mean / unit, whole.std(), -mean / unit, (22 - mean) / unit], rel=1e-4
    )


@pytest.mark.parametrize("baseline", EVENTS, ids=lambda b: type(b).__name__)
def test_event_baselines_learn_and_see_nothing_that_comes(plants, baseline):
    train, validation, test = plants
    predictor = baseline.fit(train, validation, TASK)
    asked = anchors(test, 6)
    asked = asked[asked[:, 1] < 576]
    failed_N, _ = horizon_labels(test, asked, 24.0)
    p_N = predictor(test, asked).p_N
    assert np.mean((p_N - failed_N) ** 2) < (0.97 if isinstance(baseline, AgeWeibull) else 0.85) * np.var(failed_N)
    assert p_N.mean() == pytest.approx(failed_N.mean(), abs=0.04)

    k = 300
    cut = [plant(run, hours=600) for run in range(55, 75)]
    later = np.random.default_rng(8).normal(5, 1, 600).astype(np.float32)
    for episode in cut:
        for series in episode.series:
            series.values[k:] = later[k:]
    changed = Windows.of(cut, context=24, task=TASK, scale=test.scale)
    at_k = asked[asked[:, 1] == k]
    assert len(at_k)
    np.testing.assert_array_equal(predictor(test, at_k).p_N, predictor(changed, at_k).p_N)


@pytest.mark.parametrize("baseline", EVENTS, ids=lambda b: type(b).__name__)
def test_event_baselines_without_a_failure_to_learn_from_say_never(baseline):
    rng = np.random.default_rng(9)
    spells = (Spell(0, 200, "", 200),)
    windows = Windows.of([hourly(rng.normal(size=(2, 200)), spells=spells)], context=24, task=TASK)
    predictor = baseline.fit(windows, windows, TASK)
    assert (predictor(windows, anchors(windows)[:5]).p_N == 0).all()


@pytest.mark.parametrize("baseline", EVENTS, ids=lambda b: type(b).__name__)
def test_planned_work_does_not_pass_for_failing(baseline):
    """Memoryless failures (mean 100 h) and planned work at an age of 60 h: 21 % fail within 24 h, at every age."""

    def replaced(run):
        rng, spells, t = np.random.default_rng(run), [], 0.0
        while t < 600:
            life = rng.exponential(100)
            end_h = min(t + life, t + 60, 600)
            spells.append(Spell(t, end_h, "" if end_h == 600 else "wear" if life < 60 else "planned", end_h - t))
            t = end_h + 2
        return hourly(rng.normal(size=(1, 600)), run, Role.PAST, spells=tuple(spells))

    train = Windows.of([replaced(run) for run in range(30)], context=24, task=TASK)
    validation = Windows.of([replaced(run) for run in range(30, 40)], context=24, task=TASK, scale=train.scale)
    asked = anchors(validation)
    late = asked[ages(validation)[asked[:, 0], asked[:, 1] + 23] > 50]
    p_N = baseline.fit(train, validation, TASK)(validation, late).p_N
    assert p_N.mean() == pytest.approx(1 - np.exp(-0.24), abs=0.06)
