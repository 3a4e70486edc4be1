"""Remaining life from what a baseline knows: its age alone, or features of its window and a regression's own errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from learn.baselines.classifiers import features
from learn.baselines.hazard import AgeHazard, ages, now
from learn.baselines.trees import GROWTH, Trees
from learn.scores.metrics import LifePrediction, pinball
from learn.tasks import RemainingLife
from learn.windows.batch import Windows, anchors
from sim.errors import InputError, require

GRID = 400  # steps from now to the cap, at which survival is computed
ALIKE = 8  # groups of like predictions on validation runs, each with errors of its own


def left(windows: Windows, anchors_Nx2: np.ndarray, task: RemainingLife) -> tuple[np.ndarray, np.ndarray]:
    """Life left at each anchor in the task's unit, held at the cap, and whether it is known so far (else it is 0)."""
    at = now(windows, anchors_Nx2)
    event_h_N, cause_N = (np.asarray(a)[at] for a in (windows.event_h_ExL, windows.cause_ExL))
    known_N = (cause_N > 0) | ((cause_N == 0) & (event_h_N >= task.cap_h))
    return np.where(known_N, np.minimum(event_h_N, task.cap_h) / task.unit_h, 0.0).astype(np.float64), known_N


@dataclass(frozen=True)
class AgeLife:
    """What is left by age alone: a Weibull hazard of age for each cause, by the counter that suits validation runs.

    P(left > t | age a) = exp(−Σ (H(a + t·pace) − H(a))); its mean up to the cap is the area below it.
    """

    counter: str = "operating_age"
    kind: str = "naive"

    def fit(self, train: Windows, validation: Windows, task: RemainingLife) -> AgeResidual:
        asked = anchors(validation, at_risk=True)[::5]
        y_N, known_N = left(validation, asked, task)
        counters = (None, self.counter) if self.counter in train.scale.names else (None,)

        def loss(predictor: AgeResidual) -> float:
            median_N = predictor(validation, asked).quantiles_NxQ[:, len(task.quantiles) // 2]
            return float(pinball(y_N, median_N, task.quantiles[len(task.quantiles) // 2])[known_N].mean())

        return min((AgeResidual(AgeHazard.fit(train, task.cap_h, counter), task) for counter in counters), key=loss)


@dataclass(frozen=True, eq=False)
class AgeResidual:
    """The predictor: the law of what is left, given an age."""

    hazard: AgeHazard
    task: RemainingLife

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> LifePrediction:
        ahead_T = np.linspace(0, self.task.cap, GRID + 1)
        age_N = ages(windows, self.hazard.counter)[now(windows, anchors_Nx2)]
        later_NxT = age_N[:, None] + ahead_T * self.task.unit_h * self.hazard.pace
        rise_NxT = np.zeros_like(later_NxT)
        for cause in self.hazard.hazards:
            rise_NxT += cause.cumulative(later_NxT) - cause.cumulative(age_N)[:, None]
        survival_NxT, levels = np.exp(-rise_NxT), np.asarray(self.task.quantiles)
        mean_N = np.trapezoid(survival_NxT, ahead_T, axis=1)
        quantiles_NxQ = np.stack([np.interp(levels, 1 - row_T, ahead_T, right=self.task.cap) for row_T in survival_NxT])
        return LifePrediction(mean_N, quantiles_NxQ, levels)


@dataclass(frozen=True)
class FeatureRidge:
    """Life left, linear in the features of *rows* windows (ridge; leave-one-out chooses the penalty)."""

    rows: int = 25_000
    kind: str = "baseline"

    def __post_init__(self) -> None:
        require(self.rows >= 1, self, "rows", "at least 1")

    def fit(self, train: Windows, validation: Windows, task: RemainingLife) -> LifeRegressor:
        (x_NxP, y_N), val = (life_examples(windows, task, self.rows) for windows in (train, validation))
        model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-1, 5, 13)))  # type: ignore[arg-type]
        return LifeRegressor.fit(model.fit(x_NxP, y_N), *val, task)


@dataclass(frozen=True)
class LifeTrees(Trees):
    """Boosted trees of squared error."""

    def fit(self, train: Windows, validation: Windows, task: RemainingLife) -> LifeRegressor:
        seen, (x_NxP, y_N) = (life_examples(windows, task, self.rows) for windows in (train, validation))
        models = [
            HistGradientBoostingRegressor(max_leaf_nodes=n, random_state=self.seed, **GROWTH) for n in self.leaves
        ]
        with threadpool_limits(1, "openmp"):  # where cores are shared, OpenMP's threads mostly wait for each other
            fitted = [trees.fit(*seen, X_val=x_NxP, y_val=y_N) for trees in models]
        best = min(fitted, key=lambda trees: float(np.mean((trees.predict(x_NxP) - y_N) ** 2)))
        return LifeRegressor.fit(best, x_NxP, y_N, task)


@dataclass(frozen=True, eq=False)
class LifeRegressor:
    """The predictor: a fitted regression, with the quantiles of its errors where validation was predicted alike."""

    model: Any
    edges: np.ndarray
    error_GxQ: np.ndarray
    task: RemainingLife

    @staticmethod
    def fit(model: Any, x_NxP: np.ndarray, y_N: np.ndarray, task: RemainingLife) -> LifeRegressor:
        found_N = np.clip(model.predict(x_NxP), 0.0, task.cap)
        edges = np.unique(np.quantile(found_N, np.linspace(0, 1, ALIKE + 1)[1:-1]))
        group_N, whole_Q = np.searchsorted(edges, found_N), np.quantile(y_N - found_N, task.quantiles)
        error_GxQ = np.stack(
            [
                np.quantile((y_N - found_N)[group_N == g], task.quantiles) if (group_N == g).any() else whole_Q
                for g in range(len(edges) + 1)
            ]
        )
        return LifeRegressor(model, edges, error_GxQ, task)

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> LifePrediction:
        mean_N = np.clip(self.model.predict(features(windows, anchors_Nx2)), 0.0, self.task.cap)
        error_NxQ = self.error_GxQ[np.searchsorted(self.edges, mean_N)]
        held_NxQ = np.clip(mean_N[:, None] + error_NxQ, 0.0, self.task.cap)
        return LifePrediction(mean_N, held_NxQ, np.asarray(self.task.quantiles))


def life_examples(windows: Windows, task: RemainingLife, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and lives left of at most *rows* windows whose life is known, evenly spaced."""
    asked = anchors(windows, at_risk=True)
    y_N, known_N = left(windows, asked, task)
    if not known_N.any():
        raise InputError(f"no life is known as far as the cap of {task.cap:g} {task.unit}; lower it or run longer")
    asked, y_N = asked[known_N], y_N[known_N]
    stride = -(-len(asked) // rows)
    return features(windows, asked[::stride]), y_N[::stride]
