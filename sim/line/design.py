"""How a line may be laid out and what that earns: buffers, crew and maintenance intervals on a lattice, and prices."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from sim.errors import require
from sim.line.config import AgeReplacement, RunToFailure
from sim.line.line import Line
from sim.steady import rates

Point = tuple[int, ...]


class Yield(NamedTuple):
    """What a line did in a stretch of time, per hour."""

    parts_per_h: float
    cost_per_h: float
    profit_per_h: float


@dataclass(frozen=True)
class Prices:
    """Of parts that leave the line and of what it takes to make them, all in one currency."""

    part: float = 10.0  # earned by each part
    place_per_h: float = 0.05  # room for a part between two stations
    crew_per_h: float = 8.0  # a member, at work or not
    failure: float = 150.0  # a breakdown, besides the time lost
    planned: float = 40.0  # planned work, likewise

    def __post_init__(self):
        for field in fields(self):
            require(0 <= getattr(self, field.name) < math.inf, self, field.name, "at least 0 and finite")


@dataclass(frozen=True)
class Levers:
    """What may be chosen and between which bounds; None leaves it as the line has it.

    A point of the lattice is a whole number for each buffer, one for the crew and one for each station that can fail:
    its index on a geometric ladder of ages at which it is replaced, the last of which is never.
    """

    buffers: tuple[int, int] | None = (0, 30)  # room between any two stations
    crew: tuple[int, int] | None = None
    age_h: tuple[float, float] | None = None  # operating hours
    ages: int = 16

    def __post_init__(self):
        for field in ("buffers", "crew", "age_h"):
            low, high = getattr(self, field) or (1, 1)
            require(low <= high < math.inf, self, field, "the least and the most, in this order")
        require(self.buffers is None or self.buffers[0] >= 0, self, "buffers", "at least 0")
        require(self.crew is None or self.crew[0] >= 1, self, "crew", "at least 1")
        require(self.age_h is None or self.age_h[0] > 0, self, "age_h", "above 0")
        require(self.ages >= 2, self, "ages", "at least 2")

    @property
    def ladder_h(self) -> list[float]:
        """The ages to choose from, in operating hours; infinity is never."""
        return [*np.geomspace(*self.age_h, self.ages).tolist(), math.inf] if self.age_h else []

    def sizes(self, line: Line) -> Point:
        """How many values each number of a point can take."""
        spans = [self.buffers] * len(line.buffers) if self.buffers else []
        spans += [self.crew] if self.crew else []
        return (*(high - low + 1 for low, high in spans), *[len(self.ladder_h)] * len(self._ageing(line)))

    def line(self, line: Line, point: Point) -> Line:
        """*line* as laid out by *point*."""
        values = iter(point)
        if self.buffers:
            line = replace(line, buffers=tuple(self.buffers[0] + next(values) for _ in line.buffers))
        if self.crew:
            line = replace(line, crew=self.crew[0] + next(values))
        stations = list(line.stations)
        for k in self._ageing(line):
            age_h = self.ladder_h[next(values)]
            policy = RunToFailure() if math.isinf(age_h) else AgeReplacement(age_h)
            stations[k] = replace(stations[k], policy=policy)
        return replace(line, stations=tuple(stations))

    def _ageing(self, line: Line) -> list[int]:
        """Stations whose age of replacement is chosen."""
        return [k for k, s in enumerate(line.stations) if s.sudden or s.wear] if self.age_h else []


@dataclass(frozen=True)
class Trial:
    """One replication of a layout: `trial((point, seed))`; a point of None is the line as it is."""

    line: Line
    levers: Levers
    prices: Prices
    warm_up_h: float
    length_h: float

    def __post_init__(self):
        require(0 <= self.warm_up_h < math.inf, self, "warm_up_h", "at least 0 and finite")
        require(0 < self.length_h < math.inf, self, "length_h", "above 0 and finite")

    def __call__(self, task: tuple[Point | None, int]) -> Yield:
        point, seed = task
        line = self.line if point is None else self.levers.line(self.line, point)
        settled = line.run(line.start(seed), self.warm_up_h).state
        trace, end = line.run(settled, self.warm_up_h + self.length_h)
        parts = sum(end.machines[i].parts - settled.machines[i].parts for i in line.plan.members[-1])
        work = {"failure": self.prices.failure, "planned": self.prices.planned}
        spent = sum(work.get(event.kind, 0.0) for event in trace.events)
        standing_per_h = self.prices.crew_per_h * (len(line.machines) if line.crew is None else line.crew)
        standing_per_h += self.prices.place_per_h * sum(b for b in line.buffers if b is not None)
        cost_per_h = standing_per_h + spent / self.length_h
        return Yield(parts / self.length_h, cost_per_h, self.prices.part * parts / self.length_h - cost_per_h)


@dataclass(frozen=True)
class Opening:
    """How a line's output settles: `opening(seed)` gives its parts per hour in equal stretches from an empty start."""

    line: Line
    length_h: float
    stretches: int = 200

    def __call__(self, seed: int) -> list[float]:
        trace = self.line.run(self.line.start(seed), self.length_h).trace
        ends = [trace[self.line.machines[i], "parts"].time_h[1:] for i in self.line.plan.members[-1]]
        return rates(np.sort(np.concatenate(ends)), np.linspace(0, self.length_h, self.stretches + 1)).tolist()
