"""How often appliances must be switched on so that the mean household follows the standard profile H25 of BDEW.

The mean power of uses is linear in the rate at which they start, so the rates come out of one least-squares problem:
mean(t) = Σ_i P_i ∫ g(s) w_i(s) a(s) S_i(t − s) ds, with a the chance that the household is active, from its chain,
w_i the share of appliance i among the starts of the hour, and S_i the chance that a use still runs, which for an
attended appliance means that the household is active still. A week is taken as periodic.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from importlib.resources import files

import numpy as np
from scipy.linalg import expm

from sim.errors import InputError
from sim.homes.calendar import SATURDAY, SUNDAY, WORKDAY
from sim.homes.config import Appliance, Day
from sim.laws import Lognormal

PER = 30  # points an hour
WEEK = (WORKDAY,) * 5 + (SATURDAY, SUNDAY)
USE_CV = 0.5  # of the length of a use
UNIT_USE = Lognormal(1.0, USE_CV)
LONGEST = 4.0  # means, beyond which a use is not followed


def yearly(day: int) -> float:
    """By how much the day of the year scales the profile (BDEW's dynamisation)."""
    return -3.92e-10 * day**4 + 3.2e-7 * day**3 - 7.02e-5 * day**2 + 2.1e-3 * day + 1.24


@lru_cache(maxsize=4)
def profile(name: str = "h25") -> np.ndarray:
    """A profile of BDEW before its dynamisation: mean kW for 1 kWh a year, float64[12 months, 3 kinds, 24 hours]."""
    try:
        table = files("demandlib.bdew").joinpath("bdew_data", f"{name}.csv").read_text(encoding="utf-8")
    except (ImportError, OSError) as error:
        raise InputError(f"{error}; homes need the extra: pip install -e '.[grid]'") from None
    months, kinds, *quarters = csv.reader(table.splitlines())
    of_month = {name: i for i, name in enumerate(dict.fromkeys(months[1:]))}  # from January on
    of_kind = {"WT": WORKDAY, "SA": SATURDAY, "FT": SUNDAY}
    out = np.zeros((12, 3, 24))
    for q, row in enumerate(quarters):  # of an hour, in kWh of 1 GWh a year
        for month, kind, energy in zip(months[1:], kinds[1:], row[1:], strict=True):
            out[of_month[month], of_kind[kind], q // 4] += float(energy) / 1e6
    return out


def of_week(table_3xH: np.ndarray) -> np.ndarray:
    """A table by kind of day and hour, hour by hour over a week from Monday on, float64[168]."""
    return np.concatenate([table_3xH[kind] for kind in WEEK])


def rates(workday: Day, free: Day) -> dict[str, np.ndarray]:
    """Rates of the occupancy chain by kind of day and hour, float64[3, 24] each."""
    days = (workday, free, free)
    return {name: np.array([getattr(day, name) for day in days]) for name in ("wake", "sleep", "leave", "back")}


@lru_cache(maxsize=32)
def occupancy(workday: Day, free: Day) -> np.ndarray:
    """The chances of active, asleep and away over a periodic week, float64[168 · PER, 3], at the points' middles."""
    week = {name: of_week(table) for name, table in rates(workday, free).items()}
    steps = []
    for wake, sleep, leave, back in zip(*(week[n] for n in ("wake", "sleep", "leave", "back")), strict=True):
        q = np.array([[-(sleep + leave), sleep, leave], [wake, -wake, 0.0], [back, 0.0, -back]])
        steps.append((expm(q / PER), expm(q / PER / 2)))
    whole = np.eye(3)
    for step, _ in steps:
        whole = whole @ np.linalg.matrix_power(step, PER)
    values, vectors = np.linalg.eig(whole.T)
    p = np.real(vectors[:, np.argmax(np.real(values))])
    p /= p.sum()
    out = []
    for step, half in steps:
        for _ in range(PER):
            out.append(p @ half)
            p = p @ step
    return np.array(out)


@lru_cache(maxsize=32)
def response(workday: Day, free: Day, appliances: tuple[Appliance, ...]) -> np.ndarray:
    """Mean kW in each hour of the week for one start an active hour in each of the week's hours, float64[168, 168]."""
    active = occupancy(workday, free)[:, 0]
    table = rates(workday, free)
    ends = np.repeat(of_week(table["sleep"] + table["leave"]), PER) / PER
    points = len(active)
    hour = np.arange(points) // PER
    weight = np.array([a.weight for a in appliances])
    share = weight / weight.sum(0)
    out = np.zeros((168, 168))
    for k, appliance in enumerate(appliances):
        start = active * share[k][hour % 24] / PER * appliance.power_kw  # kW that begin in each interval
        left = np.ones(points)  # the chance that the household has stayed active
        for lag in range(int(LONGEST * appliance.mean_h * PER) + 2):
            # A use has run lag intervals in the mean when it is seen in a later one; in its own only half are seen.
            middle_h = max(lag, 0.25) / PER
            runs = float(UNIT_USE.sf(middle_h / appliance.mean_h)) * (0.5 if lag == 0 else 1.0)
            np.add.at(out, (hour[(np.arange(points) + lag) % points], hour), start * runs * left / PER)
            if appliance.attended:
                left = left * np.exp(-0.5 * (np.roll(ends, -lag) + np.roll(ends, -lag - 1)))
    return out


@lru_cache(maxsize=32)
def starts(workday: Day, free: Day, appliances: tuple[Appliance, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Starts per active hour, for a mean use that follows H25 of 1 kWh a year, and for one of a constant kW.

    float64[12, 3, 24] and float64[3, 24]; an hour is of the month, the kind of day and the clock.
    """
    k = response(workday, free, appliances)
    tied = np.zeros((168, 72))  # the same rate on all days of a kind
    tied[np.arange(168), [kind * 24 + hour for kind in WEEK for hour in range(24)]] = 1.0
    wanted = np.array([of_week(month) for month in profile()] + [np.ones(168)]).T
    found = np.linalg.lstsq(k @ tied, wanted, rcond=None)[0].T.reshape(13, 3, 24)
    return found[:12], found[12]


def rate(
    workday: Day, free: Day, appliances: tuple[Appliance, ...], annual_kwh: float, base_kw: float
) -> tuple[np.ndarray, np.ndarray]:
    """(follow, constant): in month m, on kind k, at clock h start max(yearly · follow[m, k, h] − constant[k, h], 0)."""
    follow, constant = starts(workday, free, appliances)
    return annual_kwh * follow, base_kw * constant
