"""Cleaning scored against what simulation knows: which readings are wrong, and what a sensor without noise says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from sim.trace import Trace
from twins import units
from twins.clean.pipeline import Closed
from twins.dataset.derived import numbered
from twins.episode import Episode, Series
from twins.faults import Closed as Planted
from twins.sensors.render import clean as noise_free
from twins.varied import twin_of

ALL = "all steps"


@dataclass
class Found:
    """What a step found: readings, of them wrong ones; and of each fault how many there were, and how many it found."""

    found: int = 0
    right: int = 0
    planted: dict[str, int] = field(default_factory=dict)
    hit: dict[str, int] = field(default_factory=dict)

    @property
    def precision(self) -> float | None:
        return self.right / self.found if self.found else None

    def recall(self, fault: str) -> float | None:
        return self.hit.get(fault, 0) / self.planted[fault] if self.planted.get(fault) else None


@dataclass
class Errors:
    """Readings of one quantity against the noise-free reading at the time that they say, in the channel's unit."""

    unit: str = "1"
    square: dict[str, float] = field(default_factory=dict)  # sum over readings, by healthy, faulty, cleaned
    count: dict[str, int] = field(default_factory=dict)  # readings

    def add(self, stage: str, series: Series, truth: Series) -> None:
        """Count the readings of *series* at times at which *truth* tells something, in `unit`, on a regular clock."""
        assert truth.step_h
        values, true = units.convert(series.values, series.unit, self.unit), truth.values.astype(np.float64)
        at = np.rint(series.clock_h() / truth.step_h).astype(np.int64) - round(truth.start_h / truth.step_h)
        there = np.isfinite(values) & (at >= 0) & (at < len(true))
        there[there] = np.isfinite(true[at[there]])
        wrong = values[there] - true[at[there]]
        self.square[stage] = self.square.get(stage, 0.0) + float(wrong @ wrong)
        self.count[stage] = self.count.get(stage, 0) + int(there.sum())

    def rmse(self, stage: str) -> float | None:
        return math.sqrt(self.square[stage] / self.count[stage]) if self.count.get(stage) else None


class Scored(NamedTuple):
    """By step and by quantity."""

    steps: dict[str, Found]
    errors: dict[str, Errors]
    sought: tuple[str, ...]  # the faults that leave readings which are wrong by themselves


def scored(
    runs: Iterable[tuple[Trace | None, Iterable[Episode]]], faults: Planted, clean: Closed, twin: Any, split: str
) -> Scored:
    """Steps against faults planted into healthy *runs* of a *twin*; without one, the healthy reading is the truth."""
    planted = faults.faults.faults
    kinds = numbered(planted)
    judging = {i: name for i, name in enumerate(numbered(clean.steps)) if clean.steps[i].judges}
    steps = {name: Found() for name in (*judging.values(), ALL)}
    errors: dict[str, Errors] = {}
    for trace, episodes in runs:
        channels = {} if trace is None or twin is None else {c.key: c for c in twin_of(twin, trace.seed).channels}
        for episode in episodes:
            hit = faults(episode, split)
            cleaned = clean(hit.episode, split)
            series = {
                stage: {s.key: s for s in e.series}
                for stage, e in (("healthy", episode), ("faulty", hit.episode), ("cleaned", cleaned.episode))
            }
            for key in dict.fromkeys([*hit.wrong, *cleaned.found]):
                healthy = series["healthy"][key]
                masks = {kinds[j]: mask for j, mask in hit.wrong.get(key, {}).items()}
                _judge(steps, judging, masks, cleaned.found.get(key, {}), series["faulty"][key])
                if healthy.step_h is None:
                    continue
                truth, channel = healthy, channels.get(key)
                if channel is not None and trace is not None:
                    first = round(healthy.start_h / healthy.step_h)
                    truth = replace(healthy, values=noise_free(trace, channel, first, len(healthy.values)))
                one = errors.setdefault(healthy.quantity, Errors(healthy.unit))
                for stage in series:
                    one.add(stage, series[stage][key], truth)
    return Scored(steps, errors, tuple(kind for kind, one in zip(kinds, planted, strict=True) if one.sought))


def _judge(
    steps: Mapping[str, Found],
    judging: Mapping[int, str],
    masks: Mapping[str, np.ndarray],
    found: Mapping[int, np.ndarray],
    faulty: Series,
) -> None:
    """Count what each step found that none before it had, of a series with faults at *masks*."""
    count = len(faulty.values)
    wrong = np.zeros(count, bool)
    for mask in masks.values():
        wrong |= mask
    told = ~np.isnan(faulty.values) | wrong  # what a healthy sensor has lost is neither right nor wrong
    seen = np.zeros(count, bool)
    each = {name: found[i] for i, name in judging.items() if i in found}
    for name, mask in each.items():
        new = mask & ~seen & told
        seen |= mask
        _count(steps[name], new, wrong, masks)
    if each:
        _count(steps[ALL], seen & told, wrong, masks)


def _count(one: Found, new: np.ndarray, wrong: np.ndarray, masks: Mapping[str, np.ndarray]) -> None:
    one.found += int(new.sum())
    one.right += int((new & wrong).sum())
    for fault, mask in masks.items():
        one.planted[fault] = one.planted.get(fault, 0) + int(mask.sum())
        one.hit[fault] = one.hit.get(fault, 0) + int((new & mask).sum())
