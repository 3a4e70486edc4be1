"""The factory: what is worked out by hand, what always holds, and what is refused."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.factory import (
    Arrivals,
    Band,
    Branch,
    Calendar,
    Changeover,
    Component,
    Conwip,
    Factory,
    Operation,
    Operator,
    Phase,
    Power,
    Product,
    Release,
    Saturated,
    SetPriority,
    Shift,
    Station,
    Tariff,
)
from sim.factory.calendar import WEEK_H
from sim.factory.energy import price, used
from sim.laws import Deterministic, Exponential, Lognormal
from sim.line import Line, OrderMaintenance, Sudden
from sim.line import Station as LineStation
from sim.streams import Stream, stream_key
from sim.trace import Trace
from sim.wear import Wiener
from tests.sim.factories import CLOCKWORK, factories

WEAR = Wiener(1 / 40, 0.03, levels=20, spread_cv=0.3, load_exponent=1.5)


def at(station, hours, **more) -> Operation:
    return Operation(station, Deterministic(hours), **more)


def made(stations, products, operators=(), **more) -> Factory:
    return Factory(tuple(stations), tuple(products), tuple(operators), **more)


def ran(factory: Factory, until_h: float, *actions, seed: int = 0) -> Trace:
    state = factory.start(seed)
    for action in actions:
        state = factory.act(state, action)
    return factory.run(state, until_h).trace


def phases(trace: Trace, machine: str) -> list[tuple[float, str]]:
    """What lasted, in order."""
    signal = trace[machine, "phase"]
    ends_h = np.append(signal.time_h[1:], trace.end_h)
    lasted = [
        (t, Phase(int(v)).name)
        for t, v, end_h in zip(signal.time_h.tolist(), signal.value, ends_h, strict=True)
        if end_h > t
    ]
    return [now for before, now in pairwise([(0.0, ""), *lasted]) if before[1] != now[1]]


def changes(trace: Trace, *key: str) -> list[tuple[float, float]]:
    signal = trace[key]  # type: ignore[index]
    return list(zip(signal.time_h.tolist(), signal.value.tolist(), strict=True))


def as_line(seed: int) -> tuple[Line, Factory, object]:
    """A line, the factory that is the same, and a start of it that shares the line's draws."""
    upkeep = {"wear": WEAR, "sudden": Sudden(Exponential(60.0)), "repair": Lognormal(6.0, 0.5)}
    cycle, names = Lognormal(1 / 6, 0.1), [f"m{k}" for k in range(1, 5)]
    line = Line((LineStation(cycle, **upkeep),) * 4, (5,) * 3, crew=1)
    route = tuple(Operation(name, cycle) for name in names)
    factory = made([Station(name, room=5, **upkeep) for name in names], [Product("p", route, Saturated())], crew=1)
    state = factory.start(seed)
    for k, name in enumerate(names):
        state.streams[f"{name}/p.{k}"] = Stream(stream_key(seed, f"{name}/cycle"))
    return line, factory, state


@pytest.mark.parametrize("seed", [3, 11])
def test_a_factory_that_is_a_line_gives_the_paths_of_the_line_to_the_last_bit(seed):
    line, factory, state = as_line(seed)
    known, found = line.run(line.start(seed), 600.0).trace, factory.run(state, 600.0).trace
    assert found.events == known.events
    assert len(known.events) > 20
    for name in line.machines:
        for quantity in ("parts", "wear", "rate", "speed"):
            assert found[name, quantity] == known[name, quantity]
        assert changes(found, name, "phase")[-50:] == changes(known, name, "phase")[-50:]
    for k in range(1, 4):
        assert found[f"m{k + 1}", "level"] == known[f"b{k}", "level"]


def test_a_part_comes_twice_to_a_station_and_waits_its_turn():
    factory = made(
        [Station("saw"), Station("oven")], [Product("x", (at("saw", 1), at("oven", 4), at("saw", 1)), Conwip(2))]
    )
    trace = ran(factory, 12.0)
    assert phases(trace, "saw") == [
        (0.0, "WORKING"),
        (2.0, "STARVED"),
        (5.0, "WORKING"),
        (7.0, "STARVED"),
        (9.0, "WORKING"),
        (11.0, "STARVED"),
    ]
    assert changes(trace, "x", "finished") == [(0.0, 0), (6.0, 1), (10.0, 2)]
    assert trace["x", "lead"].value[-1] == 10.0  # of the second: both came at 0 h
    assert (trace["x", "wip"].at(np.arange(1, 12)) == 2).all()


def test_an_assembly_waits_for_all_its_components_and_takes_them():
    factory = made(
        [Station("press"), Station("lathe"), Station("bench")],
        [
            Product("plate", (at("press", 2),), Conwip(4)),
            Product("bolt", (at("lathe", 1),), Conwip(6)),
            Product("frame", (at("bench", 3, takes=(Component("plate"), Component("bolt", 4))),), Saturated()),
        ],
    )
    state = factory.run(factory.start(0), 4.5).state
    assert [
        factory.products[p.product].name
        for p in state.parts[next(n for n, p in state.parts.items() if p.made_of)].made_of
    ] == ["plate"] + ["bolt"] * 4
    trace = ran(factory, 9.0)
    assert phases(trace, "bench") == [(0.0, "STARVED"), (4.0, "WORKING"), (7.0, "STARVED"), (8.0, "WORKING")]
    assert changes(trace, "bolt", "stock")[4:6] == [(4.0, 4), (4.0, 0)]


def test_setups_follow_families_and_the_rule_of_setup_keeps_them():
    def cell(rule):
        station = Station(
            "cell",
            rule=rule,
            setup=Deterministic(1.0),
            changeovers=(Changeover("red", "blue", Deterministic(3.0)),),
            family="red",
        )
        products = [Product(c, (at("cell", 1, family=c),), Arrivals(Deterministic(50.0))) for c in ("red", "blue")]
        mixed = (Release("red"), Release("blue"), Release("red"))
        return ran(made([station], products), 12.0, *mixed)

    fifo = cell("fifo")
    assert phases(fifo, "cell") == [
        (0.0, "WORKING"),
        (1.0, "SETUP"),
        (4.0, "WORKING"),
        (5.0, "SETUP"),
        (6.0, "WORKING"),
        (7.0, "STARVED"),
    ]
    assert changes(fifo, "cell", "family") == [(0.0, 2), (4.0, 1), (6.0, 2)]  # alphabetical: blue, red
    kept = cell("setup")
    assert phases(kept, "cell") == [(0.0, "WORKING"), (2.0, "SETUP"), (5.0, "WORKING"), (6.0, "STARVED")]


def test_products_share_a_station_as_told_and_a_priority_comes_first():
    products = [Product("a", (at("m", 1),), Saturated(3.0)), Product("b", (at("m", 1),), Saturated())]
    trace = ran(made([Station("m")], products), 400.5)
    assert (trace["a", "finished"].value[-1], trace["b", "finished"].value[-1]) == (300, 100)
    late = [Product(n, (at("m", 1),), None) for n in ("a", "b")]
    trace = ran(made([Station("m")], late), 4.0, Release("a", 2), SetPriority("b", 1), Release("b", 1))
    assert [t for t, v in changes(trace, "b", "finished") if v] == [2.0]


def test_an_operation_waits_for_an_operator_who_can_and_pauses_when_the_shift_ends():
    early, late = Calendar((Shift(6, 8),)), Calendar((Shift(9, 17),))
    factory = made(
        [Station("weld")],
        [Product("x", (at("weld", 3, skill="weld"),), Saturated())],
        [Operator("ann", ("weld",), early), Operator("bo", ("weld", "turn"), late), Operator("cy", ("turn",))],
    )
    trace = ran(factory, 14.0)
    expected = [(0.0, "UNMANNED"), (6.0, "WORKING"), (8.0, "UNMANNED"), (9.0, "WORKING")]
    assert phases(trace, "weld") == expected
    assert changes(trace, "x", "finished")[1:] == [(10.0, 1), (13.0, 2)]
    assert changes(trace, "ann", "at") == [(0.0, 0), (6.0, 1), (8.0, 0)]
    assert changes(trace, "cy", "at") == [(0.0, 0)]


def test_a_free_operator_goes_where_the_wait_is_longest_and_the_least_versatile_goes_first():
    stations = [Station("a"), Station("b")]
    products = [Product(f"p{n}", (at(n, 2, skill=n),), Saturated()) for n in ("a", "b")]
    alone = ran(made(stations, products, [Operator("ann", ("a", "b"))]), 8.0)
    assert phases(alone, "a") == [(0.0, "WORKING"), (2.0, "UNMANNED"), (4.0, "WORKING"), (6.0, "UNMANNED")]
    two = ran(made(stations, products, [Operator("ann", ("a", "b")), Operator("bo", ("a",))]), 8.0)
    assert (changes(two, "ann", "at")[1], changes(two, "bo", "at")[1]) == ((0.0, 2), (0.0, 1))


def test_a_station_that_closes_puts_its_work_down():
    open_h = Calendar((Shift(8, 12), Shift(13, 17)))
    trace = ran(made([Station("m", calendar=open_h)], [Product("x", (at("m", 3),), Saturated())]), 24.0)
    assert phases(trace, "m") == [
        (0.0, "CLOSED"),
        (8.0, "WORKING"),
        (12.0, "CLOSED"),
        (13.0, "WORKING"),
        (17.0, "CLOSED"),
    ]
    assert changes(trace, "x", "finished")[1:] == [(11.0, 1), (15.0, 2)]
    assert changes(trace, "m", "open") == [(0.0, 0), (8.0, 1), (12.0, 0), (13.0, 1), (17.0, 0)]


def test_what_is_down_holds_its_part_and_lets_its_operator_go():
    stations = [Station("a", maintenance=Deterministic(5.0)), Station("b")]
    products = [Product(f"p{n}", (at(n, 4, skill="any"),), Saturated()) for n in ("a", "b")]
    factory = made(stations, products, [Operator("ann", ("any",))])
    state = factory.run(factory.start(0), 1.0).state
    trace = factory.run(factory.act(state, OrderMaintenance("a")), 12.0).trace
    assert phases(trace, "a") == [(0.0, "WORKING"), (1.0, "MAINTAINING"), (6.0, "UNMANNED"), (9.0, "WORKING")]
    assert phases(trace, "b")[1][0] == 1.0


def test_branches_go_where_their_probabilities_say():
    route = (Operation("m", Exponential(1.0), name="try", next=(Branch("try", 0.25), Branch("", 0.75))),)
    trace = ran(made([Station("m")], [Product("x", route, Saturated())]), 2e4, seed=5)
    tries = trace["m", "parts"].value[-1] / trace["x", "finished"].value[-1]
    assert tries == pytest.approx(4 / 3, abs=0.03)


def loop(room, **more):
    stations = [Station("a", room=room), Station("b", room=room)]
    return made(stations, [Product("x", (at("a", 1), at("b", 2), at("a", 1)), Saturated())], **more)


def test_machines_that_block_each_other_for_ever_are_refused_or_reported():
    with pytest.raises(InputError, match="can wait for each other for ever once 2 parts are there"):
        loop(0)
    trace = ran(loop(0, deadlocks="report"), 100.0)
    assert [(e.entity, e.cause) for e in trace.events] == [("a", "b"), ("b", "a")]
    assert trace["x", "finished"].value[-1] == 0
    kept = loop(None)
    assert not ran(kept, 100.0).events
    few = made([Station("a", room=1), Station("b", room=1)], [Product("x", kept.products[0].route, Conwip(3))])
    assert not ran(few, 100.0).events
    assert ran(few, 100.0)["x", "finished"].value[-1] > 40


def test_the_energy_of_a_week_is_what_the_arithmetic_says():
    power = Power(working_kw=10.0, setup_kw=4.0, idle_kw=2.0, closed_kw=0.5)
    tariff = Tariff(0.2, (Band(0.3, Shift(7, 11)),))
    station = Station("m", setup=Deterministic(1.0), power=power, calendar=Calendar((Shift(6, 14),)))
    factory = made([station], [Product("x", (at("m", 2, family="x"),), Conwip(1))], tariff=tariff)
    trace = ran(factory, WEEK_H)  # set up on Monday from 6 to 7, at work from then on
    energy = used(factory.tariff, trace, factory.machines)
    assert energy.kwh == pytest.approx(4.0 + 10.0 * 39 + 0.5 * 128, rel=1e-12)
    dear = 10.0 * 4 * 5
    assert energy.cost == pytest.approx(0.2 * (energy.kwh - dear) + 0.3 * dear, rel=1e-12)
    assert changes(Trace(0, 0, 24, {("", ""): price(tariff, 0.0, 24.0)}), "", "") == [
        (0.0, 0.2),
        (7.0, 0.3),
        (11.0, 0.2),
    ]


def test_energy_is_the_sum_over_any_pieces():
    factory = CLOCKWORK
    tariff = Tariff(0.2, (Band(0.3, Shift(7.3, 11)), Band(0.1, Shift(20, 30))))
    state, kwh, cost = factory.start(0), 0.0, 0.0
    for until_h in (7.3, 20.1, 60.0):
        trace, state = factory.run(state, until_h)
        piece = used(tariff, trace, factory.machines)
        kwh, cost = kwh + piece.kwh, cost + piece.cost
    whole = used(tariff, factory.run(factory.start(0), 60.0).trace, factory.machines)
    assert (kwh, cost) == pytest.approx(whole, rel=1e-12)


def test_calendars_know_their_edges_in_any_week():
    nights = Calendar((Shift(22, 30, ("sun", "mon")),))
    assert nights.hours == 16
    assert [nights.is_open(t) for t in (0.0, 5.9, 6.0, 21.9, 22.0, 30.0, 166.0)] == [
        True,
        True,
        False,
        False,
        True,
        False,
        True,
    ]
    assert (nights.next_h(0.0), nights.next_h(6.0), nights.next_h(31.0)) == (6.0, 22.0, 166.0)
    assert nights.next_h(1e6) > 1e6
    always = Calendar((Shift(0, 24, ("mon", "tue", "wed", "thu", "fri", "sat", "sun")),))
    assert always.is_open(3.0)
    assert always.next_h(3.0) == float("inf")


@settings(max_examples=60, suppress_health_check=[HealthCheck.filter_too_much])
@given(factories(), st.integers(0, 2**40))
def test_what_holds_at_every_moment(factory, seed):
    trace, state = factory.run(factory.start(seed), 60.0)
    moments = np.unique(np.concatenate([s.time_h for s in trace.signals.values()]))
    value = {key: s.at(moments) for key, s in trace.signals.items()}
    for part in state.parts.values():
        assert part.step <= len(factory.products[part.product].route)
    for k, station in enumerate(factory.stations):
        level = value[station.name, "level"]
        assert level.min() >= 0
        assert station.room is None or level.max() <= station.room
        assert level[-1] == len(state.queues[k])
        names = [factory.machines[i] for i in factory.plan.members[k]]
        for name in names:
            running = np.isin(value[name, "phase"], (Phase.WORKING, Phase.SETUP))
            assert (value[station.name, "open"][running] == 1).all()
            assert ((value[name, "product"] > 0) | ~running).all()
    for who in factory.operators:
        assert (value[who.name, "there"][value[who.name, "at"] > 0] == 1).all()
    for i, name in enumerate(factory.machines):
        beside = (
            np.sum([value[who.name, "at"] == i + 1 for who in factory.operators], axis=0) if factory.operators else 0
        )
        assert np.max(beside) <= 1
        assert np.isin(
            value[name, "phase"][np.atleast_1d(beside) == 1] if factory.operators else [1], (Phase.WORKING, Phase.SETUP)
        ).all()
    for i, product in enumerate(factory.products):
        left = value[product.name, "released"] - value[product.name, "wip"]
        assert (np.diff(left) >= 0).all()
        assert value[product.name, "wip"][-1] == sum(part.product == i for part in state.parts.values())
        if not factory.plan.component[i]:
            assert (left == value[product.name, "finished"]).all()
        else:
            assert (value[product.name, "finished"] - value[product.name, "stock"] == left).all()
        if isinstance(product.release, Conwip):
            assert value[product.name, "wip"].max() <= product.release.parts
    held = [m.part for m in state.machines if m.part >= 0] + [n for q in state.queues for n in q]
    held += [n for book in state.books for n in book.stock]
    assert sorted(held) == sorted(state.parts)  # each part is at one place


SHOP = {"stations": (Station("m"),), "products": (Product("x", (at("m", 1),)),)}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: made(SHOP["stations"], [Product("x", (at("mill", 1),))]), "operation at 'mill'; it must be among m"),
        (
            lambda: made(SHOP["stations"], [Product("x", (at("m", 1, skill="weld"),))]),
            "skill 'weld' at 'm', which no operator has",
        ),
        (
            lambda: made(SHOP["stations"], [Product("x", (at("m", 1, name="a", next=(Branch("a", 1.0),)),))]),
            "loops without end from its operation 'a' at 'm' on",
        ),
        (lambda: made(SHOP["stations"], [Product("x", (at("m", 1, next=(Branch("b", 1.0),)),))]), "branches to 'b'"),
        (lambda: made(SHOP["stations"], [Product("x", (at("m", 1, takes=(Component("x"),)),))]), "'x' consumes itself"),
        (
            lambda: made(
                SHOP["stations"],
                [Product(a, (at("m", 1, takes=(Component(b),)),)) for a, b in (("x", "y"), ("y", "x"))],
            ),
            "'x' consumes itself, by way of x, y",
        ),
        (
            lambda: made(SHOP["stations"], [Product("x", (at("m", 1, takes=(Component("y"),)),))]),
            "takes 'y'; it must be among x",
        ),
        (
            lambda: made(
                SHOP["stations"],
                [Product("y", (at("m", 1),), Saturated()), Product("x", (at("m", 1, takes=(Component("y"),)),))],
            ),
            "'y' is a component and saturated",
        ),
        (lambda: Calendar(()), r"Calendar\.shifts is \(\); it must be at least one Shift, or the calendar never opens"),
        (lambda: Shift(8, 8), r"Shift\.to_h is 8; it must be after from_h"),
        (lambda: Shift(8, 9, ("today",)), r"Shift\.days is \('today',\); it must be some of mon, tue"),
        (lambda: Shift(-1, 9), r"Shift\.from_h is -1"),
        (lambda: Operator("ann", ()), r"Operator\.skills is \(\); it must be at least one skill"),
        (lambda: Station("m", room=-1), r"Station\.room is -1"),
        (lambda: Station("m", machines=0), r"Station\.machines is 0"),
        (lambda: Power(-1.0), r"Power\.working_kw is -1\.0"),
        (lambda: Component("y", 0), r"Component\.parts is 0"),
        (lambda: Conwip(0), r"Conwip\.parts is 0"),
        (lambda: Saturated(0.0), r"Saturated\.share is 0\.0"),
        (lambda: at("m", 1, next=(Branch("", 0.5),)), "probabilities that add up to 1, not 0.5"),
        (lambda: Product("x", ()), r"Product\.route is \(\)"),
        (lambda: made((), SHOP["products"]), "at least one Station"),
        (lambda: made(SHOP["stations"], [Product("m", (at("m", 1),))]), "the name 'm' is taken"),
        (
            lambda: Factory(**SHOP).act(Factory(**SHOP).start(0), Release("y")),
            "no product 'y' in the factory; it has x",
        ),
        (lambda: Factory(**SHOP).act(Factory(**SHOP).start(0), OrderMaintenance("y")), "no machine 'y' in the factory"),
        (lambda: Factory(**SHOP).act(Factory(**SHOP).start(0), "go"), "a factory takes OrderMaintenance"),
        (lambda: Release("x", 0), r"Release\.parts is 0"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(make, said):
    with pytest.raises(InputError, match=said):
        make()
