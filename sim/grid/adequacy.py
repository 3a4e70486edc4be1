"""Whether generating units carry the load of a year: loss of load by enumeration, and by drawing their states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sim.errors import require

# The hourly load of a year of 52 weeks, in percent of weekly, daily and yearly peaks: IEEE Reliability Test System,
# IEEE Trans. Power Apparatus and Systems 98(6), 1979; RBTS (Billinton et al., IEEE Trans. Power Systems 4(3), 1989)
# uses the same.
WEEKS = (
    86.2, 90.0, 87.8, 83.4, 88.0, 84.1, 83.2, 80.6, 74.0, 73.7, 71.5, 72.7, 70.4, 75.0, 72.1, 80.0, 75.4, 83.7, 87.0,
    88.0, 85.6, 81.1, 90.0, 88.7, 89.6, 86.1, 75.5, 81.6, 80.1, 88.0, 72.2, 77.6, 80.0, 72.9, 72.6, 70.5, 78.0, 69.5,
    72.4, 72.4, 74.3, 74.4, 80.0, 88.1, 88.5, 90.9, 94.0, 89.0, 94.2, 97.0, 100.0, 95.2,
)  # fmt: skip
DAYS = (93, 100, 98, 96, 94, 77, 75)  # from Monday on
HOURS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "winter": (
        (67, 63, 60, 59, 59, 60, 74, 86, 95, 96, 96, 95, 95, 95, 93, 94, 99, 100, 100, 96, 91, 83, 73, 63),
        (78, 72, 68, 66, 64, 65, 66, 70, 80, 88, 90, 91, 90, 88, 87, 87, 91, 100, 99, 97, 94, 92, 87, 81),
    ),
    "summer": (
        (64, 60, 58, 56, 56, 58, 64, 76, 87, 95, 99, 100, 99, 100, 100, 97, 96, 96, 93, 92, 92, 93, 87, 72),
        (74, 70, 66, 65, 64, 62, 62, 66, 81, 86, 91, 93, 93, 92, 91, 91, 92, 94, 95, 95, 100, 93, 88, 80),
    ),
    "between": (
        (63, 62, 60, 58, 59, 65, 72, 85, 95, 99, 100, 99, 93, 92, 90, 88, 90, 92, 96, 98, 96, 90, 80, 70),
        (75, 73, 69, 66, 65, 65, 68, 74, 83, 89, 92, 94, 91, 90, 90, 86, 85, 88, 92, 100, 97, 95, 90, 85),
    ),
}  # on working days, and on the others


class Units(NamedTuple):
    """Equal generating units."""

    capacity_mw: int
    count: int
    forced_outage_rate: float  # the chance that one is out


RTS79 = (
    Units(12, 5, 0.02),
    Units(20, 4, 0.1),
    Units(50, 6, 0.01),
    Units(76, 4, 0.02),
    Units(100, 3, 0.04),
    Units(155, 4, 0.04),
    Units(197, 3, 0.05),
    Units(350, 1, 0.08),
    Units(400, 2, 0.12),
)
RBTS = (
    Units(40, 2, 0.03),
    Units(10, 1, 0.02),
    Units(20, 1, 0.025),
    Units(5, 2, 0.01),
    Units(40, 1, 0.02),
    Units(20, 4, 0.015),
)


def season(week: int) -> str:
    """Of week 1 to 52."""
    return "winter" if week <= 8 or week >= 44 else "summer" if 18 <= week <= 30 else "between"


def hourly_load(peak_mw: float) -> np.ndarray:
    """The load of each hour of a year of 52 weeks in MW, float64[8736]."""
    found = []
    for week, weekly in enumerate(WEEKS, 1):
        working, free = HOURS[season(week)]
        for day, daily in enumerate(DAYS):
            shape = np.array(working if day < 5 else free, np.float64)
            found.append(peak_mw * weekly / 100 * daily / 100 * shape / 100)
    return np.concatenate(found)


class Adequacy(NamedTuple):
    lole_h: float  # expected hours a year in which the load exceeds what is available
    eens_mwh: float  # expected energy that is not served, a year


@dataclass(frozen=True)
class Generation:
    """Units, and the peak of the load that they carry."""

    units: tuple[Units, ...]
    peak_mw: float

    def __post_init__(self):
        object.__setattr__(self, "units", tuple(map(Units._make, self.units)))
        require(bool(self.units), self, "units", "at least one kind of unit")
        for unit in self.units:
            ok = 0 <= unit.forced_outage_rate < 1 and unit.count >= 1 and unit.capacity_mw >= 1
            require(
                ok, self, "units", "of whole MW, at least one of a kind, out with a chance of at least 0 and below 1"
            )
        require(self.peak_mw > 0, self, "peak_mw", "above 0")

    @property
    def capacity_mw(self) -> int:
        return sum(unit.capacity_mw * unit.count for unit in self.units)

    def available_pmf(self) -> np.ndarray:
        """The chance that exactly k MW are available, for k from 0 to all: unit by unit (Billinton & Allan 1996)."""
        pmf = np.array([1.0])
        for unit in self.units:
            one = np.zeros(unit.capacity_mw + 1)
            one[0], one[-1] = unit.forced_outage_rate, 1 - unit.forced_outage_rate
            for _ in range(unit.count):
                pmf = np.convolve(pmf, one)
        return pmf

    def enumerated(self) -> Adequacy:
        """Loss of load over every combination of units and every hour."""
        pmf, load_mw = self.available_pmf(), hourly_load(self.peak_mw)
        at_most, energy = np.cumsum(pmf), np.cumsum(pmf * np.arange(len(pmf)))
        below = np.clip(np.ceil(load_mw).astype(int) - 1, -1, len(pmf) - 1)  # the most that falls short of the load
        lost = np.where(below >= 0, at_most[below], 0.0)
        short_mw = np.where(below >= 0, load_mw * at_most[below] - energy[below], 0.0)
        return Adequacy(float(lost.sum()), float(short_mw.sum()))

    def drawn(self, rng: np.random.Generator, years: int) -> Adequacy:
        """The same from units whose states are drawn for each hour of *years* (state sampling)."""
        load_mw = hourly_load(self.peak_mw)
        lost, short_mwh = 0, 0.0
        for _ in range(years):
            up_mw = np.zeros(len(load_mw))
            for unit in self.units:
                up_mw += unit.capacity_mw * rng.binomial(unit.count, 1 - unit.forced_outage_rate, len(load_mw))
            short_mw = load_mw - up_mw
            lost += int(np.sum(short_mw > 0))
            short_mwh += float(short_mw[short_mw > 0].sum())
        return Adequacy(lost / years, short_mwh / years)


def generation(name: str) -> Generation:
    """`rts79` or `rbts`, as published."""
    return {"rts79": Generation(RTS79, 2850.0), "rbts": Generation(RBTS, 185.0)}[name]


def kinds(units: Sequence[Units], factor: float) -> tuple[Units, ...]:
    """The same units, out *factor* times as often."""
    return tuple(unit._replace(forced_outage_rate=unit.forced_outage_rate * factor) for unit in units)
