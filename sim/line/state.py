"""The whole truth about a line at one time: numbers, names and stream positions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from sim.line.config import Action, Phase
from sim.streams import Streams
from sim.supply import Action as Order
from sim.supply import State as Stocks

WORKING = int(Phase.WORKING)
# What a machine holds: nothing, a part to work on, a finished part; a part whose material has not come, or has.
NONE, RAW, DONE, SHORT_OF, READY = 0, 1, 2, 3, 4


@dataclass(slots=True)
class Machine:
    """One machine and the unit in it. Deadlines are absolute; amounts and `hours` are as of `since_h`.

    The clocks that run with operation (`*_op`) are deadlines on the machine's own operating time, `hours[WORKING]`.
    """

    rank: int
    phase: int = int(Phase.STARVED)
    since_h: float = 0.0  # when the phase began
    until_h: float = math.inf  # what happens next by itself: the earlier of part_h and clock_h, or the end of a repair
    hours: list[float] = field(default_factory=lambda: [0.0] * len(Phase))  # in each phase, without the present one
    # the part
    holds: int = NONE
    cycle_h: float = 0.0  # nominal time of the part in work
    part_h: float = math.inf  # when it will be finished, while WORKING
    left_h: float = 0.0  # working time left on it, while down
    parts: int = 0  # finished so far
    finished_h: float = 0.0  # when the last was finished
    # the unit
    clock_h: float = math.inf  # when the earliest operating clock runs out, while WORKING
    next_op: float = math.inf  # that clock: the least of level_op, sudden_op and age_op
    level_op: float = math.inf  # next breakpoint of wear
    sudden_op: float = math.inf
    age_op: float = math.inf  # the policy's: planned work by age, or the next look
    block_h: float = math.inf  # next planned work by the calendar
    sudden_h: float = math.inf  # sudden failure of a clock that runs with time
    virtual_h: float = 0.0  # virtual age at which the sudden life began, or will after the work under way
    entered_op: float = 0.0  # when the present wear was reached
    renewed_op: float = 0.0  # when the last work on the unit ended, or it was new
    renewed_h: float = 0.0
    wear: float = 0.0  # at the last breakpoint, as a fraction of the failure threshold
    next_wear: float = 0.0  # at the next
    wear_h: float = 0.0  # when it last changed
    unit: Mapping[str, float] = field(default_factory=dict)  # what the unit has drawn for itself; never changed
    rate: float = 1.0
    pace: float = 1.0  # wear hours per operating hour
    # orders
    speed: float = 1.0
    speed_h: float = 0.0  # when it was set
    held: bool = False  # the policy is suspended
    planned: bool = False  # the present or last work on the machine

    def copy(self) -> Machine:
        return Machine(
            self.rank,
            self.phase,
            self.since_h,
            self.until_h,
            self.hours[:],
            self.holds,
            self.cycle_h,
            self.part_h,
            self.left_h,
            self.parts,
            self.finished_h,
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
        )

    def operated_h(self, now_h: float) -> float:
        """Operating hours of the machine up to *now_h*, a time of the present phase."""
        return self.hours[WORKING] + (now_h - self.since_h if self.phase == WORKING else 0.0)

    def hours_at(self, now_h: float) -> list[float]:
        """Hours in each phase up to *now_h*, a time of the present phase."""
        hours = self.hours[:]
        hours[self.phase] += now_h - self.since_h
        return hours


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
