"""Windows that are cut while a model learns: from values on disk, or from sensors that are rendered when they are read.

A thread keeps some chunks of steps ahead of the device and counts how long that had to wait. Which windows a step sees
is said by `Order`, the same for windows in memory, so that where they come from changes no number.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, TypeVar

import jax
import numpy as np

from learn.batch import NOBODY, Scale, Windows, allowed
from learn.laid import Laid
from learn.tasks import Task
from sim.errors import InputError
from twins.episode import Episode

Item = TypeVar("Item")
Made = TypeVar("Made")
POLL_S = 1e-3


class Order:
    """Which windows each step sees: a permutation of all anchors for each epoch, drawn from (seed, epoch) alone."""

    def __init__(self, anchors_Nx2: np.ndarray, batch: int, seed: int):
        self.anchors_Nx2, self.batch, self.seed = anchors_Nx2, batch, seed
        self._epoch, self._shuffled = -1, anchors_Nx2

    def __call__(self, step: int) -> np.ndarray:
        """The anchors of *step*, int32[batch, 2]."""
        epoch, within = divmod(step, len(self.anchors_Nx2) // self.batch)
        if epoch != self._epoch:
            rng = np.random.Generator(np.random.Philox(key=[self.seed, epoch]))
            self._epoch, self._shuffled = epoch, self.anchors_Nx2[rng.permutation(len(self.anchors_Nx2))]
        return self._shuffled[within * self.batch : (within + 1) * self.batch]


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
        span = source.span(split) if hasattr(source, "span") else (-np.inf, np.inf)
        read = getattr(source, "sensed", None) or getattr(source, "episodes", None)
        episodes = list(read(split) if read else source)
        if not episodes:
            raise InputError(f"the split {split!r} holds no episode; give its plan at least one run")
        if horizon is None:
            horizon = task.samples_ahead if task is not None else 0
        laid = Laid.of(episodes, span, context, horizon, task, scale)
        if any(one.frames for one in laid.each):
            raise InputError("episodes with frames, such as pictures, are not cut while learning; set feed.cut=false")
        return Feed(laid, scale or Scale.of(laid.seen, [_moments(laid, e) for e in range(len(laid.each))]))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = self._said.get(name, _Unsaid)
        return getattr(self.whole(), name) if found is _Unsaid else found

    @cached_property
    def _said(self) -> dict[str, Any]:
        """What is asked for again and again and takes little room."""
        small = {name: getattr(self.laid, name) for name in ("role_ExV", "variate_mask_ExV")}
        return self.laid.about(self.scale) | small | {"variates": len(self.scale.names), "frames": ()}

    def whole(self, count: int | None = None) -> Windows:
        """All windows in memory; or those of at most *count* episodes, evenly over all of them."""
        laid = self.laid
        at = np.arange(len(laid.each)) if count is None else _even(len(laid.each), count)
        episodes = [laid.each[e].episode for e in at]
        windows = Windows.of(_Split(episodes, laid.span), "", laid.context, laid.horizon, laid.task, self.scale)
        return windows

    def anchors(self, stride: int = 1) -> np.ndarray:
        """As `learn.batch.anchors`."""
        events = any(self.laid.at_risk(e).any() for e in range(len(self.laid.each)))

        def risk(e: int, k: np.ndarray) -> np.ndarray:
            return self.laid.at_risk(e)[k - 1]

        return allowed(self, stride, risk if events else None)

    def cut(self, anchors_Bx2: np.ndarray) -> Windows:
        """Just the windows at *anchors_Bx2*, on the host: what `learn.batch.taken` gives of the whole, bit for bit."""
        laid = self.laid
        values, *beside = laid.empty(len(anchors_Bx2), laid.context + laid.horizon)
        beside = [array[:, : laid.context].copy() for array in beside]
        for i, (e, k) in enumerate(np.asarray(anchors_Bx2).tolist()):
            laid.fill(e, k - laid.context, values[i], *(array[i] for array in beside))
        self.scale.onto(values)
        e_B = np.asarray(anchors_Bx2)[:, 0]
        arrays: Any = (values, *beside, self.role_ExV[e_B], self.variate_mask_ExV[e_B])
        return Windows(*arrays, **laid.about(self.scale) | NOBODY)

    def steps(self, stride: int, batch: Callable[[int], int], seed: int, rows: Callable[[int], slice]) -> Steps:
        """What each step of training sees; of the *batch*, so large where there are so many windows, just the *rows*
        that this process holds."""
        found = self.anchors(stride)
        order = Order(found, batch(len(found)), seed)
        mine = rows(order.batch)
        return Steps(lambda step: self.cut(order(step)[mine]), order.batch)


@dataclass(frozen=True)
class Steps:
    """Windows by step, and how many a step sees, all processes together."""

    at: Callable[[int], Windows]
    batch: int

    def __call__(self, steps: Sequence[int]) -> Windows:
        """The windows of *steps*, stacked."""
        return jax.tree.map(lambda *arrays: np.stack(arrays), *map(self.at, steps))


@dataclass(frozen=True)
class _Split:
    listed: list[Episode]
    limits: tuple[float, float]

    def episodes(self, split: str) -> list[Episode]:
        return self.listed

    def span(self, split: str) -> tuple[float, float]:
        return self.limits


class _Unsaid:
    pass


class Ahead(Generic[Item, Made]):
    """What *make* makes of *items*, one after the other, in a thread that keeps up to *ahead* of them in store.

    `waited_s` is how long `next` had nothing to give while there was nothing else to do. What goes wrong in the
    thread is raised by `next`.
    """

    def __init__(self, make: Callable[[Item], Made], items: Iterable[Item], ahead: int = 2):
        self.waited_s = 0.0
        self._store: queue.Queue = queue.Queue(ahead)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(make, items), daemon=True)

    def __enter__(self) -> Ahead[Item, Made]:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    def next(self, busy: Callable[[], bool] = lambda: False) -> Made:
        """The next one; as long as *busy*, waiting costs nothing."""
        began = None
        while True:
            if began is None and not busy():
                began = time.perf_counter()
            try:
                good, made = self._store.get(timeout=POLL_S if began is None else None)
            except queue.Empty:
                continue
            if began is not None:
                self.waited_s += time.perf_counter() - began
            if not good:
                raise made
            return made

    def _work(self, make: Callable[[Item], Made], items: Iterable[Item]) -> None:
        try:
            for item in items:
                if not self._put((True, make(item))):
                    return
        except BaseException as error:
            self._put((False, error))

    def _put(self, answer: Any) -> bool:
        while not self._over.is_set():
            try:
                self._store.put(answer, timeout=0.05)
                return True
            except queue.Full:
                pass
        return False


def _moments(laid: Laid, e: int) -> np.ndarray:
    values = np.full((len(laid.names), laid.each[e].length), np.nan, np.float32)
    laid.each[e].fill(values, laid.names, 0)
    return laid.moments(e, values, 0)


def _even(of: int, count: int) -> np.ndarray:
    return np.linspace(0, of - 1, min(count, of)).round().astype(int)
