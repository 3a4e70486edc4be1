"""A search over whole numbers by noisy trials: a Latin start, generations by non-dominated sorting, races, and a climb.

Every trial is (point, replication); the replications of all points share their random numbers, so points are compared
by paired differences. It is a function of its settings and of what the trials answer: repeated on kept answers, it
takes the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from sim.errors import require

Point = tuple[int, ...]
# Answers to (point, replication), float64[tasks, K]: more is better; the last column is the goal, the others the front.
Play = Callable[[Sequence[tuple[Point, int]]], Any]


@dataclass(frozen=True)
class Search:
    """How long and how widely to search."""

    population: int = 24
    generations: int = 8
    first: int = 4  # replications before a point may be dropped
    replications: int = 12  # of a point that is kept
    climbs: int = 6  # rounds of trying every neighbour of the best, at most
    level: float = 0.05  # at which a race drops a point that is beaten in everything
    seed: int = 0

    def __post_init__(self):
        require(self.population >= 4, self, "population", "at least 4")
        require(self.generations >= 0, self, "generations", "at least 0")
        require(2 <= self.first <= self.replications, self, "first", "at least 2 and at most replications")
        require(self.climbs >= 0, self, "climbs", "at least 0")
        require(0 < self.level < 0.5, self, "level", "between 0 and .5")

    def run(self, sizes: Point, play: Play) -> dict[Point, np.ndarray]:
        """Every point that no race dropped, with its answers, float64[replications, K]."""
        race = _Race(self, play)
        race.enter(latin(sizes, self.population, np.random.default_rng([self.seed, 0])))
        for generation in range(1, self.generations + 1):
            race.enter(self._children(race.kept, sizes, np.random.default_rng([self.seed, generation])))
        for _ in range(self.climbs):
            best = race.best
            race.enter(neighbours(best, sizes))
            if race.best == best:
                break
        return race.kept

    def _children(self, kept: dict[Point, np.ndarray], sizes: Point, rng: np.random.Generator) -> list[Point]:
        """Each from two parents that won a tournament of two, gene by gene from either, some genes moved."""
        points = list(kept)
        order = np.argsort(standing(np.array([kept[p].mean(0)[:-1] for p in points])))[: self.population]
        children = []
        for _ in range(self.population):
            mother, father = (points[order[rng.integers(len(order), size=2).min()]] for _ in range(2))
            genes = np.where(rng.random(len(sizes)) < 0.5, mother, father)
            moved = rng.random(len(sizes)) < 1 / len(sizes)
            step = rng.geometric(0.4, len(sizes)) * rng.choice((-1, 1), len(sizes))
            children.append(tuple(np.clip(genes + moved * step, 0, np.array(sizes) - 1).tolist()))
        return children


@dataclass
class _Race:
    """Points that enter play a few replications; those that a point of the front beats for certain play no more."""

    search: Search
    play: Play
    kept: dict[Point, np.ndarray] = field(default_factory=dict)
    dropped: set[Point] = field(default_factory=set)

    @property
    def best(self) -> Point:
        return max(self.kept, key=lambda p: (self.kept[p][:, -1].mean(), p))

    def enter(self, points: Sequence[Point]) -> None:
        first, every = self.search.first, self.search.replications
        new = [p for p in dict.fromkeys(points) if p not in self.kept and p not in self.dropped]
        begun = self._played(new, range(first))
        seen = {p: values[:first] for p, values in self.kept.items()} | begun
        leaders = [seen[p] for p in front(seen)]
        left = [p for p in new if not any(self._beats(other, begun[p]) for other in leaders)]
        self.dropped |= set(new) - set(left)
        rest = self._played(left, range(first, every))
        self.kept |= {p: np.concatenate((begun[p], rest[p])) for p in left}

    def _played(self, points: Sequence[Point], replications: range) -> dict[Point, np.ndarray]:
        answers = np.asarray(self.play([(p, k) for p in points for k in replications]), np.float64)
        return dict(zip(points, answers.reshape(len(points), len(replications), -1), strict=True)) if points else {}

    def _beats(self, other: np.ndarray, own: np.ndarray) -> bool:
        """Whether *other* is better in every column, by a one-sided paired test of each, and not equal."""
        gain = other - own
        mean, sd = gain.mean(0), gain.std(0, ddof=1)
        low = mean - stats.t.isf(self.search.level, len(gain) - 1) * sd / np.sqrt(len(gain))
        return bool((low >= 0).all() and (low > 0).any())


def latin(sizes: Point, count: int, rng: np.random.Generator) -> list[Point]:
    """*count* points whose every number is spread evenly over its range (Latin hypercube)."""
    columns = [((rng.permutation(count) + rng.random(count)) / count * size).astype(int) for size in sizes]
    return [tuple(int(v) for v in row) for row in zip(*columns, strict=True)]


def neighbours(point: Point, sizes: Point) -> list[Point]:
    """Every point that differs by one in one number."""
    return [
        (*point[:i], value + by, *point[i + 1 :])
        for i, value in enumerate(point)
        for by in (-1, 1)
        if 0 <= value + by < sizes[i]
    ]


def front(kept: dict[Point, np.ndarray]) -> list[Point]:
    """The points whose mean front no other's dominates, by their first column from least to most."""
    points = list(kept)
    means = np.array([kept[p].mean(0)[:-1] for p in points])
    first = layers(means) == 0
    return [points[i] for i in np.lexsort(means.T[::-1]) if first[i]]


def layers(values_NxK: np.ndarray) -> np.ndarray:
    """The layer of each row, int[N]: 0 where no row is as good in all columns and better in one, 1 without those, …"""
    better = values_NxK[:, None] - values_NxK[None]
    beats = np.logical_and(np.all(better >= 0, axis=-1), np.any(better > 0, axis=-1))
    found, layer = np.full(len(values_NxK), -1), 0
    while (found < 0).any():
        left = found < 0
        found[left & ~beats[left].any(0)] = layer
        layer += 1
    return found


def crowding(values_NxK: np.ndarray) -> np.ndarray:
    """How far the neighbours of each row lie apart, summed over the columns in their range; infinite at the ends."""
    distance = np.zeros(len(values_NxK))
    for column in values_NxK.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def standing(values_NxK: np.ndarray) -> np.ndarray:
    """The place of each row, int[N], 0 the first: by layer, in a layer the less crowded first (Deb et al. 2002)."""
    layer, room = layers(values_NxK), np.empty(len(values_NxK))
    for each in np.unique(layer):
        room[layer == each] = crowding(values_NxK[layer == each])
    place = np.empty(len(values_NxK), int)
    place[np.lexsort((-room, layer))] = np.arange(len(values_NxK))
    return place
