"""Skill between two marks, paired intervals that cover, and what counts as a failure within the horizon."""

import json
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.scores.evaluate import (
    Row,
    evaluate,
    event_anchors,
    event_truth,
    forecast_truth,
    interval,
    resample,
    seasonal_mae,
    seen_lives,
    skill,
    stretches,
)
from learn.scores.metrics import EventPrediction, EventTruth, ForecastPrediction, ForecastTruth, Ratio
from learn.tasks import Forecast, TimeToEvent
from learn.windows.batch import Windows
from sim.errors import InputError
from twins.channel import Role
from twins.episode import CENSORED, PLANNED, Episode, Series, Spell

NAN = float("nan")


def world(seed, runs=30, windows=40):
    """Windows of runs that differ in how often things fail; the chance of each is known."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(1, 4, (runs, 1)) * rng.uniform(0, 2, (runs, windows))
    chance = np.clip(chance, 0.01, 0.95).ravel()
    truth = EventTruth(rng.random(chance.size) < chance, np.ones(chance.size, bool))
    return chance, truth, np.repeat(np.arange(runs), windows)


def report(rows, truth, runs, **more):
    found = evaluate(
        "fails within 24 h", {n: Row(k, EventPrediction(p)) for n, (k, p) in rows.items()}, truth, runs, **more
    )
    return found, {row["name"]: row for row in found["rows"]}


def test_scores_lie_between_their_marks_and_come_as_json():
    chance, truth, runs = world(0)
    base = np.full_like(chance, truth.failed_N.mean())
    rows = {
        "age": ("naive", base),
        "worse": ("naive", base + 0.2),
        "trees": ("baseline", 0.4 * base + 0.6 * chance),
        "model": ("model", 0.2 * base + 0.8 * chance),
        "oracle": ("oracle", chance),
    }
    found, table = report(rows, truth, runs)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["naive"], found["best_baseline"], found["primary"]) == ("age", "trees", "brier")
    assert (found["windows"], found["scored"], found["clusters"]) == (1200, 1200, 30)
    assert table["age"]["skill"]["mean"] == 0
    assert table["oracle"]["skill"] == {"mean": 1.0, "low": None, "high": None}
    brier = {name: np.mean((p - truth.failed_N) ** 2) for name, (_, p) in rows.items()}
    model = table["model"]
    assert model["scores"]["brier"]["mean"] == pytest.approx(brier["model"])
    share = (brier["age"] - brier["model"]) / (brier["age"] - brier["oracle"])
    assert model["skill"]["mean"] == pytest.approx(share)
    assert 0 < model["skill"]["low"] < share < model["skill"]["high"]
    assert set(model["difference"]) == set(rows) - {"model"}
    assert model["difference"]["trees"]["mean"] == pytest.approx(brier["model"] - brier["trees"])
    paired, turned = model["difference"]["trees"], table["trees"]["difference"]["model"]
    assert [paired["low"], paired["high"]] == pytest.approx([-turned["high"], -turned["low"]])
    alone = model["scores"]["brier"]
    assert paired["high"] - paired["low"] < 0.3 * (alone["high"] - alone["low"])
    assert sum(point["count"] for point in found["calibration"]["oracle"]) == 1200
    assert len(found["calibration"]["oracle"]) == 10
    assert len(found["calibration"]["age"]) == 1
    for point in found["calibration"]["oracle"]:
        assert point["observed"]["low"] - 0.05 < point["predicted"] < point["observed"]["high"] + 0.05


def test_skill_is_undefined_where_nothing_can_be_known_and_absent_without_an_oracle():
    chance, truth, runs = world(1)
    rows = {"age": ("naive", chance), "model": ("model", chance), "oracle": ("oracle", chance)}
    assert report(rows, truth, runs)[1]["model"]["skill"] == "undefined"
    del rows["oracle"]
    assert report(rows, truth, runs)[1]["model"]["skill"] is None
    naive, score = np.array([1.0]), np.array([0.99])
    assert skill(score, naive, np.array([0.951])) is None
    assert skill(score, naive, np.array([0.90])) == pytest.approx(0.1)


def test_the_same_seed_gives_the_same_report():
    chance, truth, runs = world(2)
    rows = {"model": ("model", chance)}
    assert report(rows, truth, runs, seed=3)[0] == report(rows, truth, runs, seed=3)[0]
    assert report(rows, truth, runs, seed=3)[0] != report(rows, truth, runs, seed=4)[0]


def test_one_cluster_has_no_interval():
    chance, truth, _ = world(3)
    score = report({"model": ("model", chance)}, truth, np.zeros(len(chance)))[1]["model"]["scores"]["brier"]
    assert score["low"] is score["high"] is None
    assert score["mean"] > 0


def test_a_score_that_does_not_exist_is_null():
    truth = EventTruth(np.zeros(4, bool), np.ones(4, bool))
    scores = report({"model": ("model", np.full(4, 0.1))}, truth, [0, 0, 1, 1])[1]["model"]["scores"]
    assert scores["auroc"] == {"mean": None, "low": None, "high": None}


def test_rows_must_answer_the_question():
    truth = EventTruth(np.zeros(4, bool), np.ones(4, bool))
    with pytest.raises(TypeError, match="'model' predicts ForecastPrediction, the truth is EventTruth"):
        evaluate("x", {"model": Row("model", ForecastPrediction.point(np.zeros((4, 1, 1))))}, truth, range(4))


def test_intervals_over_runs_cover_what_they_promise():
    """Means over 30 runs whose windows share a level: intervals over runs cover 95 %, those over windows do not."""
    level = []
    for clustered in (True, False):
        hits = 0
        for seed in range(200):
            rng = np.random.default_rng(seed)
            value = (rng.normal(size=(30, 1)) + rng.normal(size=(30, 20))).ravel()
            clusters = np.repeat(np.arange(30), 20) if clustered else np.arange(600)
            found = interval(Ratio(value, np.ones(600))(*resample(clusters, 300, seed)))
            hits += found["low"] <= 0 <= found["high"]
        level.append(hits / 200)
    assert 0.88 <= level[0] <= 0.99
    assert level[1] < 0.6  # the planted fault


def test_forecasts_are_calibrated_by_level():
    rng = np.random.default_rng(5)
    y = rng.normal(size=(4000, 1, 1))
    levels = np.array([0.1, 0.5, 0.9])
    quantiles = np.broadcast_to(np.array([-1.2816, 0, 1.2816]), (4000, 1, 1, 3))
    rows = {
        "model": Row("model", ForecastPrediction(np.zeros_like(y), quantiles, levels)),
        "zero": Row("naive", ForecastPrediction.point(np.zeros_like(y))),
    }
    found = evaluate("forecast", rows, ForecastTruth(y, np.ones_like(y, bool)), np.arange(4000) % 50)
    assert found["primary"] == "crps"
    assert found["base_rate"] is None
    assert found["calibration"]["zero"] == []
    for point, level in zip(found["calibration"]["model"], levels, strict=True):
        assert point["predicted"] == level
        assert point["observed"]["mean"] == pytest.approx(level, abs=0.02)
        assert point["count"] == 4000


# Truth


def machine(spells, run=0, hours=200, asset="m1"):
    series = Series(asset, "x", "1", Role.PAST, np.zeros(2 * hours, np.float32), step_h=0.5)
    return Episode(run, asset, (series,), spells=spells, end_h=float(hours))


def test_what_counts_as_failing_within_the_horizon():
    episode = machine(
        (
            Spell(0, 50, "wear", 50),
            Spell(55, 100, PLANNED, 45),  # what would have been is not known
            Spell(102, 140, PLANNED, 38, unmaintained_h=60),  # and here it is: 162 h
            Spell(142, 200, CENSORED, 58),
        )
    )
    cases = {  # time in hours: failed, known
        25.5: (False, True),
        26: (True, True),  # the failure at the very end of the horizon counts
        49.5: (True, True),
        52: (False, False),  # down
        76: (False, True),
        76.5: (False, False),
        137.5: (False, True),
        138: (True, True),
        176: (False, True),
        176.5: (False, False),
    }
    anchors = np.array([[0, int(2 * t)] for t in cases])
    truth = event_truth([episode], anchors, 0.5, 24.0)
    assert list(zip(truth.failed_N.tolist(), truth.known_N.tolist(), strict=True)) == list(cases.values())


def test_lives_that_planned_work_cut_are_followed_to_the_failure_that_was_to_come():
    spells = (
        Spell(0, 50, "wear", 50),
        Spell(55, 100, PLANNED, 45),  # what would have been is not known
        Spell(102, 140, PLANNED, 38, unmaintained_h=60),  # and here it is: 162 h
        Spell(142, 200, CENSORED, 58),
    )
    episode, task = machine(spells), TimeToEvent(horizon_h=24.0)
    windows = Windows.of([episode], context=4, task=task)
    anchors = np.array([[0, 2 * t] for t in (30, 70, 120, 160)])
    found = seen_lives(windows, [episode], anchors, 0.5, task)
    labels = np.asarray(windows.event_h_ExL)[0, anchors[:, 1] + 3]
    np.testing.assert_allclose(found.event_h_N - labels, [0, 0, 22, 0])
    assert found.failed_N.tolist() == [True, False, True, False]


@pytest.mark.parametrize("cut_h", [130.0, 150.0, 170.0])  # before the planned work, before the failure, after both
@pytest.mark.parametrize("recorded", [False, True])
def test_lives_are_lost_sight_of_where_the_split_or_the_record_ends(cut_h, recorded):
    spells = (Spell(0, 50, "wear", 50), Spell(102, 140, PLANNED, 38, unmaintained_h=60))  # to 162 h
    episode, task = machine(spells), TimeToEvent(horizon_h=24.0)
    episode = replace(episode, end_h=cut_h) if recorded else episode
    windows = Windows.of([episode] if recorded else Split([episode], cut_h), context=4, task=task)
    found = seen_lives(windows, [episode], np.array([[0, 2 * 30], [0, 2 * 120]]), 0.5, task)
    np.testing.assert_allclose(found.event_h_N, [20, min(162, cut_h) - 120])
    assert found.failed_N.tolist() == [True, cut_h > 162]


class Split(NamedTuple):
    listed: list
    until_h: float

    def episodes(self, split):
        return self.listed

    def span(self, split):
        return -np.inf, self.until_h


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_without_planned_work_truth_is_what_happened(seed):
    rng = np.random.default_rng(seed)
    spells, t = [], 0.0
    while t < 200:
        life = rng.exponential(40)
        failed = t + life < 200
        whole = life if failed else NAN
        spells.append(Spell(t, min(t + life, 200), "wear" if failed else CENSORED, life, unmaintained_h=whole))
        t += life + rng.exponential(5)
    episode = machine(tuple(spells))
    ends = np.array([s.end_h for s in spells if s.cause])
    anchors = np.array([[0, k] for k in range(0, 350, 7) if any(s.start_h <= k / 2 < s.end_h for s in spells)])
    truth = event_truth([episode], anchors, 0.5, 24.0)
    now = anchors[:, 1] / 2
    np.testing.assert_array_equal(truth.failed_N, ((ends > now[:, None]) & (ends <= now[:, None] + 24)).any(1))
    assert truth.known_N.all()


def test_machines_of_one_run_are_asked_at_the_same_times():
    task = TimeToEvent(horizon_h=24.0)
    episodes = [
        machine((Spell(0, 60, "wear", 60), Spell(75, 200, CENSORED, 125))),
        machine((Spell(0, 200, CENSORED, 200),), asset="m2"),
    ]
    windows = Windows.of(episodes, context=30, task=task)
    anchors = event_anchors(windows, 24.0, 10.0)
    times = [anchors[anchors[:, 0] == e, 1] / 2 for e in (0, 1)]
    assert times[1].tolist() == list(range(20, 177, 10))  # a context of 15 h before, 24 h after
    assert sorted(set(times[1]) - set(times[0])) == [60, 70]  # down
    with pytest.raises(InputError, match=r"every_h is 0.7 h; it must be a whole number of steps of 0.5 h"):
        event_anchors(windows, 24.0, 0.7)
    with pytest.raises(InputError, match="no asset is at risk"):
        event_anchors(windows, 24.0, 500.0)


def test_forecast_truth_holds_targets_and_the_scale_of_mase():
    x = np.arange(60.0) ** 1.5
    x[40] = np.nan
    series = [
        Series("s", name, "1", role, np.asarray(v, np.float32), step_h=1.0)
        for name, role, v in (("x", Role.TARGET, x), ("past", Role.PAST, x))
    ]
    windows = Windows.of([Episode(0, "s", tuple(series), end_h=60.0)], context=4, task=Forecast(3))
    truth = forecast_truth(windows, np.array([[0, 10], [0, 39]]), windows, period=2)
    np.testing.assert_allclose(windows.scale.restore(truth.y_NxVxH)[0, 0], x[10:13], rtol=1e-5)
    assert truth.mask_NxVxH[:, 0].tolist() == [[True] * 3, [True, False, True]]
    assert not truth.mask_NxVxH[:, 1].any()
    step = np.abs(x[2:] - x[:-2])
    assert truth.mase_scale_NxV[0, 0] == pytest.approx(np.nanmean(step) / windows.scale.std[0], rel=1e-5)
    assert seasonal_mae(windows, 99).tolist() == [1, 1]


def test_stretches_of_one_long_series():
    assert stretches(np.array([5.0, 6, 172.9, 173, 400]), 168.0).tolist() == [0, 0, 0, 1, 2]


def test_a_score_of_several_seeds_is_their_mean_and_its_interval_holds_their_spread():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(400, 1, 1))
    truth = ForecastTruth(y, np.ones_like(y, bool))
    seeds = [{"model": Row("model", ForecastPrediction.point(y + shift))} for shift in (0.5, 1.0, 1.5)]
    found = evaluate("forecast", seeds[0], truth, np.arange(400), primary="mse", others=seeds[1:])
    (row,), alone = found["rows"], evaluate("forecast", seeds[1], truth, np.arange(400), primary="mse")["rows"][0]
    mse = row["scores"]["mse"]
    assert found["seeds"] == 3
    assert mse["mean"] == pytest.approx((0.25 + 1 + 2.25) / 3)
    # The three errors differ by seed alone: a draw of three seeds is one of ten means, the least of which is 0.25.
    assert (mse["low"], mse["high"]) == pytest.approx((0.25, 2.25), abs=0.3)
    assert alone["scores"]["mse"]["high"] is None or alone["scores"]["mse"]["high"] == pytest.approx(1.0)
