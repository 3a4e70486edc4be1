"""What all homes would draw, interval by interval, such that no sum depends on where a run was split.

Energy is summed from breakpoint to breakpoint within an interval; what a run leaves open goes on from the segment in
force, and the sum up to it is part of the state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.compiled import compiled
from sim.homes import WEATHER
from sim.trace import Trace

if TYPE_CHECKING:
    from sim.feeder.feeder import Feeder


class Meter:
    """The sum of all homes over a run's trace, which begins in the interval *first*."""

    def __init__(self, world: Feeder, trace: Trace, first: int, counted_kwh: list[float]):
        signals = [trace[key] for key, _ in world.powers]
        self.step_h, self.first, self.standby_kw = world.step_h, first, world.standby_kw
        self.weight = np.array([weight for _, weight in world.powers])
        self.time_h = np.concatenate([s.time_h for s in signals])
        self.value = np.concatenate([s.value for s in signals])
        slopes = [s.target if s.target.size else np.zeros(s.time_h.size) for s in signals]
        self.slope = np.concatenate(slopes)
        self.ends = np.cumsum([s.time_h.size for s in signals])
        self.counted = np.array(counted_kwh)
        whole = max(int(trace.end_h / self.step_h) - first - 1, 0)
        while (first + whole + 1) * self.step_h < trace.end_h:  # an interval that ends at the run's end stays open
            whole += 1
        self.total = np.zeros(whole)
        self.left = np.zeros(len(signals))
        _count(self.time_h, self.value, self.slope, self.ends, self.weight, self.counted, self.step_h, first,
               self.total, self.left)  # fmt: skip
        self.total += self.standby_kw * self.step_h
        ambient = trace[WEATHER, "temperature"]
        middle_h = (np.arange(first, first + whole) + 0.5) * self.step_h
        self.ambient: list[float] = ambient.at(middle_h).tolist()
        self.totals: list[float] = self.total.tolist()

    def whole_kwh(self, interval: int) -> float:
        return self.totals[interval - self.first]

    def ambient_cel(self, interval: int) -> float:
        """The mean of an interval."""
        return self.ambient[interval - self.first]

    def until_kwh(self, interval: int, time_h: float) -> float:
        """From the beginning of an interval to a time within it."""
        begun_h = interval * self.step_h
        counted = self.counted if interval == self.first else np.zeros_like(self.counted)
        found = _part(self.time_h, self.value, self.slope, self.ends, self.weight, counted, begun_h, time_h)
        return float(found) + self.standby_kw * (time_h - begun_h)

    @property
    def open_kwh(self) -> list[float]:
        """Of each signal, in the interval that the run leaves open, up to the segment in force at its end."""
        return self.left.tolist()


@compiled()
def _energy(value, slope, since_h, from_h, to_h):
    """Of a segment between two times."""
    return (value + slope * (0.5 * (from_h + to_h) - since_h)) * (to_h - from_h)


@compiled()
def _count(time_h, value, slope, ends, weight, counted, step_h, first, total, left):
    i = 0
    for s in range(len(ends)):
        sum_kwh = counted[s]
        for k in range(len(total) + 1):
            begin_h, end_h = (first + k) * step_h, (first + k + 1) * step_h
            while i + 1 < ends[s] and (k == len(total) or time_h[i + 1] < end_h):
                sum_kwh += _energy(value[i], slope[i], time_h[i], max(time_h[i], begin_h), time_h[i + 1])
                i += 1
            if k < len(total):
                sum_kwh += _energy(value[i], slope[i], time_h[i], max(time_h[i], begin_h), end_h)
                total[k] += weight[s] * sum_kwh
                sum_kwh = 0.0
        left[s] = sum_kwh
        i = ends[s]


@compiled()
def _part(time_h, value, slope, ends, weight, counted, begin_h, until_h):
    found, i = 0.0, 0
    for s in range(len(ends)):
        while i + 1 < ends[s] and time_h[i + 1] <= begin_h:
            i += 1
        sum_kwh = counted[s]
        while i + 1 < ends[s] and time_h[i + 1] < until_h:
            sum_kwh += _energy(value[i], slope[i], time_h[i], max(time_h[i], begin_h), time_h[i + 1])
            i += 1
        sum_kwh += _energy(value[i], slope[i], time_h[i], max(time_h[i], begin_h), until_h)
        found += weight[s] * sum_kwh
        i = ends[s]
    return found
