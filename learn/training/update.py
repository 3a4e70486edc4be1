"""One pure step: `update(state, batch) -> (state, metrics)`. The scan, the vmap over seeds and a mesh all wrap it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from learn.training.checkpoint import flat
from learn.training.joint import nets
from learn.training.losses import loss
from learn.windows.batch import Batch
from sim.errors import InputError, require

Metrics = dict[str, jax.Array]
Update = Callable[["TrainState", Batch | Sequence[Batch]], tuple["TrainState", Metrics]]


class TrainState(NamedTuple):
    """All that training changes. The position in the data follows from the step."""

    params: Any  # nnx.State
    opt_state: Any
    step: jax.Array  # int32
    key: jax.Array  # of dropout


@dataclass(frozen=True)
class Optim:
    """Adam with a warm-up of the learning rate and a cosine down to the final share of its peak.

    Where `weight_decay` is not 0 it is AdamW, with no decay on norms, biases and embeddings.
    """

    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1  # share of all steps
    final: float = 0.01
    clip: float | None = 1.0  # global norm of the gradient
    beta1: float = 0.9
    beta2: float = 0.99
    average: float = 0.0  # share of the running mean of the parameters that each step keeps; 0: the newest are used

    def __post_init__(self):
        require(self.learning_rate > 0, self, "learning_rate", "above 0")
        require(self.weight_decay >= 0, self, "weight_decay", "at least 0")
        require(0 <= self.warmup < 1, self, "warmup", "a share of the steps, at least 0 and below 1")
        require(0 <= self.final <= 1, self, "final", "a share of the peak between 0 and 1")
        require(self.clip is None or self.clip > 0, self, "clip", "above 0, or null")
        require(0 <= self.beta1 < 1, self, "beta1", "at least 0 and below 1")
        require(0 <= self.beta2 < 1, self, "beta2", "at least 0 and below 1")
        require(0 <= self.average < 1, self, "average", "at least 0 and below 1")

    def transform(self, steps: int) -> optax.GradientTransformation:
        """The optimiser of a run of *steps* steps."""
        warm = round(self.warmup * steps)
        peak, low = self.learning_rate, self.learning_rate * self.final
        schedule = optax.warmup_cosine_decay_schedule(peak / max(warm, 1), peak, warm, max(steps, warm + 1), low)
        adamw = optax.adamw(schedule, self.beta1, self.beta2, weight_decay=self.weight_decay, mask=decayed)
        parts = [adamw] if self.clip is None else [optax.clip_by_global_norm(self.clip), adamw]
        return optax.chain(*parts, running_mean(self.average)) if self.average else optax.chain(*parts)


class RunningMean(NamedTuple):
    """The state of `running_mean`."""

    average: Any  # as the parameters
    count: jax.Array  # int32, steps


def running_mean(keep: float) -> optax.GradientTransformation:
    """An exponential running mean of the parameters after each step, last in a chain; it changes no step.

    Early on it keeps less, (1 + k) / (10 + k) after k steps, so that where training began is soon forgotten.
    """

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, RunningMean]:
        kept = jnp.minimum(keep, (1 + state.count) / (10 + state.count))
        new = optax.apply_updates(params, updates)
        average = jax.tree.map(lambda old, now: kept * old + (1 - kept) * now, state.average, new)
        return updates, RunningMean(average, state.count + 1)

    return optax.GradientTransformation(lambda params: RunningMean(params, jnp.zeros((), jnp.int32)), update)


def told(state: TrainState) -> Any:
    """The parameters that a model is judged and kept by: their running mean, where the optimiser has one."""
    average = optax.tree_utils.tree_get(state.opt_state, "average")
    return state.params if average is None else average


def decayed(params: Any) -> Any:
    """Which parameters shrink: the kernels of linear maps."""
    return jax.tree.map_with_path(lambda path, _: "kernel" in jax.tree_util.keystr(path), params)


def split(model: nnx.Module) -> tuple[Any, Any]:
    """(graphdef, params) of a model; from here on plain JAX sees them."""
    return nnx.split(model)


def carried(params: Any, onto: Any) -> tuple[Any, list[str]]:
    """*onto* with the parameters of another model where their names and shapes agree, and the names where not."""
    there, leaves = flat(params), flat(onto)
    fresh = [name for name, leaf in leaves.items() if name not in there or there[name].shape != leaf.shape]
    taken = [leaf if name in fresh else there[name] for name, leaf in leaves.items()]
    return jax.tree.unflatten(jax.tree.structure(onto), taken), fresh


def start(params: Any, transform: optax.GradientTransformation, seed: int | jax.Array = 0) -> TrainState:
    return TrainState(params, transform.init(params), jnp.zeros((), jnp.int32), jax.random.PRNGKey(seed))


def make_update(
    graphdef: Any,
    transform: optax.GradientTransformation,
    microbatch: int | None = None,
    weights: Sequence[float] = (1.0,),
) -> Update:
    """The step of one model and optimiser. Metrics: `loss` (mean over all that counts) and `gradient` (its norm).

    With *microbatch* the gradient is summed over parts of that many windows, whose activations fit into the caches.
    Of models that learn together the step takes a batch for each, and lowers the mean of their losses by *weights*;
    `loss_0`, `loss_1` … are their own.
    """

    def objective(params: Any, batch: Batch, key: jax.Array, net: int) -> tuple[jax.Array, jax.Array]:
        model = nets(nnx.merge(graphdef, params))[net]
        return loss(model.task, model(batch, key), batch)

    summed = jax.value_and_grad(objective, has_aux=True)

    def whole(params: Any, batch: Batch, key: jax.Array, net: int) -> tuple[jax.Array, jax.Array, Any]:
        size = batch.x_BxVxT.shape[0]
        if microbatch is None or microbatch >= size:
            (total, count), gradient = summed(params, batch, key, net)
            return total, count, gradient
        if size % microbatch:
            raise InputError(f"microbatch is {microbatch}; it must divide the batch of {size} windows")
        number = size // microbatch
        parts = jax.tree.map(lambda a: a.reshape(number, microbatch, *a.shape[1:]), batch)

        def add(sums: Any, part_i: tuple[Batch, jax.Array]) -> tuple[Any, None]:
            (total, count), gradient = summed(params, part_i[0], jax.random.fold_in(key, part_i[1]), net)
            return jax.tree.map(jnp.add, sums, (total, count, gradient)), None

        zero = (jnp.zeros(()), jnp.zeros((), jnp.int32), jax.tree.map(jnp.zeros_like, params))
        return jax.lax.scan(add, zero, (parts, jnp.arange(number)))[0]

    def update(state: TrainState, batch: Batch | Sequence[Batch]) -> tuple[TrainState, Metrics]:
        batches = (batch,) if isinstance(batch, Batch) else batch
        losses, gradients = [], []
        for net, (weight, each) in enumerate(zip(weights, batches, strict=True)):
            key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), net)
            total, count, gradient = whole(state.params, each, key, net)
            share = weight / sum(weights) / jnp.maximum(count, 1)
            losses.append(total / jnp.maximum(count, 1))
            gradients.append(jax.tree.map(lambda g, share=share: share * g, gradient))
        gradient = jax.tree.map(lambda *parts: sum(parts[1:], start=parts[0]), *gradients)
        change, opt_state = transform.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, change)
        mean = sum(w * each for w, each in zip(weights, losses, strict=True)) / sum(weights)
        metrics = {"loss": mean, "gradient": optax.tree.norm(gradient)}
        if len(losses) > 1:
            metrics |= {f"loss_{net}": each for net, each in enumerate(losses)}
        return TrainState(params, opt_state, state.step + 1, state.key), metrics

    return update
