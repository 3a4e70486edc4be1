"""Scores of when an asset fails, where some are lost before they do: weighted by the chance of still being followed.

Inverse-probability-of-censoring weights make up for the lives that the end of a record cut off, as far as that does
not depend on what would have come. Planned work that goes by age or by wear does depend on it: where a twin tells no
failure that was to come, both scores are of what was seen, and should be set beside no others. Of those that fail and
those that are lost at one time the former go first. Times are hours from each window on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from learn.scores.metrics import EventPrediction, EventTruth, Ratio, divide
from sim.survival import kaplan_meier

FOLLOWED = 0.05  # scores end where fewer than this share are still followed


class Lives(NamedTuple):
    """What was seen of each window's life, and the ends of the bins in which it is foretold."""

    event_h_N: np.ndarray  # hours to its end; NaN where the asset is at no risk
    failed_N: np.ndarray  # bool; otherwise it was lost sight of
    edges_h: tuple[float, ...]
    horizon_h: float


class Concordance(NamedTuple):
    """The share of pairs, one of which fails before the other's time, that the risks rank rightly; ties of risk half.

    Weights 1/G(T−)² of the ones that fail, with G the share still followed, make it Uno's C (Uno et al. 2011); weights
    of 1 Harrell's.
    """

    risk_N: np.ndarray
    event_h_N: np.ndarray
    failed_N: np.ndarray  # bool, and before the time at which the score ends
    weight_N: np.ndarray

    def __call__(self, cluster_N: np.ndarray, weights_RxC: np.ndarray) -> np.ndarray:
        """As of `learn.scores.metrics.Pairs`: a pair counts as often as both its clusters together."""
        clusters = weights_RxC.shape[1]
        right_CxC, all_CxC = np.zeros((2, clusters, clusters))
        for n in np.flatnonzero(self.failed_N):
            later = self.event_h_N > self.event_h_N[n]
            later |= (self.event_h_N == self.event_h_N[n]) & ~self.failed_N  # lost just then, and so alive
            rank = np.where(self.risk_N < self.risk_N[n], 1.0, 0.5 * (self.risk_N == self.risk_N[n]))
            of = self.weight_N[n]
            all_CxC[cluster_N[n]] += of * np.bincount(cluster_N, later, clusters)
            right_CxC[cluster_N[n]] += of * np.bincount(cluster_N, later * rank, clusters)
        right, every = (
            np.einsum("rc,cd,rd->r", weights_RxC, part, weights_RxC, optimize=True) for part in (right_CxC, all_CxC)
        )
        return divide(right, every)


def survival_scores(prediction: EventPrediction, truth: EventTruth) -> dict[str, Ratio | Concordance]:
    """uno_c of the probability of failing within the horizon, up to it; and ibs where incidence by bins is foretold.

    ibs is the integrated Brier score (Graf et al. 1999), by trapezoids over the bins, up to the last at whose end
    5 % are still followed: of records of other lengths it ends elsewhere. Nothing where lives are not told, and of
    shares of futures.
    """
    lives = truth.lives
    if lives is None or prediction.members is not None:
        return {}
    event_h, failed = np.asarray(lives.event_h_N, np.float64), np.asarray(lives.failed_N, bool)
    seen = np.isfinite(event_h)
    event_h = np.where(seen, event_h, -1.0)  # of no pair
    first_h = np.where(failed, np.nextafter(event_h, -np.inf), event_h)  # at one time those that fail go first
    followed = kaplan_meier(first_h[seen], ~failed[seen]).at
    reached = np.maximum(followed(event_h, before=True), FOLLOWED)
    within = seen & failed & (event_h <= lives.horizon_h)
    scores: dict[str, Ratio | Concordance] = {
        "uno_c": Concordance(np.asarray(prediction.p_N, np.float64), event_h, within, reached**-2)
    }
    if prediction.cif_NxCxK is None:
        return scores
    edges_K = np.asarray(lives.edges_h, np.float64)
    edges_K = edges_K[followed(edges_K) >= FOLLOWED]
    if not len(edges_K):
        return scores
    survival_NxK = 1 - np.asarray(prediction.cif_NxCxK, np.float64).sum(1)[:, : len(edges_K)]
    dead_NxK = (failed & seen)[:, None] & (event_h[:, None] <= edges_K)
    alive_NxK = event_h[:, None] > edges_K
    error_NxK = survival_NxK**2 * dead_NxK / reached[:, None] + (1 - survival_NxK) ** 2 * alive_NxK / followed(edges_K)
    grid = np.concatenate(([0.0], edges_K))
    whole_NxK = np.concatenate((np.zeros((len(event_h), 1)), error_NxK), axis=1)
    area_N = ((whole_NxK[:, 1:] + whole_NxK[:, :-1]) / 2 * np.diff(grid)).sum(1) / edges_K[-1]
    return scores | {"ibs": Ratio(area_N * seen, seen)}
