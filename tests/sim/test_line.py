"""Exact facts about lines: departures, balances, times in phases, the crew's queue, policies and orders."""

import gc
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench import lean_line
from sim.errors import InputError
from sim.kernel import Kernel
from sim.laws import Deterministic, Exponential, InverseGaussian, Lognormal, Weibull
from sim.line import (
    AgeReplacement,
    Hold,
    Line,
    OrderMaintenance,
    Phase,
    SetSpeed,
    Station,
    Sudden,
    WearThreshold,
)
from sim.streams import Streams
from sim.wear import Wiener
from tests.sim.strategies import line_actions, lines

NEVER = Deterministic(1e9)


def line(*stations, **rest) -> Line:
    return Line(tuple(stations), **rest)


def told(trace, machine="m1", kinds=("failure", "planned", "renewal")):
    return [(e.time_h, e.kind, e.cause) for e in trace.events if e.entity == machine and e.kind in kinds]


# Departures


def recursion(cycles: np.ndarray, buffer: int) -> np.ndarray:
    """When each machine finishes each part, by the sample-path identity; float64[machines, parts]."""
    machines, parts = cycles.shape
    finished, left = np.zeros((machines, parts)), [[0.0] * parts for _ in range(machines)]
    for k in range(parts):
        came = 0.0
        for i in range(machines):
            done = max(came, left[i][k - 1] if k else 0.0) + cycles[i, k]
            finished[i, k] = done
            held = k - buffer - 1
            came = left[i][k] = max(done, left[i + 1][held]) if i < machines - 1 and held >= 0 else done
    return finished


@pytest.mark.parametrize("buffer", [0, 5, 20])
@pytest.mark.parametrize(
    ("law", "parts"), [(Exponential(1.0), 100_000), (Deterministic(1.0), 10_000)], ids=["exponential", "deterministic"]
)
def test_departures_obey_the_sample_path_identity_exactly(buffer, law, parts):
    machines = 3
    made = line(*[Station(law)] * machines, buffers=(buffer,) * (machines - 1))
    end_h = 1.03 * parts * (1.0 if law == Deterministic(1.0) else 1 + 2 / (buffer + 1))
    trace = made.run(made.start(3), end_h).trace
    streams = Streams(3, [f"m{i + 1}/cycle" for i in range(machines)])
    cycles = np.array([[streams[name].draw(law) for _ in range(parts)] for name in streams])
    wanted = recursion(cycles, buffer)
    for i in range(machines):
        finished = trace[f"m{i + 1}", "parts"].time_h[1:]
        assert len(finished) >= 0.95 * parts
        n = min(parts, len(finished))
        assert np.array_equal(finished[:n], wanted[i, :n])


def test_the_identity_catches_one_place_too_many():
    made = line(*[Station(Exponential(1.0))] * 2, buffers=(4,))
    trace = made.run(made.start(3), 1000.0).trace
    streams = Streams(3, ["m1/cycle", "m2/cycle"])
    cycles = np.array([[streams[name].draw(Exponential(1.0)) for _ in range(500)] for name in streams])
    assert np.array_equal(trace["m2", "parts"].time_h[1:501], recursion(cycles, 4)[1])
    assert not np.array_equal(trace["m2", "parts"].time_h[1:501], recursion(cycles, 5)[1])


@pytest.mark.parametrize("buffers", [(10, 10, 10), (0, 1, 2)])
def test_a_lean_simpy_program_gives_the_same_history(buffers):
    station = Station(
        Lognormal(1 / 6, 0.3),
        wear=Wiener(1 / 60, 0.04, spread_cv=0.2),
        sudden=Sudden(Exponential(90.0)),
        repair=Lognormal(6.0, 0.5),
        load=1.2,
    )
    made = line(*[station] * 4, buffers=buffers, crew=1)
    ours, theirs = made.run(made.start(5), 600.0), lean_line.run(made, 5, 600.0)
    assert [e[1:] for e in ours.trace.events] == [e[1:] for e in theirs.events]
    assert len(ours.trace.events) > 50
    for key, signal in ours.trace.signals.items():
        assert np.array_equal(signal.value, theirs.signals[key].value), key
        assert signal.time_h == pytest.approx(theirs.signals[key].time_h, rel=1e-12, abs=1e-9), key
    for m, hours in zip(ours.state.machines, theirs.hours, strict=True):
        assert m.hours_at(600.0) == pytest.approx(hours, abs=1e-8)


# Balances that every line keeps


@settings(max_examples=60)
@given(st.data())
def test_parts_are_conserved_and_time_adds_up(data):
    made = data.draw(lines())
    state = made.start(data.draw(st.integers(0, 10**6)))
    state = made.run(state, 20.0).state
    for action in data.draw(st.lists(line_actions(made), max_size=3)):
        state = made.act(state, action)
    trace, state = made.run(state, 60.0)
    assert balanced(made, state)
    names = dict(zip(made.machines, state.machines, strict=True))
    for name, m in names.items():
        assert sum(m.hours_at(60.0)) == pytest.approx(60.0, abs=1e-9)
        phase = trace[name, "phase"]
        assert (np.diff(phase.time_h) >= 0).all()
        spans = np.diff(np.clip(np.append(phase.time_h, 60.0), 20.0, 60.0))
        since = [float(spans[phase.value == code].sum()) for code in Phase]
        assert sum(since) == pytest.approx(40.0)
    for k, room in enumerate((made.queue, *made.buffers)):
        name = f"b{k}"
        if name in made.buffer_names:
            level = trace[name, "level"].value
            assert level.min() >= 0
            assert level.max() <= (math.inf if room is None else room)
    if made.crew is not None:
        at = np.unique(np.concatenate([trace[name, "phase"].time_h for name in names]))
        at = at[at >= 20.0]
        tended = sum(np.isin(trace[name, "phase"].at(at), (4, 5)).astype(int) for name in names)
        waits = sum((trace[name, "phase"].at(at) == 3).astype(int) for name in names)
        assert np.max(tended, initial=0) <= made.crew
        assert (np.asarray(tended)[np.asarray(waits) > 0] == made.crew).all()


def balanced(made: Line, state) -> bool:
    """Whether every part that left a station is in the buffer after it, in the next station, or beyond."""
    stations = [[state.machines[i] for i in members] for members in made.plan.members]
    return all(
        sum(m.parts - (m.holds == 2) for m in before) - sum(m.parts + (m.holds == 1) for m in after) == state.levels[k]
        for k, (before, after) in enumerate(pairwise(stations), 1)
    )


def test_a_part_that_vanishes_is_caught():
    made = line(*[Station(Exponential(1.0))] * 2, buffers=(3,))
    state = made.run(made.start(0), 50.0).state
    assert balanced(made, state)
    state.levels[1] += 1
    assert not balanced(made, state)


# Lives


def lives_of(made: Line, count: int, seed: int = 0) -> np.ndarray:
    """Lives of one machine, from each renewal to the next failure, in hours."""
    state, times = made.start(seed), [0.0]
    trace = made.run(state, 1.3 * count * 25.0).trace
    for time_h, _, _ in told(trace, kinds=("failure", "renewal")):
        times.append(time_h)
    assert len(times) > 2 * count
    begun, ended = times[0 : 2 * count : 2], times[1 : 2 * count : 2]
    return np.array(ended) - np.array(begun)


def unlike(lives: np.ndarray, law) -> bool:
    """Kolmogorov and Smirnov, at one in a thousand."""
    return stats.kstest(lives, lambda t: 1 - law.sf(t)).pvalue < 1e-3


def test_sudden_lives_are_weibull_and_a_wrong_scale_is_caught():
    law = Weibull(20.0, 2.2)
    for clock in ("operation", "time"):
        lives = lives_of(line(Station(NEVER, sudden=Sudden(law, clock), repair=Deterministic(1.0))), 9000)
        assert not unlike(lives, law)
        assert unlike(lives, Weibull(20.0 * 1.05, 2.2))


@pytest.mark.parametrize("levels", [1, 7, 50])
def test_wear_lives_are_inverse_gaussian_however_coarse_the_ladder(levels):
    wear = Wiener(0.05, 0.05, levels=levels)
    lives = lives_of(line(Station(NEVER, wear=wear, repair=Deterministic(1.0))), 3000, seed=levels)
    life = InverseGaussian(1 / 0.05, (1 / 0.05) ** 2)
    assert not unlike(lives, life)
    assert unlike(lives, InverseGaussian(1.05 * life.mean_h, life.shape_h))


def test_load_speed_and_the_units_own_rate_hasten_wear():
    wear = Wiener(0.05, 0.05, spread_cv=0.3, load_exponent=2.0)
    made = line(Station(NEVER, wear=wear, load=1.3, repair=Deterministic(1.0)))
    plain = line(Station(NEVER, wear=wear, repair=Deterministic(1.0)))
    state = made.act(made.start(4), SetSpeed("m1", 2.0))
    trace, base = made.run(state, 500.0).trace, plain.run(plain.start(4), 2000.0).trace
    fast, slow = told(trace)[0][0], told(base)[0][0]
    assert fast * 1.3 * 2.0**2 == pytest.approx(slow)
    rates = base["m1", "rate"].value
    assert rates[0] == trace["m1", "rate"].value[0] != 1.0
    assert len(np.unique(rates)) == len(rates) > 10


def test_wear_climbs_the_ladder_and_returns_to_nothing():
    made = line(Station(NEVER, wear=Wiener(0.05, 0.05, levels=5), repair=Deterministic(1.0)))
    trace = made.run(made.start(0), 500.0).trace
    wear = trace["m1", "wear"].value
    assert wear[:7].tolist() == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0, 0])
    failures = [t for t, kind, _ in told(trace) if kind == "failure"]
    assert trace["m1", "wear"].time_h[wear == 1.0].tolist() == failures


# Failures, repair, crew


def test_an_interrupted_part_is_resumed_where_it_stopped():
    made = line(Station(Deterministic(2.0), sudden=Sudden(Deterministic(5.0)), repair=Deterministic(10.0)))
    trace = made.run(made.start(0), 40.0).trace
    assert told(trace) == [
        (5.0, "failure", "sudden"),
        (15.0, "renewal", "repair"),
        (20.0, "failure", "sudden"),
        (30.0, "renewal", "repair"),
        (35.0, "failure", "sudden"),
    ]
    assert trace["m1", "parts"].time_h.tolist() == [0.0, 2.0, 4.0, 16.0, 18.0, 20.0, 32.0, 34.0]


def test_an_operation_clock_rests_with_the_machine_and_a_time_clock_does_not():
    slow = Station(Deterministic(4.0))
    for clock, fails_h in (("operation", 12.5), ("time", 2.5)):
        made = line(slow, Station(Deterministic(1.0), sudden=Sudden(Deterministic(2.5), clock)), buffers=(3,))
        trace = made.run(made.start(0), 15.0).trace
        assert told(trace, "m2")[0] == (fails_h, "failure", "sudden")


def test_the_crew_serves_in_order_and_equals_by_rank():
    station = Station(NEVER, sudden=Sudden(Deterministic(5.0), "time"), repair=Deterministic(3.0))
    first = Station(NEVER, sudden=Sudden(Deterministic(6.0), "time"), repair=Deterministic(3.0))
    made = line(first, station, station, buffers=(None, None), crew=1)
    trace = made.run(made.start(0), 15.0).trace
    renewals = [(e.time_h, e.entity) for e in trace.events if e.kind == "renewal"]
    assert renewals == [(8.0, "m2"), (11.0, "m3"), (14.0, "m1")]
    assert trace["m3", "phase"].value.tolist() == [Phase.STARVED, Phase.WAITING, Phase.REPAIRING, Phase.STARVED]


def test_a_machine_that_fails_while_blocked_keeps_its_part():
    made = line(
        Station(Deterministic(1.0), sudden=Sudden(Deterministic(4.5), "time"), repair=Deterministic(3.0)),
        Station(Deterministic(10.0)),
        buffers=(0,),
    )
    trace = made.run(made.start(0), 12.0).trace
    assert trace["m1", "phase"].value.tolist() == [1, 2, 4, 2, 1]
    assert trace["m1", "phase"].time_h.tolist() == [0.0, 2.0, 4.5, 7.5, 11.0]
    assert trace["m2", "parts"].time_h.tolist() == [0.0, 11.0]


def test_parallel_machines_deliver_in_the_order_in_which_they_were_blocked():
    made = line(Station(Deterministic(2.0), machines=2), Station(Deterministic(7.0)), buffers=(0,))
    state = made.act(made.start(0), SetSpeed("m1.2", 4.0))  # m1.2 finishes at 0.5 and 1, m1.1 at 2
    _, state = made.run(state, 5.0)
    assert state.blocked[1] == [1, 0]
    _, state = made.run(state, 8.5)  # the second station took from m1.2 at 7.5
    assert state.blocked[1] == [0, 1]


def test_parts_go_to_the_idle_machine_of_the_lowest_rank():
    made = line(Station(Deterministic(3.0)), Station(Deterministic(1.0), machines=3), buffers=(2,))
    state = made.run(made.start(0), 31.0).state
    assert [m.parts for m in state.machines] == [10, 9, 0, 0]


# Policies and orders


def test_age_replacement_counts_operating_hours():
    made = line(
        Station(Deterministic(1.0)),
        Station(Deterministic(0.5), policy=AgeReplacement(4.0), maintenance=Deterministic(2.0)),
        buffers=(None,),
    )
    trace = made.run(made.start(0), 12.0).trace
    assert told(trace, "m2") == [(9.0, "planned", "age"), (11.0, "renewal", "maintenance")]


def test_the_wear_threshold_stops_the_machine_before_it_fails():
    wear = Wiener(0.05, 0.02, levels=10)
    made = line(Station(NEVER, wear=wear, policy=WearThreshold(0.75), maintenance=Deterministic(1.0)))
    trace = made.run(made.start(0), 300.0).trace
    assert trace["m1", "wear"].value.max() == 0.8
    assert {cause for _, kind, cause in told(trace) if kind != "renewal"} == {"threshold"}


def test_a_held_policy_lets_the_machine_run_to_failure():
    wear = Wiener(0.05, 0.02, levels=10)
    for policy in (WearThreshold(0.5), AgeReplacement(3.0)):
        made = line(Station(NEVER, wear=wear, policy=policy, maintenance=Deterministic(1.0)))
        trace = made.run(made.act(made.start(0), Hold("m1")), 300.0).trace
        assert {kind for _, kind, _ in told(trace)} == {"failure", "renewal"}
        plain = made.run(made.start(0), 300.0).trace
        assert {kind for _, kind, _ in told(plain)} == {"planned", "renewal"}


def test_an_order_takes_a_machine_down_and_is_on_record():
    made = line(Station(Deterministic(2.0), maintenance=Deterministic(3.0)))
    state = made.run(made.start(0), 5.0).state
    state = made.act(made.act(state, OrderMaintenance("m1")), OrderMaintenance("m1"))
    trace = made.run(state, 12.0).trace
    assert [e.kind for e in trace.events] == ["action", "planned", "action", "renewal"]
    assert told(trace) == [(5.0, "planned", "order"), (8.0, "renewal", "maintenance")]
    assert trace["m1", "parts"].time_h.tolist() == [4.0, 9.0, 11.0]


def test_speed_changes_the_part_in_work_and_those_to_come():
    made = line(Station(Deterministic(4.0)))
    state = made.run(made.start(0), 5.0).state
    trace = made.run(made.act(state, SetSpeed("m1", 2.0)), 10.0).trace
    assert trace["m1", "parts"].time_h.tolist() == [4.0, 6.5, 8.5]
    assert trace["m1", "speed"].time_h.tolist() == [0.0, 5.0]
    assert [(e.cause, e.value) for e in trace.events] == [("SetSpeed", 2.0)]


def test_speed_changes_the_part_that_a_machine_holds_while_it_is_down():
    made = line(Station(Deterministic(10.0), sudden=Sudden(Deterministic(4.0)), repair=Deterministic(3.0)))
    state = made.run(made.start(0), 5.0).state
    trace = made.run(made.act(state, SetSpeed("m1", 2.0)), 11.0).trace
    assert trace["m1", "parts"].time_h[1:].tolist() == [10.0]  # 4 h of it done by 4 h, the other 6 at speed 2 from 7 h


def test_arrivals_that_find_no_room_are_lost():
    made = line(Station(Deterministic(3.0)), arrivals=Deterministic(1.0), queue=1)
    trace, state = made.run(made.start(0), 20.0)
    lost = [e for e in trace.events if e.kind == "lost"]
    assert state.lost == len(lost) == 11
    assert 19 - len(lost) == state.machines[0].parts + 1 + state.levels[0]


# Bad input


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: line(), "stations"),
        (lambda: line(Station(NEVER), Station(NEVER)), "buffers"),
        (lambda: line(Station(NEVER), Station(NEVER), buffers=(-1,)), "buffers"),
        (lambda: line(Station(NEVER), queue=3), "queue"),
        (lambda: line(Station(NEVER), crew=0), "crew"),
        (lambda: Station(NEVER, machines=0), "machines"),
        (lambda: Station(NEVER, policy=WearThreshold(0.5)), "policy"),
        (lambda: Station(NEVER, wear=Wiener(1.0, 1.0, levels=10), policy=WearThreshold(0.95)), "policy"),
        (lambda: line(Station(NEVER)).station_of("m9"), "no machine 'm9' in the line; it has m1"),
        (lambda: line(Station(NEVER)).act(line(Station(NEVER)).start(0), Hold("m2")), "no machine 'm2'"),
        (lambda: line(Station(NEVER)).act(line(Station(NEVER)).start(0), "stop"), "the action is 'stop'"),
        (lambda: line(NEVER), "stations"),
        (lambda: line(Station(NEVER)).run(line(Station(NEVER)).start(0), -1.0), "cannot run to -1"),
        (lambda: line(Station(NEVER)).run(line(Station(NEVER)).start(0), math.nan), "cannot run to nan"),
        (lambda: SetSpeed("m1", 0.0), "speed"),
        (lambda: SetSpeed("m1", math.inf), "speed"),
        (lambda: Station(NEVER, load=math.inf), "load"),
        (lambda: Wiener(1.0, 1.0, threshold=math.inf), "threshold"),
        (lambda: Wiener(1.0, 1.0, load_exponent=math.inf), "load_exponent"),
    ],
)
def test_nonsense_is_refused_by_name(make, says):
    with pytest.raises(InputError, match=says):
        make()


# Cost


def test_a_run_leaves_nothing_to_the_garbage_collector():
    timed = Station(Exponential(0.5), sudden=Sudden(Exponential(5.0), "time"))
    made = line(timed, timed, buffers=(1,), arrivals=Exponential(0.6))
    made.run(made.start(0), 5.0)
    gc.collect()
    gc.disable()
    try:
        made.run(made.start(0), 50.0)
        assert gc.collect() == 0
    finally:
        gc.enable()


# Ties


def splits_agree(made: Line) -> bool:
    whole = made.run(made.start(0), 200.0)
    for seed in range(10):
        cuts = np.sort(np.random.default_rng(seed).integers(0, 200, 12)).tolist()
        state, traces = made.start(0), []
        for cut in (*cuts, 200.0):
            trace, state = made.run(state, float(cut))
            traces.append(trace)
        joined = traces[0].then(*traces[1:])
        if state != whole.state or (joined.events, joined.signals) != (whole.trace.events, whole.trace.signals):
            return False
    return True


def test_ties_are_broken_by_rank_and_a_kernel_that_forgets_ranks_is_caught(monkeypatch):
    fragile = Station(Deterministic(1.0), sudden=Sudden(Deterministic(6.0)), repair=Deterministic(2.0))
    timed = Station(Deterministic(1.0), sudden=Sudden(Deterministic(5.0), "time"), repair=Deterministic(3.0))
    pair = Station(Deterministic(2.0), machines=2, sudden=Sudden(Deterministic(8.0)), repair=Deterministic(2.0))
    made = line(fragile, timed, pair, buffers=(1, 2), crew=1, arrivals=Deterministic(1.0), queue=1)
    assert splits_agree(made)
    ranked = Kernel.deadline
    monkeypatch.setattr(Kernel, "deadline", lambda self, rank, due, time_h=math.inf: ranked(self, 0, due, time_h))
    assert not splits_agree(made)
