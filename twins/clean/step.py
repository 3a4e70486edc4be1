"""One step of cleaning: what it takes, what it gives, and the record by which that is undone bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from twins import units
from twins.dataset.derived import meant
from twins.episode import Series


class Done(NamedTuple):
    """A series after a step: which of the samples before were found (NaN ones too, where those are looked for), and
    the one before that each sample comes from (−1: none; None: all stay in their places)."""

    series: Series
    found: np.ndarray  # bool[n before]
    source: np.ndarray | None = None  # int64[n after]


@dataclass(frozen=True)
class Step:
    """What all steps share. By default a sample after depends on no sample before that came later.

    So what is fed to a model at some moment is what could have been fed to it then; a step that `looks_ahead` is for
    looking at data, and refused where a model is to learn.
    """

    quantities: tuple[str, ...] = ()  # patterns such as vibration_*; none: every target

    revision: ClassVar[int] = 1
    judges: ClassVar[bool] = True  # whether it finds readings that are wrong

    def __post_init__(self):
        object.__setattr__(self, "quantities", tuple(self.quantities))

    @property
    def looks_ahead(self) -> bool:
        return False

    @property
    def open(self) -> bool:
        """Whether something is yet to be estimated."""
        return False

    def close(self, train: Mapping[str, Sequence[Series]]) -> Step:
        """With what is estimated from the series of each quantity of the training split."""
        return self

    def clean(self, series: Series) -> Done:
        raise NotImplementedError

    def takes(self, series: Series) -> bool:
        return meant(series, self.quantities)


@dataclass(frozen=True)
class Estimated(Step):
    """A step with numbers of each quantity: those declared stay, all others are estimated on the training split."""

    known: bool = field(default=False, kw_only=True)  # whether they have been

    @property
    def open(self) -> bool:
        return not self.known


def missing(series: Series, found: np.ndarray) -> Done:
    """What was found is made missing."""
    if not found.any():
        return Done(series, found)
    return Done(replace(series, values=np.where(found, np.float32(np.nan), series.values)), found)


def record(before: Series, done: Done) -> dict[str, Any] | None:
    """How *before* is had from what came of it; None where nothing has changed."""
    after, count = done.series, len(before.values)
    if after is before:
        return None
    place = _places(done.source, count)
    values = _carried(after, before.unit, place)
    at = np.flatnonzero(_bits(values) != _bits(before.values))
    told: dict[str, Any] = {"unit": before.unit, "start_h": before.start_h, "step_h": before.step_h, "samples": count}
    told |= {"source": done.source, "at": at, "values": before.values[at], "times_at": None, "times_h": None}
    if before.step_h is None:
        times_h = _times(after, place)
        at = np.flatnonzero(times_h.view(np.uint64) != before.clock_h().view(np.uint64))
        told |= {"times_at": at, "times_h": before.clock_h()[at]}
    return told


def undone(after: Series, told: Mapping[str, Any]) -> Series:
    """The series before a step, from the one after and the step's record."""
    count = told["samples"]
    source = told["source"]
    place = _places(None if source is None else np.asarray(source, np.int64), count)
    values = _carried(after, told["unit"], place)
    values[np.asarray(told["at"], np.int64)] = np.asarray(told["values"], np.float32)
    times_h = None
    if told["step_h"] is None:
        times_h = _times(after, place)
        times_h[np.asarray(told["times_at"], np.int64)] = np.asarray(told["times_h"], np.float64)
    clock = {"start_h": told["start_h"], "step_h": told["step_h"], "times_h": times_h}
    return replace(after, unit=told["unit"], values=values, **clock)


def _places(source: np.ndarray | None, count: int) -> np.ndarray:
    """Where each of *count* samples before has gone, int64[count]; −1 where it is gone."""
    if source is None:
        return np.arange(count)
    place = np.full(count, -1)
    here = np.flatnonzero(source >= 0)
    place[source[here]] = here
    return place


def _carried(after: Series, unit: str, place: np.ndarray) -> np.ndarray:
    """The values after, in *unit*, at their places before, float32; NaN where they are gone."""
    values = np.full(len(place), np.nan, np.float32)
    there = place >= 0
    kept = after.values[place[there]]
    values[there] = kept if after.unit == unit else units.convert(kept, after.unit, unit).astype(np.float32)
    return values


def _times(after: Series, place: np.ndarray) -> np.ndarray:
    times_h = np.full(len(place), np.nan)
    there = place >= 0
    times_h[there] = after.clock_h()[place[there]]
    return times_h


def _bits(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values, np.float32).view(np.uint32)
