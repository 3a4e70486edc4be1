"""A supply chain as a plant keeps its books: counts of what is on hand, what was asked for, ordered and received."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from sim.errors import InputError, require
from sim.line import Line
from sim.supply import Hold, PlaceOrder, Supply, costs
from sim.trace import Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.lives import spells
from twins.sensors.noise import Noise
from twins.sensors.render import render, samples_before
from twins.sensors.signals import combine, integral

EXACT = Noise()


@dataclass(frozen=True)
class SupplyTwin:
    """A supply chain, alone or of a line that draws from it, seen through its books, every *step_h* hours.

    One episode is one point in one world run.

    A life of a point is a time in stock; it fails, of cause "stockout", when the shelf is empty. What is written in the
    books as on hand is miscounted, and the error hangs on from count to count, so that it may stand below zero.
    """

    world: Supply | Line
    step_h: float = 4.0
    miscount: Noise = Noise(white=0.5, drift=2.0, drift_knot_h=336.0, quantum=1.0)  # in units
    unread: float = 0.005  # probability that a record of demand is missing
    epoch: str = "2025-01-01T00:00:00"

    revision: ClassVar[int] = 1

    def __post_init__(self):
        require(0 < self.step_h < math.inf, self, "step_h", "above 0")
        require(0 <= self.unread < 1, self, "unread", "at least 0 and below 1")
        assert self.chain

    @property
    def chain(self) -> Supply:
        if isinstance(self.world, Supply):
            return self.world
        if self.world.supply is None:
            raise InputError(
                "SupplyTwin.world is a line without a supply; it must be a supply chain, or a line with one"
            )
        return self.world.supply

    @property
    def stores(self) -> tuple[str, ...]:
        return self.chain.names

    def order(self, store: str, units: int) -> PlaceOrder:
        """The action that orders for a store, whatever its own policy says."""
        return PlaceOrder(store, units)

    def suspend(self, store: str) -> Hold:
        """The action after which a store orders nothing by itself."""
        return Hold(store)

    def spent(self, trace: Trace) -> float:
        """What stock has cost in *trace*, less what it earned, of all stores, by their own prices."""
        return sum(cost.total for cost in costs(self.chain, trace).values())

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(channel for name in self.chain.names for channel in self._books(name))

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace = run.trace
        for point in self.chain.points:
            in_stock = integral(combine(lambda units: units > 0, trace[point.name, "on_hand"]))
            yield Episode(
                run=trace.seed,
                asset=point.name,
                series=tuple(
                    Series(*c.key, c.unit, c.role, render(trace, c), step_h=c.step_h) for c in self._books(point.name)
                ),
                events=tuple(event for event in trace.events if event.entity == point.name),
                spells=tuple(spells(trace, point.name, in_stock)),
                static={"lead_h": point.lead.mean_h if point.lead else 0.0},
                epoch=self.epoch,
                end_h=trace.end_h,
            )

    def _books(self, name: str) -> tuple[Channel, ...]:
        def channel(quantity: str, role: Role, reading, noise: Noise = EXACT) -> Channel:
            return Channel(name, quantity, "1", role, reading, self.step_h, noise)

        def signal(quantity: str, role: Role) -> Channel:
            return channel(quantity, role, partial(_signal, name, quantity))

        def moved(quantity: str, role: Role, counter: str, noise: Noise = EXACT) -> Channel:
            return channel(quantity, role, partial(_moved, name, counter, self.step_h), noise)

        point = self.chain[name]
        drawn = isinstance(self.world, Line) and name in self.world.drawn
        asked = [moved("demand", Role.TARGET, "demanded", Noise(dropout=self.unread))] if point.demand or drawn else []
        theirs = {"supplier_stock": "on_hand", "supplier_on_order": "on_order"}
        supplier = point.supplier
        beside = [channel(q, Role.PAST, partial(_signal, supplier, theirs[q])) for q in theirs] if supplier else []
        return (
            channel("count", Role.TARGET, partial(_signal, name, "on_hand"), self.miscount),
            *asked,
            moved("receipts", Role.PAST, "received"),
            signal("on_order", Role.PAST),
            signal("backorders", Role.PAST),
            *beside,
            signal("reorder_point", Role.ACTION),
            signal("order_up_to", Role.ACTION),
            signal("on_hand", Role.TRUTH),
        )


def _signal(entity: str, quantity: str, trace: Trace) -> Signal:
    return trace[entity, quantity]


def _moved(entity: str, counter: str, step_h: float, trace: Trace) -> Signal:
    """What a counter has counted since the sample before, at every sample for which the trace tells it."""
    total = trace[entity, counter]
    begun_h = float(total.time_h[0])
    first = samples_before(begun_h, step_h)  # the first sample at which the counter can be read
    at_h = np.arange(first, max(samples_before(trace.end_h, step_h), first + 2)) * step_h
    units = np.diff(total.at(at_h), prepend=0.0)
    return Signal.step(at_h, units) if begun_h == 0 else Signal.step(at_h[1:], units[1:])
