"""One stock point against theory: continuous and periodic review, costs in discrete time, lost sales."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sim.errors import require
from sim.laws import Deterministic, Exponential, Law, Lognormal
from sim.supply import theory
from sim.supply.checks.measure import POINT, Controlled, demanded, level_targets, levels, observed
from sim.supply.config import BaseStock, Demand, FixedQuantity, MinMax, Point, Policy
from sim.supply.costs import unit_hours
from sim.supply.supply import Supply


@dataclass(frozen=True, kw_only=True)
class ContinuousReview(Controlled):
    """Levels under BaseStock, MinMax or FixedQuantity, Poisson customers of any size, and a lead time.

    The lead time may be random where the policy is BaseStock and units are single (Palm 1938); otherwise it must be
    deterministic. The fault lengthens it.
    """

    policy: Policy = BaseStock(2)
    customers_per_h: float = 1.0
    size: Law | None = None
    lead: Law = Deterministic(2.0)
    warm_up_h: float = 100.0
    length_h: float = 1e4

    def __post_init__(self):
        super().__post_init__()
        alone = isinstance(self.policy, BaseStock) and self.size is None
        ok = alone or isinstance(self.lead, Deterministic)
        require(ok, self, "lead", "Deterministic, unless the policy is BaseStock and units are single")

    def targets(self):
        size = theory.size_pmf(self.size)
        if isinstance(self.policy, FixedQuantity):
            position = theory.fixed_quantity_position(self.policy.quantity)
        else:
            position = theory.min_max_position(self.policy.reorder_point, self.policy.order_up_to, size)
        lead_demand = theory.demand_pmf(self.customers_per_h * self.lead.mean_h, self.size)
        expected = theory.levels(self.policy.order_up_to, position, lead_demand)
        source = "Palm 1938; Hadley & Whitin 1963" if self.size is None else "Zipkin 2000, compound Poisson"
        return level_targets(self, expected, source)

    def replicate(self, seed):
        lead = replace(self.lead, mean_h=self.lead.mean_h * (1 + self.fault))  # type: ignore[type-var]
        point = Point(POINT, self.policy, lead=lead, demand=Demand(Exponential(1 / self.customers_per_h), self.size))
        trace = observed(Supply((point,)), seed, self.warm_up_h, self.length_h)
        expected = self.customers_per_h * theory.mean(theory.size_pmf(self.size)) * self.length_h
        return [*levels(trace, POINT), demanded(trace) - expected]


@dataclass(frozen=True, kw_only=True)
class PeriodicReview(Controlled):
    """Levels under base stock reviewed every *review_h*, Poisson demand, a deterministic lead time. The fault
    lengthens it."""

    order_up_to: int = 6
    review_h: float = 2.0
    demand_per_h: float = 1.0
    lead_h: float = 2.5
    warm_up_h: float = 100.0
    length_h: float = 1e4

    def targets(self):
        demand = theory.review_pmf(self.demand_per_h, self.lead_h, self.review_h)
        return level_targets(self, theory.levels(self.order_up_to, np.ones(1), demand), "Hadley & Whitin 1963, ch. 5")

    def replicate(self, seed):
        point = Point(
            POINT,
            BaseStock(self.order_up_to),
            lead=Deterministic(self.lead_h * (1 + self.fault)),
            demand=Demand(Exponential(1 / self.demand_per_h)),
            review_h=self.review_h,
        )
        trace = observed(Supply((point,)), seed, self.warm_up_h, self.length_h)
        return [*levels(trace, POINT), demanded(trace) - self.demand_per_h * self.length_h]


@dataclass(frozen=True, kw_only=True)
class MinMaxCost(Controlled):
    """(s, S) in discrete time, by the convention of `theory.min_max_cost`: costs are charged on what stands on hand or
    backordered just before each review. The fault raises the fixed cost of an order."""

    demand_per_period: float = 10.0
    reorder_point: int = 6
    order_up_to: int = 40
    per_order: float = 64.0
    holding: float = 1.0
    backorder: float = 9.0
    periods: int = 5000

    def targets(self):
        demand = theory.demand_pmf(self.demand_per_period)
        prices = self.per_order, self.holding, self.backorder
        cost = theory.min_max_cost(self.reorder_point, self.order_up_to, demand, *prices)
        orders = 1 / theory.visits(demand, self.order_up_to - self.reorder_point).sum()
        return [
            self.target("cost per period", cost, "Zheng & Federgruen 1991"),
            self.target("orders per period", orders, "renewal theorem"),
        ]

    def replicate(self, seed):
        policy = MinMax(self.reorder_point, self.order_up_to)
        demand = Demand(Exponential(1 / self.demand_per_period))
        world = Supply((Point(POINT, policy, demand=demand, review_h=1.0),))
        warm_up = 100  # periods; the stock is full at the first review of each cycle
        trace = observed(world, seed, warm_up, self.periods)
        ends_h = np.nextafter(np.arange(warm_up + 1, warm_up + self.periods + 1), 0.0)
        on_hand, backorders = (trace[POINT, name].at(ends_h).mean() for name in ("on_hand", "backorders"))
        orders = sum(event.kind == "order" for event in trace.events) / self.periods
        cost = self.per_order * (1 + self.fault) * orders + self.holding * on_hand + self.backorder * backorders
        return [cost, orders, demanded(trace) / self.periods - self.demand_per_period]


@dataclass(frozen=True, kw_only=True)
class LostSales(Controlled):
    """The share of single-unit Poisson demand that base stock turns away: Erlang's B, whatever the law of the lead
    time. The fault lengthens the lead time."""

    stock: int = 4
    demand_per_h: float = 1.0
    lead: Law = Lognormal(3.0, 1.0)
    warm_up_h: float = 200.0
    length_h: float = 1e4

    def targets(self):
        share = theory.lost_share(self.stock, self.demand_per_h * self.lead.mean_h)
        on_order = self.demand_per_h * self.lead.mean_h * (1 - share)
        return [self.target("share lost", share, "Karush 1957"), self.target("on order", on_order, "Karush 1957")]

    def replicate(self, seed):
        lead = replace(self.lead, mean_h=self.lead.mean_h * (1 + self.fault))  # type: ignore[type-var]
        demand = Demand(Exponential(1 / self.demand_per_h))
        point = Point(POINT, BaseStock(self.stock), lead=lead, demand=demand, lost_sales=True)
        trace = observed(Supply((point,)), seed, self.warm_up_h, self.length_h)
        lost = sum(event.value for event in trace.events if event.kind == "lost")
        on_order, expected = unit_hours(trace, POINT, "on_order"), self.demand_per_h * self.length_h
        return [lost / expected, on_order / self.length_h, demanded(trace) - expected]
