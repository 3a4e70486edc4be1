"""What comes over a grid, and what can be done to it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sim.errors import require
from sim.grid.network import YEAR_H
from sim.laws import Exponential, Law


@dataclass(frozen=True)
class Storms:
    """While a storm lasts, every exposed section fails *factor* times as often."""

    per_year: float = 5.0
    length: Law = field(default_factory=lambda: Exponential(8.0))
    factor: float = 20.0

    def __post_init__(self):
        require(0 < self.per_year < math.inf, self, "per_year", "above 0 and finite")
        require(1 <= self.factor < math.inf, self, "factor", "at least 1 and finite")

    @property
    def gap(self) -> Exponential:
        """From the end of one to the beginning of the next."""
        return Exponential(YEAR_H / self.per_year)


@dataclass(frozen=True)
class SwitchSection:
    """Action: a section is opened by hand, or closed again."""

    section: str
    open: bool = True


@dataclass(frozen=True)
class Replace:
    """Action: a new section or transformer is put in place of one that is up, waits for a crew or is being repaired."""

    element: str


Action = SwitchSection | Replace
