"""The state of homes on a street, plain data: what has been drawn lies in it as absolute times."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import NamedTuple

from sim.errors import require
from sim.streams import Streams


class Phase(IntEnum):
    """The codes of a household's `phase` signal."""

    ACTIVE = 0
    ASLEEP = 1
    AWAY = 2


class Use(NamedTuple):
    """An appliance in use. The time of its end is drawn and not yet revealed."""

    appliance: int
    since_h: float
    until_h: float


class Session(NamedTuple):
    """A car at a charger: when it has what it needs, and when it leaves, neither yet revealed."""

    who: int  # the household, or −1 for a visitor
    since_h: float
    charging: bool
    full_h: float
    leaves_h: float

    @property
    def due_h(self) -> float:
        return min(self.full_h, self.leaves_h) if self.charging else self.leaves_h


@dataclass(slots=True)
class Home:
    """One household as of its latest event."""

    size: float  # how much it uses, against the mean household of its kind
    phase: Phase
    phase_h: float  # when the phase ends
    start_h: float  # when the next use begins; inf where none does before the phase ends
    uses: tuple[Use, ...]
    kw: float  # of all uses
    cold: bool  # whether the compressor runs
    cold_since_h: float
    cold_h: float  # until when
    changed_h: tuple[float, float, float] = (0.0, 0.0, 0.0)  # of the signals phase, uses, fridge

    @property
    def due_h(self) -> float:
        due_h = min(self.phase_h, self.start_h, self.cold_h)
        for use in self.uses:
            if use.until_h < due_h:
                due_h = use.until_h
        return due_h


@dataclass(slots=True)
class Sky:
    """The weather as of the latest hour, what is known of the day to come, and what is called off."""

    hour: int  # the knot behind
    deviation_cel: float
    next_cel: float  # the deviation an hour later, revealed by the slope
    hints: tuple[float, ...]  # known parts of innovations, as normal scores, of hours hour+1 … hour+AHEAD
    forecasts_cel: tuple[float, ...]  # deviations foretold a day before, of hours hour … hour+AHEAD
    cloud: int = 0
    cloud_since_h: float = 0.0
    cloud_h: float = 0.0  # when it changes
    kelvin: float = 0.0  # to be held in this hour, by electricity, were nothing called off
    call: float = 0.0  # share that is called off
    rebound: float = 0.0  # kelvin that come on top
    until_h: float = math.inf  # when the call ends, or else the rebound
    owed: float = 0.0  # kelvin-hours that will come back
    counted_h: float = 0.0  # up to when
    returns: float = 0.0
    rebound_h: float = 1.0
    heat_h: float = 0.0  # when the signal `heat` has its latest breakpoint

    @property
    def heat(self) -> float:
        return self.kelvin * (1 - self.call) + self.rebound


@dataclass(frozen=True)
class Call:
    """Action: a share of all electric heating is called off for some hours, and most of it comes back thereafter."""

    share: float = 1.0
    length_h: float = 2.0
    returns: float = 0.9  # of the energy called off
    rebound_h: float = 3.0  # over which it comes back

    def __post_init__(self):
        require(0 <= self.share <= 1, self, "share", "between 0 and 1")
        require(0 <= self.returns <= 2, self, "returns", "between 0 and 2")
        for name in ("length_h", "rebound_h"):
            require(0.05 <= getattr(self, name) <= 48, self, name, "between .05 and 48")


@dataclass
class State:
    """All homes at `time_h`, before what is due at that very time."""

    seed: int
    time_h: float
    streams: Streams
    sky: Sky
    homes: list[Home]
    trade: list[float] = field(default_factory=list)  # normal scores of the businesses' factors, as of the hour behind
    sessions: list[Session] = field(default_factory=list)  # in the order of arrival
    visit_h: float = math.inf
    charging_h: float = 0.0  # when the chargers' signals have their latest breakpoint
    actions: list[Call] = field(default_factory=list)  # to be carried out first by the next run that takes any time

    def copy(self) -> State:
        return replace(
            self,
            streams=self.streams.copy(),
            sky=replace(self.sky),
            homes=[replace(home) for home in self.homes],
            trade=self.trade[:],
            sessions=self.sessions[:],
            actions=self.actions[:],
        )
