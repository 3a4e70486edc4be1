"""Wear that shows in the parts: a serial line whose machines mark what they work, an inspection, rework and scrap.

The line itself runs as it always does; its completions say which part each machine has worked, since single machines
in series keep their order. Whoever marks a part, and how it spoils it, is recorded when the work is done.

Signals beside the line's, all steps. Of the inspecting station, with a breakpoint an inspection: "part" (its number,
from 0), "pass" (0 at its first inspection), "scratch", "dent" and "stain" (its severity by kind, 1 being the
tolerance), "defective" (0 or 1), "verdict" (1: rejected), and of each machine that marks parts "<machine> worked" (the
time, in hours, at which it did) and "<machine> wear" (of the tool that left the present marks). Of the "bench" its
"level" (parts there, the one in work included).

Events beside the line's: "defect" of a machine (it has spoiled a part; cause: the kind, value: the part), and of the
inspecting station "passed", "rework" and "scrap" (cause: the machine and kind that spoiled the part, as "m2/scratch",
nothing where it was a false alarm; value: the part).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, lru_cache
from typing import ClassVar, Literal, NamedTuple

import numpy as np

from sim.errors import require
from sim.kernel import Kernel
from sim.laws import UNIT, Exponential, Law, Residual
from sim.line import Line
from sim.line import State as LineState
from sim.line.config import Action
from sim.streams import Streams
from sim.trace import Event, Run, Signal, Trace

KINDS = ("scratch", "dent", "stain")
BENCH, TIME = "bench", "bench/time"
SEEN = ("part", "pass", *KINDS, "defective", "verdict")


@dataclass(frozen=True)
class Flaw:
    """How a machine marks the parts that it works: severities are exponential, and grow with its wear.

    Their mean is base + gain · wear^power, in units of the tolerance. A mark of severity s spoils the part by the
    chance 1 − exp(−s^sharpness), so that one far below the tolerance hardly ever does and one far
    above it nearly always.
    """

    machine: str
    kind: Literal["scratch", "dent", "stain"]
    base: float = 0.1
    gain: float = 0.6
    power: float = 2.0
    sharpness: float = 4.0

    def __post_init__(self):
        require(self.kind in KINDS, self, "kind", f"one of {', '.join(KINDS)}")
        for name in ("base", "gain"):
            require(0 <= getattr(self, name) < math.inf, self, name, "at least 0 and finite")
        for name in ("power", "sharpness"):
            require(0 < getattr(self, name) <= 20, self, name, "above 0 and at most 20")

    @property
    def name(self) -> str:
        return f"{self.machine}/{self.kind}"

    def mean(self, wear):
        """Mean severity at *wear*."""
        return self.base + self.gain * np.asarray(wear, np.float64) ** self.power

    def spoils(self, severity):
        """The chance that a mark of *severity* spoils the part."""
        return -np.expm1(-(np.asarray(severity, np.float64) ** self.sharpness))

    def chance(self, wear):
        """The chance that the machine spoils a part at *wear*: the mean of `spoils` over its severities."""
        unit, weight = _exponential_nodes()
        return self.spoils(np.multiply.outer(self.mean(wear), unit)) @ weight


@lru_cache(maxsize=1)
def _exponential_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights for the mean over a standard exponential: Gauss and Legendre's on pieces of [0, 40]."""
    x, w = np.polynomial.legendre.leggauss(32)
    edges = np.array([0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 40.0])
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    nodes = (middle[:, None] + half[:, None] * x).ravel()
    return nodes, (half[:, None] * w).ravel() * np.exp(-nodes)


@dataclass(frozen=True)
class Bench:
    """Where rejected parts are worked anew, one at a time in the order they came: all their marks are made again.

    Each machine's marks are then as those of that machine at *wear*. A part that is rejected after *passes* reworks is
    scrapped.
    """

    time: Law = Exponential(0.5)
    passes: int = 1
    wear: float = 0.0

    def __post_init__(self):
        require(0 <= self.passes <= 100, self, "passes", "from 0 to 100: rework without a limit may never end")
        require(0 <= self.wear < 1, self, "wear", "at least 0 and below 1")


class Part(NamedTuple):
    """A part between two machines, or at the bench: by flaw, the severity and whether it has spoiled the part."""

    number: int
    passes: int = 0
    severity: tuple[float, ...] = ()
    spoiled: tuple[bool, ...] = ()
    worked_h: tuple[float, ...] = ()
    wear: tuple[float, ...] = ()


@dataclass
class State:
    """The line's state, and the parts that have left some machine and not yet passed the inspection."""

    line: LineState
    streams: Streams
    after: list[list[Part]]  # those that have left each machine but the last, in order
    bench: list[Part] = field(default_factory=list)  # the first is in work
    begun_h: float = 0.0
    done_h: float = math.inf
    level_h: float = 0.0  # when the number at the bench last changed
    last_h: float = 0.0  # the last inspection, and what was put down of it
    last: tuple[float, ...] = ()
    passed: int = 0
    scrapped: int = 0

    @property
    def seed(self) -> int:
        return self.line.seed

    @property
    def time_h(self) -> float:
        return self.line.time_h


@dataclass(frozen=True)
class Inspected:
    """A serial line whose parts are inspected as they leave it.

    The inspector passes a defective part by the chance *misses* and rejects a good one by the chance *false_alarms*.
    Rejected parts go to the bench, which stands beside the line, and back to the inspector; without one they are scrap.
    """

    line: Line
    flaws: tuple[Flaw, ...]
    misses: float = 0.1
    false_alarms: float = 0.02
    bench: Bench | None = Bench()
    station: str = "q1"  # the name of the inspecting station

    revision: ClassVar[int] = 1

    def __post_init__(self):
        object.__setattr__(self, "flaws", tuple(self.flaws))
        single = all(station.machines == 1 for station in self.line.stations)
        require(single, self, "line", "a line of single machines in series, in which parts keep their order")
        require(len(self.flaws) >= 1, self, "flaws", "at least one Flaw")
        names = [flaw.name for flaw in self.flaws]
        require(len(set(names)) == len(names), self, "flaws", "one for each machine and kind")
        for flaw in self.flaws:
            known = flaw.machine in self.line.machines
            require(known, self, "flaws", f"of machines of the line, {', '.join(self.line.machines)}")
        for name in ("misses", "false_alarms"):
            require(0 <= getattr(self, name) <= 1, self, name, "between 0 and 1")
        taken = {*self.line.machines, *self.line.buffer_names, BENCH, ""}
        require(self.station not in taken, self, "station", "a name that nothing else of the line has")

    def __getstate__(self):
        return {field.name: getattr(self, field.name) for field in fields(self)}  # what is cached is left behind

    def start(self, seed: int) -> State:
        per_flaw = [
            f"{part}{flaw.name}{draw}" for flaw in self.flaws for part in ("", "bench/") for draw in ("", "/spoils")
        ]
        streams = Streams(seed, (*per_flaw, f"{self.station}/verdict", TIME))
        line = self.line.start(seed)
        return State(line, streams, [[] for _ in self.line.stations[1:]], last=self._row(Part(-1), 0.0))

    def run(self, state: State, until_h: float) -> Run:
        """Run to *until_h*; see `sim.world.World`."""
        made = self.line.run(state.line, until_h)
        trace: Trace = made.trace
        s = replace(state, line=made.state, streams=state.streams.copy(), after=[q[:] for q in state.after])
        s.bench = state.bench[:]
        rows, levels, events = [(s.last_h, s.last)], [(s.level_h, float(len(s.bench)))], list(trace.events)
        leaving = self._work(s, trace, events)

        kernel = Kernel(trace.start_h)
        found: list[Event] = []

        def tell(kind: str, part: Part) -> None:
            causes = [f.name for f, bad in zip(self.flaws, part.spoiled, strict=True) if bad]
            found.append(Event(kernel.now, self.station, kind, causes[0] if causes else "", float(part.number)))

        def inspect(part: Part) -> None:
            chance = 1 - self.misses if any(part.spoiled) else self.false_alarms
            rejected = s.streams[f"{self.station}/verdict"].draw(UNIT) < chance
            s.last_h, s.last = kernel.now, self._row(part, float(rejected))
            rows.append((s.last_h, s.last))
            if not rejected:
                s.passed += 1
                tell("passed", part)
            elif self.bench is None or part.passes >= self.bench.passes:
                s.scrapped += 1
                tell("scrap", part)
            else:
                tell("rework", part)
                s.bench.append(part)
                change()
                if len(s.bench) == 1:
                    begin()

        def change() -> None:
            s.level_h = kernel.now
            levels.append((kernel.now, float(len(s.bench))))

        def begin() -> None:
            s.begun_h, s.done_h = kernel.now, math.inf
            if s.bench and self.bench is not None:
                s.done_h = kernel.now + s.streams[TIME].draw(self.bench.time)
            bench.set(s.done_h)

        def finish(_: object) -> None:
            part = s.bench.pop(0)
            change()
            begin()
            inspect(self._reworked(s, part))

        def leave(_: object) -> None:
            _, part = leaving.pop(0)
            line.set(leaving[0][0] if leaving else math.inf)
            inspect(part)

        line = kernel.deadline(0, leave, leaving[0][0] if leaving else math.inf)
        bench = kernel.deadline(1, finish, s.done_h)
        kernel.run_to(until_h)
        signals = dict(trace.signals)
        time_h, values = [t for t, _ in rows], np.array([row for _, row in rows])
        for i, name in enumerate(self._columns):
            signals[self.station, name] = Signal.step(time_h, values[:, i])
        signals[BENCH, "level"] = Signal.step(*zip(*levels, strict=True))
        merged = tuple(sorted([*events, *found], key=lambda event: event.time_h))  # stable
        return Run(Trace(trace.seed, trace.start_h, trace.end_h, signals, merged), s)

    def act(self, state: State, action: Action) -> State:
        """An action of the line."""
        return replace(state, line=self.line.act(state.line, action))

    def resample(self, state: State, seed: int) -> State:
        """The line's hidden clocks and the rework under way are redrawn; marks that have been made stay."""
        s = replace(state, line=self.line.resample(state.line, seed), streams=state.streams.rekeyed(seed))
        if s.bench and self.bench is not None:
            s.done_h = s.time_h + s.streams[TIME].draw(Residual(self.bench.time, s.time_h - s.begun_h))
        return s

    @property
    def marking(self) -> tuple[str, ...]:
        """The machines that mark parts, in the line's order."""
        return tuple(m for m in self.line.machines if any(flaw.machine == m for flaw in self.flaws))

    def chance(self, severity_NxF: np.ndarray) -> np.ndarray:
        """The chance that parts with these severities, by flaw, are defective."""
        sound = [1 - flaw.spoils(severity_NxF[:, f]) for f, flaw in enumerate(self.flaws)]
        return 1 - np.prod(sound, axis=0)

    def chance_of_wear(self, wear_NxM: np.ndarray) -> np.ndarray:
        """The chance that parts are defective by the wear of each of `marking` that left their marks."""
        at = {machine: wear_NxM[:, m] for m, machine in enumerate(self.marking)}
        return 1 - np.prod([1 - flaw.chance(at[flaw.machine]) for flaw in self.flaws], axis=0)

    def given_verdict(self, chance_N, rejected_N) -> np.ndarray:
        """The chance that a part is defective, given a chance before and the inspector's verdict (Bayes)."""
        chance, rejected = np.asarray(chance_N, np.float64), np.asarray(rejected_N, bool)
        if_bad = np.where(rejected, 1 - self.misses, self.misses) * chance
        if_good = np.where(rejected, self.false_alarms, 1 - self.false_alarms) * (1 - chance)
        whole = if_bad + if_good
        return np.divide(if_bad, whole, out=np.array(chance), where=whole > 0)

    @cached_property
    def _layout(self) -> tuple[list[list[int]], list[int]]:
        """The flaws of each kind, and the first of each of `marking`."""
        kinds = [[f for f, flaw in enumerate(self.flaws) if flaw.kind == kind] for kind in KINDS]
        return kinds, [[flaw.machine for flaw in self.flaws].index(machine) for machine in self.marking]

    @cached_property
    def _columns(self) -> tuple[str, ...]:
        per_flaw = (f"{flaw.machine} {flaw.kind}" for flaw in self.flaws)
        per_machine = (f"{machine} {what}" for machine in self.marking for what in ("worked", "wear"))
        return (*SEEN, *per_flaw, *per_machine)

    def _row(self, part: Part, rejected: float) -> tuple[float, ...]:
        """What an inspection puts down of a part."""
        severity = part.severity or (0.0,) * len(self.flaws)
        kinds, first = self._layout
        by_kind = [math.fsum(severity[f] for f in mine) for mine in kinds]
        about = [column[f] if column else 0.0 for f in first for column in (part.worked_h, part.wear)]
        return (part.number, part.passes, *by_kind, float(any(part.spoiled)), rejected, *severity, *about)

    def _work(self, s: State, trace: Trace, events: list[Event]) -> list[tuple[float, Part]]:
        """Mark the parts that each machine has worked in *trace*; returns those that left the line, with the times."""
        count, leaving = len(self.flaws), []
        for i, machine in enumerate(self.line.machines):
            parts = trace[machine, "parts"]
            time_h = parts.time_h[1:]
            wear = trace[machine, "wear"].at(time_h).tolist()
            mine = [f for f, flaw in enumerate(self.flaws) if flaw.machine == machine]
            for j, at_h in enumerate(time_h.tolist()):
                if i:
                    part = s.after[i - 1].pop(0)
                else:
                    blank = Part(int(parts.value[1 + j]) - 1)
                    part = blank._replace(severity=(0.0,) * count, spoiled=(False,) * count)
                    part = part._replace(worked_h=(0.0,) * count, wear=(0.0,) * count)
                if mine:
                    part = self._marked(s, part, mine, wear[j], at_h, "")
                    spoilt = [f for f in mine if part.spoiled[f]]
                    events += [Event(at_h, machine, "defect", self.flaws[f].kind, float(part.number)) for f in spoilt]
                if i < len(s.after):
                    s.after[i].append(part)
                else:
                    leaving.append((at_h, part))
        return leaving

    def _reworked(self, s: State, part: Part) -> Part:
        part = part._replace(passes=part.passes + 1)
        wear = self.bench.wear if self.bench else 0.0
        return self._marked(s, part, range(len(self.flaws)), wear, None, "bench/")

    def _marked(
        self, s: State, part: Part, flaws: Sequence[int], wear: float, worked_h: float | None, where: str
    ) -> Part:
        """The part with new marks of *flaws*, left by a tool at *wear*."""
        severity, spoiled = list(part.severity), list(part.spoiled)
        worked, worn = list(part.worked_h), list(part.wear)
        for f in flaws:
            flaw = self.flaws[f]
            mean = flaw.base + flaw.gain * wear**flaw.power  # as `mean` and `spoils`, without arrays
            severity[f] = x = mean * s.streams[where + flaw.name].draw(_UNIT_EXPONENTIAL)
            spoiled[f] = s.streams[f"{where}{flaw.name}/spoils"].draw(UNIT) < -math.expm1(-(x**flaw.sharpness))
            worn[f] = wear
            worked[f] = worked[f] if worked_h is None else worked_h
        return Part(part.number, part.passes, tuple(severity), tuple(spoiled), tuple(worked), tuple(worn))


_UNIT_EXPONENTIAL = Exponential(1.0)
