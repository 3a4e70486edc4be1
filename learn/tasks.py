"""What a model is asked: the future values of a series, or when and how an asset fails."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sim.errors import require

LEVELS = (0.01, *(round(0.05 * i, 2) for i in range(1, 20)), 0.99)
EDGES_H = (1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 48.0, 96.0, 168.0, 336.0)


@dataclass(frozen=True)
class Forecast:
    """The next *horizon* samples of every target. `mse` trains one number a step, `pinball` the quantiles."""

    horizon: int
    quantiles: tuple[float, ...] = LEVELS
    loss: Literal["pinball", "mse"] = "pinball"

    def __post_init__(self):
        object.__setattr__(self, "quantiles", tuple(self.quantiles))
        require(self.horizon >= 1, self, "horizon", "at least 1 sample")
        rising = all(a < b for a, b in zip(self.quantiles, self.quantiles[1:], strict=False))
        inside = all(0 < q < 1 for q in self.quantiles)
        require(
            bool(self.quantiles) and rising and inside, self, "quantiles", "levels that rise strictly within (0, 1)"
        )
        require(self.loss in ("pinball", "mse"), self, "loss", "'pinball' or 'mse'")

    @property
    def samples_ahead(self) -> int:
        """Samples after the context that a window needs."""
        return self.horizon


@dataclass(frozen=True)
class TimeToEvent:
    """When an asset next fails, and of which cause. Bins of hours (0, e₁], (e₁, e₂] … from now on.

    *horizon_h* is one of the edges, so that "fails within it" is read off without interpolation.
    """

    causes: tuple[str, ...] = ("wear", "sudden")
    edges_h: tuple[float, ...] = EDGES_H
    horizon_h: float = 24.0

    def __post_init__(self):
        object.__setattr__(self, "causes", tuple(self.causes))
        object.__setattr__(self, "edges_h", tuple(float(e) for e in self.edges_h))
        require(len(self.causes) >= 1 and all(self.causes), self, "causes", "at least one name of a failure's cause")
        rising = all(a < b < math.inf for a, b in zip((0.0, *self.edges_h), self.edges_h, strict=False))
        require(bool(self.edges_h) and rising, self, "edges_h", "finite hours that rise strictly from above 0")
        require(self.horizon_h in self.edges_h, self, "horizon_h", f"one of the edges_h {self.edges_h}")

    @property
    def samples_ahead(self) -> int:
        """Samples after the context that a window needs."""
        return 0


Task = Forecast | TimeToEvent
