"""Forecasts by boosted trees: one ensemble for all series and steps ahead, of squared error and of each quantile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from learn.baselines.series import Spread, ahead, past, samples, targets
from learn.baselines.trees import GROWTH
from learn.scores.metrics import ForecastPrediction
from learn.tasks import Forecast
from learn.windows.batch import ROLES, Windows, anchors
from sim.errors import InputError, require
from twins.channel import Role

STRETCHES = (6, 24, 168)  # samples back, over which means and deviations are told
CHUNK = 512  # windows whose features are in memory at once


@dataclass(frozen=True)
class ForecastTrees:
    """Histogram gradient boosting on *rows* targets: the change from the mean of the same phase of *period_h*.

    A row tells the step ahead, the variate, the hour of the week, the last *periods* values of the same phase, what
    is known of that moment, the last value of every variate, and mean and deviation of the variate's last STRETCHES.
    Without a period, as where samples come at times of their own, every sample is of the same phase.
    Of a task of quantiles there is an ensemble for each (pinball loss). Validation runs choose the number of trees, and
    shift each quantile to where it covers its share of them (Romano et al. 2019, conformalized quantile regression).
    """

    rows: int = 25_000
    period_h: float | None = 24.0
    periods: int = 7
    leaves: int = 20
    seed: int = 0
    kind: str = "baseline"

    def __post_init__(self) -> None:
        require(self.rows >= 1, self, "rows", "at least 1")
        require(self.period_h is None or self.period_h > 0, self, "period_h", "more than 0 hours, or null")
        require(self.periods >= 1, self, "periods", "at least 1")
        require(self.leaves >= 2, self, "leaves", "at least 2")

    def fit(self, train: Windows, validation: Windows, task: Forecast) -> Spread | Grown:
        period = self._period(train)
        seen, val = (self._examples(windows, period) for windows in (train, validation))

        def grow(**loss: Any) -> Any:
            trees = HistGradientBoostingRegressor(max_leaf_nodes=self.leaves, random_state=self.seed, **loss, **GROWTH)
            with threadpool_limits(1, "openmp"):  # where cores are shared, OpenMP's threads mostly wait for each other
                return trees.fit(*seen, X_val=val[0], y_val=val[1])

        mean = Grown(period, self.periods, grow(), (), np.array([]), np.array([]))
        if task.loss == "mse":
            return Spread.fit(lambda windows, asked: mean(windows, asked).mean_NxVxH, validation, task.quantiles)
        quantiles = tuple(grow(loss="quantile", quantile=level) for level in task.quantiles)
        off = zip(quantiles, task.quantiles, strict=True)
        shift_Q = np.array([np.quantile(val[1] - trees.predict(val[0]), level) for trees, level in off])
        return Grown(period, self.periods, mean.mean, quantiles, shift_Q, np.asarray(task.quantiles))

    def _period(self, windows: Windows) -> int:
        """In samples."""
        if self.period_h is None:
            return 1
        try:
            return samples(windows, self.period_h)
        except InputError as error:
            raise InputError(f"{error}; set period_h to null to forecast without one") from None

    def _examples(self, windows: Windows, period: int) -> tuple[np.ndarray, np.ndarray]:
        """Features of at most *rows* targets that were observed, drawn at random, and their changes."""
        asked = anchors(windows, at_risk=False)
        rng = np.random.default_rng(self.seed)
        wanted = max(self.rows // windows.horizon * 2, 1)
        asked = asked[np.sort(rng.permutation(len(asked))[:wanted])]
        rows = Rows.of(windows, asked, period, self.periods)
        y_NxVxH = ahead(windows, asked) - rows.base_NxVxH
        there = np.flatnonzero(np.isfinite(y_NxVxH) & targets(windows)[asked[:, 0], :, None])
        there = np.sort(rng.permutation(there)[: self.rows])
        return rows.features(there), y_NxVxH.ravel()[there]


@dataclass(frozen=True, eq=False)
class Grown:
    """The predictor: trees of the mean, and of each of *levels*, which are sorted where they cross."""

    period: int
    periods: int
    mean: Any
    quantiles: tuple[Any, ...]
    shift_Q: np.ndarray
    levels: np.ndarray

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> ForecastPrediction:
        shape = (len(anchors_Nx2), windows.variates, windows.horizon)
        mean_NxVxH = np.zeros(shape, np.float32)
        quantiles_NxVxHxQ = np.zeros((*shape, len(self.levels)), np.float32)
        for start in range(0, len(anchors_Nx2), CHUNK):
            asked = anchors_Nx2[start : start + CHUNK]
            rows = Rows.of(windows, asked, self.period, self.periods)
            wanted_NxV = targets(windows)[asked[:, 0]]
            x_RxP = rows.features(np.flatnonzero(np.broadcast_to(wanted_NxV[..., None], rows.base_NxVxH.shape)))
            base_RxH = rows.base_NxVxH[wanted_NxV]
            part = slice(start, start + CHUNK)
            mean_NxVxH[part][wanted_NxV] = base_RxH + self.mean.predict(x_RxP).reshape(base_RxH.shape)
            for q, trees in enumerate(self.quantiles):
                told_RxH = (trees.predict(x_RxP) + self.shift_Q[q]).reshape(base_RxH.shape)
                quantiles_NxVxHxQ[part, ..., q][wanted_NxV] = base_RxH + told_RxH
        return ForecastPrediction(mean_NxVxH, np.sort(quantiles_NxVxHxQ, axis=-1), self.levels)


@dataclass(frozen=True, eq=False)
class Rows:
    """What is known at the anchors of every variate V and step ahead H."""

    phase_NxVxHxJ: np.ndarray  # the last values of the same phase, the newest first
    known_NxKxH: np.ndarray
    last_NxV: np.ndarray
    stretches_NxVxS: np.ndarray
    hour_NxH: np.ndarray  # of the week

    @property
    def base_NxVxH(self) -> np.ndarray:
        there = np.isfinite(self.phase_NxVxHxJ)
        return np.where(there, self.phase_NxVxHxJ, 0).sum(-1) / np.maximum(there.sum(-1), 1)

    @staticmethod
    def of(windows: Windows, asked: np.ndarray, period: int, periods: int) -> Rows:
        horizon = windows.horizon
        back = past(windows, asked, max(period * periods, *STRETCHES))
        step_H = np.arange(horizon)
        newest_H = step_H % period - period  # the sample of the same phase that lies just behind the anchor
        at_HxJ = back.shape[-1] + newest_H[:, None] - period * np.arange(periods)
        is_known_V = (np.asarray(windows.role_ExV) == ROLES.index(Role.KNOWN)).any(0)
        hour_ExL = np.asarray(windows.hour_ExL)
        at_NxH = windows.context + asked[:, 1:] + step_H
        parts = [part for n in STRETCHES for part in (back[..., -n:].mean(-1), back[..., -n:].std(-1))]
        return Rows(
            back[..., at_HxJ],
            ahead(windows, asked)[:, is_known_V],
            back[..., -1],
            np.stack(parts, -1),
            hour_ExL[asked[:, :1], at_NxH],
        )

    def features(self, at: np.ndarray) -> np.ndarray:
        """Of the rows at flat positions in N × V × H, float32[R, P]."""
        base = self.base_NxVxH
        n, v, h = np.unravel_index(at, base.shape)
        hour = self.hour_NxH[n, h]
        own = (h, v, hour % 24, hour // 24, base[n, v, h], self.last_NxV[n, v])
        parts = (
            np.stack(own, axis=1),
            self.phase_NxVxHxJ[n, v, h],
            self.known_NxKxH[n, :, h],
            self.last_NxV[n],
            self.stretches_NxVxS[n, v],
        )
        return np.nan_to_num(np.concatenate(parts, axis=1)).astype(np.float32)
