"""An episode's series on one clock: which of them a model may see, and at which sample each value becomes visible."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence

import numpy as np

from sim.errors import InputError
from twins.channel import Role
from twins.episode import Episode, Series
from twins.sensors.render import Panel, Sensed


def variates(episode: Episode, frames: bool = False) -> dict[str, Series]:
    """Every series that a model may see, by variate name; with *frames*, those of frames instead of numbers."""
    named: dict[str, Series] = {}
    for series in episode.series:
        if series.role is Role.TRUTH or series.role == Role.TRUTH.value or bool(series.shape) != frames:
            continue
        spare = itertools.chain([series.quantity], (f"{series.quantity}#{n}" for n in itertools.count(2)))
        named[next(name for name in spare if name not in named)] = series
    return named


def grid(named: Collection[Series]) -> tuple[float | None, np.ndarray]:
    """The step and the times of an episode's samples: the finest regular clock, else every time that occurs."""
    steps = {s.step_h for s in named if s.step_h is not None}
    if not steps:
        return None, np.unique(np.concatenate([s.clock_h() for s in named]))
    step_h = min(steps)
    last_h = max(s.clock_h()[-1] for s in named if len(s.values))
    return step_h, np.arange(int(np.ceil(last_h / step_h - 1e-6)) + 1) * step_h


def position(series: Series, step_h: float | None, grid_h: np.ndarray) -> np.ndarray:
    """The sample at which each value of a series becomes visible: the first one not before its time."""
    if step_h is None:
        return np.searchsorted(grid_h, series.clock_h())
    return np.ceil(series.clock_h() / step_h - 1e-6).astype(np.int64)


def hidden(episode: Episode, quantity: str, key: str = "") -> Series:
    """The one channel of role truth of a quantity, which *key* names; raises InputError where there is none."""
    for series in episode.series:
        if series.role == Role.TRUTH and series.quantity == quantity:
            return series
    raise _nameless("hidden", quantity, {s.quantity for s in episode.series if s.role == Role.TRUTH}, key)


def telling(episode: Episode, quantity: str, key: str = "") -> Series:
    """The channel that tells a quantity but never ahead of time, hidden or measured; *key* is as of `hidden`."""
    if any(series.role == Role.TRUTH and series.quantity == quantity for series in episode.series):
        return hidden(episode, quantity)
    measured = {n: s for n, s in variates(episode).items() if s.role in (Role.PAST, Role.TARGET)}
    if quantity not in measured:
        known = {*measured, *(s.quantity for s in episode.series if s.role == Role.TRUTH)}
        raise _nameless("hidden or measured", quantity, known, key)
    return measured[quantity]


def _nameless(kind: str, quantity: str, known: set[str], key: str) -> InputError:
    named = f", as {key} says" if key else ""
    return InputError(f"no {kind} channel is called {quantity!r}{named}; there is {', '.join(sorted(known)) or 'none'}")


def sampled(episode: Episode, quantity: str) -> np.ndarray:
    """A hidden channel at each sample of the episode's windows, NaN where it tells nothing."""
    series = hidden(episode, quantity)
    step_h, grid_h = grid([*variates(episode).values(), *variates(episode, frames=True).values()])
    values = np.full(len(grid_h), np.nan)
    values[position(series, step_h, grid_h)] = series.values
    return values


class Aligned:
    """An episode on its clock, any stretch of which can be filled in by itself.

    Sample k lies at k · step_h, or at the k-th of all times that occur. *values* of a series may be any array that is
    read by slices: in memory, memory-mapped, or `twins.sensors.render.Sensed`, which is rendered when it is read.
    """

    def __init__(self, episode: Episode):
        self.episode = episode
        self.series, self.frames = variates(episode), variates(episode, frames=True)
        everything = [*self.series.values(), *self.frames.values()]
        if not everything:
            raise InputError("the episodes have no channel that a model may see; all are of role truth")
        self.step_h, grid_h = grid(everything)
        self.length = len(grid_h)
        self._grid_h = grid_h if self.step_h is None else None
        self._places = {name: self._place(series, grid_h) for name, series in self.series.items()}

    def times_h(self, low: int, high: int) -> np.ndarray:
        """Of samples low … high − 1, which may lie beyond the ends: a regular clock goes on, another one stands."""
        sample = np.arange(low, high)
        if self.step_h is not None:
            return sample * self.step_h
        assert self._grid_h is not None
        return self._grid_h[np.clip(sample, 0, self.length - 1)]

    def at(self, series: Series) -> np.ndarray:
        """The sample at which each value of a series becomes visible."""
        return position(series, self.step_h, self.times_h(0, self.length))

    def fill(self, out_VxT: np.ndarray, names: Sequence[str], low: int) -> None:
        """Write samples from *low* on of the variates *names* to *out_VxT*, which holds NaN."""
        panels: dict[Callable[[], Panel], list[tuple[np.ndarray, Sensed]]] = {}
        high = low + out_VxT.shape[1]
        for row, name in enumerate(names):
            if name not in self.series:
                continue
            values, place = self.series[name].values, self._places[name]
            if isinstance(place, np.ndarray):
                a, b = np.searchsorted(place, (low, high))
                out_VxT[row, place[a:b] - low] = values[a:b]
            elif isinstance(values, Sensed):
                panels.setdefault(values.panel, []).append((out_VxT[row], values))
            else:
                a, b = max(low - place, 0), min(high - place, len(values))
                if a < b:
                    out_VxT[row, a + place - low : b + place - low] = values[a:b]
        for panel, rows in panels.items():
            a, b = max(low, 0), min(high, rows[0][1].count)
            if a < b:
                rendered = panel().render(a, b - a)
                for out_T, sensed in rows:
                    out_T[a - low : b - low] = rendered[sensed.row]

    def _place(self, series: Series, grid_h: np.ndarray) -> int | np.ndarray:
        """The sample of the first value where each of the others has the next one; else the sample of each."""
        if self.step_h is not None and series.step_h == self.step_h:
            return round(series.start_h / self.step_h)
        found = position(series, self.step_h, grid_h)
        if np.any(np.diff(found) < 0):
            raise InputError(f"{'/'.join(series.key)} of run {self.episode.run} goes back in time; sort its samples")
        return found
