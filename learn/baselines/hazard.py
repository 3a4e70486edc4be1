"""The chance of failing that age alone tells: Weibull hazards, fitted by censored maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from learn.baselines.series import filled
from learn.scores.metrics import EventPrediction
from learn.tasks import TimeToEvent
from learn.windows.batch import Windows, anchors
from sim.errors import InputError

SHAPES = (0.05, 50.0)  # between which a Weibull shape is sought


@dataclass(frozen=True)
class Weibull:
    """Cumulative hazard (age / scale)^shape; with an infinite scale nothing ever fails."""

    shape: float = 1.0
    scale_h: float = np.inf

    @staticmethod
    def fit(entry_h: np.ndarray, exit_h: np.ndarray, failed: np.ndarray) -> Weibull:
        """Maximum likelihood from lives watched from an age of entry to one of exit, where they failed or went on.

        Given the shape k the scale is (Σ(exit^k − entry^k) / d)^(1/k) for d failures, and k solves
        1/k + mean ln(failed exit) = Σ(exit^k ln exit − entry^k ln entry) / Σ(exit^k − entry^k).
        """
        if not failed.any():
            return Weibull()
        unit_h = exit_h.max()
        entry, exit_ = (np.maximum(age_h / unit_h, 1e-12) for age_h in (entry_h, exit_h))

        def slope(k: float) -> float:
            weighted = exit_**k * np.log(exit_) - entry**k * np.log(entry)
            return 1 / k + np.log(exit_[failed]).mean() - weighted.sum() / (exit_**k - entry**k).sum()

        low, high = SHAPES
        bracketed = slope(low) > 0 > slope(high)
        shape: float = brentq(slope, low, high) if bracketed else min(SHAPES, key=lambda k: abs(slope(k)))  # type: ignore
        return Weibull(shape, float(unit_h * ((exit_**shape - entry**shape).sum() / failed.sum()) ** (1 / shape)))

    def cumulative(self, age_h: np.ndarray) -> np.ndarray:
        return (np.maximum(age_h, 0) / self.scale_h) ** self.shape


@dataclass(frozen=True)
class AgeWeibull:
    """P(fails within the horizon | alive at this age), with one Weibull hazard of age for each cause.

    Age is what the asset's own hour *counter* (a quantity) shows, which grows while it runs, or the hours since its
    life began: whichever has the lower Brier score on the validation runs.
    """

    counter: str = "operating_age"
    kind: str = "naive"

    def fit(self, train: Windows, validation: Windows, task: TimeToEvent) -> AgeHazard:
        asked = anchors(validation, at_risk=True)[::5]
        failed_N, weight_N = horizon_labels(validation, asked, task.horizon_h)
        counters = (None, self.counter) if self.counter in train.scale.names else (None,)

        def brier(hazard: AgeHazard) -> float:
            return float(weight_N @ (hazard(validation, asked).p_N - failed_N) ** 2)

        return min((AgeHazard.fit(train, task.horizon_h, counter) for counter in counters), key=brier)


@dataclass(frozen=True)
class AgeHazard:
    """The predictor: the hazards of all causes add up."""

    hazards: tuple[Weibull, ...]
    horizon_h: float
    counter: str | None  # None: age is the time since the life began
    pace: float  # hours of age that an hour adds, on average

    @staticmethod
    def fit(windows: Windows, horizon_h: float, counter: str | None) -> AgeHazard:
        age_ExL, left_ExL, cause_ExL = (
            ages(windows, counter),
            *map(np.asarray, (windows.event_h_ExL, windows.cause_ExL)),
        )
        new_ExL, last_ExL = life_ends(windows)
        # Lives are watched from their second sample on: at the first, a counter may still show the unit before.
        first_ExL = np.zeros_like(new_ExL)
        first_ExL[:, 1:] = new_ExL[:, :-1] & ~last_ExL[:, :-1]
        last_ExL &= ~new_ExL
        entry_h, seen_h, left_h, cause = age_ExL[first_ExL], age_ExL[last_ExL], left_ExL[last_ExL], cause_ExL[last_ExL]
        watched_h = left_ExL[first_ExL] - left_h
        pace = float((seen_h - entry_h).sum() / watched_h.sum()) if watched_h.sum() else 1.0
        exit_h = seen_h + left_h * pace
        hazards = [Weibull.fit(entry_h, exit_h, cause == code) for code in range(1, cause.max(initial=0) + 1)]
        return AgeHazard(tuple(hazards), horizon_h, counter, pace)

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> EventPrediction:
        age_N = ages(windows, self.counter)[now(windows, anchors_Nx2)]
        later_N = age_N + self.horizon_h * self.pace
        rise_HxN = [hazard.cumulative(later_N) - hazard.cumulative(age_N) for hazard in self.hazards]
        return EventPrediction(-np.expm1(-np.sum(rise_HxN, axis=0, initial=0.0) * np.ones(len(age_N))))


def horizon_labels(windows: Windows, anchors_Nx2: np.ndarray, horizon_h: float) -> tuple[np.ndarray, np.ndarray]:
    """Whether each asset was seen to fail within the horizon, and the weight of that label in a fit.

    A life that planned work, or the end of the data, cut within the horizon counts as survival with the share of the
    horizon that was seen: with a constant hazard, surviving c of H hours has probability (1 − p)^(c/H). To leave such
    lives out would leave only the failures of those due for planned work.
    """
    left_N, cause_N = (np.asarray(a)[now(windows, anchors_Nx2)] for a in (windows.event_h_ExL, windows.cause_ExL))
    failed_N = (cause_N > 0) & (left_N <= horizon_h)
    return failed_N, np.where(failed_N, 1.0, np.clip(left_N / horizon_h, 0.0, 1.0))


def now(windows: Windows, anchors_Nx2: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the last sample before each anchor lies in the windows' ExL arrays."""
    e_N, k_N = np.asarray(anchors_Nx2).T
    return e_N, k_N + windows.context - 1


def life_ends(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """First and last sample of every life, bool[E, L] each: within one, hours to its end fall by a step a sample."""
    left_ExL = np.asarray(windows.event_h_ExL)
    alive_ExL = np.isfinite(left_ExL)
    goes_on = np.zeros_like(alive_ExL)
    goes_on[:, 1:] = np.abs(left_ExL[:, :-1] - left_ExL[:, 1:] - step_h(windows)) < 0.5 * step_h(windows)
    last_ExL = alive_ExL.copy()
    last_ExL[:, :-1] &= ~goes_on[:, 1:]
    return alive_ExL & ~goes_on, last_ExL


def ages(windows: Windows, counter: str | None = None) -> np.ndarray:
    """Hours of age at the end of each sample, float64[E, L]: as *counter* shows, or since the life's first sample."""
    if counter is not None:
        v = windows.scale.names.index(counter)
        return filled(windows)[:, v].astype(np.float64) * windows.scale.std[v] + windows.scale.mean[v]
    first_ExL, _ = life_ends(windows)
    sample_L = np.arange(first_ExL.shape[1])
    return (sample_L - np.maximum.accumulate(np.where(first_ExL, sample_L, 0), axis=1) + 1) * step_h(windows)


def step_h(windows: Windows) -> float:
    if windows.step_h is None:
        raise InputError("hours to an event need samples at a fixed step; these come at times of their own")
    return windows.step_h
