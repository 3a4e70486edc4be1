"""Parts on their way, one by one in the state, and many at once as a table with a row each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sim.line import State as LineState
from sim.streams import Streams

FIELDS = ("severity", "spoiled", "worked_h", "wear")  # what is on record of a part by flaw


class Part(NamedTuple):
    """A part between two machines: by flaw, the severity, whether it has spoiled the part, when its machine worked the
    part, and how worn the tool was. At the bench, where all marks are made anew, only the times are kept."""

    number: int
    passes: int = 0
    severity: tuple[float, ...] = ()
    spoiled: tuple[bool, ...] = ()
    worked_h: tuple[float, ...] = ()
    wear: tuple[float, ...] = ()


@dataclass
class State:
    """The line's state, and the parts that have left some machine and not yet passed the inspection."""

    line: LineState
    streams: Streams
    after: list[list[Part]]  # those that have left each machine but the last, in order
    bench: list[Part] = field(default_factory=list)  # the first is in work
    begun_h: float = 0.0
    done_h: float = math.inf
    level_h: float = 0.0  # when the number at the bench last changed
    last_h: float = 0.0  # the last inspection, and what was put down of it
    last: tuple[float, ...] = ()
    passed: int = 0
    scrapped: int = 0

    @property
    def seed(self) -> int:
        return self.line.seed

    @property
    def time_h(self) -> float:
        return self.line.time_h


def table(parts: Sequence[Part], flaws: int) -> np.ndarray:
    """A row a part: number, passes, and by flaw the four FIELDS; float64[N, C]."""
    rows = [(p.number, p.passes, *p.severity, *p.spoiled, *p.worked_h, *p.wear) for p in parts]
    return np.array(rows, np.float64).reshape(len(rows), 2 + len(FIELDS) * flaws)


def column(parts_NxC: np.ndarray, name: str) -> np.ndarray:
    """The columns of a field, one a flaw; a view."""
    flaws = (parts_NxC.shape[1] - 2) // len(FIELDS)
    first = 2 + flaws * FIELDS.index(name)
    return parts_NxC[:, first : first + flaws]


def listed(parts_NxC: np.ndarray) -> list[Part]:
    """The parts of a table, one by one."""
    severity, spoiled, worked_h, wear = (column(parts_NxC, name).tolist() for name in FIELDS)
    bad = [tuple(map(bool, row)) for row in spoiled]
    rows = zip(parts_NxC[:, :2].astype(int).tolist(), severity, bad, worked_h, wear, strict=True)
    return [Part(*first, *map(tuple, rest)) for first, *rest in rows]
