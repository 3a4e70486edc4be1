"""Where a line is held up: what one step of each machine's speed, repairs or buffer is worth in throughput.

Central differences, but of a buffer what a place more adds to those that are there, since the first are worth far more
than the next. Both sides of a perturbation run on the same seed (common random numbers), so every draw that the step
does not reach is shared and the difference varies far less than the two throughputs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from sim.errors import require
from sim.laws import Scaled
from sim.line.config import SetSpeed
from sim.line.line import Line
from sim.steady import Estimate, mean_interval

PERCENT = 0.01


class Lever(NamedTuple):
    """A line on both sides of one step, and how many units of the step lie between them."""

    place: str  # a machine, m2 (of several equal ones m2.1–m2.3), or a buffer, b1
    step: str  # the unit that a gain is told for
    worse: tuple[Line, tuple[SetSpeed, ...]]
    better: tuple[Line, tuple[SetSpeed, ...]]
    units: float


class Gain(NamedTuple):
    """What one unit of a step adds to the throughput."""

    place: str
    step: str
    parts_per_h: Estimate
    pairing: float  # variance of unpaired differences over that of these


@dataclass(frozen=True)
class Perturbed:
    """A line with every lever moved both ways: `perturbed(seed)` is one replication, `gains` the estimates."""

    line: Line
    warm_up_h: float
    length_h: float
    step: float = 0.05  # relative, of speeds and repair times to either side; the bias is of its square

    def __post_init__(self):
        require(0 <= self.warm_up_h < math.inf, self, "warm_up_h", "at least 0 and finite")
        require(0 < self.length_h < math.inf, self, "length_h", "above 0 and finite")
        require(0 < self.step < 1, self, "step", "between 0 and 1")

    @cached_property
    def levers(self) -> list[Lever]:
        line, step = self.line, self.step
        members = [[line.machines[i] for i in ranks] for ranks in line.plan.members]
        names = [m[0] if len(m) == 1 else f"{m[0]}–{m[-1]}" for m in members]
        found = [
            Lever(
                name,
                "1 % more speed",
                (line, tuple(SetSpeed(m, 1 - step) for m in machines)),
                (line, tuple(SetSpeed(m, 1 + step) for m in machines)),
                2 * step / PERCENT,
            )
            for name, machines in zip(names, members, strict=True)
        ]
        for k, (name, station) in enumerate(zip(names, line.stations, strict=True)):
            if station.sudden or station.wear:
                slow, quick = (replace(station, repair=Scaled(station.repair, 1 + s)) for s in (step, -step))
                worse, better = ((replace(line, stations=_put(line.stations, k, s)), ()) for s in (slow, quick))
                found.append(Lever(name, "1 % shorter repairs", worse, better, 2 * step / PERCENT))
        for k, room in enumerate(line.buffers):
            if room is not None:
                better = replace(line, buffers=_put(line.buffers, k, room + 1)), ()
                found.append(Lever(f"b{k + 1}", "1 more place", (line, ()), better, 1))
        return found

    def __call__(self, seed: int) -> np.ndarray:
        """Throughput per hour on the worse and the better side of every lever, float64[levers, 2]."""
        sides = ([lever.worse, lever.better] for lever in self.levers)
        return np.array([[self._throughput(line, speeds, seed) for line, speeds in pair] for pair in sides])

    def _throughput(self, line: Line, speeds: Sequence[SetSpeed], seed: int) -> float:
        state = line.start(seed)
        for action in speeds:
            state = line.act(state, action)
        settled = line.run(state, self.warm_up_h).state if self.warm_up_h else state
        end = line.run(settled, self.warm_up_h + self.length_h).state
        return sum(end.machines[i].parts - settled.machines[i].parts for i in line.plan.members[-1]) / self.length_h

    def gains(self, samples: Any, alpha: float) -> list[Gain]:
        """From replications, float64[R, levers, 2]; each interval misses by chance *alpha*."""
        samples = np.asarray(samples, np.float64)
        difference = samples[..., 1] - samples[..., 0]
        apart, paired = samples.var(0, ddof=1).sum(-1), difference.var(0, ddof=1)
        return [
            Gain(
                lever.place,
                lever.step,
                mean_interval(difference[:, i] / lever.units, alpha),
                float(apart[i] / paired[i]) if paired[i] else math.inf,
            )
            for i, lever in enumerate(self.levers)
        ]

    def __getstate__(self):
        return {name: getattr(self, name) for name in ("line", "warm_up_h", "length_h", "step")}


def _put(values: tuple, k: int, value: Any) -> tuple:
    return (*values[:k], value, *values[k + 1 :])
