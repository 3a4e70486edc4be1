"""The laws that every world keeps. A further world is one more line in WORLDS."""

import copy
import math
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.pump.sim import Pump, ReplaceSeal
from sim.devices import Devices, Kind, Service
from sim.factory import SetPriority
from sim.feeder import Feeder, Protection, ReplaceTransformer, SetBattery, Theft
from sim.grid import Grid, LoadPoint, Network, Section, SwitchSection
from sim.grid.network import YEAR_H
from sim.homes import Business, Call, Chargers, Clouds, Group, Homes, Household
from sim.homes.battery import Battery
from sim.homes.transformer import Transformer
from sim.house import House, Offer
from sim.laws import Deterministic, Exponential, Uniform, Weibull
from sim.line import Line, Material, SetSpeed, Station, Sudden
from sim.patient import Care, Operate, Policy, Prescribe, Risk
from sim.quality import Bench, Flaw, Inspected
from sim.supply import BaseStock, Demand, MinMax, Point, SetPolicy, Supply
from sim.trace import Trace
from sim.tumour import Treat, Tumour
from sim.tumour.checks import alike
from sim.wear import Wiener
from tests.sim import factories
from tests.sim.grids import grid_actions, grids
from tests.sim.strategies import compiled_lines, line_actions, lines
from tests.sim.supplied import supplied_actions, supplied_lines
from tests.sim.supplies import supplies, supply_actions


@dataclass(frozen=True)
class Case:
    """A world under test. What a world does not have (actions, memoryless lives) is left out and not tested."""

    name: str
    worlds: st.SearchStrategy
    horizon_h: float = 60.0
    actions: Callable[[Any], st.SearchStrategy] | None = None
    nothing: Callable[[Any], Any] | None = None  # an action that changes nothing but the record
    memoryless: tuple[Any, str, float] | None = None  # a world whose first event of a kind has a constant rate per hour
    determined: Any = None  # a world in which nothing is left to chance

    def __repr__(self) -> str:
        return self.name


FLAKY = Line([Station(Deterministic(0.25), sudden=Sudden(Exponential(40.0), "time"), repair=Exponential(2.0))])  # type: ignore[arg-type]
BRITTLE = Line((Station(Deterministic(0.25), sudden=Sudden(Exponential(40.0)), repair=Exponential(2.0)),))
GEARS = Line(
    (
        Station(Deterministic(0.3), sudden=Sudden(Deterministic(7.0)), repair=Deterministic(1.7)),
        Station(Deterministic(0.4), sudden=Sudden(Deterministic(11.0)), repair=Deterministic(2.3)),
    ),
    (1,),
    crew=1,
)
CLOCKWORK = Line(
    [
        Station(Deterministic(0.3), sudden=Sudden(Deterministic(7.0)), repair=Deterministic(1.7)),
        Station(Deterministic(0.7), machines=2, sudden=Sudden(Deterministic(11.0), "time"), repair=Deterministic(2.3)),
    ],  # type: ignore[arg-type]
    [1],  # type: ignore[arg-type]
    crew=1,
)
STEADY = Supply(
    (
        Point("depot", MinMax(2, 9), lead=Deterministic(4.3), late=1.0, delay=Deterministic(1.9)),
        Point("shop", BaseStock(4), "depot", Deterministic(1.7), Demand(Deterministic(0.7), Deterministic(2.0))),
    )
)
KIOSK = Supply((Point("kiosk", BaseStock(3), demand=Demand(Exponential(40.0))),))
SPOILT = Inspected(
    Line(
        (
            Station(Exponential(0.4), wear=Wiener(1 / 15, 0.05, levels=6), repair=Exponential(2.0)),
            Station(Deterministic(0.5), sudden=Sudden(Exponential(20.0)), repair=Exponential(3.0)),
        ),
        (2,),
    ),
    (Flaw("m1", "scratch", 0.4), Flaw("m1", "dent", 0.2), Flaw("m2", "stain", 0.6)),
    bench=Bench(Exponential(0.6), passes=3),
)
SLOW = Inspected(
    replace(FLAKY, stations=(replace(FLAKY.stations[0], cycle=Deterministic(4.0)),)), (Flaw("m1", "dent"),)
)
PERFECT = Inspected(replace(CLOCKWORK, stations=CLOCKWORK.stations[:1], buffers=()), (Flaw("m1", "dent", 0, 0),), 0, 0)
SIEVE = Pump(Deterministic(1e9), Deterministic(1e-6), Wiener(1e-9, 1e-9), Exponential(40.0), lumps=1)  # never stops
WIRE = Grid(Network(("b",), (Section("s", "b", "n", 1.0, YEAR_H / 40, at_a="breaker"),), (LoadPoint("LP", "n"),)))
MENDED = replace(
    FLAKY,
    stations=(replace(FLAKY.stations[0], cycle=Deterministic(4.0), spare="spares"),),
    supply=Supply((Point("spares", BaseStock(3), lead=Exponential(5.0)), Point("steel", BaseStock(9)))),
    material=Material("steel"),
)
KITTED = replace(
    CLOCKWORK,
    stations=tuple(replace(station, spare="depot") for station in CLOCKWORK.stations),
    supply=STEADY,
    material=Material("shop", 2),
)
STREET = Homes(
    (Group(2, Household(heat_kw_per_k=0.15, car=True)), Group(1, Household(pv_kw=5.0, spread_cv=0.0))),
    weather=replace(Homes.weather, clouds=Clouds((1.0, 0.3), (1.0, 2.0))),
    chargers=Chargers(1, visits_per_h=0.2, dwell=Exponential(2.0)),
    businesses=(Business(),),
)
PARK = Homes((), chargers=Chargers(2, visits_per_h=1 / 40.0))
HASTY = Kind(
    "pump", 3, Exponential(5.0), Exponential(2.0), Uniform(0.5, 1.5), Wiener(1 / 12, 0.1, levels=5, spread_cv=0.3),
    Exponential(30.0), 0.3, 5.0, Exponential(4.0), Deterministic(2.0), 9.0,
)  # fmt: skip
NONSTOP = Kind(
    "pump",
    1,
    Deterministic(1e9),
    Deterministic(1e-6),
    Deterministic(1.0),
    None,
    Exponential(40.0),
    repair=Exponential(9.0),
)
CLOCKED = Kind(
    "pump", 2, Deterministic(5.0), Deterministic(2.0), Deterministic(1.0), None, Deterministic(13.0), 0.0,
    repair=Deterministic(3.0),
)  # fmt: skip
BEHIND = Feeder(
    STREET,
    Transformer(6.0),
    (6.0, 10.0),
    life=Weibull(3.0, 2.0),
    used=Uniform(0.1, 2.0),
    sudden=Exponential(40.0),
    replacement=Exponential(3.0),
    planned=Uniform(0.3, 2.0),
    protection=Protection(110.0, 1.6),
    theft=Theft(Exponential(30.0), Uniform(2.0, 20.0)),
    battery=Battery(4.0, 3.0, 3.0),
)
SHED = Feeder(Homes(()), life=None, sudden=Exponential(40.0))
QUIET = Risk(cardiac=0, other=0, decompensation=0, infarction=0, lost=0)
STABLE = Care(2, risk=QUIET, policy=None, at_start=(("bisoprolol", 2),), adherence=1.0, lab_cv=0.0, beds=(None,) * 4)
STABLE = replace(STABLE, visit=Deterministic(50.0), age=(70.0, 0.0))
MORTAL = replace(
    STABLE, patients=1, at_start=(), risk=replace(QUIET, cardiac=8766 / 40, age=0, ef=0, pcwp=0, hormones=0)
)
MORTAL = replace(MORTAL, risk=replace(MORTAL.risk, sbp=0, creatinine=0, frailty=0))
BUSY = Care(
    4,
    risk=Risk(cardiac=2.0, other=1.0, decompensation=120.0, infarction=60.0, lost=2.0),
    policy=Policy(gamma=1.0, hidden=0.5),
    adherence=0.7,
    visit=Exponential(40.0),
    beds=(1, 1, 1, 1),
    stay=(Exponential(5.0), Exponential(30.0), Deterministic(20.0), Uniform(2.0, 4.0)),
)
WORLDS = [
    Case(
        "line",
        lines(),
        actions=line_actions,
        nothing=lambda line: SetSpeed(line.machines[-1], 1.0),
        memoryless=(FLAKY, "failure", 1 / 40.0),
        determined=CLOCKWORK,
    ),
    Case(
        "compiled line",
        compiled_lines(),
        memoryless=(replace(BRITTLE, engine="compiled"), "failure", 1 / 40.0),
        determined=replace(GEARS, engine="compiled"),
    ),
    Case(
        "supplied line",
        supplied_lines(),
        actions=supplied_actions,
        nothing=lambda line: SetSpeed(line.machines[-1], 1.0),
        memoryless=(MENDED, "failure", 1 / 40.0),
        determined=KITTED,
    ),
    Case(
        "factory",
        factories.factories(),
        actions=factories.factory_actions,
        nothing=lambda factory: SetPriority(factory.products[-1].name, 0),
        memoryless=(factories.FLAKY, "failure", 1 / 40.0),
        determined=factories.CLOCKWORK,
    ),
    Case(
        "house",
        st.sampled_from([House(), House(listing=Deterministic(2.0), sale=Deterministic(6.0))]),
        horizon_h=200.0,
        actions=lambda house: st.floats(20.0, 300.0).map(Offer),
        memoryless=(House(listing=Exponential(40.0)), "listed", 1 / 40.0),
    ),
    Case(
        "pump",
        st.sampled_from([Pump(), Pump(seal=Wiener(1 / 20, 0.05, levels=5), debris=Deterministic(3.0), lumps=2)]),
        horizon_h=200.0,
        actions=lambda pump: st.just(ReplaceSeal()),
        memoryless=(SIEVE, "backwash", 1 / 40.0),
    ),
    Case(
        "grid",
        grids(),
        horizon_h=150.0,
        actions=grid_actions,
        nothing=lambda grid: SwitchSection(grid.network.sections[0].name, False),
        memoryless=(WIRE, "failure", 1 / 40.0),
    ),
    Case(
        "supply",
        supplies(),
        actions=supply_actions,
        nothing=lambda supply: SetPolicy(supply.names[-1], supply.points[-1].policy),
        memoryless=(KIOSK, "demand", 1 / 40.0),
        determined=STEADY,
    ),
    Case(
        "quality",
        st.sampled_from([SPOILT, replace(SPOILT, bench=None), replace(SPOILT, bench=Bench(Deterministic(0.5)))]),
        actions=lambda world: line_actions(world.line),
        nothing=lambda world: SetSpeed("m1", 1.0),
        memoryless=(SLOW, "failure", 1 / 40.0),
        determined=PERFECT,
    ),
    Case(
        "tumour",
        st.sampled_from([Tumour(3, gamma=2.0), Tumour(2, window=3), Tumour(1, gamma=4.0, half_life_h=7.0)]),
        horizon_h=480.0,
        actions=lambda world: st.builds(
            Treat, st.sampled_from(world.names), st.lists(st.tuples(st.booleans(), st.booleans()), max_size=4)
        ),
        nothing=lambda world: Treat(world.names[-1]),
        determined=Tumour(2, population=alike(1e-3, 4.0), noise_sd=0.0, chemo_dose=0.0, radio_dose_gy=0.0),
    ),
    Case(
        "homes",
        st.sampled_from([STREET, replace(STREET, chargers=Chargers(2, dwell=Deterministic(1.0), plug=1.0)), PARK]),
        actions=lambda world: st.builds(
            Call, st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from([0.5, 2.0]), rebound_h=st.sampled_from([1.0, 3.0])
        ),
        nothing=lambda world: Call(0.0),
        memoryless=(PARK, "charge", 1 / 40.0),
    ),
    Case(
        "devices",
        st.sampled_from(
            [
                Devices((HASTY,)),
                Devices(
                    (replace(HASTY, count=2), replace(HASTY, name="fan", wear=None, service=Exponential(1.0))), None
                ),
                Devices((CLOCKED,)),
            ]
        ),
        actions=lambda world: st.builds(Service, st.sampled_from(world.names)),
        memoryless=(Devices((NONSTOP,)), "failure", 1 / 40.0),
        determined=Devices((replace(CLOCKED, alarms_per_h=0.0),)),
    ),
    Case(
        "feeder",
        st.sampled_from([BEHIND, replace(BEHIND, battery=None, protection=None, step_h=0.1), SHED]),
        actions=lambda world: st.one_of(
            st.just(ReplaceTransformer()),
            st.builds(Call, st.sampled_from([0.0, 1.0]), st.sampled_from([0.5, 2.0])),
            *([st.builds(SetBattery, st.sampled_from([-2.0, 0.0, 1.0, 9.0]))] if world.battery else []),
        ),
        nothing=lambda world: Call(0.0),
        memoryless=(SHED, "failure", 1 / 40.0),
    ),
    Case(
        "patient",
        st.sampled_from([BUSY, replace(BUSY, patients=2, policy=None), replace(BUSY, patients=2, beds=(None,) * 4)]),
        horizon_h=150.0,
        actions=lambda world: st.one_of(
            st.builds(
                Prescribe,
                st.sampled_from(world.names),
                st.sampled_from([(), (("furosemide", 3),), (("bisoprolol", 0),)]),
            ),
            st.builds(Operate, st.sampled_from(world.names), st.sampled_from(["cabg", "lvad"])),
        ),
        nothing=lambda world: Prescribe(world.names[-1]),
        memoryless=(MORTAL, "death", 1 / 40.0),
        determined=STABLE,
    ),
]

every_world = pytest.mark.parametrize("case", WORLDS, ids=str)
laws = settings(max_examples=int(os.environ.get("TWINWORLDS_EXAMPLES", "40")))
seeds = st.integers(0, 2**40)


def same(a: Trace, b: Trace) -> None:
    """Bit for bit."""
    assert (a.seed, a.start_h, a.end_h, a.events) == (b.seed, b.start_h, b.end_h, b.events)
    assert a.signals.keys() == b.signals.keys()
    for key in a.signals:
        assert a[key] == b[key], key


def past(trace: Trace, end_h: float):
    """What a trace tells of the time before *end_h*."""
    signals = {
        key: [column[: np.searchsorted(s.time_h, end_h)].tolist() for column in (s.time_h, s.value)]
        for key, s in trace.signals.items()
    }
    return signals, [event for event in trace.events if event.time_h < end_h]


def moments(trace: Trace) -> st.SearchStrategy[float]:
    """Times within a trace: any, and those at which something happens."""
    happened = {float(t) for s in trace.signals.values() for t in s.time_h} | {e.time_h for e in trace.events}
    inside = sorted(t for t in happened if trace.start_h <= t <= trace.end_h)
    return st.floats(trace.start_h, trace.end_h) | st.sampled_from(inside or [trace.start_h])


def in_pieces(world, state, cuts, through=lambda state: state):
    traces = []
    for cut in cuts:
        trace, state = world.run(state, cut)
        state = through(state)
        traces.append(trace)
    return traces[0].then(*traces[1:]), state


def queue_some(case: Case, world, state, data, at_most: int = 3):
    """The state with a few actions queued, if the world knows any."""
    if case.actions:
        for action in data.draw(st.lists(case.actions(world), max_size=at_most)):
            state = world.act(state, action)
    return state


@every_world
@laws
@given(data=st.data())
def test_one_run_equals_any_chain_of_runs(case, data):
    world = data.draw(case.worlds)
    state = queue_some(case, world, world.start(data.draw(seeds)), data)
    whole = world.run(state, case.horizon_h)
    cuts = [*sorted(data.draw(st.lists(moments(whole.trace), max_size=12))), case.horizon_h]
    trace, end = in_pieces(world, state, cuts)
    same(trace, whole.trace)
    assert end == whole.state


@every_world
@laws
@given(data=st.data())
def test_a_chain_with_actions_equals_any_finer_chain(case, data):
    if not case.actions:
        pytest.skip(f"{case} knows no actions")
    world = data.draw(case.worlds)
    first = world.run(world.start(data.draw(seeds)), case.horizon_h / 2)
    state = queue_some(case, world, first.state, data)
    whole = world.run(state, case.horizon_h)
    cuts = [*sorted(data.draw(st.lists(moments(whole.trace), max_size=6))), case.horizon_h]
    trace, end = in_pieces(world, state, cuts)
    same(trace, whole.trace)
    same(first.trace + trace, first.trace + whole.trace)
    assert end == whole.state


@every_world
@laws
@given(data=st.data())
def test_a_longer_horizon_never_changes_the_past(case, data):
    world = data.draw(case.worlds)
    state = world.start(data.draw(seeds))
    long = world.run(state, case.horizon_h).trace
    end_h = data.draw(moments(long))
    short = world.run(state, end_h).trace
    assert past(short, math.inf) == past(long, end_h) or end_h == 0


@every_world
@laws
@given(data=st.data())
def test_a_pickled_state_resumes(case, data):
    world = data.draw(case.worlds)
    state = world.start(data.draw(seeds))
    whole = world.run(state, case.horizon_h)
    cuts = [*sorted(data.draw(st.lists(moments(whole.trace), max_size=4))), case.horizon_h]
    other = pickle.loads(pickle.dumps(world))
    assert other == world
    assert hash(other) == hash(world)
    trace, end = in_pieces(other, state, cuts, lambda state: pickle.loads(pickle.dumps(state)))
    same(trace, whole.trace)
    assert end == whole.state


@every_world
@laws
@given(data=st.data())
def test_the_state_that_came_in_is_untouched(case, data):
    world = data.draw(case.worlds)
    state = world.run(world.start(data.draw(seeds)), case.horizon_h / 2).state
    state = queue_some(case, world, state, data)
    before, pickled = copy.deepcopy(state), pickle.dumps(state)
    world.run(state, case.horizon_h)
    world.resample(state, 5)
    queue_some(case, world, state, data)
    assert state == before
    assert pickle.dumps(state) == pickled


@every_world
@laws
@given(data=st.data())
def test_branches_agree_up_to_the_branching_point(case, data):
    if not case.actions:
        pytest.skip(f"{case} knows no actions")
    world = data.draw(case.worlds)
    start = world.start(data.draw(seeds))
    straight = world.run(start, case.horizon_h).trace
    at_h = data.draw(moments(straight))
    trunk = world.run(start, at_h)
    branch = world.run(world.act(trunk.state, data.draw(case.actions(world))), case.horizon_h).trace
    assert past(trunk.trace + branch, at_h) == past(straight, at_h)
    same(trunk.trace + world.run(trunk.state, case.horizon_h).trace, straight)


@every_world
@laws
@given(data=st.data())
def test_a_run_that_takes_no_time_changes_nothing(case, data):
    world = data.draw(case.worlds)
    state = world.run(world.start(data.draw(seeds)), data.draw(st.floats(0, case.horizon_h))).state
    state = queue_some(case, world, state, data)
    trace, still = world.run(state, state.time_h)
    assert still == state
    assert trace.events == ()
    assert all(len(signal.time_h) == 1 for signal in trace.signals.values())


@every_world
@laws
@given(data=st.data())
def test_adding_nothing_changes_nothing(case, data):
    if not case.nothing:
        pytest.skip(f"{case} has no action without effect")
    world = data.draw(case.worlds)
    state = world.run(world.start(data.draw(seeds)), data.draw(st.floats(0, case.horizon_h))).state
    plain = world.run(state, case.horizon_h)
    state = world.run(world.act(state, case.nothing(world)), state.time_h).state  # in no time nothing is done yet
    noted = world.run(state, case.horizon_h)
    assert [e for e in noted.trace.events if e.kind != "action"] == list(plain.trace.events)
    assert all(noted.trace[key] == plain.trace[key] for key in plain.trace.signals)
    assert noted.state == plain.state or state.time_h == case.horizon_h


@every_world
@laws
@given(data=st.data())
def test_resampling_never_contradicts_what_has_been_revealed(case, data):
    world = data.draw(case.worlds)
    before = world.run(world.start(data.draw(seeds)), data.draw(st.floats(0, case.horizon_h)))
    state = queue_some(case, world, before.state, data)
    other = world.resample(state, data.draw(seeds))
    assert other.time_h == state.time_h
    future = world.run(other, state.time_h + case.horizon_h).trace
    for key, signal in future.signals.items():
        assert (signal.time_h[0], signal.value[0]) == (before.trace[key].time_h[-1], before.trace[key].value[-1])
        assert (signal.time_h[1:] >= state.time_h).all()
    assert all(event.time_h >= state.time_h for event in future.events)
    same(future, world.run(world.resample(state, other.seed), state.time_h + case.horizon_h).trace)


@every_world
@laws
@given(data=st.data())
def test_a_resampled_state_keeps_the_law_of_splits(case, data):
    world = data.draw(case.worlds)
    state = world.run(world.start(data.draw(seeds)), data.draw(st.floats(0, case.horizon_h))).state
    state = world.resample(state, data.draw(seeds))
    whole = world.run(state, state.time_h + case.horizon_h)
    cuts = [*sorted(data.draw(st.lists(moments(whole.trace), max_size=6))), whole.trace.end_h]
    trace, end = in_pieces(world, state, [max(cut, state.time_h) for cut in cuts])
    same(trace, whole.trace)
    assert end == whole.state


@every_world
@laws
@given(data=st.data())
def test_where_nothing_is_left_to_chance_resampling_changes_nothing(case, data):
    if case.determined is None:
        pytest.skip(f"{case} always leaves something to chance")
    world = case.determined
    state = world.run(world.start(0), data.draw(st.floats(0, case.horizon_h))).state
    other = world.resample(state, data.draw(seeds))
    plain, again = (world.run(s, state.time_h + case.horizon_h).trace for s in (state, other))
    assert (plain.events, plain.signals) == (again.events, again.signals)


def fractions(world, kind: str, within_h: float, other_future, states: int = 60, futures: int = 60) -> np.ndarray:
    """For each of several states, the fraction of its futures with an event of *kind* soon; float64[states]."""
    rows = []
    seed = 0
    while len(rows) < states:
        seed += 1
        run = world.run(world.start(seed), 30.0)
        if any(event.kind == kind for event in run.trace.events):
            continue  # so that every state has the same past, and the law has something to forget
        rows.append(
            [
                any(
                    e.kind == kind
                    for e in world.run(other_future(run.state, seed * futures + k), 30.0 + within_h).trace.events
                )
                for k in range(futures)
            ]
        )
    return np.mean(rows, axis=1)


def far_from(fraction: np.ndarray, p: float, futures: int = 60) -> bool:
    """Whether fractions of *futures* each are unlike independent draws of probability p, at one in ten thousand."""
    sd = math.sqrt(p * (1 - p) / futures)
    chi2 = float(np.sum(((fraction - p) / sd) ** 2))
    n = len(fraction)
    return abs(float(fraction.mean()) - p) > 3.9 * sd / math.sqrt(n) or abs(chi2 - n) > 3.9 * math.sqrt(2 * n) + 8


@every_world
def test_resampled_memoryless_failures_have_the_base_rate(case):
    if case.memoryless is None:
        pytest.skip(f"{case} has no memoryless event")
    world, kind, rate = case.memoryless
    within_h = math.log(2) / rate
    assert not far_from(fractions(world, kind, within_h, world.resample), 0.5)


@every_world
def test_a_future_that_keeps_the_old_clocks_is_caught(case):
    if case.memoryless is None:
        pytest.skip(f"{case} has no memoryless event")
    world, kind, rate = case.memoryless

    def rekeyed_only(state, seed):
        state = pickle.loads(pickle.dumps(state))
        state.streams = state.streams.rekeyed(seed)
        return state

    assert far_from(fractions(world, kind, math.log(2) / rate, rekeyed_only), 0.5)


@every_world
@given(seed=seeds)
@settings(max_examples=5)
def test_no_world_runs_backwards_or_for_ever(case, seed):
    from sim.errors import InputError

    world = case.determined or (case.memoryless[0] if case.memoryless else None)
    if world is None:
        pytest.skip(f"{case} has no world of which one is enough")
    state = world.run(world.start(seed), 5.0).state
    for until_h in (4.0, math.inf, math.nan):
        with pytest.raises(InputError):
            world.run(state, until_h)
