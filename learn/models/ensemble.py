"""Several models as one: members that are trained side by side, or one model's passes with dropout on.

What they say together is their mixture, each equally likely: probabilities and hazards are those of drawing a member
and then what it foretells, quantiles are the quantiles of that (a linear pool). Where members disagree it is wider than
their mean. Laws of counts are mixed as they are. Others are told by their quantiles: between and beyond those, normal
scores go on in straight lines, which is exact of normal laws. (Deep ensembles: Lakshminarayanan et al. 2017. Dropout at
prediction: Gal & Ghahramani 2016.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from scipy.special import ndtri

from learn.models import counts
from learn.models.heads import Told
from learn.tasks import Classify, Forecast, RemainingLife, States, Task
from learn.windows.batch import Batch

HALVINGS = 16  # of what members lie apart, in which a quantile of all lies
TINY = 1e-30  # width of a stretch in which a law jumps


class Ensemble(nnx.Module):
    """Members of one shape, their parameters stacked along a first axis."""

    def __init__(self, members: Sequence[Any]):
        graphdef = nnx.split(members[0])[0]
        self.net = nnx.merge(graphdef, stacked([nnx.split(member)[1] for member in members]))
        self.task = members[0].task

    def __call__(self, batch: Batch, key: jax.Array | None = None, last: bool = False) -> Any:
        graphdef, params = nnx.split(self.net)
        return mixed(self.task, jax.lax.map(lambda p: nnx.merge(graphdef, p)(batch, key, last), params))

    # What of a model is looked at from outside is alike in its members.
    shape = property(lambda self: self.net.shape)
    known = property(lambda self: self.net.known)
    marks = property(lambda self: self.net.marks)


class Sampled(nnx.Module):
    """A model asked several times, each time with other units dropped out."""

    def __init__(self, net: Any, passes: int, seed: int = 0):
        self.net, self.task, self.passes, self.seed = net, net.task, passes, seed

    def __call__(self, batch: Batch, key: jax.Array | None = None, last: bool = False) -> Any:
        keys = jax.random.split(jax.random.PRNGKey(self.seed), self.passes)
        return mixed(self.task, jax.lax.map(lambda one: self.net(batch, one, last), keys))


def stacked(trees: Sequence[Any]) -> Any:
    """Trees alike as one, each leaf with a first axis over them."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def first(tree: Any) -> Any:
    """The first of what `stacked` put together."""
    return jax.tree.map(lambda leaf: leaf[0], tree)


def side_by_side(step: Callable[..., Any], vectorised: bool) -> Callable[..., Any]:
    """*step* over a first axis of everything it takes: all at once, or one after another in the same program."""
    return jax.vmap(step) if vectorised else lambda *trees: jax.lax.map(lambda one: step(*one), trees)


def mixed(task: Task, outputs_M: Any) -> Any:
    """The outputs (as in `learn.models.heads`) of the mixture of M models, whose own lie along a first axis."""
    if isinstance(task, Forecast) and task.loss == "mse":
        return outputs_M.mean(0)
    if isinstance(task, Forecast) and task.loss == "counts":
        return counts.mixture(outputs_M)
    if isinstance(task, Forecast | RemainingLife):
        return mixture(outputs_M, np.asarray(task.quantiles))
    if isinstance(task, Classify):
        marks, log_p = outputs_M.marks_BxPxHxWxK, _mean_log(jax.nn.log_softmax(outputs_M.logits_BxPxC))
        if marks is not None:
            marks = _mean_log(jax.nn.log_sigmoid(marks)) - _mean_log(jax.nn.log_sigmoid(-marks))
        return Told(log_p, marks)
    if isinstance(task, States):
        return _mean_log(jax.nn.log_softmax(outputs_M))
    # Of those that reach a bin the members that foretold them less are fewer: bins are weighted by survival up to them.
    log_p = jax.nn.log_softmax(outputs_M)
    reached = jnp.cumsum(log_p[..., 0], axis=-1) - log_p[..., 0]
    return jax.nn.log_softmax(_mean_log(reached[..., None] + log_p))


def mixture(quantiles_MxQ: jax.Array, levels: np.ndarray) -> jax.Array:
    """Quantiles at *levels* of the mixture of M laws, told by theirs: (M, …, Q) → (…, Q).

    The mean of the members' distribution functions is inverted by bisection: a quantile of the mixture lies between the
    least and the greatest of theirs. Where all laws are alike it is any of them; a single level tells no more of a law
    than a point.
    """
    if len(levels) == 1:
        return jnp.quantile(quantiles_MxQ, levels[0], axis=0)
    level_Q = np.asarray(levels, np.float32)

    def halved(_: int, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        middle = (ends[0] + ends[1]) / 2
        short = share_below(middle, quantiles_MxQ, levels).mean(0) < level_Q
        return jnp.where(short, middle, ends[0]), jnp.where(short, ends[1], middle)

    low, high = jax.lax.fori_loop(0, HALVINGS, halved, (quantiles_MxQ.min(0), quantiles_MxQ.max(0)))
    return jax.lax.cummax((low + high) / 2, axis=low.ndim - 1)  # what is halved apart may cross by a last half


def share_below(x: jax.Array, quantiles: jax.Array, levels: np.ndarray) -> jax.Array:
    """The share of each law that lies below each *x*: (…, X) and (…, Q) → (…, X)."""
    score_Q = ndtri(np.asarray(levels, np.float64))
    score = score_Q[0]
    for i, rise in enumerate(np.diff(score_Q)):  # each stretch adds what of it lies below; the outer two have no end
        width = jnp.maximum(quantiles[..., i + 1] - quantiles[..., i], TINY)[..., None]
        ends = (-jnp.inf if i == 0 else 0.0, jnp.inf if i == len(score_Q) - 2 else 1.0)
        score = score + rise * jnp.clip((x - quantiles[..., i, None]) / width, *ends)
    return jax.scipy.special.ndtr(score)


def _mean_log(log_p_M: jax.Array) -> jax.Array:
    """The logarithm of the mean over the first axis."""
    return jax.nn.logsumexp(log_p_M, axis=0) - jnp.log(log_p_M.shape[0])
