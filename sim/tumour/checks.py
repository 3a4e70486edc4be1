"""Checks of the tumours against integrals, closed forms and what was published. Research only, not for clinical use."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sim.errors import require
from sim.patient.pharmacology import Drug
from sim.tumour.cohort import follow
from sim.tumour.population import Population, Stage, volume_cm3
from sim.tumour.process import DAY_H, Treat, Tumour
from sim.verify import Replicated, Target

NOTICE = "research only, not for clinical use"
NARROW = 1e-9  # of a standard deviation that stands for none


def alike(rho: float, diameter_cm: float, alpha: float = 0.1) -> Population:
    """Patients who are all the same, to a billionth."""
    stage = Stage("I", 1, math.log(diameter_cm), 1.0, diameter_cm * (1 - NARROW), diameter_cm * (1 + NARROW))
    return Population(alpha, NARROW * alpha, rho, NARROW * rho, 0.0, beta_c_sd=1e-12, more=0.0, stages=(stage,))


@dataclass(frozen=True, kw_only=True)
class Drawn(Replicated):
    """The share of draws that is kept and the patients' mean alpha, by integration. The fault spreads alpha."""

    world: Tumour = Tumour()
    patients: int = 4000
    replications: int = 48

    def targets(self):
        p = self.world.population
        return [
            Target("share of draws kept", p.kept, "integral of the normal law", 0.01, reason=NOTICE),
            Target("mean alpha (1/Gy)", p.alpha_kept, "integral of the normal law", 0.01),
        ]

    def replicate(self, seed):
        p = self.world.population
        law = replace(p, alpha_sd=p.alpha_sd * (1 + self.fault))
        found = follow(replace(self.world, patients=self.patients, population=law), seed, 2)
        return [self.patients / found.tries, np.mean([body.alpha for body in found.bodies])]


@dataclass(frozen=True, kw_only=True)
class Recovered(Replicated):
    """The share of patients who recover within 60 days where every treatment is a fair coin. The fault adds dose."""

    world: Tumour = Tumour()
    share: float = 0.37
    patients: int = 3000
    replications: int = 64
    looks: int = 2

    def targets(self):
        why = "the public simulator's share is told in whole percents"
        return [Target("share recovered", self.share, "public simulator, gamma = 0", 0.015, True, why)]

    def replicate(self, seed):
        world = replace(self.world, gamma=0.0, patients=self.patients)
        found = follow(replace(world, radio_dose_gy=world.radio_dose_gy * (1 + self.fault)), seed)
        return [np.mean(found.phase_N == 1)]


@dataclass(frozen=True, kw_only=True)
class LastCell(Replicated):
    """The chance of a recovery within a day of a tumour of *cells* cells. The fault makes cells denser."""

    cells: float = 1.0
    patients: int = 8000
    replications: int = 32

    def __post_init__(self):
        super().__post_init__()
        require(0.1 <= self.cells <= 3, self, "cells", "between 0.1 and 3")

    def targets(self):
        return [Target("share recovered in a day", math.exp(-self.cells), "exp(−cells)", 0.02, reason=NOTICE)]

    def replicate(self, seed):
        least_cm = (6 * self.cells / Tumour.cells_per_cm3 / math.pi) ** (1 / 3)
        dense = Tumour.cells_per_cm3 * (1 + self.fault)
        world = Tumour(self.patients, population=alike(1e-12, least_cm), noise_sd=0.0, cells_per_cm3=dense)
        return [np.mean(follow(world, seed, 2).phase_N == 1)]


@dataclass(frozen=True, kw_only=True)
class Growth(Replicated):
    """An untreated tumour without noise, against Gompertz's law in closed form, K·exp(ln(V0/K)·e^(−ρt)).

    A step of a day is no differential equation: growth is slow, so that the two differ by less than a thousandth. The
    fault is in ρ.
    """

    rho: float = 7e-4  # 1/day
    diameter_cm: float = 3.0
    days: tuple[int, ...] = (10, 30, 59)
    replications: int = 2

    def targets(self):
        full, first = Tumour().capacity_cm3, volume_cm3(self.diameter_cm)
        return [
            Target(
                f"volume on day {day} (cm³)",
                full * math.exp(math.log(first / full) * math.exp(-self.rho * day)),
                "Gompertz 1825",
                1e-3,
                reason="steps of a day",
            )
            for day in self.days
        ]

    def replicate(self, seed):
        world = Tumour(
            population=alike(self.rho * (1 + self.fault), self.diameter_cm), noise_sd=0.0, chemo_dose=0, radio_dose_gy=0
        )
        trace = world.run(world.start(seed), (max(self.days) + 1) * DAY_H).trace
        return trace["p1", "volume"].at(np.array(self.days) * DAY_H).tolist()


@dataclass(frozen=True, kw_only=True)
class Doses(Replicated):
    """Forced treatment: chemotherapy daily against the drug in closed form, and what a day of both does to a tumour.

    The fault makes both doses larger.
    """

    days: int = 6
    alpha: float = 0.1
    replications: int = 2

    def targets(self):
        w = Tumour()
        drug = Drug(1.0, math.log(2) / w.half_life_h)  # a volume of 1: concentration is dose
        peaks = sum(drug.bolus(w.chemo_dose, day * DAY_H) for day in range(self.days))
        linear = self.alpha * w.radio_dose_gy + self.alpha / 10 * w.radio_dose_gy**2
        first = volume_cm3(5.0)
        after = first * (1 - w.population.beta_c_mean * w.chemo_dose - linear)
        return [
            Target("concentration after daily doses", peaks, "superposition", 1e-9, reason=NOTICE),
            Target("volume after a day of both (cm³)", after, "linear and quadratic cell kill", 1e-7),
        ]

    def replicate(self, seed):
        up, population = 1 + self.fault, alike(1e-12, 5.0, self.alpha)
        world = Tumour(
            population=population,
            noise_sd=0.0,
            chemo_dose=Tumour.chemo_dose * up,
            radio_dose_gy=Tumour.radio_dose_gy * up,
        )
        both = ((True, True), *[(True, False)] * (self.days - 1))
        trace = world.run(world.act(world.start(seed), Treat("p1", both)), self.days * DAY_H).trace
        return [trace["p1", "chemo"].at((self.days - 1) * DAY_H).item(), trace["p1", "volume"].at(DAY_H).item()]


@dataclass(frozen=True, kw_only=True)
class Propensities(Replicated):
    """The recorded chances against the stated law of the diameters, and the coins against the recorded chances.

    The logit of what is recorded is linear in the mean diameter before; its slope is γ/13. The fault is in γ.
    """

    world: Tumour = Tumour(gamma=4.0)
    patients: int = 500
    replications: int = 48

    def __post_init__(self):
        super().__post_init__()
        require(self.world.gamma > 0, self, "world", "one with gamma above 0")

    def targets(self):
        gamma, full = self.world.gamma, self.world.death_cm
        return [
            Target("slope of the logit (1/cm)", gamma / full, "stated law", 1e-9, reason=NOTICE),
            Target("logit at no size", -gamma / 2, "stated law", 1e-9),
            Target("chemotherapy given less chance", 0.0, "recorded chances", 0.004, True),
            Target("radiotherapy given less chance", 0.0, "recorded chances", 0.004, True),
        ]

    def replicate(self, seed):
        world = replace(self.world, patients=self.patients, gamma=self.world.gamma * (1 + self.fault))
        found = follow(world, seed)
        decided = np.isfinite(found.mean_cm_NxT)
        p, mean_cm = found.propensity_NxT[decided], found.mean_cm_NxT[decided]
        slope, level = np.polyfit(mean_cm, np.log(p / (1 - p)), 1)
        given = [(doses[decided] > 0).mean() - p.mean() for doses in (found.chemo_dose_NxT, found.radio_dose_NxT)]
        return [slope, level, *given]
