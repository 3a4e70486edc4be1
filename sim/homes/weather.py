"""Outdoor temperature and sunshine: a course of year and day, deviations that hang on, and clouds that come and go.

The deviation is a first-order autoregression over hours, an Ornstein–Uhlenbeck process seen hourly. A share of each
innovation is known a day ahead, as a weather service knows it: the forecast for hour k is the mean of the deviation
given all that was known at hour k − AHEAD, and its error has the variance `Weather.forecast_variance`. What is known
is part of the state and stays when a future is drawn anew, so that a forecast tells nothing that cannot be known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from sim.errors import InputError, require
from sim.homes.calendar import Calendar
from sim.laws import UNIT
from sim.trace import Signal

AHEAD = 24  # hours from issue to target of a forecast
QUARTER_H = 0.25  # between breakpoints of a clear sky
DAYS = 30  # of clear sky computed at once
YEAR_H = 8766.0


class _Normal:
    """Normal scores, as a law of draws."""

    mean_h = 0.0

    def sf(self, t_h):
        raise NotImplementedError

    def isf(self, q):
        return ndtri(UNIT.isf(q))


NORMAL = _Normal()


@dataclass(frozen=True)
class Clouds:
    """A Markov chain in continuous time; from each state it goes to either neighbour alike (from the ends, inwards)."""

    share: tuple[float, ...] = (1.0, 0.65, 0.25)  # of the clear sky's irradiance: clear, broken, overcast
    mean_h: tuple[float, ...] = (5.0, 3.0, 7.0)  # sojourns, exponential

    def __post_init__(self):
        for field in ("share", "mean_h"):
            object.__setattr__(self, field, tuple(float(x) for x in getattr(self, field)))
        require(len(self.share) >= 2 and all(0 <= x <= 1 for x in self.share), self, "share", "two or more of 0 to 1")
        ok = len(self.mean_h) == len(self.share) and all(1e-3 <= x < math.inf for x in self.mean_h)
        require(ok, self, "mean_h", "hours, at least .001, one a state")

    @property
    def stationary(self) -> tuple[float, ...]:
        """The share of time in each state: visits in proportion to neighbours, times the sojourn."""
        last = len(self.share) - 1
        weights = [mean_h * (1 if i in (0, last) else 2) for i, mean_h in enumerate(self.mean_h)]
        return tuple(w / sum(weights) for w in weights)

    def start(self, u: float) -> int:
        total = 0.0
        for i, share in enumerate(self.stationary):
            total += share
            if u < total:
                return i
        return len(self.share) - 1

    def next(self, state: int, u: float) -> int:
        last = len(self.share) - 1
        return 1 if state == 0 else last - 1 if state == last else state + (1 if u < 0.5 else -1)


@dataclass(frozen=True)
class Weather:
    """The weather of one place, temperatures in °C. The defaults are near those of Central Germany."""

    latitude: float = 51.0
    longitude: float = 10.0
    altitude_m: float = 250.0
    tilt_deg: float = 35.0  # of the panels
    azimuth_deg: float = 180.0  # of the panels; 180 is south
    linke: float = 3.5  # turbidity
    mean_cel: float = 9.5
    yearly_cel: float = 9.5  # amplitude; the coldest day is 19 January
    daily_cel: float = 3.5  # amplitude; warmest at 15 h of the sun's time
    deviation_cel: float = 3.6  # standard deviation from that course
    correlation_h: float = 60.0
    known: float = 0.8  # share of an innovation's variance that is known a day ahead
    clouds: Clouds = Clouds()

    def __post_init__(self):
        require(-66 <= self.latitude <= 66, self, "latitude", "between -66 and 66 degrees")
        require(-180 <= self.longitude <= 180, self, "longitude", "between -180 and 180 degrees")
        require(0 <= self.altitude_m < 5000, self, "altitude_m", "at least 0 and below 5000")
        require(0 <= self.tilt_deg <= 90, self, "tilt_deg", "between 0 and 90")
        require(0 <= self.azimuth_deg < 360, self, "azimuth_deg", "at least 0 and below 360")
        require(1 <= self.linke <= 8, self, "linke", "between 1 and 8")
        for name in ("yearly_cel", "daily_cel", "deviation_cel"):
            require(0 <= getattr(self, name) <= 40, self, name, "between 0 and 40")
        require(-30 <= self.mean_cel <= 40, self, "mean_cel", "between -30 and 40")
        require(1 <= self.correlation_h < math.inf, self, "correlation_h", "at least 1 and finite")
        require(0 <= self.known <= 1, self, "known", "between 0 and 1")

    @property
    def decay(self) -> float:
        """What is left of a deviation after an hour."""
        return math.exp(-1 / self.correlation_h)

    @property
    def innovation_cel(self) -> float:
        return self.deviation_cel * math.sqrt(-math.expm1(-2 / self.correlation_h))

    @property
    def forecast_variance(self) -> float:
        """Of the error of the forecast, in K²: what the innovations hid that came since it was issued."""
        return (1 - self.known) * self.deviation_cel**2 * -math.expm1(-2 * AHEAD / self.correlation_h)

    def course_cel(self, calendar: Calendar, hour: int) -> float:
        """The mean temperature *hour* hours after the epoch."""
        start = calendar.start
        of_day = start.hour + start.minute / 60 + hour
        of_year = (start.timetuple().tm_yday - 1) * 24 + of_day
        yearly = -self.yearly_cel * math.cos(math.tau * (of_year / YEAR_H - 18.5 / 365.25))
        return self.mean_cel + yearly + self.daily_cel * math.cos(math.tau * (of_day + self.longitude / 15 - 15) / 24)

    def clear_kw_m2(self, calendar: Calendar, first: int, count: int) -> np.ndarray:
        """Irradiance on the panels under a clear sky at quarters of an hour first … first+count−1, float64[count]."""
        per = DAYS * 96
        blocks = [_clear(self, calendar, b) for b in range(first // per, (first + count - 1) // per + 1)]
        return np.concatenate(blocks)[first % per : first % per + count]


def sunshine(weather: Weather, calendar: Calendar, clouds: Signal, start_h: float, end_h: float) -> Signal:
    """Irradiance from the segment in force just before *start_h* (at it, where that is 0) to *end_h*."""
    first = 0 if start_h <= 0 else math.ceil(start_h / QUARTER_H) - 1
    quarters_h = np.arange(first, max(math.ceil(end_h / QUARTER_H), first + 1)) * QUARTER_H
    times_h = np.union1d(quarters_h, clouds.time_h[clouds.time_h > quarters_h[0]])
    if start_h > 0:
        times_h = times_h[max(int(np.searchsorted(times_h, start_h)) - 1, 0) :]
    at = np.floor(times_h / QUARTER_H).astype(np.int64)
    clear = weather.clear_kw_m2(calendar, int(at[0]), int(at[-1]) - int(at[0]) + 2)
    low, high = clear[at - at[0]], clear[at - at[0] + 1]
    slope = (high - low) / QUARTER_H
    share = np.asarray(weather.clouds.share)[clouds.at(np.maximum(times_h, clouds.time_h[0])).astype(np.int64)]
    return Signal.linear(times_h, (low + slope * (times_h - at * QUARTER_H)) * share, slope * share)


@lru_cache(maxsize=128)
def _clear(weather: Weather, calendar: Calendar, block: int) -> np.ndarray:
    """Ineichen's clear sky on tilted panels, the diffuse part isotropic (pvlib), kW/m², float64[DAYS · 96]."""
    try:
        from pvlib import atmosphere, clearsky, irradiance, spa
    except ImportError as error:
        raise InputError(f"{error}; homes need the extra: pip install -e '.[grid]'") from None
    unix_s = calendar.start.timestamp() + (block * DAYS * 96 + np.arange(DAYS * 96)) * 3600 * QUARTER_H
    pressure = float(atmosphere.alt2pres(weather.altitude_m))
    place = (weather.latitude, weather.longitude, weather.altitude_m, pressure / 100, weather.mean_cel)
    zenith, _, _, _, azimuth, _ = spa.solar_position(unix_s, *place, 69.0, 0.5667)
    mass = atmosphere.get_absolute_airmass(atmosphere.get_relative_airmass(zenith), pressure)
    with np.errstate(all="ignore"):  # below the horizon
        extra = irradiance.get_extra_radiation(_days(unix_s))
        sky = clearsky.ineichen(zenith, mass, weather.linke, weather.altitude_m, extra)  # type: ignore[arg-type]
    ghi, dni, dhi = (np.nan_to_num(np.asarray(sky[name])) for name in ("ghi", "dni", "dhi"))
    total = irradiance.get_total_irradiance(
        weather.tilt_deg, weather.azimuth_deg, zenith, azimuth, dni, ghi, dhi, model="isotropic"
    )
    return np.maximum(np.nan_to_num(np.asarray(total["poa_global"])), 0.0) / 1000


def _days(unix_s: np.ndarray) -> np.ndarray:
    """Days of the year, from 1 on."""
    days = unix_s.astype("datetime64[s]").astype("datetime64[D]")
    return (days - days.astype("datetime64[Y]")).astype(np.int64) + 1
