"""In which state is an asset next? By how often each is, by the state that it is in now, and by features of its window.

The state now is what the task's channel shows up to now. Where that is hidden, it is hidden from baselines too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits

from learn.baselines.classifiers import looks
from learn.baselines.hazard import now
from learn.baselines.series import filled
from learn.baselines.trees import GROWTH, Trees
from learn.scores.metrics import StatePrediction
from learn.scores.states import state_truth
from learn.tasks import States
from learn.windows.batch import Windows, anchors
from sim.errors import InputError


@dataclass(frozen=True)
class StateShares:
    """How often each state was in the training data, whatever is seen."""

    kind: str = "naive"

    def fit(self, train: Windows, validation: Windows, task: States) -> ByState:
        share_C = shares(histories(train), task)
        return ByState(np.broadcast_to(share_C, (task.horizon, len(share_C), len(share_C))), share_C, None)


@dataclass(frozen=True)
class StateStays:
    """The state now, with the probability with which it was that again so many samples on; else by how often the
    others were in the training data."""

    kind: str = "naive"

    def fit(self, train: Windows, validation: Windows, task: States) -> ByState:
        told = histories(train)
        share_C = shares(told, task)
        own_CxC = np.eye(len(share_C))
        other_CxC = (1 - own_CxC) * share_C
        other_CxC /= other_CxC.sum(1, keepdims=True)
        stays_HxC = np.stack([transitions(told, task, h).diagonal() for h in range(1, task.horizon + 1)])[..., None]
        return ByState(stays_HxC * own_CxC + (1 - stays_HxC) * other_CxC, share_C, shown(train, task))


@dataclass(frozen=True)
class StateMarkov:
    """A Markov chain from the state now on: transitions from a sample to the next, as counted in the training data."""

    kind: str = "baseline"

    def fit(self, train: Windows, validation: Windows, task: States) -> ByState:
        told = histories(train)
        step_CxC = transitions(told, task)
        ahead_HxCxC = np.stack([np.linalg.matrix_power(step_CxC, h) for h in range(1, task.horizon + 1)])
        return ByState(ahead_HxCxC, shares(told, task), shown(train, task))


@dataclass(frozen=True, eq=False)
class ByState:
    """The predictor: probabilities by the state now, and by how often each was where that was never seen."""

    p_HxCxC: np.ndarray  # of each state, by the state now, at each sample ahead
    share_C: np.ndarray
    shown: int | None  # the variate that shows the state now; None: it is not looked at

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> StatePrediction:
        if self.shown is None:
            return StatePrediction(np.broadcast_to(self.p_HxCxC[:, 0], (len(anchors_Nx2), *self.p_HxCxC[:, 0].shape)))
        value_N = filled(windows)[:, self.shown][now(windows, anchors_Nx2)]
        state_N = np.rint(value_N * windows.scale.std[self.shown] + windows.scale.mean[self.shown])
        seen_N = np.isfinite(state_N)
        p_NxHxC = np.swapaxes(self.p_HxCxC[:, np.where(seen_N, state_N, 0).astype(int)], 0, 1)
        return StatePrediction(np.where(seen_N[:, None, None], p_NxHxC, self.share_C))


@dataclass(frozen=True)
class StateTrees(Trees):
    """Boosted trees on features of the window and on how far ahead is asked: of each window one sample ahead."""

    def fit(self, train: Windows, validation: Windows, task: States) -> StateClassifier | ByState:
        (x_NxP, state_N), (x_val, state_val) = self._examples(train), self._examples(validation)
        known = np.isin(state_val, state_N)  # a state that was never seen cannot be learned
        x_val, state_val = x_val[known], state_val[known]
        if len(np.unique(state_N)) < 2 or not len(state_val):
            return StateShares().fit(train, validation, task)
        models = []
        for leaves in self.leaves:
            trees = HistGradientBoostingClassifier(max_leaf_nodes=leaves, random_state=self.seed, **GROWTH)
            with threadpool_limits(1, "openmp"):  # where cores are shared, OpenMP's threads mostly wait for each other
                models.append(trees.fit(x_NxP, state_N, X_val=x_val, y_val=state_val))
        best = min(models, key=lambda m: float(log_loss(state_val, m.predict_proba(x_val), labels=m.classes_)))
        return StateClassifier(best, len(task.states))

    def _examples(self, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
        """Features of at most so many windows, evenly spaced, and the state at a sample ahead, drawn for each."""
        asked = anchors(windows)
        asked = asked[:: -(-len(asked) // self.rows)]
        ahead_N = np.random.Generator(np.random.Philox(self.seed)).integers(windows.horizon, size=len(asked))
        state_N = state_truth(windows, asked).state_NxH[np.arange(len(asked)), ahead_N]
        x_NxP = np.concatenate((looks(windows, asked), ahead_N[:, None].astype(np.float32)), axis=1)
        return x_NxP[state_N >= 0], state_N[state_N >= 0]


@dataclass(frozen=True, eq=False)
class StateClassifier:
    """The predictor: a fitted classifier, asked for each sample ahead."""

    model: Any
    states: int

    def __call__(self, windows: Windows, anchors_Nx2: np.ndarray) -> StatePrediction:
        x_NxP = looks(windows, anchors_Nx2)
        p_NxHxC = np.zeros((len(x_NxP), windows.horizon, self.states))
        with threadpool_limits(1, "openmp"):  # as in `fit`
            for h in range(windows.horizon):
                x_NxQ = np.concatenate((x_NxP, np.full((len(x_NxP), 1), h, np.float32)), axis=1)
                p_NxHxC[:, h, self.model.classes_] = self.model.predict_proba(x_NxQ)
        return StatePrediction(p_NxHxC)


def shown(windows: Windows, task: States) -> int:
    """The variate that shows the state now; raises InputError where the task's channel is hidden."""
    if task.channel not in windows.scale.names:
        raise InputError(
            f"task.channel={task.channel} is hidden, so no baseline can go on from the state now; leave out "
            "baselines.stays and baselines.markov, or show the state as a channel of role past"
        )
    return windows.scale.names.index(task.channel)


def histories(windows: Windows) -> list[np.ndarray]:
    """The states of each episode's samples within the split, by their numbers; −1 where unknown."""
    state_ExL, c = np.asarray(windows.cause_ExL), windows.context
    return [state_L[c + a : c + b] for state_L, a, b in zip(state_ExL, windows.first, windows.last, strict=True)]


def shares(told: list[np.ndarray], task: States) -> np.ndarray:
    """How often each state was, half a sample added to each: float64[C]."""
    count_C = sum((np.bincount(x[x >= 0], minlength=len(task.states)) for x in told), np.full(len(task.states), 0.5))
    return count_C / count_C.sum()


def transitions(told: list[np.ndarray], task: States, ahead: int = 1) -> np.ndarray:
    """From each state (rows), how often each was so many samples on, one sample added by `shares`: float64[C, C]."""
    states = len(task.states)
    count_CxC = np.tile(shares(told, task), (states, 1))
    for x in told:
        before, after = x[:-ahead], x[ahead:]
        known = (before >= 0) & (after >= 0)
        pairs = np.bincount(before[known] * states + after[known], minlength=states**2)
        count_CxC += pairs.reshape(states, states)
    return count_CxC / count_CxC.sum(1, keepdims=True)
