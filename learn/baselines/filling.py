"""What was read in a gap, without a deep model: from the readings on both sides of it.

All see what a model sees, and no hidden sample. Each comes with quantiles: its own errors on the validation windows,
about their median, by how far a sample lies from the nearer side of its gap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from learn.baselines.series import ahead, cut, latest, most, sampled, samples, solve, targets
from learn.scores.metrics import ForecastPrediction
from learn.tasks import Imputation
from learn.windows.batch import Windows
from learn.windows.gaps import hidden_of
from sim.errors import InputError, require

MOST_VALUES = 4_000_000  # of windows in memory at once, of which a fit needs no more
Filling = Callable[[Windows, np.ndarray], np.ndarray]  # windows, anchors int[N, 2] -> mean_NxVxH


@dataclass(frozen=True)
class LastSeen:
    """The newest reading before the gap."""

    kind: str = "naive"

    def fit(self, train: Windows, validation: Windows, task: Imputation) -> Spread:
        return Spread.fit(_held, validation, task.quantiles)


@dataclass(frozen=True)
class Interpolated:
    """On the line between the readings on both sides; where there is but one side, as that."""

    kind: str = "naive"

    def fit(self, train: Windows, validation: Windows, task: Imputation) -> Spread:
        return Spread.fit(between, validation, task.quantiles)


@dataclass(frozen=True)
class SameHourBetween:
    """What was read *period_h* before, moved onto the readings on both sides: its difference is interpolated."""

    period_h: float = 24.0
    kind: str = "baseline"

    def __post_init__(self) -> None:
        require(self.period_h > 0, self, "period_h", "more than 0 hours")

    def fit(self, train: Windows, validation: Windows, task: Imputation) -> Spread:
        return Spread.fit(Seasonal(samples(train, self.period_h)), validation, task.quantiles)


@dataclass(frozen=True)
class GapRidge:
    """The line between both sides, corrected linearly by how all other channels leave their own lines meanwhile.

    Each target has a ridge of its own; validation windows choose the penalty.
    """

    kind: str = "baseline"

    def fit(self, train: Windows, validation: Windows, task: Imputation) -> Spread:
        return Spread.fit(Linear.fit(train, validation), validation, task.quantiles)


@dataclass(frozen=True, eq=False)
class Spread:
    """The predictor: a mean, with one offset for each variate, depth within the gap and quantile level."""

    mean: Filling
    offset_VxDxQ: np.ndarray
    levels: np.ndarray

    @staticmethod
    def fit(mean: Filling, windows: Windows, levels: Sequence[float]) -> Spread:
        asked = _few(windows)
        there_NxVxH, depth_NxVxH = asked_for(windows, asked), depths(gaps(windows, asked))
        error_NxVxH = ahead(windows, asked) - mean(windows, asked)
        offset_VxDxQ = np.zeros((windows.variates, windows.horizon, len(levels)), np.float32)
        for v in range(windows.variates):
            for d in range(1, depth_NxVxH.max() + 1):
                seen = error_NxVxH[:, v][there_NxVxH[:, v] & (depth_NxVxH[:, v] == d)]
                if len(seen):
                    offset_VxDxQ[v, d] = np.quantile(seen, levels) - np.median(seen)
        return Spread(mean, offset_VxDxQ, np.asarray(levels))

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> ForecastPrediction:
        parts = np.array_split(anchors_Nx2, -(-len(anchors_Nx2) // _most(windows)))
        mean_NxVxH = np.concatenate([self.mean(windows, part) for part in parts]).astype(np.float32)
        depth_NxVxH = depths(gaps(windows, anchors_Nx2))
        offset_NxVxHxQ = self.offset_VxDxQ[np.arange(windows.variates)[:, None], depth_NxVxH]
        return ForecastPrediction(mean_NxVxH, mean_NxVxH[..., None] + offset_NxVxHxQ, self.levels)


@dataclass(frozen=True)
class Seasonal:
    """Mean of `SameHourBetween`, in samples."""

    period: int

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
        seen_NxVxL, time_NxL = seen(windows, anchors_Nx2, self.period)
        before_NxVxL = line(seen_NxVxL, time_NxL)[..., : -self.period]
        apart_NxVxL = seen_NxVxL[..., self.period :] - before_NxVxL
        filled_NxVxL = before_NxVxL + line(apart_NxVxL, time_NxL[:, self.period :])
        return filled_NxVxL[..., -windows.horizon :]


@dataclass(frozen=True, eq=False)
class Linear:
    """Mean of `GapRidge`: weights of each variate over how each leaves its line."""

    weights_VxF: np.ndarray

    @staticmethod
    def fit(train: Windows, validation: Windows) -> Linear:
        asked, tuned = _few(train), _few(validation)
        (line_NxVxH, there, y), (tuned_line, tuned_there, tuned_y) = (
            (between(w, a), asked_for(w, a), ahead(w, a)) for w, a in ((train, asked), (validation, tuned))
        )
        around, tuned_around = Around.of(train, asked), Around.of(validation, tuned)
        weights_VxF = np.zeros((train.variates, train.variates + 1))
        for v in np.flatnonzero(there.any((0, 2))):
            x_MxF = around.leaving(v)[there[:, v]]
            z_MxF = tuned_around.leaving(v)[tuned_there[:, v]]
            error_M = (y - line_NxVxH)[:, v][there[:, v]]
            wanted_M = (tuned_y - tuned_line)[:, v][tuned_there[:, v]]
            gram_1xFxF, moment_1xFx1 = (x_MxF.T @ x_MxF)[None], (x_MxF.T @ error_M)[None, :, None]
            each = [w_1xFx1[0, :, 0] for w_1xFx1 in solve(gram_1xFxF, moment_1xFx1, np.array([len(x_MxF)]))]
            weights_VxF[v] = min(each, key=lambda w_F: float(np.square(z_MxF @ w_F - wanted_M).sum()))
        return Linear(weights_VxF)

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
        told_NxVxH, around = between(windows, anchors_Nx2), Around.of(windows, anchors_Nx2)
        for v in np.flatnonzero(self.weights_VxF.any(1)):
            told_NxVxH[:, v] += around.leaving(v) @ self.weights_VxF[v]
        return told_NxVxH


class Around(NamedTuple):
    """The horizon, and the sample before it, with gaps filled; and where they were."""

    filled_NxVxL: np.ndarray
    time_NxL: np.ndarray
    hidden_NxVxH: np.ndarray

    @staticmethod
    def of(windows: Windows, anchors_Nx2: np.ndarray) -> Around:
        seen_NxVxL, time_NxL = seen(windows, anchors_Nx2)
        kept = slice(-windows.horizon - 1, None)
        return Around(line(seen_NxVxL, time_NxL)[..., kept], time_NxL[:, kept], gaps(windows, anchors_Nx2))

    def leaving(self, v: Any) -> np.ndarray:
        """By how much each channel leaves the line over the gap of variate *v*, and 1: float64[N, H, V + 1]."""
        gap_Nx1xH = self.hidden_NxVxH[:, v : v + 1]
        hide_Nx1xL = np.pad(gap_Nx1xH, ((0, 0), (0, 0), (1, 0)))
        apart_NxVxL = self.filled_NxVxL - line(np.where(hide_Nx1xL, np.nan, self.filled_NxVxL), self.time_NxL)
        return np.swapaxes(np.concatenate((apart_NxVxL[..., 1:], gap_Nx1xH), axis=1), 1, 2)


def gaps(windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
    """`learn.windows.gaps.hidden_of` windows that hide something; an InputError for others."""
    found = hidden_of(windows, anchors_Nx2)
    if found is None:
        raise InputError("a baseline that fills gaps takes a task that asks for them, task=imputation")
    return found


def asked_for(windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
    """Which samples of the horizon count: hidden ones of targets that were read, bool[N, V, H]."""
    target_NxVx1 = targets(windows)[anchors_Nx2[:, 0]][..., None]
    return gaps(windows, anchors_Nx2) & target_NxVx1 & np.isfinite(ahead(windows, anchors_Nx2))


def seen(windows: Windows, anchors_Nx2: np.ndarray, more: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Context and horizon without what is hidden, and *more* before: float64[N, V, L], and hours as they go, [N, L]."""
    low, count = -windows.context - more, windows.context + windows.horizon + more
    x_NxVxL = cut(np.asarray(windows.values_ExVxL), windows.context, anchors_Nx2, low, count).astype(np.float64)
    hide_NxVxH = gaps(windows, anchors_Nx2) & targets(windows)[anchors_Nx2[:, 0]][..., None]
    x_NxVxL[..., -windows.horizon :][hide_NxVxH] = np.nan
    gap_NxL = cut(np.asarray(windows.gap_ExL)[:, None], windows.context, anchors_Nx2, low, count)[:, 0]
    return x_NxVxL, np.cumsum(np.nan_to_num(gap_NxL, nan=windows.step_h or 0.0), axis=-1, dtype=np.float64)


def line(x_NxVxL: np.ndarray, time_NxL: np.ndarray) -> np.ndarray:
    """*x* with each gap filled by the line between both sides, or by the only one; 0 where nothing was read."""
    before, after = latest(x_NxVxL), x_NxVxL.shape[-1] - 1 - latest(x_NxVxL[..., ::-1])[..., ::-1]
    x0, x1 = (np.take_along_axis(x_NxVxL, at, axis=-1) for at in (before, after))
    time_NxVxL = np.broadcast_to(time_NxL[:, None], x_NxVxL.shape)
    t0, t1 = (np.take_along_axis(time_NxVxL, at, axis=-1) for at in (before, after))
    share = np.divide(time_NxVxL - t0, t1 - t0, out=np.zeros_like(x_NxVxL), where=t1 > t0)
    both = x0 + share * (x1 - x0)
    return np.nan_to_num(np.where(np.isnan(x0), x1, np.where(np.isnan(x1), x0, both)))


def between(windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
    """The horizon with its gaps on the line between their sides, float64[N, V, H]."""
    return line(*seen(windows, anchors_Nx2))[..., -windows.horizon :]


def depths(hidden_NxVxH: np.ndarray) -> np.ndarray:
    """How many samples each hidden one lies from the nearer side of its block, from 1 on; 0 for those that are seen."""
    count = hidden_NxVxH.sum(-1, keepdims=True)
    place = np.arange(hidden_NxVxH.shape[-1]) - hidden_NxVxH.argmax(-1)[..., None]
    return np.where(hidden_NxVxH, np.minimum(place + 1, count - place), 0)


def _held(windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
    seen_NxVxL, _ = seen(windows, anchors_Nx2)
    return np.nan_to_num(np.take_along_axis(seen_NxVxL, latest(seen_NxVxL), axis=-1))[..., -windows.horizon :]


def _few(windows: Windows) -> np.ndarray:
    return sampled(windows, windows.context, MOST_VALUES)


def _most(windows: Windows) -> int:
    return most(windows, windows.context, MOST_VALUES)
