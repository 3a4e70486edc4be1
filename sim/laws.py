"""Laws of positive random times, each with its inverse survival function, so that one uniform makes one draw.

`isf` and `sf` take and return arrays or scalars of hours. Durations too short to move a clock are refused: a
world whose clock can stand still never ends.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from scipy import special

from sim.errors import require

SHORTEST_H = 1e-9  # 3.6 µs; a century on, a clock of float64 hours still moves by it


class Law(Protocol):
    """A law of a positive time in hours."""

    @property
    def mean_h(self) -> float: ...

    def sf(self, t_h: Any) -> Any:
        """P(T > t)."""
        ...

    def isf(self, q: Any) -> Any:
        """The time whose survival is q, for q in (0, 1]."""
        ...


def _require_time(law: object, field: str) -> None:
    require(SHORTEST_H <= getattr(law, field) < math.inf, law, field, f"at least {SHORTEST_H:g} and finite")


@dataclass(frozen=True)
class Residual:
    """What remains of a life of which the age is known: T − age given T > age."""

    law: Law
    age_h: float

    @property
    def mean_h(self) -> float:
        raise NotImplementedError("the mean of a residual life has no closed form for every law")

    def sf(self, t_h):
        return self.law.sf(self.age_h + np.asarray(t_h)) / self.law.sf(self.age_h)

    def isf(self, q):
        survival = self.law.sf(self.age_h)
        if not survival > 0:  # older than floats can tell: it ends at once
            return np.zeros_like(q, dtype=np.float64)
        return np.maximum(self.law.isf(np.maximum(q * survival, _SMALLEST)) - self.age_h, 0.0)


def residual_h(law: Law, age_h: float, q: float) -> float:
    """A draw of T − age given T > age, from one uniform q in (0, 1]: what remains of a life of known age."""
    return float(Residual(law, age_h).isf(q))


@dataclass(frozen=True)
class Deterministic:
    """Always the same time."""

    mean_h: float

    def __post_init__(self):
        _require_time(self, "mean_h")

    def sf(self, t_h):
        return np.where(np.asarray(t_h) < self.mean_h, 1.0, 0.0)

    def isf(self, q):
        return np.full_like(q, self.mean_h, dtype=np.float64)


def redraw(law: Law, elapsed_h: float, left_h: float, q: float) -> float:
    """What remains of a time of which *elapsed_h* is known; a deterministic time stays as it is, to the last bit."""
    return left_h if isinstance(law, Deterministic) else residual_h(law, max(elapsed_h, 0.0), q)


class Unit:
    """A number uniform strictly within (0, 1), for what is drawn from a stream and is no time."""

    mean_h = 0.5

    def sf(self, t_h):
        return 1.0 - np.clip(t_h, 0.0, 1.0)

    def isf(self, q):
        return np.minimum(1.0 - q + 2.0**-54, 1.0 - 2.0**-53)


UNIT = Unit()


@dataclass(frozen=True)
class Uniform:
    """Any time from *low_h* to *high_h* alike."""

    low_h: float
    high_h: float

    def __post_init__(self):
        require(0 <= self.low_h < math.inf, self, "low_h", "at least 0 and finite")
        require(self.low_h <= self.high_h < math.inf, self, "high_h", "at least low_h and finite")

    @property
    def mean_h(self) -> float:
        return (self.low_h + self.high_h) / 2

    def sf(self, t_h):
        t_h = np.asarray(t_h)
        width = self.high_h - self.low_h
        return np.clip((self.high_h - t_h) / width, 0.0, 1.0) if width else np.where(t_h < self.low_h, 1.0, 0.0)

    def isf(self, q):
        return self.high_h - (self.high_h - self.low_h) * np.asarray(q)


@dataclass(frozen=True)
class Exponential:
    """Memoryless."""

    mean_h: float

    def __post_init__(self):
        _require_time(self, "mean_h")

    def sf(self, t_h):
        return np.exp(-np.asarray(t_h) / self.mean_h)

    def isf(self, q):
        return -self.mean_h * np.log(q)


@dataclass(frozen=True)
class Weibull:
    """S(t) = exp(−(t/η)^β); mean ηΓ(1+1/β). A shape above 1 wears out, below 1 fails early."""

    scale_h: float
    shape: float

    def __post_init__(self):
        _require_time(self, "scale_h")
        require(0 < self.shape < math.inf, self, "shape", "above 0 and finite")

    @property
    def mean_h(self) -> float:
        return self.scale_h * math.gamma(1 + 1 / self.shape)

    def sf(self, t_h):
        return np.exp(-((np.asarray(t_h) / self.scale_h) ** self.shape))

    def isf(self, q):
        return self.scale_h * (-np.log(q)) ** (1 / self.shape)


@dataclass(frozen=True)
class Gamma:
    """Gamma with a mean and a coefficient of variation (shape 1/cv²)."""

    mean_h: float
    cv: float

    def __post_init__(self):
        _require_time(self, "mean_h")
        require(0 < self.cv < math.inf, self, "cv", "above 0 and finite")

    def sf(self, t_h):
        shape = self.cv**-2
        return special.gammaincc(shape, np.asarray(t_h) * shape / self.mean_h)

    def isf(self, q):
        shape = self.cv**-2
        return special.gammainccinv(shape, q) * self.mean_h / shape


@dataclass(frozen=True)
class Lognormal:
    """Lognormal with a mean and a coefficient of variation (σ² = ln(1+cv²))."""

    mean_h: float
    cv: float

    def __post_init__(self):
        _require_time(self, "mean_h")
        require(0 < self.cv < math.inf, self, "cv", "above 0 and finite")

    def sf(self, t_h):
        sigma = math.sqrt(math.log1p(self.cv**2))
        with np.errstate(divide="ignore"):
            return special.ndtr(-(np.log(np.asarray(t_h) / self.mean_h) + sigma**2 / 2) / sigma)

    def isf(self, q):
        sigma = math.sqrt(math.log1p(self.cv**2))
        return self.mean_h * np.exp(-sigma * special.ndtri(q) - sigma**2 / 2)


@dataclass(frozen=True)
class InverseGaussian:
    """First passage of Brownian motion with drift: mean m, shape λ, variance m³/λ.

    Both tails come from scaled complementary error functions, φ(a)[M(|a|) ± M(b)] with Mills' ratio M, so that neither
    underflows; the inverse is read from a table and brought to full precision by one step of Halley's method.
    """

    mean_h: float
    shape_h: float

    def __post_init__(self):
        _require_time(self, "mean_h")
        ok = 1e-6 * self.mean_h <= self.shape_h < math.inf
        require(ok, self, "shape_h", "above 0 and finite, at least a millionth of the mean")

    def sf(self, t_h):
        phi = self.shape_h / self.mean_h
        x = np.clip(np.asarray(t_h, np.float64) / self.mean_h, 1e-6 * min(phi, 1.0), 1e300)  # 1 before, 0 beyond
        a, _, ratio = _passage(x, phi)
        tail = np.exp(-(a**2) / 2) * ratio
        return np.where(x < 1, 1 - tail, tail)

    def isf(self, q):
        phi = self.shape_h / self.mean_h
        q = np.maximum(q, _SMALLEST)
        y = np.interp(-special.ndtri(q), *_passage_table(phi))
        x = np.exp(y)
        a, b, ratio = _passage(x, phi)
        lower = x < 1
        with np.errstate(divide="ignore", invalid="ignore"):  # the logarithm of 0 at q = 1
            target = np.where(lower, np.log1p(-q), np.log(q))
            # In the log of the tail's probability and the log of time: the exponential factors cancel.
            slope = np.where(lower, 1.0, -1.0) * np.sqrt(phi / (2 * math.pi * x)) / ratio
            step = (np.log(ratio) - a**2 / 2 - target) / slope
            x = x * np.exp(-step / (1 - step * (-0.5 - a * b / 2 - slope) / 2))
        return np.where(q < 1, x * self.mean_h, 0.0)


_SMALLEST = np.finfo(np.float64).tiny


def _passage(x, phi):
    """a and b of the inverse Gaussian of mean 1 and shape *phi*, and its nearer tail over exp(−a²/2).

    The tail is P(X ≤ x) below the mean and P(X > x) from there on.
    """
    root = np.sqrt(phi / x)
    a, b = (x - 1) * root, (x + 1) * root
    other = special.erfcx(b * math.sqrt(0.5))
    return a, b, 0.5 * (special.erfcx(np.abs(a) * math.sqrt(0.5)) + np.where(x < 1, other, -other))


@lru_cache(maxsize=256)
def _passage_table(phi: float) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores and the logs of the times that have them, from below 2⁻⁵³ to the smallest float."""
    root = math.sqrt(phi)
    lowest, highest = (2 * math.asinh(a / (2 * root)) for a in (-9.0, 38.5))  # where a is −9 and 38.5
    y = np.linspace(lowest, highest, 4096)
    x = np.exp(y)
    a, _, ratio = _passage(x, phi)
    score = special.ndtri_exp(np.log(ratio) - a**2 / 2)
    return np.where(x < 1, score, -score), y


@dataclass(frozen=True)
class Geometric:
    """Whole slots until a trial succeeds, one trial a slot, each with probability slot/mean."""

    mean_h: float
    slot_h: float = 1.0

    def __post_init__(self):
        _require_time(self, "slot_h")
        require(self.slot_h <= self.mean_h < math.inf, self, "mean_h", f"at least one slot of {self.slot_h} h")

    def sf(self, t_h):
        whole = np.floor(np.maximum(t_h, 0.0) / self.slot_h)
        return (1 - self.slot_h / self.mean_h) ** whole

    def isf(self, q):
        with np.errstate(divide="ignore"):  # the logarithm of 0 where every trial succeeds
            slots = np.log(q) / np.log1p(-self.slot_h / self.mean_h)
        return self.slot_h * np.maximum(np.ceil(slots), 1.0)


@dataclass(frozen=True)
class Scaled:
    """*factor* times another law."""

    law: Law
    factor: float

    def __post_init__(self):
        require(0 < self.factor < math.inf, self, "factor", "above 0 and finite")

    @property
    def mean_h(self) -> float:
        return self.factor * self.law.mean_h

    def sf(self, t_h):
        return self.law.sf(np.asarray(t_h) / self.factor)

    def isf(self, q):
        return self.factor * self.law.isf(q)
