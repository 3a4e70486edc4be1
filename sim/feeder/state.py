"""The state of a feeder, plain data: that of its homes, its transformer, its battery, and who steals."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from sim.feeder.config import ReplaceTransformer, SetBattery
from sim.homes.state import State as HomesState
from sim.homes.transformer import Heat
from sim.streams import Streams
from sim.trace import Key


@dataclass(slots=True)
class Unit:
    """A transformer as of its latest knot. How much it stands, and when it fails by chance, is drawn and hidden."""

    rated_kva: float
    installed_h: float
    heat: Heat
    life_h: float  # of use at the rate of 1; inf where paper does not matter
    sudden_h: float  # when it fails by chance
    aged_h: float = 0.0  # used up at since_h
    since_h: float = 0.0
    rate: float = 0.0  # at which it is used up since then
    up: bool = True

    @property
    def fails_h(self) -> float:
        """When its life is used up, if it goes on as now."""
        if not self.up or not self.rate or math.isinf(self.life_h):
            return math.inf
        return max(self.since_h + (self.life_h - self.aged_h) / self.rate, self.since_h)

    def at(self, now_h: float) -> float:
        """What is used up at *now_h*, not before since_h."""
        return self.aged_h + self.rate * (now_h - self.since_h) if self.up else self.aged_h


class Thief(NamedTuple):
    """A household: what share passes by its meter since when, and when that changes, which is not revealed."""

    share: float
    since_h: float
    until_h: float


@dataclass(slots=True)
class Store:
    """The street's battery as of its latest event."""

    held_kwh: float
    order_kw: float = 0.0
    power_kw: float = 0.0  # at its terminals
    since_h: float = 0.0
    until_h: float = math.inf  # when it is full or empty


@dataclass(slots=True)
class State:
    """A feeder at `time_h`, before what is due at that very time. Amounts count from the beginning of an interval."""

    homes: HomesState
    streams: Streams
    unit: Unit
    store: Store
    thieves: list[Thief]
    open: dict[Key, tuple[float, ...]]  # of every signal the latest breakpoint
    interval: int = 0  # which one runs
    counted_kwh: list[float] = field(default_factory=list)  # of each signal of power, up to its latest breakpoint
    live: bool = True
    cause: str = ""  # why it is dark
    dark_h: float = 0.0  # since when
    back_h: float = math.inf  # until when
    switched_kwh: float = 0.0  # what all homes would have drawn, up to the latest switching
    served_kwh: float = 0.0  # what they have drawn up to then
    stored_kwh: float = 0.0  # what the battery has drawn, up to its latest event
    lost_kwh: float = 0.0  # what was not served since it is dark, up to the beginning of the interval
    actions: list[SetBattery | ReplaceTransformer] = field(default_factory=list)

    @property
    def seed(self) -> int:
        return self.homes.seed

    @property
    def time_h(self) -> float:
        return self.homes.time_h

    def copy(self) -> State:
        """Of all but the homes, which their own run copies."""
        return replace(
            self,
            streams=self.streams.copy(),
            unit=replace(self.unit),
            store=replace(self.store),
            thieves=self.thieves[:],
            open=self.open.copy(),
            counted_kwh=self.counted_kwh[:],
            actions=self.actions[:],
        )
