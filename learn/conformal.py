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

from learn.metrics import ForecastPrediction, ForecastTruth
from sim.errors import InputError


def shift(quantile_N: np.ndarray, y_N: np.ndarray, level: float) -> float:
    """What is to be added to a quantile for it to cover: the ⌈(n + 1)·level⌉-th smallest miss of n.

    Raises InputError where n is too small for the level to be reached.
    """
    miss_N = np.sort(np.asarray(y_N, np.float64) - quantile_N)
    rank = math.ceil((len(miss_N) + 1) * level - 1e-9)
    if not 1 <= rank <= len(miss_N):
        raise InputError(f"{len(miss_N)} windows cannot tell where a quantile of level {level:g} lies; give more")
    return float(miss_N[rank - 1])


def conformal(
    prediction: ForecastPrediction, calibration: ForecastPrediction, truth: ForecastTruth
) -> ForecastPrediction:
    """*prediction* with each quantile of each variate moved by the misses of *calibration*, steps ahead together.

    *truth* is that of the calibration windows. The mean stays; where quantiles cross they are sorted. Variates of which
    nothing was observed stay as they are.
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
    """Intervals of one forecast after another, and what they covered."""

    width_T: np.ndarray  # what is added below and above; inf where all has to be covered, −inf where nothing
    covered_T: np.ndarray  # bool
    level_T: np.ndarray  # that was asked of the misses so far


def adaptive(score_T: np.ndarray, coverage: float, rate: float = 0.02, window: int = 250) -> Adapted:
    """Adaptive conformal inference on scores max(low − y, y − high), in the order of time.

    Before each score a width is taken from the last *window* ones, at a level that rises by *rate* × the coverage after
    each miss and falls by *rate* × the rest after each cover. Over T scores the share covered is within
    (max(1 − coverage, coverage) + rate)/(T · rate) of the one asked, whatever comes (Gibbs & Candès 2021, prop. 4.1).
    """
    missed, miss = 1.0 - coverage, 1.0 - coverage
    widths, covered, levels = np.zeros(len(score_T)), np.zeros(len(score_T), bool), np.zeros(len(score_T))
    for t, score in enumerate(score_T):
        past = np.sort(score_T[max(0, t - window) : t])
        rank = math.ceil((len(past) + 1) * (1 - miss))
        width = -math.inf if rank < 1 else math.inf if rank > len(past) else past[rank - 1]
        widths[t], covered[t], levels[t] = width, score <= width, 1 - miss
        miss += rate * (missed - (not covered[t]))
    return Adapted(widths, covered, levels)
