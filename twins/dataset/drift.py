"""Whether two datasets differ, quantity by quantity, by more than runs of one and the same differ among themselves.

Readings of one run resemble each other, so a test that takes each for a draw of its own finds drift everywhere. Here
the world run is the unit: the distance between the two is compared with that between the same runs shuffled over both.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import wasserstein_distance

from twins.dataset.summary import Column

BINS = 256
SLIGHT, STRONG = 0.1, 0.25  # of the population stability index (Siddiqi 2006, Credit Risk Scorecards)
DOUBTFUL = 0.05  # of one row by itself
LEAST = 1e-4  # share of an empty bin, whose logarithm has to be finite


@dataclass(frozen=True)
class Drift:
    """How far one quantity lies apart in two datasets, of *first* and *second*."""

    quantity: str
    unit: str
    role: str
    ks: float  # greatest distance of the two distribution functions
    psi: float  # population stability index over the tenths of the first, missing as a bin of its own
    wasserstein: float  # in standard deviations of the first
    missing: tuple[float, float]  # shares
    p: float  # of as great a distance between shuffled runs; the lesser of values' and missing's, times 2
    verdict: str


def drifts(first: Sequence[Column], second: Sequence[Column], shuffles: int = 9999, level: float = 0.01) -> list[Drift]:
    """One row a quantity that both have, with a verdict at *level* for all rows together (Holm 1979)."""
    theirs = {column.key: column for column in second}
    pairs = [(a, theirs[a.key]) for a in first if a.key in theirs and not a.shape]
    rows = [_distance(a, b, shuffles) for a, b in pairs]
    order = sorted(range(len(rows)), key=lambda i: rows[i].p)
    found, rejected = list(rows), True
    for rank, i in enumerate(order):
        rejected = rejected and rows[i].p <= level / (len(rows) - rank)
        a, b = pairs[i]
        found[i] = replace(rows[i], verdict=_verdict(rows[i], rejected, _least(a, b, shuffles) > level / len(rows)))
    return found


def only(first: Sequence[Column], second: Sequence[Column]) -> list[tuple[str, str, str]]:
    """Quantity, unit and role of what the first alone has."""
    theirs = {column.key for column in second}
    return [column.key for column in first if column.key not in theirs]


def _verdict(row: Drift, rejected: bool, few: bool) -> str:
    size = "slight" if row.psi < SLIGHT else "moderate" if row.psi < STRONG else "strong"
    if rejected:
        return f"{size} drift"
    return "too few runs to tell" if row.psi >= SLIGHT and (few or row.p < DOUBTFUL) else "none seen"


def _least(a: Column, b: Column, shuffles: int) -> float:
    """The least p that so many runs can give."""
    alike = 1 + (len(a.values_R) == len(b.values_R))  # two that change places are as far apart as before
    ways = math.comb(len(a.values_R) + len(b.values_R), len(a.values_R))
    return 2 * max(alike / ways, 1 / (shuffles + 1))


def _distance(a: Column, b: Column, shuffles: int) -> Drift:
    values = np.concatenate((a.values, b.values))
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1))) if len(values) else np.array([0.0])
    counts_RxB = np.stack([_counts(run, edges) for run in (*a.values_R, *b.values_R)])
    missing_Rx2 = np.stack((np.concatenate((a.missing_R, b.missing_R)), np.concatenate((a.seen_R, b.seen_R))), 1)
    of_first_R = np.arange(len(counts_RxB)) < len(a.values_R)
    masks_SxR = _masks(of_first_R, shuffles)
    ks_S, gap_S = _ks(masks_SxR, counts_RxB), _missing(masks_SxR, missing_Rx2)
    p = min(2 * min(_share(ks_S), _share(gap_S)), 1.0)
    spread = float(a.values.std()) if len(a.values) else 0.0
    wasserstein = float(wasserstein_distance(a.values, b.values)) if len(a.values) and len(b.values) else 0.0
    scaled = wasserstein / spread if spread else (0.0 if not wasserstein else math.inf)
    shares = a.missing, b.missing
    return Drift(*a.key, float(ks_S[0]), _psi(a.values, b.values, shares), scaled, shares, p, "")


def _masks(of_first_R: np.ndarray, shuffles: int) -> np.ndarray:
    """Which runs are the first's: as it is, then in all other ways, or *shuffles* of them where they are more."""
    count, first = len(of_first_R), int(of_first_R.sum())
    if math.comb(count, first) <= shuffles + 1:  # the first combination is the way it is
        return np.stack([np.isin(np.arange(count), ones) for ones in itertools.combinations(range(count), first)])
    masks_SxR = np.tile(of_first_R, (shuffles + 1, 1))
    rng = np.random.Generator(np.random.Philox(key=0))
    masks_SxR[1:] = rng.permuted(masks_SxR[1:], axis=1)
    return masks_SxR


def _counts(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """How many values lie at or below each edge and above the one before."""
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)[: len(edges)]


def _ks(masks_SxR: np.ndarray, counts_RxB: np.ndarray) -> np.ndarray:
    reached_RxB, found = np.cumsum(counts_RxB, 1, dtype=np.float64), []
    for mask_SxR in np.array_split(masks_SxR, -(-len(masks_SxR) // 2000)):  # a few at a time, to bound the memory
        first_SxB, second_SxB = mask_SxR @ reached_RxB, ~mask_SxR @ reached_RxB
        shares = (side / np.maximum(side[:, -1:], 1) for side in (first_SxB, second_SxB))
        first_SxB, second_SxB = shares
        found.append(np.abs(first_SxB - second_SxB).max(1))
    return np.concatenate(found)


def _missing(masks_SxR: np.ndarray, missing_Rx2: np.ndarray) -> np.ndarray:
    first_Sx2, second_Sx2 = masks_SxR @ missing_Rx2, ~masks_SxR @ missing_Rx2
    first_S, second_S = (side[:, 0] / np.maximum(side.sum(1), 1) for side in (first_Sx2, second_Sx2))
    return np.abs(first_S - second_S)


def _share(distance_S: np.ndarray) -> float:
    """How often a distance as great comes, the one that is asked about counted along."""
    return float((distance_S >= distance_S[0] - 1e-12).mean())


def _psi(first: np.ndarray, second: np.ndarray, missing: tuple[float, float]) -> float:
    if not len(first):
        return 0.0 if not len(second) else math.inf
    edges = np.unique(np.quantile(first, np.linspace(0, 1, 11)))
    edges = np.unique(np.concatenate((edges[:-1], [np.nextafter(edges[0], -np.inf)])))  # a tenth may be one value
    told = []
    for values, gone in ((first, missing[0]), (second, missing[1])):
        at = np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
        told.append(np.maximum(np.append(at / max(len(values), 1) * (1 - gone), gone), LEAST))
    p, q = told
    return float(((p - q) * np.log(p / q)).sum())
