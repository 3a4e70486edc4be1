"""A dataset that is there: episodes whose values are slices of one memory-mapped file a split."""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sim.errors import InputError
from sim.trace import Trace
from twins.dataset import cache, files, layout, manifest, shards
from twins.dataset.live import Readings, kept_as_traces
from twins.episode import Episode
from twins.varied import twin_of


@dataclass(frozen=True, eq=False)
class Dataset:
    """Made by `ensure`, `ensure_observed` or `open_dataset`. Times are in hours since each episode's epoch."""

    path: Path
    manifest: dict

    def __reduce__(self):
        return Dataset, (self.path, self.manifest)

    @staticmethod
    def open(path: str | Path) -> Dataset:
        """The finished dataset in folder *path*; its files are checked as `ensure` checks them."""
        path = Path(path)
        found = manifest.check(path) or manifest.read(path)
        if gone := manifest.missing(path, found):
            raise InputError(
                f"{path} lacks {', '.join(gone[:3])}{' …' * (len(gone) > 3)}; run the command that made it, which "
                "makes the missing shards anew"
            )
        return Dataset(path, found)

    @property
    def identity(self) -> str:
        return self.manifest["identity"]

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.manifest["splits"])

    @property
    def channels(self) -> list[dict]:
        """Every channel once: entity, quantity, unit, role, step_h (None where times are explicit)."""
        return self.manifest["channels"]

    def runs(self, split: str) -> list[int]:
        """The world runs (seeds) of a split."""
        return self._split(split)["runs"]

    def span(self, split: str) -> tuple[float, float]:
        """From and to, in hours: a window belongs to *split* if its first target lies in it. Infinite without cuts."""
        self._split(split)
        return tuple(self.manifest.get("spans", {}).get(split, (-np.inf, np.inf)))

    def episodes(self, split: str) -> list[Episode]:
        """The episodes of a split; values are read-only slices of a memory-mapped file.

        Where the data is split by cuts in time, an episode holds all that comes before the end of *split*, so that a
        window may look back over the start of its split; `span` says where first targets may lie.
        """
        if self.live:
            return [_rendered(episode) for episode in self.sensed(split)]
        self._split(split)
        if "spans" not in self.manifest:
            return self._episodes(split, [split], 1)
        order = list(self.manifest["spans"])
        return self._episodes("whole", order, order.index(split) + 1)

    @property
    def live(self) -> bool:
        """Whether what traces tell is rendered when it is read, and not stored."""
        return kept_as_traces(self.manifest)

    def sensed(self, split: str) -> list[Episode]:
        """As `episodes`, but of a `live` dataset values are rendered when they are read: `twins.sensors.render.Sensed`.

        Raises InputError where the dataset's twin cannot be built, or numbers come out differently, here.
        """
        if not self.live:
            return self.episodes(split)
        readings, found = self._readings, []
        for name in self._split(split)["shards"]:
            for _, episodes, missing in self._shard(name, traces=False):
                for episode in episodes:
                    gone = missing[episode.asset]
                    found.append(replace(episode, series=readings.filled(episode.run, episode.series, gone)))
        return found

    @cached_property
    def _readings(self) -> Readings:
        from twins.dataset.again import parts_of

        twin, _ = parts_of(self.manifest, self.path)
        if not manifest.made_here(self.manifest):
            raise InputError(
                f"{self.path} is kept as traces alone, made where numbers come out differently; read it on such a "
                "machine, or generate it anew here"
            )
        return Readings(lambda run: twin_of(twin, run), self.trace)

    def trace(self, run: int) -> Trace:
        """What the simulation left behind in world run *run*."""
        name, told = self._recorded.get(run, ("", {}))
        for trace in self._traces(name, run):
            return (
                replace(trace, seed=told["origin"]["run"]) if "origin" in told else trace
            )  # which addresses its noise
        raise InputError(f"{self.path} has no trace of run {run!r}; `runs(split)` lists what it has")

    def drawn(self, split: str) -> dict[int, dict[str, Any]]:
        """What was drawn of its world for each run of *split*, by its key; nothing where all runs are alike."""
        records = map(self.record, self._split(split)["shards"])
        return {run["run"]: run.get("drawn", {}) for record in records for run in record["runs"]}

    def origin(self, run: int) -> tuple[str, int] | None:
        """The dataset that a run of a merged one comes from, and its number there."""
        if run not in self._recorded:
            raise InputError(f"{self.path} has no run {run!r}; `runs(split)` lists what it has")
        origin = self._recorded[run][1].get("origin")
        return None if origin is None else (origin["dataset"], origin["run"])

    @cached_property
    def _recorded(self) -> dict[int, tuple[str, dict]]:
        """The first shard with anything of a run, and what that says of the run."""
        found: dict[int, tuple[str, dict]] = {}
        for shard in (shard for split in self.splits for shard in self._split(split)["shards"]):
            for told in self.record(shard)["runs"]:
                found.setdefault(told["run"], (shard, told))
        return found

    def record(self, shard: str) -> dict:
        """What a shard says of itself: its files, and of each run the content hash, what was drawn, its origin."""
        path = self.path / manifest.record_path(shard)
        with files.whole(path):
            return files.read_json(path)

    def shard(self, name: str) -> Iterator[tuple[Trace | None, list[Episode]]]:
        """The runs of one shard, read from its tables alone: trace and episodes."""
        for trace, episodes, missing in self._shard(name):
            filled = [
                replace(e, series=self._readings.filled(e.run, e.series, missing[e.asset])) if missing[e.asset] else e
                for e in episodes
            ]
            yield trace, list(map(_rendered, filled))

    def _shard(
        self, name: str, traces: bool = True
    ) -> Iterator[tuple[Trace | None, list[Episode], dict[str, list[int]]]]:
        """Of each run of a shard its trace, its episodes, and by asset which of its series have no values."""
        tables = {kind: self.rows(kind, name) for kind in ("episodes", "records")}
        series: dict[tuple, list] = {}
        missing: dict[tuple, list[int]] = {}
        table = shards.read(self._verified(f"series/{name}.parquet"))
        columns = (shards.floats(table.column(c)) for c in ("values", "times_h"))
        gone = table.column("values").is_null().to_pylist()
        rows = table.drop_columns(["values", "times_h"]).to_pylist()
        for row, values, times_h, left_out in zip(rows, *columns, gone, strict=True):
            listed = series.setdefault((row["run"], row["asset"]), [])
            if left_out:
                missing.setdefault((row["run"], row["asset"]), []).append(len(listed))
                values = np.broadcast_to(np.float32(np.nan), row["samples"])
            listed.append(shards.series_of(row, values, times_h))
        records = None if tables["records"] is None else shards.records_of(tables["records"])
        kept = {trace.seed: trace for trace in self._traces(name)} if traces else {}
        for run, rows in groupby(tables["episodes"] or (), key=lambda row: row["run"]):
            found = []
            for row in rows:
                key = (row["run"], row["asset"])
                told = None if records is None else records.get(key, ())
                found.append(shards.episode_of(row, tuple(series[key]), told))
            yield kept.get(run), found, {episode.asset: missing.get((run, episode.asset), []) for episode in found}

    def _traces(self, shard: str, run: int | None = None) -> Iterator[Trace]:
        name = f"traces/{shard}.parquet"
        return shards.traces_of(self._verified(name), run) if name in self.manifest["files"] else iter(())

    def rows(self, kind: str, shard: str) -> list[dict] | None:
        """The rows of a table of a shard; None where it has none of that kind."""
        name = f"{kind}/{shard}.parquet"
        return shards.read(self._verified(name)).to_pylist() if name in self.manifest["files"] else None

    def verify(self) -> None:
        """Read every file again; raises InputError naming those damaged or gone. A damaged cache is removed."""
        manifest.check(self.path, self.identity, thorough=True)
        Dataset.open(self.path)
        for certificate in (self.path / "cache").glob("*.f32.json"):
            cache.certified(certificate.with_suffix(""), self.manifest["content"], thorough=True)

    def _split(self, split: str) -> dict:
        if split not in self.manifest["splits"]:
            raise InputError(f"{self.path} has no split {split!r}; it has {', '.join(self.splits)}")
        return self.manifest["splits"][split]

    def _verified(self, name: str) -> pa.BufferReader:
        """A file of the dataset, once what was read of it has its SHA-256; raises InputError naming it otherwise."""
        path = self.path / name
        with files.whole(path):
            data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != self.manifest["files"][name]["sha256"]:
            raise files.damaged(path)
        return pa.BufferReader(data)

    def _tables(self, kind: str, split: str) -> list[Path]:
        return [self.path / kind / f"{name}.parquet" for name in self._split(split)["shards"]]

    def _episodes(self, name: str, parts: list[str], upto: int) -> list[Episode]:
        values, places = self._mapped(name, parts)
        episodes: dict[tuple, dict] = {}
        records: dict[tuple, tuple] = {}
        kept = False
        for shard in (shard for split in parts[:upto] for shard in self._split(split)["shards"]):
            if (told := self.rows("records", shard)) is not None:
                kept = True
                records |= shards.records_of(told)
            for row in self.rows("episodes", shard) or ():
                _merge(episodes.setdefault((row["run"], row["asset"]), row), row)
        series: dict[tuple, list] = {key: [] for key in episodes}
        for place in places:
            row = place.row
            if (key := (row["run"], row["asset"])) in series:
                count = sum(place.counts[:upto])
                times_h = None if row["step_h"] is not None else place.times_h[:count]
                flat = values[place.at : place.at + count * place.size]
                series[key].append(shards.series_of(row, flat, times_h))
        return [
            shards.episode_of(row, tuple(series[key]), records.get(key, ()) if kept else None)
            for key, row in episodes.items()
        ]

    def _mapped(self, name: str, parts: list[str]) -> tuple[np.ndarray, list[layout.Place]]:
        """The values of *parts*, series by series, and where each lies."""
        path, content = self.path / "cache" / f"{name}.f32", self.manifest["content"]
        tables = [self._tables("series", part) for part in parts]
        places = layout.of(tables)
        if cache.certified(path, content, layout.told(places)):
            return cache.mapped(path), places
        for table in itertools.chain(*tables):
            if not files.intact(table, self.manifest["files"][f"series/{table.name}"]):
                raise files.damaged(table)
        if not os.access(self.path, os.W_OK):
            return cache.gathered(tables, places), places
        with files.locked(self.path):
            if not cache.certified(path, content, layout.told(places)):
                cache.build(path, content, places, tables)
        return cache.mapped(path), places


def open_dataset(path: str | Path) -> Dataset:
    """The finished dataset in folder *path*."""
    return Dataset.open(path)


def _rendered(episode: Episode) -> Episode:
    """All values in memory."""
    return replace(episode, series=tuple(replace(s, values=np.asarray(s.values)) for s in episode.series))


def _merge(first: dict, row: dict) -> None:
    """Go on with what the next stretch of time tells: of a life that a cut ended, how it went on."""
    if first is not row:
        first["end_h"], first["events"] = row["end_h"], first["events"] + row["events"]
        first["spells"] = list({spell["start_h"]: spell for spell in first["spells"] + row["spells"]}.values())
