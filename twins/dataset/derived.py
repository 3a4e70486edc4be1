"""Datasets made from datasets: every episode passed through declared steps, run by run, and named by all of it.

What has to be estimated is estimated on the training split alone, before any episode is passed through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, ClassVar, Protocol

from sim.errors import InputError
from sim.trace import Trace
from twins.channel import Role
from twins.dataset import manifest, shards
from twins.dataset.generate import Progress, complete
from twins.dataset.identity import describe, identity
from twins.dataset.making import ShardFiles, shard_files
from twins.dataset.store import Dataset, open_dataset
from twins.episode import Episode, Series
from twins.executors.executor import Executor
from twins.executors.platform import probe

HIDDEN = (Role.TRUTH, Role.STATIC)


def meant(series: Series, quantities: Sequence[str]) -> bool:
    """Whether a series of numbers is meant: by one of the patterns, or, without any, as a target."""
    if series.shape or series.role in HIDDEN:
        return False
    if not quantities:
        return series.role == Role.TARGET
    return any(fnmatchcase(series.quantity, pattern) for pattern in quantities)


def numbered(steps: Sequence[Any]) -> list[str]:
    """What each step is called in counts and tables: its place and its kind."""
    return [f"{i} {type(step).__name__}" for i, step in enumerate(steps)]


def declared(name: str, place: int, step: Any) -> str:
    """What a step is called where something is wrong with it: `clean[0] (Range)`."""
    return f"{name}[{place}] ({type(step).__name__})"


def refuse_unknown(steps: Sequence[Any], name: str, train: Sequence[Episode]) -> None:
    """Refuse *steps* that name a quantity, or give a pattern, of which the training split has no series of numbers, or
    declare something, such as limits, of one that they do not take.

    They name them in `quantities` and as the keys of every mapping. Without episodes nothing is known.
    """
    if not train:
        return
    kinds = {(s.quantity, s.role): s for e in train for s in e.series if not s.shape and s.role not in HIDDEN}.values()
    there = sorted({s.quantity for s in kinds})
    for i, step in enumerate(steps):
        for field in fields(step):
            value, said = getattr(step, field.name), f"{declared(name, i, step)}: {field.name} names"
            patterns = value if field.name == "quantities" else ()
            keys = value if isinstance(value, Mapping) else ()
            for one in (*patterns, *keys):
                if not (any(fnmatchcase(q, one) for q in there) if patterns else one in there):
                    raise InputError(
                        f"{said} {one!r}, which is no quantity of the training split; it has "
                        f"{', '.join(there) or 'none'}"
                    )
            taken = sorted({s.quantity for s in kinds if step.takes(s)}) if keys else []
            for one in keys:
                if one not in taken:
                    raise InputError(
                        f"{said} {one!r}, which it does not take; it takes {', '.join(taken) or 'none'}, unless "
                        "quantities names others"
                    )


class Passed(Protocol):
    """What came of an episode."""

    @property
    def episode(self) -> Episode: ...

    @property
    def counts(self) -> Sequence[Mapping[str, Any]]:
        """What was changed: step, quantity, samples looked at, samples changed."""
        ...

    @property
    def rows(self) -> Sequence[Mapping[str, Any]]:
        """Rows of the table `changes`, from which the episode that came in can be had again."""
        ...


class Closed(Protocol):
    """Steps with every number in them."""

    def __call__(self, episode: Episode, split: str) -> Passed: ...

    def told(self) -> Any:
        """All those numbers, as plain JSON."""
        ...


class Steps(Protocol):
    """Steps as they are declared; `name` says what they do: clean, faults."""

    name: ClassVar[str]

    @property
    def revisions(self) -> Sequence[int]:
        """Of each step; raised where the same step would give something else."""
        ...

    def close(self, train: Sequence[Episode]) -> Closed:
        """With what is estimated on the episodes of the training split."""
        ...


@dataclass(frozen=True, eq=False)
class _Part:
    """One shard of the source, as a shard of what is made from it."""

    split: str
    name: str


@dataclass(frozen=True, eq=False)
class _Maker:
    """What a worker needs to make any shard."""

    source: Dataset
    closed: Closed
    identity: str
    home: str  # the numeric probe of the process that asks

    def __call__(self, part: _Part) -> ShardFiles:
        runs: list[tuple[Trace | None, list[Episode]]] = []
        differ: dict[int, dict[str, Any]] = {}
        rows: list[Mapping[str, Any]] = []
        before = {run["run"]: run for run in self.source.record(part.name)["runs"]}
        for trace, episodes in self.source.shard(part.name):
            passed = [self.closed(episode, part.split) for episode in episodes]
            run = episodes[0].run
            told: dict[tuple, dict] = {}
            runs.append((trace, [one.episode for one in passed]))
            rows += [row for one in passed for row in one.rows]
            for one in passed:
                manifest.add(told, one.counts)
            kept = {key: before[run][key] for key in ("drawn", "origin") if key in before[run]}
            differ[run] = {**kept, "before": before[run]["content"], "changed": list(told.values())}
        more = {"changes": shards.changes_bytes(rows)} if rows else {}
        return shard_files(self.identity, part.split, part.name, runs, differ, self.home, more)


def configuration(source: dict, steps: Steps) -> dict:
    """All that the dataset depends on that *steps* make from one of the configuration *source*, as plain JSON."""
    if steps.name in source:
        raise InputError(f"the dataset has been through {steps.name} already; make it from the one before")
    return source | {steps.name: {"steps": describe(steps, steps.name), "revisions": list(steps.revisions)}}


def derive(
    source: Dataset,
    steps: Steps,
    root: str | Path,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Dataset:
    """The dataset that *steps* make from *source*, under *root*; made, taken up where it was left, or reused."""
    described = configuration(source.manifest["configuration"], steps)
    stem = source.path.name.rpartition("-")[0] or source.path.name
    directory = Path(root) / f"{stem}-{steps.name}-{identity(described)[:12]}"
    named = identity(described)
    found = manifest.check(directory, named)
    if found and not manifest.missing(directory, found):
        return Dataset.open(directory)
    closed = steps.close(source.episodes("train") if "train" in source.splits else ())
    parts = [_Part(split, name) for split in source.splits for name in source.manifest["splits"][split]["shards"]]

    make = _Maker(source, closed, named, probe())
    extra = {key: source.manifest[key] for key in ("spans", "source", "findings") if key in source.manifest}
    extra |= {"made_from": {"name": source.path.name, "content": source.manifest["content"]}}
    extra |= {"closed": {**source.manifest.get("closed", {}), steps.name: closed.told()}}
    return complete(directory, described, parts, make, executor, progress, **extra)


def origin(dataset: Dataset) -> Path:
    """The folder of the dataset that *dataset* was first made from, or its own where it was not made from another."""
    path, told = dataset.path, dataset.manifest
    while "made_from" in told:
        path = path.parent / told["made_from"]["name"]
        if not path.is_dir():
            return dataset.path
        told = open_dataset(path).manifest
    return path
