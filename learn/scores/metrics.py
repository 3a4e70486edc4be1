"""Scores of predictions: numpy, accumulated in float64, one entry a window so that whole world runs can be resampled.

A score is a ratio of sums over windows (`Ratio`), so the mean over observed samples, the weighted quantile loss and a
bin of a calibration curve are resampled by one rule. AUROC counts pairs of windows instead (`Pairs`).
Axes: N windows, V variates, H samples ahead, Q quantile levels, S ensemble members, C clusters of windows; in
predictions, C causes or states.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from learn.tasks import RemainingLife

if TYPE_CHECKING:
    from learn.scores.survival import Lives

SURE = 1e-6  # a probability is taken no nearer than this to 0 or 1 in the log score


@dataclass(frozen=True, eq=False)
class ForecastPrediction:
    """Forecasts in the windows' scaled units. A point forecast has the one level .5, and then its CRPS is its MAE."""

    mean_NxVxH: np.ndarray
    quantiles_NxVxHxQ: np.ndarray
    levels: np.ndarray  # float[Q], increasing, inside (0, 1)
    samples_NxVxHxS: np.ndarray | None = None  # an ensemble of equally likely futures, S >= 2: scored without its bias

    @staticmethod
    def point(mean_NxVxH: np.ndarray) -> ForecastPrediction:
        return ForecastPrediction(mean_NxVxH, mean_NxVxH[..., None], np.array([0.5]))

    @staticmethod
    def ensemble(samples_NxVxHxS: np.ndarray, levels: np.ndarray) -> ForecastPrediction:
        quantiles = np.moveaxis(np.quantile(samples_NxVxHxS, levels, axis=-1), 0, -1)
        return ForecastPrediction(samples_NxVxHxS.mean(-1), quantiles, np.asarray(levels), samples_NxVxHxS)


@dataclass(frozen=True, eq=False)
class EventPrediction:
    """Probability that the asset fails within the task's horizon, and optionally how it accrues for each cause."""

    p_N: np.ndarray
    cif_NxCxK: np.ndarray | None = None  # cumulative incidence of cause C by the end of time bin K
    marks_NxHxWxK: np.ndarray | None = None  # probability of each kind of mark on each pixel of the newest frame
    members: int | None = None  # futures of which p is the share, >= 2: the Brier score is rid of their sampling error


@dataclass(frozen=True, eq=False)
class LifePrediction:
    """How much life is left, in the task's unit: quantiles between 0 and the cap, and their mean."""

    mean_N: np.ndarray
    quantiles_NxQ: np.ndarray
    levels: np.ndarray  # float[Q], increasing, inside (0, 1)
    members_NxS: np.ndarray | None = None  # an ensemble of equally likely lives, S >= 2: scored without its bias

    @staticmethod
    def of(quantiles_NxQ: np.ndarray, task: RemainingLife) -> LifePrediction:
        """From quantiles that rise, held between 0 and the cap."""
        held_NxQ, levels = np.clip(quantiles_NxQ, 0.0, task.cap), np.asarray(task.quantiles)
        return LifePrediction(held_NxQ @ quadrature(levels), held_NxQ, levels)

    @staticmethod
    def ensemble(members_NxS: np.ndarray, task: RemainingLife) -> LifePrediction:
        held_NxS, levels = np.clip(members_NxS, 0.0, task.cap), np.asarray(task.quantiles)
        return LifePrediction(held_NxS.mean(1), np.quantile(held_NxS, levels, axis=1).T, levels, held_NxS)

    @property
    def forecast(self) -> ForecastPrediction:
        """The same as a forecast of one variate, one step ahead."""
        members = None if self.members_NxS is None else self.members_NxS[:, None, None]
        return ForecastPrediction(
            self.mean_N[:, None, None], self.quantiles_NxQ[:, None, None], np.asarray(self.levels), members
        )


@dataclass(frozen=True, eq=False)
class StatePrediction:
    """Probability of each state at each of the samples ahead."""

    p_NxHxC: np.ndarray
    members: int | None = None  # futures of which p is the share, >= 2: the Brier score is rid of their sampling error


Prediction = ForecastPrediction | EventPrediction | LifePrediction | StatePrediction


class ForecastTruth(NamedTuple):
    """What came, in the same scaled units; `mask` is False where nothing was observed or the variate is no target."""

    y_NxVxH: np.ndarray
    mask_NxVxH: np.ndarray
    mase_scale_NxV: np.ndarray | None = None  # in-sample MAE of the seasonal naive forecast
    percent_V: np.ndarray | None = None  # what a scaled unit is, in percent of what the task calls full
    first_N: np.ndarray | None = None  # of plans to choose from, the window of the first plan of the same moment
    better: float = 1.0  # 1: the lowest is best; −1: the highest


class EventTruth(NamedTuple):
    """Whether the asset failed within the horizon; where `known_N` is False nobody can tell, and it is not scored."""

    failed_N: np.ndarray  # bool
    known_N: np.ndarray  # bool
    marks_NxHxW: np.ndarray | None = None  # uint8, bits of the kinds of mark on each pixel of the newest frame
    lives: Lives | None = None  # what was seen of each life, where it is asked when it ends


class LifeTruth(NamedTuple):
    """How much life was left, in the task's unit and held at its cap; where `known_N` is False nobody can tell."""

    y_N: np.ndarray
    known_N: np.ndarray  # bool

    @property
    def forecast(self) -> ForecastTruth:
        return ForecastTruth(self.y_N[:, None, None], self.known_N[:, None, None])


class StateTruth(NamedTuple):
    """In which state the asset was at each sample ahead, by its number; where that is −1 nobody can tell."""

    state_NxH: np.ndarray  # int

    @property
    def known_N(self) -> np.ndarray:
        """Whether anything is known of a window."""
        return np.any(self.state_NxH >= 0, axis=1)


Truth = ForecastTruth | EventTruth | LifeTruth | StateTruth


class Ratio(NamedTuple):
    """The score Σ num / Σ den over windows."""

    num_N: np.ndarray
    den_N: np.ndarray

    def __call__(self, cluster_N: np.ndarray, weights_RxC: np.ndarray) -> np.ndarray:
        """The score when each cluster of windows counts weights_RxC times: float64[R], NaN where nothing counts."""
        total = [weights_RxC @ np.bincount(cluster_N, part, weights_RxC.shape[1]) for part in self]
        return divide(*total)


class Root(NamedTuple):
    """The square root of a `Ratio`; of one that sampling took below 0, 0."""

    square: Ratio

    def __call__(self, cluster_N: np.ndarray, weights_RxC: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(self.square(cluster_N, weights_RxC), 0.0))


class Pairs(NamedTuple):
    """AUROC: the share of pairs of a failing and a surviving window that the probabilities rank rightly; ties half."""

    p_N: np.ndarray
    failing_N: np.ndarray  # bool: known to have failed
    surviving_N: np.ndarray  # bool: known not to have

    def __call__(self, cluster_N: np.ndarray, weights_RxC: np.ndarray) -> np.ndarray:
        """As of `Ratio`: a quadratic form in the weights, for a pair counts as often as both its clusters together."""
        p, clusters = np.asarray(self.p_N, np.float64), weights_RxC.shape[1]
        right_CxC, p_failing = np.zeros((clusters, clusters)), p[self.failing_N]
        for c in range(clusters):
            other = np.sort(p[self.surviving_N & (cluster_N == c)])
            below = np.searchsorted(other, p_failing, "left") + np.searchsorted(other, p_failing, "right")
            right_CxC[:, c] = np.bincount(cluster_N[self.failing_N], below / 2, clusters)
        failing, surviving = (np.bincount(cluster_N[which], minlength=clusters) for which in self[1:])
        right = np.einsum("rc,cd,rd->r", weights_RxC, right_CxC, weights_RxC, optimize=True)
        return divide(right, (weights_RxC @ failing) * (weights_RxC @ surviving))


class Precision(NamedTuple):
    """Average precision of pixels: the mean over the marked ones of the precision at their probability, in tenths of
    a percent."""

    marked_NxB: np.ndarray  # pixels with a mark, by the bin of their probability, rising
    other_NxB: np.ndarray

    def __call__(self, cluster_N: np.ndarray, weights_RxC: np.ndarray) -> np.ndarray:
        summed = []
        for part_NxB in self:
            by_CxB = np.zeros((weights_RxC.shape[1], part_NxB.shape[1]))
            np.add.at(by_CxB, cluster_N, part_NxB)
            summed.append(weights_RxC @ by_CxB)
        above = [np.cumsum(part_RxB[:, ::-1], axis=1) for part_RxB in summed]
        precision_RxB = np.nan_to_num(divide(above[0], above[0] + above[1]))
        return divide((summed[0][:, ::-1] * precision_RxB).sum(1), summed[0].sum(1))


Score = Ratio | Root | Pairs | Precision


def forecast_scores(prediction: ForecastPrediction, truth: ForecastTruth) -> dict[str, Score]:
    """mse of the mean; mae of the median; crps, wql, mase (given its scale) and coverage of the central 80 %.

    Given percents, nrmse: the root mean square error of the mean at the last step.

    An ensemble's mse and crps are the fair ones, unbiased for the ensemble of infinitely many members.
    """
    y, mask = _observed(truth)
    error = _zero(prediction.mean_NxVxH - y, mask) ** 2
    median = _quantile(prediction, 0.5)
    absolute = _zero(np.abs(median - y), mask)
    losses = (pinball(y, prediction.quantiles_NxVxHxQ[..., q], level) for q, level in enumerate(prediction.levels))
    loss_NxQ = np.stack([_windows(_zero(loss, mask)) for loss in losses], axis=-1)
    crps_N = 2 * loss_NxQ @ quadrature(prediction.levels)
    if (samples := prediction.samples_NxVxHxS) is not None:
        error -= _zero(samples.var(-1, ddof=1, dtype=np.float64) / samples.shape[-1], mask)
        crps_N = _windows(_zero(fair_crps(y, samples), mask))
    count = _windows(mask)
    scores: dict[str, Score] = {
        "mse": Ratio(_windows(error), count),
        "mae": Ratio(_windows(absolute), count),
        "crps": Ratio(crps_N, count),
        "wql": Ratio(2 * loss_NxQ.mean(-1), _windows(_zero(np.abs(y), mask))),
    }
    if truth.percent_V is not None:
        last = (error * truth.percent_V[:, None] ** 2)[..., -1:]
        scores = {"nrmse": Root(Ratio(_windows(last), _windows(mask[..., -1:])))} | scores
    if truth.mase_scale_NxV is not None:
        scores["mase"] = Ratio(_windows(absolute / truth.mase_scale_NxV[..., None]), count)
    if len(prediction.levels) > 1:
        inside = (y >= _quantile(prediction, 0.1)) & (y <= _quantile(prediction, 0.9)) & mask
        scores["coverage_80"] = Ratio(_windows(inside), count)
    return scores


def life_scores(prediction: LifePrediction, truth: LifeTruth) -> dict[str, Score]:
    """rmse of the mean; mae of the median; crps and the coverage of the central 80 and 90 %; nasa of the mean.

    All but nasa and the coverages are in the task's unit. nasa is the mean over windows of exp(−d/13) − 1 where the
    estimate is early (d = estimate − truth < 0) and exp(d/10) − 1 where it is late (Saxena et al. 2008, whose text and
    formula disagree on the constants; the text's is meant); the literature prints its sum. An ensemble has no remedy
    for the sampling error of nasa and of quantiles, so it is scored by rmse and crps alone.
    """
    one, what_came = prediction.forecast, truth.forecast
    found = forecast_scores(one, what_came)
    mse = found["mse"]
    assert isinstance(mse, Ratio)
    scores: dict[str, Score] = {"rmse": Root(mse), "crps": found["crps"]}
    if prediction.members_NxS is not None:
        return scores
    y, mask = _observed(what_came)
    count = _windows(mask)
    late = one.mean_NxVxH - y
    nasa = np.where(late < 0, np.expm1(-late / 13), np.expm1(late / 10))
    inside = (y >= _quantile(one, 0.05)) & (y <= _quantile(one, 0.95)) & mask
    return scores | {
        "mae": found["mae"],
        "nasa": Ratio(_windows(_zero(nasa, mask)), count),
        "coverage_80": found["coverage_80"],
        "coverage_90": Ratio(_windows(inside), count),
    }


def event_scores(prediction: EventPrediction, truth: EventTruth) -> dict[str, Score]:
    """brier, auroc and log loss of "fails within the horizon", over the windows whose truth is known.

    The Brier score of a share of *members* futures is biased by p(1 − p)/(members − 1), which is taken off. Ranking and
    log loss have no such remedy, and few members tie, so a share of futures is scored by brier alone.
    """
    p, failed, known = np.asarray(prediction.p_N, np.float64), truth.failed_N, truth.known_N
    brier = (p - failed) ** 2
    if prediction.members is not None:
        return {"brier": Ratio((brier - p * (1 - p) / (prediction.members - 1)) * known, known)}
    scores = _mark_scores(prediction, truth)
    sure = np.clip(p, SURE, 1 - SURE)
    log_loss = -np.where(failed, np.log(sure), np.log1p(-sure))
    return {
        "brier": Ratio(brier * known, known),
        "auroc": Pairs(p, failed & known, ~failed & known),
        "log_loss": Ratio(log_loss * known, known),
    } | scores


def _mark_scores(prediction: EventPrediction, truth: EventTruth) -> dict[str, Score]:
    """iou of marks given more than even odds, and average_precision, over pixels and kinds; nothing without marks."""
    if prediction.marks_NxHxWxK is None or truth.marks_NxHxW is None:
        return {}
    chance = np.asarray(prediction.marks_NxHxWxK, np.float32)
    kinds = np.arange(chance.shape[-1], dtype=np.uint8)
    marked = (truth.marks_NxHxW[..., None] >> kinds & 1).astype(bool).reshape(len(chance), -1)
    chance = chance.reshape(len(chance), -1)
    found = chance > 0.5
    bins = 1000
    place = np.minimum((chance * bins).astype(np.int64), bins - 1) + np.arange(len(chance))[:, None] * bins
    counts = [np.bincount(place[which], minlength=len(chance) * bins) for which in (marked, ~marked)]
    return {
        "iou": Ratio((found & marked).sum(1).astype(float), (found | marked).sum(1).astype(float)),
        "average_precision": Precision(*(c.reshape(len(chance), bins).astype(float) for c in counts)),
    }


def pinball(y: np.ndarray, quantile: np.ndarray, level: float) -> np.ndarray:
    """Quantile loss, max(level · (y − q), (level − 1) · (y − q))."""
    return np.maximum(level * (y - quantile), (level - 1) * (y - quantile))


def quadrature(levels: np.ndarray) -> np.ndarray:
    """How much of (0, 1) each level stands for: 1/Q where they are (q + ½)/Q, and CRPS is then 2 · mean pinball."""
    levels = np.asarray(levels, np.float64)
    return np.diff(np.concatenate(([0.0], (levels[1:] + levels[:-1]) / 2, [1.0])))


def fair_crps(y: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """mean |x − y| − Σ|xᵢ − xⱼ| / (2 S (S − 1)): unbiased for the law that the S samples come from (Ferro 2014)."""
    x = np.sort(np.asarray(samples, np.float64), axis=-1)
    size = x.shape[-1]
    spread = (x * (2 * np.arange(size) - size + 1)).sum(-1) / (size * (size - 1))
    return np.abs(x - y[..., None]).mean(-1) - spread


def pit(y: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Probability integral transform from quantiles [..., Q], linear between levels, 0 and 1 beyond the outer ones."""
    below = (quantiles <= y[..., None]).sum(-1)
    i = np.clip(below, 1, len(levels) - 1)
    left, right = (np.take_along_axis(quantiles, j[..., None], -1)[..., 0] for j in (i - 1, i))
    inner = levels[i - 1] + (levels[i] - levels[i - 1]) * divide(y - left, right - left)
    return np.where(below == 0, 0.0, np.where(below == len(levels), 1.0, inner))


def reached(y: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> Iterator[np.ndarray]:
    """At each level the chance that the probability integral transform of *y* [...] is at most that.

    It is 0 or 1 but where *y* is one of the quantiles [..., Q] itself, as counts are: there the law has a lump, and the
    transform is drawn evenly from what it holds below *y* to what it holds up to it (Czado, Gneiting & Held 2009,
    section 2). Both are taken to lie midway between levels.
    """
    below, up_to = (quantiles < y[..., None]).sum(-1), (quantiles <= y[..., None]).sum(-1)
    levels = np.asarray(levels, np.float64)
    midway = np.convolve((0.0, *levels, 1.0), (0.5, 0.5), "valid")
    low, high = midway[below], midway[up_to]
    for q, level in enumerate(levels):
        yield np.where(below == up_to, q >= below, np.clip(divide(level - low, high - low), 0, 1))


def _observed(truth: ForecastTruth) -> tuple[np.ndarray, np.ndarray]:
    mask = np.asarray(truth.mask_NxVxH, bool)
    return np.where(mask, truth.y_NxVxH, 0).astype(np.float64), mask


def _quantile(prediction: ForecastPrediction, level: float) -> np.ndarray:
    """The quantile at *level*, linear between the two nearest levels, the outermost beyond them."""
    levels = np.asarray(prediction.levels, np.float64)
    right = int(np.clip(np.searchsorted(levels, level), 0, len(levels) - 1))
    left = max(right - 1, 0)
    share = 1.0 if left == right else float(np.clip((level - levels[left]) / (levels[right] - levels[left]), 0, 1))
    q = prediction.quantiles_NxVxHxQ
    return q[..., right] if share == 1.0 else (1 - share) * q[..., left] + share * q[..., right]


def _zero(value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask, value, 0.0)


def _windows(value_NxVxH: np.ndarray) -> np.ndarray:
    return value_NxVxH.sum((1, 2), dtype=np.float64)


def divide(num: np.ndarray, den: np.ndarray) -> np.ndarray:
    """The ratio, NaN where the denominator is 0."""
    return np.divide(num, den, out=np.full(np.shape(den), np.nan), where=np.asarray(den) != 0)
