"""One asset's history within one world run, as every domain stores it and every model reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np

from sim.errors import InputError, require
from sim.trace import Event, Key
from twins.channel import Role

PLANNED = "planned"  # cause of a spell that planned work ended: a censored life
CENSORED = ""  # cause of a spell that the end of the run cut


@dataclass(frozen=True, eq=False)
class Series:
    """One channel's samples, NaN where missing, at start_h + k · step_h or at explicit `times_h`.

    A sample is a number, or a frame such as a picture: an array of the same shape each time.
    """

    entity: str
    quantity: str
    unit: str
    role: Role
    values: np.ndarray  # float32[n, *shape]
    start_h: float = 0.0
    step_h: float | None = None
    times_h: np.ndarray | None = None  # float64[n]; exactly one of step_h and times_h is given

    def __post_init__(self):
        require(
            (self.step_h is None) != (self.times_h is None),
            self,
            "step_h",
            "given, or else times_h, never both",
        )

    @property
    def key(self) -> Key:
        return self.entity, self.quantity

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: () for a number, rows and columns for a picture."""
        return self.values.shape[1:]

    def clock_h(self) -> np.ndarray:
        """The time of each sample in hours, float64[n]."""
        if self.step_h is None:
            return np.asarray(self.times_h)
        first = round(self.start_h / self.step_h)
        return np.arange(first, first + len(self.values)) * self.step_h


class Spell(NamedTuple):
    """One life of an asset, from new (or renewed) to its end; the event-history form of a label.

    `cause` is the failure's mode, PLANNED, or CENSORED. `unmaintained_h` and `unmaintained_operating_h` are the whole
    life, in calendar and operating hours, that the same unit has without any further planned work on it (truth; NaN
    where it was not computed).
    """

    start_h: float
    end_h: float
    cause: str
    operating_h: float  # operating hours from start to end
    unmaintained_h: float = float("nan")
    unmaintained_operating_h: float = float("nan")


class Record(NamedTuple):
    """A maintenance order as the plant wrote it down, at `written_h`; before that nobody can read it.

    `cause` is the true one and lies in the drawer: it never was written.
    """

    number: int  # of the asset's orders in the world run, from 0 on
    opened_h: float
    closed_h: float
    written_h: float
    kind: str  # corrective, or "planned"
    code: str  # as written: right, wrong, or empty where it is missing
    duration_h: float  # as written: rounded
    note: str
    cause: str


@dataclass(frozen=True, eq=False)
class Episode:
    """What is known of one asset in one world run. `truth` is a drawer of its own: scalars behind the sensors."""

    run: int  # the world run's seed; assets of one run share it and never part at a split of the data
    asset: str
    series: tuple[Series, ...]
    events: tuple[Event, ...] = ()
    spells: tuple[Spell, ...] = ()
    static: dict[str, float | str] = field(default_factory=dict)
    truth: dict[str, float] = field(default_factory=dict)
    epoch: str = "2025-01-01T00:00:00"  # calendar time of hour 0, ISO 8601
    end_h: float = 0.0
    records: tuple[Record, ...] | None = None  # in the order of writing; None where no records are kept

    def __post_init__(self):
        try:
            datetime.fromisoformat(self.epoch)
        except (TypeError, ValueError):
            raise InputError(f"epoch is {self.epoch!r}; it must be ISO 8601, as 2025-01-01T00:00:00") from None
