"""A factory: products on routes through stations of parallel machines, with assembly, setups, shifts and operators."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import ClassVar, Literal

from sim.errors import InputError, require
from sim.factory import plan as plans
from sim.factory import process, routes
from sim.factory.config import Action, Operator, Product, Release, SetPriority, Station, Tariff
from sim.factory.state import State
from sim.trace import Run


@dataclass(frozen=True)
class Factory:
    """Stations with queues before them, operators, and products whose parts go from one to the other.

    A part that has been worked goes to an idle machine of its next station, else into that queue, else its machine is
    blocked; blocked machines deliver in the order in which they were blocked. A part that comes to the station where it
    already is, with a full queue, stands last in it and the first goes into the machine. An operation begins with its
    components: they are taken, the machine changes over if it must, and an operator comes, the least versatile who is
    free; a free operator goes to the machine that has waited longest. The operator stays until the operation ends, is
    interrupted, or the shift ends; then the work rests, in the machine, until another comes. A station that closes puts
    work down in the same way. Failures, wear, policies and the crew are those of `sim.line.Line`; the crew works at any
    hour. Where routes lead back and queues are limited, machines may block each other for ever. A factory that could
    is refused, or *deadlocks* are reported as events and stay.
    """

    stations: tuple[Station, ...]
    products: tuple[Product, ...]
    operators: tuple[Operator, ...] = ()
    crew: int | None = None  # None is one for each machine
    tariff: Tariff = Tariff()
    deadlocks: Literal["refuse", "report"] = "refuse"

    revision: ClassVar[int] = 1

    def __post_init__(self):
        for field, kind in (("stations", Station), ("products", Product), ("operators", Operator)):
            object.__setattr__(self, field, tuple(getattr(self, field)))
            ok = all(isinstance(x, kind) for x in getattr(self, field))
            require(ok, self, field, f"of {kind.__name__}s")
        require(bool(self.stations), self, "stations", "at least one Station")
        require(bool(self.products), self, "products", "at least one Product")
        require(self.crew is None or self.crew >= 1, self, "crew", "None or at least 1")
        require(self.deadlocks in ("refuse", "report"), self, "deadlocks", "'refuse' or 'report'")
        names = [x.name for x in (*self.stations, *self.products, *self.operators)]
        names += [m for s in self.stations if s.machines > 1 for m in self._machines(s)]
        if twice := sorted({name for name in names if names.count(name) > 1 or name == "plant"}):
            raise InputError(
                f"Factory: the name {twice[0]!r} is taken; each station, product and operator needs its own"
            )
        routes.check_names(self)
        routes.check_ends(self)
        routes.check_assemblies(self)
        object.__setattr__(self, "_cyclic", routes.check_deadlocks(self))

    def __getstate__(self):
        kept = {field.name: getattr(self, field.name) for field in fields(self)}  # what is cached is left behind
        return kept | {"_cyclic": self.cyclic}

    @property
    def cyclic(self) -> bool:
        """Whether machines could block each other for ever."""
        return self.__dict__["_cyclic"]

    @staticmethod
    def _machines(station: Station) -> list[str]:
        if station.machines == 1:
            return [station.name]
        return [f"{station.name}.{j}" for j in range(1, station.machines + 1)]

    @cached_property
    def machines(self) -> tuple[str, ...]:
        """Names by rank: a station's own, or where it has several machines `mill.1`, `mill.2`."""
        return tuple(name for station in self.stations for name in self._machines(station))

    @cached_property
    def plan(self) -> plans.Plan:
        """What every run looks up, laid out by rank."""
        return plans.Plan.of(self)

    def station_of(self, machine: str) -> Station:
        """The station of a machine; an unknown name is an InputError."""
        return self.stations[self.plan.station[self._rank(machine)]]

    def _rank(self, machine: str) -> int:
        if machine not in self.machines:
            raise InputError(f"no machine {machine!r} in the factory; it has {', '.join(self.machines)}")
        return self.machines.index(machine)

    def start(self, seed: int) -> State:
        """Every unit new, every queue empty; the first run begins what begins at 0 h."""
        return plans.start(self.plan, seed)

    def run(self, state: State, until_h: float) -> Run:
        """Run to *until_h*; see `sim.world.World`. Signals and events are listed in the package's docstring."""
        if not state.time_h <= until_h < math.inf:
            raise InputError(f"cannot run to {until_h} h a factory that is at {state.time_h} h")
        return process.run(self.plan, state.copy(), float(until_h))

    def act(self, state: State, action: Action) -> State:
        """A copy of *state* with *action* queued; the next run that takes any time carries it out first."""
        if not isinstance(action, Action):
            raise InputError(
                f"the action is {action!r}; a factory takes OrderMaintenance, SetSpeed, Hold, Release or SetPriority"
            )
        if isinstance(action, Release | SetPriority):
            known = [p.name for p in self.products]
            if action.product not in known:
                raise InputError(f"no product {action.product!r} in the factory; it has {', '.join(known)}")
        else:
            self._rank(action.machine)
        state = state.copy()
        state.actions.append(action)
        return state

    def resample(self, state: State, seed: int) -> State:
        """A copy with another future: every draw that is not yet revealed is made anew, given what has been revealed.

        The rate of wear of each unit is part of its true state and stays.
        """
        return plans.resample(self.plan, state.copy(), seed)
