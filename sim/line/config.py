"""What a production line is made of: stations in series, buffers between them, a crew, and how each machine fails."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from enum import IntEnum
from typing import Literal

from sim.errors import require
from sim.laws import SHORTEST_H, Exponential, Law
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
    INSPECTING = 6  # stands still while its wear is looked at
    SHORT = 7  # has a part to begin, and waits for the material that it takes: a stock-out
    LACKING = 8  # down, waits for a spare: a stock-out


@dataclass(frozen=True)
class Sudden:
    """Failures without warning. The life runs with operation (working only) or with time (whenever not down)."""

    life: Law
    clock: Literal["operation", "time"] = "operation"

    def __post_init__(self):
        require(self.clock in ("operation", "time"), self, "clock", "'operation' or 'time'")


@dataclass(frozen=True)
class Leaves:
    """What work on a unit leaves behind: nothing, so that the next unit is new, or part of the wear and age it had.

    Age here is the virtual age of its sudden life (Kijima 1989): after a life of x it is v + q·x (model 1: work undoes
    the last life's damage) or q·(v + x) (model 2: all damage), and 0 where q is. q = 1 is minimal repair. A unit that
    is not renewed wholly keeps its own rate of wear.
    """

    wear: float = 0.0  # share of the wear that stays
    age: float = 0.0  # Kijima's q: 0 is as good as new, 1 as bad as old
    kijima: Literal[1, 2] = 1

    def __post_init__(self):
        require(0 <= self.wear <= 1, self, "wear", "between 0 and 1")
        require(0 <= self.age <= 1, self, "age", "between 0 and 1")
        require(self.kijima in (1, 2), self, "kijima", "1 or 2")

    @property
    def new(self) -> bool:
        return not (self.wear or self.age)

    def virtual_h(self, before_h: float, life_h: float) -> float:
        """The virtual age after a life of *life_h* that began at the virtual age *before_h*."""
        if not self.age:
            return 0.0
        return self.age * life_h + before_h * (1.0 if self.kijima == 1 else self.age)


@dataclass(frozen=True)
class RunToFailure:
    """No planned work."""


@dataclass(frozen=True)
class AgeReplacement:
    """Planned work when a unit has operated for *age_h* since the last work on it, or since it was new."""

    age_h: float

    def __post_init__(self):
        require(self.age_h > 0, self, "age_h", "above 0")


@dataclass(frozen=True)
class WearThreshold:
    """Planned work when wear is seen at or above *fraction* of the failure threshold."""

    fraction: float

    def __post_init__(self):
        require(0 < self.fraction < 1, self, "fraction", "between 0 and 1")


@dataclass(frozen=True)
class BlockReplacement:
    """Planned work at every whole multiple of *every_h* on the calendar, whatever the unit's age."""

    every_h: float

    def __post_init__(self):
        require(self.every_h >= SHORTEST_H, self, "every_h", f"at least {SHORTEST_H:g}")


@dataclass(frozen=True)
class Inspection:
    """A look at the wear every *every_h* operating hours since the last work; planned work from *fraction* on.

    A look takes no time or, by the law *takes*, a time in which the machine stands still. It needs no crew.
    """

    every_h: float
    fraction: float
    takes: Law | None = None

    def __post_init__(self):
        require(SHORTEST_H <= self.every_h < math.inf, self, "every_h", f"at least {SHORTEST_H:g} and finite")
        require(0 < self.fraction < 1, self, "fraction", "between 0 and 1")


@dataclass(frozen=True)
class Opportunistic:
    """Planned work when wear is seen at or above *limit*, and from *fraction* on when another machine goes down."""

    fraction: float
    limit: float = 1.0  # 1: only on an opportunity

    def __post_init__(self):
        require(0 < self.fraction < 1, self, "fraction", "between 0 and 1")
        require(self.fraction <= self.limit <= 1, self, "limit", "between the fraction and 1")


Policy = RunToFailure | AgeReplacement | WearThreshold | BlockReplacement | Inspection | Opportunistic


@dataclass(frozen=True)
class Material:
    """What the first station draws from the supply's *point* for each part, before it begins the part."""

    point: str
    units: int = 1

    def __post_init__(self):
        require(isinstance(self.units, int) and self.units >= 1, self, "units", "a whole number of at least 1")


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """How the unit in each machine of a station fails and wears, and what work on it takes and leaves.

    Work interrupted by a failure or by maintenance is resumed where it stopped. Corrective and planned work both need a
    member of the crew, and both make the unit as good as new unless they leave something behind.
    """

    sudden: Sudden | None = None
    wear: Wear | None = None
    load: float = 1.0  # scales the rate of wear while working
    repair: Law = Exponential(1.0)
    maintenance: Law = Exponential(1.0)
    repair_leaves: Leaves = Leaves()
    maintenance_leaves: Leaves = Leaves()
    policy: Policy = RunToFailure()

    def __post_init__(self):
        require(0 < self.load < math.inf, self, "load", "above 0 and finite")
        stays = self.repair_leaves.wear < 1 or self.wear is None
        require(stays, self, "repair_leaves", "less than the whole wear, or a worn unit fails again at once")
        for field in ("repair_leaves", "maintenance_leaves"):
            leaves: Leaves = getattr(self, field)
            require(not leaves.wear or self.wear is not None, self, field, "without wear where the station has no wear")
            require(not leaves.age or self.sudden is not None, self, field, "without age where no life is sudden")
        if isinstance(self.policy, WearThreshold | Inspection | Opportunistic):
            require(self.wear is not None, self, "policy", "another policy where the station has no wear")
            last = self.wear.last if self.wear else 0.0
            asked = {self.policy.fraction, getattr(self.policy, "limit", 0.0)} - {1.0}
            ok = max(asked) <= last + TINY
            require(ok, self, "policy", f"one that asks at {last:g} of the threshold or less: above, wear fails unseen")


@dataclass(frozen=True)
class Station(Upkeep):
    """One or several equal machines that take parts from the buffer before and put them into the buffer after.

    Where a *spare* is named, a point of the line's supply, work on a unit needs one of it beside the crew: it is asked
    for when the machine goes down, and only a machine that has it waits for the crew.
    """

    cycle: Law  # time to work one part at speed 1
    machines: int = 1
    _: KW_ONLY
    spare: str | None = None

    def __post_init__(self):
        super().__post_init__()
        require(self.machines >= 1, self, "machines", "at least 1")


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
