"""Scores of plans that are chosen among: how far each effect is off, and what choosing by a prediction costs."""

from __future__ import annotations

import numpy as np

from learn.scores.metrics import ForecastPrediction, ForecastTruth, Ratio, Root, Score
from sim.errors import InputError


def choice_scores(prediction: ForecastPrediction, truth: ForecastTruth) -> dict[str, Score]:
    """pehe and regret, in percent of what the task calls full, at the last step; nothing where no plan is chosen.

    pehe is the root mean square error of the effects, an effect being what a plan comes to less what the first plan of
    its moment does (Hill 2011). regret is the mean over moments of how much worse the plan comes out that the
    prediction favours than the best of all; among equals the first is taken.
    """
    if truth.first_N is None or truth.percent_V is None:
        return {}
    first_N = np.asarray(truth.first_N)
    if not truth.mask_NxVxH[..., -1].any(1).all():
        raise InputError("a plan among those to be chosen from has no outcome at its last step; it must have one")
    told_N, came_N = (
        (np.where(truth.mask_NxVxH, x, 0.0)[..., -1].astype(np.float64) * truth.percent_V).sum(1)
        for x in (prediction.mean_NxVxH, truth.y_NxVxH)
    )
    is_first_N = first_N == np.arange(len(first_N))
    off_N = (told_N - told_N[first_N]) - (came_N - came_N[first_N])
    regret_N = np.zeros(len(first_N))
    for at in np.split(np.arange(len(first_N)), np.flatnonzero(is_first_N)[1:]):
        best = at[np.argmin(truth.better * told_N[at])]
        regret_N[at[0]] = truth.better * came_N[best] - np.min(truth.better * came_N[at])
    return {"pehe": Root(Ratio(off_N**2, ~is_first_N)), "regret": Ratio(regret_N, is_first_N)}
