"""Classifiers on window features, from scikit-learn: boosted trees and a support vector machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from threadpoolctl import threadpool_limits

from learn.baselines.hazard import ages, horizon_labels, now
from learn.baselines.series import cut, filled
from learn.baselines.trees import GROWTH, Trees
from learn.scores.metrics import EventPrediction
from learn.tasks import TimeToEvent
from learn.windows.batch import Windows, anchors
from sim.errors import require

SHARES = (1 / 12, 1 / 4, 1.0)  # features describe these last parts of the context
CHUNK = 4096  # windows whose samples are in memory at once


class Examples(NamedTuple):
    """What a classifier is fitted on, in the order in which scikit-learn takes it."""

    x_NxP: np.ndarray
    failed_N: np.ndarray  # bool
    weight_N: np.ndarray


@dataclass(frozen=True)
class BoostedTrees(Trees):
    """Boosted trees that classify."""

    def fit(self, train: Windows, validation: Windows, task: TimeToEvent) -> Classifier:
        def grow(leaves: int, seen: Examples, val: Examples) -> Any:
            trees = HistGradientBoostingClassifier(max_leaf_nodes=leaves, random_state=self.seed, **GROWTH)
            binned = Binned.of(seen.x_NxP, trees)
            x_NxP, x_val = binned.bins(seen.x_NxP), binned.bins(val.x_NxP)
            with threadpool_limits(1, "openmp"):  # where cores are shared, OpenMP's threads mostly wait for each other
                trees.fit(x_NxP, *seen[1:], X_val=x_val, y_val=val.failed_N, sample_weight_val=val.weight_N)
            return binned

        return _best(grow, self.leaves, train, validation, task.horizon_h, self.rows)


class Binned(NamedTuple):
    """Trees on features that are cut into bins of equal counts beforehand.

    Left to bin weighted examples itself, scikit-learn sorts a feature anew for each of its 255 edges, which takes
    longer than growing the trees.
    """

    edges: list[np.ndarray]  # of each feature
    trees: Any

    @staticmethod
    def of(x_NxP: np.ndarray, trees: Any) -> Binned:
        inner = np.linspace(0, 1, trees.max_bins + 1)[1:-1]
        return Binned([np.unique(np.quantile(x_N, inner, method="averaged_inverted_cdf")) for x_N in x_NxP.T], trees)

    def bins(self, x_NxP: np.ndarray) -> np.ndarray:
        """The bin of every value, float32[N, P]."""
        found = [np.searchsorted(edges, x_N) for edges, x_N in zip(self.edges, x_NxP.T, strict=True)]
        return np.stack(found, axis=1).astype(np.float32)

    @property
    def classes_(self) -> np.ndarray:
        return self.trees.classes_

    def predict_proba(self, x_NxP: np.ndarray) -> np.ndarray:
        return self.trees.predict_proba(self.bins(x_NxP))


@dataclass(frozen=True)
class SupportVectors:
    """A support vector machine on *rows* windows, its Gaussian kernel approximated from *landmarks* of them (Nyström).

    Its margin becomes a probability by Platt's sigmoid, fitted on validation runs, which also choose among *widths*
    (the kernel's, as multiples of 1 / number of features).
    """

    rows: int = 12_000
    landmarks: int = 300
    widths: tuple[float, ...] = (0.1, 0.5)
    seed: int = 0
    kind: str = "baseline"

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", tuple(self.widths))
        for name in ("rows", "landmarks"):
            require(getattr(self, name) >= 1, self, name, "at least 1")
        require(bool(self.widths) and min(self.widths) > 0, self, "widths", "numbers above 0")

    def fit(self, train: Windows, validation: Windows, task: TimeToEvent) -> Classifier:
        def separate(width: float, seen: Examples, val: Examples) -> Any:
            x_NxP, failed_N, weight_N = seen
            kernel = Nystroem(
                gamma=width / x_NxP.shape[1], n_components=min(self.landmarks, len(x_NxP)), random_state=self.seed
            )
            machine = make_pipeline(StandardScaler(), kernel, LinearSVC(dual=False))  # type: ignore[arg-type]
            machine.fit(x_NxP, failed_N, linearsvc__sample_weight=weight_N)
            sigmoid = LogisticRegression(C=1e6)
            return Platt(machine, sigmoid.fit(machine.decision_function(val.x_NxP)[:, None], *val[1:]))

        return _best(separate, self.widths, train, validation, task.horizon_h, self.rows)


class Platt(NamedTuple):
    """A machine whose margin a sigmoid turns into a probability."""

    machine: Any
    sigmoid: LogisticRegression

    @property
    def classes_(self) -> np.ndarray:
        return self.sigmoid.classes_

    def predict_proba(self, x_NxP: np.ndarray) -> np.ndarray:
        return self.sigmoid.predict_proba(self.machine.decision_function(x_NxP)[:, None])


@dataclass(frozen=True, eq=False)
class Classifier:
    """The predictor: a fitted scikit-learn classifier."""

    model: Any

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> EventPrediction:
        return EventPrediction(_chance(self.model, features(windows, anchors_Nx2)))


def features(windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
    """What each window looks like, float32[N, P]: hours since the life began, and the `looks` of each variate."""
    e_N, at_N = now(windows, anchors_Nx2)
    age_N = ages(windows)[e_N, at_N].astype(np.float32)
    return np.concatenate((age_N[:, None], looks(windows, anchors_Nx2)), axis=-1)


def looks(windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
    """Of each variate the share missing, the last value, and over each of SHARES of the context its mean, deviation,
    extremes and slope: float32[N, P]."""
    anchors_Nx2, context = np.asarray(anchors_Nx2), windows.context
    e_N, at_N = now(windows, anchors_Nx2)
    missing_ExVxL = np.cumsum(~np.isfinite(np.asarray(windows.values_ExVxL)), axis=-1, dtype=np.int32)
    missing_NxV = (missing_ExVxL[e_N, :, at_N] - missing_ExVxL[e_N, :, at_N - context]) / np.float32(context)
    x_ExVxL, found = np.nan_to_num(filled(windows)), []
    for part_Nx2 in np.array_split(anchors_Nx2, max(len(anchors_Nx2) // CHUNK, 1)):
        x_NxVxT = cut(x_ExVxL, context, part_Nx2, -context, context)
        columns = [x_NxVxT[..., -1]]
        for share in SHARES:
            x_NxVxS = x_NxVxT[..., -max(round(share * context), 2) :]
            ramp_S = np.linspace(-1, 1, x_NxVxS.shape[-1], dtype=np.float32)
            columns += [x_NxVxS.mean(-1), x_NxVxS.std(-1), x_NxVxS.min(-1), x_NxVxS.max(-1), x_NxVxS @ ramp_S]
        found.append(np.concatenate(columns, axis=-1))
    return np.concatenate((missing_NxV, np.concatenate(found)), axis=-1)


def _best(
    fit: Callable[..., Any], settings: tuple[Any, ...], train: Windows, validation: Windows, horizon_h: float, rows: int
) -> Classifier:
    """The model of the setting whose log loss on validation runs is lowest; the base rate where a class is absent."""
    seen, val = _examples(train, horizon_h, rows), _examples(validation, horizon_h, rows)
    if len(set(seen.failed_N)) < 2 or len(set(val.failed_N)) < 2:
        return Classifier(DummyClassifier(strategy="prior").fit(*seen))
    models = [fit(setting, seen, val) for setting in settings]

    def loss(model: Any) -> float:
        return float(log_loss(val.failed_N, _chance(model, val.x_NxP), sample_weight=val.weight_N))

    return Classifier(min(models, key=loss))


def _examples(windows: Windows, horizon_h: float, rows: int) -> Examples:
    """At most *rows* windows whose asset is at risk, evenly spaced."""
    asked = anchors(windows, at_risk=True)
    asked = asked[:: -(-len(asked) // rows)]
    return Examples(features(windows, asked), *horizon_labels(windows, asked, horizon_h))


def _chance(model: Any, x_NxP: np.ndarray) -> np.ndarray:
    """The probability of the class True."""
    chance_NxC = model.predict_proba(x_NxP)
    return chance_NxC[:, list(model.classes_).index(True)] if True in model.classes_ else np.zeros(len(x_NxP))
