"""Checks of the market against the line it states and the flow it is given."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sim.house import MARKET, House
from sim.laws import Exponential
from sim.verify import Replicated, Target


@dataclass(frozen=True, kw_only=True)
class Prices(Replicated):
    """Least squares on the sales gives back slope and intercept. The fault makes the slope steeper."""

    world: House = House()
    length_h: float = 2.5e5

    def targets(self):
        world = self.world
        mean = world.intercept_keur + world.slope_keur_per_m2 * (world.area_min_m2 + world.area_max_m2) / 2
        return [
            Target("slope (kEUR/m²)", world.slope_keur_per_m2, "least squares"),
            Target("price of the mean home (kEUR)", mean, "least squares"),
            Target(
                "intercept (kEUR)",
                world.intercept_keur,
                "least squares",
                0.005 * abs(mean),
                True,
                "0.5 % of the mean price; no home is near an area of 0",
            ),
        ]

    def replicate(self, seed):
        world = replace(self.world, slope_keur_per_m2=self.world.slope_keur_per_m2 * (1 + self.fault))
        trace = world.run(world.start(seed), self.length_h).trace
        area, price = (trace[MARKET, name].value[1:] for name in ("area", "price"))
        slope, intercept = np.polyfit(area, price, 1)
        return [slope, intercept + slope * (world.area_min_m2 + world.area_max_m2) / 2, intercept]


@dataclass(frozen=True, kw_only=True)
class Flow(Replicated):
    """Homes listed per hour, time on the market, and how many are on it. The fault spaces the listings."""

    world: House = House()
    warm_up_h: float = 2e4
    length_h: float = 2.5e5

    def targets(self):
        every_h, stay_h = self.world.listing.mean_h, self.world.sale.mean_h
        return [
            Target("listed per hour", 1 / every_h, "renewal theorem"),
            Target("time on the market (h)", stay_h, "mean of the law"),
            Target("homes on the market", stay_h / every_h, "Little 1961"),
        ]

    def replicate(self, seed):
        listing = self.world.listing
        if self.fault:
            listing = Exponential(listing.mean_h * (1 + self.fault))
        world = replace(self.world, listing=listing)
        settled = world.run(world.start(seed), self.warm_up_h).state
        # Homes already there have been found by their age; the rest are followed from listing to sale.
        trace = world.run(settled, self.warm_up_h + self.length_h).trace
        listed_h = {e.entity: e.time_h for e in trace.events if e.kind == "listed"}
        begun_h = {f"h{home.number}": home.listed_h for home in settled.homes} | listed_h
        stays_h = [e.time_h - begun_h[e.entity] for e in trace.events if e.kind == "sold"]
        on_market = trace[MARKET, "listed"]
        hours = np.diff(np.clip(np.append(on_market.time_h, trace.end_h), trace.start_h, None))
        return [len(listed_h) / self.length_h, np.mean(stays_h), hours @ on_market.value / self.length_h]
