"""Homes laid out for a run: rates hour by hour from the epoch on, as plain lists that grow as far as is asked."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np

from sim.homes import calibration
from sim.homes.config import Household

if TYPE_CHECKING:
    from sim.homes.process import Homes

WEATHER = "weather"
BLOCK = 720  # hours added at once


class Hourly:
    """A rate per hour as a function of the hour since the epoch, from lists that `Plan` lengthens."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.values: list[float] = []

    def crossing_h(self, now_h: float, amount: float, stop_h: float = float("inf")) -> float:
        """When the integral of the rate from *now_h* on reaches *amount*; inf where that is not before *stop_h*."""
        values, k = self.values, int(now_h)
        while now_h < stop_h:
            if k >= len(values):
                self.plan.extend()
            rate, end_h = values[k], k + 1.0
            whole = rate * (end_h - now_h)
            if amount < whole:
                at_h = now_h + amount / rate
                return at_h if at_h < stop_h else float("inf")
            amount -= whole
            now_h, k = end_h, k + 1
        return float("inf")


class Plan:
    """What a run of a world looks up."""

    def __init__(self, world: Homes):
        self.world = world
        self.kinds: list[Household] = [g.household for g in world.groups for _ in range(g.count)]
        self.names = tuple(f"h{i + 1}" for i in range(len(self.kinds)))
        self.profiles_kw: list[list[float]] = [[] for _ in world.businesses]  # the mean of each, hour by hour
        self.wake, self.back, self.end = Hourly(self), Hourly(self), Hourly(self)
        self.sleeps: list[float] = []  # the chance that an active phase which ends in this hour ends in sleep
        self.clock: list[int] = []
        self._occupancy = calibration.rates(world.workday, world.free_day)
        self._rates = {}
        self._starts: dict[Household, Hourly] = {}
        for kind in dict.fromkeys(self.kinds):
            days = (world.workday, world.free_day, world.appliances)
            self._rates[kind] = calibration.rate(*days, kind.annual_kwh, kind.base_kw)
            self._starts[kind] = Hourly(self)
        self.starts = [self._starts[kind] for kind in self.kinds]
        weight = np.array([a.weight for a in world.appliances])
        share = weight / weight.sum(0)
        self.which = [list(accumulate(column)) for column in share.T.tolist()]  # by the hour of the clock
        self.power_kw = [a.power_kw for a in world.appliances]
        self.mean_h = [a.mean_h for a in world.appliances]
        self.attended = [a.attended for a in world.appliances]
        local = world.calendar.start.astimezone(ZoneInfo(world.calendar.zone))
        chance = calibration.occupancy(world.workday, world.free_day)
        self.chance: list[float] = chance[(local.weekday() * 24 + local.hour) * calibration.PER].tolist()  # at hour 0
        self.means_cel: list[float] = []
        self.extend()

    def extend(self) -> None:
        first = len(self.clock)
        world = self.world
        for k in range(first, first + BLOCK):
            hour = world.calendar.at(k)
            at = hour.kind, hour.hour
            self.clock.append(hour.hour)
            sleep, leave = (float(self._occupancy[name][at]) for name in ("sleep", "leave"))
            self.end.values.append(sleep + leave)
            self.sleeps.append(sleep / (sleep + leave) if sleep + leave else 0.0)
            self.wake.values.append(float(self._occupancy["wake"][at]))
            self.back.values.append(float(self._occupancy["back"][at]))
            scale = calibration.yearly(hour.day)
            for kind, hourly in self._starts.items():
                follow, constant = self._rates[kind]
                hourly.values.append(max(scale * float(follow[(hour.month - 1, *at)]) - float(constant[at]), 0.0))
            for business, means_kw in zip(world.businesses, self.profiles_kw, strict=True):
                table = calibration.profile(business.profile)
                means_kw.append(business.annual_kwh * float(table[(hour.month - 1, *at)]))
            self.means_cel.append(world.weather.course_cel(world.calendar, k))

    def course_cel(self, hour: int) -> float:
        while hour >= len(self.means_cel):
            self.extend()
        return self.means_cel[hour]

    def business_kw(self, i: int, hour: int, score: float) -> float:
        """What a business draws in an hour of this normal score."""
        while hour >= len(self.clock):
            self.extend()
        return self.profiles_kw[i][hour] * self.world.businesses[i].factor(score)

    def pick(self, hour: int, u: float) -> int:
        """The appliance that a start in *hour* is of."""
        while hour >= len(self.clock):
            self.extend()
        return first_above(self.which[self.clock[hour]], u)


def first_above(cumulative: Sequence[float], u: float) -> int:
    return min(bisect_right(cumulative, u), len(cumulative) - 1)


@lru_cache(maxsize=64)
def planned(world: Homes) -> Plan:
    return Plan(world)
