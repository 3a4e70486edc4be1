"""What becomes of a dataset when something goes wrong: `python -m tests.faults --seconds 300`.

Every boundary between two steps of a writer (open, write, flush, fsync, rename, mkdir, unlink) is failed once before
and once after it, by a full disk, a broken disk, Ctrl-C, and the death of the process; finished datasets are damaged
at random. Each time three things are asked: was the failure told in one sentence, is nothing that can be read wrong,
and does the same command, or the one that is named, end in the very bytes that it would have made.

Prints a line a kind of failure, and exits with 1 if anything was silently wrong, or told by a traceback.
"""

from __future__ import annotations

import argparse
import builtins
import errno
import hashlib
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sim.errors import InputError
from tests.plants.ticker import Ticker, TickerTwin
from twins.dataset import Plan, ensure, files, health, open_dataset, shards
from twins.dataset.again import rebuild, rerender
from twins.dataset.manifest import MANIFEST
from twins.dataset.merge import merge

TWIN, PLAN = TickerTwin(step_h=1.0), Plan(2, 0, 1, 12.0, runs_per_shard=1)
OTHER = TickerTwin(Ticker(3.0), step_h=1.0)
MODES = ("full disk", "broken disk", "Ctrl-C", "killed")
FINISHED, REFUSED, STOPPED, KILLED, CRASHED, WRONG = 0, 2, 130, 137, 70, 71
TOLD = {FINISHED: "went on", REFUSED: "refused", STOPPED: "stopped", KILLED: "killed"}


# --- faults at boundaries --------------------------------------------------------------------------------------------


class Tripwire:
    """Counts the steps of a writer and fails at one of them."""

    def __init__(self, at: int = -1, mode: str = "", after: bool = False):
        self.at, self.mode, self.after, self.steps = at, mode, after, []

    def __call__(self, name: str, step: Callable[[], Any]) -> Any:
        self.steps.append(name)
        hit = len(self.steps) - 1 == self.at
        if hit and not self.after:
            self.fail()
        found = step()
        if hit and self.after:
            self.fail()
        return found

    def fail(self) -> None:
        if self.mode == "killed":
            os._exit(KILLED)
        if self.mode == "Ctrl-C":
            raise KeyboardInterrupt
        number = errno.ENOSPC if self.mode == "full disk" else errno.EIO
        raise OSError(number, os.strerror(number))

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Steps of this process go through the wire."""
        kept = os.replace, os.fsync, Path.mkdir, Path.unlink
        wire = self

        def opened(path: Any, mode: str = "r", *rest: Any) -> Any:
            file = wire("open", lambda: builtins.open(path, mode, *rest))  # noqa: SIM115
            return _File(file, wire) if "w" in mode else file

        files.open = opened  # type: ignore[attr-defined]
        os.replace = lambda *a, **k: wire("rename", lambda: kept[0](*a, **k))
        os.fsync = lambda *a: wire("fsync", lambda: None)  # a process that dies takes no written page with it
        Path.mkdir = lambda *a, **k: wire("mkdir", lambda: kept[2](*a, **k))  # type: ignore[assignment]
        Path.unlink = lambda *a, **k: wire("unlink", lambda: kept[3](*a, **k))  # type: ignore[assignment]
        try:
            yield
        finally:
            del files.open  # type: ignore[attr-defined]
            os.replace, os.fsync, Path.mkdir, Path.unlink = kept  # type: ignore[assignment]


class _File:
    """A file that writes half of what it is given before a write fails."""

    def __init__(self, file: Any, wire: Tripwire):
        self.file, self.wire = file, wire

    def write(self, chunk: Any) -> int:
        view = memoryview(chunk).cast("B")
        half = len(view) // 2
        self.wire("write", lambda: self.file.write(view[:half]))
        return half + self.wire("write", lambda: self.file.write(view[half:]))

    def flush(self) -> None:
        self.wire("flush", self.file.flush)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *error: Any) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def child(work: Callable[[], Any]) -> int:
    """The exit code of *work* in a process of its own."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    signal.alarm(60)
    try:
        work()
        code = FINISHED
    except InputError as error:
        code = REFUSED if "\n" not in str(error) else CRASHED
    except KeyboardInterrupt:
        code = STOPPED
    except AssertionError as error:
        print(error, file=sys.stderr)
        code = WRONG
    except BaseException as error:
        traceback.print_exception(error)
        code = CRASHED
    sys.stderr.flush()
    os._exit(code)


# --- what is done, and what it must come to --------------------------------------------------------------------------


def contents(root: Path) -> dict[str, bytes]:
    """Every file that configurations determine."""
    named = [p for p in root.rglob("*") if p.is_file() and "cache" not in p.parts and p.name != ".lock"]
    return {str(p.relative_to(root)): p.read_bytes() for p in named}


def fold(root: Path) -> Path:
    """The one dataset in *root* that was not a source."""
    return next(p for p in sorted(root.iterdir()) if p.is_dir() and p.name != "sources")


def _sources(root: Path) -> list[Any]:
    return [open_dataset(p) for p in sorted((root / "sources").iterdir())]


def generate(root: Path) -> None:
    ensure(TWIN, PLAN, root, workers=1)


def read(root: Path) -> None:
    for folder in root.iterdir():
        if folder.is_dir() and health.is_dataset(folder):
            dataset = open_dataset(folder)
            for split in dataset.splits:
                dataset.episodes(split)


def join(root: Path) -> None:
    merge(_sources(root), root)


def seen_otherwise(root: Path) -> None:
    rerender(_sources(root)[0], {"twin.step_h": 0.5}, root)


def mend(root: Path) -> None:
    rebuild(fold(root))


def fresh(root: Path) -> None:
    root.mkdir(parents=True)


def finished(root: Path) -> None:
    fresh(root)
    generate(root)


def uncached(root: Path) -> None:
    finished(root)
    shutil.rmtree(fold(root) / "cache", ignore_errors=True)


def sources(root: Path) -> None:
    for i, twin in enumerate((TWIN, OTHER)):
        ensure(twin, replace(PLAN, seed=i), root / "sources", workers=1)


def hurt(root: Path) -> None:
    finished(root)
    flip(fold(root) / "series/train-00001.parquet", 400)
    (fold(root) / "shards/test-00000.json").unlink()


TASKS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "generate": (fresh, generate),
    "read": (uncached, read),
    "merge": (sources, join),
    "rerender": (sources, seen_otherwise),
    "rebuild": (hurt, mend),
}


def truths(root: Path) -> dict[str, str]:
    """The content of each run that can be read, by dataset and run, told anew from the arrays that are read."""
    found = {}
    for folder in root.rglob(MANIFEST):
        dataset = open_dataset(folder.parent)
        for split in dataset.splits:
            episodes = dataset.episodes(split)
            for run in dataset.runs(split):
                digest = shards.content([e for e in episodes if e.run == run])
                trace = dataset.trace(run)
                told = f"{digest} {trace.end_h} {trace.events}"
                found[f"{folder.parent.name}/{run}"] = hashlib.sha256(told.encode()).hexdigest()
    return found


def honest(root: Path, wanted: dict[str, str]) -> None:
    """What can be read is right; raises InputError where it is refused, AssertionError where it is wrong."""
    for name, digest in truths(root).items():
        assert wanted.get(name) == digest, f"{name} reads otherwise than it was made"


def boundaries(task: str, place: Path, share: float, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Every boundary of a task failed in every way, or a *share* of them: kind of failure, and what came of it."""
    begin, act = TASKS[task]
    start, goal = place / f"{task}-start", place / f"{task}-goal"
    begin(start)
    shutil.copytree(start, goal)
    wire = Tripwire()
    with wire.armed():
        act(goal)
    wanted, truth = contents(goal), truths(goal)
    for at, step in enumerate(wire.steps):
        for mode in MODES:
            for after in (False, True):
                if rng.random() >= share:
                    continue
                root = place / "root"
                shutil.copytree(start, root)
                trip = Tripwire(at, mode, after)

                def failing(root: Path = root, trip: Tripwire = trip) -> None:
                    with trip.armed():
                        act(root)

                code = child(failing)
                come = TOLD.get(code, "told by a traceback")

                def again(root: Path = root) -> None:
                    with suppress(InputError):
                        honest(root, truth)
                    act(root)

                code = child(again)
                if code != FINISHED:
                    come = "silently wrong" if code == WRONG else "not taken up again"
                elif contents(root) != wanted:
                    come = "other bytes in the end"
                yield f"{task}: {mode} {'after' if after else 'before'} {step}", come
                shutil.rmtree(root)


# --- damage to what is finished --------------------------------------------------------------------------------------


def flip(path: Path, bit: int) -> None:
    """Turn one bit over; the time of the last change stays, as it does where a disk rots."""
    status, raw = path.stat(), bytearray(path.read_bytes())
    if raw:
        raw[bit // 8 % len(raw)] ^= 1 << bit % 8
        path.write_bytes(raw)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def touched_flip(path: Path, rng: random.Random) -> None:
    flip(path, rng.randrange(8 * max(path.stat().st_size, 1)))
    os.utime(path)


def cut(path: Path, rng: random.Random) -> None:
    os.truncate(path, rng.randrange(max(path.stat().st_size, 1)))


def zeroed(path: Path, rng: random.Random) -> None:
    raw = bytearray(path.read_bytes())
    at = rng.randrange(max(len(raw), 1))
    raw[at : at + 512] = bytes(len(raw[at : at + 512]))
    path.write_bytes(raw)


def grown(path: Path, rng: random.Random) -> None:
    with path.open("ab") as file:
        file.write(rng.randbytes(rng.randrange(1, 99)))


def swapped(path: Path, rng: random.Random) -> None:
    beside = [p for p in path.parent.iterdir() if p.is_file() and p != path] or [path]
    other = rng.choice(beside)
    a, b = path.read_bytes(), other.read_bytes()
    path.write_bytes(b)
    other.write_bytes(a)


def gone(path: Path, rng: random.Random) -> None:
    path.unlink()


def vanished(path: Path, rng: random.Random) -> None:
    shutil.rmtree(path.parent)


def half(path: Path, rng: random.Random) -> None:
    (path.parent / f".{path.name}.{rng.randrange(9999)}.tmp").write_bytes(rng.randbytes(99))


def rotten(path: Path, rng: random.Random) -> None:
    flip(path, rng.randrange(8 * max(path.stat().st_size, 1)))


DAMAGE = (touched_flip, cut, zeroed, grown, swapped, gone, vanished, half, rotten)


def damages(place: Path, rng: random.Random) -> Iterator[tuple[str, str]]:
    """Finished datasets damaged at random, for ever: kind of damage, and what came of it."""
    goal = place / "goal"
    finished(goal)
    read(goal)
    wanted, truth = contents(goal), truths(goal)
    while True:
        root = place / "root"
        shutil.copytree(goal, root)
        folder = fold(root)
        path = rng.choice([p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != ".lock"])
        damage = rng.choice(DAMAGE)
        damage(path, rng)
        yield f"damage: {damage.__name__} in {_kind(path, folder)}", _come(root, folder, wanted, truth)
        shutil.rmtree(root)


def _kind(path: Path, folder: Path) -> str:
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else path.name


def _come(root: Path, folder: Path, wanted: dict[str, bytes], truth: dict[str, str]) -> str:
    same = folder.exists() and contents(root) == wanted
    told = child(lambda: _told(folder)) if folder.exists() else REFUSED
    if not same and told == FINISHED:
        return "missed by verify"
    if (readable := child(lambda: honest(root, truth))) not in (FINISHED, REFUSED):
        return "silently wrong" if readable == WRONG else "told by a traceback"
    again = child(lambda: generate(root))
    if again not in (FINISHED, REFUSED):
        return "told by a traceback"
    if again == REFUSED or contents(root) != wanted:
        if child(lambda: rebuild(folder)) == REFUSED:  # the manifest itself, which shards make anew
            with suppress(OSError):
                (folder / MANIFEST).unlink()
            child(lambda: generate(root))
        if contents(root) != wanted:
            return "not mended"
    if child(lambda: honest(root, truth)) != FINISHED:
        return "silently wrong"
    return "harmless" if same else "detected, mended" if again == REFUSED else "detected, made anew"


def _told(folder: Path) -> None:
    """Raises InputError where verify names a fault."""
    if found := health.faults(folder):
        raise InputError(found[0].what)


GOOD = ("went on", "refused", "stopped", "killed", "harmless", "detected, mended", "detected, made anew")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m tests.faults", description="What becomes of a dataset in a failure.")
    parser.add_argument("tasks", nargs="*", choices=[*TASKS, "damage", []], help="all by default")
    parser.add_argument("--seconds", type=float, default=300.0, help="at most; boundaries come first")
    parser.add_argument("--share", type=float, default=1.0, help="of the boundaries that are tried")
    parser.add_argument("--damages", type=int, default=10**9, help="at most")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    end_s, rng = time.monotonic() + given.seconds, random.Random(given.seed)
    counts: dict[str, Counter[str]] = {}
    wrong: Counter[str] = Counter()
    os.fsync = lambda descriptor: None
    with tempfile.TemporaryDirectory() as place:
        for name in given.tasks or (*TASKS, "damage"):
            folder = Path(place) / name
            folder.mkdir()
            tried = damages(folder, rng) if name == "damage" else boundaries(name, folder, given.share, rng)
            for done, (what, come) in enumerate(tried):
                kind = re.split(" before | after | in ", what)[0]
                counts.setdefault(kind, Counter())[come] += 1
                if come not in GOOD:
                    wrong[f"{come}: {what}"] += 1
                if time.monotonic() > end_s or (name == "damage" and done + 1 >= given.damages):
                    break
    for what, come in counts.items():
        print(f"{what:<24}{come.total():>6}  " + ", ".join(f"{n} {name}" for name, n in come.most_common()))
    print(f"{sum(c.total() for c in counts.values())} failures tried, {wrong.total()} not as they should be")
    for what, n in wrong.most_common():
        print(f"  {n} × {what}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
