"""Grids: who is dark at which fault, published indices, energy that balances, and the checks with their faults."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.grid import Grid, LoadPoint, Network, Replace, Section, SwitchSection, Transformer, indices, rbts_bus2
from sim.grid.adequacy import Generation, generation, hourly_load
from sim.grid.checks import (
    BaseCase,
    Crews,
    DrawnAdequacy,
    EnumeratedAdequacy,
    MajorDays,
    Published,
    Simulated,
    Stormy,
    TwoState,
)
from sim.grid.feeding import Fault, Feeding
from sim.grid.reliability import daily_saidi_h, major_days, measured, reliability
from sim.laws import Deterministic, Exponential
from sim.verify import run_check
from tests.sim.grids import grids

BUS2 = rbts_bus2()
FEEDING = Feeding(BUS2)
NAMES = [section.name for section in BUS2.sections]


def dark(element: str, isolated: bool, network: Network = BUS2) -> set[int]:
    """Numbers of the load points that a fault leaves dark."""
    fed = Feeding(network).supply([Fault(network.elements.index(element), isolated)]).fed
    return {int(p.name[2:]) for p, on in zip(network.load_points, fed, strict=True) if not on}


@pytest.mark.parametrize(
    ("element", "before", "after"),
    [
        ("s1", {1, 2, 3, 4, 5, 6, 7}, {1, 2}),  # the breaker trips the feeder; the tie feeds what lies beyond
        ("s7", {1, 2, 3, 4, 5, 6, 7}, {5, 6}),
        ("s10", {1, 2, 3, 4, 5, 6, 7}, {7}),
        ("s9", {6}, {6}),  # a fuse at the lateral
        ("s14", {8, 9}, {9}),
        ("LP3.transformer", {3}, {3}),
    ],
)
def test_protection_and_switching_of_bus_2(element, before, after):
    assert dark(element, False) == before
    assert dark(element, True) == after


def test_without_switches_fuses_and_ties_any_fault_puts_the_feeder_out():
    bare = rbts_bus2(switches=False, fuses=False, ties=False)
    assert dark("s9", True, bare) == {1, 2, 3, 4, 5, 6, 7}
    no_ties = rbts_bus2(ties=False)
    assert dark("s4", True, no_ties) == {3, 4, 5, 6, 7}


def test_a_tie_takes_over_what_it_can_carry():
    """Beyond s4 lie 1.47 MW; a tie of 1.4 MW leaves them dark, and with no fault a tie changes nothing."""
    weak = [replace(s, capacity_kw=1400.0) if s.name == "tie12" else s for s in BUS2.sections]
    network = replace(BUS2, sections=tuple(weak))
    assert dark("s4", True, network) == {3, 4, 5, 6, 7}
    assert dark("s7", True, network) == {5, 6}
    assert all(FEEDING.supply([]).fed)


def test_ties_in_series_carry_what_lies_beyond_them_in_any_order():
    """t1 takes over 8 kW of its 10; the 50 kW beyond t2 would hang on t1 as well, and stay dark."""
    mains = (
        Section("f1", "src", "a", at_a="breaker"),
        Section("fa", "other", "x", at_a="breaker", at_b="switch"),
        Section("g1", "x", "y", at_a="breaker", at_b="switch"),
        Section("g2", "x", "z", at_a="breaker", at_b="switch"),
    )
    t1 = Section("t1", "a", "y", open=True, at_a="switch", at_b="switch", capacity_kw=10.0)
    t2 = Section("t2", "y", "z", open=True, at_a="switch", at_b="switch", capacity_kw=1000.0)
    points = (LoadPoint("A", "a", 1, 1.0), LoadPoint("Y", "y", 1, 8.0), LoadPoint("Z", "z", 1, 50.0))
    faults = [Fault(2, True), Fault(3, True)]
    for ties in ((t1, t2), (t2, t1)):
        assert Feeding(Network(("src", "other"), mains + ties, points)).supply(faults).fed == (True, True, False)
        strong = tuple(replace(tie, capacity_kw=1000.0) for tie in ties)
        assert Feeding(Network(("src", "other"), mains + strong, points)).supply(faults).fed == (True, True, True)


def test_a_fault_on_a_section_opened_by_hand_stays_where_it_is():
    network = Network(
        ("src",),
        (Section("s1", "src", "n1", at_a="breaker"), Section("s2", "n1", "n2", failures_per_km_year=8760.0)),
        (LoadPoint("L1", "n1"), LoadPoint("L2", "n2")),
    )
    grid = Grid(network)
    trace = grid.run(grid.act(grid.start(1), SwitchSection("s2")), 200.0).trace
    assert any(e.entity == "s2" and e.kind == "failure" for e in trace.events)
    assert not any(e.entity == "L1" for e in trace.events)


def test_two_faults_leave_dark_what_neither_way_reaches():
    faults = [Fault(NAMES.index(name), True) for name in ("s4", "s12")]
    found = {p.name for p, on in zip(BUS2.load_points, FEEDING.supply(faults).fed, strict=True) if not on}
    assert found == {
        "LP3",
        "LP4",
        "LP5",
        "LP6",
        "LP7",
        "LP8",
        "LP9",
    }  # feeder 2 lost its head, so the tie has no source


def test_load_points_by_hand():
    """Of each: km whose faults last the repair of 5 h, km whose last the switching of 1 h, a transformer or none.

    Load point 1 hangs on the first main section (.75 km) and a lateral (.6), and the feeder has 2.1 km more of mains; 7
    on the last (.6 and .8; 2.25 km before it); 9 on the second of feeder 2 (.6 and .8; .75).
    """
    found = reliability(Grid(BUS2))
    for number, repaired_km, switched_km, own in ((1, 1.35, 2.1, 1), (7, 1.4, 2.25, 1), (9, 1.4, 0.75, 0)):
        often = 0.065 * (repaired_km + switched_km) + 0.015 * own
        hours = 0.065 * (5 * repaired_km + 1 * switched_km) + 0.015 * 200 * own
        assert found.interruptions_per_year[number - 1] == pytest.approx(often)
        assert found.hours_per_year[number - 1] == pytest.approx(hours)


@given(grids(), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_energy_and_customers_balance(grid, seed):
    """What load points go without is what elements at fault answer for, and customers out are those of dark points."""
    run = grid.run(grid.start(seed), 150.0)
    trace, state = run
    points = grid.network.load_points
    found = measured(grid, trace)
    ended = {p.name: sum(e.value for e in trace.events if e.entity == p.name and e.kind == "renewal") for p in points}
    still = sum(p.load_kw * (150.0 - d.since_h) for p, d in zip(points, state.dark, strict=True) if d)
    assert sum(ended.values()) + still == pytest.approx(found.ens_mwh * 1000 * 150 / 8760, abs=1e-6)
    own = grid.network.elements
    answered = sum(e.value for e in trace.events if e.kind == "renewal" and e.entity in own) + sum(
        e.lost_kwh for e in state.elements
    )
    counted = answered + sum(p.load_kw * (150.0 - d.counted_h) for p, d in zip(points, state.dark, strict=True) if d)
    assert counted == pytest.approx(sum(ended.values()) + still, abs=1e-6)
    at_h = np.linspace(0.0, 150.0, 331)
    out = sum(p.customers * (1 - trace[p.name, "fed"].at(at_h)) for p in points)
    np.testing.assert_array_equal(trace["grid", "customers_out"].at(at_h), out)
    down = sum(1 - trace[name, "up"].at(at_h) for name in grid.network.elements)
    for p in points:  # who is fed is a source, or has a live section
        touching = [s for s in grid.network.sections if p.bus in (s.a, s.b)]
        live = sum(trace[s.name, "live"].at(at_h) for s in touching) if p.bus not in grid.network.sources else 1
        assert np.all(trace[p.name, "fed"].at(at_h) <= live)
    assert np.all(trace["grid", "waiting"].at(at_h) <= down)
    if grid.crews is not None:
        assert np.all(down - trace["grid", "waiting"].at(at_h) <= grid.crews)


def test_an_added_section_leaves_the_lives_of_the_others_untouched():
    more = replace(BUS2, sections=(Section("new", "busbar", "far", at_a="breaker"), *BUS2.sections))
    for seed in range(3):
        one, two = (Grid(n.scaled(50.0)).run(Grid(n.scaled(50.0)).start(seed), 5000.0).trace for n in (BUS2, more))
        for name in BUS2.elements:
            assert one[name, "up"] == two[name, "up"], name


def test_a_switch_opened_by_hand_cuts_off_and_gives_back():
    grid = Grid(BUS2.scaled(0.0))
    state = grid.act(grid.start(1), SwitchSection("s10"))
    first, state = grid.run(state, 10.0)
    second = grid.run(grid.act(state, SwitchSection("s10", open=False)), 20.0).trace
    assert [e for e in first.events if e.kind == "failure"] == []  # the tie feeds it
    alone = Grid(rbts_bus2(ties=False).scaled(0.0))
    state = alone.act(alone.start(1), SwitchSection("s10"))
    first, state = alone.run(state, 10.0)
    second = alone.run(alone.act(state, SwitchSection("s10", open=False)), 20.0).trace
    assert [(e.kind, e.entity, e.cause) for e in first.events[1:]] == [("failure", "LP7", "switch")]
    assert [(e.kind, e.entity, e.value) for e in second.events[1:]] == [("renewal", "LP7", 4540.0)]


def test_a_transformer_is_replaced_faster_than_repaired():
    network = Network(
        ("b",),
        (Section("s", "b", "n", failures_per_km_year=0.0, at_a="breaker"),),
        (LoadPoint("LP", "n", 3, 2.0, Transformer(87.6, Deterministic(200.0))),),
    )
    grid = Grid(network)
    state = grid.run(grid.start(1), 2000.0).state
    while state.elements[1].up or state.elements[1].mended_h - state.time_h < 150:
        state = grid.run(state, state.time_h + 10.0).state
    trace = grid.run(grid.act(state, Replace("LP.transformer")), state.time_h + 11.0).trace
    renewal = next(e for e in trace.events if e.kind == "renewal" and e.entity == "LP.transformer")
    assert (renewal.cause, renewal.time_h) == ("replacement", pytest.approx(state.time_h + 10.0))


def test_days_of_interruptions_and_the_major_ones():
    grid = Grid(BUS2.scaled(300.0))
    trace = grid.run(grid.start(3), 24 * 300.0).trace
    days = daily_saidi_h(grid, trace)
    ended = [e for e in trace.events if e.kind == "renewal" and e.entity.startswith("LP")]
    assert len(days) == 300
    assert days.sum() * grid.network.customers > 0
    assert len(ended) > 100
    before = np.exp(np.random.default_rng(0).normal(0, 1, 5000))
    assert major_days(before, np.array([1.0, 11.0, 15.0, 0.0])).tolist() == [False, False, True, False]
    with pytest.raises(InputError, match="days with interruptions set no threshold"):
        major_days(np.zeros(9), np.ones(3))


def test_the_load_of_a_year_and_a_system_by_hand():
    load = hourly_load(100.0)
    assert len(load) == 8736
    assert load.max() == pytest.approx(100.0)
    assert load.argmax() // 168 == 50  # the week before the last, on its Tuesday
    two = Generation(((60, 2, 0.1),), 100.0)  # type: ignore[arg-type]
    short = np.where(load > 60, 0.18 + 0.01, 0.01).sum()
    assert two.enumerated().lole_h == pytest.approx(short)
    assert generation("rbts").capacity_mw == 240


SHORT = {
    "flow": BaseCase(),
    "published": Published(),
    "simulated": Simulated(years=1500, replications=8, looks=1),
    "two_state": TwoState(replications=200, looks=1),
    "crews": Crews(length_h=1e4, replications=16, looks=1),
    "stormy": Stormy(years=40, replications=12, looks=1),
    "rbts": EnumeratedAdequacy(),
    "rts79": EnumeratedAdequacy(system="rts79"),
    "rts79_drawn": DrawnAdequacy(years=150, replications=16, looks=1),
    "major_days": MajorDays(replications=32, looks=1),
}
FAULT = dict.fromkeys(SHORT, 0.05) | {"simulated": 0.5, "two_state": 0.2, "crews": 0.1, "stormy": 0.2}


def clear(result) -> bool:
    """Whether the interval holds the reference, within its tolerance."""
    slack = result.tolerance * (1 if result.absolute else abs(result.reference))
    return result.low - slack <= result.reference <= result.high + slack


@pytest.mark.parametrize("name", SHORT)
def test_the_world_shows_no_fault_and_a_planted_one_is_caught(name):
    check = SHORT[name]
    assert all(clear(row) for row in run_check(name, check, 1e-4))
    assert not all(clear(row) for row in run_check(name, replace(check, fault=FAULT[name]), 1e-4))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Network(("b",), (Section("s", "b", "n"), Section("t", "x", "y")), ()),
            "no closed section leads from a source to x, y",
        ),
        (
            lambda: Network(("b",), (Section("s", "b", "n"), Section("t", "n", "m"), Section("u", "m", "b")), ()),
            "'u' closes a loop between 'm' and 'b'",
        ),
        (lambda: Network(("b", "n"), (Section("s", "b", "n"),), ()), "'s' closes a loop"),
        (
            lambda: Section("s", "b", "n", failures_per_km_year=-0.1),
            "failures_per_km_year is -0.1; it must be at least 0",
        ),
        (lambda: Transformer(-1.0), "failures_per_year is -1.0"),
        (lambda: Network(("b",), (Section("s", "b", "n"),), (LoadPoint("LP", "m"),)), "has no bus 'm'"),
        (lambda: Network(("q",), (Section("s", "b", "n"),), ()), "has no bus 'q'"),
        (lambda: Network(("b",), (Section("s", "b", "n"), Section("s", "n", "m")), ()), "two parts named 's'"),
        (
            lambda: Network(
                ("b",), (Section("LP.transformer", "b", "n"),), (LoadPoint("LP", "n", transformer=Transformer()),)
            ),
            "two parts named 'LP.transformer'",
        ),
        (lambda: measured(Grid(BUS2), Grid(BUS2).run(Grid(BUS2).start(0), 0.0).trace), "indices need some time"),
        (lambda: Grid(BUS2, crews=0), "crews is 0; it must be None or at least 1"),
        (lambda: Grid(BUS2).act(Grid(BUS2).start(0), SwitchSection("s99")), "no element 's99' to act on"),
        (lambda: Grid(BUS2).act(Grid(BUS2).start(0), "open"), "a grid takes SwitchSection or Replace"),
        (lambda: Generation(((60, 2, 1.5),), 100.0), "units is"),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_one_sentence(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_the_closed_form_follows_other_rates_and_variants():
    """By hand for one feeder of two mains: at twice the rate everything doubles, and slower switching costs hours."""
    fast, slow = indices(Grid(BUS2)), indices(Grid(BUS2, switching_h=2.0))
    double = indices(Grid(BUS2.scaled(2.0)))
    assert double == pytest.approx([2 * x for x in fast])
    assert slow.saifi == fast.saifi
    assert slow.saidi_h > fast.saidi_h
    pair = Network(
        ("b",),
        (
            Section("m1", "b", "n1", 2.0, 0.1, Deterministic(4.0), "breaker"),
            Section("m2", "n1", "n2", 3.0, 0.1, Exponential(4.0), "switch"),
        ),
        (LoadPoint("A", "n1", 10, 1000.0), LoadPoint("B", "n2", 30, 2000.0)),
    )
    found = indices(Grid(pair))
    assert found.saifi == pytest.approx(0.5)
    assert found.saidi_h == pytest.approx((10 * (0.2 * 4 + 0.3 * 1) + 30 * 0.5 * 4) / 40)
    assert found.ens_mwh == pytest.approx(1.0 * (0.2 * 4 + 0.3) + 2.0 * 0.5 * 4)
