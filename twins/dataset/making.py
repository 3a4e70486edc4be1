"""One shard at a time: its files, made by a worker, and put where the dataset is by whoever sees its folder."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.trace import Trace
from twins.dataset import files, health, manifest, shards
from twins.episode import Episode
from twins.executors.executor import TIMES, Again
from twins.executors.platform import probe

RECIPE = "cache/recipe.json"  # what is being made in a folder that has no manifest yet
ShardFiles = dict[str, Any]  # the bytes of each file by its path in the dataset, the record last


@dataclass(frozen=True)
class Shard:
    """Consecutive world runs of one split: seeds from the first up to, not including, the second of `seeds`."""

    split: str
    index: int
    seeds: tuple[int, int]

    @property
    def name(self) -> str:
        return f"{self.split}-{self.index:05d}"


@dataclass(frozen=True)
class Place:
    """The folder of a dataset as workers see it: they write there, or hand their files over where they do not see it.

    That a folder of the same name is the same one is told by a *mark* in it.
    """

    directory: Path
    mark: str
    make: Callable[[Any], ShardFiles]

    @staticmethod
    def of(directory: Path, configuration: dict, make: Callable[[Any], ShardFiles]) -> Place:
        """Mark the folder, which the caller holds, and put down what is made there, so that a shard can be replayed."""
        mark = os.urandom(8).hex()
        files.write_json(directory / RECIPE, {"configuration": configuration, "mark": mark})
        return Place(directory.resolve(), mark, make)

    def __call__(self, shard: Any) -> ShardFiles | None:
        """Make *shard*: None where it was written, else its files. Raises Again for what no user can mend."""
        try:
            made = self.make(shard)
        except InputError:
            raise
        except Exception as error:
            where = "".join(f" {note}" for note in getattr(error, "__notes__", ()))
            raise Again(f"with {type(error).__name__}: {error}{where}") from error
        if not self.seen():
            return made
        self.receive(made)
        return None

    def seen(self) -> bool:
        """Whether this process sees the folder."""
        try:
            return files.read_json(self.directory / RECIPE)["mark"] == self.mark
        except (OSError, ValueError, KeyError):
            return False

    def receive(self, made: ShardFiles | None) -> None:
        """Write the files of a shard, the record last: it says that they are whole."""
        for path, data in (made or {}).items():
            files.put(self.directory / path, [data])


def shard_files(
    identity: str,
    split: str,
    name: str,
    runs: Sequence[tuple[Trace | None, Sequence[Episode]]],
    differ: Mapping[int, Mapping[str, Any]] | None = None,
    home: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> ShardFiles:
    """The tables of *runs*, *more* of them that are bytes already, and the record that says what they are, in what each
    run differs, and where it was made if that has another numeric probe than *home*."""
    episodes = [episode for _, observed in runs for episode in observed]
    for _, observed in runs:
        shards.check(observed)
    tables = {"series": shards.series_bytes(episodes), "episodes": shards.episodes_bytes(episodes)}
    if any(episode.records is not None for episode in episodes):
        tables["records"] = shards.records_bytes(episodes)
    if traces := [trace for trace, _ in runs if trace is not None]:
        tables["traces"] = shards.traces_bytes(traces)
    made: ShardFiles = {f"{kind}/{name}.parquet": data for kind, data in (tables | dict(more or {})).items()}
    held = {path: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for path, data in made.items()}
    record = manifest.record(identity, split, held, runs, differ or {}, home or probe())
    return made | {manifest.record_path(name): files.seal(record)}


def failure(directory: Path, shard: Any, why: str) -> InputError:
    """The end of a run by one shard, with the command that makes it alone."""
    runs, replay = "", "run the same command again"
    if isinstance(shard, Shard):
        runs = f" (world runs of seeds {shard.seeds[0]} to {shard.seeds[1] - 1})"
        replay = f"`{health.COMMAND} replay '{directory}' {shard.name}` makes it alone, in one process"
    return InputError(f"shard {shard.name}{runs} failed {TIMES} times, the last time {why}; the rest is kept; {replay}")
