"""A production line: stations in series that starve, block, wear, fail and are repaired by a crew."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import ClassVar, Literal

from sim.errors import InputError, require
from sim.laws import Law
from sim.line import compiled, process
from sim.line import plan as plans
from sim.line.config import Action, Material, Station
from sim.line.state import State
from sim.supply import Action as Order
from sim.supply import Point, Supply
from sim.trace import Run


@dataclass(frozen=True)
class Line:
    """Stations in series with a buffer between each two, fed by a saturated source or by arrivals.

    A machine that finishes a part hands it to an idle machine of the next station (the lowest rank first), else to the
    buffer, else it is blocked; blocked machines deliver in the order in which they were blocked. Machines that go down
    are served by the crew in the order in which they went down, at equal times by rank. A machine that is down holds
    its part: unfinished work is resumed, a finished part is delivered when the machine is up again.

    A *supply* chain runs along, if there is one: the first station draws *material* from it for each part, stations
    their spares. Who finds none waits for it, after all who asked before; a machine that goes down in the meantime
    keeps its place.

    Two engines carry it on, bit for bit alike, so that a run may change between them: "simpy" takes every line,
    "compiled" those on which nothing acts from outside, much faster.
    """

    stations: tuple[Station, ...]
    buffers: tuple[int | None, ...] = ()  # room between each two stations; None is without limit
    arrivals: Law | None = None  # times between arrivals; None is a source that never runs dry
    queue: int | None = None  # room before the first station; an arrival that finds no room is lost
    crew: int | None = None  # None is one for each machine
    supply: Supply | None = None
    material: Material | None = None  # None: parts come with all that they need
    engine: Literal["simpy", "compiled"] = field(default="simpy", compare=False)  # the same line by either

    revision: ClassVar[int] = 1

    def __post_init__(self):
        object.__setattr__(self, "stations", tuple(self.stations))
        object.__setattr__(self, "buffers", tuple(self.buffers))
        ok = len(self.stations) >= 1 and all(isinstance(s, Station) for s in self.stations)
        require(ok, self, "stations", "at least one Station")
        wanted = len(self.stations) - 1
        require(len(self.buffers) == wanted, self, "buffers", f"{wanted} long, one buffer between each two stations")
        ok = all(b is None or (isinstance(b, int) and b >= 0) for b in self.buffers)
        require(ok, self, "buffers", "of whole numbers of at least 0, or None for no limit")
        require(self.queue is None or self.queue >= 0, self, "queue", "None or at least 0")
        require(self.queue is None or self.arrivals is not None, self, "queue", "None where there are no arrivals")
        require(self.crew is None or self.crew >= 1, self, "crew", "None or at least 1")
        require(self.engine in ("simpy", "compiled"), self, "engine", "'simpy' or 'compiled'")
        if self.engine == "compiled" and (lacks := compiled.refusal(self)):
            raise InputError(f"Line.engine is 'compiled', which asks for {lacks}; it must be 'simpy' for this line")
        if self.material:
            self._require_point("material", self.material.point)
        for k, station in enumerate(self.stations):
            if station.spare is not None:
                self._require_point(f"stations[{k}].spare", station.spare)
        taken = set(self.machines) | {f"b{k}" for k in range(len(self.stations))}
        if self.supply and (both := sorted(taken & set(self.supply.names))):
            raise InputError(
                f"Line.supply has a point {both[0]!r}, as a machine or buffer is called; name it otherwise"
            )

    def _require_point(self, field: str, name: str) -> None:
        """Refuse what the supply does not have, or may let a machine wait for without ever ordering it."""
        if self.supply is None or name not in self.supply.names:
            has = "no supply" if self.supply is None else f"the points {', '.join(self.supply.names)}"
            raise InputError(
                f"Line.{field} is of the point {name!r}; it must be one of the supply, and the line has {has}"
            )
        point: Point | None = self.supply[name]
        while point:
            if point.policy.reorder_point < -1:
                raise InputError(
                    f"Line.{field} comes from the point {point.name!r}, which orders at {point.policy.reorder_point} "
                    "or below; it must order at -1 or above, or who waits for one unit waits for ever"
                )
            point = self.supply[point.supplier] if point.supplier else None

    def __getstate__(self):
        return {field.name: getattr(self, field.name) for field in fields(self)}  # what is cached is left behind

    @cached_property
    def machines(self) -> tuple[str, ...]:
        """Names in order of rank: `m1`, `m2`; a station with several machines has `m2.1`, `m2.2`."""
        return tuple(
            f"m{k}" if station.machines == 1 else f"m{k}.{j}"
            for k, station in enumerate(self.stations, 1)
            for j in range(1, station.machines + 1)
        )

    @cached_property
    def buffer_names(self) -> tuple[str, ...]:
        """`b1` lies after the first station; `b0` is the arrivals' queue."""
        return tuple(f"b{k}" for k in range(self.arrivals is None, len(self.stations)))

    @property
    def drawn(self) -> set[str]:
        """The points of the supply from which the line draws."""
        return {s.spare for s in self.stations if s.spare} | ({self.material.point} if self.material else set())

    def station_of(self, machine: str) -> Station:
        """The station of a machine; an unknown name is an InputError."""
        return self.stations[self.plan.station[self._rank(machine)]]

    @cached_property
    def plan(self) -> plans.Plan:
        """What every run looks up, laid out by rank."""
        return plans.Plan.of(self)

    def _rank(self, machine: str) -> int:
        if machine not in self.machines:
            raise InputError(f"no machine {machine!r} in the line; it has {', '.join(self.machines)}")
        return self.machines.index(machine)

    def start(self, seed: int) -> State:
        """Every unit new, every buffer empty, the first station at work where the source is saturated."""
        return plans.start(self.plan, seed)

    def run(self, state: State, until_h: float) -> Run:
        """Run to *until_h*; see `sim.world.World`. Signals and events are listed in the package's docstring."""
        if not state.time_h <= until_h < math.inf:
            raise InputError(f"cannot run to {until_h} h a line that is at {state.time_h} h")
        if self.engine == "compiled":
            if state.actions:
                raise InputError("Line.engine is 'compiled', which carries out no actions; it must be 'simpy' for them")
            return compiled.run(self.plan, state.copy(), float(until_h))
        return process.run(self.plan, state.copy(), float(until_h))

    def act(self, state: State, action: Action | Order) -> State:
        """A copy of *state* with *action* queued; the next run that takes any time carries it out first."""
        if self.engine == "compiled":
            raise InputError("Line.engine is 'compiled', which carries out no actions; it must be 'simpy' for them")
        if self.supply and isinstance(action, Order):
            self.supply.check(action)
        elif isinstance(action, Action):
            self._rank(action.machine)
        else:
            orders = ", or an action of its supply" if self.supply else ""
            raise InputError(f"the action is {action!r}; a line takes OrderMaintenance, SetSpeed or Hold{orders}")
        state = state.copy()
        state.actions.append(action)
        return state

    def resample(self, state: State, seed: int) -> State:
        """A copy with another future: every draw that is not yet revealed is made anew, given what has been revealed.

        The rate of wear of each unit is part of its true state and stays.
        """
        return plans.resample(self.plan, state.copy(), seed)
