"""Times to an event in two groups: estimates, a test, and the boundaries of trials that look while they run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from sim.errors import InputError

Rule = Literal["obrien_fleming", "pocock"]
NODES = 160  # of the quadrature over one look's statistic


class Curve(NamedTuple):
    """A survival curve: from each time on the share that survives, and its standard error (Greenwood 1926)."""

    time_K: np.ndarray
    survival_K: np.ndarray
    error_K: np.ndarray

    def at(self, time: Any, before: bool = False) -> Any:
        """The share that outlives a *time*, or each of an array; *before*: that reaches it."""
        shares = np.concatenate(([1.0], self.survival_K))
        found = shares[np.searchsorted(self.time_K, time, side="left" if before else "right")]
        return found if np.ndim(time) else float(found)

    def mean(self, until: float) -> float:
        """The mean time survived up to *until*: the area below the curve (Royston & Parmar 2011)."""
        inside = self.time_K < until
        times = np.concatenate(([0.0], self.time_K[inside], [until]))
        return float(np.sum(np.diff(times) * np.concatenate(([1.0], self.survival_K[inside]))))


class LogRank(NamedTuple):
    """Events in the second group over those expected if both were alike, and the variance of that (Mantel 1966)."""

    excess: float
    variance: float

    @property
    def z(self) -> float:
        return self.excess / math.sqrt(self.variance) if self.variance > 0 else 0.0


def kaplan_meier(time_N: np.ndarray, event_N: np.ndarray) -> Curve:
    """Of times, each to an event or (False) to where it was lost sight of (Kaplan & Meier 1958)."""
    times = np.unique(time_N[event_N])
    at_risk = len(time_N) - np.searchsorted(np.sort(time_N), times)
    events = np.searchsorted(np.sort(time_N[event_N]), times, side="right") - np.searchsorted(
        np.sort(time_N[event_N]), times
    )
    survival = np.cumprod(1 - events / at_risk)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = survival * np.sqrt(np.cumsum(events / (at_risk * (at_risk - events))))
    return Curve(times, survival, np.where(survival > 0, error, 0.0))


def log_rank(time_N: np.ndarray, event_N: np.ndarray, second_N: np.ndarray) -> LogRank:
    """Of the second group (True) against the first, with the hypergeometric variance where times are tied."""
    times = np.unique(time_N[event_N])
    order = np.sort(time_N)
    n = len(time_N) - np.searchsorted(order, times)
    n2 = int(second_N.sum()) - np.searchsorted(np.sort(time_N[second_N]), times)
    at = np.searchsorted(times, time_N[event_N])
    d = np.bincount(at, minlength=len(times))
    d2 = np.bincount(at, second_N[event_N], minlength=len(times))
    share = n2 / n
    spread = d * share * (1 - share) * np.where(n > 1, (n - d) / np.maximum(n - 1, 1), 0.0)
    return LogRank(float((d2 - d * share).sum()), float(spread.sum()))


def hazard_ratio(time_N: np.ndarray, event_N: np.ndarray, second_N: np.ndarray) -> tuple[float, float]:
    """Of the second group over the first, and the standard error of its logarithm, by partial likelihood (Cox 1972).

    Breslow's where times are tied. Raises InputError where a group has no event.
    """
    if not (event_N[second_N].any() and event_N[~second_N].any()):
        raise InputError("a group has no event; a ratio of hazards needs one in each")
    times = np.sort(time_N[event_N])
    n1 = np.count_nonzero(~second_N) - np.searchsorted(np.sort(time_N[~second_N]), times)
    n2 = np.count_nonzero(second_N) - np.searchsorted(np.sort(time_N[second_N]), times)
    observed, log = int(event_N[second_N].sum()), 0.0
    for _ in range(50):
        share = n2 * math.exp(log) / (n1 + n2 * math.exp(log))
        slope, bend = observed - share.sum(), float((share * (1 - share)).sum())
        log += min(max(slope / bend, -1.0), 1.0)
        if abs(slope) < 1e-10 * len(times):
            break
    return math.exp(log), 1 / math.sqrt(bend)


def events_needed(ratio: float, alpha: float = 0.05, power: float = 0.9, share: float = 0.5) -> int:
    """Events that a log-rank test of two sides needs for a hazard *ratio*; *share* is one arm's (Schoenfeld 1983)."""
    if not (0 < ratio < math.inf and ratio != 1 and 0 < alpha < 1 and alpha / 2 < power < 1 and 0 < share < 1):
        raise InputError(
            f"ratio is {ratio!r}, alpha {alpha!r}, power {power!r} and share {share!r}; the ratio must be above 0 and "
            "not 1, the others between 0 and 1"
        )
    z = float(norm.ppf(1 - alpha / 2) + norm.ppf(power))
    return math.ceil(z**2 / (share * (1 - share) * math.log(ratio) ** 2))


def crossing(bounds: Iterable[float], fractions: Iterable[float], drift: float = 0.0) -> np.ndarray:
    """The chance that |z| first exceeds its bound at each look, float64[K].

    *drift* is the mean of z once all information is there. By numerical integration over what is left at each look
    (Armitage, McPherson & Rowe 1969).
    """
    x, w = np.polynomial.legendre.leggauss(NODES)
    left, before, out = 1.0, 0.0, []
    u = g = np.empty(0)
    for bound, t in zip(bounds, fractions, strict=True):
        edge, sd = bound * math.sqrt(t), math.sqrt(t - before)
        nodes, weights = edge * x, edge * w
        if before == 0:
            density = norm.pdf(nodes, drift * t, sd)
        else:
            density = norm.pdf(nodes[:, None], u + drift * (t - before), sd) @ g
        u, g, before = nodes, density * weights, t
        out.append(left - g.sum())
        left = float(g.sum())
    return np.array(out)


def boundaries(looks: int, alpha: float = 0.05, rule: Rule = "obrien_fleming") -> np.ndarray:
    """The z that stops a trial at each of *looks* equally spaced in information, two-sided, at *alpha* in all.

    C·√(K/k) of O'Brien & Fleming (1979), or C of Pocock (1977); C is solved for.
    """
    if not 1 <= looks <= 20:
        raise InputError(f"looks is {looks!r}; it must be from 1 to 20")
    if rule not in ("obrien_fleming", "pocock"):
        raise InputError(f"rule is {rule!r}; it must be 'obrien_fleming' or 'pocock'")
    t = np.arange(1, looks + 1) / looks
    shape = 1 / np.sqrt(t) if rule == "obrien_fleming" else np.ones(looks)
    c = brentq(lambda c: crossing((c * shape).tolist(), t.tolist()).sum() - alpha, 0.1, 12.0, xtol=1e-10)
    return float(c) * shape  # type: ignore[arg-type]
