"""What a factory is made of: stations of machines, operators, and products with routes of operations."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Literal

from sim.errors import require
from sim.factory.calendar import Calendar, Shift
from sim.laws import Law
from sim.line.config import Hold, OrderMaintenance, SetSpeed, Upkeep


class Phase(IntEnum):
    """What a machine is doing; the codes of its `phase` signal. Those of a line's machine are the same."""

    STARVED = 0
    WORKING = 1
    BLOCKED = 2  # holds a finished part for which there is no room
    WAITING = 3  # down, waits for the crew
    REPAIRING = 4
    MAINTAINING = 5
    INSPECTING = 6
    SHORT = 7  # as in a line: waits for material
    LACKING = 8  # as in a line: down, waits for a spare
    SETUP = 9  # changes over to another family
    UNMANNED = 10  # has a part to work on, waits for an operator
    CLOSED = 11  # the station is closed


@dataclass(frozen=True)
class Component:
    """Finished parts of another product that an operation takes before it begins."""

    product: str
    parts: int = 1

    def __post_init__(self):
        require(isinstance(self.parts, int) and self.parts >= 1, self, "parts", "a whole number of at least 1")


@dataclass(frozen=True)
class Branch:
    """A part goes on to the operation named *to*, or is finished where that is empty, by *probability*."""

    to: str
    probability: float

    def __post_init__(self):
        require(0 < self.probability <= 1, self, "probability", "above 0 and at most 1")


@dataclass(frozen=True)
class Operation:
    """One step of a route. A station may come again."""

    station: str
    time: Law  # to work one part at speed 1
    name: str = ""  # for branches to name
    family: str = ""  # that the machine must be set up for; empty: whatever it is
    skill: str | None = None  # of the operator who stays with it, its setup included; None: it runs by itself
    takes: tuple[Component, ...] = ()
    next: tuple[Branch, ...] = ()  # empty: the next of the route, or finished

    def __post_init__(self):
        for field in ("takes", "next"):
            object.__setattr__(self, field, tuple(getattr(self, field)))
        twice = len({c.product for c in self.takes}) < len(self.takes)
        require(not twice, self, "takes", "of each product once, with the number of parts")
        total = math.fsum(branch.probability for branch in self.next)
        require(
            not self.next or abs(total - 1) < 1e-9, self, "next", f"of probabilities that add up to 1, not {total:g}"
        )


@dataclass(frozen=True)
class Saturated:
    """There is always another part to begin. Several such products share a station's free moments by *share*."""

    share: float = 1.0

    def __post_init__(self):
        require(0 < self.share < math.inf, self, "share", "above 0 and finite")


@dataclass(frozen=True)
class Arrivals:
    """Parts arrive one by one; one that finds no room is lost."""

    between: Law


@dataclass(frozen=True)
class Conwip:
    """A fixed number of parts: another is released when one leaves the plant, or is taken by an assembly."""

    parts: int

    def __post_init__(self):
        require(isinstance(self.parts, int) and self.parts >= 1, self, "parts", "a whole number of at least 1")


@dataclass(frozen=True)
class Product:
    """What is made, by which route, and how its parts come in; None: by the action Release alone.

    Where other products take it as a component its finished parts lie in a stock, else they leave the plant.
    """

    name: str
    route: tuple[Operation, ...]
    release: Saturated | Arrivals | Conwip | None = None

    def __post_init__(self):
        object.__setattr__(self, "route", tuple(self.route))
        ok = bool(self.route) and all(isinstance(o, Operation) for o in self.route)
        require(ok, self, "route", "at least one Operation")


@dataclass(frozen=True)
class Power:
    """Electric power of a machine by what it does, in kW."""

    working_kw: float = 0.0
    setup_kw: float = 0.0
    idle_kw: float = 0.0  # up and not working
    down_kw: float = 0.0
    closed_kw: float = 0.0

    def __post_init__(self):
        for field in fields(self):
            require(0 <= getattr(self, field.name) < math.inf, self, field.name, "at least 0 and finite")


@dataclass(frozen=True)
class Changeover:
    """The setup from one family to another, where it differs from the station's."""

    before: str
    after: str
    time: Law


@dataclass(frozen=True)
class Station(Upkeep):
    """Equal machines with one queue before them. All that a line's station says of failures, wear and work holds here.

    A machine that is free takes the first part of the queue for which all components are there (*rule* fifo), or the
    first such part of the family that it is set up for, and else the first (*rule* setup). Products of a higher
    priority come before both.
    """

    name: str
    machines: int = 1
    room: int | None = None  # of the queue; None is without limit
    rule: Literal["fifo", "setup"] = "fifo"
    setup: Law | None = None  # between any two families; None takes no time
    changeovers: tuple[Changeover, ...] = ()
    family: str = ""  # for which the machines are set up at first
    calendar: Calendar | None = None  # None: always open
    power: Power = Power()

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "changeovers", tuple(self.changeovers))
        require(bool(self.name), self, "name", "given")
        require(self.machines >= 1, self, "machines", "at least 1")
        require(self.room is None or self.room >= 0, self, "room", "None or at least 0")
        require(self.rule in ("fifo", "setup"), self, "rule", "'fifo' or 'setup'")
        pairs = {(c.before, c.after) for c in self.changeovers}
        require(len(pairs) == len(self.changeovers), self, "changeovers", "one for each two families")


@dataclass(frozen=True)
class Operator:
    """Somebody who works at one machine at a time, at operations that ask for one of the *skills*."""

    name: str
    skills: tuple[str, ...]
    calendar: Calendar | None = None  # None: always there

    def __post_init__(self):
        object.__setattr__(self, "skills", tuple(self.skills))
        require(bool(self.name), self, "name", "given")
        require(bool(self.skills), self, "skills", "at least one skill, or the operator has nothing to do")


@dataclass(frozen=True)
class Band:
    """A price of electricity during a shift."""

    per_kwh: float
    shift: Shift

    def __post_init__(self):
        require(-math.inf < self.per_kwh < math.inf, self, "per_kwh", "finite")


@dataclass(frozen=True)
class Tariff:
    """What a kWh costs: *per_kwh*, or in the hours of a band its price; of bands that overlap the first holds."""

    per_kwh: float = 0.0
    bands: tuple[Band, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "bands", tuple(self.bands))
        require(-math.inf < self.per_kwh < math.inf, self, "per_kwh", "finite")


@dataclass(frozen=True)
class Release:
    """Action: parts of a product arrive now."""

    product: str
    parts: int = 1

    def __post_init__(self):
        require(isinstance(self.parts, int) and self.parts >= 1, self, "parts", "a whole number of at least 1")


@dataclass(frozen=True)
class SetPriority:
    """Action: parts of a product of a higher priority are taken first from now on; at the start each has 0."""

    product: str
    priority: int

    def __post_init__(self):
        require(isinstance(self.priority, int), self, "priority", "a whole number")


Action = OrderMaintenance | SetSpeed | Hold | Release | SetPriority
