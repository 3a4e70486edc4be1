"""An episode's series on one clock: which of them a model may see, and at which sample each value becomes visible."""

from __future__ import annotations

import itertools
from collections.abc import Collection

import numpy as np

from sim.errors import InputError
from twins.channel import Role
from twins.episode import Episode, Series


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


def hidden(episode: Episode, quantity: str) -> Series:
    """The one channel of role truth of a quantity; raises InputError where there is none."""
    for series in episode.series:
        if series.role == Role.TRUTH and series.quantity == quantity:
            return series
    known = sorted({s.quantity for s in episode.series if s.role == Role.TRUTH})
    raise InputError(f"no hidden channel is called {quantity!r}; there is {', '.join(known) or 'none'}")


def sampled(episode: Episode, quantity: str) -> np.ndarray:
    """A hidden channel at each sample of the episode's windows, NaN where it tells nothing."""
    series = hidden(episode, quantity)
    step_h, grid_h = grid([*variates(episode).values(), *variates(episode, frames=True).values()])
    values = np.full(len(grid_h), np.nan)
    values[position(series, step_h, grid_h)] = series.values
    return values
