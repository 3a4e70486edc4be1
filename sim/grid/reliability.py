"""How reliably a grid feeds its customers: in closed form from its topology, and counted off a trace."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sim.errors import InputError
from sim.grid.feeding import Fault, Feeding
from sim.grid.grid import Grid
from sim.grid.network import YEAR_H, Network
from sim.steady import time_means
from sim.trace import Trace

DAY_H = 24.0


class Indices(NamedTuple):
    """IEEE 1366 (2022), clause 3: interruptions and hours of them a customer and year, and energy not supplied."""

    saifi: float  # interruptions a customer and year
    saidi_h: float  # hours a customer and year
    ens_mwh: float  # a year

    @property
    def caidi_h(self) -> float:
        """Hours an interruption."""
        return self.saidi_h / self.saifi if self.saifi else float("nan")

    @property
    def asai(self) -> float:
        """The share of customers' time in which they are fed."""
        return 1 - self.saidi_h / YEAR_H


class Reliability(NamedTuple):
    """Of each load point."""

    interruptions_per_year: np.ndarray  # float64[P]
    hours_per_year: np.ndarray  # float64[P]

    def indices(self, network: Network) -> Indices:
        customers = np.array([point.customers for point in network.load_points], np.float64)
        load_mw = np.array([point.load_kw for point in network.load_points]) / 1000
        total = customers.sum() or np.nan  # with no customers there is no share of them
        return Indices(
            float(customers @ self.interruptions_per_year / total),
            float(customers @ self.hours_per_year / total),
            float(load_mw @ self.hours_per_year),
        )


def reliability(grid: Grid) -> Reliability:
    """Each load point's interruptions and hours of them a year, to first order in the rates: no two faults at once.

    A load point that a fault cuts off is dark for the mean repair where switching gives it nothing back, else for the
    switching (Billinton & Allan 1996, ch. 7 and 8). Without storms, and with a crew for each fault.
    """
    feeding: Feeding = grid.feeding
    points = len(grid.network.load_points)
    often, long_h = np.zeros(points), np.zeros(points)
    for i, ((rate_per_h, _), repair) in enumerate(zip(grid.rates, grid.repairs, strict=True)):
        first, then = (~np.array(feeding.supply([Fault(i, isolated)]).fed, dtype=bool) for isolated in (False, True))
        if feeding.found_at_once(i):
            first = then
        switching_h = min(grid.switching_h, repair.mean_h)
        often += rate_per_h * YEAR_H * first
        long_h += rate_per_h * YEAR_H * np.where(then, repair.mean_h, switching_h * first)
    return Reliability(often, long_h)


def indices(grid: Grid) -> Indices:
    """The indices in closed form; see `reliability`."""
    return reliability(grid).indices(grid.network)


def measured(grid: Grid, trace: Trace) -> Indices:
    """The indices counted off *trace*; interruptions that last at its end count for the hours so far."""
    years = (trace.end_h - trace.start_h) / YEAR_H
    if not years > 0:
        raise InputError(
            f"the trace ends at {trace.end_h:g} h, where it begins; indices need some time to be counted over"
        )
    fed = [trace[point.name, "fed"] for point in grid.network.load_points]
    often = [np.sum(np.diff(signal.value) < 0) / years for signal in fed]
    dark_h = [YEAR_H * (1 - time_means(signal, (trace.start_h, trace.end_h))[0]) for signal in fed]
    return Reliability(np.array(often), np.array(dark_h)).indices(grid.network)


def daily_saidi_h(grid: Grid, trace: Trace) -> np.ndarray:
    """SAIDI of each whole day of *trace*, float64[days]: hours of the interruptions that begin on it, a customer."""
    first = int(np.ceil(trace.start_h / DAY_H))
    found = np.zeros(max(int(trace.end_h // DAY_H) - first, 0))
    customers = {point.name: point.customers / (grid.network.customers or np.nan) for point in grid.network.load_points}
    began_h: dict[str, float] = {}
    for event in trace.events:
        if event.entity not in customers:
            continue
        if event.kind == "failure":
            began_h[event.entity] = event.time_h
        elif event.kind == "renewal" and event.entity in began_h:
            day = int(began_h[event.entity] // DAY_H) - first
            if 0 <= day < len(found):
                found[day] += customers[event.entity] * (event.time_h - began_h.pop(event.entity))
    return found


def major_days(before: np.ndarray, days: np.ndarray) -> np.ndarray:
    """Which of *days* are major events, bool[days]: their SAIDI exceeds e^(α + 2.5 β), α and β being the mean and the
    standard deviation of the logarithms of the days *before* with any (IEEE 1366-2022, annex B)."""
    logs = np.log(before[before > 0])
    if len(logs) < 2:
        raise InputError(f"{len(logs)} days with interruptions set no threshold; give at least two, better five years")
    return days > np.exp(logs.mean() + 2.5 * logs.std(ddof=1))
