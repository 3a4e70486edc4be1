"""What comes of a plan of actions, without a deep model: a linear regression, a marginal structural model, a known law.

The first two see the target's past, what was done, what the plan does up to the sample before each step, and static
channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from learn.baselines.series import cut, filled
from learn.scores.metrics import ForecastPrediction
from learn.tasks import Counterfactual
from learn.windows.batch import ROLES, Windows, anchors
from learn.windows.counterfactual import the_target
from sim.errors import InputError, require
from twins.channel import Role

RIDGE = 1e-4  # share of the number of rows, against columns that are alike


@dataclass(frozen=True)
class LinearPlan:
    """The change from the last value, linear in the past values and actions, in the plan and in static channels."""

    lookback: int = 8  # samples
    rows: int = 200_000  # training windows, at most
    graded: bool = False  # actions count as much as was done, not only whether
    kind: str = "baseline"

    def __post_init__(self):
        require(self.lookback >= 1, self, "lookback", "at least 1 sample")
        require(self.rows >= 1, self, "rows", "at least 1")

    def fit(self, train: Windows, validation: Windows, task: Counterfactual) -> Regression:
        asked = _spread(anchors(train), self.rows)
        even = np.ones((len(asked), train.horizon))
        return Regression.fit(train, asked, self.lookback, False, even, self.graded)


class Law(Protocol):
    """Who knows how what is foretold comes about: `law(seen, plan)` of channels by name, in their own units.

    *seen* is float64[N, T] up to now and *plan* float64[N, H] of what is to come, NaN where it is missing; what it
    tells of the target is float64[N, H].
    """

    @property
    def channels(self) -> tuple[str, ...]: ...

    def __call__(self, seen: Mapping[str, np.ndarray], plan: Mapping[str, np.ndarray]) -> np.ndarray: ...


@dataclass(frozen=True)
class Known:
    """What a *law* tells that knows more than any record: a mark, to which nothing is fitted."""

    law: Law
    kind: str = "oracle"

    def fit(self, train: Windows, validation: Windows, task: Counterfactual) -> Known:
        if missing := [name for name in self.law.channels if name not in train.scale.names]:
            raise InputError(
                f"{type(self.law).__name__} needs the channel {missing[0]!r}; there are {', '.join(train.scale.names)}"
            )
        return self

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> ForecastPrediction:
        def named(start: int, count: int) -> dict[str, np.ndarray]:
            x = cut(np.asarray(windows.values_ExVxL), windows.context, anchors_Nx2, start, count)
            x = np.asarray(windows.scale.restore(x), np.float64)
            return {name: x[:, windows.scale.names.index(name)] for name in self.law.channels}

        told_NxH = self.law(named(-windows.context, windows.context), named(0, windows.horizon))
        out = np.zeros((len(told_NxH), windows.variates, windows.horizon), np.float32)
        v = the_target(windows)
        out[:, v] = (told_NxH - windows.scale.mean[v]) / windows.scale.std[v]
        return ForecastPrediction.point(out)


@dataclass(frozen=True)
class MarginalStructural:
    """A weighted linear regression on how often each action was taken and on the plan (Robins, Hernán & Brumback 2000).

    Stabilised weights from histories: the product over the plan's steps of the chance of each action given the actions
    before, over that given the target's past as well, both logistic regressions. They are cut off at *outer* quantiles.
    """

    window: int = 15  # samples whose mean stands for the target's past
    outer: float = 0.01
    rows: int = 200_000
    kind: str = "baseline"

    def __post_init__(self):
        require(self.window >= 1, self, "window", "at least 1 sample")
        require(0 <= self.outer < 0.5, self, "outer", "a share, at least 0 and below 0.5")
        require(self.rows >= 1, self, "rows", "at least 1")

    def fit(self, train: Windows, validation: Windows, task: Counterfactual) -> Regression:
        asked = _spread(anchors(train), self.rows)
        ratio_ExL = self.ratios(train)
        at_NxH = (asked[:, 1] + train.context - 1)[:, None] + np.arange(train.horizon)
        weight_NxH = np.cumprod(ratio_ExL[asked[:, :1], at_NxH], axis=1)
        weight_NxH = np.clip(weight_NxH, *np.quantile(weight_NxH, (self.outer, 1 - self.outer), axis=0))
        return Regression.fit(train, asked, 1, True, weight_NxH)

    def ratios(self, windows: Windows) -> np.ndarray:
        """Of each sample the chance of what was done given what had been done, over that given the target as well.

        float64[E, L], in the windows' own positions; 1 where nothing could be decided yet, or any more.
        """
        little_ExAxL, much_ExAxL = self.chances(windows)
        return np.prod(little_ExAxL / much_ExAxL, axis=1)

    def chances(self, windows: Windows) -> np.ndarray:
        """The chance of what was done, given what had been done, and given the target as well: float64[2, E, A, L]."""
        done_ExAxL = _taken(windows)
        before_ExAxL = np.cumsum(done_ExAxL, axis=-1) - done_ExAxL
        target = the_target(windows)
        raw_ExL = np.asarray(windows.values_ExVxL)[:, target]
        seen_ExL = np.isfinite(raw_ExL)
        value_ExL = np.nan_to_num(filled(windows)[:, target])
        count_ExL, total_ExL = (_trailing(x, self.window) for x in (seen_ExL, np.where(seen_ExL, raw_ExL, 0.0)))
        mean_ExL = total_ExL / np.maximum(count_ExL, 1)
        # A decision needs something seen before it; the last sample of a record, at which it has ended, has none, nor
        # have those after the last that tells of any other channel, as after a death.
        past_ExVx1 = (np.asarray(windows.role_ExV) == ROLES.index(Role.PAST))[..., None]
        told_ExL = (np.isfinite(windows.values_ExVxL) & past_ExVx1).any(1)
        met_ExL = np.maximum.accumulate(told_ExL[:, ::-1], axis=1)[:, ::-1] | ~told_ExL.any(1, keepdims=True)
        e_N, at_N = np.nonzero(seen_ExL & met_ExL & (np.cumsum(seen_ExL, 1) > 1) & np.roll(seen_ExL, -1, 1))
        little_NxF = before_ExAxL[e_N, :, at_N]
        much_NxF = np.column_stack((little_NxF, value_ExL[e_N, at_N], mean_ExL[e_N, at_N]))
        found_2xExAxL = np.ones((2, *done_ExAxL.shape))
        for a in range(done_ExAxL.shape[1]):
            y_N = done_ExAxL[e_N, a, at_N]
            if y_N.min() == y_N.max():
                continue  # always or never done
            for i, x_NxF in enumerate((little_NxF, much_NxF)):
                found_2xExAxL[i, e_N, a, at_N] = _chance(x_NxF, y_N)
        return found_2xExAxL


@dataclass(frozen=True, eq=False)
class Regression:
    """The predictor: of each step ahead, weights of the features of its windows."""

    lookback: int
    counts: bool
    graded: bool
    weights: tuple[np.ndarray, ...]  # of each step, by feature

    @staticmethod
    def fit(
        windows: Windows,
        asked: np.ndarray,
        lookback: int,
        counts: bool,
        weight_NxH: np.ndarray,
        graded: bool = False,
    ) -> Regression:
        last_N = _last(windows, asked)
        y_NxH = cut(np.asarray(windows.values_ExVxL), windows.context, asked, 0, windows.horizon)[
            :, the_target(windows)
        ]
        change_NxH = y_NxH.astype(np.float64) - last_N[:, None]
        solved = []
        for h in range(windows.horizon):
            x_NxF = _features(windows, asked, lookback, counts, graded, h)
            known = np.isfinite(change_NxH[:, h])
            x, w = x_NxF[known], weight_NxH[known, h, None]
            gram = x.T @ (w * x) + RIDGE * len(x) * np.eye(x.shape[1])
            solved.append(np.linalg.solve(gram, x.T @ (w[:, 0] * change_NxH[known, h])))
        return Regression(lookback, counts, graded, tuple(solved))

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> ForecastPrediction:
        mean_NxVxH = np.zeros((len(anchors_Nx2), windows.variates, len(self.weights)), np.float32)
        last_N = _last(windows, anchors_Nx2)
        for h, weights_F in enumerate(self.weights):
            x_NxF = _features(windows, anchors_Nx2, self.lookback, self.counts, self.graded, h)
            mean_NxVxH[:, the_target(windows), h] = last_N + x_NxF @ weights_F
        return ForecastPrediction.point(mean_NxVxH)


def _features(windows: Windows, asked: np.ndarray, lookback: int, counts: bool, graded: bool, ahead: int) -> np.ndarray:
    """The target's last *lookback* values, less the last of them but for it; actions; static channels and squares; 1.

    Actions are those of the *lookback* (or their *counts* before the newest, and the newest) and of *ahead* steps of
    the plan.
    """
    values, role_V = filled(windows), np.asarray(windows.role_ExV).max(0)
    past_NxL = np.nan_to_num(cut(values, windows.context, asked, -lookback, lookback)[:, the_target(windows)])
    last_Nx1 = past_NxL[:, -1:].copy()
    past_NxL[:, :-1] -= last_Nx1
    done_ExAxL = _amounts(windows) if graded else _taken(windows)
    plan_NxAxH = np.nan_to_num(cut(done_ExAxL, windows.context, asked, 0, max(ahead, 1)))[..., :ahead]
    if counts:
        new_NxA = np.nan_to_num(cut(done_ExAxL, windows.context, asked, -1, 1))[..., 0]
        whole = np.nan_to_num(cut(done_ExAxL, windows.context, asked, -windows.context, windows.context)).sum(-1)
        acted = [whole - new_NxA, new_NxA]
    else:
        acted = [np.nan_to_num(cut(done_ExAxL, windows.context, asked, -lookback, lookback)).reshape(len(asked), -1)]
    static_V = np.flatnonzero(role_V == ROLES.index(Role.STATIC))
    static_NxS = np.nan_to_num(cut(values, windows.context, asked, -1, 1)[:, static_V, 0])
    plan_NxP = plan_NxAxH.reshape(len(asked), -1)
    parts = (past_NxL, *acted, plan_NxP, static_NxS, static_NxS**2, np.ones_like(last_Nx1))
    return np.concatenate(parts, axis=1).astype(np.float64)


def _amounts(windows: Windows) -> np.ndarray:
    """How much was done of each action at each sample, ExAxL, in scaled units; NaN where nothing is told."""
    actions = np.flatnonzero((np.asarray(windows.role_ExV) == ROLES.index(Role.ACTION)).any(0))
    if not len(actions):
        raise InputError("there is no channel of role action to plan with")
    return np.asarray(windows.values_ExVxL)[:, actions]


def _taken(windows: Windows) -> np.ndarray:
    """Whether each action was taken at each sample, ExAxL: its channel was above the middle of its range."""
    x_ExAxL = _amounts(windows)
    least, most = (f(x_ExAxL, axis=(0, 2), keepdims=True) for f in (np.nanmin, np.nanmax))
    return (np.nan_to_num(x_ExAxL, nan=-np.inf) > (least + most) / 2).astype(np.float32)


def _chance(x_NxF: np.ndarray, y_N: np.ndarray) -> np.ndarray:
    """The fitted chance of what each row did."""
    scaled = StandardScaler().fit_transform(x_NxF)
    p_N = LogisticRegression(C=1e4, max_iter=200).fit(scaled, y_N).predict_proba(scaled)[:, 1]
    return np.where(y_N > 0, p_N, 1 - p_N)


def _trailing(x_ExL: np.ndarray, length: int) -> np.ndarray:
    """The sum over the *length* samples before each, that one left out."""
    total = np.cumsum(x_ExL, axis=1, dtype=np.float64)
    total = np.pad(total, ((0, 0), (length + 1, 0)))
    return total[:, length:-1] - total[:, : -length - 1]


def _last(windows: Windows, asked: np.ndarray) -> np.ndarray:
    return np.nan_to_num(cut(filled(windows), windows.context, asked, -1, 1)[:, the_target(windows), 0]).astype(
        np.float64
    )


def _spread(asked: np.ndarray, most: int) -> np.ndarray:
    return asked[:: -(-len(asked) // most)]
