"""What a kilowatt-hour costs, hour by hour: flat, by time of use, or by a market that publishes a day ahead."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtri

from sim.errors import require
from sim.homes.calendar import WORKDAY, Calendar
from sim.homes.planner import Terms
from sim.laws import UNIT
from sim.streams import Streams


class Tariff(Protocol):
    """Prices in EUR/kWh, constant over each hour since the epoch."""

    def prices(self, calendar: Calendar, seed: int, hours: int) -> np.ndarray:
        """Of hours 0 … hours−1 of the world run *seed*, float64[hours]; of more hours the first are the same."""
        ...


@dataclass(frozen=True)
class Flat:
    """Always the same."""

    eur_per_kwh: float = 0.32

    def __post_init__(self):
        require(-1 <= self.eur_per_kwh <= 10, self, "eur_per_kwh", "between -1 and 10")

    def prices(self, calendar: Calendar, seed: int, hours: int) -> np.ndarray:
        return np.full(hours, self.eur_per_kwh)


@dataclass(frozen=True)
class TimeOfUse:
    """Dear on working days between two hours of the clock, cheap otherwise."""

    dear_eur_per_kwh: float = 0.40
    cheap_eur_per_kwh: float = 0.24
    from_hour: int = 7
    to_hour: int = 21

    def __post_init__(self):
        for name in ("dear_eur_per_kwh", "cheap_eur_per_kwh"):
            require(-1 <= getattr(self, name) <= 10, self, name, "between -1 and 10")
        require(0 <= self.from_hour < self.to_hour <= 24, self, "to_hour", "after from_hour, both from 0 to 24")

    def prices(self, calendar: Calendar, seed: int, hours: int) -> np.ndarray:
        at = [calendar.at(k) for k in range(hours)]
        dear = [h.kind == WORKDAY and self.from_hour <= h.hour < self.to_hour for h in at]
        return np.where(dear, self.dear_eur_per_kwh, self.cheap_eur_per_kwh)


@dataclass(frozen=True)
class Dynamic:
    """A market's price plus a levy: two peaks a day, a dip at noon, and deviations that hang on. It may be negative."""

    mean_eur_per_kwh: float = 0.09
    daily_eur_per_kwh: float = 0.04  # how far the peaks and the dip go
    deviation_eur_per_kwh: float = 0.05  # standard deviation
    correlation_h: float = 12.0
    levy_eur_per_kwh: float = 0.18

    def __post_init__(self):
        for name in ("daily_eur_per_kwh", "deviation_eur_per_kwh"):
            require(0 <= getattr(self, name) <= 10, self, name, "between 0 and 10")
        for name in ("mean_eur_per_kwh", "levy_eur_per_kwh"):
            require(-1 <= getattr(self, name) <= 10, self, name, "between -1 and 10")
        require(0.1 <= self.correlation_h < math.inf, self, "correlation_h", "at least .1 and finite")

    def prices(self, calendar: Calendar, seed: int, hours: int) -> np.ndarray:
        clock = np.array([calendar.at(k).hour for k in range(hours)], np.float64)
        shape = -np.cos(math.tau * (clock - 2) / 12)  # peaks at 8 and 20, dips at 2 and 14
        scores = ndtri(UNIT.isf(np.asarray(Streams.uniforms(seed, "tariff", hours))))
        decay = math.exp(-1 / self.correlation_h)
        scores[1:] *= math.sqrt(1 - decay**2)
        hanging = np.asarray(lfilter([1.0], [1.0, -decay], scores))
        level = self.mean_eur_per_kwh + self.levy_eur_per_kwh
        return level + self.daily_eur_per_kwh * shape + self.deviation_eur_per_kwh * hanging


@dataclass(frozen=True)
class Contract:
    """What a meter is billed beside its tariff: what is fed in, each day's highest hour, and what a battery holds."""

    feed_in_eur_per_kwh: float = 0.08  # or the tariff's price, where that is lower
    peak_eur_per_kw: float = 0.2  # of each day's highest mean import of an hour
    worth_eur_per_kwh: float = 0.2  # of what is left in a battery when the account is closed

    def __post_init__(self):
        for name in ("feed_in_eur_per_kwh", "worth_eur_per_kwh"):
            require(-1 <= getattr(self, name) <= 10, self, name, "between -1 and 10")
        require(0 <= self.peak_eur_per_kw <= 100, self, "peak_eur_per_kw", "between 0 and 100")

    def terms(self, tariff: Tariff, calendar: Calendar, seed: int, hours: int) -> Terms:
        """Of hours 0 … hours−1 of the world run *seed*."""
        buy = tariff.prices(calendar, seed, hours)
        sell, day = np.minimum(self.feed_in_eur_per_kwh, buy), [calendar.at(k).date for k in range(hours)]
        rest = {"peak_eur_per_kw": self.peak_eur_per_kw, "worth_eur_per_kwh": self.worth_eur_per_kwh}
        return Terms.of(1.0, buy, sell, day, **rest)
