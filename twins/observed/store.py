"""Observed records as a dataset: episodes cut into splits and put into the store that simulated ones use."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sim.errors import InputError
from twins import units
from twins.channel import Role
from twins.dataset import files, manifest
from twins.dataset.generate import Progress, complete
from twins.dataset.identity import describe, identity
from twins.dataset.making import ShardFiles, shard_files
from twins.dataset.shards import SCHEMA_VERSION
from twins.dataset.store import Dataset
from twins.episode import CENSORED, Episode, Series, Spell
from twins.observed.clock import Record, records
from twins.observed.read import Rows, read
from twins.observed.table import SPLITS, Assets, Cuts, Table

REVISION = 2  # raised when the same file and configuration would give other episodes
EPISODES_A_SHARD = 64
NEAR_H = 1e-9  # two times closer than this are one, whatever rounding made of them


@dataclass(frozen=True, eq=False)
class _Part:
    split: str
    index: int
    episodes: list[Episode]

    @property
    def name(self) -> str:
        return f"{self.split}-{self.index:05d}"


def ensure_observed(table: Table, root: str | Path, progress: Progress | None = None) -> Dataset:
    """The dataset of *table* under *root*: read, checked and stored, or reused where the file and *table* are the same.

    Each asset is a run of its own. Raises InputError naming file and line for what cannot be read.
    """
    path = Path(table.path)
    try:
        digest = files.sha256(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give the path of a table of readings") from None
    beside = [Path(name) for name in (table.test, table.left) if name]
    if beside:
        digest = hashlib.sha256("".join([digest, *map(_digest, beside)]).encode()).hexdigest()
    names = {"path": path.name, "test": Path(table.test).name, "left": Path(table.left).name}
    named = describe(replace(table, **names), "table")
    configuration = {"table": named, "file": digest, "revision": REVISION, "schema": SCHEMA_VERSION}
    stem = re.sub(r"[^a-z0-9]+", "-", path.stem.lower()).strip("-") or "table"
    directory = Path(root) / f"{stem}-{identity(configuration)[:12]}"
    found = manifest.check(directory, identity(configuration))
    if found and not manifest.missing(directory, found):
        return Dataset.open(directory)
    rows = read(table)
    made, step_h, findings = records(table, rows)
    episodes = [_episode(table, rows, record, step_h, run) for run, record in enumerate(made)]
    splits, spans = _split(table, episodes, step_h, findings)
    if table.test:
        splits["test"], more = _second(table, len(episodes), step_h)
        findings = findings + more
    parts = [
        _Part(split, i, members[at : at + EPISODES_A_SHARD])
        for split, members in splits.items()
        for i, at in enumerate(range(0, len(members), EPISODES_A_SHARD))
    ]
    extra: dict = {"source": {"file": path.name, "sha256": digest, "rows": len(rows.line)}, "findings": findings}
    if spans:
        extra["spans"] = spans

    def make(part: _Part) -> ShardFiles:
        return shard_files(
            identity(configuration), part.split, part.name, [(None, [episode]) for episode in part.episodes]
        )

    return complete(directory, configuration, parts, make, progress=progress, **extra)


def _digest(path: Path) -> str:
    try:
        return files.sha256(path)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give the path of a file beside the table") from None


def _second(table: Table, first_run: int, step_h: float | None) -> tuple[list[Episode], list[dict]]:
    """The episodes of the file `test`, whose records are cut: their lives go on for what `left` tells, if given."""
    other = replace(table, path=table.test, test="", left="", ends="", step_h=step_h)
    rows = read(other)
    made, _, findings = records(other, rows)
    episodes = [_episode(other, rows, record, step_h, run) for run, record in enumerate(made, first_run)]
    if not table.left:
        return episodes, findings
    left_h = _left_h(table, len(episodes))
    return [
        replace(
            episode,
            spells=(
                Spell(
                    start_h := float(episode.series[0].clock_h()[0]),
                    episode.end_h,
                    CENSORED,
                    episode.end_h - start_h,
                    episode.end_h - start_h + more_h,
                ),
            ),
        )
        for episode, more_h in zip(episodes, left_h, strict=True)
    ], findings


def _left_h(table: Table, count: int) -> np.ndarray:
    """The numbers of the file `left` in hours; raises InputError where one is no life, or they are not *count*."""
    try:
        lines = Path(table.left).read_text(encoding=table.encoding).split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{table.left} is not text in {table.encoding}; give one number a line") from None
    values = []
    for number, cell in ((number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()):
        try:
            values.append(float(cell))
        except ValueError:
            values.append(math.nan)
        if not 0 <= values[-1] < math.inf:
            raise InputError(f"{table.left}, line {number}: {cell!r}; it must be a life left of at least 0")
    if len(values) != count:
        raise InputError(f"{table.left} has {len(values)} lives, {table.test} has {count} assets; give one for each")
    return units.convert(np.array(values), table.time_unit, "h")


def _episode(table: Table, rows: Rows, record: Record, step_h: float | None, run: int) -> Episode:
    asset = record.asset or Path(table.path).stem
    series = []
    for name, column in rows.columns.items():
        if column.role is Role.STATIC:
            continue
        series.append(
            Series(
                column.entity or asset,
                column.quantity or name,
                column.to or column.unit,
                column.role,
                record.values[name].astype(np.float32),
                0.0 if step_h is None else record.first * step_h,
                step_h,
                record.time_h if step_h is None else None,
            )
        )
    last_h = float(record.time_h[-1])
    end_h = last_h + step_h if step_h else math.nextafter(last_h, math.inf)  # a record owns the samples before its end
    life = (Spell(float(record.time_h[0]), end_h, table.ends, end_h - float(record.time_h[0])),) if table.ends else ()
    return Episode(run, asset, tuple(series), (), life, _static(table, rows, record), {}, rows.epoch, end_h)


def _static(table: Table, rows: Rows, record: Record) -> dict[str, float | str]:
    facts: dict[str, float | str] = {}
    index = np.sort(record.rows[record.rows >= 0])
    for name, cells in rows.texts.items():
        column = rows.columns[name]
        first = cells[index[0]]
        for row in index:
            if cells[row] != first:
                raise InputError(
                    f"{table.path}, line {rows.line[row]}: {name} is {cells[row]!r} but was {first!r} for the same "
                    "asset; a static column must not change: give it another role"
                )
        try:
            facts[column.quantity or name] = float(
                units.convert(np.array([float(first)]), column.unit, column.to or column.unit)[0]
            )
        except ValueError:
            facts[column.quantity or name] = first
    return facts


def _split(
    table: Table, episodes: list[Episode], step_h: float | None, findings: list[dict]
) -> tuple[dict[str, list[Episode]], dict[str, list[float]]]:
    splits = table.splits
    if isinstance(splits, str):
        return {splits: episodes}, {}
    if isinstance(splits, Assets):
        return _by_asset(table, splits, _kept(splits, episodes)), {}
    return _by_time(table, splits, episodes, step_h, findings)


def _kept(splits: Assets, episodes: list[Episode]) -> list[Episode]:
    """The share of the assets that is used, chosen by a hash of the seed and their names."""

    def order(episode: Episode) -> bytes:
        return hashlib.sha256(f"{splits.seed}/{episode.asset}".encode()).digest()

    chosen = {id(e) for e in sorted(episodes, key=order)[: max(round(splits.keep * len(episodes)), 1)]}
    return [e for e in episodes if id(e) in chosen]


def _by_asset(table: Table, splits: Assets, episodes: list[Episode]) -> dict[str, list[Episode]]:
    names = [episode.asset for episode in episodes]
    shuffled = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
    chosen: dict[str, list[str]] = {}
    for split in SPLITS[1:]:
        wanted = getattr(splits, split)
        if isinstance(wanted, tuple):
            if unknown := [name for name in wanted if name not in names]:
                shown = ", ".join(names[:6]) + ", …" * (len(names) > 6)
                raise InputError(f"Assets.{split} names {unknown[0]!r}; the assets of {table.path} are {shown}")
            chosen[split] = list(wanted)
        else:
            taken = {name for names in chosen.values() for name in names}
            chosen[split] = [name for name in shuffled if name not in taken][: round(wanted * len(names))]
    if both := set(chosen["validation"]) & set(chosen["test"]):
        raise InputError(f"Assets puts {min(both)!r} into validation and test; an asset belongs to one split")
    other = {name: split for split, members in chosen.items() for name in members}
    parted = {split: [e for e in episodes if other.get(e.asset, "train") == split] for split in SPLITS}
    return {split: members for split, members in parted.items() if members}


def _by_time(
    table: Table, cuts: Cuts, episodes: list[Episode], step_h: float | None, findings: list[dict]
) -> tuple[dict[str, list[Episode]], dict[str, list[float]]]:
    if cuts.unit == "rows" and step_h is None:
        raise InputError(
            "Cuts.unit is 'rows', but the clock is not regular; give the cuts in a unit of time, such as h"
        )
    unit_h = step_h if cuts.unit == "rows" else float(units.convert(np.array([1.0]), cuts.unit, "h")[0])
    assert unit_h
    at = first = min(float(episode.series[0].clock_h()[0]) for episode in episodes)
    end = max(episode.end_h for episode in episodes)
    parted, spans = {}, {}
    for split in SPLITS:
        length = getattr(cuts, split)
        to = end if length is None else at + length * unit_h
        if length and to > end + 1e-9 * max(1.0, end):
            asked, there = (f"{(t - first) / unit_h:g} {cuts.unit}" for t in (to, end))
            raise InputError(f"Cuts ends {split} after {asked}, but {table.path} has {there}; give shorter cuts")
        if to > at:
            members = [part for episode in episodes if (part := _cut(episode, at, to, step_h)) is not None]
            if not members:
                raise InputError(
                    f"Cuts gives {split} no row of {table.path} between {at:g} h and {to:g} h; move the cuts"
                )
            parted[split], spans[split] = members, [at, to]
        at = to
    if at < end - 1e-9 * max(1.0, end):
        left = sum(int(np.sum(e.series[0].clock_h() >= at - 1e-9)) for e in episodes)
        findings.append({"check": "cut", "column": "", "count": left, "lines": [], "did": f"left out: after {at:g} h"})
    return parted, spans


def _cut(episode: Episode, from_h: float, to_h: float, step_h: float | None) -> Episode | None:
    series = []
    for s in episode.series:
        if step_h is None:
            a, b = np.searchsorted(s.clock_h(), [from_h, to_h])
        else:  # sample k belongs to the stretch that k·step lies in, whatever the rounding of the cut
            first = round(s.start_h / step_h)
            a, b = (min(max(_ceil(edge / step_h) - first, 0), len(s.values)) for edge in (from_h, to_h))
        if a < b:
            times_h = None if s.times_h is None else s.times_h[a:b]
            start_h = s.start_h if step_h is None else (round(s.start_h / step_h) + a) * step_h
            series.append(replace(s, values=s.values[a:b], times_h=times_h, start_h=start_h))
    if not series:
        return None
    spells = (_seen(spell, to_h) for spell in episode.spells if spell.start_h < to_h and from_h < spell.end_h - NEAR_H)
    return replace(episode, series=tuple(series), spells=tuple(spells), end_h=min(episode.end_h, to_h))


def _seen(life: Spell, to_h: float) -> Spell:
    """What is known of a life at a cut in time: of one that goes on, nothing but that it does."""
    if life.end_h <= to_h + NEAR_H:
        return life._replace(end_h=min(life.end_h, to_h))
    return Spell(life.start_h, to_h, CENSORED, to_h - life.start_h)


def _ceil(ratio: float) -> int:
    near = round(ratio)
    return near if abs(ratio - near) < 1e-6 else int(np.ceil(ratio))
