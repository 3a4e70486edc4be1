"""Networks from other people's files: MATPOWER cases, pandapower's JSON, and plain tables.

Files of power flow know nothing of failures; `failing` adds their rates.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.grid.network import LoadPoint, Network, Section, Transformer
from sim.laws import Deterministic, Law

REFERENCE = 3  # the kind of bus in MATPOWER that is the source
SECTION = {
    "name": str, "a": str, "b": str, "length_km": float, "failures_per_km_year": float, "repair_h": float,
    "at_a": str, "at_b": str, "open": bool, "capacity_kw": float, "resistance_ohm": float, "reactance_ohm": float,
    "exposed": bool,
}  # fmt: skip
LOAD_POINT = {
    "name": str, "bus": str, "customers": int, "load_kw": float, "load_kvar": float,
    "transformer_failures_per_year": float, "transformer_repair_h": float,
}  # fmt: skip


def failing(network: Network, failures_per_km_year: float, repair: Law, device: str = "switch") -> Network:
    """The same, its sections failing at one rate, with a *device* at either end of each."""
    return replace(
        network,
        sections=tuple(
            replace(s, failures_per_km_year=failures_per_km_year, repair=repair, at_a=device, at_b=device)  # type: ignore[arg-type]
            for s in network.sections
        ),
    )


def matpower(path: str | Path) -> Network:
    """A case file of MATPOWER (format 2): its buses, branches and loads. Branches out of service are open.

    A file of the distribution cases that converts ohms or kW by statements of its own (as case33bw) is read as those
    say. Raises InputError for transformers, shunts, charging, several voltages, and what is no such file.
    """
    text = _read(path)
    plain = re.sub(r"%[^\n]*", lambda m: " " * len(m[0]), text)

    def matrix(name: str, least: int) -> list[tuple[int, list[float]]]:
        found = re.search(rf"mpc\.{name}\s*=\s*\[(.*?)\]", plain, re.S)
        if found is None:
            raise InputError(f"{path} has no matrix mpc.{name}; it must be a MATPOWER case of format 2")
        rows = []
        for row in re.finditer(r"[^;\n]+", found[1]):
            if not row[0].strip():
                continue
            line = plain.count("\n", 0, found.start(1) + row.start()) + 1
            try:
                values = [float(cell) for cell in row[0].replace(",", " ").split()]
            except ValueError:
                raise InputError(
                    f"{path}, line {line}: mpc.{name} holds {row[0].strip()!r}; it must be numbers"
                ) from None
            if len(values) < least:
                raise InputError(
                    f"{path}, line {line}: {len(values)} columns in mpc.{name}; it must be at least {least}"
                )
            rows.append((line, values))
        return rows

    base = re.search(r"mpc\.baseMVA\s*=\s*([\d.eE+-]+)", plain)
    if base is None:
        raise InputError(f"{path} has no mpc.baseMVA; it must be a MATPOWER case of format 2")
    buses, branches = matrix("bus", 10), matrix("branch", 11)
    voltages = sorted({row[9] for _, row in buses})
    if len(voltages) > 1:
        raise InputError(
            f"{path} has buses of {voltages[0]:g} and {voltages[-1]:g} kV; it must be a feeder of one voltage"
        )
    for line, row in buses:
        if row[4] or row[5]:
            raise InputError(f"{path}, line {line}: bus {row[0]:g} has a shunt; only lines and loads can be read")
    ohm = 1.0 if re.search(r"\[BR_R\s+BR_X\]\)\s*=.*/", plain) else voltages[0] ** 2 / float(base[1])
    kw = 1.0 if re.search(r"\[PD,?\s+QD\]\)\s*=.*/\s*1e3", plain) else 1000.0
    sections = []
    for i, (line, row) in enumerate(branches, 1):
        if row[8] not in (0.0, 1.0) or row[9]:
            raise InputError(f"{path}, line {line}: branch {i} is a transformer; only lines of one voltage can be read")
        if row[4]:
            raise InputError(
                f"{path}, line {line}: branch {i} has charging {row[4]:g}; only series impedances can be read"
            )
        a, b = (f"{end:g}" for end in row[:2])
        made = {"resistance_ohm": row[2] * ohm, "reactance_ohm": row[3] * ohm}
        sections.append(
            _at(path, line, lambda a=a, b=b, i=i, row=row, made=made: Section(f"l{i}", a, b, open=row[10] == 0, **made))
        )
    points = [
        LoadPoint(f"LP{row[0]:g}", f"{row[0]:g}", 1, row[2] * kw, load_kvar=row[3] * kw)
        for _, row in buses
        if row[2] or row[3]
    ]
    sources = tuple(f"{row[0]:g}" for _, row in buses if row[1] == REFERENCE)
    if not sources:
        raise InputError(f"{path} has no bus of type 3; the reference bus is the source")
    return _named(path, lambda: Network(sources, tuple(sections), tuple(points), voltages[0]))


def pandapower(path: str | Path) -> Network:
    """A network that pandapower wrote with `to_json`: lines, loads, external grids, and switches of lines.

    A line out of service, or with an open switch, is open. Buses are called by their index. Raises InputError for
    transformers, generators, shunts and other elements, capacitance that matters, several voltages.
    """
    text = _read(path)
    try:
        tables = json.loads(text)["_object"]
        if not isinstance(tables, dict) or "bus" not in tables:
            raise KeyError("bus")
    except (ValueError, KeyError, TypeError):
        raise InputError(f"{path} is no network that pandapower.to_json wrote") from None

    def rows(name: str) -> Iterator[dict[str, Any]]:
        table = tables.get(name)
        frame = table.get("_object") if isinstance(table, dict) else None
        frame = json.loads(frame) if isinstance(frame, str) else frame
        if isinstance(frame, dict):
            for index, row in zip(frame["index"], frame["data"], strict=True):
                yield {"index": index, **dict(zip(frame["columns"], row, strict=True))}

    for name in ("trafo", "trafo3w", "gen", "sgen", "shunt", "impedance", "xward", "ward", "storage", "dcline"):
        if any(row.get("in_service", True) for row in rows(name)):
            raise InputError(
                f"{path} has elements of the table {name!r}; only lines, loads and external grids can be read"
            )
    voltages = sorted({row["vn_kv"] for row in rows("bus")})
    if len(voltages) != 1:
        raise InputError(f"{path} has buses of {len(voltages)} voltages; it must be a feeder of one")
    cut = {row["element"] for row in rows("switch") if row["et"] == "l" and not row["closed"]}
    if odd := [row["index"] for row in rows("switch") if row["et"] not in ("l",)]:
        raise InputError(f"{path}: switch {odd[0]} is none of a line; only switches of lines can be read")
    sections = []
    for row in rows("line"):
        length, parallel = row["length_km"], row.get("parallel") or 1
        made = {
            f: row[c] * length / parallel
            for f, c in (("resistance_ohm", "r_ohm_per_km"), ("reactance_ohm", "x_ohm_per_km"))
        }
        name, open_ = f"l{row['index']}", not row["in_service"] or row["index"] in cut
        sections.append(Section(name, str(row["from_bus"]), str(row["to_bus"]), length, open=open_, **made))
    points = []
    for row in rows("load"):
        if row["in_service"]:
            scale = 1000 * (1.0 if row.get("scaling") is None else row["scaling"])
            points.append(
                LoadPoint(f"LP{row['index']}", str(row["bus"]), 1, row["p_mw"] * scale, load_kvar=row["q_mvar"] * scale)
            )
    sources = tuple(dict.fromkeys(str(row["bus"]) for row in rows("ext_grid") if row["in_service"]))
    if not sources:
        raise InputError(f"{path} has no external grid; it is the source")
    return _named(path, lambda: Network(sources, tuple(sections), tuple(points), voltages[0]))


def tables(sections: str | Path, load_points: str | Path, sources: Sequence[str], voltage_kv: float = 11.0) -> Network:
    """A network from two CSV files with a header, whose columns are the fields of `Section` and of `LoadPoint`.

    Of a section `name`, `a` and `b` have to be given, of a load point `name` and `bus`; `repair_h`,
    `transformer_failures_per_year` and `transformer_repair_h` stand for laws and the transformer. An empty cell is the
    field's default.
    """

    def section(row: dict[str, Any]) -> Section:
        if "repair_h" in row:
            row["repair"] = Deterministic(row.pop("repair_h"))
        return Section(**row)

    def point(row: dict[str, Any]) -> LoadPoint:
        own = {f: row.pop(f"transformer_{f}") for f in ("failures_per_year", "repair_h") if f"transformer_{f}" in row}
        if "repair_h" in own:
            own["repair"] = Deterministic(own.pop("repair_h"))
        return LoadPoint(**row, transformer=Transformer(**own) if own else None)

    lines = [_at(sections, n, lambda row=row: section(row)) for n, row in _rows(sections, SECTION, ("name", "a", "b"))]
    points = [
        _at(load_points, n, lambda row=row: point(row)) for n, row in _rows(load_points, LOAD_POINT, ("name", "bus"))
    ]
    return _named(sections, lambda: Network(tuple(sources), tuple(lines), tuple(points), voltage_kv))


def _rows(path: str | Path, fields: Mapping[str, type], needed: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Each row with its line; cells as their field's type."""
    reader = csv.reader(_read(path).splitlines())
    header = [cell.strip() for cell in next(reader, [])]
    unknown = [name for name in header if name not in fields]
    absent = [name for name in needed if name not in header]
    if unknown or absent:
        what = f"has a column {unknown[0]!r}" if unknown else f"has no column {absent[0]!r}"
        raise InputError(f"{path}, line 1: the table {what}; it must be of {', '.join(fields)}")
    for row in reader:
        line = reader.line_num
        if not row:
            continue
        if len(row) != len(header):
            raise InputError(f"{path}, line {line}: {len(row)} cells, but {len(header)} columns")
        found = {}
        for name, cell in zip(header, map(str.strip, row), strict=True):
            if cell:
                found[name] = _value(path, line, name, cell, fields[name])
        if lacking := [name for name in needed if name not in found]:
            raise InputError(f"{path}, line {line}: {lacking[0]} is empty; it must be given")
        yield line, found


def _value(path: str | Path, line: int, name: str, cell: str, kind: type) -> Any:
    if kind is str:
        return cell
    if kind is bool:
        if cell.lower() in ("true", "1", "yes"):
            return True
        if cell.lower() in ("false", "0", "no"):
            return False
        raise InputError(f"{path}, line {line}: {name} is {cell!r}; it must be true or false")
    try:
        number = float(cell)
        if math.isnan(number) or (kind is int and not number.is_integer()):
            raise ValueError
    except (ValueError, OverflowError):
        wanted = "a whole number" if kind is int else "a number"
        raise InputError(f"{path}, line {line}: {name} is {cell!r}; it must be {wanted}") from None
    return kind(number)


def _read(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}") from None


def _at(path: str | Path, line: int, make: Any) -> Any:
    return _named(f"{path}, line {line}", make)


def _named(where: str | Path, make: Any) -> Any:
    try:
        return make()
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
