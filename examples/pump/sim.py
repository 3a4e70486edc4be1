"""A pump on duty: it runs and rests, its seal wears until it leaks, its strainer clogs until it is washed.

Two hidden clocks tick while it pumps. Each tick of `wear` takes the seal one level on, the last is its failure; each
tick of `clog` is one more lump of debris in the strainer, the last one a backwash.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from math import inf
from typing import ClassVar

from sim.errors import InputError, require
from sim.kernel import Kernel
from sim.laws import Exponential, Law, Lognormal, Residual
from sim.streams import Streams
from sim.trace import Event, Run, Signal, Trace
from sim.wear import Wiener

CLOCKS = ("wear", "clog")
DEADLINES = ("switch", *CLOCKS)  # by rank: the order of simultaneous ones


class Phase(IntEnum):
    """What the pump is doing; the codes of its `phase` signal."""

    RESTING = 0
    PUMPING = 1
    REPAIRING = 2
    MAINTAINING = 3


@dataclass(frozen=True)
class ReplaceSeal:
    """Action: planned work, now. Without effect on a pump that is down."""


@dataclass
class State:
    """All that a run needs. Deadlines are absolute hours, so that a split changes no number."""

    seed: int
    time_h: float
    streams: Streams
    phase: Phase = Phase.RESTING
    began_h: float = 0.0  # when the phase began
    count: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CLOCKS, 0))  # ticks of each clock
    gap_h: dict[str, float] = field(default_factory=dict)  # pumping hours from a clock's last tick to its next
    left_h: dict[str, float] = field(default_factory=dict)  # what is left of them while the pump stands
    due_h: dict[str, float] = field(default_factory=dict)  # deadlines: the next tick of each clock, the next switch
    open: dict[str, tuple[float, float]] = field(default_factory=dict)  # the breakpoint in force of each signal
    actions: list[ReplaceSeal] = field(default_factory=list)  # for the next run

    def copy(self) -> State:
        own = {name: value.copy() for name, value in vars(self).items() if isinstance(value, (dict, list))}
        return replace(self, **own)


@dataclass(frozen=True)
class Pump:
    """One pump with its seal and its strainer. Implements World."""

    duty: Law = Lognormal(9.0, 0.4)  # hours of pumping at a stretch
    rest: Law = Exponential(3.0)
    seal: Wiener = Wiener(drift_per_h=1 / 300, diffusion_per_sqrt_h=0.015)
    debris: Law = Exponential(2.0)  # pumping hours from lump to lump
    lumps: int = 40  # that the strainer holds
    repair: Law = Lognormal(6.0, 0.5)
    maintenance: Law = Lognormal(2.0, 0.3)
    revision: ClassVar[int] = 1

    def __post_init__(self):
        require(self.lumps >= 1, self, "lumps", "at least 1")

    def law(self, name: str) -> Law:
        """The law of the stream *name*: how long a phase lasts, how far apart a clock's ticks are."""
        return {
            "RESTING": self.rest,
            "PUMPING": self.duty,
            "REPAIRING": self.repair,
            "MAINTAINING": self.maintenance,
            "wear": self.seal.level_time,
            "clog": self.debris,
        }[name]

    def start(self, seed: int) -> State:
        s = State(seed, 0.0, Streams(seed, (*CLOCKS, *Phase.__members__)))
        s.gap_h = {name: s.streams[name].draw(self.law(name)) for name in CLOCKS}
        s.left_h = s.gap_h.copy()
        s.due_h = {"switch": s.streams["RESTING"].draw(self.rest), **dict.fromkeys(CLOCKS, inf)}
        s.open = dict.fromkeys(("phase", *CLOCKS), (0.0, 0.0))
        return s

    def act(self, state: State, action: ReplaceSeal) -> State:
        s = state.copy()
        s.actions.append(action)
        return s

    def resample(self, state: State, seed: int) -> State:
        s = state.copy()
        s.seed, s.streams = seed, s.streams.rekeyed(seed)

        def remaining_h(name: str, age_h: float) -> float:
            return s.streams[name].draw(Residual(self.law(name), age_h))

        s.due_h["switch"] = s.time_h + remaining_h(s.phase.name, s.time_h - s.began_h)
        for name in CLOCKS:
            pumping = s.phase is Phase.PUMPING
            age_h = max(s.gap_h[name] - (s.due_h[name] - s.time_h if pumping else s.left_h[name]), 0.0)
            s.left_h[name] = remaining_h(name, age_h)
            s.gap_h[name] = age_h + s.left_h[name]
            s.due_h[name] = s.time_h + s.left_h[name] if pumping else inf
        return s

    def run(self, state: State, until_h: float) -> Run:
        if not state.time_h <= until_h < inf:
            raise InputError(f"cannot run to {until_h} h a pump that is at {state.time_h} h")
        s, kernel, events = state.copy(), Kernel(state.time_h), []
        points = {name: [point] for name, point in s.open.items()}
        full = {"wear": self.seal.levels, "clog": self.lumps}

        def note(kind: str, cause: str = ""):
            events.append(Event(kernel.now, "pump", kind, cause))

        def put(name: str, value: float):
            s.open[name] = (kernel.now, value)
            points[name].append(s.open[name])

        def schedule(name: str, time_h: float):
            s.due_h[name] = time_h
            deadlines[name].set(time_h)

        def enter(phase: Phase):
            for name in CLOCKS:
                if s.phase is Phase.PUMPING:
                    s.left_h[name] = s.due_h[name] - kernel.now
                schedule(name, kernel.now + s.left_h[name] if phase is Phase.PUMPING else inf)
            s.phase, s.began_h = phase, kernel.now
            schedule("switch", kernel.now + s.streams[phase.name].draw(self.law(phase.name)))
            put("phase", phase)

        def switch():
            if s.phase in (Phase.REPAIRING, Phase.MAINTAINING):
                note("renewal", "repair" if s.phase is Phase.REPAIRING else "maintenance")
                s.count["wear"] = 0
                s.gap_h["wear"] = s.left_h["wear"] = s.streams["wear"].draw(self.law("wear"))
                put("wear", 0.0)
            enter(Phase.RESTING if s.phase is Phase.PUMPING else Phase.PUMPING)

        def tick(name: str):
            s.count[name] += 1
            s.gap_h[name] = s.streams[name].draw(self.law(name))
            schedule(name, kernel.now + s.gap_h[name])
            put(name, s.count[name] / full[name])
            if s.count[name] == full[name] and name == "clog":
                note("backwash")
                s.count[name] = 0
                put(name, 0.0)
            elif s.count[name] == full[name]:
                note("failure", "seal")
                enter(Phase.REPAIRING)

        deadlines = {
            name: kernel.deadline(rank, lambda _, name=name: tick(name) if name in CLOCKS else switch(), s.due_h[name])
            for rank, name in enumerate(DEADLINES)
        }
        while s.actions and until_h > s.time_h:
            s.actions.pop(0)
            note("action", "ReplaceSeal")
            if s.phase in (Phase.RESTING, Phase.PUMPING):
                note("planned", "order")
                enter(Phase.MAINTAINING)
        kernel.run_to(until_h)
        s.time_h = until_h
        signals = {("pump", name): Signal.step(*zip(*pairs, strict=True)) for name, pairs in points.items()}
        return Run(Trace(s.seed, state.time_h, until_h, signals, tuple(events)), s)
