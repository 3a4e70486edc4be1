"""One dense layer behind the same interface as the large models: the classic exercise, and an honest baseline."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from learn.models import counts
from learn.models.heads import Told, dense, first_bias, lives, outputs_per_step, quantiles
from learn.tasks import Classify, Forecast, Imputation, RemainingLife, States, Task, TimeToEvent
from learn.windows.batch import ROLES, Batch, Scale, Windows
from sim.errors import InputError
from twins.channel import Role


@dataclass(frozen=True)
class Linear:
    """One dense layer from all that is seen to all that is asked.

    This is its configuration; `build` makes the module.
    """

    def build(self, task: Task, windows: Windows, seed: int = 0) -> LinearNet:
        return LinearNet(task, windows, nnx.Rngs(seed))


class LinearNet(nnx.Module):
    """All of the context, flattened, and the known channels over the horizon → the outputs at its end, by one layer."""

    def __init__(self, task: Task, windows: Windows, rngs: nnx.Rngs):
        role_V = np.asarray(windows.role_ExV).max(0)
        self.task = task
        known_V = (role_V == ROLES.index(Role.KNOWN)) & (
            not isinstance(task, Imputation)
        )  # which sees all of it anyway
        self.known = tuple(int(v) for v in np.flatnonzero(known_V))
        self.targets = tuple(int(v) for v in np.flatnonzero(role_V == ROLES.index(Role.TARGET)))
        self.variates = windows.variates
        inputs = windows.variates * windows.context + len(self.known) * windows.horizon
        if not inputs:
            raise InputError("a linear model has nothing to look at: give a context above 0, or channels of role known")
        if isinstance(task, TimeToEvent | Classify):
            bias = first_bias(task, np.asarray(windows.event_h_ExL), np.asarray(windows.cause_ExL))
        elif isinstance(task, States):
            bias = np.tile(first_bias(task, cause_x=np.asarray(windows.cause_ExL)), task.horizon)
        elif isinstance(task, RemainingLife):
            bias = first_bias(task)
        else:
            bias = np.tile(first_bias(task), len(self.targets) * task.horizon)
        self.dense = dense(inputs, bias, rngs)

    def __call__(self, batch: Batch, key: jax.Array | None = None, last: bool = False) -> jax.Array | Told:
        count = batch.x_BxVxT.shape[0]
        known = batch.future_BxVxH[:, np.asarray(self.known, int)]
        flat = jnp.concatenate((batch.x_BxVxT.reshape(count, -1), known.reshape(count, -1)), axis=1)
        out = self.dense(flat)
        if isinstance(self.task, Forecast):
            out = out.reshape(count, len(self.targets), 1, self.task.horizon, outputs_per_step(self.task))
            out = quantiles(out) if self.task.loss == "pinball" else out
            whole = jnp.zeros((count, self.variates, *out.shape[2:]), out.dtype)
            whole = whole.at[:, np.asarray(self.targets, int)].set(out)
            if self.task.loss != "counts":
                return whole
            zero, one = (x[..., None, None] for x in (batch.zero_BxV, batch.one_BxV))
            return counts.law(whole, -zero / one, 1 / one)
        if isinstance(self.task, RemainingLife):
            return lives(out, self.task)[:, None]
        if isinstance(self.task, Classify):
            return Told(out[:, None])
        if isinstance(self.task, States):
            return out.reshape(count, 1, self.task.horizon, len(self.task.states))
        return out.reshape(count, 1, len(self.task.edges_h), len(self.task.causes) + 1)


def in_units(model: LinearNet, scale: Scale) -> tuple[np.ndarray, np.ndarray]:
    """Weights (inputs, targets) and intercepts of a one-step `mse` model without context, in the data's units."""
    mean, std = np.asarray(scale.mean), np.asarray(scale.std)
    x, y = list(model.known), list(model.targets)
    w = np.asarray(model.dense.kernel[...], np.float64) * std[y] / std[x][:, None]
    assert model.dense.bias is not None
    return w, np.asarray(model.dense.bias[...], np.float64) * std[y] + mean[y] - mean[x] @ w
