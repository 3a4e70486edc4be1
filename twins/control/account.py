"""What a run cost: what happened is counted off its events, and prices turn the counts into one number."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import NamedTuple

from sim.errors import require
from sim.trace import Event


class Account(NamedTuple):
    """What happened within some hours to some assets, read off a trace; of stores, a failure is a stock-out."""

    hours: float
    assets: int
    failures: int = 0
    planned: int = 0
    inspections: int = 0
    down_h: float = 0.0  # of all assets together: from a failure or planned work to the renewal, waiting included
    parts: float = 0.0  # finished
    lost: float = 0.0  # parts that could have been made and were not
    stock: float = 0.0  # what stock has cost less what it earned, by the prices of the world's own stores

    @staticmethod
    def of(
        events: Iterable[Event],
        assets: int,
        until_h: float,
        parts: float = 0.0,
        lost: float = 0.0,
        stock: float = 0.0,
    ) -> Account:
        """From the events of a run between 0 h and *until_h*, in order."""
        counts = dict.fromkeys(("failure", "planned", "inspection"), 0)
        down_h, since_h = 0.0, {}
        for event in events:
            if event.kind in counts:
                counts[event.kind] += 1
            if event.kind in ("failure", "planned"):
                since_h[event.entity] = event.time_h
            elif event.kind == "renewal" and event.entity in since_h:
                down_h += event.time_h - since_h.pop(event.entity)
        down_h += sum(until_h - time_h for time_h in since_h.values())
        failures, planned, inspections = counts.values()
        return Account(until_h, assets, failures, planned, inspections, down_h, parts, lost, stock)

    @property
    def availability(self) -> float:
        """Share of the assets' time that they were not down."""
        return 1 - self.down_h / (self.hours * self.assets)

    @property
    def throughput(self) -> float:
        """Parts per hour."""
        return self.parts / self.hours


@dataclass(frozen=True)
class Prices:
    """What each thing costs, in one currency."""

    failure: float = 8.0  # corrective work
    planned: float = 2.0  # planned work
    inspection: float = 0.05  # a look at one asset's true health
    downtime_per_h: float = 0.0  # an hour in which an asset is down
    lost_part: float = 0.0

    def __post_init__(self):
        for field in fields(self):
            require(0 <= getattr(self, field.name) < math.inf, self, field.name, "at least 0 and finite")

    def cost(self, account: Account) -> float:
        return (
            self.failure * account.failures
            + self.planned * account.planned
            + self.inspection * account.inspections
            + self.downtime_per_h * account.down_h
            + self.lost_part * account.lost
            + account.stock
        )
