"""A line that draws material and spares: who waits, in which order, what stops meanwhile, and what is refused."""

import numpy as np
import pytest

from sim.errors import InputError
from sim.laws import Deterministic, Exponential
from sim.line import Line, Material, OrderMaintenance, Phase, Station, Sudden
from sim.line.stock_theory import spared_machines, stocked_machines, unspared_availability
from sim.line.theory import interference
from sim.supply import BaseStock, Demand, MinMax, PlaceOrder, Point, SetPolicy, Supply
from sim.supply.checks.chains import NETWORK

NEVER = Deterministic(1e6)


def phases(trace, machine: str) -> list[tuple[float, str]]:
    signal = trace[machine, "phase"]
    return [(float(t), Phase(int(v)).name) for t, v in zip(signal.time_h, signal.value, strict=True)]


def levels(trace, *key: str) -> list[tuple[float, float]]:
    return [(float(t), float(v)) for t, v in zip(trace[key].time_h, trace[key].value, strict=True)]


def told(trace, *kinds: str):
    return [(e.time_h, e.entity, e.kind, e.cause) for e in trace.events if e.kind in kinds]


def test_a_supply_that_nobody_draws_from_runs_as_it_does_alone():
    line = Line((Station(Exponential(1.0)),), supply=NETWORK)
    beside, alone = line.run(line.start(7), 500.0).trace, NETWORK.run(NETWORK.start(7), 500.0).trace
    assert beside.events == alone.events
    assert all(beside[key] == alone[key] for key in alone.signals)
    without = Line((Station(Exponential(1.0)),))
    assert beside["m1", "parts"] == without.run(without.start(7), 500.0).trace["m1", "parts"]


def test_a_stockout_of_material_stops_the_first_station():
    """Three units a part, eight on hand; two are missing at 4 h, ten ordered at 2 h come at 7 h."""
    steel = Point("steel", MinMax(2, 12), lead=Deterministic(5.0), initial=8)
    line = Line((Station(Deterministic(2.0)),), supply=Supply((steel,)), material=Material("steel", 3))
    trace = line.run(line.start(0), 11.0).trace
    assert phases(trace, "m1") == [(0.0, "WORKING"), (4.0, "SHORT"), (7.0, "WORKING")]
    # At 0 h the first part has three units already. At 2 h three more leave two, so that ten are ordered; at 4 h both
    # are taken, one is owed.
    assert levels(trace, "steel", "on_hand")[:4] == [(0.0, 5.0), (2.0, 2.0), (4.0, 0.0), (7.0, 10.0)]
    assert levels(trace, "steel", "backorders")[:3] == [(0.0, 0.0), (4.0, 1.0), (7.0, 0.0)]
    assert told(trace, "failure", "renewal")[:2] == [
        (4.0, "steel", "failure", "stockout"),
        (7.0, "steel", "renewal", "delivery"),
    ]
    assert line.run(line.start(0), 11.0).state.machines[0].parts == 3  # at 2, 4 and 9 h; the next ends at 11 h


def test_material_is_given_in_the_order_in_which_it_was_asked_for():
    steel = Point("steel", BaseStock(0), lead=Deterministic(4.0))
    customer = Point("steel", BaseStock(0), lead=Deterministic(4.0), demand=Demand(Deterministic(1.0)))
    for point, begun_h in ((steel, [4.0, 4.0]), (customer, [4.0, 4.0])):
        line = Line((Station(Deterministic(9.0), 2),), supply=Supply((point,)), material=Material("steel"))
        trace, state = line.run(line.start(0), 6.0)
        assert [phases(trace, m)[1] for m in line.machines] == [(t, "WORKING") for t in begun_h]
        assert not any(who <= -2 for who, _ in state.supply.stocks[0].waiting)


def test_a_machine_that_goes_down_while_it_waits_keeps_its_place():
    steel = Point("steel", BaseStock(0), lead=Deterministic(6.0))
    station = Station(Deterministic(1.0), maintenance=Deterministic(9.0))
    line = Line((station,), supply=Supply((steel,)), material=Material("steel"))
    state = line.run(line.start(0), 2.0).state
    trace = line.run(line.act(state, OrderMaintenance("m1")), 20.0).trace
    assert phases(trace, "m1")[1:4] == [(2.0, "MAINTAINING"), (11.0, "WORKING"), (12.0, "SHORT")]
    early = Line(
        (Station(Deterministic(1.0), maintenance=Deterministic(1.0)),), supply=line.supply, material=line.material
    )
    state = early.act(early.run(early.start(0), 2.0).state, OrderMaintenance("m1"))
    assert phases(early.run(state, 9.0).trace, "m1")[1:4] == [(2.0, "MAINTAINING"), (3.0, "SHORT"), (6.0, "WORKING")]


def test_work_waits_for_its_spare_and_only_then_for_the_crew():
    """Two machines fail at 5 h, of which one finds the spare; the other's comes at 12 h, when the crew is free."""
    station = Station(NEVER, 2, sudden=Sudden(Deterministic(5.0)), repair=Deterministic(3.0), spare="bearing")
    bearing = Point("bearing", BaseStock(1), lead=Deterministic(7.0))
    line = Line((station,), crew=1, supply=Supply((bearing,)))
    trace = line.run(line.start(0), 16.0).trace
    assert phases(trace, "m1.1")[:4] == [(0.0, "WORKING"), (5.0, "REPAIRING"), (8.0, "WORKING"), (13.0, "WAITING")]
    # Both spares ordered at 5 h come at 12 h: one is owed, the other is taken at 13 h, when the crew is not free.
    assert phases(trace, "m1.2") == [(0.0, "WORKING"), (5.0, "LACKING"), (12.0, "REPAIRING"), (15.0, "WORKING")]


def test_planned_work_takes_a_spare_too():
    bearing = Point("bearing", BaseStock(2), lead=Deterministic(50.0))
    line = Line((Station(NEVER, maintenance=Deterministic(1.0), spare="bearing"),), supply=Supply((bearing,)))
    trace = line.run(line.act(line.start(0), OrderMaintenance("m1")), 3.0).trace
    assert levels(trace, "bearing", "on_hand") == [(0.0, 2.0), (0.0, 1.0)]


def test_actions_reach_the_supply_in_their_order():
    bearing = Point("bearing", BaseStock(1), lead=Deterministic(2.0))
    line = Line((Station(NEVER, maintenance=Deterministic(1.0), spare="bearing"),), supply=Supply((bearing,)))
    state = line.start(0)
    for action in (PlaceOrder("bearing", 4), OrderMaintenance("m1"), SetPolicy("bearing", BaseStock(3))):
        state = line.act(state, action)
    trace = line.run(state, 3.0).trace
    assert [cause for *_, cause in told(trace, "action")] == ["PlaceOrder", "OrderMaintenance", "SetPolicy"]
    assert levels(trace, "bearing", "on_hand")[-1] == (2.0, 4.0)


def test_units_drawn_by_machines_are_neither_made_nor_lost():
    steel = Point("steel", MinMax(3, 20), lead=Exponential(6.0), loss=0.1, late=0.3, delay=Exponential(5.0))
    station = Station(Exponential(1.0), 3, sudden=Sudden(Exponential(15.0), "time"), spare="bearing")
    bearing = Point("bearing", BaseStock(1), lead=Exponential(8.0))
    supply = Supply((steel, bearing))
    line = Line((station,), crew=1, supply=supply, material=Material("steel", 2))
    trace, state = line.run(line.start(5), 500.0)
    for name, first in (("steel", 20), ("bearing", 1)):
        demanded, received, on_hand, owed = (
            trace[name, q].value[-1] for q in ("demanded", "received", "on_hand", "backorders")
        )
        assert on_hand == first + received - (demanded - owed)
        assert owed == sum(units for _, units in state.supply.stocks[supply.names.index(name)].waiting)
    begun = sum(m.parts + (m.holds in (1, 4)) for m in state.machines)
    short = sum(m.holds == 3 for m in state.machines)
    assert trace["steel", "demanded"].value[-1] == 2 * (begun + short)
    downs = sum(e.kind == "failure" and e.entity in line.machines for e in trace.events)
    assert trace["bearing", "demanded"].value[-1] == downs


def test_the_chains_agree_with_what_is_known_at_their_edges():
    without = spared_machines(5, 1, 50, 100.0, 10.0, 1e-6)
    assert without.availability == pytest.approx(interference(5, 1, 100.0, 10.0), rel=1e-6)
    alone = spared_machines(1, 1, 0, 100.0, 10.0, 30.0).availability
    assert alone == pytest.approx(unspared_availability(100.0, 10.0, 30.0))
    # One machine, one spare, repaired at once: Erlang's loss of two units on order, of load a = lead over life.
    a = 0.6
    assert spared_machines(1, 1, 1, 100.0, 1e-9, 60.0).lacking == pytest.approx(a**2 / 2 / (1 + a + a**2 / 2))
    plenty = stocked_machines(2, 1.5, 1, 40, 60, 0.1)
    assert (plenty.throughput_per_h, plenty.short) == (pytest.approx(3.0), pytest.approx(0.0, abs=1e-12))
    # Made to order, one unit at a time: a cycle is a lead time and a part.
    assert stocked_machines(1, 1.0, 1, -1, 0, 4.0).throughput_per_h == pytest.approx(1 / (1 + 4.0))


SHOP = Supply((Point("steel", BaseStock(2)),))
ONE = (Station(Exponential(1.0)),)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: Line(ONE, material=Material("steel")),
            r"Line\.material is of the point 'steel'.*the line has no supply",
        ),
        (
            lambda: Line(ONE, supply=SHOP, material=Material("tin")),
            r"Line\.material is of the point 'tin'; it must be one of the supply, and the line has the points steel",
        ),
        (
            lambda: Line((Station(Exponential(1.0), spare="bearing"),), supply=SHOP),
            r"Line\.stations\[0\]\.spare is of the point 'bearing'",
        ),
        (
            lambda: Line(ONE, supply=Supply((Point("steel", MinMax(-4, 3)),)), material=Material("steel")),
            r"orders at -4 or below; it must order at -1 or above, or who waits for one unit waits for ever",
        ),
        (
            lambda: Line(
                ONE,
                supply=Supply((Point("depot", MinMax(-4, 3)), Point("steel", BaseStock(2), "depot"))),
                material=Material("steel"),
            ),
            r"Line\.material comes from the point 'depot', which orders at -4",
        ),
        (lambda: Line(ONE, supply=Supply((Point("m1", BaseStock(2)),))), r"Line\.supply has a point 'm1'"),
        (lambda: Material("steel", 0), r"Material\.units is 0; it must be a whole number of at least 1"),
        (lambda: Material("steel", 1.5), r"Material\.units is 1\.5"),  # type: ignore[arg-type]
        (lambda: Point("steel", BaseStock(2), initial=-1), r"Point\.initial is -1"),
        (lambda: MinMax(5, 5), r"MinMax\.order_up_to is 5; it must be above the reorder point of 5"),
    ],
)
def test_a_supply_that_cannot_serve_the_line_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_actions_on_what_is_not_there_are_refused():
    line = Line(ONE, supply=SHOP)
    with pytest.raises(InputError, match="no point 'tin'"):
        line.act(line.start(0), PlaceOrder("tin", 1))
    with pytest.raises(InputError, match=r"a line takes OrderMaintenance, SetSpeed or Hold$"):
        Line(ONE).act(Line(ONE).start(0), PlaceOrder("steel", 1))
    assert np.isfinite(line.run(line.act(line.start(0), PlaceOrder("steel", 1)), 1.0).trace.end_h)
