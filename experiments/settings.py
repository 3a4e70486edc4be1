"""The parts of a configuration that belong to no other room, with their ranges."""

from __future__ import annotations

from dataclasses import dataclass

from sim.errors import require


@dataclass(frozen=True)
class Feeding:
    """How training windows come to the device. Only fresh runs change what is learned."""

    cut: bool = False  # one by one, ahead of the device, from disk or rendered; else all of them lie in memory
    sample: int | None = None  # episodes of the training split that baselines learn from, evenly over all; null: all
    fresh_runs: int = 0  # world runs that workers simulate meanwhile, for every *fresh_steps* steps; 0: none
    fresh_steps: int = 50

    def __post_init__(self):
        require(self.sample is None or self.sample >= 1, self, "sample", "at least 1 episode, or null")
        require(self.fresh_runs >= 0, self, "fresh_runs", "at least 0")
        require(self.fresh_steps >= 1, self, "fresh_steps", "at least 1")


@dataclass(frozen=True)
class Scoring:
    """Which windows are scored, and how the scores' intervals are drawn."""

    every: int | None = 1  # samples from one scored window to the next; null: the newest moment of each asset alone
    resamples: int = 2000  # bootstrap draws over world runs
    primary: str | None = None  # the score that skill is of; null: brier for events and states, crps for others
    season: int | None = None  # samples in the season of MASE's naive forecast; null: no MASE
    cluster_h: float | None = None  # length of the stretches that are resampled where there is but one run
    conformal: bool = False  # of forecasts: a row more, the quantiles moved by the misses on the validation split
    adaptive: float = 0.0  # likewise, by a level that follows the misses known by then, at this rate; 0: no such row
    mc_dropout: int = 0  # a row more: the mixture of so many passes with dropout on, 2 or more

    def __post_init__(self):
        require(self.every is None or self.every >= 1, self, "every", "at least 1 sample, or null")
        require(self.resamples >= 0, self, "resamples", "at least 0")
        require(self.season is None or self.season >= 1, self, "season", "at least 1 sample, or null")
        require(0 <= self.adaptive < 1, self, "adaptive", "0, or a rate between 0 and 1, such as 0.02")
        require(self.mc_dropout == 0 or self.mc_dropout >= 2, self, "mc_dropout", "0, or at least 2 passes")
        require(self.cluster_h is None or self.cluster_h > 0, self, "cluster_h", "above 0, or null")
