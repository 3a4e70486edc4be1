"""Households against their chain of occupancy, the standard profile, and what is known of many of them together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sim.errors import require
from sim.homes import calibration
from sim.homes.calendar import SUNDAY, WORKDAY, Calendar
from sim.homes.config import Day, Fridge, Group, Household
from sim.homes.power import home_kwh
from sim.homes.process import Homes
from sim.homes.state import Phase
from sim.homes.theory import rusck
from sim.laws import Uniform
from sim.verify import Replicated, Target

WINTER = Calendar("2025-01-13T00:00:00+01:00")  # a Monday; four weeks without a holiday
PUBLISHED = "Konstantelos, Sun & Strbac 2014, Quantifying demand diversity of households (Low Carbon London)"


def expected_kw(world: Homes, hours: int) -> np.ndarray:
    """The standard profile of a street of one kind of household, hour by hour, float64[hours]."""
    annual_kwh = world.groups[0].household.annual_kwh
    at = [world.calendar.at(k) for k in range(hours)]
    return np.array(
        [annual_kwh * calibration.yearly(h.day) * calibration.profile()[h.month - 1, h.kind, h.hour] for h in at]
    )


def loads_kw(world: Homes, seed: int, hours: int, step_h: float = 1.0) -> np.ndarray:
    """Mean power of each household in intervals of *step_h*, float64[homes, hours / step]."""
    trace = world.run(world.start(seed), float(hours)).trace
    at_h = np.arange(round(hours / step_h) + 1) * step_h
    return np.array([np.diff(home_kwh(world, trace, name, at_h)) / step_h for name in world.names])


@dataclass(frozen=True, kw_only=True)
class Street(Replicated):
    """So many alike households over some weeks, of which the first is left out of what is measured."""

    calendar: Calendar = WINTER
    household: Household = Household(spread_cv=0.0)
    homes: int = 40
    weeks: int = 4
    replications: int = 48

    def __post_init__(self):
        super().__post_init__()
        require(2 <= self.homes <= 1000, self, "homes", "between 2 and 1000")
        require(2 <= self.weeks <= 52, self, "weeks", "between 2 and 52")

    @property
    def hours(self) -> int:
        return 168 * self.weeks

    @property
    def world(self) -> Homes:
        return Homes((Group(self.homes, self.household),), self.calendar)


@dataclass(frozen=True, kw_only=True)
class Routine(Street):
    """Hours a day active, asleep and away, against the forward equation of the chain. The fault hastens leaving."""

    household: Household = Household(1600.0, 0.0, fridge=Fridge(0.0, Uniform(20.0, 30.0), Uniform(20.0, 30.0)))
    weeks: int = 3

    def targets(self):
        shares = calibration.occupancy(self.world.workday, self.world.free_day).mean(0)
        names = ("active", "asleep", "away")
        source = "forward equation of the Markov chain"
        return [Target(f"hours {n} a day", 24 * float(x), source, 0.01) for n, x in zip(names, shares, strict=True)]

    def replicate(self, seed):
        def hastened(day: Day) -> Day:
            return replace(day, leave=tuple(rate * (1 + self.fault) for rate in day.leave))

        world = self.world
        world = replace(world, workday=hastened(world.workday), free_day=hastened(world.free_day))
        trace = world.run(world.start(seed), float(self.hours)).trace
        spent = np.zeros(3)
        for name in world.names:
            phase = trace[name, "phase"]
            edges_h = np.clip(np.append(phase.time_h, self.hours), 168.0, None)
            for p in Phase:
                spent[p] += np.diff(edges_h)[phase.value == p].sum()
        return (24 * spent / spent.sum()).tolist()


@dataclass(frozen=True, kw_only=True)
class Profile(Street):
    """The mean household on Sundays and by hours of working days against H25, and a household's covariance a day apart.

    Days are independent but for their mean course, so that covariance is the variance of the profile. The fault is in
    the yearly energy.
    """

    clock: tuple[int, ...] = (3, 8, 13, 19)
    tolerance: float = 0.04
    replications: int = 64

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "clock", tuple(self.clock))
        require(all(0 <= h < 24 for h in self.clock), self, "clock", "hours from 0 to 23")

    @property
    def _kinds(self) -> np.ndarray:
        return np.array([self.calendar.at(k).kind for k in range(self.hours)])

    def _measured(self, of_hour: np.ndarray) -> list[float]:
        kinds, clock = self._kinds, np.array([self.calendar.at(k).hour for k in range(self.hours)])
        after = np.arange(self.hours) >= 168
        found = [of_hour[after].mean(), of_hour[after & (kinds == SUNDAY)].mean()]
        found += [of_hour[after & (kinds == WORKDAY) & (clock == h)].mean() for h in self.clock]
        return [float(x) for x in found]

    @property
    def _pairs(self) -> np.ndarray:
        """Hours of working days that follow one."""
        kinds, k = self._kinds, np.arange(self.hours)
        return k[(k >= 168) & (kinds == WORKDAY) & (np.roll(kinds, 24) == WORKDAY)]

    def targets(self):
        source, why = "BDEW H25 (demandlib)", "chance, and rates that are constant over an hour"
        days = ["Sunday", *(f"working day, {hour} h" for hour in self.clock)]
        expected = expected_kw(self.world, self.hours)
        mean, *rest = self._measured(expected)
        pairs = self._pairs
        now, before = expected[pairs], expected[pairs - 24]
        covariance = float(np.mean(now * before) - now.mean() * before.mean())
        return [
            Target("mean (kW)", mean, source, 0.01, reason=why),
            *(Target(f"{n} (kW)", x, source, self.tolerance, reason=why) for n, x in zip(days, rest, strict=True)),
            Target("covariance a day apart (kW2)", covariance, "variance of the profile", 0.15, reason="chance"),
        ]

    def replicate(self, seed):
        kind = replace(self.household, annual_kwh=self.household.annual_kwh * (1 + self.fault))
        loads = loads_kw(replace(self.world, groups=(Group(self.homes, kind),)), seed, self.hours)
        expected, pairs = expected_kw(self.world, self.hours), self._pairs
        now, before = loads[:, pairs], loads[:, pairs - 24]
        covariance = np.mean((now - expected[pairs].mean()) * (before - expected[pairs - 24].mean()))
        return [*self._measured(loads.mean(0)), float(covariance)]


@dataclass(frozen=True, kw_only=True)
class Diversity(Street):
    """What many households do together: they are independent given the hour, and their peaks hardly coincide.

    The variance of the mean of n households, times n, is that of one. Coincidence factors of half-hourly peaks of 10
    and 30 households lie near Rusck's curve through that of all. The fault lets its share of the households live the
    first one's life.
    """

    homes: int = 100
    weeks: int = 3
    replications: int = 32
    admd_low_kw: float = 0.54
    admd_high_kw: float = 1.78

    def targets(self):
        middle, half = (self.admd_low_kw + self.admd_high_kw) / 2, (self.admd_high_kw - self.admd_low_kw) / 2
        near = "an empirical curve"
        return [
            Target("variance of the mean, times n, over that of one", 1.0, "independence", 0.1, reason="chance"),
            Target("coincidence of 10 less Rusck's", 0.0, "Rusck 1956", 0.08, True, near),
            Target("coincidence of 30 less Rusck's", 0.0, "Rusck 1956", 0.08, True, near),
            Target("peak after diversity (kW)", middle, PUBLISHED, half, True, "the range over classes of households"),
        ]

    def replicate(self, seed):
        loads = loads_kw(self.world, seed, self.hours, 0.5)[:, 336:]
        copies = round(self.fault * self.homes)
        loads[1 : 1 + copies] = loads[0]
        hourly = 0.5 * (loads[:, ::2] + loads[:, 1::2])
        apart = hourly - expected_kw(self.world, self.hours)[168:]
        together = self.homes * np.mean(apart.mean(0) ** 2) / np.mean(apart**2)

        def coincidence(n: int) -> float:
            groups = loads[: self.homes // n * n].reshape(-1, n, loads.shape[1])
            return float(np.mean(groups.sum(1).max(1) / groups.max(2).sum(1)))

        root = self.homes**-0.5
        limit = (coincidence(self.homes) - root) / (1 - root)
        off = [coincidence(n) - rusck(n, limit) for n in (10, 30)]
        return [float(together), *off, float(loads.mean(0).max())]
