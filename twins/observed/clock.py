"""From rows to samples: times put in order, duplicates resolved, a regular clock found, its gaps made missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.errors import InputError
from twins.observed.read import HOUR_US, Rows, finding
from twins.observed.table import Table

STRETCH = 100  # a regular clock may have so many times more samples than rows
TIGHT_H = 1e-7  # times closer than this (0.4 ms) are one time: what rounding to hours loses


@dataclass(frozen=True, eq=False)
class Record:
    """One asset's readings in order of time; `first` is the sample number of the first on a regular clock."""

    asset: str
    rows: np.ndarray  # int64[n]: the row that each sample comes from, −1 in a gap
    values: dict[str, np.ndarray]  # float64[n]
    time_h: np.ndarray  # float64[n]
    first: int


def records(table: Table, rows: Rows) -> tuple[list[Record], float | None, list[dict]]:
    """The record of each asset, the step of their common regular clock (None: explicit times), and what was changed."""
    order: dict[str, list[int]] = {}
    for i, asset in enumerate(rows.asset):
        order.setdefault(asset, []).append(i)
    findings = list(rows.findings)
    parts = {asset: np.array(index) for asset, index in order.items()}
    if rows.time_h is None:
        assert table.step_h
        made = []
        for asset, index in parts.items():
            time_h = np.arange(len(index)) * table.step_h
            made.append(Record(asset, index, {n: v[index] for n, v in rows.values.items()}, time_h, 0))
        return made, table.step_h, findings
    time_h = rows.time_h
    late = np.concatenate([index[1:][np.diff(time_h[index]) < 0] for index in parts.values()])
    if late.size:
        findings.append(finding("order", rows.line[late], "sorted by time"))
        parts = {asset: index[np.argsort(time_h[index], kind="stable")] for asset, index in parts.items()}
    step_h = (
        None if table.clock == "explicit" else table.step_h or _step(table, [time_h[index] for index in parts.values()])
    )
    made = [_record(table, rows, asset, index, time_h[index], step_h, findings) for asset, index in parts.items()]
    return made, step_h, _added(findings)


def _step(table: Table, times: list[np.ndarray]) -> float | None:
    """The most common step, if nine in ten steps are that and the others are multiples of it."""
    steps = np.concatenate([np.diff(t) for t in times])
    steps = steps[steps > TIGHT_H]
    step_h = None
    if steps.size:
        rounded = np.round(steps / TIGHT_H).astype(np.int64)
        values, counts = np.unique(rounded, return_counts=True)
        step_h = float(np.median(steps[rounded == values[counts.argmax()]]))
        ratio = steps / step_h
        close = np.abs(ratio - np.round(ratio)) <= np.maximum(table.jitter, TIGHT_H / step_h)
        if np.mean((np.round(ratio) == 1) & close) >= 0.9 and close.all() and np.round(ratio).min() >= 1:
            micros = round(step_h * HOUR_US)  # the step as it was meant: hours of whole microseconds
            return micros / HOUR_US if micros > 1000 else step_h
    if table.clock == "regular":
        raise InputError(
            f"{table.path}: the times of {table.time!r} have no common step; give step_h, or clock explicit"
        )
    return None


def _record(
    table: Table,
    rows: Rows,
    asset: str,
    index: np.ndarray,
    time_h: np.ndarray,
    step_h: float | None,
    findings: list[dict],
) -> Record:
    if step_h is None:
        tick = np.concatenate(([0], np.cumsum(np.diff(time_h) > TIGHT_H)))
        number = tick
    else:
        number = np.round(time_h / step_h).astype(np.int64)
        off = np.abs(time_h - number * step_h)
        wrong = np.flatnonzero(off > table.jitter * step_h + TIGHT_H)
        if wrong.size:
            at = wrong[0]
            raise InputError(
                f"{table.path}, line {rows.line[index[at]]}: the time {time_h[at]:g} h is not on the clock of "
                f"{step_h:g} h steps; correct it, allow more jitter, or set clock to explicit"
            )
        if (moved := np.flatnonzero(off > TIGHT_H)).size:
            findings.append(finding("clock", rows.line[index[moved]], f"moved to the clock of {step_h:g} h steps"))
    kept, group = np.unique(number, return_index=True)
    repeated = np.setdiff1d(np.arange(len(number)), group)
    if repeated.size and table.duplicates == "refuse":
        raise InputError(
            f"{table.path}, line {rows.line[index[repeated[0]]]}: the time of this row is already there; remove "
            "the row, or set duplicates to first, last or mean"
        )
    if repeated.size:
        did = {"first": "first row kept", "last": "last row kept", "mean": "averaged"}[table.duplicates]
        findings.append(finding("duplicate", rows.line[index[repeated]], did))
    last = np.append(group[1:], len(number)) - 1
    chosen = index[last if table.duplicates == "last" else group]
    values = {}
    for name, column in rows.values.items():
        values[name] = _mean(column[index], group, len(number)) if table.duplicates == "mean" else column[chosen]
    if step_h is None:
        return Record(asset, chosen, values, time_h[group], 0)
    span = int(kept[-1] - kept[0]) + 1
    if span > STRETCH * (len(kept) + 100):
        at = int(np.diff(kept).argmax()) + 1
        raise InputError(
            f"{table.path}, line {rows.line[chosen[at]]}: {(kept[at] - kept[at - 1]) * step_h:g} h after the reading "
            f"before it, on a clock of {step_h:g} h steps; correct the time, or set clock to explicit"
        )
    if span > len(kept):
        after = chosen[1:][np.diff(kept) > 1]
        gap = finding(
            "gap", rows.line[after], f"filled with missing samples, the longest gap {np.diff(kept).max() * step_h:g} h"
        )
        findings.append(gap | {"count": span - len(kept)})
    where = kept - kept[0]
    full = np.full(span, -1)
    full[where] = chosen
    for name, column in values.items():
        values[name] = np.full(span, np.nan)
        values[name][where] = column
    return Record(asset, full, values, np.arange(kept[0], kept[0] + span) * step_h, int(kept[0]))


def _mean(values: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    """The mean of what is not missing in each group of rows."""
    there = ~np.isnan(values)
    number = np.add.reduceat(there, group)
    with np.errstate(invalid="ignore"):
        return np.add.reduceat(np.where(there, values, 0.0), group) / np.where(number, number, np.nan)


def _added(findings: list[dict]) -> list[dict]:
    """One finding for each check, column and deed: counts added over assets, first lines kept."""
    total: dict[tuple, dict] = {}
    for found in findings:
        key = found["check"], found["column"], found["did"].split(", the longest")[0]
        if key in total:
            total[key]["count"] += found["count"]
            total[key]["lines"] = (total[key]["lines"] + found["lines"])[:3]
        else:
            total[key] = dict(found)
    return list(total.values())
