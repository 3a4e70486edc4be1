"""What the values of a dataset are: of each quantity how its readings are distributed and how many are missing, run by
run, so that two datasets can be set against each other with the world run as the unit of chance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from twins.dataset.store import Dataset
from twins.episode import CENSORED, PLANNED, Episode, Series

MOST = 400_000  # values of one quantity that are looked at; more are thinned evenly


@dataclass(frozen=True, eq=False)
class Column:
    """All readings of one quantity of a split."""

    quantity: str
    unit: str
    role: str
    step_h: float | None
    shape: tuple[int, ...]
    entities: tuple[str, ...]
    values_R: tuple[np.ndarray, ...]  # of each run, not missing, thinned where there are very many
    seen_R: np.ndarray  # samples that are there
    missing_R: np.ndarray  # samples that are not
    gap: int  # the longest stretch of missing samples

    @property
    def key(self) -> tuple[str, str, str]:
        return self.quantity, self.unit, self.role

    @property
    def values(self) -> np.ndarray:
        return np.concatenate([np.empty(0), *self.values_R])

    @property
    def missing(self) -> float:
        """The share of samples that are missing."""
        return float(self.missing_R.sum() / max(self.missing_R.sum() + self.seen_R.sum(), 1))


def columns(dataset: Dataset, splits: Sequence[str]) -> list[Column]:
    """Every quantity of *splits*, all entities together, in the order of the channels."""
    found: dict[tuple, dict[int, list[Series]]] = {}
    for split in splits:
        for episode in dataset.episodes(split):
            for s in episode.series:
                found.setdefault((s.quantity, s.unit, str(s.role)), {}).setdefault(episode.run, []).append(s)
    return [_column(key, runs) for key, runs in found.items()]


def _column(key: tuple[str, str, str], runs: dict[int, list[Series]]) -> Column:
    first = next(iter(runs.values()))[0]
    samples = sum(s.values.size for series in runs.values() for s in series)
    stride = 1 if first.shape else max(1, -(-samples // MOST))
    values, seen, missing, gap = [], [], [], 0
    for series in runs.values():
        flat = [s.values.reshape(len(s.values), -1) for s in series]
        there = [np.asarray(np.isfinite(x).all(1)) for x in flat]
        seen.append(sum(int(t.sum()) for t in there))
        missing.append(sum(len(t) for t in there) - seen[-1])
        gap = max([gap, *(_longest(~t) for t in there)])
        kept = [] if first.shape else [x[::stride][t[::stride], 0] for x, t in zip(flat, there, strict=True)]
        values.append(np.concatenate([np.empty(0), *kept]))
    entities = tuple(dict.fromkeys(s.entity for series in runs.values() for s in series))
    clock = first.step_h, first.shape
    return Column(*key, *clock, entities, tuple(values), np.array(seen), np.array(missing), gap)


def _longest(on: np.ndarray) -> int:
    """The length of the longest stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], on.view(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def events(episodes: Iterable[Episode]) -> list[tuple[str, str, int, int]]:
    """Kind, cause, how many, and in how many runs: most frequent first."""
    count: Counter[tuple[str, str]] = Counter()
    runs: dict[tuple[str, str], set[int]] = {}
    for episode in episodes:
        for event in episode.events:
            count[event.kind, event.cause] += 1
            runs.setdefault((event.kind, event.cause), set()).add(episode.run)
    return [(*key, n, len(runs[key])) for key, n in count.most_common()]


def lives(episodes: Iterable[Episode]) -> dict[str, np.ndarray]:
    """Hours of each life by how it ended: a cause of failure, planned work, or the end of the run."""
    found: dict[str, list[float]] = {}
    for episode in episodes:
        for spell in episode.spells:
            name = {CENSORED: "end of the run", PLANNED: "planned work"}.get(spell.cause, spell.cause)
            found.setdefault(name, []).append(spell.end_h - spell.start_h)
    return {name: np.array(hours) for name, hours in sorted(found.items(), key=lambda item: -len(item[1]))}
