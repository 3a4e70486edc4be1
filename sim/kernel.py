"""The restartable kernel: a SimPy environment whose events lie at absolute times and are ordered among equals by rank.

A world keeps every fact in its state: phases, absolute deadlines, queues. To run is to open a kernel at the state's
time, schedule each entity's deadline again, and step until `until_h`. Three habits keep any split exact:

- a deadline is an absolute time, never a delay, so nothing is re-based and nothing rounds;
- simultaneous events are ordered by a rank that is unique to the entity, never by when they were scheduled;
- what is due at `until_h` itself is left for the next run.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush

import simpy

FIRST_RANK = 2  # SimPy keeps priorities 0 (urgent) and 1 (normal)


class Kernel(simpy.Environment):
    """A SimPy environment that starts at a state's time and schedules at absolute times."""

    def at(self, time_h: float, rank: int, callback: Callable[[simpy.Event], None]) -> simpy.Event:
        """Call *callback* with the returned event at *time_h*, before events of a higher rank at the same time.

        To cancel or move a deadline, keep the event and let the callback ignore any other.
        """
        event = simpy.Event(self)
        event._ok, event._value = True, None
        event.callbacks = [callback]
        # The queue is keyed by (time, priority, id): pushing the absolute time itself keeps `now + delay` from rounding.
        heappush(self._queue, (time_h, FIRST_RANK + rank, next(self._eid), event))
        return event

    def run_to(self, until_h: float) -> None:
        """Process every event before *until_h*, and none at it."""
        queue = self._queue
        while queue and queue[0][0] < until_h:
            self.step()
