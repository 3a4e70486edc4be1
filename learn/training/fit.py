"""The training loop: chunks of many steps in one `lax.scan`, metrics fetched a chunk late, exact resume.

Everything that follows from the step is derived from it: the position in the data, dropout, the learning rate. So a run
that was killed and started again ends with the same parameters and the same rows of metrics.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from learn.models.ensemble import Ensemble, side_by_side
from learn.training.joint import Part, nets
from learn.training.journal import Journal, Row, at
from learn.training.losses import loss
from learn.training.sharding import Mesh, deal, everywhere, gathered, held, home, place, rows
from learn.training.update import Optim, TrainState, make_update, split, start, told
from learn.windows.ahead import Ahead
from learn.windows.batch import Windows, anchors, batch_of, gather
from learn.windows.feed import Asked, Order, together, whole
from sim.errors import InputError, require

VALIDATION_CHUNK = 64


@dataclass(frozen=True)
class Budget:
    """How long to train, counted in steps, so that the same command gives the same model on any machine."""

    steps: int = 300  # 0: the parameters that it begins with
    batch: int = 64
    microbatch: int | None = None  # windows whose gradient is computed at once
    chunk: int = 25  # steps from one row of metrics to the next; lowered to a divisor of validate_every and steps
    validate_every: int = 50
    validation_windows: int = 1024
    patience: int | None = None  # validations without a better one after which training ends; None: all steps are taken
    stride: int = 1  # between the anchors of training windows
    seed: int = 0
    members: int = 1  # of an ensemble; each is what a run alone would be with its own seed, seed, seed + 1, …
    vectorised: bool | None = None  # members all at once; null: unless on CPUs, where one after another is faster

    def __post_init__(self):
        require(self.steps >= 0, self, "steps", "at least 0")
        for field in ("batch", "chunk", "validate_every", "validation_windows", "stride", "members"):
            require(getattr(self, field) >= 1, self, field, "at least 1")
        ends = self.patience is None or (self.patience >= 1 and self.members == 1)
        require(ends, self, "patience", "null, or at least 1 of a single member")
        fits = self.microbatch is None or (self.microbatch >= 1 and self.batch % self.microbatch == 0)
        require(fits, self, "microbatch", f"null, or a divisor of the batch {self.batch}")

    def windows(self, count: int, parts: int = 1) -> int:
        """Windows an update where there are *count*: the batch, or what of it there is in whole microbatches.

        Of several *parts* that are learned together each has its share of the batch.
        """
        size = min(max(self.batch // parts, 1), count)
        return size if self.microbatch is None or size <= self.microbatch else size - size % self.microbatch

    @property
    def steps_per_chunk(self) -> int:
        common = math.gcd(self.steps, self.validate_every)
        return max(d for d in range(1, min(self.chunk, common) + 1) if common % d == 0)


class Best(NamedTuple):
    """Parameters of the lowest validation loss so far; of each member of an ensemble its own."""

    params: Any
    score: jax.Array
    step: jax.Array


class Fitted(NamedTuple):
    """What a run ends with. `best` holds the last parameters where nothing was validated."""

    state: TrainState
    best: Best
    rows: list[Row]
    seconds: float  # of this call
    waited_s: float = 0.0  # of them those in which the device had nothing to do for want of data

    @property
    def params(self) -> Any:
        return self.best.params


@lru_cache(maxsize=8)
def programs(
    graphdef: Any,
    optim: Optim,
    steps: int,
    microbatch: int | None,
    weights: tuple[float, ...] = (1.0,),
    mesh: Mesh | None = None,
    vectorised: bool | None = None,
) -> tuple[Callable, Callable]:
    """The compiled chunk of training steps, and the validation that keeps the best; made once for equal models.

    Both take tuples with an entry for each net that the model is made of: windows, and the anchors that are picked from
    them; where windows are None, those of each step stand in place of its anchors. Where *vectorised* is not None there
    is an ensemble of states, whose members go all at once, or one after another. The state that a chunk is given is
    gone when it is done: the next one lies in its place.
    """
    update = make_update(graphdef, optim.transform(steps), microbatch, weights)

    @partial(jax.jit, donate_argnames="state")
    def train(windows: tuple[Windows | None, ...], state: TrainState, picked: tuple[Any, ...]) -> tuple[Any, dict]:
        def one(state: TrainState, picked: tuple[Any, ...]) -> tuple[TrainState, dict]:
            batches = (batch_of(p) if w is None else gather(w, p) for w, p in zip(windows, picked, strict=True))
            return update(state, tuple(batches))

        def step(state: TrainState, picked: tuple[Any, ...]) -> tuple[TrainState, dict]:
            if vectorised is None:
                state, metrics = one(state, picked)
            else:
                state, metrics = side_by_side(one, vectorised)(state, picked)
                metrics = {name: each.mean() for name, each in metrics.items()}
            return held(state, mesh), metrics

        state, metrics = jax.lax.scan(step, state, picked)
        return held(state, mesh), metrics  # as it came, or the next chunk would have to be compiled for it

    @jax.jit
    def validate(
        windows: tuple[Windows, ...], state: TrainState, best: Best, anchors: tuple[jax.Array, ...]
    ) -> tuple[Best, jax.Array]:
        def mean(net: Any, windows: Windows, anchors_CxBx2: jax.Array) -> jax.Array:
            def one(anchors_Bx2: jax.Array) -> tuple[jax.Array, jax.Array]:
                batch = gather(windows, anchors_Bx2)
                return loss(net.task, net(batch, last=True), batch)

            total, count = jax.lax.map(one, anchors_CxBx2)
            return total.sum() / jnp.maximum(count.sum(), 1)

        def one(state: TrainState, best: Best) -> tuple[Best, jax.Array]:
            params = told(state)
            each = list(map(mean, nets(nnx.merge(graphdef, params)), windows, anchors))
            score = jnp.dot(jnp.asarray(weights), jnp.stack(each)) / sum(weights)
            new = Best(params, score, state.step)
            return jax.tree.map(lambda a, b: jnp.where(score < best.score, a, b), new, best), score

        if vectorised is None:
            return one(state, best)
        best, scores = side_by_side(one, vectorised)(state, best)
        return best, scores.mean()

    return train, validate


def _spread(windows: Any, count: int) -> tuple[Windows, np.ndarray]:
    """About *count* anchors, evenly over all windows, in chunks of one size: int32[C, B, 2]; and what they pick from,
    just those windows where not all of them are in memory."""
    anchors_Nx2 = anchors(windows)
    together = windows.together if isinstance(windows, Windows) else 1
    blocks = len(anchors_Nx2) // together
    count = max(min(count // together, blocks), 1)
    size = min(VALIDATION_CHUNK // together, count)
    pick = np.linspace(0, blocks - 1, count // size * size).round().astype(int)
    picked, size = anchors_Nx2[whole(pick, together)], size * together
    if not isinstance(windows, Windows):
        windows = jax.tree.map(jnp.asarray, windows.cut(picked))
        picked = np.stack((np.arange(len(picked)), np.zeros(len(picked))), axis=1).astype(np.int32)
    return windows, picked.reshape(-1, size, 2)


def _steps(
    part: Part, budget: Budget, parts: int, mesh: Mesh | None, left: range, stack: ExitStack
) -> tuple[Windows | None, Callable[[Sequence[int]], Any]]:
    """The windows that the steps of a part pick from, where they are in memory; and what some steps pick, or see.

    Members of an ensemble, each with an order of its own, lie along an axis after that of the steps.
    """
    seeds, lead = range(budget.seed, budget.seed + budget.members), 1 + (budget.members > 1)

    def size(count: int) -> int:
        return budget.windows(count, parts)

    if isinstance(part.train, Windows):
        found = anchors(part.train, part.stride)
        block = part.train.together
        if budget.microbatch is not None and budget.microbatch % block:
            raise InputError(f"fit.microbatch is {budget.microbatch}; batches hold pairs, so it must be even, or null")
        batch = size(len(found))
        orders = [Order(found, batch - batch % block, seed, together=block) for seed in seeds]

        def picked(steps: Sequence[int]) -> Any:
            return deal(together([np.stack([order(step) for step in steps]) for order in orders]), mesh, lead)

        return part.train, picked
    seen = part.train.steps(Asked(part.stride, size, seeds, lambda batch: rows(batch, mesh), left))
    stack.callback(seen.close)
    return None, lambda steps: gathered(seen(steps), seen.batch, mesh, lead)


def fit(
    model: Any,
    train: Windows,
    validation: Windows | None,
    optim: Optim,
    budget: Budget,
    directory: Path | str | None = None,
    progress: Callable[[Row], None] | None = None,
    mesh: Mesh | None = None,
) -> Fitted:
    """Train *model*, or go on where a run in *directory* stopped; rows go to its metrics.jsonl and to *progress*.

    On a *mesh* of devices the same steps are taken by all of them; a run may go on on another one.
    Raises Diverged at a loss that is no number, and InputError for a corrupt checkpoint or one of another run.
    """
    return fit_together(model, [Part(train, validation, budget.stride)], optim, budget, directory, progress, mesh)


def fit_together(
    model: Any,
    parts: Sequence[Part],
    optim: Optim,
    budget: Budget,
    directory: Path | str | None = None,
    progress: Callable[[Row], None] | None = None,
    mesh: Mesh | None = None,
) -> Fitted:
    """As `fit`, of the nets of a `learn.training.joint.Joint`, each from its own part of the data: `Windows`, or a
    `learn.windows.feed.Feed` or `FreshFeed`, which a thread reads ahead of the device.

    The best parameters are those of the lowest mean of the validation losses, by the parts' weights.
    """
    began = time.perf_counter()
    graphdef, params = split(model)
    weights = tuple(part.weight for part in parts)
    many = isinstance(model, Ensemble)
    if many != (budget.members > 1):
        raise InputError(f"fit.members is {budget.members}; presets that learn together, and models alone, have 1")
    at_once = (jax.default_backend() != "cpu" if budget.vectorised is None else budget.vectorised) if many else None
    run_chunk, run_validation = programs(graphdef, optim, budget.steps, budget.microbatch, weights, mesh, at_once)
    judges = [_spread(part.validation, budget.validation_windows) for part in parts if part.validation is not None]
    judges = everywhere(tuple(zip(*judges, strict=True)), mesh) if len(judges) == len(parts) else None
    transform, seed = optim.transform(budget.steps), budget.seed
    if many:
        state = jax.vmap(lambda p, s: start(p, transform, s))(params, seed + jnp.arange(budget.members))
    else:
        state = start(params, transform, seed)
    best = Best(params, jnp.full(state.step.shape, jnp.inf, jnp.float32), state.step)
    journal = Journal(Path(directory) if directory is not None else None, f"{optim} {budget}", progress)
    state, best = journal.resume(state, best)
    state, best = place((own(state), best), mesh)

    pending: tuple[int, dict, Any, Any] | None = None

    def busy() -> bool:
        return pending is not None and not (pending[1]["loss"] if pending[2] is None else pending[2]).is_ready()

    size = budget.steps_per_chunk
    firsts = range(at(state), budget.steps, size)
    with ExitStack() as stack:
        left = range(at(state), budget.steps)
        sources = [_steps(part, budget, len(parts), mesh, left, stack) for part in parts]
        trains = everywhere(tuple(windows for windows, _ in sources), mesh)
        picks = Ahead(lambda first: tuple(pick(range(first, first + size)) for _, pick in sources), firsts)
        stack.enter_context(picks)
        for first in firsts:
            if budget.patience is not None:
                if pending is not None:
                    journal.settle(*pending)  # at once, so that a run that is taken up here ends where this one does
                    pending = None
                if journal.stale(budget.patience):
                    break
            state, metrics = run_chunk(trains, state, picks.next(busy))
            due = (first + size) % budget.validate_every == 0
            score = None
            if judges is not None and due:
                best, score = run_validation(judges[0], state, best, judges[1])
            if pending is not None:
                journal.settle(*pending)
            kept = None
            if directory is not None and (due or first + size == budget.steps):  # fetched before the state is gone
                kept = jax.device_get(home((state, best), mesh) if jax.process_count() > 1 else (state, best))
            pending = (first, metrics, score, kept)
    if pending is not None:
        journal.settle(*pending)
    if judges is None or not np.isfinite(best.score).all():
        best = Best(told(state), best.score, state.step)
    state, best = jax.block_until_ready(home((state, best), mesh))
    return Fitted(state, best, journal.rows, time.perf_counter() - began, picks.waited_s)


def own(state: TrainState) -> TrainState:
    """A copy that a chunk may take over: the parameters that a state begins with are the model's."""
    return jax.tree.map(jnp.copy, state)


def host_overhead(model: Any, windows: Windows, optim: Optim, budget: Budget) -> float:
    """Share of a step of `fit`, with rows and checkpoints written, that the bare compiled scan does not need."""
    graphdef, params = split(model)
    run_chunk, _ = programs(graphdef, optim, budget.steps, budget.microbatch)
    found, size = anchors(windows, budget.stride), budget.steps_per_chunk
    order = Order(found, budget.windows(len(found)), budget.seed)
    picked = (jnp.asarray(np.stack([order(step) for step in range(size)])),)
    state = start(params, optim.transform(budget.steps), budget.seed)
    jax.block_until_ready(run_chunk((windows,), own(state), picked))
    bare, whole = [], []
    for _ in range(3):
        now = own(state)
        began = time.perf_counter()
        for _ in range(budget.steps // size):
            now, _ = run_chunk((windows,), now, picked)
        jax.block_until_ready(now)
        bare.append(time.perf_counter() - began)
        with tempfile.TemporaryDirectory() as directory:
            whole.append(fit(model, windows, None, optim, budget, directory).seconds)
    return max(0.0, 1 - min(bare) / min(whole))
