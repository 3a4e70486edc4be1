"""What checks of supply chains read off a trace, and how they make estimates of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from sim.errors import require
from sim.supply.costs import unit_hours
from sim.supply.supply import Supply
from sim.supply.theory import Levels
from sim.trace import Trace
from sim.verify import Estimate, Replicated, Target, mean_interval

POINT = "point"  # the name of a point that stands alone


def observed(world: Supply, seed: int, warm_up_h: float, length_h: float) -> Trace:
    """The trace of *length_h* hours after a warm-up that is thrown away."""
    settled = world.run(world.start(seed), warm_up_h).state
    return world.run(settled, warm_up_h + length_h).trace


def levels(trace: Trace, point: str) -> Levels:
    """The same means that theory gives, measured."""
    on_hand, backorders = (unit_hours(trace, point, name) for name in ("on_hand", "backorders"))
    signal = trace[point, "on_hand"]
    hours = np.diff(np.clip(np.append(signal.time_h, trace.end_h), trace.start_h, None))
    length_h = trace.end_h - trace.start_h
    return Levels(on_hand / length_h, backorders / length_h, float(hours[signal.value > 0].sum()) / length_h)


def demanded(trace: Trace) -> float:
    """Units that customers asked for, anywhere."""
    totals = [s.value[-1] - s.value[0] for (_, name), s in trace.signals.items() if name == "demanded"]
    return float(sum(totals))


def controlled(values: np.ndarray, excess: np.ndarray, alpha: float) -> Estimate:
    """The mean of *values* where *excess*, of mean 0, would be 0: the intercept of least squares, with its interval."""
    n = len(values)
    spread = excess - excess.mean()
    if n < 3 or not spread.any():
        return mean_interval(values, alpha)
    slope = spread @ values / (spread @ spread)
    value = values.mean() - slope * excess.mean()
    rest = values - value - slope * excess
    error = math.sqrt(rest @ rest / (n - 2) * (1 / n + excess.mean() ** 2 / (spread @ spread)))
    return Estimate(float(value), float(stats.t.isf(alpha / 2, n - 2) * error))


@dataclass(frozen=True, kw_only=True)
class Within(Replicated):
    """Targets of one *tolerance*, a fraction. Stock varies about as much as its mean: half of it takes four times as
    long."""

    tolerance: float = 0.01

    def __post_init__(self):
        super().__post_init__()
        require(0 < self.tolerance < 0.05, self, "tolerance", "above 0 and below .05, the fault that is planted")

    def target(self, name: str, reference: float, source: str) -> Target:
        reason = "precise enough to catch a fault of 5 %, within seconds" if self.tolerance > 0.005 else ""
        return Target(name, float(reference), source, self.tolerance, reason=reason)


class Controlled(Within):
    """Estimates corrected by the last column of the samples: units demanded, less their expectation."""

    def estimates(self, samples, alpha):
        *columns, excess = np.asarray(samples, np.float64).T
        return [controlled(column, excess, alpha) for column in columns]


class Chosen(Within):
    """What is best among *choices*, found by simulating each with the same draws, and what it brings.

    A sample holds the cost of each choice. The estimate of the choice is the middle of those that paired differences
    cannot tell from the best, its half width the half of their range.
    """

    def estimates(self, samples, alpha):
        cost_NxC = np.asarray(samples, np.float64)
        choices = np.asarray(self.choices, np.float64)  # type: ignore[attr-defined]
        best = int(cost_NxC.mean(0).argmin())
        above = [mean_interval(column, alpha / len(choices)) for column in (cost_NxC.T - cost_NxC[:, best])]
        near = choices[[c == best or e.value <= e.half_width for c, e in enumerate(above)]]
        return [
            Estimate(float(near.min() + near.max()) / 2, float(near.max() - near.min()) / 2),
            mean_interval(cost_NxC[:, best], alpha),
        ]


def level_targets(check: Within, expected: Levels, source: str) -> list[Target]:
    names = ("on hand", "backorders", "share of time in stock")
    return [check.target(name, value, source) for name, value in zip(names, expected, strict=True)]
