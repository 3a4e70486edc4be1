"""Forecasts that need no deep model.

All work in the windows' scaled units and look back from the anchor only. A sample that is missing counts as the last
observation before it, or as the train mean (0) where there is none. Each comes with quantiles: its own errors on the
validation windows, about their median, so that the median is still the forecast itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from learn.scores.metrics import ForecastPrediction
from learn.tasks import Forecast
from learn.windows.batch import ROLES, Windows, anchors
from sim.errors import InputError, require
from twins.channel import Role

Mean = Callable[[Windows, np.ndarray], np.ndarray]  # windows, anchors int[N, 2] -> mean_NxVxH
PENALTIES = (1e-8, *np.logspace(-4, 1, 11))  # of a ridge, as shares of the number of training rows
MOST_VALUES = 30_000_000  # of a regression's features in memory; more rows make a linear fit no better


@dataclass(frozen=True)
class TrainMean:
    """The mean over the training data, whatever the context; the naive mark where a window has none."""

    kind: str = "baseline"

    def fit(self, train: Windows, validation: Windows, task: Forecast) -> Spread:
        return Spread.fit(_zeros, validation, task.quantiles)


@dataclass(frozen=True)
class RepeatLast:
    """The last value, repeated."""

    kind: str = "naive"

    def fit(self, train: Windows, validation: Windows, task: Forecast) -> Spread:
        return Spread.fit(_last, validation, task.quantiles)


@dataclass(frozen=True)
class SameHour:
    """The mean of the last *periods* values at the same phase of *period_h*; of one period: the seasonal naive."""

    period_h: float = 24.0
    periods: int = 1
    kind: str = "naive"

    def __post_init__(self) -> None:
        require(self.period_h > 0, self, "period_h", "more than 0 hours")
        require(self.periods >= 1, self, "periods", "at least 1")

    def fit(self, train: Windows, validation: Windows, task: Forecast) -> Spread:
        return Spread.fit(Seasonal(samples(train, self.period_h), self.periods), validation, task.quantiles)


@dataclass(frozen=True)
class Ridge:
    """Each target's change from its last value, linear in its own *lookback* values and in what is known ahead."""

    lookback: int | None = None  # samples; the windows' context if None
    kind: str = "baseline"

    def fit(self, train: Windows, validation: Windows, task: Forecast) -> Spread:
        lookback = train.context if self.lookback is None else self.lookback
        return Spread.fit(Linear.fit(train, validation, lookback), validation, task.quantiles)


@dataclass(frozen=True, eq=False)
class Spread:
    """The predictor: a mean forecast, with one offset for each variate, step ahead and quantile level."""

    mean: Mean
    offset_VxHxQ: np.ndarray
    levels: np.ndarray

    @staticmethod
    def fit(mean: Mean, windows: Windows, levels: Sequence[float]) -> Spread:
        asked = sampled(windows)
        target_NxV = targets(windows)[asked[:, 0]]
        error_NxVxH = ahead(windows, asked) - mean(windows, asked)
        offset_VxHxQ = np.zeros((*error_NxVxH.shape[1:], len(levels)), np.float32)
        for v, h in np.ndindex(*error_NxVxH.shape[1:]):
            seen = error_NxVxH[target_NxV[:, v] & np.isfinite(error_NxVxH[:, v, h]), v, h]
            if len(seen):
                offset_VxHxQ[v, h] = np.quantile(seen, levels) - np.median(seen)
        return Spread(mean, offset_VxHxQ, np.asarray(levels))

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> ForecastPrediction:
        mean_NxVxH = self.mean(windows, anchors_Nx2).astype(np.float32)
        return ForecastPrediction(mean_NxVxH, mean_NxVxH[..., None] + self.offset_VxHxQ, self.levels)


@dataclass(frozen=True)
class Seasonal:
    """Mean forecast of `SameHour`, in samples; phases that lie before the episode are left out of the mean."""

    period: int
    periods: int

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
        x_NxVxT = past(windows, anchors_Nx2, self.period * self.periods)
        x_NxVxPxS = x_NxVxT.reshape(*x_NxVxT.shape[:2], self.periods, self.period)
        there = np.isfinite(x_NxVxPxS)
        season_NxVxS = np.where(there, x_NxVxPxS, 0).sum(2) / np.maximum(there.sum(2), 1)
        return season_NxVxS[..., np.arange(windows.horizon) % self.period]


@dataclass(frozen=True, eq=False)
class Linear:
    """Mean forecast of `Ridge`; validation windows choose the penalty, and whether variates share their weights."""

    lookback: int
    weights_VxPxH: np.ndarray
    penalty: float  # share of the number of training rows
    shared: bool

    @staticmethod
    def fit(train: Windows, validation: Windows, lookback: int) -> Linear:
        x_NxVxP, y_NxVxH, mask_NxV = _regression(train, lookback)
        kept = [(x_NxVxP[mask_NxV[:, v], v], y_NxVxH[mask_NxV[:, v], v]) for v in range(train.variates)]
        gram_VxPxP = np.stack([x_NxP.T @ x_NxP for x_NxP, _ in kept])
        moment_VxPxH = np.stack([x_NxP.T @ y_NxH for x_NxP, y_NxH in kept])
        rows_V = np.array([len(x_NxP) for x_NxP, _ in kept])
        own = solve(gram_VxPxP, moment_VxPxH, rows_V)
        shared = solve(*(np.sum(part, 0, keepdims=True) for part in (gram_VxPxP, moment_VxPxH, rows_V)))
        shared = [np.repeat(weights_1xPxH, train.variates, axis=0) for weights_1xPxH in shared]

        x_NxVxP, y_NxVxH, mask_NxV = _regression(validation, lookback)
        choices = [
            Linear(lookback, weights_VxPxH, penalty, solutions is shared)
            for solutions in (own, shared)
            for penalty, weights_VxPxH in zip(PENALTIES, solutions, strict=True)
        ]

        def loss(choice: Linear) -> float:
            return float(np.mean((_apply(x_NxVxP, choice.weights_VxPxH) - y_NxVxH)[mask_NxV] ** 2))

        return min(choices, key=loss)

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
        x_NxVxP, last_NxVx1 = _features(windows, anchors_Nx2, self.lookback)
        return _apply(x_NxVxP, self.weights_VxPxH) + last_NxVx1


def past(windows: Windows, anchors_Nx2: np.ndarray, count: int) -> np.ndarray:
    """The last *count* values before each anchor, NxVxcount, gaps filled from before; NaN before any observation."""
    return cut(filled(windows), windows.context, anchors_Nx2, -count, count)


def filled(windows: Windows) -> np.ndarray:
    """The windows' values, ExVxL, each gap filled by the last observation before it."""
    x_ExVxL = np.asarray(windows.values_ExVxL)
    return np.take_along_axis(x_ExVxL, latest(x_ExVxL), axis=-1)


def latest(x: np.ndarray) -> np.ndarray:
    """The place along the last axis of the newest reading up to each sample; 0 before the first."""
    sample_L = np.arange(x.shape[-1], dtype=np.int32)
    return np.maximum.accumulate(np.where(np.isfinite(x), sample_L, 0), axis=-1)


def ahead(windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
    """The windows' horizon from each anchor on, NxVxH, NaN where missing."""
    return cut(np.asarray(windows.values_ExVxL), windows.context, anchors_Nx2, 0, windows.horizon)


def targets(windows: Windows) -> np.ndarray:
    """Which variates are to be forecast, bool[E, V]."""
    return np.asarray(windows.variate_mask_ExV) & (np.asarray(windows.role_ExV) == ROLES.index(Role.TARGET))


def samples(windows: Windows, period_h: float) -> int:
    """How many samples make *period_h*; raises InputError unless the windows have a step that divides it."""
    if windows.step_h is None:
        raise InputError(f"a period of {period_h:g} h needs samples at a fixed step; these come at times of their own")
    count = round(period_h / windows.step_h)
    if count < 1 or abs(count * windows.step_h - period_h) > 1e-6 * period_h:
        raise InputError(f"a period of {period_h:g} h is no whole number of steps of {windows.step_h:g} h")
    return count


def _zeros(windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
    return np.zeros((len(anchors_Nx2), windows.variates, windows.horizon))


def _last(windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
    return np.nan_to_num(past(windows, anchors_Nx2, 1)).repeat(windows.horizon, axis=-1)


def cut(x_ExVxL: np.ndarray, context: int, anchors_Nx2: np.ndarray, offset: int, count: int) -> np.ndarray:
    """Samples k + offset … of each anchor, NxVxcount, NaN outside the array."""
    e_N, k_N = np.asarray(anchors_Nx2).T
    at_NxC = (k_N + context + offset)[:, None] + np.arange(count)
    inside_NxC = (at_NxC >= 0) & (at_NxC < x_ExVxL.shape[-1])
    at_Nx1xC = np.where(inside_NxC, at_NxC, 0)[:, None]
    x_NxVxC = x_ExVxL[e_N[:, None, None], np.arange(x_ExVxL.shape[1])[:, None], at_Nx1xC]
    return x_NxVxC if inside_NxC.all() else np.where(inside_NxC[:, None], x_NxVxC, np.float32(np.nan))


def sampled(windows: Windows, lookback: int = 0, values: int = MOST_VALUES) -> np.ndarray:
    """Anchors evenly spaced, as many as memory takes so many *values* of, with *lookback* samples behind them where
    there are such."""
    every = anchors(windows, at_risk=False)
    whole = every[every[:, 1] >= lookback]
    every = whole if len(whole) else every
    return every[:: -(-len(every) // most(windows, lookback, values))]


def most(windows: Windows, lookback: int, values: int) -> int:
    """How many windows of *lookback* samples and a horizon hold so many *values*; at least 1."""
    return max(values // (windows.variates * (lookback + windows.horizon)), 1)


def _features(windows: Windows, anchors_Nx2: np.ndarray, lookback: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the regression NxVxP: past less last, last, what is known ahead, 1; and the last value NxVx1."""
    past_NxVxT = np.nan_to_num(past(windows, anchors_Nx2, lookback)).astype(np.float64)
    count, variates = past_NxVxT.shape[:2]
    last_NxVx1 = past_NxVxT[..., -1:].copy() if lookback else np.zeros((count, variates, 1))
    past_NxVxT[..., :-1] -= last_NxVx1
    known_V = (np.asarray(windows.role_ExV) == ROLES.index(Role.KNOWN)).any(0)
    known_NxK = np.nan_to_num(ahead(windows, anchors_Nx2)[:, known_V].reshape(count, -1)).astype(np.float64)
    known_NxVxK = np.broadcast_to(known_NxK[:, None], (count, variates, known_NxK.shape[1]))
    return np.concatenate((past_NxVxT, known_NxVxK, np.ones_like(last_NxVx1)), axis=-1), last_NxVx1


def _regression(windows: Windows, lookback: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, what followed less the last value (gaps filled), and which rows are of targets: NxVxP, NxVxH, NxV."""
    asked = sampled(windows, lookback)
    x_NxVxP, last_NxVx1 = _features(windows, asked, lookback)
    later = asked + np.array([0, windows.horizon])
    y_NxVxH = past(windows, later, windows.horizon) - last_NxVx1
    return x_NxVxP, np.nan_to_num(y_NxVxH), targets(windows)[asked[:, 0]] & np.isfinite(y_NxVxH).all(-1)


def solve(gram_GxPxP: np.ndarray, moment_GxPxH: np.ndarray, rows_G: np.ndarray) -> list[np.ndarray]:
    """(XᵀX + penalty · rows · I)⁻¹ XᵀY of each group, for each penalty, from one eigendecomposition."""
    value_GxP, vector_GxPxP = np.linalg.eigh(gram_GxPxP)
    turned_GxPxH = np.swapaxes(vector_GxPxP, 1, 2) @ moment_GxPxH
    rows_Gx1 = np.maximum(rows_G, 1)[:, None]
    return [vector_GxPxP @ (turned_GxPxH / (value_GxP + p * rows_Gx1)[..., None]) for p in PENALTIES]


def _apply(x_NxVxP: np.ndarray, weights_VxPxH: np.ndarray) -> np.ndarray:
    return np.swapaxes(np.swapaxes(x_NxVxP, 0, 1) @ weights_VxPxH, 0, 1)
