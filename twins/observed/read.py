"""From text to columns: every cell read, and every cell that cannot be read named by file and line."""

from __future__ import annotations

import csv
import difflib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from sim.errors import InputError
from twins import units
from twins.channel import Role
from twins.observed.table import Column, Table

HOUR_US = 3_600_000_000
SHARED = 0.1  # of the rows, beyond which rows of one time are of several assets rather than repeated


@dataclass(frozen=True, eq=False)
class Rows:
    """The file's columns, row by row in the file's order, and the line of each row."""

    line: np.ndarray  # int64[n]
    asset: list[str]
    time_h: np.ndarray | None  # float64[n], hours since `epoch`
    epoch: str
    values: dict[str, np.ndarray]  # float64[n] in the stored unit, NaN where missing
    texts: dict[str, list[str]]  # static columns, as written
    columns: dict[str, Column]
    findings: list[dict]


def read(table: Table) -> Rows:
    """Parse the file; raises InputError naming file and line, what was found, and what would be right."""
    try:
        with open(table.path, encoding=table.encoding, newline="") as file:
            names, line, cells = _cells(table, file)
    except FileNotFoundError:
        raise InputError(f"{table.path} does not exist; give the path of a table of readings") from None
    except (OSError, LookupError) as error:
        raise InputError(f"cannot read {table.path}: {error}") from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"{table.path} is not text in {table.encoding} (byte {error.start}); set the encoding, for example latin-1"
        ) from None
    if not line:
        raise InputError(f"{table.path} has no rows; a table of readings needs at least one")
    columns = table.columns or {n: Column() for n in names if n and n not in (table.time, table.asset)}
    for name in (*columns, *filter(None, (table.time, table.asset))):
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            raise InputError(
                f"{table.path} has no column {name!r}; it has {', '.join(names)}"
                + (f": did you mean {near[0]!r}?" if near else "")
            )
    at = {name: i for i, name in enumerate(names)}
    if table.asset is None and table.time is not None and table.duplicates == "first":
        _alone(table, names, cells)
    source = _Source(table, np.array(line), {name: [row[i] for row in cells] for name, i in at.items()})
    findings: list[dict] = []
    values, texts = {}, {}
    for name, column in columns.items():
        if column.role is Role.STATIC:
            texts[name] = source.cells[name]
        else:
            values[name] = source.readings(name, column, findings)
    if not values:
        raise InputError(
            f"{table.path} has no column of readings among {', '.join(columns)}; name one that is not static"
        )
    time_h, epoch = (None, table.epoch) if table.time is None else source.times(table.time)
    assets = source.cells[table.asset] if table.asset else [""] * len(line)
    if "" in assets and table.asset:
        source.refuse(table.asset, assets.index(""), "an asset's name")
    return Rows(source.line, assets, time_h, epoch, values, texts, dict(columns), findings)


def finding(check: str, lines: np.ndarray | Sequence[int], did: str, column: str = "") -> dict:
    """One line of what the checks changed."""
    return {"check": check, "column": column, "count": len(lines), "lines": [int(n) for n in lines[:3]], "did": did}


def _cells(table: Table, file) -> tuple[list[str], list[int], list[list[str]]]:
    rows = _split(table, file)
    if table.header is None:
        _, first = next(rows, (0, []))
        names = [cell.strip() for cell in first]
        if not any(names):
            raise InputError(f"{table.path} is empty; its first line must name the columns")
        if double := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(
                f"{table.path}, line 1: the column {double[0]!r} comes twice; give the names as Table.header"
            )
    else:
        names = list(table.header)
    line, cells = [], []
    for number, row in rows:
        if len(row) != len(names):
            raise InputError(
                f"{table.path}, line {number}: {len(row)} cells, but {len(names)} columns ({', '.join(names[:4])}"
                f"{', …' * (len(names) > 4)}); give every row one cell a column"
            )
        line.append(number)
        cells.append([cell.strip() for cell in row])
    return names, line, cells


def _alone(table: Table, names: list[str], cells: list[list[str]]) -> None:
    """Refuses a table in which rows share their times because it is of several assets, told apart by some column."""
    times = [row[names.index(table.time or "")] for row in cells]
    shared = 1 - len(set(times)) / len(cells)
    if shared <= SHARED:
        return
    for i, name in enumerate(names):
        values = [row[i] for row in cells]
        if 2 <= len(set(values)) <= SHARED * len(cells) and len(set(zip(times, values, strict=True))) == len(cells):
            raise InputError(
                f"{table.path}: {100 * shared:.0f} % of the rows have the time of another row, and {name} tells them "
                f"apart; say source.asset={name} if it names assets, or duplicates=last or mean"
            )


def _split(table: Table, file) -> Iterator[tuple[int, list[str]]]:
    if table.delimiter is None:
        yield from ((number, row) for number, text in enumerate(file, 1) if (row := text.split()))
        return
    reader = csv.reader(file, delimiter=table.delimiter, skipinitialspace=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(f"{table.path}, line {reader.line_num}: {error}") from None


@dataclass(frozen=True, eq=False)
class _Source:
    table: Table
    line: np.ndarray
    cells: dict[str, list[str]]

    def refuse(self, name: str, row: int, right: str):
        raise InputError(
            f"{self.table.path}, line {self.line[row]}: {name} is {self.cells[name][row]!r}; it must be {right}"
        )

    def numbers(self, name: str, right: str) -> np.ndarray:
        """The column as float64; cells that stand for a missing value are NaN, others that are no number refused."""
        absent, decimal = set(self.table.missing), self.table.decimal
        cells = ["nan" if cell in absent else cell for cell in self.cells[name]]
        for row, cell in enumerate(cells):
            if "_" in cell or "\0" in cell:  # which Python's own numbers may hold, and nobody else's
                self.refuse(name, row, right)
        if decimal == ",":
            cells = [cell.replace(",", ".") for cell in cells]
        try:
            values = np.array(cells, np.str_).astype(np.float64)
        except ValueError:
            for row, cell in enumerate(cells):
                try:
                    float(cell)
                except ValueError:
                    self.refuse(name, row, right)
            raise
        if (infinite := np.flatnonzero(np.isinf(values))).size:
            self.refuse(name, infinite[0], right)
        return values

    def readings(self, name: str, column: Column, findings: list[dict]) -> np.ndarray:
        values = self.numbers(name, f"a number, or empty where missing ({column.unit})")
        if (absent := np.flatnonzero(np.isnan(values))).size:
            findings.append(finding("missing", self.line[absent], "kept as missing", name))
        for limit, outside, word in ((column.low, np.less, "below"), (column.high, np.greater, "above")):
            if limit is not None and (wrong := np.flatnonzero(outside(values, limit))).size:
                values[wrong] = np.nan
                did = f"made missing: {word} {limit:g} {column.unit}"
                findings.append(finding("range", self.line[wrong], did, name))
        values = units.convert(values, column.unit, column.to or column.unit)
        if (large := np.flatnonzero(np.abs(values) > np.finfo(np.float32).max)).size:
            self.refuse(name, large[0], "a number that float32 can hold (below 3.4e38)")
        return values

    def times(self, name: str) -> tuple[np.ndarray, str]:
        """Hours since the epoch, and the epoch: that of the configuration for numbers, the first time for dates."""
        cells = self.cells[name]
        if self.table.time_format is None and _is_number(cells[0]):
            right = f"a time in {self.table.time_unit}"
            values = self.numbers(name, right)
            if (absent := np.flatnonzero(np.isnan(values))).size:
                self.refuse(name, absent[0], right)
            time_h = units.convert(values, self.table.time_unit, "h")
            if (far := np.flatnonzero(np.abs(time_h) > MOST_H)).size:
                self.refuse(name, far[0], f"{right} within {MOST_H:g} h of 0")
            return time_h, self.table.epoch
        micros, zoned = np.empty(len(cells), np.int64), None
        for row, cell in enumerate(cells):
            moment = _moment(cell, self.table.time_format)
            if moment is None:
                self.refuse(name, row, f"a time as {self.table.time_format or 'YYYY-MM-DD hh:mm:ss'}")
            if zoned is None:
                zoned = moment.tzinfo is not None
            elif zoned != (moment.tzinfo is not None):
                self.refuse(name, row, f"a time {'with' if zoned else 'without'} a zone, as in the rows before")
            try:
                micros[row] = _micros(moment)
            except OverflowError:
                self.refuse(name, row, "a time from year 1 to 9999 in UTC")
        epoch = np.datetime64(int(micros.min()), "us")
        text = str(epoch.astype("datetime64[s]")) if micros.min() % 1_000_000 == 0 else str(epoch)
        return (micros - micros.min()) / HOUR_US, text


MOST_H = 1e8  # eleven thousand years


def _is_number(cell: str) -> bool:
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def _moment(cell: str, pattern: str | None) -> datetime | None:
    try:
        return datetime.strptime(cell, pattern) if pattern else datetime.fromisoformat(cell)
    except ValueError:
        return None


def _micros(moment: datetime) -> int:
    """Microseconds since 1970, in UTC where it has a zone."""
    since = (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
