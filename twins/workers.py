"""Work spread over spawned processes: never forked, free of JAX, and gone when their parent is."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from typing import Any, TypeVar

from sim.errors import InputError
from twins.platform import probe


class Lost(InputError):
    """A worker process died at its task, whose index is `task`."""

    def __init__(self, text: str, task: int):
        super().__init__(text)
        self.task = task


Task = TypeVar("Task")
Result = TypeVar("Result")


def spread(
    work: Callable[[Task], Result], tasks: Sequence[Task], workers: int = 1
) -> Generator[tuple[int, Result], None, None]:
    """Yield (index, work(task)) of each task as it is done, in the order of completion.

    One worker works in this process; more are spawned, get *work* (picklable) once, and take a task whenever they are
    free. A worker whose arithmetic differs from this process's raises InputError, one that dies Lost; an exception in
    *work* is raised here, with the worker's traceback as a note. However it ends, no worker is left behind.
    """
    with crew(work, min(workers, len(tasks))) as each:
        yield from each(tasks)


@contextmanager
def crew(
    work: Callable[[Task], Result], workers: int = 1
) -> Iterator[Callable[[Sequence[Task]], Generator[tuple[int, Result], None, None]]]:
    """`spread` for one set of tasks after another, on workers that stay until the block ends."""
    if workers <= 1:
        yield lambda tasks: ((i, work(task)) for i, task in enumerate(tasks))
        return
    context = multiprocessing.get_context("spawn")
    hands: dict[Any, Any] = {}  # our end of each worker's pipe: a killed parent closes it, so the worker ends as well
    at_work: dict[Any, int | None] = {}

    def each(tasks: Sequence[Task]) -> Generator[tuple[int, Result], None, None]:
        waiting = enumerate(tasks)
        for pipe in [pipe for pipe in hands if pipe not in at_work]:
            _hand(pipe, waiting, at_work)
        while at_work:
            ready: list[Any] = wait(list(at_work))
            for pipe in ready:
                done = at_work.pop(pipe)
                value = _answer(pipe, hands[pipe], done)
                if done is None and value != probe():
                    raise InputError(
                        f"a worker computes differently from its parent (numeric probe {value[:12]}, not "
                        f"{probe()[:12]}); run all workers on one kind of processor with the same library versions"
                    )
                _hand(pipe, waiting, at_work)
                if done is not None:
                    yield done, value

    try:
        with _deaf():
            for _ in range(workers):
                ours, theirs = context.Pipe()
                hands[ours] = context.Process(target=_serve, args=(theirs, work), daemon=True)
                hands[ours].start()
                theirs.close()
        at_work |= dict.fromkeys(hands)  # each first tells its probe
        yield each
    finally:
        for pipe in hands:
            pipe.close()
        for process in hands.values():
            if process.pid:
                process.terminate()
                process.join()


def _hand(pipe: Any, waiting: Iterator[tuple[int, Any]], at_work: dict[Any, int | None]) -> None:
    """Give the worker behind *pipe* the next task, if there is one."""
    for index, task in waiting:
        with suppress(ConnectionError):  # a dead worker is reported when its answer is read
            pipe.send(task)
        at_work[pipe] = index
        return


def _answer(pipe: Any, process: Any, task: int | None) -> Any:
    try:
        good, value = pipe.recv()
    except (EOFError, ConnectionError):
        process.join()
        told = (
            f"a worker process ended with exit code {process.exitcode} (killed for want of memory?); what is finished "
            "is kept: run the same command again, with fewer workers if need be"
        )
        raise (InputError(told) if task is None else Lost(told, task)) from None
    if not good:
        raise value
    return value


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
            answer = True, work(task)
        except Exception as error:
            answer = False, _portable(error)
        try:
            pipe.send(answer)
        except ConnectionError:
            return


def _portable(error: Exception) -> Exception:
    told = traceback.format_exc()
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(told)
    if not isinstance(error, InputError):
        error.add_note(f"in a worker process:\n{told}")
    return error
