"""Energy and its cost: the exact integral of the machines' power, and of power times the price of the hour."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sim.factory.calendar import Calendar
from sim.factory.config import Tariff
from sim.trace import Signal, Trace


class Energy(NamedTuple):
    """What machines drew within a trace."""

    kwh: float
    cost: float


def price(tariff: Tariff, start_h: float, end_h: float) -> Signal:
    """The price of a kWh over [start_h, end_h), a step signal whose breakpoints are those of the tariff."""
    calendars = [Calendar((band.shift,)) for band in tariff.bands]
    times_h, prices, now = [], [], start_h
    while now < end_h:
        open_bands = (b.per_kwh for b, c in zip(tariff.bands, calendars, strict=True) if c.is_open(now))
        times_h.append(now)
        prices.append(next(open_bands, tariff.per_kwh))
        now = min((c.next_h(now) for c in calendars), default=math.inf)
    return Signal.step(times_h, prices)


def used(tariff: Tariff, trace: Trace, machines: Sequence[str]) -> Energy:
    """Energy and cost of *machines* within the trace."""
    if trace.end_h == trace.start_h:
        return Energy(0.0, 0.0)
    rate = price(tariff, trace.start_h, trace.end_h)
    kwh, cost = [], []
    for name in machines:
        power = trace[name, "power"]
        edges = np.union1d(power.time_h, rate.time_h)
        edges = np.append(edges[edges > trace.start_h], trace.end_h)
        edges = np.insert(edges, 0, trace.start_h)
        each = power.at(edges[:-1]) * np.diff(edges)
        kwh.append(math.fsum(each))
        cost.append(math.fsum(each * rate.at(edges[:-1])))
    return Energy(math.fsum(kwh), math.fsum(cost))
