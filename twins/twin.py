"""The protocol every twin keeps: a world, the channels through which it is seen, and the episodes that they give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from sim.trace import Run, Trace
from sim.world import World
from twins.channel import Channel
from twins.episode import Episode


class Twin(Protocol):
    """Implementations are frozen dataclasses of their configuration; that, with both revisions, names a dataset.

    A twin whose world has maintenance policies may add `hold(asset) -> action | None`: the action that lets an asset
    run to failure, for the oracle. Failures are events of the kind "failure" with the asset as entity.

    A twin whose assets can be maintained from outside (`twins.control.environment`) adds `assets`, their names,
    `maintain(asset) -> action`, which orders planned work, perhaps `reach(asset, truth)`, the highest level of a hidden
    truth that is seen of a unit before it fails, and, where parts are made, `made(trace) -> (parts, lost)` of
    one stretch. Planned work is an event "planned" of the asset, the end of any work a "renewal".

    A twin whose plans of action can be tried from a moment on is a `twins.futures.plans.Choosing`.

    A twin whose stock can be ordered from outside adds `stores`, their names, `order(store, units) -> action`,
    `suspend(store) -> action`, which stops the policy inside, and `spent(trace) -> float`, what stock has cost in one
    stretch.
    """

    @property
    def world(self) -> World: ...

    @property
    def revision(self) -> int:
        """Raised whenever the same trace would give another episode."""
        ...

    @property
    def channels(self) -> Sequence[Channel]: ...

    def observe(self, run: Run) -> Iterable[Episode]:
        """The episodes of a run that began at 0 h: every channel over the whole of it, labels, static facts, truth."""
        ...

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        """Samples start … start+count−1 of a channel, float32[count]; that window of the whole, bit for bit."""
        ...
