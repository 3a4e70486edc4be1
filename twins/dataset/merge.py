"""Several datasets of the same channels as one: their runs numbered anew, each with the run that it was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sim.errors import InputError
from twins.dataset import shards
from twins.dataset.generate import SPLITS, Progress, complete
from twins.dataset.identity import identity
from twins.dataset.making import ShardFiles, shard_files
from twins.dataset.store import Dataset


@dataclass(frozen=True, eq=False)
class _Part:
    """One shard of one source, as a shard of the merged dataset whose runs are counted from *first*."""

    split: str
    index: int
    source: Dataset
    shard: str
    first: int

    @property
    def name(self) -> str:
        return f"{self.split}-{self.index:05d}"


def merge(sources: Sequence[Dataset], root: str | Path, progress: Progress | None = None) -> Dataset:
    """All runs of *sources* under *root*, each in the split that it was in; numbered from 0 through the splits.

    What a run was is kept: `Dataset.origin(run)` names its dataset and its number there. Raises InputError where the
    channels of two sources differ, or a run is in both, since it could come to stand in two splits.
    """
    if len(sources) < 2:
        raise InputError(f"{len(sources)} dataset is nothing to merge; name at least two")
    for other in sources[1:]:
        _refuse(sources[0], other)
    _refuse_twice(sources)
    told = [
        {
            "name": source.path.name,
            "identity": source.identity,
            "content": source.manifest["content"],
            "configuration": source.manifest["configuration"],
        }
        for source in sources
    ]
    configuration = {"merged": told, "schema": shards.SCHEMA_VERSION}
    named = identity(configuration)
    directory = Path(root) / f"merged-{named[:12]}"
    parts: list[_Part] = []
    first = 0
    order = [*SPLITS, *sorted({split for s in sources for split in s.splits} - set(SPLITS))]
    for split in order:
        index = 0
        for source in (s for s in sources if split in s.splits):
            for shard in source.manifest["splits"][split]["shards"]:
                parts.append(_Part(split, index, source, shard, first))
                first += len({run["run"] for run in source.record(shard)["runs"]})
                index += 1

    def make(part: _Part) -> ShardFiles:
        runs, differ = [], {}
        record = {run["run"]: run for run in part.source.record(part.shard)["runs"]}
        number = {run: part.first + i for i, run in enumerate(record)}
        for trace, episodes in part.source.shard(part.shard):
            run = episodes[0].run
            new = number[run]
            runs.append((trace and replace(trace, seed=new), [replace(episode, run=new) for episode in episodes]))
            first = {"dataset": part.source.path.name, "run": run, "content": record[run]["content"]}
            kept = {"drawn": record[run]["drawn"]} if "drawn" in record[run] else {}
            differ[new] = kept | {"origin": record[run].get("origin", first)}
        return shard_files(named, part.split, part.name, runs, differ)

    return complete(directory, configuration, parts, make, progress=progress)


def _refuse(first: Dataset, other: Dataset) -> None:
    for dataset in (first, other):
        if "spans" in dataset.manifest:
            raise InputError(f"{dataset.path} is split by cuts in time; only datasets that are split by run are merged")
    ours, theirs = ({_key(c): _told(c) for c in d.channels} for d in (first, other))
    for key in [*ours, *theirs]:
        a, b = ours.get(key), theirs.get(key)
        if a is None or b is None:
            where, lacks = (first, other) if b is None else (other, first)
            raise InputError(f"{lacks.path} has no channel {key}, {where.path} has; merged ones need the same channels")
        if a != b:
            field = next(name for name in a if a[name] != b[name])
            raise InputError(
                f"channel {key} has the {field} {a[field]} in {first.path} and {b[field]} in {other.path}; merged "
                "datasets need the same units, roles and clocks"
            )


def _refuse_twice(sources: Sequence[Dataset]) -> None:
    seen: dict[str, tuple[Dataset, int]] = {}
    for source in sources:
        here = {}
        for split in source.splits:
            for shard in source.manifest["splits"][split]["shards"]:
                runs = source.record(shard)["runs"]
                here |= {run.get("origin", run)["content"]: (source, run["run"]) for run in runs}
        if both := here.keys() & seen.keys():
            (a, i), (b, j) = (found[min(both)] for found in (seen, here))
            raise InputError(
                f"run {i} of {a.path} is run {j} of {b.path}; a run counts once, or it may teach and test alike"
            )
        seen |= here


def _key(channel: dict) -> str:
    return f"{channel['entity']}/{channel['quantity']}"


def _told(channel: dict) -> dict[str, Any]:
    return {name: channel.get(name) for name in ("unit", "role", "step_h", "shape")}
