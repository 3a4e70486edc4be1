"""Resampled futures have the law of the true one, given what has been revealed: the true one's rank among them is
uniform, whatever ages, wear, repairs and parts are under way."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sim.laws import Gamma, Lognormal, Weibull
from sim.line import Line, Phase, SetSpeed, Station, Sudden
from sim.line import plan as plans
from sim.wear import Wiener

WEAR = Wiener(1 / 30, 0.06, levels=6, spread_cv=0.3)
STATION = Station(
    Gamma(5.0, 0.8),
    wear=WEAR,
    sudden=Sudden(Weibull(40.0, 3.0)),
    repair=Lognormal(12.0, 0.8),
    maintenance=Gamma(9.0, 1.0),
)
LINE = Line((STATION, STATION), (1,), arrivals=Weibull(6.0, 2.0), crew=1)
FUTURES = 9


def firsts(trace) -> list[float]:
    """When the first of several things happens: a failure, a renewal, a part of either machine, a step of wear."""
    after = [[e.time_h for e in trace.events if e.kind == kind] for kind in ("failure", "renewal")]
    after += [trace[key].time_h[1:] for key in (("m1", "parts"), ("m2", "parts"), ("m1", "wear"), ("b0", "level"))]
    return [min(times, default=np.inf) for times in after]


def ranks(states: int = 200) -> np.ndarray:
    """Rank of the true future among its resampled ones, 0 … FUTURES; int[states, things]."""
    rows = []
    for seed in range(states):
        state = LINE.run(LINE.start(seed), 20.0 + seed % 40).state
        if seed % 2:
            state = LINE.run(LINE.act(state, SetSpeed("m1", 1.5)), state.time_h + 3.0).state
        until_h = state.time_h + 40.0
        true, *others = (
            firsts(LINE.run(s, until_h).trace)
            for s in (state, *(LINE.resample(state, 1_000 * seed + k) for k in range(FUTURES)))
        )
        jitter = np.random.default_rng(seed).random((FUTURES + 1, len(true)))  # breaks ties among what never happens
        order = np.lexsort((jitter, np.array([true, *others])), axis=0)
        rows.append(np.argmax(order == 0, axis=0))
    return np.array(rows)


def uniform(rank: np.ndarray) -> bool:
    """Chi-squared at one in ten thousand for each thing."""
    counts = [np.bincount(column, minlength=FUTURES + 1) for column in rank.T]
    return all(stats.chisquare(count).pvalue > 1e-4 for count in counts)


def test_the_true_future_is_one_of_the_resampled():
    assert uniform(ranks())


def test_forgetting_what_has_been_revealed_is_caught(monkeypatch):
    monkeypatch.setattr(plans, "_redraw", lambda law, elapsed_h, left_h, q: float(law.isf(q)))
    assert not uniform(ranks(100))


SURE = Station(
    Gamma(5.0, 0.002),
    wear=Wiener(1 / 30, 2e-4, levels=6),
    sudden=Sudden(Gamma(37.0, 0.002)),
    repair=Gamma(12.0, 0.002),
)
SURE_LINE = Line(
    (SURE, replace(SURE, sudden=Sudden(Gamma(53.0, 0.002), clock="time"))), (1,), arrivals=Gamma(6.0, 0.002), crew=1
)


def due(state) -> np.ndarray:
    """What is drawn and not yet revealed: the next arrival, and of each machine its part, its work and its clocks."""
    found = [state.arrival_h]
    for m in state.machines:
        part = m.part_h if m.phase == Phase.WORKING else m.left_h
        found += [part, m.until_h, m.level_op, m.sudden_op, m.sudden_h]
    return np.array(found)


def test_what_is_all_but_certain_is_drawn_again_the_same():
    for seed in range(60):
        state = SURE_LINE.run(SURE_LINE.start(seed), 1.0 + 1.3 * seed).state
        for machine, speed in (("m1", 1.5), ("m2", 0.8)):
            state = SURE_LINE.run(SURE_LINE.act(state, SetSpeed(machine, speed)), state.time_h + 0.9).state
        np.testing.assert_allclose(due(SURE_LINE.resample(state, 1000 + seed)), due(state), rtol=0, atol=0.5)


def test_a_units_own_rate_and_queued_actions_stay():
    state = LINE.run(LINE.start(3), 25.0).state
    other = LINE.resample(LINE.act(state, SetSpeed("m2", 2.0)), 8)
    assert [m.rate for m in other.machines] == [m.rate for m in state.machines]
    assert other.actions == [SetSpeed("m2", 2.0)]
    assert (other.seed, other.time_h) == (8, 25.0)
    assert LINE.resample(state, 8) == LINE.resample(state, 8) != LINE.resample(state, 9)


@pytest.mark.parametrize("phase", [Phase.REPAIRING, Phase.WORKING, Phase.STARVED])
def test_states_of_every_kind_occur_in_the_test(phase):
    seen = [LINE.run(LINE.start(seed), 20.0 + seed % 40).state.machines for seed in range(60)]
    assert any(m.phase == phase for machines in seen for m in machines)
