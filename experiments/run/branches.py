"""Plans that a twin tries only when they are asked about: what each comes to, and what an oracle can know of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from learn.tasks import Counterfactual
from sim.errors import InputError, require
from twins.aligned import variates
from twins.channel import Role
from twins.episode import Episode, Series
from twins.futures import plans
from twins.futures.oracle import Ask

EXPECTED = "expected"


@dataclass(frozen=True)
class Branches:
    """Means over *count* futures of each plan are the truth, and over as many others what an oracle knows."""

    count: int = 4
    seed: int = 0

    def __post_init__(self):
        require(self.count >= 1, self, "count", "at least 1")

    def tried(self, task: Any, twin: Any, episodes: Sequence[Episode], every: int, **how: Any) -> Sequence[Episode]:
        """*episodes* with frames of plans, outcomes and what was expected at every *every*-th sample."""
        if not isinstance(task, Counterfactual) or not hasattr(twin, "options"):
            raise InputError("branches are of a task of plans and a twin that has options; they must be null here")
        clocks = [_clock_h(episode) for episode in episodes]
        at = [[k for k in range(0, len(clock_h), every) if k + 1 >= task.history] for clock_h in clocks]
        asks = [
            Ask(episode.run, episode.asset, float(clock_h[k]))
            for episode, clock_h, mine in zip(episodes, clocks, at, strict=True)
            for k in mine
        ]
        plan, outcome = plans.outcomes(twin, asks, self.count, 2 * self.seed, **how)
        expected = plans.outcomes(twin, asks, self.count, 2 * self.seed + 1, **how)[1]
        done, found = 0, []
        for episode, clock_h, mine in zip(episodes, clocks, at, strict=True):
            rows = slice(done, done + len(mine))
            done += len(mine)
            told = {task.plan: plan[rows], task.outcome: outcome[rows], EXPECTED: expected[rows]}
            frames = (_frames(episode.asset, name, x, mine, clock_h) for name, x in told.items())
            found.append(replace(episode, series=(*episode.series, *frames)))
        return found


def _clock_h(episode: Episode) -> np.ndarray:
    """The times of the target's samples."""
    return next(s for s in variates(episode).values() if s.role == Role.TARGET).clock_h()


def _frames(asset: str, quantity: str, x: np.ndarray, at: Sequence[int], clock_h: np.ndarray) -> Series:
    values = np.full((len(clock_h), *x.shape[1:]), np.nan, np.float32)
    values[list(at)] = x
    return Series(asset, quantity, "1", Role.TRUTH, values, times_h=clock_h)
