"""Where the values of each series lie in the cache of a split: piece after piece, each on the clock of the first."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from twins.dataset import files, shards

KEY = ("run", "asset", "entity", "quantity")
METADATA = (*KEY, "unit", "role", "start_h", "step_h", "samples", "shape", "times_h")


class Place(NamedTuple):
    """Where one series lies.

    Pieces on a regular clock need not touch: cleaning may have taken off their ends. The lead of a piece is how many
    samples are missing before it, or, below 0, how many of its first ones the pieces before it have.
    """

    row: dict  # of its first piece
    at: int  # the first of its values
    counts: list[int]  # samples of each part, leads included
    leads: list[int]  # samples, of each piece
    times_h: np.ndarray  # float64[samples] where times are explicit, else empty

    @property
    def size(self) -> int:
        """Numbers in one sample; datasets of schema 1 and 2 know no frames."""
        return math.prod(self.row.get("shape") or ())


def key(row: dict) -> tuple:
    """What tells one series from another."""
    return tuple(row[name] for name in KEY)


def of(parts: Sequence[Sequence[Path]]) -> list[Place]:
    """Where each series of the tables of *parts* lies, one after the other in the order of their appearance."""
    found: dict[tuple, tuple] = {}
    for i, tables in enumerate(parts):
        for path in tables:
            for row, times_h in zip(*_metadata(path), strict=True):
                first, counts, leads, pieces = found.setdefault(key(row), (row, [0] * len(parts), [], []))
                lead = _first(row) - _first(first) - sum(counts) if row["step_h"] else 0
                leads.append(max(lead, -row["samples"]))
                counts[i] += leads[-1] + row["samples"]
                pieces.append(times_h)
    layout, at = [], 0
    for row, counts, leads, pieces in found.values():
        layout.append(Place(row, at, counts, leads, np.concatenate(pieces) if len(pieces) > 1 else pieces[0]))
        at += sum(counts) * layout[-1].size
    return layout


def told(layout: Sequence[Place]) -> str:
    """SHA-256 of where values lie and what they are of."""
    digest = hashlib.sha256()
    for *said, times_h in layout:
        digest.update(json.dumps(said).encode())
        digest.update(np.ascontiguousarray(times_h).data)
    return digest.hexdigest()


def _metadata(path: Path) -> tuple[list[dict], list[np.ndarray]]:
    """The rows of a series table but for the values, and the times of each."""
    with files.whole(path):
        table = shards.read(path, METADATA)
        for name in set(METADATA) - {"shape"}:
            table.column(name)  # which a rotten footer may have lost
        return table.drop_columns("times_h").to_pylist(), shards.floats(table.column("times_h"))


def _first(row: dict) -> int:
    """The number of a piece's first sample on its clock."""
    return round(row["start_h"] / row["step_h"])
