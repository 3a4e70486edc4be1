"""Resampled futures have the law of the true one, given what has been revealed: the true one's rank among them is
uniform, whatever ages, wear, repairs and parts are under way."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special, stats

from sim.laws import Deterministic, Gamma, Lognormal, Weibull
from sim.line import Line, Phase, SetSpeed, Station, Sudden, units
from sim.line import plan as plans
from sim.wear import GammaProcess, Markov, Wiener

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
    keys = (("m1", "parts"), ("m2", "parts"), ("m1", "wear"), ("b0", "level"))
    after += [trace[key].time_h[1:] for key in keys if key in trace.signals]
    return [min(times, default=np.inf) for times in after]


def ranks(states: int = 200, line: Line = LINE) -> np.ndarray:
    """Rank of the true future among its resampled ones, 0 … FUTURES; int[states, things]."""
    rows = []
    for seed in range(states):
        state = line.run(line.start(seed), 20.0 + seed % 40).state
        if seed % 2:
            state = line.run(line.act(state, SetSpeed("m1", 1.5)), state.time_h + 3.0).state
        until_h = state.time_h + 40.0
        true, *others = (
            firsts(line.run(s, until_h).trace)
            for s in (state, *(line.resample(state, 1_000 * seed + k) for k in range(FUTURES)))
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
    for module in (plans, units):
        monkeypatch.setattr(module, "redraw", lambda law, elapsed_h, left_h, q: float(law.isf(q)))
    assert not uniform(ranks(100))


GAMMA = GammaProcess(0.4, 0.08, tick_h=9.0, spread_cv=0.3)


@pytest.mark.parametrize("wear", [GAMMA, Markov(6.0), Markov(6.0, period_h=4.0)], ids=["gamma", "markov", "discrete"])
def test_the_true_future_is_one_of_the_resampled_by_every_wear(wear):
    assert uniform(ranks(line=replace(LINE, stations=(replace(STATION, wear=wear, sudden=None), STATION))))


def test_life_left_within_a_gamma_tick_has_its_law_and_a_tick_that_forgets_is_caught(monkeypatch):
    wear = GammaProcess(0.4, 0.08, tick_h=200.0)
    line = Line((Station(Deterministic(1e9), wear=wear, repair=Deterministic(1.0)),))
    states = [run.state for seed in range(1500) if not (run := line.run(line.start(seed), 32.0)).trace.events]
    assert len(states) > 400

    def law(left_h):
        left, survived = (special.gammainc(0.4 * t, 1 / 0.08) for t in (32.0 + left_h, 32.0))
        return 1 - left / survived

    def p_value() -> float:
        runs = [line.run(line.resample(state, 7 * k), 300.0) for k, state in enumerate(states)]
        return stats.kstest([run.trace.events[0].time_h - 32.0 for run in runs], law).pvalue

    assert p_value() > 1e-3
    right = GammaProcess.sf
    forgetful = lambda law, worn, unit, h: right(law, worn, unit, h) if h == law.tick_h else 1.0  # noqa: E731
    monkeypatch.setattr(GammaProcess, "sf", forgetful)
    assert p_value() < 1e-9


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
