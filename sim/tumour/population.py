"""The published population of lung tumours, one patient a draw. Research only, not for clinical use.

Geng, Paganetti & Grassberger 2017 (Sci. Rep. 7:13542), as parameterised by the literature on counterfactual outcomes
(Lim, Alaa & van der Schaar 2018; Bica et al. 2020; Melnychuk, Frauen & Feuerriegel 2022). Shares of the stages are
those of Detterbeck & Gibson 2008, diameters at diagnosis those of Winer-Muram et al. 2002.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.integrate import quad
from scipy.special import ndtr, ndtri

from sim.errors import require


def volume_cm3(diameter_cm: float) -> float:
    """Of a sphere."""
    return math.pi / 6 * diameter_cm**3


@dataclass(frozen=True)
class Stage:
    """A stage of the cancer: how many patients have it, and the truncated log-normal law of their diameters."""

    name: str
    count: int
    log_mean: float  # of the diameter in cm, before truncation
    log_sd: float
    least_cm: float
    most_cm: float

    def __post_init__(self):
        require(self.count >= 0, self, "count", "at least 0")
        require(0 < self.log_sd < math.inf, self, "log_sd", "above 0 and finite")
        require(0 < self.least_cm < math.inf, self, "least_cm", "above 0 and finite")
        require(self.least_cm < self.most_cm < math.inf, self, "most_cm", "above least_cm and finite")

    def diameter_cm(self, u: float) -> float:
        """The diameter below which a share *u* of the stage lies."""
        low, high = (ndtr((math.log(d) - self.log_mean) / self.log_sd) for d in (self.least_cm, self.most_cm))
        found = math.exp(self.log_mean + self.log_sd * float(ndtri(low + u * (high - low))))
        return min(max(found, self.least_cm), self.most_cm)


STAGES = (
    Stage("I", 1432, 1.72, 4.70, 0.3, 5.0),
    Stage("II", 128, 1.96, 1.63, 0.3, 13.0),
    Stage("IIIA", 1306, 1.91, 9.40, 0.3, 13.0),
    Stage("IIIB", 7248, 2.76, 6.87, 0.3, 13.0),
    Stage("IV", 12840, 3.86, 8.82, 0.3, 13.0),
)


class Body(NamedTuple):
    """What is a patient's own for life: hidden, but for the kind."""

    kind: int  # 1: more sensitive to radiation, 3: to chemotherapy, 2: to neither
    stage: str
    volume_cm3: float  # at the start
    alpha: float  # of radiation, 1/Gy
    beta: float  # 1/Gy²
    rho: float  # of growth, 1/day
    beta_c: float  # of chemotherapy, 1/day at a concentration of 1


@dataclass(frozen=True)
class Population:
    """Patients with correlated sensitivity to radiation and growth; a draw in which one is not positive is rejected."""

    alpha_mean: float = 0.0398
    alpha_sd: float = 0.168
    rho_mean: float = 7e-5
    rho_sd: float = 7.23e-3
    correlation: float = 0.87
    alpha_over_beta: float = 10.0  # Gy
    beta_c_mean: float = 0.028
    beta_c_sd: float = 0.0007
    more: float = 0.1  # share of a mean by which kind 1 has a higher alpha, kind 3 a higher beta_c
    stages: tuple[Stage, ...] = STAGES

    def __post_init__(self):
        for field in ("alpha_sd", "rho_sd", "beta_c_sd", "alpha_over_beta"):
            require(0 < getattr(self, field) < math.inf, self, field, "above 0 and finite")
        for field, sd in (("alpha_mean", self.alpha_sd), ("rho_mean", self.rho_sd), ("beta_c_mean", self.beta_c_sd)):
            ok = -2 * sd <= getattr(self, field) < math.inf
            require(ok, self, field, "finite, and not so far below 0 that hardly a draw is kept (2 sd)")
        require(-0.99 <= self.correlation <= 0.99, self, "correlation", "between -0.99 and 0.99")
        require(0 <= self.more < math.inf, self, "more", "at least 0 and finite")
        require(sum(stage.count for stage in self.stages) > 0, self, "stages", "at least one with patients")

    def draw(self, pair: Callable[[], float], single: Callable[[], float]) -> tuple[Body, int]:
        """A patient, and how many pairs of alpha and rho it took.

        *pair* and *single* give uniforms in (0, 1): two of *pair* a try, four of *single* in all.
        """
        kind = 1 + min(int(3 * single()), 2)
        stage = self._stage(single())
        diameter_cm = stage.diameter_cm(single())
        low = ndtr(-self.beta_c_mean / self.beta_c_sd)
        beta_c = self.beta_c_mean + self.beta_c_sd * float(ndtri(low + single() * (1 - low)))
        alpha, rho, tries = -1.0, -1.0, 0
        while alpha <= 0 or rho <= 0:
            a, b = float(ndtri(pair())), float(ndtri(pair()))
            alpha = self.alpha_mean + self.alpha_sd * a
            rho = self.rho_mean + self.rho_sd * (self.correlation * a + math.sqrt(1 - self.correlation**2) * b)
            tries += 1
        alpha += self.more * self.alpha_mean * (kind == 1)
        beta_c += self.more * self.beta_c_mean * (kind == 3)
        beta = alpha / self.alpha_over_beta
        return Body(kind, stage.name, volume_cm3(diameter_cm), alpha, beta, rho, beta_c), tries

    def _stage(self, u: float) -> Stage:
        return self.stages[min(int(np.searchsorted(self._shares, u, side="right")), len(self.stages) - 1)]

    @cached_property
    def _shares(self) -> np.ndarray:
        counts = np.cumsum([stage.count for stage in self.stages])
        return counts / counts[-1]

    @property
    def kept(self) -> float:
        """P(alpha > 0, rho > 0), by integration over alpha."""
        return self._moment(0)

    @property
    def alpha_kept(self) -> float:
        """Mean alpha of the patients, by integration, the kinds' own included."""
        return self._moment(1) / self._moment(0) + self.more * self.alpha_mean / 3

    def _moment(self, power: int) -> float:
        r = self.correlation

        def density(z: float) -> float:
            """Of alpha's standard score, times the chance that rho is positive."""
            rho = (self.rho_mean / self.rho_sd + r * z) / math.sqrt(1 - r * r)
            chance = math.exp(-z * z / 2) / math.sqrt(2 * math.pi) * float(ndtr(rho))
            return (self.alpha_mean + self.alpha_sd * z) ** power * chance

        least = -self.alpha_mean / self.alpha_sd
        return float(quad(density, least, least + 20, epsabs=1e-12, limit=200)[0])
