"""How much to order at once: the newsvendor's quantity and the economic one, found by simulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.errors import require
from sim.laws import Deterministic, Exponential
from sim.supply import theory
from sim.supply.checks.measure import POINT, Chosen, observed
from sim.supply.config import BaseStock, Demand, FixedQuantity, Point, Prices
from sim.supply.costs import costs
from sim.supply.supply import Supply
from sim.verify import Target


@dataclass(frozen=True, kw_only=True)
class Newsvendor(Chosen):
    """Seasons with one order each, what is left sold off: the best quantity and its profit. The fault adds demand."""

    demand_per_season: float = 20.0
    sale: float = 10.0
    unit: float = 4.0
    salvage: float = 1.0
    around: int = 4  # quantities tried on either side of the formula's
    season_h: float = 24.0
    seasons: int = 500

    def __post_init__(self):
        super().__post_init__()
        require(self.salvage < self.unit < self.sale, self, "unit", "above the salvage value and below the sale price")

    @property
    def _best(self) -> int:
        return theory.newsvendor(theory.demand_pmf(self.demand_per_season), self.sale, self.unit, self.salvage)

    @property
    def choices(self) -> list[int]:
        return [q for q in range(self._best - self.around, self._best + self.around + 1) if q >= 0]

    def targets(self):
        demand = theory.demand_pmf(self.demand_per_season)
        profit = theory.newsvendor_profit(self._best, demand, self.sale, self.unit, self.salvage)
        return [
            Target("best quantity", float(self._best), "Arrow, Harris & Marschak 1951", 0.5, True, "a whole number"),
            self.target("cost of a season at it", -profit, "Arrow, Harris & Marschak 1951"),
        ]

    def replicate(self, seed):
        demand = Demand(Exponential(self.season_h / self.demand_per_season / (1 + self.fault)))
        prices = Prices(per_unit=self.unit, sale_per_unit=self.sale, salvage_per_unit=self.salvage)
        found = []
        for quantity in self.choices:
            season = Point(
                POINT,
                BaseStock(quantity),
                demand=demand,
                lost_sales=True,
                review_h=self.season_h,
                perishable=True,
                prices=prices,
            )
            world = Supply((season,))
            # A moment longer than the seasons, for the last one's review; the order that it places is the next one's.
            over_h = self.seasons * self.season_h
            trace = world.run(world.start(seed), np.nextafter(over_h, np.inf)).trace
            found.append((costs(world, trace)[POINT].total - self.unit * quantity) / self.seasons)
        return found


@dataclass(frozen=True, kw_only=True)
class EconomicOrderQuantity(Chosen):
    """Steady demand, no lead time, orders of Q when the shelf is empty: the best Q and its cost. The fault raises the
    fixed cost of an order."""

    demand_per_h: float = 2.0
    per_order: float = 50.0
    holding_per_unit_h: float = 0.02
    around: int = 12
    orders: int = 40

    @property
    def _best(self) -> theory.Lot:
        return theory.eoq_units(self.demand_per_h, self.per_order, self.holding_per_unit_h)

    @property
    def choices(self) -> list[int]:
        return [q for q in range(int(self._best.quantity) - self.around, int(self._best.quantity) + self.around + 1)]

    def targets(self):
        flowing = theory.eoq(self.demand_per_h, self.per_order, self.holding_per_unit_h).cost_per_h
        return [
            Target("best quantity", self._best.quantity, "Harris 1913, whole units", 0.5, True, "a whole number"),
            self.target("cost per hour at it", flowing + self.holding_per_unit_h / 2, "Harris 1913, half a unit more"),
        ]

    def replicate(self, seed):
        prices = Prices(holding_per_unit_h=self.holding_per_unit_h, per_order=self.per_order * (1 + self.fault))
        demand = Demand(Deterministic(1 / self.demand_per_h))
        found = []
        for quantity in self.choices:
            world = Supply((Point(POINT, FixedQuantity(0, quantity), demand=demand, prices=prices),))
            cycle_h = quantity / self.demand_per_h
            trace = observed(world, seed, cycle_h / 2, self.orders * cycle_h)
            found.append(costs(world, trace)[POINT].total / (trace.end_h - trace.start_h))
        return found
