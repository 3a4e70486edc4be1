"""Supply chains: units are neither made nor lost, who asks first is served first, and policies order when they say."""

import math
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim.errors import InputError
from sim.laws import Deterministic, Exponential, Gamma, Lognormal, Weibull
from sim.supply import (
    BaseStock,
    Demand,
    FixedQuantity,
    Hold,
    MinMax,
    PlaceOrder,
    Point,
    Prices,
    SetPolicy,
    Supply,
    costs,
)
from sim.supply import state as states
from sim.trace import Event
from tests.sim.supplies import supplies, supply_actions

HOURLY = Demand(Deterministic(1.0))


def told(trace, *kinds):
    """What happened, without entities: (time, kind, value)."""
    return [(e.time_h, e.kind, e.value) for e in trace.events if not kinds or e.kind in kinds]


def counted(trace, name, *kinds):
    """How many units the events of these kinds have moved by a time."""
    found = [(e.time_h, e.value) for e in trace.events if e.entity == name and e.kind in kinds]
    times_h, units = np.array(found).reshape(-1, 2).T
    return lambda t: units[times_h <= t].sum()


def assert_balanced(world, trace):
    """Whatever time it is: what was ordered has come, is missing or is on order; what was asked for was given, waits
    or was lost; what came in is on hand, was given or was salvaged."""
    names = world.names
    ordered = {name: counted(trace, name, "order") for name in names}
    missing, lost, salvaged = ({n: counted(trace, n, kind) for n in names} for kind in ("missing", "lost", "salvage"))
    times_h = sorted({float(t) for signal in trace.signals.values() for t in signal.time_h})
    for t in times_h:
        for point in world.points:
            n = point.name
            on_hand, on_order, backorders, demanded, received = (
                float(trace[n, q].at(t)) for q in ("on_hand", "on_order", "backorders", "demanded", "received")
            )
            assert min(on_hand, on_order, backorders) >= 0
            assert on_hand == 0 or backorders == 0
            assert ordered[n](t) == received + missing[n](t) + on_order
            asked = demanded + sum(ordered[p.name](t) for p in world.points if p.supplier == n)
            given_out = asked - backorders - lost[n](t)
            assert on_hand == point.first_on_hand + received - given_out - salvaged[n](t)


@st.composite
def runs(draw, horizon_h=40.0):
    """A world and a trace with some actions in it."""
    world = draw(supplies())
    first = world.run(world.start(draw(st.integers(0, 10**6))), draw(st.floats(0.0, horizon_h)))
    state = first.state
    for action in draw(st.lists(supply_actions(world), max_size=3)):
        state = world.act(state, action)
    rest = world.run(state, first.state.time_h + horizon_h)
    return world, first.trace + rest.trace, rest.state


@given(runs())
@settings(deadline=None, max_examples=60)
def test_units_are_neither_made_nor_lost(run):
    world, trace, _ = run
    assert_balanced(world, trace)


def test_a_unit_that_vanishes_is_caught():
    world = Supply((Point("p", BaseStock(3), lead=Deterministic(2.0), demand=HOURLY),))
    trace = world.run(world.start(0), 30.0).trace
    assert_balanced(world, trace)
    last = max(i for i, e in enumerate(trace.events) if e.kind == "order")
    with pytest.raises(AssertionError):
        assert_balanced(world, replace(trace, events=trace.events[:last] + trace.events[last + 1 :]))


@given(runs())
@settings(deadline=None, max_examples=40)
def test_what_is_on_order_waits_at_the_supplier_or_is_under_way(run):
    world, _, state = run
    for i, stock in enumerate(state.stocks):
        supplier = world.suppliers[i]
        waiting = 0 if supplier is None else sum(u for who, u in state.stocks[supplier].waiting if who == i)
        assert stock.on_order == waiting + sum(shipment.units for shipment in stock.shipments)
        assert stock.backorders == sum(units for _, units in stock.waiting)
        assert stock.shipments == sorted(stock.shipments)


@given(runs())
@settings(deadline=None, max_examples=40)
def test_a_stockout_is_an_empty_shelf_and_each_begins_and_ends_in_turn(run):
    world, trace, state = run
    for point, stock in zip(world.points, state.stocks, strict=True):
        edges = [e for e in trace.events if e.entity == point.name and e.kind in ("failure", "renewal")]
        assert all(a.kind != b.kind for a, b in pairwise(edges))
        assert stock.out == (stock.on_hand == 0)
        on_hand = trace[point.name, "on_hand"]
        for edge in edges:
            again = [e.kind for e in edges if e.time_h == edge.time_h][-1]
            assert (on_hand.at(edge.time_h) == 0) == (again == "failure")


@given(runs())
@settings(deadline=None, max_examples=40)
def test_a_policy_under_continuous_review_leaves_no_position_at_which_it_orders(run):
    world, _, state = run
    for point, stock in zip(world.points, state.stocks, strict=True):
        if point.review_h is None and not stock.held and stock.review_h == math.inf:
            assert stock.policy.order(stock.position) == 0


@given(st.integers(-50, 50), st.integers(-9, 20), st.integers(1, 15))
def test_policies_order_by_the_position(position, s, more):
    for policy in (BaseStock(max(s, 0)), MinMax(s, s + more), FixedQuantity(s, more)):
        units = policy.order(position)
        assert (units > 0) == (position <= policy.reorder_point)
        assert policy.order(policy.reorder_point) == policy.order_up_to - policy.reorder_point
        if units and not isinstance(policy, FixedQuantity):
            assert position + units == policy.order_up_to
        elif units:
            assert units % more == 0
            assert s < position + units <= s + more


def test_a_chain_step_by_step():
    """Hourly demand of one; the shop orders lots of 2 at 1 or below, the depot one by one, 3 h from outside."""
    world = Supply(
        (
            Point("depot", BaseStock(2), lead=Deterministic(3.0)),
            Point("shop", FixedQuantity(1, 2), "depot", Deterministic(0.5), HOURLY),
        )
    )
    trace = world.run(world.start(0), 8.2).trace
    found = {n: told(replace(trace, events=tuple(e for e in trace.events if e.entity == n))) for n in world.names}
    assert found["shop"] == [
        (1.0, "demand", 1.0),  # 3 were there
        (2.0, "demand", 1.0),
        (2.0, "order", 2.0),
        (2.5, "delivery", 2.0),
        (3.0, "demand", 1.0),
        (4.0, "demand", 1.0),
        (4.0, "order", 2.0),  # of an empty depot, to which 2 come at 5
        (5.0, "demand", 1.0),
        (5.0, "failure", 0.0),
        (5.5, "delivery", 2.0),
        (5.5, "renewal", 0.0),
        (6.0, "demand", 1.0),
        (6.0, "order", 2.0),
        (7.0, "demand", 1.0),
        (7.0, "failure", 0.0),
        (7.5, "delivery", 2.0),
        (7.5, "renewal", 0.0),
        (8.0, "demand", 1.0),
        (8.0, "order", 2.0),
    ]
    assert found["depot"] == [
        (2.0, "order", 2.0),
        (2.0, "failure", 0.0),
        (4.0, "order", 2.0),
        (5.0, "delivery", 2.0),  # and straight on to the shop
        (6.0, "order", 2.0),
        (7.0, "delivery", 2.0),
        (8.0, "order", 2.0),
    ]


def test_who_asks_first_is_served_first():
    """A depot with customers of its own: they and the shop wait in one queue."""
    world = Supply(
        (
            Point("depot", BaseStock(0), lead=Deterministic(10.0), demand=Demand(Deterministic(2.0))),
            Point("shop", BaseStock(1), "depot", None, Demand(Deterministic(3.0))),
        )
    )
    state = world.run(world.start(0), 9.5).state
    assert [who for who, _ in state.stocks[0].waiting] == [-1, 1, -1, -1, 1, -1, 1]
    trace = world.run(state, 14.5).trace
    assert [t for t, _, _ in told(trace, "delivery")] == [12.0, 13.0, 13.0, 14.0]


def test_an_order_that_cannot_be_filled_is_filled_in_parts():
    world = Supply(
        (
            Point("depot", BaseStock(3), lead=Deterministic(5.0)),
            Point("shop", MinMax(0, 5), "depot", Deterministic(1.0), Demand(Deterministic(2.0), Deterministic(5.0))),
        )
    )
    trace = world.run(world.start(0), 9.9).trace
    shop = [(e.time_h, e.value) for e in trace.events if (e.entity, e.kind) == ("shop", "delivery")]
    assert shop == [(3.0, 3.0), (8.0, 2.0), (8.0, 3.0)]  # the rest of the first, and a part of the next
    assert trace["shop", "backorders"].at([2.0, 4.0, 6.0, 8.0]).tolist() == [0.0, 2.0, 7.0, 7.0]


def test_a_customer_who_finds_too_little_takes_it_and_goes():
    world = Supply(
        (
            Point(
                "shop",
                BaseStock(3),
                lead=Deterministic(100.0),
                demand=Demand(Deterministic(1.0), Deterministic(2.0)),
                lost_sales=True,
            ),
        )
    )
    trace = world.run(world.start(0), 3.5).trace
    assert told(trace, "lost") == [(2.0, "lost", 1.0), (3.0, "lost", 2.0)]
    assert told(trace, "order") == [(1.0, "order", 2.0), (2.0, "order", 1.0)]
    assert trace["shop", "backorders"].value.tolist() == [0.0]


def test_a_season_has_one_order_and_what_it_leaves_is_sold_off():
    prices = Prices(per_order=1.0, per_unit=4.0, sale_per_unit=10.0, salvage_per_unit=1.5)
    stall = Point(
        "stall",
        BaseStock(5),
        demand=Demand(Deterministic(7.0)),
        lost_sales=True,
        review_h=24.0,
        perishable=True,
        prices=prices,
    )
    world = Supply((stall,))
    trace = world.run(world.start(0), 48.0).trace
    assert told(trace, "order", "salvage") == [(0.0, "order", 5.0), (24.0, "salvage", 2.0), (24.0, "order", 5.0)]
    assert costs(world, trace)["stall"] == (0.0, 0.0, 2.0, 40.0, 60.0, 3.0)
    assert costs(world, trace)["stall"].total == pytest.approx(42 - 63)


def test_no_lead_time_and_no_patience_needed():
    """With no lead time, and an order before the shelf is empty, nobody waits and nothing is out."""
    world = Supply((Point("shop", MinMax(0, 4), demand=Demand(Exponential(1.0), Exponential(2.0))),))
    trace = world.run(world.start(1), 500.0).trace
    assert not told(trace, "failure", "renewal")
    assert trace["shop", "backorders"].at(np.linspace(0, 499, 999)).max() == 0


def test_shipments_are_late_and_lose_units():
    point = Point(
        "p", BaseStock(2), lead=Deterministic(2.0), late=1.0, delay=Deterministic(0.5), loss=0.4, demand=HOURLY
    )
    world = Supply((point,))
    trace = world.run(world.start(3), 2000.0).trace
    moved = Counter()
    for event in trace.events:
        moved[event.kind] += event.value
    assert moved["missing"] / (moved["missing"] + moved["delivery"]) == pytest.approx(0.4, abs=0.03)
    late_h = [e.time_h for e in trace.events if e.kind == "late"]
    came_h = {e.time_h for e in trace.events if e.kind in ("delivery", "missing")}
    assert came_h <= {t + 0.5 for t in late_h}
    never = Supply((replace(point, late=0.0, delay=None, loss=0.0),))
    assert not told(never.run(never.start(3), 50.0).trace, "late", "missing")


def test_orders_by_hand_changed_policies_and_held_ones():
    world = Supply((Point("p", MinMax(2, 6), lead=Deterministic(3.0), demand=Demand(Exponential(1.0))),))
    state = world.run(world.start(5), 40.0).state
    plain = world.run(state, 80.0).trace

    more = world.run(world.act(state, PlaceOrder("p", 7)), 80.0).trace
    assert more.events[0] == Event(40.0, "p", "action", "PlaceOrder", 7.0)
    assert more.events[1] == Event(40.0, "p", "order", "", 7.0)
    assert (43.0, "delivery", 7.0) in told(more)

    raised = world.run(world.act(state, SetPolicy("p", MinMax(20, 30))), 80.0).trace
    units = 30 - state.stocks[0].position
    assert [e for e in raised.events[:2]] == [
        Event(40.0, "p", "action", "SetPolicy"),
        Event(40.0, "p", "order", "", float(units)),
    ]
    assert raised["p", "reorder_point"].value.tolist() == [2.0, 20.0]
    assert raised["p", "order_up_to"].time_h.tolist() == [0.0, 40.0]

    held = world.run(world.act(state, Hold("p")), 80.0)
    assert not told(held.trace, "order")
    assert held.trace["p", "on_hand"].value[-1] == 0
    again = world.run(world.act(held.state, SetPolicy("p", MinMax(2, 6))), 81.0).trace
    assert told(again, "order")[0] == (80.0, "order", 6.0 - held.state.stocks[0].position)

    for other in (more, raised, held.trace):  # customers are the same, whatever was done
        assert told(other, "demand") == told(plain, "demand")


def test_reviews_come_first_then_deliveries_then_demands():
    world = Supply(
        (Point("p", BaseStock(1), lead=Deterministic(2.0), demand=Demand(Deterministic(2.0)), review_h=2.0),)
    )
    trace = world.run(world.start(0), 6.5).trace
    assert [e[:2] for e in told(trace, "order", "delivery", "demand")] == [
        (2.0, "demand"),
        (4.0, "order"),
        (4.0, "demand"),
        (6.0, "order"),
        (6.0, "delivery"),
        (6.0, "demand"),
    ]


def test_costs_are_those_of_the_parts_together():
    prices = Prices(0.1, 0.9, 5.0, 2.0, 3.0)
    world = Supply((Point("p", MinMax(1, 5), lead=Gamma(4.0, 0.5), demand=Demand(Exponential(1.0)), prices=prices),))
    first = world.run(world.start(2), 33.3)
    second = world.run(first.state, 100.0)
    parts = [costs(world, trace)["p"] for trace in (first.trace, second.trace)]
    np.testing.assert_allclose(np.sum(parts, axis=0), costs(world, first.trace + second.trace)["p"])
    assert min(parts[0][:4]) > 0


CHAIN = Supply(
    (
        Point("depot", MinMax(3, 9), lead=Lognormal(9.0, 0.8), late=0.4, delay=Gamma(8.0, 1.5)),
        Point("shop", BaseStock(4), "depot", Weibull(4.0, 3.0), Demand(Weibull(3.0, 2.5))),
    )
)
FUTURES = 9


def firsts(trace) -> list[float]:
    """When the first of several things happens."""
    return [
        min((e.time_h for e in trace.events if (e.entity, e.kind) == of), default=np.inf)
        for of in (("shop", "demand"), ("shop", "delivery"), ("depot", "delivery"), ("depot", "late"))
    ]


def ranks(states: int = 200) -> np.ndarray:
    """Rank of the true future among its resampled ones, 0 … FUTURES; int[states, things]."""
    rows = []
    for seed in range(states):
        state = CHAIN.run(CHAIN.start(seed), 40.0 + seed % 30).state
        until_h = state.time_h + 40.0
        true, *others = (
            firsts(CHAIN.run(s, until_h).trace)
            for s in (state, *(CHAIN.resample(state, 1_000 * seed + k) for k in range(FUTURES)))
        )
        jitter = np.random.default_rng(seed).random((FUTURES + 1, len(true)))  # breaks ties among what never happens
        rows.append(np.argmax(np.lexsort((jitter, np.array([true, *others])), axis=0) == 0, axis=0))
    return np.array(rows)


def uniform(rank: np.ndarray) -> bool:
    """Chi-squared at one in ten thousand for each thing."""
    counts = [np.bincount(column, minlength=FUTURES + 1) for column in rank.T]
    return all(stats.chisquare(count).pvalue > 1e-4 for count in counts)


def test_the_true_future_is_one_of_the_resampled():
    assert uniform(ranks())


def test_forgetting_how_long_things_have_taken_is_caught(monkeypatch):
    monkeypatch.setattr(states, "residual_h", lambda law, age_h, q: float(law.isf(q)))
    assert not uniform(ranks())


def test_what_is_under_way_and_known_stays():
    states = (CHAIN.run(CHAIN.start(seed), 60.0).state for seed in range(99))
    state = next(state for state in states if any(shipment.late for shipment in state.stocks[0].shipments))
    other = CHAIN.resample(CHAIN.act(state, Hold("shop")), 7)

    def known(state):
        return [sorted(s[1:] for s in stock.shipments) for stock in state.stocks]

    assert known(other) == known(state)
    assert other.actions == [Hold("shop")]
    assert other.stocks[0].shipments != state.stocks[0].shipments


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: BaseStock(-1), r"BaseStock\.order_up_to is -1"),
        (lambda: MinMax(5, 5), r"MinMax\.order_up_to is 5; it must be above the reorder point of 5"),
        (lambda: FixedQuantity(5, 0), r"FixedQuantity\.quantity is 0"),
        (lambda: PlaceOrder("p", 0), r"PlaceOrder\.units is 0"),
        (lambda: Point("", BaseStock(1)), r"Point\.name is ''"),
        (lambda: Point("a/b", BaseStock(1)), r"Point\.name"),
        (lambda: Point("p", BaseStock(1), review_h=0.0), r"Point\.review_h is 0\.0"),
        (lambda: Point("p", BaseStock(1), perishable=True), r"Point\.perishable is True; it must be false without"),
        (lambda: Point("p", BaseStock(1), lead=Exponential(1.0), loss=1.0), r"Point\.loss is 1\.0"),
        (lambda: Point("p", BaseStock(1), loss=0.1), r"Point\.loss is 0\.1; it must be 0 where there is no lead time"),
        (lambda: Point("p", BaseStock(1), lead=Exponential(1.0), late=0.1), r"Point\.delay is None"),
        (lambda: Point("p", BaseStock(1), initial=-1), r"Point\.initial is -1"),
        (lambda: Prices(per_unit=math.nan), r"Prices\.per_unit is nan"),
        (lambda: Supply(()), r"Supply\.points"),
        (lambda: Supply((Point("p", BaseStock(1)), Point("p", BaseStock(1)))), r"a name of its own"),
        (lambda: Supply((Point("p", BaseStock(1), "q"),)), "the supplier of 'p' is 'q'"),
        (lambda: Supply((Point("p", BaseStock(1), "q"), Point("q", BaseStock(1), "p"))), "not one that it supplies"),
    ],
)
def test_nonsense_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


def test_unknown_actions_and_points_are_refused():
    state = CHAIN.start(0)
    with pytest.raises(InputError, match="no point 'mall' in the supply chain; it has depot, shop"):
        CHAIN.act(state, Hold("mall"))
    with pytest.raises(InputError, match="PlaceOrder, SetPolicy or Hold"):
        CHAIN.act(state, "order")
    with pytest.raises(InputError, match="cannot run to 5"):
        CHAIN.run(CHAIN.run(state, 10.0).state, 5.0)
