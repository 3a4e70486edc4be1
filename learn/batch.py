"""From episodes to what a model sees: windows that stay on the device, and batches gathered from them.

A window anchored at sample k of an episode sees samples k − context … k − 1; "now" is the time of sample k, which is
the first target. Channels of role `truth` are left out here, so that no model can reach them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from learn.aligned import grid, hidden, position, variates
from learn.identity import buckets, kind
from learn.labels import followed_h, labels, lives
from learn.tasks import Classify, Counterfactual, RemainingLife, Task, TimeToEvent
from sim.errors import InputError
from twins.channel import Role
from twins.episode import Episode, Series

ROLES = tuple(role for role in Role if role is not Role.TRUTH)  # a batch's role is an index into this
TIME_FEATURES = 4  # sine and cosine of the hour of the day and of the hour of the week
WEEK_H = 168.0


class Batch(NamedTuple):
    """B windows of V variates over T samples of context and H of horizon; a pytree."""

    x_BxVxT: jax.Array  # float32, in train standard deviations from the train mean; 0 where missing
    mask_BxVxT: jax.Array  # bool, observed
    time_BxTxF: jax.Array  # float32, calendar features
    role_BxV: jax.Array  # int32, index into ROLES
    words_BxVxW: jax.Array  # int32, what each channel is, as `learn.identity.buckets`
    zero_BxV: jax.Array  # float32, where a channel's own 0 lies
    gap_BxT: jax.Array  # float32, hours since the sample before
    group_BxV: jax.Array  # int32; variates of one group look at each other
    variate_mask_BxV: jax.Array  # bool, False where padded
    future_BxVxH: jax.Array  # float32, normalised like x; 0 where missing. A model may read it where the role is known
    future_mask_BxVxH: jax.Array  # bool: a target, observed; what losses and scores count
    event_h_BxT: jax.Array  # float32, hours from just after each sample to the end of the life; NaN off risk
    cause_BxT: jax.Array  # int32; 0 censored, 1 … the task's causes, −1 off risk; or each sample's class, −1 unknown
    frames: tuple[jax.Array, ...] = ()  # of each frame, BxTx*shape: float32, normalised; NaN where there is none
    marks_BxTxHxW: jax.Array | None = None  # uint8, bits of the kinds of mark that are there: a label


class Frame(NamedTuple):
    """A channel whose samples are arrays, and the mean and deviation of all their entries over the training data."""

    name: str
    shape: tuple[int, ...]
    mean: float
    std: float


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of every variate over the training data, and by that the list of variates.

    A variate is named by its quantity; the second of the same quantity in one episode is `quantity#2`. Frames, which
    are no variates, are listed beside them.
    """

    names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    units: tuple[str, ...]
    kinds: tuple[str, ...]  # of entity, as `learn.identity.kind`
    frames: tuple[Frame, ...] = ()

    @staticmethod
    def of(seen: Mapping[str, Series], values_ExVxL: np.ndarray) -> Scale:
        """Population statistics of the observed (not NaN) values; a constant variate has a deviation of 1.

        *seen* has a series of each variate, by name.
        """
        mean, std = [], []
        for v in range(len(seen)):
            x = values_ExVxL[:, v]
            x = x[np.isfinite(x)].astype(np.float64)
            mean.append(float(x.mean()) if x.size else 0.0)
            spread = float(x.std()) if x.size else 0.0
            std.append(spread if spread > 1e-6 * max(1.0, abs(mean[-1])) else 1.0)
        units, kinds = tuple(s.unit for s in seen.values()), tuple(kind(s.entity) for s in seen.values())
        return Scale(tuple(seen), tuple(mean), tuple(std), units, kinds)

    @property
    def zero(self) -> np.ndarray:
        """Where each variate's own 0 lies, float32[V]."""
        return -np.asarray(self.mean, np.float32) / np.asarray(self.std, np.float32)

    def _column(self, values: tuple[float, ...], axes: int) -> np.ndarray:
        return np.asarray(values, np.float32).reshape(-1, *[1] * axes)

    def normalise(self, x_xVxH: Any, trailing: int = 1) -> Any:
        """Values in each variate's own unit, with V before *trailing* axes, as a model sees them."""
        return (x_xVxH - self._column(self.mean, trailing)) / self._column(self.std, trailing)

    def restore(self, x_xVxH: Any, trailing: int = 1) -> Any:
        """Normalised values with V before *trailing* axes, back in each variate's own unit."""
        return x_xVxH * self._column(self.std, trailing) + self._column(self.mean, trailing)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=[
        "values_ExVxL",
        "hour_ExL",
        "gap_ExL",
        "event_h_ExL",
        "cause_ExL",
        "role_ExV",
        "variate_mask_ExV",
        "frames",
        "marks_ExLxHxW",
    ],
    meta_fields=["context", "horizon", "step_h", "scale", "runs", "assets", "first", "last", "least"],
)
@dataclass(frozen=True, eq=False)
class Windows:
    """All episodes of a split on the device, a row each; `context` samples of padding before and `horizon` after.

    Sample k of episode e lies at values_ExVxL[e, :, context + k].
    """

    values_ExVxL: jax.Array  # float32, normalised; NaN where missing
    hour_ExL: jax.Array  # float32, hour of the week
    gap_ExL: jax.Array  # float32, hours since the sample before
    event_h_ExL: jax.Array  # float32
    cause_ExL: jax.Array  # int32
    role_ExV: jax.Array  # int32
    variate_mask_ExV: jax.Array  # bool
    context: int
    horizon: int
    step_h: float | None  # None where samples come at times of their own (visits, sales)
    scale: Scale
    runs: tuple[int, ...]  # the world run of each episode
    assets: tuple[str, ...]
    first: tuple[int, ...]  # the sample index from which the split's targets may be taken, by episode
    last: tuple[int, ...]  # and the one before which they end
    frames: tuple[jax.Array, ...] = ()  # of each frame of the scale, ExLx*shape: float32, normalised; NaN where missing
    marks_ExLxHxW: jax.Array | None = None  # uint8, the task's label of each pixel; 0 where there is none
    least: int | None = None  # samples that have to lie before an anchor; None: a whole context

    @staticmethod
    def of(
        source: Any,
        split: str = "",
        context: int = 0,
        horizon: int | None = None,
        task: Task | None = None,
        scale: Scale | None = None,
    ) -> Windows:
        """Windows of *source*: a Dataset (its *split*) or episodes. The training split makes the scale; others take it.

        *horizon* is the task's own where it is None. Raises InputError where there is no episode, where clocks differ,
        and where a variate is not in *scale*.
        """
        whole = (-np.inf, np.inf)
        episodes, span = (source.episodes(split), source.span(split)) if hasattr(source, "span") else (source, whole)
        episodes = list(episodes)
        if not episodes:
            raise InputError(f"the split {split!r} holds no episode; give its plan at least one run")
        if horizon is None:
            horizon = task.samples_ahead if task is not None else 0
        return _assemble(episodes, span, context, horizon, task, scale)

    @property
    def variates(self) -> int:
        return len(self.scale.names)


def _assemble(
    episodes: list[Episode],
    span: tuple[float, float],
    context: int,
    horizon: int,
    task: Task | None,
    scale: Scale | None,
) -> Windows:
    named = [variates(e) for e in episodes]
    names = scale.names if scale else tuple(dict.fromkeys(name for series in named for name in series))
    unknown = {name for series in named for name in series} - set(names)
    if unknown:
        raise InputError(f"channels {sorted(unknown)} are not among those the model was trained on: {list(names)}")
    if not names:
        raise InputError("the episodes have no channel that a model may see; all are of role truth")
    pictured = [variates(e, frames=True) for e in episodes]
    grids = [grid([*series.values(), *seen.values()]) for series, seen in zip(named, pictured, strict=True)]
    if len({step_h for step_h, _ in grids}) > 1:
        raise InputError(f"episodes are sampled at different steps, {sorted({str(s) for s, _ in grids})} h; give one")
    step_h = grids[0][0]

    count, longest = len(episodes), max(len(grid_h) for _, grid_h in grids)
    length = context + longest + horizon
    values = np.full((count, len(names), length), np.nan, np.float32)
    hour, gap = np.zeros((count, length), np.float32), np.zeros((count, length), np.float32)
    event_h = np.full((count, length), np.nan, np.float32)
    cause = np.full((count, length), -1, np.int32)
    role = np.zeros((count, len(names)), np.int32)
    present = np.zeros((count, len(names)), bool)
    first, last = [], []
    causes = task.causes if isinstance(task, TimeToEvent | RemainingLife) else ()
    for e, (episode, series, (_, grid_h)) in enumerate(zip(episodes, named, grids, strict=True)):
        for v, name in enumerate(names):
            if name in series:
                values[e, v, context + position(series[name], step_h, grid_h)] = series[name].values
                role[e, v] = ROLES.index(Role(series[name].role))
                present[e, v] = True
        epoch = datetime.fromisoformat(episode.epoch)
        since_monday_h = epoch.weekday() * 24 + epoch.hour + epoch.minute / 60 + epoch.second / 3600
        sample = np.arange(-context, longest + horizon)
        times_h = sample * step_h if step_h else grid_h[np.clip(sample, 0, len(grid_h) - 1)]
        hour[e] = (times_h + since_monday_h) % WEEK_H
        gap[e] = step_h or np.diff(times_h, prepend=times_h[0])
        if causes and step_h:
            inside = slice(context, context + len(grid_h))
            if isinstance(task, RemainingLife):
                event_h[e, inside], cause[e, inside] = lives(episode, grid_h + step_h, span[1], task)
            else:
                event_h[e, inside], cause[e, inside] = labels(episode, grid_h + step_h, span[1], causes)
        if isinstance(task, Classify):
            label = hidden(episode, task.truth)
            at = context + position(label, step_h, grid_h)
            cause[e, at], event_h[e, at] = label.values.astype(np.int32), 0.0
        first.append(int(np.searchsorted(grid_h, span[0])))
        last.append(int(np.searchsorted(grid_h, followed_h(episode, span[1], task))))

    if scale is None:
        own = np.full_like(values, np.nan) if np.isfinite(span).any() else values
        if own is not values:
            for e in range(count):
                inside = slice(context + first[e], context + last[e])
                own[e, :, inside] = values[e, :, inside]
        scale = Scale.of({n: next(s[n] for s in named if n in s) for n in names}, own)
    frames, scale = _frames(pictured, [grid_h for _, grid_h in grids], step_h, context, length, scale)
    marks = None
    if isinstance(task, Classify) and task.marks is not None:
        marks = _marks(episodes, [grid_h for _, grid_h in grids], step_h, context, length, task, scale)
    values -= scale._column(scale.mean, 1)
    values /= scale._column(scale.std, 1)
    return Windows(
        *map(jnp.asarray, (values, hour, gap, event_h, cause, role, present)),
        context=context,
        horizon=horizon,
        step_h=step_h,
        scale=scale,
        runs=tuple(int(e.run) for e in episodes),
        assets=tuple(e.asset for e in episodes),
        first=tuple(first),
        last=tuple(last),
        frames=tuple(map(jnp.asarray, frames)),
        marks_ExLxHxW=None if marks is None else jnp.asarray(marks),
        least=task.history if isinstance(task, Counterfactual) else None,
    )


def _frames(
    pictured: list[dict[str, Series]],
    grids_h: list[np.ndarray],
    step_h: float | None,
    context: int,
    length: int,
    scale: Scale,
) -> tuple[list[np.ndarray], Scale]:
    """The frames of all episodes, normalised, by the scale's list of them or, where that is empty, their own."""
    names = [f.name for f in scale.frames] or list(dict.fromkeys(name for seen in pictured for name in seen))
    if unknown := {name for seen in pictured for name in seen} - set(names):
        raise InputError(f"frames {sorted(unknown)} are not among those the model was trained on: {names}")
    arrays, found = [], []
    for i, name in enumerate(names):
        shapes = {seen[name].shape for seen in pictured if name in seen} | {f.shape for f in scale.frames[i : i + 1]}
        if len(shapes) > 1:
            raise InputError(f"frames of {name} are of different shapes, {sorted(shapes)}; give one")
        whole = np.full((len(pictured), length, *shapes.pop()), np.nan, np.float32)
        for e, (seen, grid_h) in enumerate(zip(pictured, grids_h, strict=True)):
            if name in seen:
                whole[e, context + position(seen[name], step_h, grid_h)] = seen[name].values
        if scale.frames:
            frame = scale.frames[i]
        else:
            spread = float(np.nanstd(whole, dtype=np.float64))
            frame = Frame(name, whole.shape[2:], float(np.nanmean(whole, dtype=np.float64)), spread or 1.0)
        whole -= np.float32(frame.mean)
        whole /= np.float32(frame.std)
        arrays.append(whole)
        found.append(frame)
    return arrays, replace(scale, frames=tuple(found))


def _marks(
    episodes: list[Episode],
    grids_h: list[np.ndarray],
    step_h: float | None,
    context: int,
    length: int,
    task: Classify,
    scale: Scale,
) -> np.ndarray:
    """The marks of the first frame as the task's hidden channel tells them, uint8[E, L, H, W]."""
    labels = [hidden(episode, str(task.marks)) for episode in episodes]
    shape = scale.frames[0].shape if scale.frames else ()
    if len(shape) != 2 or {label.shape for label in labels} != {shape}:
        seen = f"those of the first frame are {shape}" if shape else "there are no frames to see"
        raise InputError(f"task.marks is {task.marks!r}, of samples of shape {labels[0].shape}; {seen}")
    marks = np.zeros((len(episodes), length, *shape), np.uint8)
    for e, (label, grid_h) in enumerate(zip(labels, grids_h, strict=True)):
        marks[e, context + position(label, step_h, grid_h)] = label.values.astype(np.uint8)
    return marks


def anchors(windows: Windows, stride: int = 1, at_risk: bool | None = None) -> np.ndarray:
    """Every *stride*-th anchor that has its context and, within the split, all its targets: int32[N, 2] (episode, k).

    The context has to be whole unless the windows ask for less of it. *at_risk* (by default: where the windows carry
    events) keeps anchors whose asset is at risk now. Raises InputError where nothing is left.
    """
    event_h_ExL = np.asarray(windows.event_h_ExL)
    if at_risk is None:
        at_risk = bool(np.isfinite(event_h_ExL).any())
    least = windows.context if windows.least is None else windows.least
    found = []
    for e, (first, last) in enumerate(zip(windows.first, windows.last, strict=True)):
        k = np.arange(max(first, least), last - max(windows.horizon, 1) + 1, stride)
        if at_risk:
            k = k[np.isfinite(event_h_ExL[e, windows.context + k - 1])]
        found.append(np.stack((np.full_like(k, e), k), axis=1))
    anchors_Nx2 = np.concatenate(found).astype(np.int32)
    if not len(anchors_Nx2):
        raise InputError(
            f"no window of {windows.context} + {windows.horizon} samples fits into the {len(windows.runs)} episodes; "
            "shorten the context or the horizon, or give longer runs"
        )
    return anchors_Nx2


def runs(windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
    """The world run of each anchor, int64[N], for bootstraps that resample runs."""
    return np.asarray(windows.runs, np.int64)[np.asarray(anchors_Nx2)[:, 0]]


def gather(windows: Windows, anchors_Bx2: Any) -> Batch:
    """The batch of windows at *anchors_Bx2* (int32, episode and k). Pure; may be jitted."""
    context, horizon = windows.context, windows.horizon

    def rows(array_ExL: jax.Array, length: int, back: int = 0) -> jax.Array:
        def one(e_k: jax.Array) -> jax.Array:
            start = (e_k[0], *[0] * (array_ExL.ndim - 2), e_k[1] - back)
            return jax.lax.dynamic_slice(array_ExL, start, (1, *array_ExL.shape[1:-1], length))[0]

        return jax.vmap(one)(anchors_Bx2)

    def frames(array_ExLxS: jax.Array) -> jax.Array:
        def one(e_k: jax.Array) -> jax.Array:
            start = (e_k[0], e_k[1], *[0] * (array_ExLxS.ndim - 2))
            return jax.lax.dynamic_slice(array_ExLxS, start, (1, context, *array_ExLxS.shape[2:]))[0]

        return jax.vmap(one)(anchors_Bx2)

    values_BxVxL = rows(windows.values_ExVxL, context + horizon)
    mask_BxVxL = jnp.isfinite(values_BxVxL)
    values_BxVxL = jnp.where(mask_BxVxL, values_BxVxL, 0.0)
    angle_BxT = rows(windows.hour_ExL, context)[..., None] * jnp.asarray([2 * np.pi / 24, 2 * np.pi / WEEK_H])
    time_BxTxF = jnp.concatenate((jnp.sin(angle_BxT), jnp.cos(angle_BxT)), axis=-1).astype(jnp.float32)
    e_B = anchors_Bx2[:, 0]
    role_BxV = windows.role_ExV[e_B]
    variate_mask_BxV = windows.variate_mask_ExV[e_B]
    target_BxV = variate_mask_BxV & (role_BxV == ROLES.index(Role.TARGET))
    scale = windows.scale

    def each(of_V: np.ndarray) -> jax.Array:
        return jnp.broadcast_to(jnp.asarray(of_V), (len(e_B), *of_V.shape))

    return Batch(
        x_BxVxT=values_BxVxL[..., :context],
        mask_BxVxT=mask_BxVxL[..., :context],
        time_BxTxF=time_BxTxF,
        role_BxV=role_BxV,
        words_BxVxW=each(buckets(scale.names, scale.units, scale.kinds)),
        zero_BxV=each(scale.zero),
        gap_BxT=rows(windows.gap_ExL, context),
        group_BxV=jnp.zeros_like(role_BxV),
        variate_mask_BxV=variate_mask_BxV,
        future_BxVxH=values_BxVxL[..., context:],
        future_mask_BxVxH=mask_BxVxL[..., context:] & target_BxV[..., None],
        event_h_BxT=rows(windows.event_h_ExL, context),
        cause_BxT=rows(windows.cause_ExL, context),
        frames=tuple(map(frames, windows.frames)),
        marks_BxTxHxW=None if windows.marks_ExLxHxW is None else frames(windows.marks_ExLxHxW),
    )
