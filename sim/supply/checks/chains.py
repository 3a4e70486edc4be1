"""Several points together: trees of base stock, suppliers that are late or lose units, Little's law."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sim.errors import require
from sim.laws import Deterministic, Exponential, Gamma, Law, Lognormal
from sim.supply import theory
from sim.supply.checks.measure import POINT, Controlled, Within, demanded, levels, observed
from sim.supply.config import BaseStock, Demand, FixedQuantity, MinMax, Point
from sim.supply.costs import unit_hours
from sim.supply.supply import Supply
from sim.trace import Trace


def customer(every_h: float) -> Demand:
    return Demand(Exponential(every_h))


DEPOT = Supply(
    (
        Point("depot", BaseStock(4), lead=Lognormal(2.0, 0.8)),
        Point("a", BaseStock(2), "depot", Deterministic(1.0), customer(1.0)),
        Point("b", BaseStock(1), "depot", Deterministic(0.5), customer(2.0)),
    )
)


@dataclass(frozen=True, kw_only=True)
class Echelons(Controlled):
    """Backorders of every point of a tree of base stock with single-unit Poisson demand: a depot and its stores, or
    stages in series.

    Exact (Graves 1985; in series by convolution), so lead times are deterministic but for those from outside, which may
    have any law. The fault lengthens these.
    """

    world: Supply = DEPOT
    warm_up_h: float = 200.0
    length_h: float = 1e4

    def __post_init__(self):
        super().__post_init__()
        for p in self.world.points:
            ok = isinstance(p.policy, BaseStock) and p.review_h is None and not (p.lost_sales or p.late or p.loss)
            require(ok, self, "world", "of points with base stock, backorders and reliable suppliers")
            asked = p.demand is None or (isinstance(p.demand.between, Exponential) and p.demand.size is None)
            require(asked, self, "world", "of points with single-unit Poisson demand")
            ok = p.lead is not None and (p.supplier is None or isinstance(p.lead, Deterministic))
            require(ok, self, "world", "of points with a lead time, deterministic where another point supplies them")

    def _per_h(self, name: str) -> float:
        """Units asked of a point."""
        point = self.world[name]
        own = 1 / point.demand.between.mean_h if point.demand else 0.0
        return own + sum(self._per_h(p.name) for p in self.world.points if p.supplier == name)

    def _backorders(self, name: str) -> np.ndarray:
        """Their law."""
        point, per_h = self.world[name], self._per_h(name)
        assert point.lead
        customers = per_h * point.lead.mean_h
        if point.supplier is None:
            on_order = theory.on_order_pmf(customers)
        else:
            share = per_h / self._per_h(point.supplier)
            on_order = theory.on_order_pmf(customers, share, self._backorders(point.supplier))
        return theory.backorder_pmf(point.policy.order_up_to, on_order)

    def targets(self):
        return [
            self.target(f"backorders of {name}", theory.mean(self._backorders(name)), "Graves 1985")
            for name in self.world.names
        ]

    def replicate(self, seed):
        world = self.world
        if self.fault:
            world = Supply(
                tuple(
                    replace(p, lead=replace(p.lead, mean_h=p.lead.mean_h * (1 + self.fault)))  # type: ignore[type-var, union-attr]
                    if p.supplier is None
                    else p
                    for p in world.points
                )
            )
        trace = observed(world, seed, self.warm_up_h, self.length_h)
        per_h = sum(1 / p.demand.between.mean_h for p in world.points if p.demand)
        excess = demanded(trace) - per_h * self.length_h
        return [*(levels(trace, name).backorders for name in world.names), excess]


@dataclass(frozen=True, kw_only=True)
class Unreliable(Controlled):
    """A supplier that is late and loses units: shares of both, and by Little's law what is on order. The fault makes
    more shipments late."""

    demand_per_h: float = 1.0
    lead: Law = Gamma(2.0, 0.5)
    late: float = 0.3
    delay: Law = Exponential(4.0)
    loss: float = 0.1
    stock: int = 6
    warm_up_h: float = 200.0
    length_h: float = 1e4

    def targets(self):
        ordered_per_h = self.demand_per_h / (1 - self.loss)
        on_order = ordered_per_h * (self.lead.mean_h + self.late * self.delay.mean_h)
        return [
            self.target("units ordered per hour", ordered_per_h, "balance"),
            self.target("shipments late per hour", ordered_per_h * self.late, "balance"),
            self.target("on order", on_order, "Little 1961"),
        ]

    def replicate(self, seed):
        point = Point(
            POINT,
            BaseStock(self.stock),
            lead=self.lead,
            demand=customer(1 / self.demand_per_h),
            late=min(self.late * (1 + self.fault), 1.0),
            delay=self.delay,
            loss=self.loss,
        )
        trace = observed(Supply((point,)), seed, self.warm_up_h, self.length_h)
        ordered = sum(event.value for event in trace.events if event.kind == "order")
        late = sum(event.kind == "late" for event in trace.events)
        on_order = unit_hours(trace, POINT, "on_order")
        excess = demanded(trace) - self.demand_per_h * self.length_h
        return [ordered / self.length_h, late / self.length_h, on_order / self.length_h, excess]


# Every kind of policy, customers of several units, a supplier that is late and loses some, shipments that overtake.
NETWORK = Supply(
    (
        Point("depot", MinMax(8, 20), lead=Lognormal(6.0, 0.6), late=0.2, delay=Exponential(5.0), loss=0.05),
        Point("a", FixedQuantity(3, 5), "depot", Gamma(2.0, 0.5), Demand(Exponential(1.5), Exponential(1.2))),
        Point("b", BaseStock(6), "depot", Deterministic(1.0), Demand(Gamma(2.0, 0.7)), review_h=4.0),
        Point("c", BaseStock(3), "a", None, Demand(Exponential(4.0))),
    )
)


@dataclass(frozen=True, kw_only=True)
class Little(Within):
    """L = λW of what each point has on order, and of the backorders of its customers where it has no others: L from
    the levels, λ and W from when units were ordered and came. The fault lengthens every W."""

    world: Supply = NETWORK
    warm_up_h: float = 200.0
    length_h: float = 1e4

    @property
    def _leaves(self) -> list[str]:
        suppliers = {point.supplier for point in self.world.points}
        return [p.name for p in self.world.points if p.name not in suppliers and p.demand and not p.lost_sales]

    def targets(self):
        waits = [name for name in self.world.names if self.world[name].lead]
        return [
            *(self.target(f"L/(λW), on order at {name}", 1.0, "Little 1961") for name in waits),
            *(self.target(f"L/(λW), backorders at {name}", 1.0, "Little 1961") for name in self._leaves),
        ]

    def replicate(self, seed):
        trace = observed(self.world, seed, self.warm_up_h, self.length_h)
        waits = [name for name in self.world.names if self.world[name].lead]
        on_order = [
            self._ratio(
                trace, name, "on_order", _units_h(trace, name, "order"), _units_h(trace, name, "delivery", "missing")
            )
            for name in waits
        ]
        backorders = [
            self._ratio(trace, name, "backorders", _units_h(trace, name, "demand"), _given_h(trace, name))
            for name in self._leaves
        ]
        return on_order + backorders

    def _ratio(self, trace: Trace, name: str, quantity: str, begun_h: np.ndarray, ended_h: np.ndarray) -> float:
        at_start = int(trace[name, quantity].value[0])  # the first to end had begun before
        ended_h = ended_h[at_start:]
        wait_h = (ended_h - begun_h[: len(ended_h)]).mean() * (1 + self.fault)
        length_h = trace.end_h - trace.start_h
        return unit_hours(trace, name, quantity) / length_h / (len(begun_h) / length_h * wait_h)


def _units_h(trace: Trace, name: str, *kinds: str) -> np.ndarray:
    """When each unit of events of these kinds came, float64[units] hours."""
    found = [(e.time_h, e.value) for e in trace.events if e.entity == name and e.kind in kinds]
    times_h, units = np.array(found).reshape(-1, 2).T
    return np.repeat(times_h, units.astype(int))


def _given_h(trace: Trace, name: str) -> np.ndarray:
    """When each unit was given to a customer: as demanded less backorders rose."""
    demanded, backorders = trace[name, "demanded"], trace[name, "backorders"]
    times_h = np.union1d(demanded.time_h, backorders.time_h)
    times_h = times_h[times_h >= max(demanded.time_h[0], backorders.time_h[0])]
    given = demanded.at(times_h) - backorders.at(times_h)
    return np.repeat(times_h[1:], np.diff(given).astype(int))
