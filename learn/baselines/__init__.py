"""What a model is measured against: fitted on training windows, tuned on validation windows, scored by the same code.

A baseline is a frozen dataclass of its settings, with a `kind` for the table and
`fit(train, validation, task) -> predictor`; the predictor is called with windows and anchors, as a model is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from learn.baselines.classifiers import BoostedTrees, SupportVectors, features
from learn.baselines.defects import DefectLogistic, DefectTrees, RateByLevel, RateByVerdict
from learn.baselines.filling import GapRidge, Interpolated, LastSeen, SameHourBetween
from learn.baselines.hazard import AgeWeibull, Weibull, horizon_labels
from learn.baselines.lives import AgeLife, FeatureRidge, LifeTrees
from learn.baselines.plans import Known, LinearPlan, MarginalStructural
from learn.baselines.series import RepeatLast, Ridge, SameHour, TrainMean
from learn.baselines.series_trees import ForecastTrees
from learn.baselines.states import StateMarkov, StateShares, StateStays, StateTrees
from learn.scores.metrics import Prediction
from learn.windows.batch import Windows


class Baseline(Protocol):
    """One of the classes below, or one of one's own."""

    @property
    def kind(self) -> str:
        """naive (a mark that skill is measured from), baseline, or oracle (a mark that knows more than a record)."""
        ...

    def fit(self, train: Windows, validation: Windows, task: Any) -> Callable[[Windows, np.ndarray], Prediction]: ...


__all__ = [
    "AgeLife",
    "AgeWeibull",
    "Baseline",
    "BoostedTrees",
    "DefectLogistic",
    "DefectTrees",
    "FeatureRidge",
    "ForecastTrees",
    "GapRidge",
    "Interpolated",
    "Known",
    "LastSeen",
    "LifeTrees",
    "LinearPlan",
    "MarginalStructural",
    "RateByLevel",
    "RateByVerdict",
    "RepeatLast",
    "Ridge",
    "SameHour",
    "SameHourBetween",
    "StateMarkov",
    "StateShares",
    "StateStays",
    "StateTrees",
    "SupportVectors",
    "TrainMean",
    "Weibull",
    "features",
    "horizon_labels",
]
