"""Checks of patients in care against queues, survival and known effects. Research only, not for clinical use."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from sim.errors import require
from sim.laws import Deterministic, Exponential, Lognormal
from sim.patient.care import Care
from sim.patient.disease import Slow
from sim.patient.medicines import FORMULARY, Policy, Prescribe
from sim.patient.population import HEALTHY, REDUCED, Population
from sim.patient.risk import YEAR_H, Risk
from sim.patient.state import State
from sim.steady import Estimate, mean_interval, time_means
from sim.trace import Trace
from sim.verify import Replicated, Target

SEEN_H = 1.0  # when every patient of `Weighted` is seen
NOTICE = "research only, not for clinical use"
LEVEL = dict.fromkeys(("age", "ef", "pcwp", "congestion", "hormones", "sbp", "creatinine", "frailty", "inotrope"), 0.0)
EVEN = Risk(0, 0, 0, 0, 0, **LEVEL)
PLAIN = Care(
    population=HEALTHY, slow=Slow(tolerance=1e-2), risk=EVEN, policy=None, formulary=(), visit=Deterministic(1e6)
)


def in_ward(patients: int, outside_h: float, stay_h: float, beds: int | None) -> np.ndarray:
    """Chances that k = 0 … *patients* are in the ward or wait for it: Erlang's formulas for a finite population.

    p(k) ∝ Z^(N−k)/(N−k)! · S^k/∏ min(j, c), Z the mean time between two stays (of any law) and S the stay; without a
    limit, c = ∞, it is binomial whatever the law of the stay (Gross & Harris, Fundamentals of Queueing Theory, 2.7).
    """
    logs = [0.0]
    for k in range(1, patients + 1):
        servers = min(k, beds or k)
        logs.append(logs[-1] + math.log(stay_h / outside_h * (patients - k + 1) / servers))
    weights = np.exp(np.array(logs) - max(logs))
    return weights / weights.sum()


@dataclass(frozen=True, kw_only=True)
class Beds(Replicated):
    """A ward fed by decompensations, with few beds (Erlang C) or enough for all (M/G/∞), and Little's law.

    The fault makes stays in the ward longer.
    """

    patients: int = 12
    every_h: float = 40.0  # at home, on average
    ed_h: float = 2.0
    stay_h: float = 10.0
    beds: int | None = 2
    length_h: float = 9600.0
    warmup_h: float = 200.0
    replications: int = 12

    def __post_init__(self):
        super().__post_init__()
        require(0 <= self.warmup_h < self.length_h, self, "warmup_h", "at least 0 and below length_h")

    def targets(self):
        p = in_ward(self.patients, self.every_h + self.ed_h, self.stay_h, self.beds)
        k, c = np.arange(len(p)), self.beds or self.patients
        busy = float(p @ np.minimum(k, c))
        rate = busy / self.stay_h
        why = "chance of a few beds; " + NOTICE
        few = "too few admissions to tell 2 % at the confidence of a suite; " + NOTICE
        told = [
            Target("beds taken", busy, "Erlang, finite population", 0.02, reason=why),
            Target("admissions an hour", rate, "Little's law", 0.04, reason=few),
        ]
        if self.beds:
            told.insert(
                1, Target("waiting for the ward", float(p @ (k - np.minimum(k, c))), "Erlang C", 0.05, reason=why)
            )
        return told

    def replicate(self, seed):
        limit = Exponential if self.beds else (lambda mean_h: Lognormal(mean_h, 1.0))
        world = replace(
            PLAIN,
            patients=self.patients,
            risk=replace(EVEN, decompensation=YEAR_H / self.every_h),
            icu=0.0,
            beds=(None, self.beds, None, None),
            stay=(Lognormal(self.ed_h, 0.5), limit(self.stay_h * (1 + self.fault)), *PLAIN.stay[2:]),
        )
        trace = world.run(world.start(seed), self.length_h).trace
        told = [_mean(trace, "ward", "occupied", self.warmup_h)]
        if self.beds:
            told.append(_mean(trace, "ward", "waiting", self.warmup_h))
        came = sum(e.kind == "bed" and e.cause == "ward" and e.time_h >= self.warmup_h for e in trace.events)
        return [*told, came / (self.length_h - self.warmup_h)]


def _mean(trace: Trace, unit: str, quantity: str, from_h: float) -> float:
    return float(time_means(trace[unit, quantity], (from_h, trace.end_h))[0])


@dataclass(frozen=True, kw_only=True)
class Survival(Replicated):
    """Kaplan & Meier's estimate under a known constant hazard, where some are lost. The fault raises the hazard."""

    patients: int = 400
    death_h: float = 15.0  # mean
    lost_h: float = 20.0
    times_h: tuple[float, ...] = (15.0,)
    replications: int = 48

    def targets(self):
        return [
            Target(f"survival to {t:g} h", math.exp(-t / self.death_h), "exp(−t/mean)", 0.04, reason=NOTICE)
            for t in self.times_h
        ]

    def replicate(self, seed):
        rate = (1 + self.fault) * YEAR_H / self.death_h
        world = replace(PLAIN, patients=self.patients, risk=replace(EVEN, cardiac=rate, lost=YEAR_H / self.lost_h))
        trace = world.run(world.resample(_begun(self.patients), seed), max(self.times_h) + 1e-6).trace
        return kaplan_meier(trace, self.patients, self.times_h)


@lru_cache(maxsize=4)
def _begun(patients: int) -> State:
    """The same patients for every replication: under even hazards nothing but what is drawn anew tells on survival."""
    return replace(PLAIN, patients=patients).start(0)


def kaplan_meier(trace: Trace, patients: int, times_h: tuple[float, ...]) -> list[float]:
    """Survival at *times_h*; who is lost counts as at risk until then (Kaplan & Meier 1958)."""
    at_risk, left, steps = patients, 1.0, [(0.0, 1.0)]
    for event in trace.events:
        if event.kind in ("death", "lost"):
            left *= 1 - 1 / at_risk if event.kind == "death" else 1.0
            at_risk -= 1
            steps.append((event.time_h, left))
    when = np.array([t for t, _ in steps])
    return [steps[int(np.searchsorted(when, t, side="right")) - 1][1] for t in times_h]


@dataclass(frozen=True, kw_only=True)
class Hearts(Replicated):
    """The ejection fraction of a population. The fault makes its hearts stronger."""

    population: Population = HEALTHY
    ef: float = 58.0  # Petersen 2017: 58 ± 5 % of men, 61 ± 5 % of women
    tolerance: float = 0.4
    patients: int = 200
    replications: int = 24

    def targets(self):
        return [Target("mean EF (%)", self.ef, "UK Biobank, men", self.tolerance, True, NOTICE)]

    def replicate(self, seed):
        p, up = self.population, 1 + self.fault
        reference = replace(p.reference, ees=p.reference.ees * up)
        return [float(replace(p, reference=reference).sample(seed, self.patients).outputs["ef"].mean())]


@dataclass(frozen=True, kw_only=True)
class Placebo(Replicated):
    """A medicine without effect changes nothing: EF of patients with and without it. The fault gives it an effect."""

    days: int = 30
    patients: int = 6
    replications: int = 3

    def targets(self):
        return [Target("EF with less without (%)", 0.0, "no effect", 1e-9, True, NOTICE)]

    def replicate(self, seed):
        pill = replace(FORMULARY[0], most=min(max(self.fault, 0.0), 1.0))
        world = replace(PLAIN, patients=self.patients, formulary=(pill,), adherence=1.0)
        arms = (world, replace(world, at_start=((pill.name, 3),)))
        ef = [_last(arm.run(arm.start(seed), self.days * 24.0).trace, arm.names, "ef") for arm in arms]
        return [float(np.max(np.abs(ef[1] - ef[0])))]


def _last(trace: Trace, names: tuple[str, ...], quantity: str) -> np.ndarray:
    return np.array([trace[name, quantity].value[-1] for name in names])


@dataclass(frozen=True, kw_only=True)
class Weighted(Replicated):
    """The effect of a first diuretic dose on PCWP, by weights of the recorded chances, against the same patients under
    both. Sicker patients are treated more, so that those treated are not like the rest. The fault makes the diuretic
    of the world in which is decided take more than that of the world in which both are tried.
    """

    gamma: float = 1.0
    hidden: float = 0.5
    days: int = 5
    patients: int = 120
    replications: int = 24

    def targets(self):
        return [Target("weighted over true effect", 1.0, "both arms of the same patients", 0.03, reason=NOTICE)]

    def estimates(self, samples, alpha):
        """Of the ratio of sums, by the residuals of each replication."""
        found, true = np.array(samples).T
        ratio = found.mean() / true.mean()
        spread = mean_interval((found - ratio * true) / true.mean(), alpha)
        return [Estimate(float(ratio), spread.half_width)]

    def replicate(self, seed):
        pill = FORMULARY[3]
        policy = Policy((pill.name,), self.gamma, self.hidden, up=-0.5, floor=0.1)
        world = replace(PLAIN, population=REDUCED, patients=self.patients, formulary=(pill,), adherence=1.0)
        world = replace(world, visit=Deterministic(1e6), at_start=())
        start, until_h = world.start(seed), self.days * 24.0
        for p in start.patients:
            p.visit_h = SEEN_H
        decided = replace(world, policy=policy, slow=replace(world.slow, loop_ml=Slow.loop_ml * (1 + self.fault)))
        trace = decided.run(start, until_h).trace
        up = np.array([trace[name, f"{pill.name}_level"].value[-1] > 0 for name in world.names])
        chance = np.array([trace[name, f"{pill.name}_p_up"].value[1] for name in world.names])
        change = _change(trace, world.names)
        weights = [up / chance, ~up / (1 - chance)]
        found = [float(w @ change / w.sum()) for w in weights]
        seen = world.run(start, SEEN_H + 1e-6).state  # so that doses begin at the same midnight
        both = seen
        for name in world.names:
            both = world.act(both, Prescribe(name, ((pill.name, 1),)))
        treated, plain = (_change(world.run(s, until_h).trace, world.names) for s in (both, seen))
        return [found[0] - found[1], float(np.mean(treated - plain))]


def _change(trace: Trace, names: tuple[str, ...]) -> np.ndarray:
    """Of PCWP since the first midnight; before it nobody has taken anything."""
    return _last(trace, names, "pcwp") - np.array([trace[name, "pcwp"].at(SEEN_H + 1e-6) for name in names])
