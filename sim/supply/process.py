"""How a supply chain runs: three deadlines a point (review, delivery, demand), every fact in the state.

It runs on a kernel of its own, or attached to one that another world owns. That world nests the state in its own,
takes units through the `Door`, and merges signals and events into its trace.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from scipy import special

from sim.kernel import Deadline, Kernel
from sim.laws import UNIT
from sim.supply.config import Action, PlaceOrder, Point, SetPolicy
from sim.supply.state import CUSTOMERS, STREAMS, TAKERS, Shipment, State
from sim.trace import Event, Key, Run, Signal, Trace


class Door(NamedTuple):
    """How another world deals with a supply chain that is attached to its kernel.

    `take(point, units, taker)` takes units from the point of that rank for the taker of that number, and is true where
    all are there. Otherwise the taker waits among all who asked before it, each for the rest of its units, and is
    handed to the owner's `given` once it has them all. Takers wait even where customers' sales are lost, and what they
    ask for counts as demanded. A taker waits for one thing at a time.
    """

    take: Callable[[int, int, int], bool]
    act: Callable[[Action], None]
    close: Callable[[float], dict[Key, Signal]]  # at the end of a run: the signals of its stretch


def ranks(points: tuple[Point, ...]) -> int:
    """How many ranks of a kernel the points occupy."""
    return 3 * len(points)


def run(points: tuple[Point, ...], suppliers: tuple[int | None, ...], s: State, until_h: float) -> Run:
    """Carry *s* on to *until_h*, in place. Its callers hand in a copy."""
    kernel, start_h = Kernel(s.time_h), s.time_h
    events: list[Event] = []
    door = attach(points, suppliers, s, kernel, events)
    if until_h > start_h:
        for action in s.actions:
            door.act(action)
        s.actions = []
    kernel.run_to(until_h)
    signals = door.close(until_h)
    kernel._queue.clear()  # breaks the cycles of callbacks and deadlines, which would keep all until a collection
    return Run(Trace(s.seed, start_h, until_h, signals, tuple(events)), s)


def attach(
    points: tuple[Point, ...],
    suppliers: tuple[int | None, ...],
    s: State,
    kernel: Kernel,
    events: list[Event],
    given: Callable[[int], object] = lambda taker: None,
    rank: int = 0,
) -> Door:
    """Let *s* go on, in place, on *kernel*, in the ranks from *rank* on; what happens is appended to *events*."""
    stocks = s.stocks
    columns = [{name: ([time_h], [value]) for name, (time_h, value) in stock.open.items()} for stock in stocks]
    draw = [{kind: s.streams[f"{point.name}/{kind}"].draw for kind in STREAMS} for point in points]
    edges: set[int] = set()  # points whose shelf may have become empty, or no longer be
    served: list[int] = []  # takers who now have all their units, and have not been told

    def note(i: int, kind: str, value: float = 0.0, cause: str = "") -> None:
        events.append(Event(kernel._now, points[i].name, kind, cause, float(value)))

    def change(i: int, name: str, by: int) -> None:
        stock = stocks[i]
        value = getattr(stock, name) + by
        setattr(stock, name, value)
        times_h, values = columns[i][name]
        times_h.append(kernel._now)
        values.append(value)

    def shelve(i: int, by: int) -> None:
        change(i, "on_hand", by)
        if stocks[i].on_hand in (0, by):  # now empty, or no longer
            edges.add(i)

    def serve(i: int, who: int, units: int) -> None:
        """Point *i* is asked for units: what is there goes out at once."""
        there = min(stocks[i].on_hand, units)
        if there:
            issue(i, who, there)
        if there == units:
            return
        if who == CUSTOMERS and points[i].lost_sales:
            note(i, "lost", units - there)
        else:
            stocks[i].waiting.append((who, units - there))
            change(i, "backorders", units - there)

    def issue(i: int, who: int, units: int) -> None:
        shelve(i, -units)
        if who >= 0:
            ship(who, units)

    def take(i: int, units: int, taker: int) -> bool:
        change(i, "demanded", units)
        serve(i, TAKERS - taker, units)
        look(i)
        had = not any(who == TAKERS - taker for who, _ in stocks[i].waiting)
        if taker in served:  # it waited for no time
            served.remove(taker)
        settle()
        return had

    def ship(i: int, units: int) -> None:
        """Units leave for point *i*."""
        stock, lead, now_h = stocks[i], points[i].lead, kernel._now
        if lead is None:
            return receive(i, units)
        send(i, Shipment(now_h + draw[i]["lead"](lead), stock.sent, units, now_h))
        stock.sent += 1

    def send(i: int, shipment: Shipment) -> None:
        insort(stocks[i].shipments, shipment)
        if stocks[i].shipments[0] is shipment:
            deliveries[i].set(shipment.due_h)

    def receive(i: int, units: int, missing: int = 0) -> None:
        stock, good = stocks[i], units - missing
        change(i, "on_order", -units)
        if missing:
            note(i, "missing", missing)
        if good:
            note(i, "delivery", good)
            change(i, "received", good)
            shelve(i, good)
        while stock.waiting and stock.on_hand:
            who, wanted = stock.waiting[0]
            there = min(stock.on_hand, wanted)
            if there == wanted:
                stock.waiting.pop(0)
                if who <= TAKERS:
                    served.append(TAKERS - who)
            else:
                stock.waiting[0] = who, wanted - there
            change(i, "backorders", -there)
            issue(i, who, there)
        if missing:
            look(i)

    def look(i: int) -> None:
        """The position has changed: a policy under continuous review decides."""
        if points[i].review_h is None:
            decide(i)

    def decide(i: int) -> None:
        stock = stocks[i]
        units = 0 if stock.held else stock.policy.order(stock.position)
        if units:
            order(i, units)

    def order(i: int, units: int) -> None:
        note(i, "order", units)
        change(i, "on_order", units)
        supplier = suppliers[i]
        if supplier is None:
            return ship(i, units)
        serve(supplier, i, units)
        look(supplier)

    def review(i: int, deadline: Deadline) -> None:
        point, stock = points[i], stocks[i]
        if point.review_h is None:
            stock.review_h = math.inf
        else:
            stock.reviews += 1
            stock.review_h = stock.reviews * point.review_h
        deadline.set(stock.review_h)
        if point.perishable and stock.on_hand:
            note(i, "salvage", stock.on_hand)
            shelve(i, -stock.on_hand)
        decide(i)
        settle()

    def arrive(i: int, deadline: Deadline) -> None:
        point, shipments = points[i], stocks[i].shipments
        shipment = shipments.pop(0)
        if point.delay and not shipment.late and draw[i]["late"](UNIT) < point.late:
            note(i, "late", shipment.units)
            now_h = kernel._now
            send(i, shipment._replace(due_h=now_h + draw[i]["delay"](point.delay), since_h=now_h, late=True))
        else:
            receive(i, shipment.units, _missing(draw[i]["loss"](UNIT), shipment.units, point.loss) if point.loss else 0)
        if shipments:
            deadline.set(shipments[0].due_h)
        settle()

    def ask(i: int, deadline: Deadline) -> None:
        demand, stock = points[i].demand, stocks[i]
        assert demand
        units = 1 if demand.size is None else demand.units(draw[i]["size"](demand.size))
        stock.asked_h = kernel._now
        stock.demand_h = kernel._now + draw[i]["demand"](demand.between)
        deadline.set(stock.demand_h)
        note(i, "demand", units)
        change(i, "demanded", units)
        serve(i, CUSTOMERS, units)
        look(i)
        settle()

    def settle() -> None:
        """Tell of shelves that are empty, or no longer, now that all that happens at once has happened."""
        for i in sorted(edges):
            if stocks[i].out != (stocks[i].on_hand == 0):
                stocks[i].out = not stocks[i].out
                note(i, *(("failure", 0.0, "stockout") if stocks[i].out else ("renewal", 0.0, "delivery")))
        edges.clear()
        while served:
            given(served.pop(0))

    def act(action: Action) -> None:
        i = names.index(action.point)
        stock = stocks[i]
        note(i, "action", action.units if isinstance(action, PlaceOrder) else 0.0, type(action).__name__)
        if isinstance(action, PlaceOrder):
            order(i, action.units)
            settle()
        elif isinstance(action, SetPolicy):
            for name in ("reorder_point", "order_up_to"):
                times_h, values = columns[i][name]
                if values[-1] != getattr(action.policy, name):
                    times_h.append(kernel._now)
                    values.append(getattr(action.policy, name))
            stock.policy, stock.held = action.policy, False
            if points[i].review_h is None:
                stock.review_h = kernel._now
                reviews[i].set(stock.review_h)
        else:
            stock.held = True

    def close(until_h: float) -> dict[Key, Signal]:
        s.time_h = until_h
        for held in (reviews, deliveries):
            held.clear()  # as the kernel's queue is by its owner
        signals = {}
        for stock, name, quantities in zip(stocks, names, columns, strict=True):
            stock.open = {quantity: (times_h[-1], values[-1]) for quantity, (times_h, values) in quantities.items()}
            signals |= {(name, quantity): Signal.step(*column) for quantity, column in quantities.items()}
        return signals

    names, size = [point.name for point in points], len(points)
    reviews = [kernel.deadline(rank + i, partial(review, i), stock.review_h) for i, stock in enumerate(stocks)]
    deliveries = [
        kernel.deadline(rank + size + i, partial(arrive, i), stock.shipments[0].due_h if stock.shipments else math.inf)
        for i, stock in enumerate(stocks)
    ]
    for i, stock in enumerate(stocks):
        kernel.deadline(rank + 2 * size + i, partial(ask, i), stock.demand_h)
    return Door(take, act, close)


def _missing(u: float, units: int, loss: float) -> int:
    """Units missing in a shipment: the binomial quantile of *u*."""
    k = math.ceil(special.bdtrik(u, units, loss))  # the quantile, or by rounding one more
    return k - 1 if k and special.bdtr(k - 1, units, loss) >= u else k
