"""Who does the work, in one interface: processes here (`workers.Local`) or a cluster (`cluster.Ray`).

Whoever does it, a bounded number of tasks is on its way, a task whose worker is lost is done again by another, and one
that fails three times ends the work.
"""

from __future__ import annotations

import pickle
import platform
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, TypeVar

from sim.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")
TIMES = 3  # that a task may fail
LATER = 8  # tasks that come before one that has failed, so that one mishap does not hit it thrice
Told = Callable[[int, str], None]  # a task's index, and why it is done again


class Executor(Protocol):
    """Does tasks that do not depend on one another, in any order, on any of its workers, none of which knows JAX."""

    @property
    def mixed(self) -> bool:
        """Whether workers may work whose arithmetic differs from this process's (`twins.executors.platform.probe`)."""
        ...

    def each(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], again: Told | None = None
    ) -> Generator[tuple[int, Result], None, None]:
        """Yield (index, work(task)) of each task as it is done; *work* and tasks are picklable.

        A task whose worker is lost, or in which *work* raises Again, is done again; *again* is told. Raises Failed at
        the third time, InputError for a worker of other arithmetic unless `mixed`, and at once whatever else *work*
        raises, with the worker's traceback as a note. However it ends, nothing of it goes on.
        """
        ...


class Again(Exception):
    """Raised by work for what may go better at another time, or elsewhere."""


class Failed(InputError):
    """A task has failed too often; `index` is which, `why` the last reason."""

    def __init__(self, index: int, why: str, times: int = TIMES):
        super().__init__(f"task {index} failed {times} times; the last time {why}")
        self.index, self.why = index, why


class Queue:
    """The indices of tasks that are to be done, those that failed a little later once more."""

    def __init__(self, count: int, again: Told | None = None, times: int = TIMES):
        self._waiting, self._failures, self._again, self._times = deque(range(count)), Counter(), again, times

    def next(self) -> int | None:
        return self._waiting.popleft() if self._waiting else None

    def failed(self, index: int, why: str, workers: int = 1) -> None:
        """Put a task back; raises Failed where it has failed too often."""
        self._failures[index] += 1
        if self._failures[index] == self._times:
            raise Failed(index, why, self._times)
        self._waiting.insert(LATER * workers, index)
        if self._again:
            self._again(index, why)


def attempt(work: Callable[[Any], Any], task: Any) -> tuple[bool, Any]:
    """Whether the work on *task* ended well, and its result, or the exception as one that can be sent."""
    try:
        return True, work(task)
    except Exception as error:
        return False, _portable(error)


def stranger(theirs: str, wanted: str) -> InputError:
    """The refusal of a worker whose numeric probe is not the one that is wanted."""
    return InputError(
        f"a worker on {platform.node()} computes differently from the process that it works for (numeric probe "
        f"{theirs[:12]}, not {wanted[:12]}); run all workers on one kind of processor with the same library versions, "
        "or set executor.mixed=true, which stamps what it makes apart"
    )


def _portable(error: Exception) -> Exception:
    told = traceback.format_exc()
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(told)
    if not isinstance(error, InputError):
        error.add_note(f"in a worker process:\n{told}")
    return error
