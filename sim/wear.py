"""Wear laws: how a unit's hidden damage grows with work until it fails."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim.errors import require
from sim.laws import InverseGaussian, Lognormal


@dataclass(frozen=True)
class Wiener:
    """Brownian wear with drift to a threshold, kept as its running maximum on a ladder of levels.

    The times between successive levels are independent inverse Gaussians of mean d/μ and shape d²/σ² (d = threshold /
    levels), so the life is exactly inverse Gaussian however coarse the ladder: no time grid, no late crossing. Time
    here is wear time: operating hours times load · speed^load_exponent times the unit's own rate, which is drawn for
    each new unit from a lognormal of mean 1 and coefficient of variation `spread_cv`.
    """

    drift_per_h: float
    diffusion_per_sqrt_h: float
    threshold: float = 1.0
    levels: int = 50
    spread_cv: float = 0.0
    load_exponent: float = 1.0

    def __post_init__(self):
        for field in ("drift_per_h", "diffusion_per_sqrt_h", "threshold"):
            require(0 < getattr(self, field) < math.inf, self, field, "above 0 and finite")
        require(self.levels >= 1, self, "levels", "at least 1")
        finest = self.drift_per_h * self.threshold / self.diffusion_per_sqrt_h**2 * 1e6
        require(self.levels <= finest, self, "levels", f"at most {finest:.3g} for this drift and diffusion")
        require(0 <= self.spread_cv < math.inf, self, "spread_cv", "at least 0 and finite")
        require(0 <= self.load_exponent < math.inf, self, "load_exponent", "at least 0 and finite")

    @property
    def mean_life_h(self) -> float:
        """Mean first-passage time μ⁻¹·threshold of a unit of rate 1, in wear hours."""
        return self.threshold / self.drift_per_h

    @property
    def level_time(self) -> InverseGaussian:
        """The law of the wear time from one level to the next."""
        step = self.threshold / self.levels
        return InverseGaussian(step / self.drift_per_h, (step / self.diffusion_per_sqrt_h) ** 2)

    @property
    def rate(self) -> Lognormal | None:
        """The law of a unit's own rate (a pure number, not hours), or None where units do not differ."""
        return Lognormal(1.0, self.spread_cv) if self.spread_cv else None

    def remaining_h(self, wear: float) -> tuple[float, float]:
        """Mean and variance of the life that remains at *wear* for a unit of rate 1 (first passage)."""
        distance = self.threshold - wear
        return distance / self.drift_per_h, distance * self.diffusion_per_sqrt_h**2 / self.drift_per_h**3
