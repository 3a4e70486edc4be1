"""Floating-point operations of one update of a model: as XLA counts them, and by formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from learn.models.ensemble import Ensemble, first
from learn.tasks import Forecast, Task
from learn.training.checkpoint import flat
from learn.training.update import Optim, make_update, split, start
from learn.windows.batch import Batch, Windows, anchors, batch_of, gather

if TYPE_CHECKING:
    from learn.training.fit import Budget


class Work(NamedTuple):
    """Floating-point operations of one update, over all devices."""

    xla: float  # as XLA counts the program before it is cut up, a loop over time once; NaN where it cannot
    analytic: float | None  # 6 a weight and token, and attention; None of models of which no formula is known

    @property
    def most(self) -> float:
        """Whichever is more, since a formula leaves out what is no product; 0 where neither can tell."""
        return float(np.nanmax((self.xla, self.analytic or 0.0, 0.0)))

    @staticmethod
    def of(model: Any, transform: optax.GradientTransformation, batch: Batch) -> Work:
        """Of an update of *model* by *batch*, which may both be mere shapes; of an ensemble, of one member."""
        graphdef, params = split(model)
        params = first(params) if isinstance(model, Ensemble) else params
        state = jax.eval_shape(lambda p: start(p, transform), params)
        counted = flops(make_update(graphdef, transform), state, batch)
        return Work(counted, analytic(getattr(model, "shape", None), model.task, params, batch))

    @staticmethod
    def of_training(model: Any, optim: Optim, budget: Budget, train: Any) -> Work:
        """Of an update of `learn.training.fit.fit` on `Windows`, or what cuts them."""
        like = getattr(train, "like", train)  # of fresh runs
        count = budget.windows(len(anchors(like, budget.stride)))
        return Work.of(model, optim.transform(budget.steps), shapes(like, count))


def shapes(windows: Any, count: int) -> Any:
    """The shapes of a `Batch` of so many of the *windows*, which may be mere shapes or a feed."""
    if isinstance(windows, Windows):
        return jax.eval_shape(gather, windows, jax.ShapeDtypeStruct((count, 2), jnp.int32))
    one = windows.cut(anchors(windows)[:1])
    return jax.eval_shape(batch_of, jax.tree.map(lambda a: jax.ShapeDtypeStruct((count, *a.shape[1:]), a.dtype), one))


def flops(function: Callable[..., Any], *args: Any, **kwargs: Any) -> float:
    """Floating-point operations of one call, as XLA counts them in the program it is given; NaN where it cannot.

    A loop's body counts once whatever its length, so ask about one update and multiply by the steps.
    """
    analysis = jax.jit(function).lower(*args, **kwargs).cost_analysis()
    return float((analysis or {}).get("flops", float("nan")))


def tokens(shape: Any, batch: Batch) -> int:
    """Patches of a batch, of all channels."""
    windows, variates, context = batch.x_BxVxT.shape
    return windows * (context // shape.patch * (1 if shape.join else variates) if hasattr(shape, "patch") else 1)


def analytic(shape: Any, task: Task, params: Any, batch: Batch) -> float | None:
    """6 operations a weight and token (Kaplan et al. 2020), 12 a feature and pair of tokens that attention compares.

    Forward is a third of it, and is done twice where a block's activations are made again, but for its last product,
    whose result no gradient asks for. Embeddings are looked up, and cost nothing.
    """
    if not hasattr(shape, "patch"):
        return None
    windows, _, context = batch.x_BxVxT.shape
    patches, all_tokens = context // shape.patch, tokens(shape, batch)
    once = ("from_time", "from_gap") if isinstance(task, Forecast) else ("from_time", "from_gap", "head")
    total = 0.0
    for name, leaf in flat(params).items():
        if "kernel" in name:
            forward = 2.0 * leaf.size * (windows * patches if any(part in name for part in once) else all_tokens)
            if "qkv" in name:
                compared = patches if "time" in name else all_tokens // (windows * patches)
                forward += 4.0 * leaf.shape[-1] / 3 * all_tokens * compared
            again = shape.remat and "blocks" in name and "down" not in name
            total += forward * (4 if again else 3)
    return total
