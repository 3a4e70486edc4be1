"""The whole truth about a line at one time: numbers, names and stream positions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sim.line.config import Action
from sim.line.units import Asset
from sim.streams import Streams
from sim.supply import Action as Order
from sim.supply import State as Stocks

# What a machine holds: nothing, a part to work on, a finished part; a part whose material has not come, or has.
NONE, RAW, DONE, SHORT_OF, READY = 0, 1, 2, 3, 4


@dataclass(slots=True)
class Machine(Asset):
    """A machine of a line, and the part in it."""

    holds: int = NONE
    cycle_h: float = 0.0  # nominal time of the part in work
    part_h: float = math.inf  # when it will be finished, while WORKING
    left_h: float = 0.0  # working time left on it, while down
    parts: int = 0  # finished so far
    finished_h: float = 0.0  # when the last was finished

    def copy(self) -> Machine:
        return Machine(
            self.rank,
            self.phase,
            self.since_h,
            self.until_h,
            self.hours[:],
            self.clock_h,
            self.next_op,
            self.level_op,
            self.sudden_op,
            self.age_op,
            self.block_h,
            self.sudden_h,
            self.virtual_h,
            self.entered_op,
            self.renewed_op,
            self.renewed_h,
            self.wear,
            self.next_wear,
            self.wear_h,
            self.unit,
            self.rate,
            self.pace,
            self.speed,
            self.speed_h,
            self.held,
            self.planned,
            self.holds,
            self.cycle_h,
            self.part_h,
            self.left_h,
            self.parts,
            self.finished_h,
        )


@dataclass(slots=True)
class State:
    """A line at `time_h`, before what is due at that very time."""

    seed: int
    time_h: float
    machines: list[Machine]
    levels: list[int]  # parts before each station: levels[0] is the arrivals' queue, 0 where the source is saturated
    changed_h: list[float]  # when each level last changed
    blocked: list[list[int]]  # for each buffer, the machines that wait to deliver, in order
    streams: Streams
    busy: int = 0  # members of the crew at work
    queue: list[int] = field(default_factory=list)  # machines that wait for the crew, in order
    arrived_h: float = 0.0
    arrival_h: float = math.inf  # the next arrival
    lost: int = 0
    actions: list[Action | Order] = field(default_factory=list)  # to be carried out first by the next run
    supply: Stocks | None = None

    def copy(self) -> State:
        return State(
            self.seed,
            self.time_h,
            [m.copy() for m in self.machines],
            self.levels[:],
            self.changed_h[:],
            [b[:] for b in self.blocked],
            self.streams.copy(),
            self.busy,
            self.queue[:],
            self.arrived_h,
            self.arrival_h,
            self.lost,
            self.actions[:],
            self.supply and self.supply.copy(),
        )
