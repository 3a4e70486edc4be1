"""What each of several plans would come to, averaged over futures: the world re-run from the moment of a decision.

Futures of one moment are resampled by the same seeds under every plan, so that effects are differences of paired means.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, cast

import numpy as np

from sim.trace import Trace
from twins.dataset.identity import describe
from twins.futures.oracle import Ask, Progress, by_run, futures
from twins.varied import twin_of


class Options(NamedTuple):
    """The S plans of one moment: what each does in H steps with A actions, and the world's actions that begin it."""

    plan_SxHxA: np.ndarray
    actions: tuple[tuple[Any, ...], ...]


class Choosing(Protocol):
    """A twin whose plans can be tried."""

    revision: ClassVar[int]

    @property
    def world(self) -> Any: ...

    @property
    def held(self) -> Any:
        """The world without a policy of its own: what is ordered stays ordered."""
        ...

    @property
    def horizon(self) -> int: ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """S, H and A."""
        ...

    @property
    def every_h(self) -> float:
        """Hours from one step of a plan to the next."""
        ...

    def options(self, state: Any, asset: str) -> Options:
        """The plans that could begin now, *state* being that of just before what is decided now."""
        ...

    def outcome(self, trace: Trace, asset: str, times_h: np.ndarray) -> np.ndarray:
        """The target without noise at *times_h*; not a number where the asset is no more."""
        ...


def outcomes(
    twin: Choosing,
    asks: Sequence[Ask],
    count: int,
    seed: int = 0,
    workers: int = 1,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Of each ask the plans (S, H, A), and the means of *count* futures of what each comes to (S, H).

    A future in which the asset is no more at a step is left out of that step's mean.
    """
    about = ["plans", describe(twin), twin.world.revision, twin.revision, count, seed]
    found = by_run(partial(_outcomes, twin, count, seed), about, asks, cache, workers, progress)
    return found[..., :-1], found[..., -1]


def _outcomes(twin: Choosing, count: int, seed: int, asks: Sequence[Ask]) -> np.ndarray:
    twin = cast(Choosing, twin_of(cast(Any, twin), asks[0].run))
    s, h, a = twin.shape
    out = np.empty((len(asks), s, h, a + 1), np.float32)
    order = sorted(range(len(asks)), key=lambda i: asks[i].time_h)
    state = twin.world.start(asks[0].run)
    for time_h, at in groupby(order, key=lambda i: asks[i].time_h):
        state = twin.world.run(state, time_h).state
        seen = twin.held.run(
            state, math.nextafter(time_h, math.inf)
        ).state  # what is due now, but no decision of its own
        times_h = time_h + np.arange(1, h + 1) * twin.every_h
        for i in at:
            plan, actions = twin.options(state, asks[i].asset)
            out[i, ..., :a] = plan
            for k, begun in enumerate(actions):
                start = seen
                for action in begun:
                    start = twin.held.act(start, action)
                told = _told(twin, start, asks[i].asset, count, seed, times_h)
                out[i, k, :, a] = told
    return out


def _told(twin: Choosing, start: Any, asset: str, count: int, seed: int, times_h: np.ndarray) -> np.ndarray:
    until_h = math.nextafter(times_h[-1], math.inf)
    each = [twin.outcome(trace, asset, times_h) for trace in futures(twin.held, start, count, until_h, seed)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a mean of none
        return np.nanmean(each, axis=0)
