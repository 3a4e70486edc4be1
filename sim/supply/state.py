"""The whole truth about a supply chain at one time, and how its hidden draws are made anew."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sim.laws import Deterministic, Law, residual_h
from sim.streams import Streams
from sim.supply.config import Action, Point, Policy

CUSTOMERS = -1  # among the ranks of points
TAKERS = -2  # and below: taker k of a world that has the chain attached is TAKERS − k
STREAMS = ("demand", "size", "lead", "late", "delay", "loss")


class Shipment(NamedTuple):
    """Units on their way to a point. Its due time is drawn and not yet revealed; shipments are sorted by it."""

    due_h: float
    number: int
    units: int
    since_h: float  # when it was sent, or when it was known to be late
    late: bool = False


@dataclass(slots=True)
class Stock:
    """One point: its units, who waits for some, what is on its way to it, and its deadlines, all absolute."""

    policy: Policy
    on_hand: int
    on_order: int = 0
    backorders: int = 0
    demanded: int = 0  # by customers and takers, so far
    received: int = 0
    waiting: list[tuple[int, int]] = field(default_factory=list)  # (who, units), first come first
    shipments: list[Shipment] = field(default_factory=list)
    sent: int = 0  # shipments to it so far
    held: bool = False
    out: bool = False  # the shelf is empty
    reviews: int = 0  # periodic ones so far
    review_h: float = 0.0
    asked_h: float = 0.0  # the last demand
    demand_h: float = math.inf  # the next
    open: dict[str, tuple[float, float]] = field(default_factory=dict)  # the breakpoint in force of each signal

    @property
    def position(self) -> int:
        return self.on_hand + self.on_order - self.backorders

    def copy(self) -> Stock:
        return replace(self, waiting=self.waiting[:], shipments=self.shipments[:], open=self.open.copy())


@dataclass(slots=True)
class State:
    """A supply chain at `time_h`, before what is due at that very time."""

    seed: int
    time_h: float
    stocks: list[Stock]  # by rank
    streams: Streams
    actions: list[Action] = field(default_factory=list)  # to be carried out first by the next run that takes any time

    def copy(self) -> State:
        stocks = [stock.copy() for stock in self.stocks]
        return State(self.seed, self.time_h, stocks, self.streams.copy(), self.actions[:])


def start(points: tuple[Point, ...], seed: int) -> State:
    streams = Streams(seed, (f"{point.name}/{kind}" for point in points for kind in STREAMS))
    stocks = []
    for point in points:
        stock = Stock(point.policy, point.first_on_hand, out=not point.first_on_hand)
        if point.demand:
            stock.demand_h = streams[f"{point.name}/demand"].draw(point.demand.between)
        stock.open = {
            "on_hand": (0.0, stock.on_hand),
            **dict.fromkeys(("on_order", "backorders", "demanded", "received"), (0.0, 0)),
            "reorder_point": (0.0, point.policy.reorder_point),
            "order_up_to": (0.0, point.policy.order_up_to),
        }
        stocks.append(stock)
    return State(seed, 0.0, stocks, streams)


def draw(stock: Stock, units: int, taker: int) -> bool:
    """Take units at 0 h, before a run begins; whether all were there. The first look of the policy comes after it."""
    there = min(stock.on_hand, units)
    stock.on_hand, stock.demanded, stock.backorders = (
        stock.on_hand - there, stock.demanded + units, stock.backorders + units - there,
    )  # fmt: skip
    stock.out = not stock.on_hand
    for name in ("on_hand", "demanded", "backorders"):
        stock.open[name] = (0.0, getattr(stock, name))
    if there < units:
        stock.waiting.append((TAKERS - taker, units - there))
    return there == units


def resample(points: tuple[Point, ...], s: State, seed: int, name: str = "resample") -> State:
    """Redraw, in place, the next demands and what is under way, given how long each has taken.

    The uniforms have the address *name*, which an owner makes another one than its own.
    """
    s.seed, s.streams = seed, s.streams.rekeyed(seed)
    wanted = len(points) + sum(len(stock.shipments) for stock in s.stocks)
    uniforms = iter(Streams.uniforms(seed, name, wanted))

    def redraw(law: Law | None, since_h: float, due_h: float) -> float:
        q = next(uniforms)
        if law is None or isinstance(law, Deterministic):  # as it is, to the last bit
            return due_h
        return s.time_h + residual_h(law, s.time_h - since_h, q)

    for point, stock in zip(points, s.stocks, strict=True):
        stock.demand_h = redraw(point.demand and point.demand.between, stock.asked_h, stock.demand_h)
        stock.shipments = sorted(
            shipment._replace(
                due_h=redraw(point.delay if shipment.late else point.lead, shipment.since_h, shipment.due_h)
            )
            for shipment in stock.shipments
        )
    return s
