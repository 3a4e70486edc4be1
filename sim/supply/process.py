"""How a supply chain runs: three deadlines a point (review, delivery, demand), every fact in the state."""

from __future__ import annotations

import math
from bisect import insort
from functools import partial

from scipy import special

from sim.kernel import Deadline, Kernel
from sim.laws import UNIT
from sim.supply.config import Action, PlaceOrder, Point, SetPolicy
from sim.supply.state import CUSTOMERS, STREAMS, Shipment, State
from sim.trace import Event, Run, Signal, Trace


def run(points: tuple[Point, ...], suppliers: tuple[int | None, ...], s: State, until_h: float) -> Run:
    """Carry *s* on to *until_h*, in place. Its callers hand in a copy."""
    kernel, start_h, stocks = Kernel(s.time_h), s.time_h, s.stocks
    events: list[Event] = []
    columns = [{name: ([time_h], [value]) for name, (time_h, value) in stock.open.items()} for stock in stocks]
    draw = [{kind: s.streams[f"{point.name}/{kind}"].draw for kind in STREAMS} for point in points]
    edges: set[int] = set()  # points whose shelf may have become empty, or no longer be

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
        given = min(stocks[i].on_hand, units)
        if given:
            issue(i, who, given)
        if given == units:
            return
        if who == CUSTOMERS and points[i].lost_sales:
            note(i, "lost", units - given)
        else:
            stocks[i].waiting.append((who, units - given))
            change(i, "backorders", units - given)

    def issue(i: int, who: int, units: int) -> None:
        shelve(i, -units)
        if who != CUSTOMERS:
            ship(who, units)

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
            given = min(stock.on_hand, wanted)
            if given == wanted:
                stock.waiting.pop(0)
            else:
                stock.waiting[0] = who, wanted - given
            change(i, "backorders", -given)
            issue(i, who, given)
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

    names, size = [point.name for point in points], len(points)
    reviews = [kernel.deadline(i, partial(review, i), stock.review_h) for i, stock in enumerate(stocks)]
    deliveries = [
        kernel.deadline(size + i, partial(arrive, i), stock.shipments[0].due_h if stock.shipments else math.inf)
        for i, stock in enumerate(stocks)
    ]
    for i, stock in enumerate(stocks):
        kernel.deadline(2 * size + i, partial(ask, i), stock.demand_h)
    if until_h > start_h:
        for action in s.actions:
            act(action)
        s.actions = []
    kernel.run_to(until_h)
    s.time_h = until_h
    for held in (reviews, deliveries, kernel._queue):
        held.clear()  # breaks the cycles of callbacks and deadlines, which would keep every list until a collection

    signals = {}
    for stock, name, quantities in zip(stocks, names, columns, strict=True):
        stock.open = {quantity: (times_h[-1], values[-1]) for quantity, (times_h, values) in quantities.items()}
        signals |= {(name, quantity): Signal.step(*column) for quantity, column in quantities.items()}
    return Run(Trace(s.seed, start_h, until_h, signals, tuple(events)), s)


def _missing(u: float, units: int, loss: float) -> int:
    """Units missing in a shipment: the binomial quantile of *u*."""
    k = math.ceil(special.bdtrik(u, units, loss))  # the quantile, or by rounding one more
    return k - 1 if k and special.bdtr(k - 1, units, loss) >= u else k
