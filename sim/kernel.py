"""The restartable kernel: a SimPy environment whose events lie at absolute times and are ordered among equals by rank.

A world keeps every fact in its state: phases, absolute deadlines, queues. To run is to open a kernel at the state's
time, schedule each entity's deadline again, and step until `until_h`. Three habits keep any split exact:

- a deadline is an absolute time, never a delay, so nothing is re-based and nothing rounds;
- simultaneous events are ordered by a rank that is unique to the entity, never by when they were scheduled;
- what is due at `until_h` itself is left for the next run.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

import simpy

FIRST_RANK = 2  # SimPy keeps priorities 0 (urgent) and 1 (normal)


class Deadline(simpy.Event):
    """The one pending deadline of an entity. `Kernel.run_to` calls `due` with this event when `time_h` comes."""

    def __init__(self, kernel: Kernel, rank: int, due: Callable[[Deadline], object]):
        self.env: Kernel = kernel
        self.callbacks, self._ok, self._value = [], True, None
        self.time_h = math.inf
        self.due = due
        self._rank, self._queue, self._eid = FIRST_RANK + rank, kernel._queue, kernel._eid

    def set(self, time_h: float) -> None:
        """Move the deadline to *time_h*; infinity calls it off."""
        self.time_h = time_h
        if time_h < math.inf:
            # The queue is keyed by (time, priority, id): pushing the absolute time keeps `now + delay` from rounding.
            heappush(self._queue, (time_h, self._rank, next(self._eid), self))


class Kernel(simpy.Environment):
    """A SimPy environment that starts at a state's time and schedules at absolute times."""

    _queue: list

    def __init__(self, now_h: float):
        # simpy.Environment's own __init__ binds its event classes early, which costs more than a short run.
        self._now, self._queue, self._eid, self._active_proc = now_h, [], count(), None

    def deadline(self, rank: int, due: Callable[[Deadline], object], time_h: float = math.inf) -> Deadline:
        """A deadline that can be set again and again; entities of a lower *rank* come first at equal times."""
        deadline = Deadline(self, rank, due)
        deadline.set(time_h)
        return deadline

    def at(self, time_h: float, rank: int, callback: Callable[[Deadline], object]) -> Deadline:
        """Call *callback* with the returned deadline at *time_h*, before events of a higher rank at the same time."""
        return self.deadline(rank, callback, time_h)

    def run_to(self, until_h: float) -> None:
        """Process every event before *until_h*, and none at it. Other SimPy events may lie among the deadlines."""
        queue = self._queue
        while queue and queue[0][0] < until_h:
            event = queue[0][3]
            if type(event) is not Deadline:
                self.step()
                continue
            now_h = heappop(queue)[0]
            if event.time_h == now_h:  # else it has been moved since
                self._now = now_h
                event.time_h = math.inf
                event.due(event)
