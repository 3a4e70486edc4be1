"""Weekly calendars: when somebody works or a price holds. Hour 0 of a world is Monday, 0 o'clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from sim.errors import require

WEEK_H = 168.0
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Shift:
    """From *from_h* to *to_h* o'clock on some days; beyond 24 it reaches into the next day."""

    from_h: float
    to_h: float
    days: tuple[str, ...] = DAYS[:5]

    def __post_init__(self):
        object.__setattr__(self, "days", tuple(self.days))
        require(bool(self.days) and set(self.days) <= set(DAYS), self, "days", f"some of {', '.join(DAYS)}")
        require(0 <= self.from_h < 24, self, "from_h", "at least 0 and below 24")
        require(self.from_h < self.to_h <= self.from_h + 24, self, "to_h", "after from_h, by 24 hours at most")

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Begin and end of each day's within the week, hours since Monday; the end may lie in the next week."""
        starts = (24.0 * DAYS.index(day) for day in self.days)
        return [(start + self.from_h, start + self.to_h) for start in starts]


@dataclass(frozen=True)
class Calendar:
    """Open during any of its shifts, week after week."""

    shifts: tuple[Shift, ...]

    def __post_init__(self):
        object.__setattr__(self, "shifts", tuple(self.shifts))
        require(bool(self.shifts), self, "shifts", "at least one Shift, or the calendar never opens")

    @property
    def hours(self) -> float:
        """Open hours in a week."""
        opened = _spells(self)
        return sum(end - begin for begin, end in opened)

    def is_open(self, time_h: float) -> bool:
        """Whether it is open from *time_h* on, however shortly."""
        edges = _edges(self)
        if not edges:
            return True
        return max((time, opens) for time, opens in _around(edges, time_h) if time <= time_h)[1]

    def next_h(self, time_h: float) -> float:
        """When it opens or closes next, after *time_h*; infinite for one that is always open."""
        return min((time for time, _ in _around(_edges(self), time_h) if time > time_h), default=math.inf)


def _around(edges: tuple[tuple[float, bool], ...], time_h: float) -> list[tuple[float, bool]]:
    """The edges of the week of *time_h*, of the one before and the one after."""
    week = math.floor(time_h / WEEK_H)
    return [(w * WEEK_H + offset, opens) for w in (week - 1, week, week + 1) for offset, opens in edges]


@lru_cache
def _spells(calendar: Calendar) -> tuple[tuple[float, float], ...]:
    """Open spells of one week, in order and apart, cut at its ends."""
    cut = []
    for begin, end in (span for shift in calendar.shifts for span in shift.spans):
        cut.append((begin, min(end, WEEK_H)))
        if end > WEEK_H:
            cut.append((0.0, end - WEEK_H))
    merged: list[tuple[float, float]] = []
    for begin, end in sorted(cut):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((begin, end))
    return tuple(merged)


@lru_cache
def _edges(calendar: Calendar) -> tuple[tuple[float, bool], ...]:
    """When it opens (True) and closes within a week; none where it is always open."""
    spells = _spells(calendar)
    opened = {begin for begin, _ in spells} - {end - WEEK_H for _, end in spells}
    closed = {end for _, end in spells} - {begin + WEEK_H for begin, _ in spells}
    return tuple(sorted([(t, True) for t in opened] + [(t, False) for t in closed]))
