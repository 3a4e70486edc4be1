"""From hours since an epoch to what a clock on the wall and a calendar show: hour, month, working day or holiday."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sim.errors import InputError, require

WORKDAY, SATURDAY, SUNDAY = range(3)  # kinds of day; a holiday is a Sunday


class Hour(NamedTuple):
    """One hour as the clock on the wall shows it."""

    hour: int
    kind: int  # WORKDAY, SATURDAY or SUNDAY
    month: int  # from 1 on
    day: int  # of the year, from 1 on
    date: int  # days since 1 January of year 1


@dataclass(frozen=True)
class Calendar:
    """Local time and Germany's nationwide holidays. The epoch, at which hour 0 begins, says its own time zone."""

    epoch: str = "2025-01-06T00:00:00+01:00"
    zone: str = "Europe/Berlin"
    holidays: tuple[str, ...] = ()  # further ones, as ISO dates

    def __post_init__(self):
        try:
            epoch = datetime.fromisoformat(self.epoch)
            ZoneInfo(self.zone)
            object.__setattr__(self, "holidays", tuple(date.fromisoformat(day).isoformat() for day in self.holidays))
        except (ValueError, ZoneInfoNotFoundError) as error:
            raise InputError(f"Calendar: {error}; it takes ISO 8601 dates and the name of a time zone") from None
        require(epoch.tzinfo is not None, self, "epoch", "one with a time zone, such as 2025-01-06T00:00:00+01:00")
        require(_is_whole(epoch.astimezone(ZoneInfo(self.zone))), self, "epoch", "a whole hour of the zone's clock")

    @property
    def start(self) -> datetime:
        """Hour 0, in UTC."""
        return datetime.fromisoformat(self.epoch).astimezone(timezone.utc)  # noqa: UP017

    def at(self, hour: int) -> Hour:
        """The hour that begins *hour* hours after the epoch. Hours that summer time skips or repeats do so here."""
        local = (self.start + timedelta(hours=hour)).astimezone(ZoneInfo(self.zone))
        today = local.date()
        holiday = today in nationwide(today.year) or today.isoformat() in self.holidays
        kind = SUNDAY if holiday else max(today.weekday() - 4, WORKDAY)
        return Hour(local.hour, kind, today.month, today.timetuple().tm_yday, today.toordinal())


def _is_whole(moment: datetime) -> bool:
    return not (moment.minute or moment.second or moment.microsecond)


@lru_cache(maxsize=512)
def nationwide(year: int) -> frozenset[date]:
    """The nine holidays of all German states."""
    fixed = [date(year, month, day) for month, day in ((1, 1), (5, 1), (10, 3), (12, 25), (12, 26))]
    return frozenset(fixed + [easter(year) + timedelta(days) for days in (-2, 1, 39, 50)])


def easter(year: int) -> date:
    """Easter Sunday of the Gregorian calendar (Meeus, Jones and Butcher; Meeus, Astronomical Algorithms, ch. 8)."""
    a, (b, c) = year % 19, divmod(year, 100)
    (d, e), g = divmod(b, 4), (8 * b + 13) // 25
    h = (19 * a + b - d - g + 15) % 30
    i, k = divmod(c, 4)
    el = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * el) // 451
    month, day = divmod(h + el - 7 * m + 114, 31)
    return date(year, month, day + 1)
