"""What marks a part, and where it is worked anew."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np

from sim.errors import require
from sim.laws import Exponential, Law

KINDS = ("scratch", "dent", "stain")
BENCH, TIME = "bench", "bench/time"
SEEN = ("part", "pass", *KINDS, "defective", "verdict")


@dataclass(frozen=True)
class Flaw:
    """How a machine marks the parts that it works: severities are exponential, and grow with its wear.

    Their mean is base + gain · wear^power, in units of the tolerance. A mark of severity s spoils the part by the
    chance 1 − exp(−s^sharpness), so that one far below the tolerance hardly ever does and one far
    above it nearly always.
    """

    machine: str
    kind: Literal["scratch", "dent", "stain"]
    base: float = 0.1
    gain: float = 0.6
    power: float = 2.0
    sharpness: float = 4.0

    def __post_init__(self):
        require(self.kind in KINDS, self, "kind", f"one of {', '.join(KINDS)}")
        for name in ("base", "gain"):
            require(0 <= getattr(self, name) < math.inf, self, name, "at least 0 and finite")
        for name in ("power", "sharpness"):
            require(0 < getattr(self, name) <= 20, self, name, "above 0 and at most 20")

    @property
    def name(self) -> str:
        return f"{self.machine}/{self.kind}"

    def mean(self, wear):
        """Mean severity at *wear*."""
        return self.base + self.gain * np.asarray(wear, np.float64) ** self.power

    def spoils(self, severity):
        """The chance that a mark of *severity* spoils the part."""
        return -np.expm1(-(np.asarray(severity, np.float64) ** self.sharpness))

    def chance(self, wear):
        """The chance that the machine spoils a part at *wear*: the mean of `spoils` over its severities."""
        unit, weight = _exponential_nodes()
        return self.spoils(np.multiply.outer(self.mean(wear), unit)) @ weight


@lru_cache(maxsize=1)
def _exponential_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for the mean over a standard exponential: Gauss and Legendre's on pieces of [0, 40]."""
    x, w = np.polynomial.legendre.leggauss(32)
    edges = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 40.0])
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    nodes = (middle[:, None] + half[:, None] * x).ravel()
    return nodes, (half[:, None] * w).ravel() * np.exp(-nodes)


@dataclass(frozen=True)
class Bench:
    """Where rejected parts are worked anew, one at a time in the order they came: all their marks are made again.

    Each machine's marks are then as those of that machine at *wear*. A part that is rejected after *passes* reworks is
    scrapped.
    """

    time: Law = Exponential(0.5)
    passes: int = 1
    wear: float = 0.0

    def __post_init__(self):
        require(0 <= self.passes <= 100, self, "passes", "from 0 to 100: rework without a limit may never end")
        require(0 <= self.wear < 1, self, "wear", "at least 0 and below 1")
