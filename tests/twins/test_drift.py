"""Drift is what runs of one plant do not show among themselves."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from sim.laws import Exponential, Lognormal
from sim.line import Line, Station, Sudden
from tests.plants.ticker import TickerTwin
from twins.dataset import Plan, ensure
from twins.dataset.drift import _psi, drifts, only
from twins.dataset.summary import Column, _longest, columns, events, lives


def column(values_R, missing_R=None, quantity="q"):
    seen = np.array([len(x) for x in values_R])
    missing = np.zeros(len(seen), int) if missing_R is None else np.array(missing_R)
    return Column(quantity, "1", "past", 1.0, (), ("m",), tuple(values_R), seen, missing, 0)


def runs(rng, count, shift=0.0, size=300, between=1.0):
    """Runs whose means differ by chance, as autocorrelated readings of one plant do."""
    return [shift + between * rng.normal() + rng.normal(size=size) for _ in range(count)]


def test_runs_of_one_plant_show_no_drift_where_a_test_of_samples_would():
    naive, false = 0, 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        a, b = column(runs(rng, 12)), column(runs(rng, 12))
        naive += stats.ks_2samp(a.values, b.values).pvalue < 0.01
        false += drifts([a], [b], 999)[0].verdict.endswith("drift")
    assert naive >= 30
    assert false <= 2  # of 40 at a level of 1 %


def test_a_planted_drift_is_found_and_sized():
    rng = np.random.default_rng(0)
    a, b, far = column(runs(rng, 20, between=0.2)), column(runs(rng, 20, 0.4, between=0.2)), column(runs(rng, 20, 3.0))
    assert drifts([a], [b])[0].verdict in ("slight drift", "moderate drift")
    found = drifts([a], [far])[0]
    assert found.verdict == "strong drift"
    assert found.ks == pytest.approx(stats.ks_2samp(a.values, far.values).statistic, abs=2 / 256)


def test_lost_samples_are_drift_too():
    rng = np.random.default_rng(1)
    values = [rng.normal(size=300) for _ in range(20)]
    a, b = column(values, [5 + i % 3 for i in range(20)]), column(values[::-1], [90 + i % 5 for i in range(20)])
    row = drifts([a], [b])[0]
    assert row.ks == 0
    assert row.verdict.endswith("drift")
    assert row.missing == (a.missing, b.missing)


def test_with_few_runs_it_says_that_it_cannot_tell():
    rng = np.random.default_rng(2)
    a, b = column(runs(rng, 3)), column(runs(rng, 3, 9.0))
    row = drifts([a], [b])[0]
    assert row.verdict == "too few runs to tell"
    assert row.p == 2 * 2 / 20  # as it is and with both exchanged, of the 20 ways, either side


def test_many_quantities_are_judged_together():
    rng = np.random.default_rng(3)
    first = [column(runs(rng, 10), quantity=f"q{i}") for i in range(60)]
    second = [column(runs(rng, 10), quantity=f"q{i}") for i in range(60)]
    assert sum(row.verdict.endswith("drift") for row in drifts(first, second, 999)) == 0
    assert only(first, second[1:]) == [("q0", "1", "past")]
    assert len(drifts(first, second[1:], 99)) == 59


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.lists(st.floats(-100, 100), min_size=1, max_size=30))
@settings(max_examples=60)
def test_the_distance_is_wassersteins_in_deviations_of_the_first(a, b):
    assume(np.std(a) > 1e-3)
    found = drifts([column([np.array(a)])], [column([np.array(b)])], 99)[0].wasserstein
    assert found * np.std(a) == pytest.approx(stats.wasserstein_distance(a, b), abs=1e-9)


def test_the_index_is_that_of_shares_in_tenths():
    first = np.arange(1000.0)
    assert _psi(first, first, (0.0, 0.0)) == pytest.approx(0, abs=1e-9)
    moved = np.concatenate((first[:500], first[:500]))  # all in the lower five tenths
    expected = 5 * (0.1 - 0.2) * np.log(0.1 / 0.2) + 5 * (0.1 - 1e-4) * np.log(0.1 / 1e-4)
    assert _psi(first, moved, (0.0, 0.0)) == pytest.approx(expected, rel=0.02)
    assert _psi(np.zeros(50), np.zeros(70), (0.0, 0.0)) == pytest.approx(0, abs=1e-9)
    assert _psi(first, first, (0.0, 0.5)) > 0.25


def test_columns_hold_every_sample_once(tmp_path):
    made = ensure(TickerTwin(), Plan(4, 0, 2, 48.0), tmp_path, workers=1)
    level, *_ = columns(made, ["train"])
    assert level.key == ("level", "1", "target")
    series = [s for e in made.episodes("train") for s in e.series if s.quantity == "level"]
    there = np.concatenate([s.values[np.isfinite(s.values)] for s in series])
    assert sorted(level.values) == sorted(there)
    assert level.seen_R.sum() + level.missing_R.sum() == sum(len(s.values) for s in series)
    assert level.missing == pytest.approx(1 / 17, abs=0.02)
    assert len(level.values_R) == 4
    assert level.gap == 1


@given(st.lists(st.booleans(), max_size=40))
def test_the_longest_gap(on):
    expected = max((len(part) for part in "".join("x" if x else " " for x in on).split()), default=0)
    assert _longest(np.array(on, bool)) == expected


def test_events_and_lives_are_counted(tmp_path):
    from twins.line import LineTwin

    station = Station(Lognormal(1 / 6, 0.1), sudden=Sudden(Exponential(20.0)), repair=Exponential(2.0))
    made = ensure(LineTwin(Line((station,) * 2, (4,))), Plan(3, 0, 0, 96.0), tmp_path, workers=1)
    episodes = made.episodes("train")
    told = {(kind, cause): (n, runs) for kind, cause, n, runs in events(episodes)}
    failures = [e for episode in episodes for e in episode.events if e.kind == "failure"]
    assert told["failure", "sudden"] == (len(failures), 3)
    ended = lives(episodes)
    assert len(ended["sudden"]) == len(failures)
    assert sum(map(len, ended.values())) == sum(len(e.spells) for e in episodes)
