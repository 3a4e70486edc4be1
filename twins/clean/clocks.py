"""Steps that judge when a reading was taken: duplicates, clocks that jump, gaps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from sim.errors import require
from twins.clean import kernels
from twins.clean.step import Done, Estimated, Step
from twins.episode import Series

SAME_H = 1e-7  # times closer than this (0.4 ms) are one time
HOUR_US = 3_600_000_000
REGULAR = 0.9  # share of steps that have to be alike for a clock to be called regular


def _step_h(train: Sequence[Series]) -> float | None:
    """The common step of series with times of their own; None where they have none."""
    if not train or any(s.step_h is not None for s in train):
        return None
    steps = np.concatenate([np.empty(0), *(np.diff(s.clock_h()) for s in train)])
    steps = steps[np.abs(steps) > SAME_H]
    if not steps.size:
        return None
    middle = float(np.median(steps))
    middle = round(middle * HOUR_US) / HOUR_US or middle  # the step as it was meant: hours of whole microseconds
    return middle if np.mean(np.abs(steps - middle) <= 0.05 * middle) >= REGULAR else None


def _steps_h(train: Mapping[str, Sequence[Series]], declared: Mapping[str, float]) -> dict[str, float]:
    """The step of each quantity: the declared one, or else the common one of its series, where they have one."""
    found = {quantity: _step_h(some) for quantity, some in train.items() if quantity not in declared}
    return {quantity: step_h for quantity, step_h in found.items() if step_h} | dict(declared)


@dataclass(frozen=True)
class Duplicates(Step):
    """Of several readings in a row of one time only one is kept. The last, or their mean, looks ahead."""

    keep: Literal["first", "last", "mean"] = "first"

    def __post_init__(self):
        super().__post_init__()
        require(self.keep in ("first", "last", "mean"), self, "keep", "'first', 'last' or 'mean'")

    @property
    def looks_ahead(self) -> bool:
        return self.keep != "first"

    def clean(self, series: Series) -> Done:
        times_h = series.clock_h()
        again = np.zeros(len(times_h), bool)
        if series.step_h is not None or len(times_h) < 2:
            return Done(series, again)
        again[1:] = np.abs(np.diff(times_h)) <= SAME_H
        if not again.any():
            return Done(series, again)
        first = np.flatnonzero(~again)
        source = np.append(first[1:], len(again)) - 1 if self.keep == "last" else first
        values = series.values[source]
        if self.keep == "mean":
            there = np.isfinite(series.values)
            total = np.add.reduceat(np.where(there, series.values, 0.0).astype(np.float64), first)
            with np.errstate(invalid="ignore"):
                values = (total / np.add.reduceat(there, first)).astype(np.float32)
        return Done(replace(series, values=values, times_h=times_h[source]), again, source)


@dataclass(frozen=True)
class ClockJumps(Estimated):
    """Times of a logger whose clock has jumped are set right, by what came before.

    Time that runs back is a jump; so is time that runs on by more than *most_h*, if that is given, the longest pause
    that the logger makes (else it is a gap). From a jump on readings follow by one step, until time jumps
    again: then the clock has been set. If time runs back by as much as it has run on before, the times between were
    wrong and those now are right. Readings whose time is taken by then are left out.
    """

    most_h: float | None = None
    step_h: float | None = None  # null: estimated
    steps_h: dict[str, float] = field(default_factory=dict)  # of quantities that have their own

    revision: ClassVar[int] = 2

    def __post_init__(self):
        super().__post_init__()
        require(self.most_h is None or 0 < self.most_h < math.inf, self, "most_h", "above 0, or null")
        require(self.step_h is None or 0 < self.step_h < math.inf, self, "step_h", "above 0, or null")

    @property
    def open(self) -> bool:
        return self.step_h is None and not self.known

    def close(self, train: Mapping[str, Sequence[Series]]) -> ClockJumps:
        return replace(self, steps_h=_steps_h(train, self.steps_h), known=True) if self.open else self

    def clean(self, series: Series) -> Done:
        step_h = self.steps_h.get(series.quantity, self.step_h)
        times_h = series.clock_h()
        if series.step_h is not None or step_h is None or len(times_h) < 2:
            return Done(series, np.zeros(len(times_h), bool))
        right_h, kept = kernels.set_right(times_h, step_h, math.inf if self.most_h is None else self.most_h)
        found = ~kept | (right_h != times_h)
        if not found.any():
            return Done(series, found)
        source = np.flatnonzero(kept)
        return Done(replace(series, values=series.values[source], times_h=right_h[source]), found, source)


@dataclass(frozen=True)
class Gaps(Estimated):
    """Missing readings are marked: a series whose times have a common step is put on that clock, NaN where none was.

    The clock stands at whole multiples of the step, and a reading is told at the first of them not before it. Readings
    further than *jitter* from the phase at which a record began are left out, and told as found; but from the second
    one in a row on that is a whole number of steps after the one before, they are at a new phase, and kept.
    Then, if *fill* says so, gaps are filled: by the `last` reading, or along a `linear` line to the next, which looks
    ahead; both within *most_h* of the last reading.
    """

    fill: Literal["none", "last", "linear"] = "none"
    most_h: float = math.inf
    step_h: float | None = None  # null: estimated, of series with times of their own
    steps_h: dict[str, float] = field(default_factory=dict)  # of quantities that have their own
    jitter: float = 0.1  # how far a time may lie from the clock's, as a share of its step

    revision: ClassVar[int] = 2

    def __post_init__(self):
        super().__post_init__()
        require(self.fill in ("none", "last", "linear"), self, "fill", "'none', 'last' or 'linear'")
        require(self.most_h > 0, self, "most_h", "above 0")
        require(self.step_h is None or 0 < self.step_h < math.inf, self, "step_h", "above 0, or null")
        require(0 <= self.jitter < 0.5, self, "jitter", "at least 0 and below 0.5")

    @property
    def looks_ahead(self) -> bool:
        return self.fill == "linear"

    @property
    def open(self) -> bool:
        return self.step_h is None and not self.known

    def close(self, train: Mapping[str, Sequence[Series]]) -> Gaps:
        return replace(self, steps_h=_steps_h(train, self.steps_h), known=True) if self.open else self

    def clean(self, series: Series) -> Done:
        found, source = np.isnan(series.values), None
        step_h = self.steps_h.get(series.quantity, self.step_h)
        after = series
        if series.step_h is None and step_h is not None and len(series.values):
            after, source, off = _on_clock(series, step_h, self.jitter)
            found |= off
        if self.fill != "none" and np.isnan(after.values).any():
            after = replace(after, values=self._filled(after))
        return Done(after, found, source)

    def _filled(self, series: Series) -> np.ndarray:
        values, clock_h = series.values.copy(), series.clock_h()
        there = np.flatnonzero(~np.isnan(values))
        gone = np.flatnonzero(np.isnan(values))
        at = np.searchsorted(there, gone)
        gone, at = gone[at > 0], at[at > 0]
        last = there[at - 1]
        if self.fill == "last":
            near = clock_h[gone] - clock_h[last] <= self.most_h
            values[gone[near]] = values[last[near]]
            return values
        inner = at < len(there)
        gone, last, after = gone[inner], last[inner], there[at[inner]]
        near = clock_h[after] - clock_h[last] <= self.most_h
        gone, last, after = gone[near], last[near], after[near]
        share = (clock_h[gone] - clock_h[last]) / (clock_h[after] - clock_h[last])
        values[gone] = (1 - share) * values[last] + share * values[after]
        return values


def _on_clock(series: Series, step_h: float, jitter: float) -> tuple[Series, np.ndarray, np.ndarray]:
    """The series on a regular clock, the sample that each one comes from, and which readings had no place on it."""
    number, on = kernels.on_clock(series.clock_h(), step_h, (jitter + 1e-9) * step_h)
    kept = np.flatnonzero(on)
    first, last = number[kept[0]], number[kept[-1]]
    source = np.full(last - first + 1, -1)
    source[number[kept] - first] = kept
    values = np.where(source >= 0, series.values[source], np.float32(np.nan))
    clocked = replace(series, values=values, start_h=float(first * step_h), step_h=step_h, times_h=None)
    return clocked, source, ~on
