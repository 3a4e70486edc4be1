"""Maintenance against theory: the ladder of policies, lives by other wear than Brownian, and imperfect repair."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.errors import require
from sim.laws import Deterministic, Weibull
from sim.line import theory
from sim.line.checks import measure
from sim.line.checks.lives import ENDLESS, KS_REASON
from sim.line.config import (
    AgeReplacement,
    Inspection,
    Leaves,
    Policy,
    RunToFailure,
    Station,
    Sudden,
    WearThreshold,
)
from sim.line.line import Line
from sim.verify import Estimate, Replicated, Target, mean_interval
from sim.wear import Cmapss, GammaProcess, Markov, Wear


@dataclass(frozen=True, kw_only=True)
class Ladder(Replicated):
    """Availability under five policies on Markov wear, in discrete or continuous time. The fault hastens wear."""

    states: int = 6
    step_h: float = 10.0
    period_h: float = 1.0  # 0: continuous time
    repair_h: float = 10.0
    maintenance_h: float = 2.0
    age_h: float = 25.0
    looks_h: tuple[float, float] = (20.0, 5.0)
    acts_at: tuple[int, int] = (2, 3)  # state from which each of the two inspections acts
    length_h: float = 2e5

    def __post_init__(self):
        super().__post_init__()
        require(self.states >= 3, self, "states", "at least 3")
        ok = all(1 <= at <= self.states - 2 for at in self.acts_at)
        require(ok, self, "acts_at", f"states from 1 to {self.states - 2}")

    def _rungs(self) -> list[tuple[str, Policy, dict[str, Any]]]:
        top = self.states - 1
        return [
            ("run to failure", RunToFailure(), {}),
            (f"age {self.age_h:g} h", AgeReplacement(self.age_h), {"every_h": self.age_h, "acts_at": 0}),
            *(
                (f"look every {h:g} h, act at {at}", Inspection(h, at / top), {"every_h": h, "acts_at": at})
                for h, at in zip(self.looks_h, self.acts_at, strict=True)
            ),
            (f"act at {top - 1}", WearThreshold((top - 1) / top), {"limit": top - 1}),
        ]

    def targets(self):
        source = "renewal reward over the Markov chain of wear"
        given = (self.states, self.step_h, self.period_h, self.repair_h, self.maintenance_h)
        up = {name: theory.markov_availability(*given, **asked) for name, _, asked in self._rungs()}
        return [
            *(Target(f"availability, {name}", a, source) for name, a in up.items()),
            *(Target(f"share down, {name}", 1 - a, source, 0.015, reason="a small share") for name, a in up.items()),
        ]

    def replicate(self, seed):
        wear = Markov(self.step_h / (1 + self.fault), self.states, self.period_h / (1 + self.fault))
        found = []
        for _, policy, _ in self._rungs():
            repair, maintenance = Deterministic(self.repair_h), Deterministic(self.maintenance_h)
            line = Line((Station(ENDLESS, wear=wear, repair=repair, maintenance=maintenance, policy=policy),))
            trace = line.run(line.start(seed), self.length_h).trace
            found.append(measure.share(trace, ["m1"], measure.DOWN))
        return [*(1 - down for down in found), *found]


def distance(values: np.ndarray, below: np.ndarray, alpha: float) -> Estimate:
    """Kolmogorov distance of sorted *values* from the distribution *below* at them (Dvoretzky, Kiefer & Wolfowitz)."""
    n = len(values)
    apart = max((np.arange(1, n + 1) / n - below).max(), (below - np.arange(n) / n).max())
    return Estimate(float(apart), math.sqrt(math.log(2 / alpha) / (2 * n)))


def _lives_h(wear: Wear, lives: int, mean_h: float, seed: int) -> np.ndarray:
    line = Line((Station(ENDLESS, wear=wear, repair=Deterministic(1.0)),))
    return measure.lives_h(line.run(line.start(seed), lives * (mean_h + 1)).trace, "m1")


@dataclass(frozen=True, kw_only=True)
class GammaPassage(Replicated):
    """Life of gamma wear to its threshold. The fault makes wear faster."""

    shape_per_h: float = 0.5
    scale: float = 0.02
    threshold: float = 1.0
    tick_h: float = 25.0
    lives: int = 4_000  # of a replication

    def targets(self):
        mean_h = theory.gamma_passage_mean_h(self.shape_per_h, self.scale, self.threshold)
        source = "P(T > t) = P(Γ(αt, θ) < D); van Noortwijk 2009"
        return [
            Target("mean life (h)", mean_h, source),
            Target("Kolmogorov distance", 0.0, source, 0.01, True, KS_REASON),
        ]

    def replicate(self, seed):
        wear = GammaProcess(self.shape_per_h * (1 + self.fault), self.scale, self.threshold, self.tick_h)
        return _lives_h(wear, self.lives, self.threshold / (self.shape_per_h * self.scale), seed)

    def estimates(self, samples, alpha):
        lives = np.sort(np.concatenate(samples))
        left = theory.gamma_passage_sf(lives, self.shape_per_h, self.scale, self.threshold)
        return [mean_interval(lives, alpha), distance(lives, 1 - left, alpha)]


@dataclass(frozen=True, kw_only=True)
class CmapssLives(Replicated):
    """Lives of exponential damage: their mean, and the share within FD001's range. The fault shortens lives."""

    wear: Cmapss = Cmapss(levels=1)
    shortest_h: float = 128.0
    longest_h: float = 362.0
    lives: int = 10_000  # of a replication

    def targets(self):
        w = self.wear
        mean_h, *below = theory.cmapss_lives(w.a, w.b, w.d, w.scale_h, (self.shortest_h, self.longest_h))
        source = "quadrature of (ln(2−d)/a)^(1/b) over the ranges of Saxena et al. 2008"
        return [
            Target("mean life (h)", mean_h, source),
            Target(f"share of lives in {self.shortest_h:g} to {self.longest_h:g} h", below[1] - below[0], source),
        ]

    def replicate(self, seed):
        short = Cmapss(self.wear.a, self.wear.b, self.wear.d, self.wear.scale_h / (1 + self.fault), self.wear.levels)
        return _lives_h(short, self.lives, self.targets()[0].reference, seed)

    def estimates(self, samples, alpha):
        lives = np.concatenate(samples)
        within = (self.shortest_h <= lives) & (lives <= self.longest_h)
        return [mean_interval(lives, alpha), mean_interval(within, alpha)]


@dataclass(frozen=True, kw_only=True)
class MinimalRepair(Replicated):
    """Failures of a Weibull life under minimal repair, by either of Kijima's models. The fault shortens lives."""

    scale_h: float = 150.0
    shape: float = 2.0
    until_h: float = 600.0
    runs: int = 500  # of a replication

    def targets(self):
        expected = (self.until_h / self.scale_h) ** self.shape
        source = "a Poisson process of mean (t/η)^β: Kijima 1989 at q = 1"
        names = [f"failures in {self.until_h:g} h, model {kijima}" for kijima in (1, 2)]
        return [Target(name, expected, source, 0.01, reason="a count, Poisson") for name in names]

    def replicate(self, seed):
        sudden = Sudden(Weibull(self.scale_h / (1 + self.fault), self.shape))
        brief = Deterministic(self.scale_h * 1e-6)
        found = []
        for kijima in (1, 2):
            station = Station(ENDLESS, sudden=sudden, repair=brief, repair_leaves=Leaves(age=1.0, kijima=kijima))
            line = Line((station,))
            traces = (line.run(line.start(seed + run), self.until_h).trace for run in range(self.runs))
            found.append(np.mean([sum(e.kind == "failure" for e in trace.events) for trace in traces]))
        return found
