"""The whole truth about a factory at one time: numbers, names and stream positions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from sim.factory.config import Action, Phase
from sim.line.units import Asset
from sim.streams import Streams

NOBODY = NOTHING = -1  # among the ranks of operators and the numbers of parts
NONE, RAW, DONE = 0, 1, 2  # what a machine holds: nothing, a part to work on, a finished part


@dataclass(slots=True)
class Part:
    """One part in the plant. *facts* are for whoever looks closer than the flow: names and numbers of its own."""

    number: int  # in the order in which parts came in
    product: int  # rank
    step: int = 0  # of its route, the one under way or next; the length of the route: finished
    since_h: float = 0.0  # when it joined the queue, the machine or the stock where it is
    released_h: float = 0.0
    made_of: tuple[Part, ...] = ()  # what assemblies have taken for it; these never change
    facts: dict[str, float] = field(default_factory=dict)

    def copy(self) -> Part:
        return Part(
            self.number, self.product, self.step, self.since_h, self.released_h, self.made_of, self.facts.copy()
        )


@dataclass(slots=True)
class Machine(Asset):
    """A machine of a factory: the part in it, the family that it is set up for, and who stands beside it."""

    hours: list[float] = field(default_factory=lambda: [0.0] * len(Phase))
    holds: int = NONE
    part: int = NOTHING  # its number
    cycle_h: float = 0.0  # nominal time of the operation in work
    part_h: float = math.inf  # when it will be finished, while WORKING
    left_h: float = 0.0  # working time left, while it does not work
    parts: int = 0  # operations finished so far
    family: int = 0  # that it is set up for
    setting: int = 0  # that it is being set up for
    setup_h: float = 0.0  # the whole setup under way
    setup_left_h: float = 0.0  # of it; 0 where none is due
    operator: int = NOBODY

    def copy(self) -> Machine:
        return Machine(
            self.rank, self.phase, self.since_h, self.until_h, self.hours[:], self.clock_h, self.next_op, self.level_op,
            self.sudden_op, self.age_op, self.block_h, self.sudden_h, self.virtual_h, self.entered_op, self.renewed_op,
            self.renewed_h, self.wear, self.next_wear, self.wear_h, self.unit, self.rate, self.pace, self.speed,
            self.speed_h, self.held, self.planned, self.holds, self.part, self.cycle_h, self.part_h, self.left_h,
            self.parts, self.family, self.setting, self.setup_h, self.setup_left_h, self.operator,
        )  # fmt: skip


@dataclass(slots=True)
class Books:
    """What is counted of one product."""

    released: int = 0
    wip: int = 0  # in the plant, its stock included
    finished: int = 0
    lost: int = 0
    priority: int = 0
    stock: list[int] = field(default_factory=list)  # finished parts that wait for an assembly, in order
    arrived_h: float = 0.0
    arrival_h: float = math.inf  # the next arrival

    def copy(self) -> Books:
        return Books(
            self.released, self.wip, self.finished, self.lost, self.priority, self.stock[:], self.arrived_h,
            self.arrival_h,
        )  # fmt: skip


@dataclass(slots=True)
class State:
    """A factory at `time_h`, before what is due at that very time."""

    seed: int
    time_h: float
    machines: list[Machine]
    books: list[Books]  # of each product
    queues: list[list[int]]  # parts before each station, in order
    outside: list[list[int]]  # products released for each station that had no room, in order
    blocked: list[list[int]]  # machines that wait to deliver to each station, in order
    there: list[bool]  # whether each operator is on shift
    at: list[int]  # the machine at which each operator is, or NOTHING
    streams: Streams
    open: list[bool] = field(default_factory=list)  # stations
    parts: dict[int, Part] = field(default_factory=dict)  # in the plant, by number
    came: int = 0  # parts so far
    unmanned: list[int] = field(default_factory=list)  # machines that wait for an operator, in order
    busy: int = 0  # members of the crew at work
    waiting: list[int] = field(default_factory=list)  # machines that wait for the crew, in order
    stuck: list[int] = field(default_factory=list)  # machines that block each other for ever
    begun: bool = False
    bell_h: float = math.inf  # when a calendar changes next
    actions: list[Action] = field(default_factory=list)  # to be carried out first by the next run that takes any time
    force: list[tuple[float, float]] = field(default_factory=list)  # of each signal the breakpoint in force

    def copy(self) -> State:
        return State(
            self.seed,
            self.time_h,
            [m.copy() for m in self.machines],
            [b.copy() for b in self.books],
            [q[:] for q in self.queues],
            [q[:] for q in self.outside],
            [b[:] for b in self.blocked],
            self.there[:],
            self.at[:],
            self.streams.copy(),
            self.open[:],
            {number: part.copy() for number, part in self.parts.items()},
            self.came,
            self.unmanned[:],
            self.busy,
            self.waiting[:],
            self.stuck[:],
            self.begun,
            self.bell_h,
            self.actions[:],
            self.force[:],
        )
