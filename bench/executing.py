"""What it costs to spread generation: over processes, over a Ray cluster; and the memory that it takes."""

from __future__ import annotations

import os
import resource
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import mean, median

from bench.turns import MINUTE_H, MONTH_H, Measured
from experiments.experiment import Experiment
from sim.errors import InputError
from twins.dataset import Plan, configuration, ensure, identity
from twins.dataset.generate import Maker, simulated
from twins.dataset.making import Place, Shard
from twins.executors.cluster import Ray
from twins.executors.executor import Executor
from twins.executors.platform import probe
from twins.executors.workers import Local
from twins.twin import Twin

SHARD_S = 5.0
SHARD_MB = 32.0
SAMPLED_S = 0.2


def workers(bench: Experiment, repeats: int) -> Measured:
    """Generating 480 runs of 60 days with two worker processes against one, from nothing to sealed."""
    twin = bench.twin
    plan = Plan(train=480, validation=0, test=0, duration_h=1440.0)

    def generate(count: int) -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as root:
            began, used = time.perf_counter(), _processor_s()
            ensure(twin, plan, root, workers=count)
            return time.perf_counter() - began, _processor_s() - used

    with tempfile.TemporaryDirectory() as root:
        ensure(twin, replace(plan, train=2, duration_h=48.0), root, workers=1)  # compiles
    turns = [(generate(1), generate(2)) for _ in range(max(1, repeats // 3))]
    one_s, one_cpu_s, two_s, two_cpu_s = (median(found) for found in zip(*(a + b for a, b in turns), strict=True))
    return Measured(
        "workers", "time to generate a dataset with one worker over that with two, start-up included", "×", 1.85, True,
        tuple(one / two for (one, _), (two, _) in turns),
        {"one_s": one_s, "two_s": two_s, "one_cpu_s": one_cpu_s, "two_cpu_s": two_cpu_s, "runs": plan.train,
         "run_h": plan.duration_h},
    )  # fmt: skip


def ray(bench: Experiment, repeats: int) -> Measured:
    """Two workers of a Ray cluster on this machine against two processes, at shards of five seconds.

    A shard costs the processor seconds of its worker, and the time from there to the worker's next one; so what else
    the machine does is left out, as is that Ray gives its workers a low priority. In the detail, both parts of each,
    the walls from first start to last end, and how long each takes until its first shard begins.
    """
    twin, hours = bench.twin, MONTH_H
    runs = max(1, round(SHARD_S / _run_s(twin, hours)))
    plan = Plan(train=2 * 3 * runs, validation=0, test=0, duration_h=hours, runs_per_shard=runs)
    found: dict[str, list[Spent]] = {"ray": [], "local": []}
    for _ in range(max(1, repeats // 3)):
        for name, executor in (("ray", Ray(workers=2)), ("local", Local(2))):
            found[name].append(_spent(executor, twin, plan))
    detail = {
        f"{name}_{what}": median(getattr(spent, what) for spent in all_)
        for name, all_ in found.items()
        for what in ("shard_s", "gap_s", "wall_s", "start_s")
    }
    pairs = zip(found["ray"], found["local"], strict=True)
    return Measured(
        "ray", "what a shard of five seconds costs more on a Ray worker than in a worker process", "%", 5.0, False,
        tuple(100 * ((ours.shard_s + ours.gap_s) / (bare.shard_s + bare.gap_s) - 1) for ours, bare in pairs),
        detail | {"shards": len(plan.shards())},
    )  # fmt: skip


def memory(bench: Experiment, repeats: int) -> Measured:
    """The most memory of this process and of any worker while each gigabyte of a dataset is written: a line read every
    six seconds, so that most of the work is rendering and writing.

    The executor, the number of workers and `gigabytes` are the configuration's. The last one includes the sealing.
    """
    gigabytes = bench.config["gigabytes"]
    if not gigabytes >= 2:
        raise InputError(f"gigabytes is {gigabytes}; it must be at least 2, to see whether memory grows")
    world = replace(bench.world, engine="compiled")
    twin, hours = replace(bench.twin, world=world, step_h=MINUTE_H / 10), MONTH_H
    with tempfile.TemporaryDirectory() as root:
        one = ensure(twin, Plan(4, 0, 0, hours), root, workers=1)
        run_mb = sum(entry["bytes"] for entry in one.manifest["files"].values()) / 4e6
    per_shard = max(1, round(SHARD_MB / run_mb))
    plan = Plan(round(1e3 * gigabytes / run_mb), 0, 0, hours, seed=1, runs_per_shard=per_shard)
    with tempfile.TemporaryDirectory(dir=bench.config["scratch"]) as root, _watched(Path(root)) as seen:
        began = time.perf_counter()
        ensure(twin, plan, root, progress=seen.advance, executor=bench.executor)
        took_s, written = time.perf_counter() - began, seen.written()
    most: dict[int, dict[str, float]] = defaultdict(lambda: {"parent": 0.0, "worker": 0.0})
    last = int(gigabytes) - 1  # of those that are full; what comes after counts with it, if its workers are still there
    for gigabyte, who, megabytes in seen.samples:
        now = most[min(gigabyte, last)]
        now[who] = max(now[who], megabytes)
    grown = {who: 100 * (most[last][who] / most[0][who] - 1) for who in ("parent", "worker") if most[0][who]}
    return Measured(
        "memory", "growth of the memory of generation, parent or worker, from the first gigabyte to the last", "%",
        10.0, False, (max(map(abs, grown.values())),),
        {"gigabytes": written / 1e9, "mb_per_s": written / 1e6 / took_s, "shards": len(plan.shards()),
         **{f"{who}_mb_at_{g + 1}_gb": most[g][who] for g in sorted({0, last}) for who in grown}},
    )  # fmt: skip


# --- one executor at work ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spent:
    """Means over shards: processor seconds of one, seconds from one to the next; seconds of all, and before them."""

    shard_s: float
    gap_s: float
    wall_s: float
    start_s: float


@dataclass(frozen=True)
class _Timed:
    """Work that tells who did it, from when to when by the clock that all processes share, and what it took of his."""

    place: Place

    def __call__(self, shard: Shard) -> tuple[int, float, float, float]:
        began, used = time.monotonic(), time.process_time()
        self.place(shard)
        return os.getpid(), began, time.monotonic(), time.process_time() - used


def _spent(executor: Executor, twin: Twin, plan: Plan) -> Spent:
    described = configuration(twin, plan)
    maker = Maker(twin, plan.duration_h, identity(described), simulated, probe())
    with tempfile.TemporaryDirectory() as root:
        asked = time.monotonic()
        told = [told for _, told in executor.each(_Timed(Place.of(Path(root), described, maker)), plan.shards())]
    turns: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for pid, began, ended, _ in sorted(told, key=lambda one: one[1]):
        turns[pid].append((began, ended))
    gaps = [after[0] - before[1] for own in turns.values() for before, after in pairwise(own)]
    first, last = min(began for _, began, _, _ in told), max(ended for _, _, ended, _ in told)
    return Spent(mean(used for *_, used in told), mean(gaps), last - first, first - asked)


def _run_s(twin: Twin, hours: float) -> float:
    """How long a world run takes to make, by the processor's clock; one beforehand compiles."""
    for count in (1, 8):
        with tempfile.TemporaryDirectory() as root:
            began = time.process_time()
            ensure(twin, Plan(count, 0, 0, hours, runs_per_shard=8), root, workers=1)
    return (time.process_time() - began) / 8


def _processor_s() -> float:
    """Processor seconds of this process and of the children that it has outlived."""
    whose = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in whose)


# --- memory -----------------------------------------------------------------------------------------------------------


class _Watch:
    """Samples of (gigabytes written, whose, megabytes resident)."""

    def __init__(self, root: Path):
        self.root, self.samples, self._share = root, [], 0.0

    def advance(self, done: int, total: int, what: str) -> None:
        self._share = self.written() if done % 16 == 0 or done == total else self._share

    def written(self) -> int:
        return sum(path.stat().st_size for path in self.root.glob("*/*/*.parquet"))

    def sample(self) -> None:
        gigabyte, pid = int(self._share / 1e9), os.getpid()
        self.samples.append((gigabyte, "parent", _resident_mb(pid)))
        for child in _descendants(pid):
            self.samples.append((gigabyte, "worker", _resident_mb(child)))


@contextmanager
def _watched(root: Path) -> Iterator[_Watch]:
    watch, over = _Watch(root), threading.Event()

    def look() -> None:
        while not over.wait(SAMPLED_S):
            watch.sample()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def _descendants(pid: int) -> list[int]:
    """The processes that *pid* and its children have started and that work in Python, as Linux lists them."""
    parents: dict[int, list[int]] = defaultdict(list)
    for entry in filter(str.isdigit, os.listdir("/proc")):
        if told := _read(f"/proc/{entry}/stat"):
            parents[int(told.rpartition(")")[2].split()[1])].append(int(entry))
    found, left = [], [pid]
    while left:
        children = parents[left.pop()]
        found += children
        left += children
    return found


def _resident_mb(pid: int) -> float:
    told = _read(f"/proc/{pid}/statm")
    return int(told.split()[1]) * resource.getpagesize() / 1e6 if told else 0.0


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:  # the process has ended
        return ""
