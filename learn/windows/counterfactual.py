"""Windows of what would have come of other actions: each a row of its own, the plan in it and its outcome after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from learn.tasks import Counterfactual
from learn.windows.batch import ROLES, Windows
from sim.errors import InputError
from twins.aligned import hidden
from twins.channel import Role
from twins.episode import Episode


class Planned(NamedTuple):
    """Windows with one anchor each, (row, 0); and of which episode, at which sample, under which plan each is."""

    windows: Windows
    rows_Nx3: np.ndarray  # int: episode, the sample on which the plan begins, the plan


def planned(
    windows: Windows, episodes: Sequence[Episode], task: Counterfactual, every: int = 1, pairs: bool = False
) -> Planned:
    """All plans at every *every*-th sample of the *episodes* that *windows* hold; or *pairs* of the first and one."""
    context, horizon = windows.context, task.horizon
    names = windows.scale.names
    if unknown := [name for name in task.actions if name not in names]:
        raise InputError(f"task.actions names {unknown[0]!r}; the channels are {', '.join(names)}")
    actions = [names.index(name) for name in task.actions]
    target = the_target(windows)
    values_ExVxL = np.asarray(windows.values_ExVxL)
    mean, std = np.asarray(windows.scale.mean, np.float32), np.asarray(windows.scale.std, np.float32)
    parts, rows = [], []
    for e, episode in enumerate(episodes):
        plan_NxSxHxA, outcome_NxSxH = (hidden(episode, name).values for name in (task.plan, task.outcome))
        if plan_NxSxHxA.shape[2:] != (horizon, len(actions)) or outcome_NxSxH.shape[2:] != (horizon,):
            raise InputError(
                f"the plans are of shape {plan_NxSxHxA.shape[1:]}, their outcomes of {outcome_NxSxH.shape[1:]}; the "
                f"task asks for {horizon} steps of {len(actions)} actions"
            )
        begun = np.flatnonzero(np.isfinite(outcome_NxSxH).all((1, 2)))
        begun = begun[(begun % every == 0) & (begun + 1 >= task.history)]
        count = plan_NxSxHxA.shape[1]
        if pairs and count < 2:
            raise InputError("task.difference_weight is of two plans or more; there is 1")
        arms = np.stack((np.zeros(count - 1, int), np.arange(1, count)), axis=1).ravel() if pairs else np.arange(count)
        at, s = np.repeat(begun, len(arms)), np.tile(arms, len(begun))
        one = np.full((len(at), len(names), context + horizon), np.nan, np.float32)
        index = (at + 1)[:, None] + np.arange(context)  # sample k lies at context + k
        one[..., :context] = np.swapaxes(values_ExVxL[e][:, index], 0, 1)
        for a, v in enumerate(actions):
            dose = (plan_NxSxHxA[at, s, :, a] - mean[v]) / std[v]
            one[:, v, context - 1 : context + horizon - 1] = dose
        one[:, target, context:] = (outcome_NxSxH[at, s] - mean[target]) / std[target]
        parts.append(one)
        rows.append(np.stack((np.full_like(at, e), at, s), axis=1))
    rows_Nx3 = np.concatenate(rows)
    if not len(rows_Nx3):
        raise InputError("no plan begins in the episodes; give longer runs, or more of them")
    e_N, at_N = rows_Nx3[:, 0], rows_Nx3[:, 1]
    length = context + horizon
    at_NxL = e_N[:, None], (at_N + 1)[:, None] + np.arange(length)
    found = replace(
        windows,
        values_ExVxL=jnp.asarray(np.concatenate(parts)),
        hour_ExL=windows.hour_ExL[at_NxL],
        gap_ExL=windows.gap_ExL[at_NxL],
        event_h_ExL=jnp.full((len(e_N), length), jnp.nan),
        cause_ExL=jnp.full((len(e_N), length), -1, jnp.int32),
        role_ExV=windows.role_ExV[e_N],
        variate_mask_ExV=windows.variate_mask_ExV[e_N],
        runs=tuple(windows.runs[e] for e in e_N),
        assets=tuple(windows.assets[e] for e in e_N),
        first=(0,) * len(e_N),
        last=(horizon,) * len(e_N),
        frames=(),
        marks_ExLxHxW=None,
        least=0,
        together=2 if pairs else 1,
    )
    return Planned(found, rows_Nx3)


def told(windows: Windows, episodes: Sequence[Episode], rows_Nx3: np.ndarray, quantity: str) -> np.ndarray:
    """What a hidden channel of frames (S, H) says of the target in *rows*, in scaled units: float32[N, V, H]."""
    target = the_target(windows)
    frames = [hidden(episode, quantity).values for episode in episodes]
    each = np.stack([frames[e][at, s] for e, at, s in rows_Nx3])
    out = np.full((len(each), windows.variates, each.shape[-1]), np.nan, np.float32)
    out[:, target] = (each - windows.scale.mean[target]) / windows.scale.std[target]
    return out


def the_target(windows: Windows) -> int:
    """The one variate of role target; raises InputError where there are none or several."""
    found = np.flatnonzero((np.asarray(windows.role_ExV) == ROLES.index(Role.TARGET)).any(0))
    if len(found) != 1:
        raise InputError(f"a counterfactual is asked of one target; the channels have {len(found)}")
    return int(found[0])
