"""Quantiles moved to where they cover what they claim to, whatever the model; and a level that follows what comes.

Split conformal prediction takes the misses on windows that the model did not learn from (a validation split that also
picked the best step is so but for that choice): where those and the windows to
come are exchangeable, a quantile of level a lies above the truth in a share of at least a of all cases, and of at most
a + 1/(n + 1) (Romano, Patterson & Candès 2019, one side at a time). Adaptive conformal inference lets go of
exchangeability and steers the level by its own misses (Gibbs & Candès 2021).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from learn.scores.metrics import ForecastPrediction, ForecastTruth
from sim.errors import InputError

RATE = 0.02  # by which a level follows; Gibbs & Candès take .005
WINDOW = 500  # scores that a width is taken from
SLACK = 5  # rates by which a level may lie outside 0 and 1 where widths are held: more would take long to come back


def shift(quantile_N: np.ndarray, y_N: np.ndarray, level: float) -> float:
    """What is to be added to a quantile for it to cover: the ⌈(n + 1)·level⌉-th smallest miss of n.

    Raises InputError where n is too small for the level to be reached.
    """
    miss_N = np.sort(np.asarray(y_N, np.float64) - quantile_N)
    if len(miss_N) < (least := fewest(level)):
        raise InputError(f"{len(miss_N)} windows cannot tell where a quantile of level {level:g} lies; give {least}")
    return float(miss_N[_rank(len(miss_N), level) - 1])


def fewest(level: float) -> int:
    """How many misses it takes for the largest to be as rare as a quantile of this level has to be."""
    return max(math.ceil(level / (1 - level) - 1e-9), 1)


def conformal(
    prediction: ForecastPrediction, calibration: ForecastPrediction, truth: ForecastTruth
) -> ForecastPrediction:
    """*prediction* with each quantile of each variate moved by the misses of *calibration*, steps ahead together.

    *truth* is that of the calibration windows. The mean stays; where quantiles cross they are sorted. Variates of which
    nothing was observed stay as they are. Raises InputError where less was than the outermost level needs (`fewest`).
    """
    quantiles = np.array(prediction.quantiles_NxVxHxQ)
    for v in range(quantiles.shape[1]):
        seen = truth.mask_NxVxH[:, v]
        if not seen.any():
            continue
        y, told = truth.y_NxVxH[:, v][seen], calibration.quantiles_NxVxHxQ[:, v][seen]
        for q, level in enumerate(prediction.levels):
            quantiles[:, v, :, q] += shift(told[:, q], y, float(level))
    return replace(prediction, quantiles_NxVxHxQ=np.sort(quantiles, axis=-1), samples_NxVxHxS=None)


class Adapted(NamedTuple):
    """Bounds of one forecast after another, and what they covered; time is the last axis."""

    width_T: np.ndarray  # what is added to the bound; unless held, inf where all has to be covered, −inf where nothing
    covered_T: np.ndarray  # bool; False where nothing was observed
    level_T: np.ndarray  # that was asked of the scores so far


def adaptive(
    score_T: np.ndarray,
    coverage: float | np.ndarray,
    rate: float = RATE,
    window: int = WINDOW,
    *,
    past_M: np.ndarray | None = None,
    known_T: np.ndarray | None = None,
    held: bool = False,
) -> Adapted:
    """Adaptive conformal inference on scores, such as max(low − y, y − high), in the order of time.

    Before each score a width is taken from the last *window* ones, at a level that rises by *rate* × the coverage after
    each miss and falls by *rate* × the rest after each cover. Over T scores, each known before the next, the share
    covered is within (max(1 − coverage, coverage) + rate)/(T · rate) of the one asked, whatever comes (Gibbs & Candès
    2021, prop. 4.1).

    Scores may have axes before that of time (last), and *coverage* such axes: each is steered for itself. NaN, where
    nothing was observed, moves no level. *past_M* are scores before the first; they give widths, but move no level.
    *known_T* says how many of the scores are known when each is told of, all before it unless given: a forecast of five
    samples ahead is not known to have missed until then. Widths that are *held* lie between the least and the largest
    of the last scores, so that under a steep and lasting trend less is covered than asked.
    """
    score = np.asarray(score_T)
    past = np.zeros((*score.shape[:-1], 0), score.dtype) if past_M is None else np.asarray(past_M)
    all_T, before, missed = np.concatenate((past, score), axis=-1), past.shape[-1], 1.0 - np.asarray(coverage)
    miss, done = np.broadcast_to(missed, score.shape[:-1]).astype(np.float64), 0
    width, covered, level = np.zeros(score.shape), np.zeros(score.shape, bool), np.zeros(score.shape)
    for t, known in enumerate(range(score.shape[-1]) if known_T is None else known_T):
        for s in range(done, known):
            miss = miss + rate * np.where(np.isnan(score[..., s]), 0.0, missed - ~covered[..., s])
        if held:
            miss = np.clip(miss, -SLACK * rate, 1.0 + SLACK * rate)
        done, end = known, before + known
        found = np.sort(all_T[..., max(0, end - window) : end], axis=-1)  # NaN last
        count = np.isfinite(found).sum(-1)
        rank = _rank(count, 1.0 - miss)
        rank = np.clip(rank, 1, np.maximum(count, 1)) if held else rank
        inside = (rank >= 1) & (rank <= count)
        width[..., t] = np.where(rank < 1, -np.inf, np.inf)
        if inside.any():
            at = np.where(inside, rank, 1)[..., None] - 1
            width[..., t] = np.where(inside, np.take_along_axis(found, at, -1)[..., 0], width[..., t])
        covered[..., t], level[..., t] = score[..., t] <= width[..., t], 1.0 - miss
    return Adapted(width, covered, level)


def followed(
    prediction: ForecastPrediction,
    truth: ForecastTruth,
    anchors_Nx2: np.ndarray,
    calibration: ForecastPrediction,
    calibrated: ForecastTruth,
    rate: float = RATE,
    window: int = WINDOW,
) -> ForecastPrediction:
    """*prediction* with each quantile moved as its own misses tell that are known by then: `adaptive`, on one side.

    Each asset (of *anchors_Nx2*: episode, sample), variate, step ahead and level is steered for itself, in the order of
    time. Each begins with as many of the misses of *calibration* as *window* holds, evenly over all. The *rate* is that
    of misses known at once; where n more forecasts are told meanwhile, it is divided by 1 + n, since all of those that
    miss together count, and a level that answers to each of them swings. A quantile is moved by no more than the
    largest of the last misses, so that what goes on to drift is followed with a lag. The mean stays; where quantiles
    cross they are sorted.
    """
    quantiles = np.array(prediction.quantiles_NxVxHxQ)
    kept = np.linspace(0, len(calibrated.y_NxVxH) - 1, min(len(calibrated.y_NxVxH), window)).round().astype(int)
    miss, past = _misses(prediction, truth), _misses(calibration, calibrated)[..., kept]
    for e in np.unique(anchors_Nx2[:, 0]):
        here_T = np.flatnonzero(anchors_Nx2[:, 0] == e)
        here_T = here_T[np.argsort(anchors_Nx2[here_T, 1], kind="stable")]
        at_T = anchors_Nx2[here_T, 1]
        for h in range(quantiles.shape[2]):
            known_T = np.searchsorted(at_T, at_T - h - 1, side="right")
            score, before = miss[:, h][..., here_T], past[:, h]
            steady = rate / (1 + (np.arange(len(at_T)) - known_T).max())
            how = {"past_M": before, "known_T": known_T, "held": True}
            width = adaptive(score, prediction.levels, steady, window, **how).width_T
            seen = np.isfinite(width)  # else as it was told
            quantiles[here_T, :, h] += np.moveaxis(np.where(seen, width, 0.0), -1, 0)
    return replace(prediction, quantiles_NxVxHxQ=np.sort(quantiles, axis=-1), samples_NxVxHxS=None)


def _misses(prediction: ForecastPrediction, truth: ForecastTruth) -> np.ndarray:
    """By how much the truth is above each quantile, float32[V, H, Q, N]; NaN where nothing was observed."""
    y_NxVxH = np.where(truth.mask_NxVxH, truth.y_NxVxH, np.nan)
    return np.moveaxis((y_NxVxH[..., None] - prediction.quantiles_NxVxHxQ).astype(np.float32), 0, -1)


def _rank(count: int | np.ndarray, level: float | np.ndarray) -> np.ndarray:
    """Which of so many exchangeable misses, from 1 on, covers one more with a chance of at least *level*."""
    return np.ceil((np.asarray(count) + 1) * level - 1e-9).astype(int)
