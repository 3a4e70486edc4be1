"""Is the newest sample of another class than the first? By a code's rates, and by features of series and of frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from learn.baselines.series import cut, filled
from learn.baselines.trees import GROWTH, Trees
from learn.scores.metrics import EventPrediction
from learn.tasks import Classify
from learn.windows.batch import Windows, anchors
from sim.errors import InputError, require

PENALTIES = (0.001, 0.01, 0.1, 1.0)  # inverse, of the logistic regression
Sees = Literal["series", "frames", "both"]
Predictor = Callable[[Windows, np.ndarray], EventPrediction]


@dataclass(frozen=True)
class RateByVerdict:
    """Of samples with the same value of a *channel*, the share that was of another class than the first."""

    channel: str = "verdict"
    kind: str = "naive"

    def fit(self, train: Windows, validation: Windows, task: Classify) -> Predictor:
        if self.channel not in train.scale.names:
            raise InputError(f"there is no channel {self.channel!r}; it must be among {', '.join(train.scale.names)}")
        v = train.scale.names.index(self.channel)
        asked, bad_N = examples(train)
        code_N = _newest(train, asked)[:, v]
        rates = {code: float(bad_N[code_N == code].mean()) for code in np.unique(code_N)}
        whole = float(bad_N.mean())

        def predict(windows: Windows, anchors_Nx2: np.ndarray) -> EventPrediction:
            return EventPrediction(np.array([rates.get(c, whole) for c in _newest(windows, anchors_Nx2)[:, v]]))

        return predict


@dataclass(frozen=True)
class RateByLevel:
    """Of windows in which a *channel* is as high on average over its last *samples*, the share that was of another
    class than the first: a rule such as an alarm on a residual, whose threshold is left open."""

    channel: str
    samples: int = 24
    bins: int = 20
    kind: str = "naive"

    def __post_init__(self) -> None:
        require(self.samples >= 1, self, "samples", "at least 1")
        require(2 <= self.bins <= 1000, self, "bins", "between 2 and 1000")

    def fit(self, train: Windows, validation: Windows, task: Classify) -> Predictor:
        if self.channel not in train.scale.names:
            raise InputError(f"there is no channel {self.channel!r}; it must be among {', '.join(train.scale.names)}")
        asked, bad_N = examples(train)
        level_N = self._level(train, asked)
        edges = np.unique(np.quantile(level_N, np.linspace(0, 1, self.bins + 1)[1:-1]))
        bin_N = np.searchsorted(edges, level_N)
        count, bad = (np.bincount(bin_N, weights=w, minlength=len(edges) + 1) for w in (None, bad_N))
        rates = bad / np.maximum(count, 1)

        def predict(windows: Windows, anchors_Nx2: np.ndarray) -> EventPrediction:
            return EventPrediction(rates[np.searchsorted(edges, self._level(windows, anchors_Nx2))])

        return predict

    def _level(self, windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
        """The mean over the last samples, in the windows' scale."""
        x_Ex1xL = np.nan_to_num(filled(windows)[:, [windows.scale.names.index(self.channel)]])
        return cut(x_Ex1xL, windows.context, anchors_Nx2, -self.samples, self.samples)[:, 0].mean(-1)


@dataclass(frozen=True)
class DefectLogistic:
    """Logistic regression on features of the window's series, of its newest frame, or of both.

    Validation runs choose the penalty.
    """

    sees: Sees = "series"
    rows: int = 25_000
    kind: str = "baseline"

    def __post_init__(self) -> None:
        require(self.rows >= 1, self, "rows", "at least 1")
        _check(self)

    def fit(self, train: Windows, validation: Windows, task: Classify) -> Predictor:
        def grow(penalty: float, x_NxP: np.ndarray, bad_N: np.ndarray, *val: np.ndarray) -> Any:
            machine = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=500))
            return machine.fit(x_NxP, bad_N)

        return _best(grow, PENALTIES, self.sees, self.rows, train, validation)


@dataclass(frozen=True)
class DefectTrees(Trees):
    """Boosted trees on the same features."""

    sees: Sees = field(default="series", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self)

    def fit(self, train: Windows, validation: Windows, task: Classify) -> Predictor:
        def grow(leaves: int, x_NxP: np.ndarray, bad_N: np.ndarray, *val: np.ndarray) -> Any:
            trees = HistGradientBoostingClassifier(max_leaf_nodes=leaves, random_state=self.seed, **GROWTH)
            with threadpool_limits(1, "openmp"):  # where cores are shared, OpenMP's threads mostly wait for each other
                return trees.fit(x_NxP, bad_N, X_val=val[0], y_val=val[1])

        return _best(grow, self.leaves, self.sees, self.rows, train, validation)


def _check(baseline: DefectLogistic | DefectTrees) -> None:
    require(baseline.sees in ("series", "frames", "both"), baseline, "sees", "series, frames or both")


def examples(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Every anchor whose newest sample's class is known, and whether that is not the first."""
    asked = anchors(windows, at_risk=True)
    return asked, np.asarray(windows.cause_ExL)[asked[:, 0], asked[:, 1] + windows.context - 1] > 0


def features(windows: Windows, anchors_Nx2: np.ndarray, sees: Sees) -> np.ndarray:
    """What each window looks like, float32[N, P]."""
    parts = []
    if sees != "frames":
        x_NxVxT = cut(np.nan_to_num(filled(windows)), windows.context, anchors_Nx2, -windows.context, windows.context)
        parts += [x_NxVxT[..., -1], x_NxVxT[..., -4:].mean(-1), x_NxVxT.mean(-1), x_NxVxT.max(-1)]
    if sees != "series":
        if not windows.frames:
            raise InputError("there are no frames to take features of; ask for those of the series")
        e_N, at_N = anchors_Nx2[:, 0], anchors_Nx2[:, 1] + windows.context - 1
        for frames in windows.frames:
            own = np.asarray(frames[e_N, at_N])
            parts.append(frame_features(own) if own.ndim == 3 else wave_features(own))
    return np.concatenate(parts, axis=-1)


def frame_features(frames_NxHxW: np.ndarray) -> np.ndarray:
    """Level and spread of each frame; and of what is left of it less a smooth background and its rows' means, at three
    widths of smoothing, the outermost quantiles, the spread, and the largest steps."""
    x = np.nan_to_num(frames_NxHxW).astype(np.float32)
    rest = x - gaussian_filter(x, 6, axes=(1, 2))
    rest -= rest.mean(-1, keepdims=True)
    found = [x.mean((1, 2)), x.std((1, 2))]
    for width in (1, 3, 5):
        smooth = uniform_filter(rest, width, axes=(1, 2)) if width > 1 else rest
        flat = smooth.reshape(len(x), -1)
        found += list(np.quantile(flat, (0.0, 0.01, 0.05, 0.95, 0.99, 1.0), axis=1))
        found += [flat.std(1), np.abs(np.diff(smooth, axis=1)).max((1, 2)), np.abs(np.diff(smooth, axis=2)).max((1, 2))]
    return np.stack(found, axis=-1).astype(np.float32)


def wave_features(waves_NxS: np.ndarray) -> np.ndarray:
    """How loud each waveform is, how peaked (kurtosis), and the logarithm of its energy in each octave."""
    x = np.nan_to_num(waves_NxS).astype(np.float64)
    energy_NxF = np.abs(np.fft.rfft(x * np.hanning(x.shape[1]))) ** 2
    edges = np.unique(np.geomspace(1, energy_NxF.shape[1], int(np.log2(energy_NxF.shape[1])) + 1).astype(int))
    octaves = np.add.reduceat(energy_NxF, edges[:-1], axis=1)
    square = np.mean(x**2, axis=1) + 1e-12
    found = [np.log(square), np.mean(x**4, axis=1) / square**2, *np.log(octaves + 1e-12).T]
    return np.stack(found, axis=-1).astype(np.float32)


def _newest(windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
    """The newest value of each variate, NxV, as the sensor gave it but for rounding."""
    last_NxV = cut(filled(windows), windows.context, anchors_Nx2, -1, 1)[..., 0]
    return np.round(last_NxV * np.asarray(windows.scale.std) + np.asarray(windows.scale.mean), 4)


def _best(
    fit: Callable[..., Any], settings: tuple[Any, ...], sees: Sees, rows: int, train: Windows, validation: Windows
) -> Predictor:
    """The model of the setting whose log loss on validation runs is lowest; the base rate where a class is absent."""
    (asked, bad_N), (asked_val, bad_val) = examples(train), examples(validation)
    stride = -(-len(asked) // rows)
    asked, bad_N = asked[::stride], bad_N[::stride]
    x_NxP, x_val = features(train, asked, sees), features(validation, asked_val, sees)
    if len(set(bad_N)) < 2 or len(set(bad_val)) < 2:
        models = [DummyClassifier(strategy="prior").fit(x_NxP, bad_N)]
    else:
        models = [fit(setting, x_NxP, bad_N, x_val, bad_val) for setting in settings]

    def chance(model: Any, x_NxP: np.ndarray) -> np.ndarray:
        found_NxC = model.predict_proba(x_NxP)
        return found_NxC[:, list(model.classes_).index(True)] if True in model.classes_ else np.zeros(len(x_NxP))

    best = min(models, key=lambda model: float(log_loss(bad_val, chance(model, x_val), labels=[False, True])))
    return lambda windows, anchors_Nx2: EventPrediction(chance(best, features(windows, anchors_Nx2, sees)))
