"""What each kind of task asks on the test split: which windows, what came after them, and what the oracle knew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from experiments.settings import Scoring
from learn.scores import evaluate
from learn.scores.metrics import EventPrediction, ForecastPrediction, LifePrediction, Prediction, StatePrediction, Truth
from learn.scores.states import state_truth
from learn.tasks import Classify, Counterfactual, Forecast, Imputation, RemainingLife, States, Task, TimeToEvent
from learn.windows.batch import Windows, anchors, runs
from learn.windows.counterfactual import planned, told
from sim.errors import InputError, require
from twins.aligned import sampled, telling, variates
from twins.channel import Role
from twins.episode import Episode
from twins.futures import oracle

Progress = Callable[[int, int, str], None]


class Asked(NamedTuple):
    """The windows that are scored (N of them), what came after each, and the clusters that are resampled together."""

    windows: Windows  # of the test split, or of what would have been in it
    anchors_Nx2: np.ndarray
    truth: Truth
    cluster_N: np.ndarray
    rows_Nx3: np.ndarray | None = None  # of plans: episode, sample, and which of its plans


def ask(task: Task, scoring: Scoring, train: Windows, test: Windows, episodes: Sequence[Episode]) -> Asked:
    """The scored windows of the *test* windows over *episodes*."""
    truth: Truth
    if isinstance(task, Counterfactual):
        found = planned(test, episodes, task, scoring.every or 1)
        chosen = anchors(found.windows)
        percent_V = 100 * np.asarray(test.scale.std) / task.full
        truth = evaluate.forecast_truth(found.windows, chosen, train)._replace(percent_V=percent_V)
        if task.choose:
            first_N = np.arange(len(chosen)) - found.rows_Nx3[:, 2]
            truth = truth._replace(first_N=first_N, better=1.0 if task.choose == "low" else -1.0)
        return Asked(found.windows, chosen, truth, runs(found.windows, chosen), found.rows_Nx3)
    if isinstance(task, RemainingLife):
        chosen = evaluate.life_anchors(test, scoring.every)
        truth = evaluate.life_truth(test, chosen, task)
    elif isinstance(task, Classify):
        chosen = anchors(test, scoring.every or 1)
        truth = evaluate.class_truth(test, chosen)
    elif isinstance(task, States):
        chosen = anchors(test, scoring.every or 1)
        truth = state_truth(test, chosen)
    elif isinstance(task, TimeToEvent):
        step_h = test.step_h or 1.0
        chosen = evaluate.event_anchors(test, task.horizon_h, (scoring.every or 1) * step_h)
        truth = evaluate.event_truth(episodes, chosen, step_h, task.horizon_h)
        truth = truth._replace(lives=evaluate.seen_lives(test, episodes, chosen, step_h, task))
    else:
        chosen = anchors(test, scoring.every or 1)
        truth = evaluate.forecast_truth(test, chosen, train, scoring.season)
    cluster_N = runs(test, chosen)
    if scoring.cluster_h is not None:
        cluster_N = evaluate.stretches(chosen[:, 1] * (test.step_h or 1.0), scoring.cluster_h)
    return Asked(test, chosen, truth, cluster_N)


@dataclass(frozen=True)
class Futures:
    """The oracle: *count* resampled futures from the true state at each window."""

    count: int = 32
    seed: int = 0

    def __post_init__(self):
        require(self.count >= 2, self, "count", "at least 2")

    def predict(
        self, task: Task, twin: Any, test: Windows, episodes: Sequence[Episode], asked: np.ndarray, **how: Any
    ) -> Prediction:
        """What the true state tells of the windows *asked*; *how* is handed on (workers, cache, progress)."""
        if isinstance(task, TimeToEvent):
            first_h_NxM = _failures(self, task.horizon_h, twin, test, asked, **how)
            return EventPrediction((first_h_NxM <= task.horizon_h).mean(1), members=self.count)
        if isinstance(task, RemainingLife):
            left_h_NxM = _failures(self, task.cap_h, twin, test, asked, **how)
            return LifePrediction.ensemble(left_h_NxM / task.unit_h, task)
        if isinstance(task, States):
            return _states(self, task, twin, test, episodes, asked, **how)
        if isinstance(task, Classify | Counterfactual):
            raise InputError(
                "oracle cannot be Futures where a class or plans are asked; it must be questions.Recorded, or null"
            )
        if isinstance(task, Imputation):
            raise InputError("oracle cannot be Futures where gaps are asked, which lie in the past; it must be null")
        return _forecasts(self, task, twin, test, episodes, asked, **how)


@dataclass(frozen=True)
class Recorded:
    """The oracle that a twin writes down: a hidden channel of the chance, given the true state, of what is asked.

    Of plans it is the hidden channel of what comes of them but for chance. *beside* names further rows of the table,
    each with the hidden channel of what can be known from less.
    """

    quantity: str
    beside: dict[str, str] = field(default_factory=dict)

    def predict(
        self, task: Task, twin: Any, test: Windows, episodes: Sequence[Episode], asked: np.ndarray, **how: Any
    ) -> Prediction:
        """What is written down of the newest sample of each window, or of its plan (*rows*)."""
        return recorded(episodes, test, asked, self.quantity, how.get("rows"))


def recorded(
    episodes: Sequence[Episode], test: Windows, asked: np.ndarray, quantity: str, rows: np.ndarray | None = None
) -> Prediction:
    """The chances of one hidden channel at the newest sample of each window; of plans, what comes of each."""
    if rows is not None:
        return ForecastPrediction.point(told(test, episodes, rows, quantity))
    found = np.full(len(asked), np.nan)
    for e in np.unique(asked[:, 0]):
        here = asked[:, 0] == e
        found[here] = sampled(episodes[e], quantity)[asked[here, 1] - 1]
    return EventPrediction(found)


def _failures(
    futures: Futures, horizon_h: float, twin: Any, test: Windows, asked: np.ndarray, **how: Any
) -> np.ndarray:
    """Hours to the first failure in each future, float32[N, members]; inf where none comes within the horizon."""
    asks = [oracle.Ask(test.runs[e], test.assets[e], float(k * (test.step_h or 1.0))) for e, k in asked.tolist()]
    return oracle.failures(twin, asks, horizon_h, futures.count, futures.seed, **how)


def _states(
    futures: Futures, task: States, twin: Any, test: Windows, episodes: Any, asked: np.ndarray, **how: Any
) -> StatePrediction:
    """The share of futures that are in each state at each sample ahead."""
    keys = [telling(episode, task.channel).key for episode in episodes]
    asks = [oracle.SeriesAsk(test.runs[e], (keys[e],), k) for e, k in asked.tolist()]
    members_NxMxH = oracle.forecasts(twin, asks, task.horizon, futures.count, futures.seed, **how)[:, 0]
    share_CxNxH = [(members_NxMxH == state).mean(1) for state in range(len(task.states))]
    return StatePrediction(np.stack(share_CxNxH, axis=-1), members=futures.count)


def _forecasts(
    futures: Futures, task: Forecast, twin: Any, test: Windows, episodes: Any, asked: np.ndarray, **how: Any
) -> Prediction:
    keys = [_targets(episode) for episode in episodes]
    asks = [oracle.SeriesAsk(test.runs[e], tuple(keys[e].values()), k) for e, k in asked.tolist()]
    members = oracle.forecasts(twin, asks, task.horizon, futures.count, futures.seed, **how)
    samples_NxVxHxS = np.full((len(asked), test.variates, task.horizon, futures.count), np.nan, np.float32)
    for n, (e, _) in enumerate(asked.tolist()):
        v = [test.scale.names.index(name) for name in keys[e]]
        samples_NxVxHxS[n, v] = np.swapaxes(members[n], -1, -2)
    scaled = test.scale.normalise(samples_NxVxHxS, 2)
    return ForecastPrediction.ensemble(scaled, np.asarray(task.quantiles))


def _targets(episode: Episode) -> dict[str, tuple[str, str]]:
    """The channel of each target variate."""
    return {name: series.key for name, series in variates(episode).items() if series.role == Role.TARGET}
