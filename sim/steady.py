"""Means of what has settled, with intervals: warm-up, batches, replications, and when to stop.

A run is first cut into equal stretches (`time_means` of a signal, `rates` of counted times); `settled_mean` then drops
the warm-up by MSER-5, batches what is left until neighbours tell nothing of one another, and gives Student's interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from sim.errors import InputError
from sim.trace import Form, Signal

FEWEST = 8  # batches that an interval may rest on
LEAST = 50  # values that MSER-5 may judge: ten of its batches


class Estimate(NamedTuple):
    value: float
    half_width: float  # of the interval at the level asked for


class Settled(NamedTuple):
    """A mean of one run that has settled, and what it rests on."""

    estimate: Estimate
    dropped: int  # leading values, as warm-up
    batches: int
    doubt: float  # chance of batches as correlated as these, were they independent


def time_means(signal: Signal, edges_h: Any) -> np.ndarray:
    """Exact means over time of a signal of any form between successive *edges_h* (hours), float64[edges − 1]."""
    edges_h = np.asarray(edges_h, np.float64)
    if edges_h[0] < signal.time_h[0]:
        raise ValueError(f"the signal begins at {signal.time_h[0]} h; asked for {edges_h[0]} h")

    def area(i: Any, since_h: np.ndarray) -> np.ndarray:
        """Under segment *i*, from its breakpoint on."""
        if signal.form is Form.STEP:
            return signal.value[i] * since_h
        if signal.form is Form.LINEAR:
            return (signal.value[i] + signal.target[i] * since_h / 2) * since_h
        fading = -signal.tau_h * np.expm1(-since_h / signal.tau_h)
        return signal.target[i] * since_h + (signal.value[i] - signal.target[i]) * fading

    whole = np.append(0.0, np.cumsum(area(slice(-1), np.diff(signal.time_h))))
    i = np.searchsorted(signal.time_h, edges_h, side="right") - 1
    return np.diff(whole[i] + area(i, edges_h - signal.time_h[i])) / np.diff(edges_h)


def rates(times_h: Any, edges_h: Any) -> np.ndarray:
    """Counts per hour of sorted *times_h* between successive *edges_h*; a time at an edge counts after it."""
    edges_h = np.asarray(edges_h, np.float64)
    return np.diff(np.searchsorted(times_h, edges_h, side="left")) / np.diff(edges_h)


def mser5(values: Any) -> int:
    """How many leading values to drop as warm-up: MSER-5 (White 1997; White, Cobb & Spratt 2000).

    Of the means Z of successive fives, d are dropped that minimise Σ_{j>d}(Z_j − Z̄_d)²/(n − d)² over the first half of
    the series: beyond, the few that are left may be alike by chance. A minimum at the half's end, or fewer than 50
    values, are too short to tell: InputError.
    """
    values = np.asarray(values, np.float64)
    if len(values) < LEAST:
        raise InputError(f"{len(values)} values are too few for MSER-5; it must have at least {LEAST}")
    means = values[: len(values) // 5 * 5].reshape(-1, 5).mean(1)
    means = means - means[-1]  # sums of squares lose nothing to a large mean
    left, half = np.arange(len(means), 0, -1), len(means) // 2
    squares = np.cumsum(means[::-1] ** 2)[::-1] - np.cumsum(means[::-1])[::-1] ** 2 / left
    dropped = int(np.argmin((squares / left**2)[: half + 1]))
    if dropped == half:
        raise InputError(f"the warm-up is not over in the first half of {len(values)} values; run longer")
    return 5 * dropped


def batch_means(values: Any, batches: int) -> np.ndarray:
    """Means of *batches* equal consecutive stretches, float64[batches]; a remainder at the front is dropped."""
    values = np.asarray(values, np.float64)
    size = len(values) // batches
    if size < 1:
        raise ValueError(f"{len(values)} values cannot make {batches} batches")
    return values[len(values) - size * batches :].reshape(batches, size).mean(1)


def mean_interval(values: Any, alpha: float) -> Estimate:
    """Mean of independent values and half width of Student's interval at level 1 − alpha, infinite for one value."""
    values = np.asarray(values, np.float64)
    n = len(values)
    if n < 2:
        return Estimate(float(values.mean()), math.inf)
    half = stats.t.isf(alpha / 2, n - 1) * values.std(ddof=1) / math.sqrt(n)
    return Estimate(float(values.mean()), float(half))


def independence(values: Any) -> float:
    """Chance that independent normal values would be as positively correlated with their successors as these are.

    Von Neumann's ratio as Fishman (1978) uses it on batch means: C = 1 − Σ(y_i − y_{i+1})²/2Σ(y_i − ȳ)² has mean 0 and
    variance (k−2)/(k²−1).
    """
    values = np.asarray(values, np.float64)
    k, spread = len(values), ((values - np.mean(values)) ** 2).sum()
    if k < 3 or not spread:
        return 1.0
    correlation = 1 - (np.diff(values) ** 2).sum() / (2 * spread)
    return float(stats.norm.sf(correlation / math.sqrt((k - 2) / (k**2 - 1))))


def settled_mean(values: Any, alpha: float, batches: int = 64, level: float = 0.1) -> Settled:
    """The mean of one long run of equal stretches, without its warm-up, with an interval at level 1 − alpha.

    Batches are doubled in length, from *batches* of them, until `independence` is above *level*; where eight are still
    too short, or half the run is warm-up, it is refused (InputError): run longer.
    """
    dropped = mser5(values)
    kept = np.asarray(values, np.float64)[dropped:]
    while batches >= FEWEST:
        if len(kept) >= batches:
            means = batch_means(kept, batches)
            if (doubt := independence(means)) > level:
                return Settled(mean_interval(means, alpha), dropped, batches, doubt)
        batches //= 2
    raise InputError(f"{len(kept)} values after the warm-up are correlated over an eighth of their length; run longer")


def precise_mean(values: Iterable[float], relative: float, alpha: float, first: int = 10) -> tuple[Estimate, int]:
    """Take independent *values* one by one until the interval's half width is within *relative* of the true mean.

    Law & Kelton's sequential procedure: it stops at half width / |mean| ≤ γ/(1+γ), not before *first* values. Returns
    the estimate and how many values it took; raises InputError where they end before.
    """
    n, mean, squares, half = 0, 0.0, 0.0, math.inf
    for n, value in enumerate(values, 1):
        step = value - mean
        mean += step / n
        squares += step * (value - mean)
        if n >= max(first, 2):
            half = float(stats.t.isf(alpha / 2, n - 1)) * math.sqrt(squares / (n - 1) / n)
            if half <= relative / (1 + relative) * abs(mean):
                return Estimate(mean, half), n
    raise InputError(f"{n} replications give {mean:.6g} ± {half:.2g}, which is wider than {relative:.2%}; allow more")
