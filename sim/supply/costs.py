"""What a stretch of a supply chain has cost, point by point."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np

from sim.supply.supply import Supply
from sim.trace import Trace


class Costs(NamedTuple):
    """In the currency of the prices, over a whole trace."""

    holding: float
    backorder: float
    ordering: float
    purchase: float
    sales: float  # income, booked when a customer asks
    salvage: float  # income

    @property
    def total(self) -> float:
        """Costs less income."""
        return self.holding + self.backorder + self.ordering + self.purchase - self.sales - self.salvage


def costs(world: Supply, trace: Trace) -> dict[str, Costs]:
    """The costs of each point of *world* over *trace*."""
    units: defaultdict[tuple[str, str], float] = defaultdict(float)
    orders = Counter(event.entity for event in trace.events if event.kind == "order")
    for event in trace.events:
        units[event.entity, event.kind] += event.value
    found = {}
    for point in world.points:
        name, prices = point.name, point.prices
        found[name] = Costs(
            holding=prices.holding_per_unit_h * unit_hours(trace, name, "on_hand"),
            backorder=prices.backorder_per_unit_h * unit_hours(trace, name, "backorders"),
            ordering=prices.per_order * orders[name],
            purchase=prices.per_unit * units[name, "delivery"],
            sales=prices.sale_per_unit * (units[name, "demand"] - units[name, "lost"]),
            salvage=prices.salvage_per_unit * units[name, "salvage"],
        )
    return found


def unit_hours(trace: Trace, point: str, quantity: str) -> float:
    """The integral of a point's signal over the trace."""
    signal = trace[point, quantity]
    hours = np.diff(np.clip(np.append(signal.time_h, trace.end_h), trace.start_h, None))
    return float(hours @ signal.value)
