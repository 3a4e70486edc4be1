"""Steps that judge what a sensor says: range, spikes, stuck readings, units."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

import numpy as np

from sim.errors import InputError, require
from twins import units
from twins.clean import kernels
from twins.clean.step import Done, Estimated, Step, missing
from twins.episode import Series

Limits = dict[str, tuple[float, float]]


def _limits(owner: object, name: str, given: Mapping[str, Sequence[float]]) -> None:
    found = {quantity: (float(low), float(high)) for quantity, (low, high) in given.items()}
    object.__setattr__(owner, name, found)
    require(all(low < high for low, high in found.values()), owner, name, "low below high for every quantity")


def _usual(train: Sequence[Series], tail: float, spread: float) -> tuple[float, float] | None:
    """The quantiles at *tail* and 1 − *tail*, and *spread* times their distance beyond; None without readings."""
    values = np.concatenate([np.empty(0), *(s.values for s in train)])
    values = values[np.isfinite(values)]
    if not values.size:
        return None
    low, high = (float(q) for q in np.quantile(values, (tail, 1 - tail)))
    more = spread * (high - low)
    return (low - more, high + more) if high > low else None


@dataclass(frozen=True)
class _Ranged(Step):
    """A step that knows the usual range of a quantity: declared, or estimated on the training split."""

    limits: Limits = field(default_factory=dict)
    spread: float | None = 1.0  # null: only what is declared
    tail: float = 0.005

    def __post_init__(self):
        super().__post_init__()
        _limits(self, "limits", self.limits)
        require(self.spread is None or 0 <= self.spread < math.inf, self, "spread", "at least 0, or null")
        require(0 <= self.tail < 0.5, self, "tail", "at least 0 and below 0.5")

    @property
    def open(self) -> bool:
        return self.spread is not None

    def close(self, train: Mapping[str, Sequence[Series]]) -> Self:
        if self.spread is None:
            return self
        found = {q: _usual(some, self.tail, self.spread) for q, some in train.items() if q not in self.limits}
        return replace(self, limits={**{q: r for q, r in found.items() if r}, **self.limits}, spread=None)

    def outside(self, series: Series) -> np.ndarray:
        """Which readings lie beyond the range, bool[samples]."""
        low, high = self.limits.get(series.quantity, (-math.inf, math.inf))
        return (series.values < low) | (series.values > high)


@dataclass(frozen=True)
class Range(_Ranged):
    """Readings outside their quantity's range become missing.

    A range is declared in *limits* (quantity: [low, high], in the unit at this step), or else estimated: between the
    quantiles at *tail* and 1 − *tail* of the training split, and *spread* times their distance beyond both.
    """

    def clean(self, series: Series) -> Done:
        return missing(series, self.outside(series))


@dataclass(frozen=True)
class Spikes(Estimated):
    """Single readings far from the median of those before (Hampel's filter, looking back) become missing.

    Far is more than *threshold* deviations: 1.4826 medians of the absolute deviations from that median, at least
    *floor*, the noise from one reading to the next. Where *alarms* is given, the threshold of each quantity is raised
    to what no more than that share of its training readings exceeds, since a machine that stops and starts leaps too.
    Of two far readings in a row that agree only the first is a spike: the second is a new level. A quantity that mostly
    rests, whose floor comes out as 0, is left alone, as is one of which the training split has nothing.
    """

    window: int = 15  # readings before; with centred, as many in all
    threshold: float = 6.0
    alarms: float | None = 0.005
    centred: bool = False  # half of them after: looks ahead
    floors: dict[str, float] = field(default_factory=dict)  # of quantities that have their own
    thresholds: dict[str, float] = field(default_factory=dict)  # likewise

    revision: ClassVar[int] = 3

    def __post_init__(self):
        super().__post_init__()
        require(4 <= self.window <= 999, self, "window", "from 4 to 999 readings")
        require(0 < self.threshold < math.inf, self, "threshold", "above 0")
        require(self.alarms is None or 0 < self.alarms < 1, self, "alarms", "above 0 and below 1, or null")

    @property
    def looks_ahead(self) -> bool:
        return self.centred

    def close(self, train: Mapping[str, Sequence[Series]]) -> Spikes:
        if self.known:
            return self
        floors = {q: _noise(some) for q, some in train.items() if q not in self.floors} | self.floors
        thresholds = dict(self.thresholds)
        for quantity, some in train.items():
            if self.alarms is None or not floors[quantity] or quantity in thresholds:
                continue
            scores = np.concatenate([np.empty(0), *(self._scores(s, floors[quantity])[0] for s in some)])
            scores = scores[np.isfinite(scores)]
            if scores.size:
                thresholds[quantity] = max(self.threshold, float(np.quantile(scores, 1 - self.alarms)))
        return replace(self, floors=floors, thresholds=thresholds, known=True)

    def _scores(self, series: Series, floor: float) -> tuple[np.ndarray, np.ndarray]:
        ahead = self.window // 2 if self.centred else 0
        return kernels.deviations(series.values.astype(np.float64), self.window - ahead, ahead, floor)

    def clean(self, series: Series) -> Done:
        values, floor = series.values.astype(np.float64), self.floors.get(series.quantity)
        if not floor:
            return Done(series, np.zeros(len(values), bool))
        score, size = self._scores(series, floor)
        threshold = self.thresholds.get(series.quantity, self.threshold)
        return missing(series, kernels.spikes(values, np.nan_to_num(score, nan=0.0), size, threshold))


def _noise(train: Sequence[Series]) -> float:
    """The deviation of white noise whose differences have the median size that those of *train* have."""
    steps = [np.abs(np.diff(s.values[np.isfinite(s.values)].astype(np.float64))) for s in train]
    found = np.concatenate([np.empty(0), *steps])
    return float(np.median(found)) / 0.9539 if found.size else 0.0  # the median of |N(0, 2)|


@dataclass(frozen=True)
class Stuck(Estimated):
    """Readings that repeat the one before, *least* of them or more in a row, become missing from the *least*-th on.

    Without *least*, so many of each quantity as would come by chance fewer than *alarms* times a reading, by how often
    readings repeat in its training series (the median of them). A quantity that mostly rests is left alone, and so are
    the values in *rest*, where a sensor may lie still.
    """

    least: int | None = None
    alarms: float = 1e-6
    rest: tuple[float, ...] = ()
    hindsight: bool = False  # the readings before the *least*-th too: looks ahead
    leasts: dict[str, int] = field(default_factory=dict)  # of quantities that have their own; 0: left alone

    revision: ClassVar[int] = 2
    FEWEST: ClassVar[int] = 4
    RESTS: ClassVar[float] = 0.5  # share of repeated readings beyond which a quantity rests

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "rest", tuple(self.rest))
        require(self.least is None or self.least >= 2, self, "least", "at least 2, or null")
        require(0 < self.alarms < 1, self, "alarms", "above 0 and below 1")

    @property
    def looks_ahead(self) -> bool:
        return self.hindsight

    @property
    def open(self) -> bool:
        return self.least is None and not self.known

    def close(self, train: Mapping[str, Sequence[Series]]) -> Stuck:
        if not self.open:
            return self
        leasts = {q: self._least(some) for q, some in train.items() if q not in self.leasts} | self.leasts
        return replace(self, leasts=leasts, known=True)

    def _least(self, train: Sequence[Series]) -> int:
        shares = []
        for series in train:
            values = series.values[np.isfinite(series.values)]
            if len(values) > 1:
                shares.append(float(np.mean(values[1:] == values[:-1])))
        share = float(np.median(shares)) if shares else 1.0
        if share > self.RESTS:
            return 0
        return max(self.FEWEST, 1 + math.ceil(math.log(self.alarms) / math.log(share))) if share else self.FEWEST

    def clean(self, series: Series) -> Done:
        least = self.leasts.get(series.quantity, self.least or 0)
        if not least:
            return Done(series, np.zeros(len(series.values), bool))
        found = kernels.stuck(series.values.astype(np.float64), least, self.hindsight)
        return missing(series, found & ~np.isin(series.values, np.asarray(self.rest, np.float32)))


@dataclass(frozen=True)
class Units(Step):
    """Whole channels told in another unit (UCUM): to = {quantity: unit}. Every quantity that is named is taken."""

    to: dict[str, str] = field(default_factory=dict)

    judges: ClassVar[bool] = False

    def __post_init__(self):
        super().__post_init__()
        require(bool(self.to), self, "to", "at least one quantity with its unit")
        for unit in self.to.values():
            units.parse(unit)

    def takes(self, series: Series) -> bool:
        return series.quantity in self.to and not series.shape

    def clean(self, series: Series) -> Done:
        to, none = self.to[series.quantity], np.zeros(len(series.values), bool)
        if series.unit == to:
            return Done(series, none)
        try:
            values = units.convert(series.values, series.unit, to).astype(np.float32)
        except InputError as error:
            raise InputError(f"Units.to.{series.quantity}: {error}") from None
        return Done(replace(series, values=values, unit=to), ~none)


@dataclass(frozen=True)
class Misread(_Ranged):
    """Readings told by mistake in another unit are converted: *units* = {quantity: the unit that comes by mistake}.

    A reading is one where it lies outside the usual range and, converted, inside; that range is declared in *limits* or
    estimated as of `Range`. Where both ranges overlap nothing can be told, and nothing is changed.
    """

    units: dict[str, str] = field(default_factory=dict)
    spread: float | None = 0.5
    tail: float = 0.05

    def __post_init__(self):
        super().__post_init__()
        require(bool(self.units), self, "units", "at least one quantity with the unit that comes by mistake")
        for unit in self.units.values():
            units.parse(unit)

    def takes(self, series: Series) -> bool:
        return series.quantity in self.units and not series.shape

    def clean(self, series: Series) -> Done:
        low, high = self.limits.get(series.quantity, (-math.inf, math.inf))
        meant = units.convert(series.values, self.units[series.quantity], series.unit).astype(np.float32)
        found = self.outside(series) & (low <= meant) & (meant <= high)
        if not found.any():
            return Done(series, found)
        return Done(replace(series, values=np.where(found, meant, series.values)), found)
