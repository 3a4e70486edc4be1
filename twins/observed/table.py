"""How a file of readings is to be understood: configuration that YAML can say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

from sim.errors import InputError, require
from twins import units
from twins.channel import Role

SPLITS = ("train", "validation", "test")
MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "-", "?")


@dataclass(frozen=True)
class Column:
    """What one column of the file holds.

    `unit` is as recorded, `to` as stored (the same if empty). Readings outside `low` … `high` (in the recorded unit)
    become missing. A static column must not change within an asset, and may be text.
    """

    unit: str = "1"
    quantity: str = ""  # the column's name if empty
    role: Role = Role.TARGET
    to: str = ""
    low: float | None = None
    high: float | None = None
    entity: str = ""  # the asset if empty

    def __post_init__(self):
        for name in ("unit", "quantity", "to", "entity"):
            require(isinstance(getattr(self, name), str), self, name, "text")
        for name in ("low", "high"):
            value = getattr(self, name)
            ok = value is None or (isinstance(value, int | float) and math.isfinite(value))
            require(ok, self, name, "a finite number, or null")
        roles = [str(role) for role in Role]
        require(self.role in roles, self, "role", "one of " + ", ".join(roles))
        object.__setattr__(self, "role", Role(self.role))
        if units.parse(self.unit).dimension != units.parse(self.to or self.unit).dimension:
            units.convert([], self.unit, self.to)
        require(self.low is None or self.high is None or self.low < self.high, self, "low", f"below high ({self.high})")


@dataclass(frozen=True)
class Cuts:
    """Splits by time: how long each stretch is, one after another from the first reading on; what follows is left out.

    `unit` is a UCUM unit of time, or `rows` (steps of a regular clock). `test` is the rest if not given. Of a life that
    goes on beyond the end of its stretch no more is told there than that it does.
    """

    train: float
    validation: float = 0.0
    test: float | None = None
    unit: str = "h"

    def __post_init__(self):
        for split in SPLITS[:2]:
            require(getattr(self, split) >= 0, self, split, "at least 0")
        require(self.test is None or self.test >= 0, self, "test", "at least 0, or nothing for the rest")
        if self.unit != "rows":
            _require_time(self, "unit", self.unit)


@dataclass(frozen=True)
class Assets:
    """Splits by asset: names, or a fraction of the assets, taken by a hash of their names; all others train.

    *keep* uses only that share of the assets, train and validation of them, as if the table held no others; which
    they are depends on *seed*.
    """

    validation: tuple[str, ...] | float = 0.1
    test: tuple[str, ...] | float = 0.2
    keep: float = 1.0
    seed: int = 0

    def __post_init__(self):
        for split in SPLITS[1:]:
            value = getattr(self, split)
            if isinstance(value, list | tuple):
                object.__setattr__(self, split, tuple(str(name) for name in value))
            else:
                require(0 <= value < 1, self, split, "a list of assets, or a fraction of at least 0 and below 1")
        require(0 < self.keep <= 1, self, "keep", "a share above 0 and at most 1")


@dataclass(frozen=True)
class Table:
    """A text table of readings, one row a time (of an asset): CSV or blank-separated, with or without a header.

    `columns` says which columns to keep, by name: a `Column`, a mapping of its fields, or just a unit; none means every
    column that is not the time or the asset, as a target of unit 1. `time` names the column of times: ISO 8601, numbers
    of `time_unit`, or `time_format` (as of `strptime`); without one, rows are `step_h` apart. Times with a zone
    become UTC. A clock is regular if a `step_h` is given or most steps are equal; gaps then become missing samples.
    """

    path: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    header: tuple[str, ...] | None = None  # names of the columns, where the file has no line of them
    delimiter: str | None = ","  # None: any run of blanks
    time: str | None = None
    time_unit: str = "h"
    time_format: str | None = None
    step_h: float | None = None
    clock: Literal["auto", "regular", "explicit"] = "auto"
    jitter: float = 0.01  # how far a time may lie from a regular clock's, as a fraction of its step
    asset: str | None = None  # the column that tells assets apart
    splits: Cuts | Assets | str = "train"  # a name: all of it belongs to that split
    duplicates: Literal["first", "last", "mean", "refuse"] = "first"  # of rows with the same asset and time
    missing: tuple[str, ...] = MISSING
    decimal: str = "."
    ends: str = ""  # what ended each asset's record, if it is a life: a mode of failure
    epoch: str = "2025-01-01T00:00:00"  # calendar time of hour 0 where times are numbers or there are none
    encoding: str = "utf-8-sig"
    test: str = ""  # path of a second file of the same layout: its assets are the test split
    left: str = ""  # path of one number a line: the life left, in time_unit, to each asset of *test*, in order

    def __post_init__(self):
        object.__setattr__(self, "path", str(self.path))
        object.__setattr__(self, "columns", {name: _column(name, value) for name, value in self.columns.items()})
        object.__setattr__(self, "missing", tuple(self.missing))
        if self.header is not None:
            object.__setattr__(self, "header", tuple(str(name) for name in self.header))
            double = sorted({name for name in self.header if self.header.count(name) > 1})
            require(not double, self, "header", f"without repetition; it repeats {', '.join(double)}")
        require(
            self.delimiter is None or len(self.delimiter) == 1, self, "delimiter", "one character, or null for blanks"
        )
        require(self.decimal in (".", ","), self, "decimal", "'.' or ','")
        require(self.decimal != self.delimiter, self, "decimal", "another character than the delimiter")
        require(
            self.time is not None or self.step_h is not None, self, "step_h", "given, or time= the column that holds it"
        )
        require(self.step_h is None or 0 < self.step_h < float("inf"), self, "step_h", "above 0")
        require(self.clock in ("auto", "regular", "explicit"), self, "clock", "'auto', 'regular' or 'explicit'")
        require(
            self.clock != "explicit" or self.time is not None, self, "clock", "'auto' where no column holds the time"
        )
        require(self.clock != "explicit" or self.step_h is None, self, "clock", "'regular' where step_h is given")
        require(0 <= self.jitter < 0.5, self, "jitter", "at least 0 and below 0.5")
        require(
            self.duplicates in ("first", "last", "mean", "refuse"),
            self,
            "duplicates",
            "'first', 'last', 'mean' or 'refuse'",
        )
        require(
            isinstance(self.splits, Cuts | Assets) or self.splits in SPLITS,
            self,
            "splits",
            "cuts in time, splits by asset, or one of " + ", ".join(SPLITS),
        )
        by_asset = isinstance(self.splits, Assets) and self.splits.test == () and self.asset is not None
        require(not self.test or by_asset, self, "test", "empty unless splits are by asset and take none for the test")
        require(not self.left or bool(self.test), self, "left", "empty where there is no second file as test")
        require(not self.left or bool(self.ends), self, "left", "empty unless ends says what ends a life")
        _require_time(self, "time_unit", self.time_unit)
        try:
            ok = datetime.fromisoformat(self.epoch) is not None
        except (TypeError, ValueError):
            ok = False
        require(ok, self, "epoch", "a date and time such as '2025-01-01T00:00:00'")


def _column(name: str, value: Any) -> Column:
    if isinstance(value, Column):
        return value
    try:
        if value is None or isinstance(value, str):
            return Column(value or "1")
        known = [f.name for f in fields(Column)]
        if unknown := [key for key in value if key not in known]:
            raise InputError(f"unknown key {unknown[0]!r}; a column has {', '.join(known)}")
        return Column(**value)
    except InputError as error:
        raise InputError(f"Table.columns[{name!r}]: {error}") from error


def _require_time(owner: object, name: str, unit: str) -> None:
    if units.parse(unit).dimension != (("s", 1),):
        raise InputError(
            f"{type(owner).__name__}.{name} is {unit!r}; it must be a unit of time such as 'h', 'min' or 'd'"
        )
