"""What takes time to make, made ahead of whom it is for, in a thread; and how long that still had to wait."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")
POLL_S = 1e-3


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
        self.close()

    def close(self) -> None:
        """Make no more."""
        self._over.set()
        self._thread.join()

    def next(self, busy: Callable[[], bool] = lambda: False) -> Made:
        """The next one; as long as *busy*, waiting costs nothing."""
        began = None
        while True:
            if began is None and not busy():
                began = time.perf_counter()
            try:
                good, made = self._store.get(timeout=POLL_S if began is None else 100 * POLL_S)
            except queue.Empty:
                if self._over.is_set():
                    raise RuntimeError("asked for more of what is closed") from None
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
        finally:
            if isinstance(items, Generator):
                items.close()

    def _put(self, answer: Any) -> bool:
        while not self._over.is_set():
            try:
                self._store.put(answer, timeout=0.05)
                return True
            except queue.Full:
                pass
        return False
