"""From episodes to what a model sees: windows that stay on the device, and batches gathered from them.

A window anchored at sample k of an episode sees samples k − context … k − 1; "now" is the time of sample k, which is
the first target. Where blocks of its horizon are hidden, it sees the context that ends with the horizon, but for them.
Channels of role `truth` are left out here, so that no model can reach them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from learn.tasks import Classify, Imputation, Task
from learn.windows.gaps import addresses, blocks
from learn.windows.identity import buckets, kind
from learn.windows.laid import ROLES, WEEK_H, Laid
from sim.errors import InputError
from twins.aligned import hidden
from twins.channel import Role
from twins.episode import Series

NOBODY: dict[str, Any] = {"runs": (), "assets": (), "first": (), "last": (), "until_h": np.inf}  # of windows taken out
TIME_FEATURES = 4  # sine and cosine of the hour of the day and of the hour of the week


class Batch(NamedTuple):
    """B windows of V variates over T samples of context and H of horizon; a pytree."""

    x_BxVxT: jax.Array  # float32, in train standard deviations from the train mean; 0 where missing
    mask_BxVxT: jax.Array  # bool, observed
    time_BxTxF: jax.Array  # float32, calendar features
    role_BxV: jax.Array  # int32, index into ROLES
    words_BxVxW: jax.Array  # int32, what each channel is, as `learn.windows.identity.buckets`
    zero_BxV: jax.Array  # float32, where a channel's own 0 lies
    one_BxV: jax.Array  # float32, how far from there its own 1 does
    gap_BxT: jax.Array  # float32, hours since the sample before
    group_BxV: jax.Array  # int32; variates of one group look at each other
    variate_mask_BxV: jax.Array  # bool, False where padded
    future_BxVxH: jax.Array  # float32, normalised like x; 0 where missing. A model may read it where the role is known
    future_mask_BxVxH: jax.Array  # bool: a target, observed; what losses and scores count
    event_h_BxT: jax.Array  # float32, hours from just after each sample to the end of the life; NaN off risk
    cause_BxL: jax.Array  # int32, of context and horizon; 0 censored, 1 … the task's causes, −1 off risk; or each
    #                       sample's class or state, −1 unknown
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
    kinds: tuple[str, ...]  # of entity, as `learn.windows.identity.kind`
    frames: tuple[Frame, ...] = ()

    @staticmethod
    def of(seen: Mapping[str, Series], moments_Ex3xV: Sequence[np.ndarray]) -> Scale:
        """Population statistics of the observed (not NaN) values; a constant variate has a deviation of 1.

        *seen* has a series of each variate, by name; of each episode come the `moments` of its values.
        """
        mean, std = [], []
        for n_E, mean_E, square_E in np.moveaxis(np.stack(moments_Ex3xV), 0, -1).swapaxes(0, 1):
            n = max(n_E.sum(), 1.0)
            mean.append(float((n_E * mean_E).sum() / n))
            spread = float(np.sqrt((square_E + n_E * (mean_E - mean[-1]) ** 2).sum() / n))
            std.append(spread if spread > 1e-6 * max(1.0, abs(mean[-1])) else 1.0)
        units, kinds = tuple(s.unit for s in seen.values()), tuple(kind(s.entity) for s in seen.values())
        return Scale(tuple(seen), tuple(mean), tuple(std), units, kinds)

    @property
    def zero(self) -> np.ndarray:
        """Where each variate's own 0 lies, float32[V]."""
        return -np.asarray(self.mean, np.float32) / np.asarray(self.std, np.float32)

    @property
    def one(self) -> np.ndarray:
        """How far from there each variate's own 1 does, float32[V]."""
        return 1 / np.asarray(self.std, np.float32)

    def _column(self, values: tuple[float, ...], axes: int) -> np.ndarray:
        return np.asarray(values, np.float32).reshape(-1, *[1] * axes)

    def normalise(self, x_xVxH: Any, trailing: int = 1) -> Any:
        """Values in each variate's own unit, with V before *trailing* axes, as a model sees them."""
        return (x_xVxH - self._column(self.mean, trailing)) / self._column(self.std, trailing)

    def onto(self, x_xVxH: np.ndarray) -> None:
        """`normalise`, in place."""
        x_xVxH -= self._column(self.mean, 1)
        x_xVxH /= self._column(self.std, 1)

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
        "hidden_ExVxH",
    ],
    meta_fields=[
        "context",
        "horizon",
        "step_h",
        "scale",
        "runs",
        "assets",
        "first",
        "last",
        "until_h",
        "least",
        "together",
        "hides",
    ],
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
    until_h: float = np.inf  # when the split is cut off: what comes later is not known in it
    least: int | None = None  # samples that have to lie before an anchor; None: a whole context
    together: int = 1  # anchors that follow on each other and belong into one batch: the arms of a comparison
    hides: Imputation | None = None  # whose blocks of the horizon are hidden
    hidden_ExVxH: Any = None  # bool, of windows that are `taken`: where they lie

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
        return assembled(Laid.read(source, split, context, horizon, task, scale), scale)

    @property
    def variates(self) -> int:
        return len(self.scale.names)

    @property
    def seen_ahead(self) -> int:
        """Samples from an anchor on that a model sees: of a horizon with hidden blocks all, but for these."""
        return self.horizon if self.hides is not None else 0

    @property
    def at_risk(self) -> np.ndarray:
        """Whether each sample of each episode is at risk of an event, bool[E, L]."""
        return np.isfinite(np.asarray(self.event_h_ExL))[:, self.context :]


def assembled(laid: Laid, scale: Scale | None) -> Windows:
    """All windows in memory, in *scale*, or in that of their own values."""
    values, beside = laid.values(laid.rows, laid.length), laid.beside(laid.rows, laid.length)
    if scale is None:
        scale = Scale.of(laid.seen, [laid.moments(e, values[e], low) for e, low in laid.rows])
    frames, scale = _frames(laid, scale)
    marks = _marks(laid, laid.task, scale) if isinstance(laid.task, Classify) and laid.task.marks is not None else None
    scale.onto(values)
    arrays: Any = map(jnp.asarray, (values, *beside, laid.role_ExV, laid.variate_mask_ExV))
    return Windows(
        *arrays,
        **laid.about(scale),
        frames=tuple(map(jnp.asarray, frames)),
        marks_ExLxHxW=None if marks is None else jnp.asarray(marks),
    )


def _frames(laid: Laid, scale: Scale) -> tuple[list[np.ndarray], Scale]:
    """The frames of all episodes, normalised, by the scale's list of them or, where that is empty, their own."""
    pictured = [each.frames for each in laid.each]
    names = [f.name for f in scale.frames] or list(dict.fromkeys(name for seen in pictured for name in seen))
    if unknown := {name for seen in pictured for name in seen} - set(names):
        raise InputError(f"frames {sorted(unknown)} are not among those the model was trained on: {names}")
    arrays, found = [], []
    for i, name in enumerate(names):
        shapes = {seen[name].shape for seen in pictured if name in seen} | {f.shape for f in scale.frames[i : i + 1]}
        if len(shapes) > 1:
            raise InputError(f"frames of {name} are of different shapes, {sorted(shapes)}; give one")
        whole = np.full((len(pictured), laid.length, *shapes.pop()), np.nan, np.float32)
        for e, each in enumerate(laid.each):
            if name in each.frames:
                whole[e, laid.context + each.at(each.frames[name])] = each.frames[name].values
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


def _marks(laid: Laid, task: Classify, scale: Scale) -> np.ndarray:
    """The marks of the first frame as the task's hidden channel tells them, uint8[E, L, H, W]."""
    labels = [hidden(each.episode, str(task.marks), "task.marks") for each in laid.each]
    shape = scale.frames[0].shape if scale.frames else ()
    if len(shape) != 2 or {label.shape for label in labels} != {shape}:
        seen = f"those of the first frame are {shape}" if shape else "there are no frames to see"
        raise InputError(f"task.marks is {task.marks!r}, of samples of shape {labels[0].shape}; {seen}")
    marks = np.zeros((len(labels), laid.length, *shape), np.uint8)
    for e, (each, label) in enumerate(zip(laid.each, labels, strict=True)):
        marks[e, laid.context + each.at(label)] = label.values.astype(np.uint8)
    return marks


def anchors(windows: Any, stride: int = 1, at_risk: bool | None = None) -> np.ndarray:
    """Every *stride*-th anchor that has its context and, within the split, all its targets: int32[N, 2] (episode, k).

    Of `Windows`, or what cuts them. The context has to be whole unless the windows ask for less of it. *at_risk* (by
    default: where the windows carry events) keeps anchors whose asset is at risk now. Raises InputError where nothing
    is left.
    """
    risk_E = () if at_risk is False else windows.at_risk
    if at_risk is None and not any(risk_L.any() for risk_L in risk_E):
        risk_E = ()
    least = windows.context if windows.least is None else windows.least
    found = []
    for e, (first, last) in enumerate(zip(windows.first, windows.last, strict=True)):
        k = np.arange(max(first, least), last - max(windows.horizon, 1) + 1, stride, dtype=np.int32)
        k = k[risk_E[e][k - 1]] if len(risk_E) else k
        found.append(np.stack((np.full_like(k, e), k), axis=1))
    anchors_Nx2 = np.concatenate(found)
    if not len(anchors_Nx2):
        room = f"window of {windows.context} + {windows.horizon} samples"
        if len(risk_E) and not any(risk_L.any() for risk_L in risk_E):
            raise InputError(f"no {room} is of an asset at risk: nothing that the task asks for happens in these data")
        raise InputError(
            f"no {room} fits into the {len(windows.runs)} episodes; shorten the context or the horizon, or give longer "
            "runs"
        )
    return anchors_Nx2


def runs(windows: Windows, anchors_Nx2: np.ndarray) -> np.ndarray:
    """The world run of each anchor, int64[N], for bootstraps that resample runs."""
    return np.asarray(windows.runs, np.int64)[np.asarray(anchors_Nx2)[:, 0]]


def gather(windows: Windows, anchors_Bx2: Any) -> Batch:
    """The batch of windows at *anchors_Bx2* (int32, episode and k). Pure; may be jitted."""
    return batch_of(taken(windows, anchors_Bx2))


def taken(windows: Windows, anchors_Bx2: jax.Array) -> Windows:
    """Just the windows at *anchors_Bx2*, a row each, of context + horizon samples."""
    context, horizon, seen = windows.context, windows.horizon, windows.seen_ahead

    def rows(array_ExL: jax.Array, length: int, late: int = 0) -> jax.Array:
        def one(e_k: jax.Array) -> jax.Array:
            start = (e_k[0], *[0] * (array_ExL.ndim - 2), e_k[1] + late)
            return jax.lax.dynamic_slice(array_ExL, start, (1, *array_ExL.shape[1:-1], length))[0]

        return jax.vmap(one)(anchors_Bx2)

    def frames(array_ExLxS: jax.Array) -> jax.Array:
        def one(e_k: jax.Array) -> jax.Array:
            start = (e_k[0], e_k[1] + seen, *[0] * (array_ExLxS.ndim - 2))
            return jax.lax.dynamic_slice(array_ExLxS, start, (1, context, *array_ExLxS.shape[2:]))[0]

        return jax.vmap(one)(anchors_Bx2)

    e_B, k_B = anchors_Bx2[:, 0], anchors_Bx2[:, 1]
    hidden_BxVxH = None
    if windows.hides is not None:
        address_B = jnp.asarray(addresses(windows.runs, windows.assets))[e_B]
        hidden_BxVxH = blocks(windows.hides, address_B, k_B, windows.variates)
    return replace(
        windows,
        values_ExVxL=rows(windows.values_ExVxL, context + horizon),
        **{
            f"{name}_ExL": rows(getattr(windows, f"{name}_ExL"), context + horizon - seen, seen)
            for name in ("hour", "gap", "event_h", "cause")
        },
        role_ExV=windows.role_ExV[e_B],
        variate_mask_ExV=windows.variate_mask_ExV[e_B],
        frames=tuple(map(frames, windows.frames)),
        marks_ExLxHxW=None if windows.marks_ExLxHxW is None else frames(windows.marks_ExLxHxW),
        hidden_ExVxH=hidden_BxVxH,
        **NOBODY,
    )


def batch_of(taken: Windows) -> Batch:
    """The batch of `taken` windows."""
    context, scale, values_BxVxL, late = taken.context, taken.scale, taken.values_ExVxL, taken.seen_ahead
    mask_BxVxL = jnp.isfinite(values_BxVxL)
    values_BxVxL = jnp.where(mask_BxVxL, values_BxVxL, 0.0)
    angle_BxT = taken.hour_ExL[:, :context, None] * jnp.asarray([2 * np.pi / 24, 2 * np.pi / WEEK_H])
    time_BxTxF = jnp.concatenate((jnp.sin(angle_BxT), jnp.cos(angle_BxT)), axis=-1).astype(jnp.float32)
    role_BxV = taken.role_ExV
    target_BxV = taken.variate_mask_ExV & (role_BxV == ROLES.index(Role.TARGET))

    future_mask_BxVxH = mask_BxVxL[..., context:] & target_BxV[..., None]
    seen_BxVxL, x_BxVxL = mask_BxVxL, values_BxVxL
    if taken.hidden_ExVxH is not None:
        future_mask_BxVxH &= taken.hidden_ExVxH
        there_BxVxH = mask_BxVxL[..., context:] & ~future_mask_BxVxH
        seen_BxVxL = jnp.concatenate((mask_BxVxL[..., :context], there_BxVxH), axis=-1)
        x_BxVxL = jnp.where(seen_BxVxL, values_BxVxL, 0.0)

    def each(of_V: np.ndarray) -> jax.Array:
        return jnp.broadcast_to(jnp.asarray(of_V), (len(role_BxV), *of_V.shape))

    return Batch(
        x_BxVxT=x_BxVxL[..., late : late + context],
        mask_BxVxT=seen_BxVxL[..., late : late + context],
        time_BxTxF=time_BxTxF,
        role_BxV=role_BxV,
        words_BxVxW=each(buckets(scale.names, scale.units, scale.kinds)),
        zero_BxV=each(scale.zero),
        one_BxV=each(scale.one),
        gap_BxT=taken.gap_ExL[:, :context],
        group_BxV=jnp.zeros_like(role_BxV),
        variate_mask_BxV=taken.variate_mask_ExV,
        future_BxVxH=values_BxVxL[..., context:],
        future_mask_BxVxH=future_mask_BxVxH,
        event_h_BxT=taken.event_h_ExL[:, :context],
        cause_BxL=taken.cause_ExL,
        frames=taken.frames,
        marks_BxTxHxW=taken.marks_ExLxHxW,
    )
