"""In which state an asset was at the samples ahead, and how probabilities of that are scored."""

from __future__ import annotations

import numpy as np

from learn.scores.metrics import SURE, Ratio, Score, StatePrediction, StateTruth
from learn.windows.batch import Windows


def state_truth(windows: Windows, anchors_Nx2: np.ndarray) -> StateTruth:
    """In which state each asset was at the samples from each anchor on, as its labels tell."""
    e_N, k_N = np.asarray(anchors_Nx2).T
    at_NxH = k_N[:, None] + windows.context + np.arange(windows.horizon)
    return StateTruth(np.asarray(windows.cause_ExL)[e_N[:, None], at_NxH])


def state_scores(prediction: StatePrediction, truth: StateTruth) -> dict[str, Score]:
    """brier, log loss and accuracy of the likeliest state, over the samples ahead whose state is known.

    The Brier score is Σ over states of (p − 1{it came})², as Brier (1950) has it: from 0 to 2, and of two states twice
    that of one of them. A share of *members* futures is scored by it alone, less its bias Σ p(1 − p)/(members − 1).
    """
    known_NxH = truth.state_NxH >= 0
    brier_NxH = state_brier(prediction, truth)

    def mean(each_NxH: np.ndarray) -> Ratio:
        return Ratio(np.where(known_NxH, each_NxH, 0.0).sum(1), known_NxH.sum(1).astype(np.float64))

    if prediction.members is not None:
        return {"brier": mean(brier_NxH)}
    p_NxHxC, state_NxHx1 = np.asarray(prediction.p_NxHxC, np.float64), np.maximum(truth.state_NxH, 0)[..., None]
    came_NxH = np.take_along_axis(p_NxHxC, state_NxHx1, axis=-1)[..., 0]
    return {
        "brier": mean(brier_NxH),
        "log_loss": mean(-np.log(np.maximum(came_NxH, SURE))),
        "accuracy": mean(p_NxHxC.argmax(-1) == truth.state_NxH),
    }


def state_brier(prediction: StatePrediction, truth: StateTruth) -> np.ndarray:
    """Brier score of each sample ahead, as `state_scores` has it: float64[N, H]; empty of meaning where none is."""
    p_NxHxC = np.asarray(prediction.p_NxHxC, np.float64)
    came_NxHxC = truth.state_NxH[..., None] == np.arange(p_NxHxC.shape[-1])
    brier_NxH = np.square(p_NxHxC - came_NxHxC).sum(-1)
    if prediction.members is None:
        return brier_NxH
    return brier_NxH - (p_NxHxC * (1 - p_NxHxC)).sum(-1) / (prediction.members - 1)
