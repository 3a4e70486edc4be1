"""A production line: stations in series that starve, block, wear, fail and are repaired by a crew."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import ClassVar

from sim.errors import InputError, require
from sim.laws import Law
from sim.line import plan as plans
from sim.line import process
from sim.line.config import Action, Station
from sim.line.state import State
from sim.trace import Run


@dataclass(frozen=True)
class Line:
    """Stations in series with a buffer between each two, fed by a saturated source or by arrivals.

    A machine that finishes a part hands it to an idle machine of the next station (the lowest rank first), else to the
    buffer, else it is blocked; blocked machines deliver in the order in which they were blocked. Machines that go down
    are served by the crew in the order in which they went down, at equal times by rank. A machine that is down holds
    its part: unfinished work is resumed, a finished part is delivered when the machine is up again.
    """

    stations: tuple[Station, ...]
    buffers: tuple[int | None, ...] = ()  # room between each two stations; None is without limit
    arrivals: Law | None = None  # times between arrivals; None is a source that never runs dry
    queue: int | None = None  # room before the first station; an arrival that finds no room is lost
    crew: int | None = None  # None is one for each machine

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
        return process.run(self.plan, state.copy(), float(until_h))

    def act(self, state: State, action: Action) -> State:
        """A copy of *state* with *action* queued; the next run that takes any time carries it out first."""
        if not isinstance(action, Action):
            raise InputError(f"the action is {action!r}; a line takes OrderMaintenance, SetSpeed or Hold")
        self._rank(action.machine)
        state = state.copy()
        state.actions.append(action)
        return state

    def resample(self, state: State, seed: int) -> State:
        """A copy with another future: every draw that is not yet revealed is made anew, given what has been revealed.

        The rate of wear of each unit is part of its true state and stays.
        """
        return plans.resample(self.plan, state.copy(), seed)
