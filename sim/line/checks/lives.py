"""Machines that fail: availability, a shared crew, laws of life, what is left of it, and what replacing costs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sim.errors import require
from sim.laws import Deterministic, Exponential, InverseGaussian, Law, Weibull
from sim.line import theory
from sim.line.checks import measure
from sim.line.config import AgeReplacement, Phase, RunToFailure, Station, Sudden
from sim.line.line import Line
from sim.steady import Estimate, mean_interval
from sim.verify import Replicated, Target
from sim.wear import Wiener

ENDLESS = Deterministic(1e12)  # one part for ever: the machine works whenever it is up, at no cost in events


@dataclass(frozen=True, kw_only=True)
class Availability(Replicated):
    """Share of time down of one machine, failures by operation or by time. The fault makes repairs longer.

    With *load* below 1 the machine idles between Poisson arrivals, which spares it only where failures depend on
    operation.
    """

    mttf_h: float = 100.0
    mttr_h: float = 10.0
    clock: Literal["operation", "time"] = "operation"
    load: float = 1.0  # mean arrivals per mean cycle of an always available machine; 1 is a saturated source
    cycle_h: float = 5.0
    warm_up_h: float = 2e3
    length_h: float = 1e6

    def __post_init__(self):
        super().__post_init__()
        most = theory.availability(self.mttf_h, self.mttr_h)
        keeps_up = 0 < self.load < most or self.load == 1
        require(keeps_up, self, "load", f"above 0 and below {most:.4g}, or 1 for a saturated source")

    def targets(self):
        if self.load == 1 or self.clock == "time":
            up = theory.availability(self.mttf_h, self.mttr_h)
        else:  # working hours are fixed by the arrivals, and each costs mttr/mttf hours of repair
            up = 1 - self.load * self.mttr_h / self.mttf_h
        formula = "MTTF/(MTTF+MTTR)" if self.load == 1 or self.clock == "time" else "1 − load · MTTR/MTTF"
        return [Target("availability", up, formula), Target("share of time down", 1 - up, formula)]

    def replicate(self, seed):
        sudden = Sudden(Exponential(self.mttf_h), self.clock)
        repair = Exponential(self.mttr_h * (1 + self.fault))
        busy = self.load == 1
        station = Station(ENDLESS if busy else Exponential(self.cycle_h), sudden=sudden, repair=repair)
        line = Line((station,), arrivals=None if busy else Exponential(self.cycle_h / self.load))
        trace = measure.observed(line, seed, self.warm_up_h, self.length_h)
        down = measure.share(trace, line.machines, measure.DOWN)
        return [1 - down, down]


@dataclass(frozen=True, kw_only=True)
class Crew(Replicated):
    """Machines that share repairers (machine interference). The fault makes repairs longer."""

    machines: int = 5
    crew: int = 1
    mttf_h: float = 100.0
    mttr_h: float = 10.0
    warm_up_h: float = 2e3
    length_h: float = 4e5

    def targets(self):
        up = theory.interference(self.machines, self.crew, self.mttf_h, self.mttr_h)
        source = "machine interference, birth-death chain (Palm 1947)"
        return [Target("availability", up, source), Target("share of time down", 1 - up, source)]

    def replicate(self, seed):
        repair = Exponential(self.mttr_h * (1 + self.fault))
        station = Station(ENDLESS, self.machines, sudden=Sudden(Exponential(self.mttf_h)), repair=repair)
        line = Line((station,), crew=self.crew)
        trace = measure.observed(line, seed, self.warm_up_h, self.length_h)
        down = measure.share(trace, line.machines, measure.DOWN)
        return [1 - down, down]


def kolmogorov(values: np.ndarray, law: Law, alpha: float) -> Estimate:
    """Largest distance of the empirical distribution from *law*; the half width is Dvoretzky, Kiefer & Wolfowitz's."""
    values, n = np.sort(values), len(values)
    below = 1 - law.sf(values)
    distance = max((np.arange(1, n + 1) / n - below).max(), (below - np.arange(n) / n).max())
    return Estimate(float(distance), math.sqrt(math.log(2 / alpha) / (2 * n)))


KS_REASON = "distance of distribution functions, not a ratio"


@dataclass(frozen=True, kw_only=True)
class WeibullLife(Replicated):
    """Mean and distribution of sudden Weibull lives. The fault makes lives longer."""

    scale_h: float = 150.0
    shape: float = 3.0
    lives: int = 25_000  # of a replication

    def targets(self):
        return [
            Target("mean life (h)", theory.weibull_mean_h(self.scale_h, self.shape), "ηΓ(1+1/β)"),
            Target("Kolmogorov distance", 0.0, "exp(−(t/η)^β)", 0.005, True, KS_REASON),
        ]

    def replicate(self, seed):
        life = Weibull(self.scale_h * (1 + self.fault), self.shape)
        line = Line((Station(ENDLESS, sudden=Sudden(life), repair=Deterministic(1.0)),))
        return measure.lives_h(line.run(line.start(seed), self.lives * (life.mean_h + 1)).trace, "m1")

    def estimates(self, samples, alpha):
        lives = np.concatenate(samples)
        return [mean_interval(lives, alpha), kolmogorov(lives, Weibull(self.scale_h, self.shape), alpha)]


@dataclass(frozen=True, kw_only=True)
class FirstPassage(Replicated):
    """Life to the threshold of wear, and what is left of it when wear reaches *worn*. The fault makes wear faster."""

    drift_per_h: float = 0.01
    diffusion_per_sqrt_h: float = 0.03
    threshold: float = 1.0
    levels: int = 10
    worn: float = 0.6  # fraction of the threshold; a multiple of 1/levels
    lives: int = 4_000  # of a replication

    def __post_init__(self):
        super().__post_init__()
        require(0 < self.worn < 1, self, "worn", "between 0 and 1")
        whole = abs(self.worn * self.levels - round(self.worn * self.levels)) < 1e-9
        require(whole, self, "worn", f"a multiple of 1/{self.levels}")

    def _moments(self, distance: float) -> tuple[float, float]:
        return theory.first_passage(distance, self.drift_per_h, self.diffusion_per_sqrt_h)

    def targets(self):
        life, left = self._moments(self.threshold), self._moments(self.threshold * (1 - self.worn))
        source = "inverse Gaussian; Cox & Miller 1965, sec. 5.7"
        fourth = "a variance rests on fourth moments"
        return [
            Target("mean life (h)", life[0], source),
            Target("variance of life (h²)", life[1], source, 0.02, reason=fourth),
            Target("Kolmogorov distance", 0.0, source, 0.01, True, KS_REASON),
            Target(f"mean life left at {self.worn:g} (h)", left[0], "(D−x)/μ"),
            Target(f"variance of life left at {self.worn:g} (h²)", left[1], "(D−x)σ²/μ³", 0.02, reason=fourth),
        ]

    def replicate(self, seed):
        faster = 1 + self.fault
        wear = Wiener(self.drift_per_h * faster, self.diffusion_per_sqrt_h, self.threshold, self.levels)
        line = Line((Station(ENDLESS, wear=wear, repair=Deterministic(1.0)),))
        trace = line.run(line.start(seed), self.lives * (wear.mean_life_h + 1)).trace
        lives_h = measure.lives_h(trace, "m1")
        path = trace["m1", "wear"]
        reached_h = path.time_h[np.isclose(path.value, self.worn)]
        failed_h = path.time_h[path.value == 1.0]
        return np.stack([lives_h, failed_h - reached_h[: len(failed_h)]], 1)

    def estimates(self, samples, alpha):
        lives, left = np.concatenate(samples).T
        mean, variance = self._moments(self.threshold)
        law = InverseGaussian(mean, mean**3 / variance)
        return [
            mean_interval(lives, alpha),
            mean_interval((lives - lives.mean()) ** 2, alpha),
            kolmogorov(lives, law, alpha),
            mean_interval(left, alpha),
            mean_interval((left - left.mean()) ** 2, alpha),
        ]


@dataclass(frozen=True, kw_only=True)
class AgeCost(Replicated):
    """Cost per operating hour of replacing at the optimal age, around it and never. The fault shortens lives."""

    scale_h: float = 150.0
    shape: float = 3.0
    planned_cost: float = 2.0
    failure_cost: float = 8.0
    around: tuple[float, ...] = (0.8, 1.25)  # times the optimum
    length_h: float = 1e6  # operating hours of a replication

    def __post_init__(self):
        super().__post_init__()
        require(self.shape > 1, self, "shape", "above 1, or replacing by age does not pay")
        require(self.failure_cost > self.planned_cost, self, "failure_cost", f"above {self.planned_cost}")

    def _ages_h(self) -> list[float]:
        best = theory.best_age_h(Weibull(self.scale_h, self.shape), self.planned_cost, self.failure_cost)
        return [best, *(f * best for f in self.around), math.inf]

    def targets(self):
        law, ages_h = Weibull(self.scale_h, self.shape), self._ages_h()
        rates = [theory.age_cost_rate(law, age_h, self.planned_cost, self.failure_cost) for age_h in ages_h]
        source = "Barlow & Hunter 1960; ReliaSoft's example"
        names = [f"cost rate at T* = {ages_h[0]:.2f} h", *(f"cost rate at {f:g} T*" for f in self.around)]
        excess = "above 0 is what counts: the optimum is flat"
        return [
            *(Target(n, r, source) for n, r in zip([*names, "cost rate, run to failure"], rates, strict=True)),
            *(
                Target(f"excess at {f:g} T*", r - rates[0], source, 0.25, reason=excess)
                for f, r in zip(self.around, rates[1:], strict=False)
            ),
        ]

    def replicate(self, seed):
        rates = [self._rate(seed, age_h) for age_h in self._ages_h()]
        return [*rates, *(rate - rates[0] for rate in rates[1 : 1 + len(self.around)])]

    def _rate(self, seed, age_h):
        life = Weibull(self.scale_h / (1 + self.fault), self.shape)
        policy = RunToFailure() if math.isinf(age_h) else AgeReplacement(age_h)
        brief = Deterministic(self.scale_h * 1e-6)
        station = Station(ENDLESS, sudden=Sudden(life), repair=brief, maintenance=brief, policy=policy)
        line = Line((station,))
        trace = line.run(line.start(seed), self.length_h).trace
        failed = sum(e.kind == "failure" for e in trace.events)
        planned = sum(e.kind == "planned" for e in trace.events)
        operated_h = self.length_h * measure.share(trace, ["m1"], [Phase.WORKING])
        return (failed * self.failure_cost + planned * self.planned_cost) / operated_h
