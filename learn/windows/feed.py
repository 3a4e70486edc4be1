"""Windows that are cut while a model learns: from values on disk, or from sensors that are rendered when they are read.

A thread keeps some chunks of steps ahead of the device and counts how long that had to wait. Which windows a step sees
is said by `Order`, the same for windows in memory, so that where they come from changes no number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import jax
import numpy as np

from learn.tasks import Task
from learn.windows.ahead import Ahead
from learn.windows.batch import NOBODY, Scale, Windows, anchors, assembled
from learn.windows.gaps import hidden_of
from learn.windows.laid import Laid
from sim.errors import InputError
from twins.episode import Episode
from twins.executors.workers import spread

BESIDE = ("hour_ExL", "gap_ExL", "event_h_ExL", "cause_ExL")
ARRAYS = ("values_ExVxL", "marks_ExLxHxW")  # what takes all windows to tell


class Order:
    """Which windows each step sees: a permutation of all anchors for each epoch, drawn from (seed, epoch) alone.

    Epochs are counted from *first* on. So many anchors as are *together*, one after the other, stay so.
    """

    def __init__(self, anchors_Nx2: np.ndarray, batch: int, seed: int, first: int = 0, together: int = 1):
        self.anchors_Nx2, self.batch, self.seed, self.first, self.together = anchors_Nx2, batch, seed, first, together
        self._epoch, self._shuffled = -1, anchors_Nx2

    def __call__(self, step: int) -> np.ndarray:
        """The anchors of *step*, int32[batch, 2]."""
        epoch, within = divmod(step, len(self.anchors_Nx2) // self.batch)
        if epoch != self._epoch:
            rng = np.random.Generator(np.random.Philox(key=[self.seed, self.first + epoch]))
            blocks = rng.permutation(len(self.anchors_Nx2) // self.together)
            self._epoch, self._shuffled = epoch, self.anchors_Nx2[whole(blocks, self.together)]
        return self._shuffled[within * self.batch : (within + 1) * self.batch]


def whole(blocks_N: np.ndarray, together: int) -> np.ndarray:
    """The places of all that lie in blocks of so many."""
    return (blocks_N[:, None] * together + np.arange(together)).ravel()


@dataclass(frozen=True, eq=False)
class Feed:
    """The windows of a split, none of them in memory. What `Windows` says of itself it says too; what asks for arrays
    of all samples (`values_ExVxL` …) is given them, made anew each time."""

    laid: Laid
    scale: Scale

    @staticmethod
    def of(
        source: Any,
        split: str = "",
        context: int = 0,
        horizon: int | None = None,
        task: Task | None = None,
        scale: Scale | None = None,
    ) -> Feed:
        """As `Windows.of`, whose arrays `whole` gives. The values are read once to make the scale where none is given.

        Raises InputError for episodes with pictures or other frames, which are learned from in memory alone.
        """
        laid = Laid.read(source, split, context, horizon, task, scale, sensed=True)
        if any(one.frames for one in laid.each):
            raise InputError("episodes with frames, such as pictures, are not cut while learning; set feed.cut=false")
        return Feed(laid, scale or Scale.of(laid.seen, [_moments(laid, e) for e in range(len(laid.each))]))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("laid", "scale"):
            raise AttributeError(name)
        if name in BESIDE:
            return self.laid.beside(self.laid.rows, self.laid.length)[BESIDE.index(name)]
        if name in self._said:
            return self._said[name]
        if name not in ARRAYS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        return getattr(self.whole(), name)

    @cached_property
    def _said(self) -> dict[str, Any]:
        """What is asked for again and again and takes little room."""
        small = {name: getattr(self.laid, name) for name in ("role_ExV", "variate_mask_ExV")}
        about = self.laid.about(self.scale)
        ahead = self.laid.horizon if about["hides"] is not None else 0
        sizes = {"variates": len(self.scale.names), "seen_ahead": ahead, "together": 1}
        return about | small | sizes | {"frames": (), "hidden_ExVxH": None}

    def whole(self, count: int | None = None) -> Windows:
        """All windows in memory; or those of at most *count* episodes, evenly over all of them."""
        laid = self.laid
        if count is not None:
            at = np.linspace(0, len(laid.each) - 1, min(count, len(laid.each))).round().astype(int).tolist()
            each, first, last = ([of[e] for e in at] for of in (laid.each, laid.first, laid.last))
            laid = replace(laid, each=each, first=tuple(first), last=tuple(last))
        return assembled(laid, self.scale)

    @cached_property
    def at_risk(self) -> Sequence[np.ndarray]:
        """As of `Windows`, but each episode as long as it is."""
        return [self.laid.at_risk(e) for e in range(len(self.laid.each))]

    def cut(self, anchors_Bx2: np.ndarray) -> Windows:
        """Just the windows at *anchors_Bx2*, on the host: what `batch.taken` gives of the whole, bit for bit."""
        laid, late = self.laid, self.seen_ahead
        places = [(e, k - laid.context) for e, k in np.asarray(anchors_Bx2).tolist()]
        values = laid.values(places, laid.context + laid.horizon)
        beside = laid.beside([(e, low + late) for e, low in places], laid.context + laid.horizon - late)
        self.scale.onto(values)
        e_B = np.asarray(anchors_Bx2)[:, 0]
        arrays: Any = (values, *beside, self.role_ExV[e_B], self.variate_mask_ExV[e_B])
        return Windows(*arrays, **laid.about(self.scale) | NOBODY, hidden_ExVxH=hidden_of(self, anchors_Bx2))

    def steps(self, asked: Asked) -> Steps:
        """What each step of training sees."""
        found = anchors(self, asked.stride)
        batch = asked.batch(len(found))
        mine, orders = asked.rows(batch), [Order(found, batch, seed) for seed in asked.seeds]
        return Steps(lambda step: [self.cut(order(step)[mine]) for order in orders], batch)


class Asked(NamedTuple):
    """What training asks of windows that are cut for it."""

    stride: int  # between their anchors
    batch: Callable[[int], int]  # windows a step where there are so many
    seeds: Sequence[int]  # of their order, one for each member of an ensemble
    rows: Callable[[int], slice]  # which of the windows of a step this process needs
    steps: range  # those that are still to be taken


@dataclass(frozen=True)
class Steps:
    """Windows by step, for each of the seeds, and how many a step sees, all processes together."""

    at: Callable[[int], list[Windows]]
    batch: int
    close: Callable[[], None] = lambda: None

    def __call__(self, steps: Sequence[int]) -> Windows:
        """The windows of *steps*, stacked; of several seeds along a second axis."""
        each = zip(*map(self.at, steps), strict=True)
        return together([jax.tree.map(lambda *arrays: np.stack(arrays), *windows) for windows in each])


def together(each: Sequence[Any]) -> Any:
    """What members of an ensemble see, along an axis after that of the steps; of one what it sees."""
    return each[0] if len(each) == 1 else jax.tree.map(lambda *leaves: np.stack(leaves, axis=1), *each)


@dataclass(frozen=True, eq=False)
class FreshFeed:
    """Windows of world runs that are simulated while a model learns from those before them.

    Steps p · every … (p + 1) · every − 1 see the runs p · runs … of *observe*, which depend on their numbers alone, in
    an order drawn from (seed, p). So the k-th step sees the same windows however fast anything is, and a run that was
    stopped goes on with just the runs that it still needs. In store are two pools of runs at most, and a run a worker.
    All else that windows say of themselves is said by *like*, those of the training split.
    """

    like: Any  # Feed or Windows
    task: Task | None
    observe: Callable[[int], Sequence[Episode]]  # the episodes of a run; picklable where there are several workers
    runs: int  # in a pool
    every: int  # steps that a pool is learned from
    workers: int = 1

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "like":
            raise AttributeError(name)
        return getattr(self.like, name)

    def steps(self, asked: Asked) -> Steps:
        """What each step of training sees; workers simulate until it is closed."""
        batch = asked.batch(2**31)
        mine = asked.rows(batch)
        first = asked.steps.start // self.every
        pools = Ahead(lambda pool: pool, self._pools(first, -(-asked.steps.stop // self.every)), 1)
        now: list[Any] = [first - 1, None, []]  # the pool in use, and its orders

        def at(step: int) -> list[Windows]:
            pool, within = divmod(step, self.every)
            while now[0] < pool:
                feed = pools.next()
                found = anchors(feed, asked.stride)
                if len(found) < batch:
                    raise InputError(
                        f"{self.runs} fresh runs hold {len(found)} windows, fewer than a batch of {batch}; raise "
                        "feed.fresh_runs"
                    )
                orders = [Order(found, batch, seed, (now[0] + 1) << 32) for seed in asked.seeds]
                now[:] = now[0] + 1, feed, orders
            return [now[1].cut(order(within)[mine]) for order in now[2]]

        return Steps(at, batch, pools.__enter__().close)

    def _pools(self, first: int, last: int) -> Iterator[Feed]:
        tasks = range(first * self.runs, last * self.runs)
        with closing(spread(self.observe, tasks, self.workers)) as made:
            done: dict[int, Sequence[Episode]] = {}
            for pool in range(last - first):
                wanted = range(pool * self.runs, (pool + 1) * self.runs)
                while any(i not in done for i in wanted):
                    i, episodes = next(made)
                    done[i] = episodes
                yield self._feed([episode for i in wanted for episode in done.pop(i)])

    def _feed(self, episodes: Sequence[Episode]) -> Feed:
        like = self.like
        laid = Laid.of(episodes, (-np.inf, np.inf), like.context, like.horizon, self.task, like.scale)
        if str(laid.each[0].step_h) != str(like.step_h):
            raise InputError(f"fresh runs are sampled every {laid.each[0].step_h} h, the others every {like.step_h} h")
        return Feed(laid, like.scale)


def _moments(laid: Laid, e: int) -> np.ndarray:
    return laid.moments(e, laid.values([(e, 0)], laid.each[e].length)[0], 0)
