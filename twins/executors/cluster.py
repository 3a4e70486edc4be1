"""Work spread over a Ray cluster (`pip install -e '.[ray]'`): any by its address, or one started here for the time."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sim.errors import InputError, require
from twins.executors.executor import Again, Queue, Result, Task, Told, attempt, stranger
from twins.executors.platform import probe

A_PROCESSOR = 2  # tasks on their way for each: one at work, and the next, so that none waits for its driver
REACHED_S = 10.0  # within which a cluster has to answer


@dataclass(frozen=True)
class Ray:
    """Tasks of a Ray cluster, one processor each; an Executor.

    Workers need this package, of the same version, and a plant of one's own if there is one: both are installed on the
    nodes, or carried there by *runtime_env* (`{working_dir: .}`; see Ray's documentation). Results come back through
    Ray, so that workers need not share a file system with this process.
    """

    address: str | None = None  # of a cluster: host:port, ray://host:port, auto; None: one is started on this machine
    workers: int = 2  # processors of the one that is started
    in_flight: int | None = None  # tasks that are on their way at once; None: two a processor of the cluster
    mixed: bool = False  # True: workers whose arithmetic differs are let in
    runtime_env: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        require(self.workers >= 1, self, "workers", "at least 1")
        require(self.in_flight is None or self.in_flight >= 1, self, "in_flight", "at least 1, or null")

    def each(
        self, work: Callable[[Task], Result], tasks: Sequence[Task], again: Told | None = None
    ) -> Generator[tuple[int, Result], None, None]:
        """As `Executor.each`; the loss of a worker, or of its whole node, is the loss of the tasks that it had."""
        if not tasks:
            return
        ray = _ray()
        with self._connected(ray):
            serve = ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")(_serve)
            given, queue, flying = ray.put(work), Queue(len(tasks), again), {}
            room = self.in_flight or A_PROCESSOR * max(int(ray.cluster_resources().get("CPU", 1)), 1)
            try:
                while True:
                    while len(flying) < room and (index := queue.next()) is not None:
                        task = tasks[index]
                        named = serve.options(name=str(getattr(task, "name", index)))
                        flying[named.remote(given, task, None if self.mixed else probe())] = index
                    if not flying:
                        return
                    (ref,), _ = ray.wait(list(flying))
                    index = flying.pop(ref)
                    try:
                        good, value = ray.get(ref)
                    except ray.exceptions.RayError as error:
                        queue.failed(index, _lost(error), room)
                        continue
                    del ref  # the cluster may forget the result while it is used here
                    if good:
                        yield index, value
                    elif isinstance(value, Again):
                        queue.failed(index, str(value), room)
                    else:
                        raise value
            finally:
                for ref in flying:
                    ray.cancel(ref, force=True)

    @contextmanager
    def _connected(self, ray: Any) -> Iterator[None]:
        """In the cluster; in that which this process is connected to already, if it is, and it stays so."""
        if ray.is_initialized():
            yield
            return
        if self.address:
            _reach(self.address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is reported to Ray's makers
        environment, own = dict(self.runtime_env), {}
        if not self.address:
            own = {"num_cpus": self.workers, "include_dashboard": False}
            found = {
                "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)
            }  # a plant's folder as well
            environment["env_vars"] = found | dict(environment.get("env_vars", {}))
        try:
            ray.init(
                address=self.address or "local",
                runtime_env=environment or None,
                log_to_driver=False,
                logging_level="error",
                **own,
            )
        except (OSError, RuntimeError, ValueError, AssertionError) as error:
            told = " ".join(str(error).split())
            where = f"executor.address={self.address}" if self.address else "a Ray cluster on this machine"
            raise InputError(f"{where} cannot be used: {told or type(error).__name__}") from error
        try:
            yield
        finally:
            ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise InputError("executor=ray needs Ray; install it with pip install -e '.[ray]'") from None
    return ray


def _reach(address: str) -> None:
    """Raise InputError where nobody listens at an address, to which Ray would go on trying to connect for minutes."""
    host, colon, port = address.rpartition("://")[2].rpartition(":")
    if not colon or not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=REACHED_S).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"executor.address={address}: {error}; give the address of a cluster that runs (`ray status` tells it), or "
            "null to start one here"
        ) from None


def _serve(work: Callable[[Any], Any], task: Any, wanted: str | None) -> tuple[bool, Any]:
    """`attempt` on a worker whose numeric probe is *wanted*, if it is said."""
    if wanted is not None and probe() != wanted:
        return False, stranger(probe(), wanted)
    return attempt(work, task)


def _lost(error: Exception) -> str:
    """Why a task came to nothing that was not its own doing."""
    cause = getattr(error, "cause", None)
    lines = [line.strip() for line in str(cause or error).splitlines() if line.strip()]
    return f"its worker was lost with {type(cause or error).__name__}: {lines[0] if lines else ''}"
