"""How warm a distribution transformer gets under its load, and how fast its paper ages (IEC 60076-7:2018).

The exponential form of the standard is exact where load and ambient temperature are constant between breakpoints:
top oil relaxes towards θa + Δθor·((1 + R·K²)/(1 + R))^x with k11·τo, and the hot spot lies above it by two terms,
k21·H·gr·K^y with k22·τw, less (k21 − 1)·H·gr·K^y with τo/k22.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from sim.compiled import compiled
from sim.errors import require

NORMAL_LIFE_H = 180_000.0  # of upgraded paper at 110 °C (IEC 60076-7; IEEE C57.91)


@dataclass(frozen=True)
class Transformer:
    """Distribution transformer with natural cooling (ONAN): IEC 60076-7, tables of thermal characteristics."""

    rated_kva: float = 250.0
    loss_ratio: float = 5.0  # R, load loss at rated current over no-load loss
    oil_exponent: float = 0.8  # x
    winding_exponent: float = 1.6  # y
    k11: float = 1.0
    k21: float = 1.0
    k22: float = 2.0
    oil_min: float = 180.0  # τo
    winding_min: float = 4.0  # τw
    oil_rise_k: float = 55.0  # Δθor, of top oil at rated load
    gradient_k: float = 23.0  # H·gr, of the hot spot over top oil at rated load
    paper: Literal["normal", "upgraded"] = "normal"

    def __post_init__(self):
        for name in ("rated_kva", "oil_min", "winding_min", "k11", "k22"):
            require(0 < getattr(self, name) < math.inf, self, name, "above 0 and finite")
        for name in ("loss_ratio", "oil_rise_k", "gradient_k"):
            require(0 <= getattr(self, name) < math.inf, self, name, "at least 0 and finite")
        require(1 <= self.k21 <= 5, self, "k21", "between 1 and 5")
        for name in ("oil_exponent", "winding_exponent"):
            require(0.5 <= getattr(self, name) <= 2.5, self, name, "between .5 and 2.5")
        require(self.paper in ("normal", "upgraded"), self, "paper", "'normal' or 'upgraded'")

    def steady_cel(self, load: float, ambient_cel: float) -> tuple[float, float]:
        """Top oil and hot spot after a long time at *load*, a fraction of the rated one."""
        oil = ambient_cel + self.oil_rise_k * ((1 + self.loss_ratio * load**2) / (1 + self.loss_ratio)) ** (
            self.oil_exponent
        )
        return oil, oil + self.gradient_k * load**self.winding_exponent


class Warmth(NamedTuple):
    """Temperatures in °C at N + 1 breakpoints."""

    oil_cel: np.ndarray
    hot_spot_cel: np.ndarray


class Heat(NamedTuple):
    """A transformer's temperatures at one time: of top oil, and the two terms by which the hot spot lies above it."""

    oil_cel: float
    first_k: float = 0.0
    second_k: float = 0.0

    @property
    def hot_spot_cel(self) -> float:
        return self.oil_cel + self.first_k - self.second_k


def heat_at(transformer: Transformer, load: float, ambient_cel: float) -> Heat:
    """After a long time at *load*."""
    rise = transformer.gradient_k * load**transformer.winding_exponent
    oil_cel, _ = transformer.steady_cel(load, ambient_cel)
    return Heat(oil_cel, transformer.k21 * rise, (transformer.k21 - 1) * rise)


def warmed(transformer: Transformer, heat: Heat, length_h: float, load: float, ambient_cel: float) -> Heat:
    """The temperatures after *length_h* of a constant load and ambient temperature: one step of `warm`."""
    t, goal = transformer, heat_at(transformer, load, ambient_cel)
    taus_h = t.k11 * t.oil_min / 60, t.k22 * t.winding_min / 60, t.oil_min / t.k22 / 60
    return Heat(*(g + (h - g) * math.exp(-length_h / tau_h) for h, g, tau_h in zip(heat, goal, taus_h, strict=True)))


def warm(
    transformer: Transformer,
    times_h: np.ndarray,
    load: np.ndarray,
    ambient_cel: np.ndarray,
    from_load: float | None = None,
) -> Warmth:
    """Temperatures at *times_h* (N + 1) under loads and ambient temperatures (N) that are constant between them.

    *load* is a fraction of the rated one, never negative. It begins cold, at the ambient temperature, or with
    *from_load* in the steady state of that load.
    """
    t = transformer
    times_h, load, ambient = (np.asarray(x, np.float64) for x in (times_h, load, ambient_cel))
    if len(times_h) != len(load) + 1 or len(load) != len(ambient) or (load < 0).any():
        raise ValueError(f"{len(load)} loads, not negative, need as many ambient temperatures and one time more")
    begun = 0.0 if from_load is None else t.gradient_k * from_load**t.winding_exponent
    oil = float(ambient[0]) if from_load is None else t.steady_cel(from_load, float(ambient[0]))[0]
    out = np.empty((2, len(times_h)))
    goal_oil = ambient + t.oil_rise_k * ((1 + t.loss_ratio * load**2) / (1 + t.loss_ratio)) ** t.oil_exponent
    goal_winding = t.gradient_k * load**t.winding_exponent
    taus_h = t.k11 * t.oil_min / 60, t.k22 * t.winding_min / 60, t.oil_min / t.k22 / 60
    _warm(np.diff(times_h), goal_oil, goal_winding, oil, begun, t.k21, *taus_h, out)
    return Warmth(*out)


@compiled()
def _warm(length_h, goal_oil, goal_winding, oil, begun, k21, oil_h, winding_h, fast_h, out):
    first, second = k21 * begun, (k21 - 1.0) * begun
    out[0, 0], out[1, 0] = oil, oil + first - second
    for k in range(len(length_h)):
        oil = goal_oil[k] + (oil - goal_oil[k]) * math.exp(-length_h[k] / oil_h)
        first = k21 * goal_winding[k] + (first - k21 * goal_winding[k]) * math.exp(-length_h[k] / winding_h)
        goal = (k21 - 1.0) * goal_winding[k]
        second = goal + (second - goal) * math.exp(-length_h[k] / fast_h)
        out[0, k + 1], out[1, k + 1] = oil, oil + first - second


def ageing_rate(transformer: Transformer, hot_spot_cel: np.ndarray) -> np.ndarray:
    """Hours of life an hour takes: 1 at 98 °C for normal paper (IEC 60076-7, eq. 2), at 110 °C for upgraded (eq. 3)."""
    hot = np.asarray(hot_spot_cel, np.float64)
    if transformer.paper == "normal":
        return np.exp2((hot - 98) / 6)
    return np.exp(15000 / (110 + 273) - 15000 / (hot + 273))


def aged_h(transformer: Transformer, times_h: np.ndarray, hot_spot_cel: np.ndarray) -> float:
    """Hours of life that went between the first and the last of *times_h*, by the trapezoidal rule."""
    return float(np.trapezoid(ageing_rate(transformer, hot_spot_cel), times_h))
