"""Work spread over spawned processes: never forked, free of JAX, and gone when their parent is."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import wait
from typing import Any

from sim.errors import InputError, require
from twins.executors.executor import TIMES, Again, Queue, Result, Task, Told, attempt, stranger
from twins.executors.platform import probe

Each = Callable[..., Generator[tuple[int, Any], None, None]]


@dataclass(frozen=True)
class Local:
    """Worker processes on this machine, an Executor; one worker is this process itself."""

    workers: int = 2
    mixed: bool = False  # True: workers whose arithmetic differs are let in

    def __post_init__(self):
        require(self.workers >= 1, self, "workers", "at least 1")

    def each(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], again: Told | None = None
    ) -> Generator[tuple[int, Result], None, None]:
        with crew(work, min(self.workers, len(tasks)), self.mixed) as each:
            yield from each(tasks, again)


def spread(
    work: Callable[[Task], Result], tasks: Sequence[Task], workers: int = 1
) -> Generator[tuple[int, Result], None, None]:
    """Yield (index, work(task)) of each task as it is done, in the order of completion, as `Executor.each` does."""
    return Local(max(workers, 1)).each(work, tasks)


@contextmanager
def crew(work: Callable[[Any], Any], workers: int = 1, mixed: bool = False, times: int = TIMES) -> Iterator[Each]:
    """`Executor.each` for one set of tasks after another, on workers that stay until the block ends.

    One worker works in this process; more are spawned, get *work* once, and take a task whenever they are free. One
    that dies is replaced; a task that fails so many *times* raises Failed.
    """
    if workers <= 1:
        yield partial(_here, work, times)
        return
    with _Crew(work, workers, mixed, times) as hands:
        yield hands.each


def _here(
    work: Callable[[Task], Result], times: int, tasks: Sequence[Task], again: Told | None = None
) -> Generator[tuple[int, Result], None, None]:
    queue = Queue(len(tasks), again, times)
    while (index := queue.next()) is not None:
        try:
            done = work(tasks[index])
        except Again as error:
            queue.failed(index, str(error))
        else:
            yield index, done


class _Crew:
    """Spawned processes, each behind a pipe: a killed parent closes it, so that the worker ends as well."""

    def __init__(self, work: Callable[[Any], Any], workers: int, mixed: bool, times: int):
        self.work, self.workers, self.mixed, self.times = work, workers, mixed, times
        self.context = multiprocessing.get_context("spawn")
        self.hands: dict[Any, Any] = {}
        self.at_work: dict[Any, int | None] = {}  # the task of each; None: it has yet to tell its probe
        self.stillborn = 0

    def __enter__(self) -> _Crew:
        try:
            for _ in range(self.workers):
                self._hire()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self.hands:
            pipe.close()
        for process in self.hands.values():
            if process.pid:
                process.terminate()
                process.join()

    def each(self, tasks: Sequence[Any], again: Told | None = None) -> Generator[tuple[int, Any], None, None]:
        queue = Queue(len(tasks), again, self.times)
        for pipe in [pipe for pipe in self.hands if pipe not in self.at_work]:
            self._hand(pipe, tasks, queue)
        while self.at_work:
            ready: list[Any] = wait(list(self.at_work))
            for pipe in ready:
                index = self.at_work.pop(pipe)
                try:
                    good, value = pipe.recv()
                except (EOFError, OSError):
                    self._replace(pipe, index, queue)
                    continue
                if index is None:
                    self._greet(value)
                elif not good and isinstance(value, Again):
                    queue.failed(index, str(value), self.workers)
                elif not good:
                    raise value
                self._hand(pipe, tasks, queue)
                if good and index is not None:
                    yield index, value
            for pipe in [pipe for pipe in self.hands if pipe not in self.at_work]:  # idle, and a task has come back
                self._hand(pipe, tasks, queue)

    def _hire(self) -> None:
        ours, theirs = self.context.Pipe()
        with _deaf():
            self.hands[ours] = self.context.Process(target=_serve, args=(theirs, self.work), daemon=True)
            self.hands[ours].start()
        theirs.close()
        self.at_work[ours] = None

    def _hand(self, pipe: Any, tasks: Sequence[Any], queue: Queue) -> None:
        """Give the worker behind *pipe* the next task, if there is one."""
        if (index := queue.next()) is not None:
            with suppress(OSError):  # a dead worker is replaced when its answer is read
                pipe.send(tasks[index])
            self.at_work[pipe] = index

    def _greet(self, theirs: str) -> None:
        if theirs != probe() and not self.mixed:
            raise stranger(theirs, probe())
        self.stillborn = 0

    def _replace(self, pipe: Any, index: int | None, queue: Queue) -> None:
        process = self.hands.pop(pipe)
        pipe.close()
        process.join()
        told = f"its worker process ended with exit code {process.exitcode}"
        if process.exitcode == -signal.SIGKILL:
            told += " (killed; for want of memory?)"
        if index is not None:
            queue.failed(index, told, self.workers)
        else:
            self.stillborn += 1
            if self.stillborn == TIMES:
                raise InputError(
                    f"{TIMES} worker processes ended before their work began, the last with exit code "
                    f"{process.exitcode}; set workers=1 to work in this process"
                )
        self._hire()


@contextmanager
def _deaf() -> Iterator[None]:
    """Children that start here do not hear Ctrl-C: the parent answers it and ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, heard)


def _serve(pipe: Any, work: Callable[[Any], Any]) -> None:
    pipe.send((True, probe()))
    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(attempt(work, task))
        except ConnectionError:
            return
