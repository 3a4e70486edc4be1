"""Episodes laid out on their clocks: values, calendar and labels of any stretch of samples, one of them or all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from learn.tasks import Classify, Counterfactual, Forecast, Imputation, RemainingLife, States, Task, TimeToEvent
from learn.windows.labels import followed_h, labels, lives
from sim.errors import InputError
from twins.aligned import Aligned, hidden, telling
from twins.channel import Role
from twins.episode import Episode, Series

if TYPE_CHECKING:
    from learn.windows.batch import Scale

ROLES = tuple(role for role in Role if role is not Role.TRUTH)  # a batch's role is an index into this
WEEK_H = 168.0


@dataclass(frozen=True, eq=False)
class Laid:
    """The episodes of a split, and what is asked of them."""

    each: list[Aligned]
    span: tuple[float, float]
    context: int
    horizon: int
    task: Task | None
    names: tuple[str, ...]  # of the variates
    first: tuple[int, ...]
    last: tuple[int, ...]

    @staticmethod
    def read(
        source: Any,
        split: str,
        context: int,
        horizon: int | None,
        task: Task | None,
        scale: Scale | None,
        sensed: bool = False,
    ) -> Laid:
        """The *split* of a Dataset, *sensed* or not, or episodes. *horizon* is the task's own where it is None.

        Raises InputError where there is no episode, and as `of`.
        """
        span = source.span(split) if hasattr(source, "span") else (-np.inf, np.inf)
        read = (getattr(source, "sensed", None) if sensed else None) or getattr(source, "episodes", None)
        episodes = list(read(split) if read else source)
        if not episodes:
            raise InputError(f"the split {split!r} holds no episode; give its plan at least one run")
        if horizon is None:
            horizon = task.samples_ahead if task is not None else 0
        return Laid.of(episodes, span, context, horizon, task, scale)

    @staticmethod
    def of(
        episodes: Sequence[Episode],
        span: tuple[float, float],
        context: int,
        horizon: int,
        task: Task | None,
        scale: Scale | None,
    ) -> Laid:
        """Raises InputError where clocks differ, where a variate is not in *scale*, which is given of all splits but
        the first, and where counts are asked of what is none."""
        each = [Aligned(episode) for episode in episodes]
        if isinstance(task, Forecast) and task.loss == "counts":
            _require_counts(each)
        names = scale.names if scale else tuple(dict.fromkeys(name for one in each for name in one.series))
        unknown = {name for one in each for name in one.series} - set(names)
        if unknown:
            raise InputError(f"channels {sorted(unknown)} are not among those the model was trained on: {list(names)}")
        if len(steps := {str(one.step_h) for one in each}) > 1:
            raise InputError(f"episodes are sampled at different steps, {sorted(steps)} h; give one")
        first, last = [], []
        for one, until_h in zip(each, followed_h([one.episode for one in each], span[1], task), strict=True):
            grid_h = one.times_h(0, one.length)
            first.append(int(np.searchsorted(grid_h, span[0])))
            last.append(int(np.searchsorted(grid_h, until_h)))
        return Laid(each, span, context, horizon, task, names, tuple(first), tuple(last))

    @property
    def seen(self) -> dict[str, Series]:
        """A series of each variate."""
        return {n: next(one.series[n] for one in self.each if n in one.series) for n in self.names}

    @property
    def role_ExV(self) -> np.ndarray:
        told = [[ROLES.index(Role(s.role)) if (s := one.series.get(n)) else 0 for n in self.names] for one in self.each]
        return np.asarray(told, np.int32)

    @property
    def variate_mask_ExV(self) -> np.ndarray:
        return np.asarray([[name in one.series for name in self.names] for one in self.each])

    def about(self, scale: Scale) -> dict[str, Any]:
        """What windows of these episodes say of themselves, beside their arrays."""
        return {
            "context": self.context,
            "horizon": self.horizon,
            "step_h": self.each[0].step_h,
            "scale": scale,
            "runs": tuple(int(one.episode.run) for one in self.each),
            "assets": tuple(one.episode.asset for one in self.each),
            "first": self.first,
            "last": self.last,
            "until_h": self.span[1],
            "least": self.task.history if isinstance(self.task, Counterfactual) else None,
            "hides": self.task if isinstance(self.task, Imputation) else None,
        }

    @property
    def rows(self) -> list[tuple[int, int]]:
        """Where each episode begins in arrays that hold all of it: the episode, and the sample before its context."""
        return [(e, -self.context) for e in range(len(self.each))]

    @property
    def length(self) -> int:
        """Samples of such a row: the longest episode between a context and a horizon."""
        return self.context + max(one.length for one in self.each) + self.horizon

    def values(self, places: Sequence[tuple[int, int]], length: int) -> np.ndarray:
        """So many samples from each place (episode, sample) on, in their own units: float32[N, V, length]."""
        found = np.full((len(places), len(self.names), length), np.nan, np.float32)
        for (e, low), values_VxL in zip(places, found, strict=True):
            self.each[e].fill(values_VxL, self.names, low)
        return found

    def beside(self, places: Sequence[tuple[int, int]], length: int) -> tuple[np.ndarray, ...]:
        """The calendar and the labels of those: hour of the week, gap, hours to the event, float32[N, length], and
        cause, int32."""
        hour, gap, event_h = (np.full((len(places), length), of, np.float32) for of in (0, 0, np.nan))
        cause = np.full((len(places), length), -1, np.int32)
        for n, (e, low) in enumerate(places):
            hour[n], gap[n] = self._calendar(e, low, low + length)
            self._label(e, low, event_h[n], cause[n])
        return hour, gap, event_h, cause

    def at_risk(self, e: int) -> np.ndarray:
        """Whether each sample of an episode is at risk of an event."""
        event_h, cause = np.full(self.each[e].length, np.nan, np.float32), np.full(self.each[e].length, -1, np.int32)
        self._label(e, 0, event_h, cause)
        return np.isfinite(event_h)

    def moments(self, e: int, values_VxL: np.ndarray, low: int) -> np.ndarray:
        """Number, mean and sum of squared distances from it of the values that teach: float64[3, V].

        *values_VxL* holds the samples of episode *e* from *low* on.
        """
        inside = slice(self.first[e] - low, self.last[e] - low) if np.isfinite(self.span).any() else slice(None)
        found = np.zeros((3, len(self.names)))
        for v, x in enumerate(values_VxL[:, inside]):
            x = x[np.isfinite(x)].astype(np.float64)
            if x.size:
                found[:, v] = x.size, x.mean(), ((x - x.mean()) ** 2).sum()
        return found

    def _calendar(self, e: int, low: int, high: int) -> tuple[np.ndarray, Any]:
        """The hour of the week of samples low … high − 1, and the hours since the one before each."""
        one = self.each[e]
        epoch = datetime.fromisoformat(one.episode.epoch)
        since_monday_h = epoch.weekday() * 24 + epoch.hour + epoch.minute / 60 + epoch.second / 3600
        times_h = one.times_h(low - 1, high)
        return (times_h[1:] + since_monday_h) % WEEK_H, one.step_h or np.diff(times_h)

    def _label(self, e: int, low: int, event_h: np.ndarray, cause: np.ndarray) -> None:
        """Write what is known of samples from *low* on, as far as the episode goes."""
        one, task = self.each[e], self.task
        a, b = max(low, 0), min(low + len(cause), one.length)
        if a >= b:
            return
        event_h, cause = event_h[a - low : b - low], cause[a - low : b - low]
        if isinstance(task, TimeToEvent | RemainingLife) and one.step_h:
            now_h = one.times_h(a, b) + one.step_h
            if isinstance(task, RemainingLife):
                event_h[:], cause[:] = lives(one.episode, now_h, self.span[1], task)
            else:
                event_h[:], cause[:] = labels(one.episode, now_h, self.span[1], task.causes)
        if isinstance(task, Classify):
            label = hidden(one.episode, task.truth, "task.truth")
            at = one.at(label)
            here = (at >= a) & (at < b)
            cause[at[here] - a], event_h[at[here] - a] = np.asarray(label.values)[here].astype(np.int32), 0.0
        if isinstance(task, States):
            told = telling(one.episode, task.channel, "task.channel")
            at = one.at(told)
            i, j = np.searchsorted(at, (a, b))
            cause[at[i:j] - a] = _numbered(np.asarray(told.values[i:j]), task, one.episode)


def _require_counts(each: Sequence[Aligned]) -> None:
    """Refuse targets with a value that is no whole number of at least 0."""
    for one in each:
        for series in (s for s in one.series.values() if s.role == Role.TARGET):
            x = np.asarray(series.values)
            wrong = np.flatnonzero(np.isfinite(x) & ((x < 0) | (x != np.rint(x))))
            if len(wrong):
                raise InputError(
                    f"{'/'.join(series.key)} of run {one.episode.run} is {x[wrong[0]]:g} at sample {wrong[0]}; where "
                    "task.loss is counts every target must be a whole number of at least 0"
                )


def _numbered(values: np.ndarray, task: States, episode: Episode) -> np.ndarray:
    """The state at each value, −1 where it is missing; raises InputError where a value is no state's number."""
    known = np.isfinite(values)
    number = np.where(known, values, -1).astype(np.int32)
    wrong = known & ((number != values) | (number < 0) | (number >= len(task.states)))
    if wrong.any():
        raise InputError(
            f"{task.channel} of run {episode.run}, {episode.asset}, is {values[wrong][0]:g}; task.states names "
            f"{len(task.states)} states, so it must be a whole number from 0 to {len(task.states) - 1}"
        )
    return number
