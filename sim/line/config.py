"""What a production line is made of: stations in series, buffers between them, a crew, and how each machine fails."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from sim.errors import require
from sim.laws import Exponential, Law
from sim.wear import Wear

TINY = 1e-9  # of wear: what rounding may take from a fraction


class Phase(IntEnum):
    """What a machine is doing; the codes of its `phase` signal."""

    STARVED = 0
    WORKING = 1
    BLOCKED = 2  # holds a finished part that the full buffer cannot take
    WAITING = 3  # down, waits for the crew
    REPAIRING = 4  # corrective work
    MAINTAINING = 5  # planned work


@dataclass(frozen=True)
class Sudden:
    """Failures without warning. The life runs with operation (working only) or with time (whenever not down)."""

    life: Law
    clock: Literal["operation", "time"] = "operation"

    def __post_init__(self):
        require(self.clock in ("operation", "time"), self, "clock", "'operation' or 'time'")


@dataclass(frozen=True)
class RunToFailure:
    """No planned work."""


@dataclass(frozen=True)
class AgeReplacement:
    """Planned work when a unit has operated for *age_h* since it was new."""

    age_h: float

    def __post_init__(self):
        require(self.age_h > 0, self, "age_h", "above 0")


@dataclass(frozen=True)
class WearThreshold:
    """Planned work when wear is seen at or above *fraction* of the failure threshold."""

    fraction: float

    def __post_init__(self):
        require(0 < self.fraction < 1, self, "fraction", "between 0 and 1")


Policy = RunToFailure | AgeReplacement | WearThreshold


@dataclass(frozen=True)
class Station:
    """One or several equal machines that take parts from the buffer before and put them into the buffer after.

    Work interrupted by a failure or by maintenance is resumed where it stopped. Corrective and planned work both make
    the unit as good as new and both need a member of the crew.
    """

    cycle: Law  # time to work one part at speed 1
    machines: int = 1
    sudden: Sudden | None = None
    wear: Wear | None = None
    load: float = 1.0  # scales the rate of wear while working
    repair: Law = Exponential(1.0)
    maintenance: Law = Exponential(1.0)
    policy: Policy = RunToFailure()

    def __post_init__(self):
        require(self.machines >= 1, self, "machines", "at least 1")
        require(0 < self.load < math.inf, self, "load", "above 0 and finite")
        if isinstance(self.policy, WearThreshold):
            wear = self.wear
            require(wear is not None, self, "policy", "another policy where the station has no wear")
            seen = wear is not None and self.policy.fraction <= wear.last + TINY
            require(
                seen, self, "policy", f"one of a fraction of at most {wear and wear.last:g}, above which wear fails"
            )


@dataclass(frozen=True)
class OrderMaintenance:
    """Action: planned work on a machine, now. Without effect on a machine that is down."""

    machine: str


@dataclass(frozen=True)
class SetSpeed:
    """Action: a machine works at *speed* times its nominal rate from now on."""

    machine: str
    speed: float

    def __post_init__(self):
        require(0 < self.speed < math.inf, self, "speed", "above 0 and finite")


@dataclass(frozen=True)
class Hold:
    """Action: a machine's maintenance policy is suspended from now on, so that it runs to failure."""

    machine: str


Action = OrderMaintenance | SetSpeed | Hold
