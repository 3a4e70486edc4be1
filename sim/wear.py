"""Wear laws: how a unit's hidden damage grows with work until it fails.

Each is a Markov chain of breakpoints. Wear is a fraction of the failure threshold; time here is wear time: operating
hours times load · speed^load_exponent times the unit's own rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from scipy import special

from sim.errors import require
from sim.laws import SHORTEST_H, UNIT, InverseGaussian, Law, Lognormal, Uniform

Unit = Mapping[str, float]  # what a unit has drawn for itself, by name


class Wear(Protocol):
    """From a wear now and the unit's own parameters, one draw gives the time to the next breakpoint and the wear there.

    A unit fails where its wear reaches 1.
    """

    @property
    def load_exponent(self) -> float: ...

    @property
    def parameters(self) -> Mapping[str, Law]:
        """Laws of what each unit draws for itself when new; `rate`, a pure number, multiplies its wear time."""
        ...

    @property
    def draws(self) -> Law:
        """The law of the draw that `step` takes, so that a stream can make many at once."""
        ...

    @property
    def last(self) -> float:
        """The highest wear at which a unit can be seen before it fails."""
        ...

    def begin(self, unit: Unit) -> float:
        """The wear of a new unit."""
        ...

    def step(self, wear: float, unit: Unit, draw: float) -> tuple[float, float]:
        """Wear hours to the next breakpoint, and the wear there. A larger draw never takes less time."""
        ...

    def sf(self, wear: float, unit: Unit, spent_h: float) -> float:
        """P(a step takes at least *spent_h*): given that it has, the survival of its draw is uniform below this."""
        ...

    def leave(self, wear: float, unit: Unit, share: float) -> float:
        """The wear from which a unit goes on where *share* of its wear stays."""
        ...


def _require_common(law: Wear) -> None:
    require(0 <= getattr(law, "spread_cv", 0.0) < math.inf, law, "spread_cv", "at least 0 and finite")
    require(0 <= law.load_exponent < math.inf, law, "load_exponent", "at least 0 and finite")


def _rate(spread_cv: float) -> dict[str, Law]:
    """Units that differ by their rate alone: lognormal of mean 1."""
    return {"rate": Lognormal(1.0, spread_cv)} if spread_cv else {}


def _rung(wear: float, rungs: int) -> int:
    """The rung of a ladder of equal steps that *wear* has reached."""
    return math.floor(wear * rungs + 1e-9)


@lru_cache
def _passage(distance: float, drift_per_h: float, diffusion_per_sqrt_h: float) -> InverseGaussian:
    return InverseGaussian(distance / drift_per_h, (distance / diffusion_per_sqrt_h) ** 2)


@dataclass(frozen=True)
class Wiener:
    """Brownian wear with drift to a threshold, kept as its running maximum on a ladder of levels.

    The times between successive levels are independent inverse Gaussians of mean d/μ and shape d²/σ² (d = threshold /
    levels), so the life is exactly inverse Gaussian however coarse the ladder: no time grid, no late crossing. The rate
    is drawn for each new unit from a lognormal of mean 1 and coefficient of variation `spread_cv`. Wear that a repair
    leaves is rounded down to a level.
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
        _require_common(self)

    @property
    def mean_life_h(self) -> float:
        """Mean first-passage time μ⁻¹·threshold of a unit of rate 1, in wear hours."""
        return self.threshold / self.drift_per_h

    @property
    def level_time(self) -> InverseGaussian:
        """The law of the wear time from one level to the next."""
        return _passage(self.threshold / self.levels, self.drift_per_h, self.diffusion_per_sqrt_h)

    draws = level_time

    @property
    def rate(self) -> Lognormal | None:
        """The law of a unit's own rate (a pure number, not hours), or None where units do not differ."""
        return Lognormal(1.0, self.spread_cv) if self.spread_cv else None

    @property
    def parameters(self) -> dict[str, Law]:
        return _rate(self.spread_cv)

    @property
    def last(self) -> float:
        return 1 - 1 / self.levels

    def begin(self, unit: Unit) -> float:
        return 0.0

    def step(self, wear: float, unit: Unit, draw: float) -> tuple[float, float]:
        return draw, (_rung(wear, self.levels) + 1) / self.levels

    def sf(self, wear: float, unit: Unit, spent_h: float) -> float:
        return float(self.level_time.sf(spent_h))

    def leave(self, wear: float, unit: Unit, share: float) -> float:
        return _rung(share * wear, self.levels) / self.levels

    def remaining_h(self, wear: float) -> tuple[float, float]:
        """Mean and variance of the life that remains at *wear* for a unit of rate 1 (first passage)."""
        distance = self.threshold - wear
        return distance / self.drift_per_h, distance * self.diffusion_per_sqrt_h**2 / self.drift_per_h**3


@dataclass(frozen=True)
class GammaProcess:
    """Monotone wear with independent gamma increments, seen at every tick (Abdel-Hameed 1975; van Noortwijk 2009).

    In *t* wear hours wear grows by Gamma(shape_per_h · t, scale), of distribution G(·; t). One uniform q makes a tick:
    below G(what remains; tick_h) it is the quantile of the growth; above, the unit fails within the tick, at the T that
    solves G(what remains; T) = q. So lives have the survival G(threshold; t) exactly, however long the tick.
    """

    shape_per_h: float
    scale: float
    threshold: float = 1.0
    tick_h: float = 10.0  # wear time from breakpoint to breakpoint
    spread_cv: float = 0.0
    load_exponent: float = 1.0

    def __post_init__(self):
        for field in ("shape_per_h", "scale", "threshold"):
            require(0 < getattr(self, field) < math.inf, self, field, "above 0 and finite")
        require(SHORTEST_H <= self.tick_h < math.inf, self, "tick_h", f"at least {SHORTEST_H:g} and finite")
        _require_common(self)

    last = 1.0
    draws = UNIT

    @property
    def parameters(self) -> dict[str, Law]:
        return _rate(self.spread_cv)

    def begin(self, unit: Unit) -> float:
        return 0.0

    def step(self, wear: float, unit: Unit, draw: float) -> tuple[float, float]:
        q = 1 - draw
        if q < self.sf(wear, unit, self.tick_h):
            growth = special.gammaincinv(self.shape_per_h * self.tick_h, q) * self.scale / self.threshold
            return self.tick_h, float(min(wear + growth, 1.0))
        shape = special.gdtrib(1.0, q, (1 - wear) * self.threshold / self.scale)
        return min(float(shape) / self.shape_per_h, self.tick_h), 1.0

    def sf(self, wear: float, unit: Unit, spent_h: float) -> float:
        return float(special.gammainc(self.shape_per_h * spent_h, (1 - wear) * self.threshold / self.scale))

    def leave(self, wear: float, unit: Unit, share: float) -> float:
        return share * wear


@dataclass(frozen=True)
class Markov:
    """Wear through equal states one after the other, the last of which is failure.

    The time in a state is exponential; where *period_h* is given time is discrete and it is geometric: in each period
    one step up with probability period_h / step_h. Wear that a repair leaves is rounded down to a state.
    """

    step_h: float  # mean time in a state
    states: int = 6
    period_h: float = 0.0  # 0: continuous time
    spread_cv: float = 0.0
    load_exponent: float = 1.0

    def __post_init__(self):
        require(SHORTEST_H <= self.step_h < math.inf, self, "step_h", f"at least {SHORTEST_H:g} and finite")
        require(self.states >= 2, self, "states", "at least 2")
        ok = self.period_h == 0 or SHORTEST_H <= self.period_h < self.step_h
        require(ok, self, "period_h", f"0, or at least {SHORTEST_H:g} and below step_h")
        _require_common(self)

    draws = UNIT

    @property
    def parameters(self) -> dict[str, Law]:
        return _rate(self.spread_cv)

    @property
    def last(self) -> float:
        return (self.states - 2) / (self.states - 1)

    def begin(self, unit: Unit) -> float:
        return 0.0

    def step(self, wear: float, unit: Unit, draw: float) -> tuple[float, float]:
        there = (_rung(wear, self.states - 1) + 1) / (self.states - 1)
        nats = -math.log1p(-draw)
        if not self.period_h:
            return self.step_h * nats, there
        periods = math.ceil(nats / -math.log1p(-self.period_h / self.step_h))
        return self.period_h * max(periods, 1), there

    def sf(self, wear: float, unit: Unit, spent_h: float) -> float:
        if not self.period_h:
            return math.exp(-spent_h / self.step_h)
        over = max(math.ceil(spent_h / self.period_h - 1e-6) - 1, 0)  # what is due at this very time is not yet seen
        return (1 - self.period_h / self.step_h) ** over

    def leave(self, wear: float, unit: Unit, share: float) -> float:
        return _rung(share * wear, self.states - 1) / (self.states - 1)


@dataclass(frozen=True)
class Cmapss:
    """Exponential damage as in NASA's C-MAPSS data: health 1 − d − (exp(a·t^b) − 1), failure at 0 (Saxena et al. 2008).

    The paper prints it without the last −1, which would be dead at birth. Each unit draws its a, b and initial wear d;
    given them nothing is left to chance. *scale_h* stretches the paper's time: at 3.92 the lives of 100 units are
    expected between 124 and 373 h about a mean of 207 (FD001: 128 to 362 cycles about 206; unscaled 30 to 107). A
    repair leaves at least the initial wear.
    """

    a: tuple[float, float] = (0.001, 0.003)
    b: tuple[float, float] = (1.4, 1.6)
    d: tuple[float, float] = (0.0, 0.01)
    scale_h: float = 3.92
    levels: int = 50
    load_exponent: float = 1.0

    def __post_init__(self):
        for field in ("a", "b", "d"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        require(len(self.a) == 2 and 0 < self.a[0] <= self.a[1] < math.inf, self, "a", "a range above 0 and finite")
        require(len(self.b) == 2 and 0 < self.b[0] <= self.b[1] < math.inf, self, "b", "a range above 0 and finite")
        require(len(self.d) == 2 and 0 <= self.d[0] <= self.d[1] < 1, self, "d", "a range between 0 and 1")
        require(SHORTEST_H <= self.scale_h < math.inf, self, "scale_h", f"at least {SHORTEST_H:g} and finite")
        require(self.levels >= 1, self, "levels", "at least 1")
        _require_common(self)

    draws = UNIT

    @property
    def parameters(self) -> dict[str, Law]:
        return {"a": Uniform(*self.a), "b": Uniform(*self.b), "d": Uniform(*self.d)}

    @property
    def last(self) -> float:
        return 1 - 1 / self.levels

    def begin(self, unit: Unit) -> float:
        return unit["d"]

    def time_h(self, wear: float, unit: Unit) -> float:
        """When a unit reaches *wear*, in wear hours since it was new."""
        return self.scale_h * (math.log1p(wear - unit["d"]) / unit["a"]) ** (1 / unit["b"])

    def step(self, wear: float, unit: Unit, draw: float) -> tuple[float, float]:
        there = (_rung(wear, self.levels) + 1) / self.levels
        return self.time_h(there, unit) - self.time_h(wear, unit), there

    def sf(self, wear: float, unit: Unit, spent_h: float) -> float:
        return 1.0

    def leave(self, wear: float, unit: Unit, share: float) -> float:
        return max(share * wear, unit["d"])
