"""Faults of sensors, loggers and clerks, put on purpose into a dataset whose truth is known: declared and addressed.

What befalls a series depends on the world run, the asset, the channel (unless a whole asset is struck) and the fault's
place in the list, and on nothing else; a longer record has the same faults in its beginning. Sizes are in deviations of
the quantity (the normal one of its quartiles), estimated on the training split. Faults come in the order of the list,
each upon what those before left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from sim.errors import InputError, require
from sim.streams import stream_key
from twins import units
from twins.dataset.derived import HIDDEN, declared, meant, numbered, refuse_unknown
from twins.dataset.identity import describe, revive
from twins.episode import CENSORED, PLANNED, Episode, Series, Spell


class Struck(NamedTuple):
    """A series with a fault: which samples are not what they were, and from which each comes (None: the same)."""

    series: Series
    wrong: np.ndarray  # bool[n]
    source: np.ndarray | None = None  # int64[n]


@dataclass(frozen=True)
class Fault:
    """What all faults share. A `share` is of readings or of time, a `size` in deviations, where a fault has them."""

    quantities: tuple[str, ...] = ()  # patterns such as vibration_*; none: every target

    revision: ClassVar[int] = 1
    sought: ClassVar[bool] = True  # whether single readings that are there can be told to be wrong
    whole: ClassVar[bool] = False  # whether an asset's channels are struck together, as by their logger

    def __post_init__(self):
        object.__setattr__(self, "quantities", tuple(self.quantities))
        require(0 <= getattr(self, "share", 0.0) < 1, self, "share", "at least 0 and below 1")
        require(0 <= getattr(self, "size", 0.0) < math.inf, self, "size", "at least 0")

    def takes(self, series: Series) -> bool:
        return meant(series, self.quantities)

    def strike(self, series: Series, scale: float, rng: np.random.Generator) -> Struck:
        raise NotImplementedError


@dataclass(frozen=True)
class Stretches(Fault):
    """Faults that come and go: stretches of exponential length, a share of the time in all."""

    share: float = 0.02
    mean_h: float = 4.0

    revision: ClassVar[int] = 2

    def __post_init__(self):
        super().__post_init__()
        require(0 < self.mean_h < math.inf, self, "mean_h", "above 0")

    def firsts(self, series: Series, rng: np.random.Generator) -> np.ndarray:
        """The first sample of the stretch that each sample lies in, −1 outside all, int64[n]."""
        number = self.stretches(series, rng)
        begins = np.flatnonzero((number >= 0) & (np.diff(number, prepend=-1) != 0))
        if not len(begins):
            return number
        return np.where(number >= 0, begins[np.searchsorted(number[begins], number).clip(max=len(begins) - 1)], -1)

    def stretches(self, series: Series, rng: np.random.Generator) -> np.ndarray:
        """The number of the stretch that each sample lies in, −1 outside all, int64[n]."""
        clock_h = reached_h(series)
        if not len(clock_h) or self.share == 0:
            return np.full(len(clock_h), -1)
        apart_h = self.mean_h * (1 - self.share) / self.share
        ends, at = [], 0.0
        while at <= clock_h[-1]:
            lengths = -np.log1p(-rng.random(128)) * np.tile((apart_h, self.mean_h), 64)
            ends.append(at + np.cumsum(lengths))
            at = float(ends[-1][-1])
        number = np.searchsorted(np.concatenate(ends), clock_h, side="right")
        return np.where(number % 2 == 1, number // 2, -1)


def reached_h(series: Series) -> np.ndarray:
    """The latest time told up to each sample, float64[n]: time stands still where a clock has gone back."""
    return np.maximum.accumulate(series.clock_h())


def _changed(series: Series, values: np.ndarray) -> Struck:
    values = values.astype(np.float32)
    wrong = values.view(np.uint32) != np.ascontiguousarray(series.values).view(np.uint32)
    return Struck(replace(series, values=values), wrong & ~np.isnan(series.values))


@dataclass(frozen=True)
class Noise(Fault):
    """White noise beside the sensor's own."""

    size: float = 0.5

    sought: ClassVar[bool] = False

    def strike(self, series: Series, scale: float, rng: np.random.Generator) -> Struck:
        return _changed(series, series.values + self.size * scale * rng.standard_normal(len(series.values)))


@dataclass(frozen=True)
class Spikes(Fault):
    """Single readings far off, up or down, by once to twice the size."""

    share: float = 0.002
    size: float = 8.0

    def strike(self, series: Series, scale: float, rng: np.random.Generator) -> Struck:
        hit, far, side = rng.random((len(series.values), 3)).T
        off = np.where(side < 0.5, -1.0, 1.0) * (1.0 + far) * self.size * scale
        return _changed(series, np.where(hit < self.share, series.values + off, series.values))


@dataclass(frozen=True)
class Stuck(Stretches):
    """The sensor repeats the last reading before."""

    def strike(self, series: Series, scale: float, rng: np.random.Generator) -> Struck:
        first = self.firsts(series, rng)
        held = series.values[np.maximum(first - 1, 0)]
        return _changed(series, np.where(first > 0, held, series.values))


@dataclass(frozen=True)
class Gaps(Stretches):
    """No readings."""

    sought: ClassVar[bool] = False

    def strike(self, series: Series, scale: float, rng: np.random.Generator) -> Struck:
        return _changed(series, np.where(self.stretches(series, rng) >= 0, np.nan, series.values))


@dataclass(frozen=True)
class Drift(Stretches):
    """An offset that grows until somebody calibrates the sensor again."""

    mean_h: float = 168.0
    size: float = 2.0  # reached within mean_h

    sought: ClassVar[bool] = False

    def strike(self, series: Series, scale: float, rng: np.random.Generator) -> Struck:
        first, clock_h = self.firsts(series, rng), reached_h(series)
        since_h = np.where(first >= 0, clock_h - clock_h[first], 0.0)
        side = np.where(first & 1, 1.0, -1.0)
        return _changed(series, series.values + side * self.size * scale * since_h / self.mean_h)


@dataclass(frozen=True)
class WrongUnit(Stretches):
    """Readings told in another unit than the channel's, as after a change of software."""

    units: dict[str, str] = field(default_factory=dict)  # quantity: the unit that is used by mistake

    def __post_init__(self):
        super().__post_init__()
        for unit in self.units.values():
            units.parse(unit)

    def takes(self, series: Series) -> bool:
        return super().takes(series) and series.quantity in self.units

    def strike(self, series: Series, scale: float, rng: np.random.Generator) -> Struck:
        other = units.convert(series.values, series.unit, self.units[series.quantity])
        return _changed(series, np.where(self.stretches(series, rng) >= 0, other, series.values))


@dataclass(frozen=True)
class Duplicates(Fault):
    """Rows written twice, with their time; the record of the asset then has times of its own."""

    share: float = 0.01

    whole: ClassVar[bool] = True

    def strike(self, series: Series, scale: float, rng: np.random.Generator) -> Struck:
        count = 1 + (rng.random(len(series.values)) < self.share)
        source = np.repeat(np.arange(len(count)), count)
        again = np.diff(source, prepend=-1) == 0
        return Struck(_timed(series, series.values[source], series.clock_h()[source]), again, source)


@dataclass(frozen=True)
class ClockJumps(Stretches):
    """The logger's clock goes wrong, ahead or behind, until it is set again."""

    size_h: float = 6.0  # at most; of the same chance from half of it on

    whole: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        require(0 < self.size_h < math.inf, self, "size_h", "above 0")

    def strike(self, series: Series, scale: float, rng: np.random.Generator) -> Struck:
        sizes = np.random.Generator(np.random.Philox(key=int(rng.integers(2**63))))
        number, clock_h = self.stretches(series, rng), series.clock_h()
        jump = sizes.random((max(int(number.max(initial=0)), 0) + 1, 2))
        off_h = np.where(jump[:, 0] < 0.5, -1.0, 1.0) * self.size_h * (0.5 + jump[:, 1] / 2)
        wrong = number >= 0
        return Struck(_timed(series, series.values, clock_h + np.where(wrong, off_h[number], 0.0)), wrong)


def _timed(series: Series, values: np.ndarray, times_h: np.ndarray) -> Series:
    return replace(series, values=values, times_h=times_h, start_h=0.0, step_h=None)


@dataclass(frozen=True)
class WrongLabels:
    """Lives whose end was written down as of another cause; never in the test split, whose truth is what is scored."""

    share: float = 0.1
    causes: tuple[str, ...] = ()  # that are told instead, or planned work; none: those seen in training

    revision: ClassVar[int] = 1
    sought: ClassVar[bool] = False

    def __post_init__(self):
        object.__setattr__(self, "causes", tuple(self.causes))
        require(0 <= self.share <= 1, self, "share", "at least 0 and at most 1")

    def close(self, train: Sequence[Episode], where: str) -> WrongLabels:
        """With the causes of failures in the training split; raises InputError where it has lives but no failure."""
        ends = {spell.cause for episode in train for spell in episode.spells} - {CENSORED}
        if self.causes or not ends:
            return self
        if ends == {PLANNED}:
            raise InputError(
                f"{where} tells other causes of failure, but no life of the training split ended in one; give causes"
            )
        return replace(self, causes=tuple(sorted(ends - {PLANNED})))

    def relabel(self, spell: Spell, draws: np.ndarray) -> Spell:
        """The spell as it was written down, by two uniform *draws*; as it is where there is no other cause to tell."""
        others = [cause for cause in (PLANNED, *self.causes) if cause != spell.cause]
        if spell.cause == CENSORED or draws[0] >= self.share or not others:
            return spell
        nan = math.nan
        return spell._replace(
            cause=others[int(draws[1] * len(others))], unmaintained_h=nan, unmaintained_operating_h=nan
        )


@dataclass(frozen=True)
class Faults:
    """Declared faults, in their order."""

    faults: tuple[Any, ...]

    name: ClassVar[str] = "faults"

    def __post_init__(self):
        object.__setattr__(self, "faults", tuple(self.faults))
        require(bool(self.faults), self, "faults", "at least one")
        for i, fault in enumerate(self.faults):
            if not isinstance(fault, Fault | WrongLabels):
                raise InputError(f"faults[{i}] is {fault!r}; it must be one of twins.faults (a node with _target_)")

    @property
    def revisions(self) -> list[int]:
        return [fault.revision for fault in self.faults]

    def close(self, train: Sequence[Episode]) -> Closed:
        """With the deviation of every quantity in the training split, and the causes of failures in it."""
        if not train:
            raise InputError("faults are sized by the training split, of which there is none; give plan.train")
        refuse_unknown(self.faults, self.name, train)
        told = [
            fault.close(train, declared(self.name, i, fault)) if isinstance(fault, WrongLabels) else fault
            for i, fault in enumerate(self.faults)
        ]
        values: dict[str, list[np.ndarray]] = {}
        for episode in train:
            for series in episode.series:
                if not series.shape and series.role not in HIDDEN:
                    values.setdefault(series.quantity, []).append(series.values)
        return Closed(
            Faults(tuple(told)), {quantity: deviation(np.concatenate(some)) for quantity, some in values.items()}
        )


def deviation(values: np.ndarray) -> float:
    """The standard deviation of a normal law with the same quartiles; the plain one where these are equal."""
    values = np.asarray(values, np.float64)[np.isfinite(values)]
    if not values.size:
        return 0.0
    low, high = np.quantile(values, (0.25, 0.75))
    return float((high - low) / 1.349) or float(values.std())


class Hit(NamedTuple):
    """An episode with faults, and which samples of each series are wrong, by the fault's place in the list."""

    episode: Episode
    wrong: dict[tuple[str, str], dict[int, np.ndarray]]  # by entity and quantity; bool[n] in the series as it is now
    labels: int = 0  # that are wrong
    lives: int = 0
    faults: tuple[Any, ...] = ()

    rows: Sequence[Mapping[str, Any]] = ()

    @property
    def counts(self) -> list[dict[str, Any]]:
        names, count = numbered(self.faults), {s.key: len(s.values) for s in self.episode.series}
        of_readings = [
            {"step": names[i], "quantity": key[1], "samples": count[key], "changed": int(mask.sum())}
            for key, masks in self.wrong.items()
            for i, mask in masks.items()
        ]
        of_lives = {"quantity": "lives", "samples": self.lives, "changed": self.labels}
        wrong_labels = (i for i, fault in enumerate(self.faults) if isinstance(fault, WrongLabels))
        return of_readings + [{"step": names[i], **of_lives} for i in wrong_labels]


@dataclass(frozen=True)
class Closed:
    """Faults with their sizes."""

    faults: Faults
    scale: Mapping[str, float]

    def __call__(self, episode: Episode, split: str) -> Hit:
        series = {s.key: s for s in episode.series}
        wrong: dict[tuple[str, str], dict[int, np.ndarray]] = {}
        labels = 0
        for i, fault in enumerate(self.faults.faults):
            if isinstance(fault, WrongLabels):
                if split != "test":
                    draws = _rng(episode, i, "lives").random((len(episode.spells), 2))
                    told = tuple(fault.relabel(s, d) for s, d in zip(episode.spells, draws, strict=True))
                    labels += sum(a != b for a, b in zip(told, episode.spells, strict=True) if a.cause != b.cause)
                    episode = replace(episode, spells=told)
                continue
            for key, one in series.items():
                if not fault.takes(one):
                    continue
                rng = _rng(episode, i, "" if fault.whole else "/".join(key))
                struck = fault.strike(one, self.scale.get(one.quantity, 0.0), rng)
                if struck.source is not None:
                    wrong[key] = {j: mask[struck.source] for j, mask in wrong.get(key, {}).items()}
                wrong.setdefault(key, {})[i] = struck.wrong
                series[key] = struck.series
        struck_episode = replace(episode, series=tuple(series.values()))
        return Hit(struck_episode, wrong, labels, len(episode.spells), self.faults.faults)

    def told(self) -> list[Any]:
        scale = {quantity: value for quantity, value in sorted(self.scale.items())}
        return [*(describe(fault) for fault in self.faults.faults), {"deviations": scale}]

    @staticmethod
    def of(told: Sequence[Any]) -> Closed:
        """From what `told` gave; raises InputError where the code here has changed."""
        *faults, last = told
        return Closed(Faults(tuple(revive(f, f"faults[{i}]") for i, f in enumerate(faults))), last["deviations"])


def _rng(episode: Episode, place: int, what: str) -> np.random.Generator:
    key = stream_key(episode.run, f"fault/{place}/{episode.asset}/{what}")
    return np.random.Generator(np.random.Philox(key=key))
