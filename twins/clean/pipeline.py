"""Steps of cleaning in a row: closed on the training split, applied to an episode, recorded, undone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from sim.errors import InputError, require
from sim.trace import Trace
from twins.clean.step import Step, record, undone
from twins.dataset.derived import declared, numbered, refuse_unknown
from twins.dataset.identity import describe, revive
from twins.dataset.store import Dataset
from twins.episode import Episode, Series

Key = tuple[str, str]
MOST = 20_000_000  # readings that steps are closed on, at most: of evenly spread episodes


@dataclass(frozen=True)
class Clean:
    """Declared steps, in their order."""

    steps: tuple[Step, ...]

    name: ClassVar[str] = "clean"

    def __post_init__(self):
        object.__setattr__(self, "steps", tuple(self.steps))
        require(bool(self.steps), self, "steps", "at least one")
        for i, step in enumerate(self.steps):
            if not isinstance(step, Step):
                raise InputError(f"clean[{i}] is {step!r}; it must be one of twins.clean (a node with _target_)")

    @property
    def revisions(self) -> list[int]:
        return [step.revision for step in self.steps]

    @property
    def looking_ahead(self) -> list[str]:
        """The steps by which a reading depends on later ones."""
        return [declared(self.name, i, step) for i, step in enumerate(self.steps) if step.looks_ahead]

    def close(self, train: Sequence[Episode]) -> Closed:
        """With all that is estimated on the training split, each step behind those before it.

        Raises InputError where a step names a quantity that the training split does not have.
        """
        refuse_unknown(self.steps, self.name, train)
        open_steps = [i for i, step in enumerate(self.steps) if step.open]
        if open_steps and not train:
            first = declared(self.name, open_steps[0], self.steps[open_steps[0]])
            raise InputError(f"{first} is estimated on the training split, of which there is none")
        series = [s for episode in _some(train) for s in episode.series] if open_steps else []
        closed: list[Step] = []
        for i, step in enumerate(self.steps):
            mine: dict[str, list[Series]] = {}
            for one in (s for s in series if step.takes(s)):
                mine.setdefault(one.quantity, []).append(one)
            closed.append(step.close(mine) if step.open else step)
            if any(later > i for later in open_steps):
                series = [closed[-1].clean(s).series if step.takes(s) else s for s in series]
        return Closed(tuple(closed))


def _some(train: Sequence[Episode]) -> Sequence[Episode]:
    total = sum(s.values.size for episode in train for s in episode.series)
    return train[:: max(1, -(-total // MOST))]


class Cleaned(NamedTuple):
    """An episode after all steps."""

    episode: Episode
    found: dict[Key, dict[int, np.ndarray]]  # by step: which samples of the series that came in it found, bool[n]
    counts: Sequence[Mapping[str, Any]]
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Closed:
    """Steps with every number in them. To `dataset.derived` they are steps too, of which nothing is estimated."""

    steps: tuple[Step, ...]

    name: ClassVar[str] = Clean.name

    @property
    def revisions(self) -> list[int]:
        return [step.revision for step in self.steps]

    def close(self, train: Sequence[Episode]) -> Closed:
        return self

    def __call__(self, episode: Episode, split: str = "") -> Cleaned:
        found: dict[Key, dict[int, np.ndarray]] = {}
        counts: list[dict[str, Any]] = []
        rows: list[dict[str, Any]] = []
        after: list[Series] = []
        names = numbered(self.steps)
        for series in episode.series:
            raw, place = len(series.values), None
            for i, step in enumerate(self.steps):
                if not step.takes(series):
                    continue
                done = step.clean(series)
                where = np.flatnonzero(done.found) if place is None else place[done.found]
                mask = np.zeros(raw, bool)
                mask[where[where >= 0]] = True
                found.setdefault(series.key, {})[i] = mask
                count = {"step": names[i], "quantity": series.quantity}
                counts.append(count | {"samples": len(series.values), "changed": int(done.found.sum())})
                if (told := record(series, done)) is not None:
                    key = {"run": episode.run, "asset": episode.asset, "entity": series.entity}
                    rows.append(key | {"quantity": series.quantity, "step": i} | told)
                if done.source is not None:
                    place = np.arange(raw) if place is None else place
                    place = np.where(done.source >= 0, place[done.source], -1)
                series = done.series
            after.append(series)
        return Cleaned(replace(episode, series=tuple(after)), found, counts, rows)

    def told(self) -> list[Any]:
        return [describe(step, f"clean[{i}]") for i, step in enumerate(self.steps)]

    @staticmethod
    def of(told: Sequence[Any]) -> Closed:
        """From what `told` gave; raises InputError where the code here has changed."""
        return Closed(Clean(tuple(revive(step, f"clean[{i}]") for i, step in enumerate(told))).steps)


def before(episode: Episode, rows: Sequence[Mapping[str, Any]]) -> Episode:
    """The episode that came in, from the one that came out and the rows of its record, bit for bit."""
    mine: dict[Key, list[Mapping[str, Any]]] = {}
    for row in rows:
        if (row["run"], row["asset"]) == (episode.run, episode.asset):
            mine.setdefault((row["entity"], row["quantity"]), []).append(row)
    series = []
    for one in episode.series:
        for row in sorted(mine.get(one.key, ()), key=lambda row: -row["step"]):
            one = undone(one, row)
        series.append(one)
    return replace(episode, series=tuple(series))


def restored(dataset: Dataset, shard: str) -> Iterator[tuple[Trace | None, list[Episode]]]:
    """The runs of one shard of a cleaned *dataset* as they were before, from its own tables alone."""
    rows = dataset.rows("changes", shard) or ()
    for trace, episodes in dataset.shard(shard):
        yield trace, [before(episode, rows) for episode in episodes]
