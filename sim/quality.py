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

import itertools
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
FIELDS = ("severity", "spoiled", "worked_h", "wear")  # what is on record of a part by flaw


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
    """A part between two machines: by flaw, the severity, whether it has spoiled the part, when its machine worked the
    part, and how worn the tool was. At the bench, where all marks are made anew, only the times are kept."""

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

    revision: ClassVar[int] = 2

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
        return State(
            line, streams, [[] for _ in self.line.stations[1:]], last=(-1.0, *(0.0,) * (len(self._columns) - 1))
        )

    def run(self, state: State, until_h: float) -> Run:
        """Run to *until_h*; see `sim.world.World`."""
        made = self.line.run(state.line, until_h)
        trace: Trace = made.trace
        s = replace(state, line=made.state, streams=state.streams.copy(), after=[q[:] for q in state.after])
        s.bench = state.bench[:]
        events, levels = list(trace.events), [(s.level_h, float(len(s.bench)))]
        leaves_h, parts_NxC = self._work(s, trace, events)
        names = [flaw.name for flaw in self.flaws]
        spoiled_NxF = self._of(parts_NxC, "spoiled").tolist()
        causes = [next((name for name, bad in zip(names, row, strict=True) if bad), "") for row in spoiled_NxF]

        kernel = Kernel(trace.start_h)
        verdict = s.streams[f"{self.station}/verdict"]
        looks: list[tuple[float, int | Part, bool]] = []  # when, at which of the parts that left the line, rejected
        found: list[Event] = []
        left = 0

        def inspect(number: float, passes: int, cause: str, seen: int | Part) -> None:
            rejected = verdict.draw(UNIT) < (1 - self.misses if cause else self.false_alarms)
            looks.append((kernel._now, seen, rejected))
            if not rejected:
                s.passed += 1
                found.append(Event(kernel._now, self.station, "passed", cause, number))
            elif self.bench is None or passes >= self.bench.passes:
                s.scrapped += 1
                found.append(Event(kernel._now, self.station, "scrap", cause, number))
            else:
                found.append(Event(kernel._now, self.station, "rework", cause, number))
                when_h = tuple(worked_h[seen]) if isinstance(seen, int) else seen.worked_h
                s.bench.append(Part(int(number), passes, worked_h=when_h))
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
            part = self._reworked(s, part)
            cause = next((name for name, bad in zip(names, part.spoiled, strict=True) if bad), "")
            inspect(float(part.number), part.passes, cause, part)

        def leave(_: object) -> None:
            nonlocal left
            here, left = left, left + 1
            line.set(leaves_h[left] if left < len(leaves_h) else math.inf)
            inspect(numbers[here], 0, causes[here], here)

        numbers, worked_h = parts_NxC[:, 0].tolist(), self._of(parts_NxC, "worked_h").tolist()
        line = kernel.deadline(0, leave, leaves_h[0] if leaves_h else math.inf)
        bench = kernel.deadline(1, finish, s.done_h)
        kernel.run_to(until_h)

        put_down = np.concatenate(([(s.last_h, *s.last)], self._rows(parts_NxC, looks)))
        s.last_h, *last = put_down[-1].tolist()
        s.last = tuple(last)
        time_h, *columns = np.ascontiguousarray(put_down.T)
        signals = dict(trace.signals)
        for name, values in zip(self._columns, columns, strict=True):
            signals[self.station, name] = Signal.step(time_h, values)
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

    # Many parts at once are a table with a row each: number, passes, and by flaw the four FIELDS.

    def _of(self, parts_NxC: np.ndarray, name: str) -> np.ndarray:
        """The columns of a field, one a flaw; a view."""
        first = 2 + len(self.flaws) * FIELDS.index(name)
        return parts_NxC[:, first : first + len(self.flaws)]

    def _table(self, parts: Sequence[Part]) -> np.ndarray:
        rows = [(p.number, p.passes, *p.severity, *p.spoiled, *p.worked_h, *p.wear) for p in parts]
        return np.array(rows, np.float64).reshape(len(rows), 2 + len(FIELDS) * len(self.flaws))

    def _parts(self, parts_NxC: np.ndarray) -> list[Part]:
        severity, spoiled, worked, wear = (self._of(parts_NxC, name).tolist() for name in FIELDS)
        return [
            Part(
                int(row[0]),
                int(row[1]),
                tuple(severity[n]),
                tuple(map(bool, spoiled[n])),
                *map(tuple, (worked[n], wear[n])),
            )
            for n, row in enumerate(parts_NxC)
        ]

    def _rows(self, parts_NxC: np.ndarray, looks: Sequence[tuple[float, int | Part, bool]]) -> np.ndarray:
        """What each inspection puts down, a row each, with its time first."""
        again = self._table([seen for _, seen, _ in looks if isinstance(seen, Part)])
        reworked, at = itertools.count(len(parts_NxC)), []
        for _, seen, _ in looks:
            at.append(seen if isinstance(seen, int) else next(reworked))
        seen_NxC = np.concatenate((parts_NxC, again))[np.array(at, np.int64)]
        kinds, first = self._layout
        severity, spoiled, worked, wear = (self._of(seen_NxC, name) for name in FIELDS)
        by_kind = [sum((severity[:, f] for f in mine), np.zeros(len(at))) for mine in kinds]
        time_h, _, rejected = zip(*looks, strict=True) if looks else ((), (), ())
        about = [column[:, f] for f in first for column in (worked, wear)]
        told = (time_h, *seen_NxC[:, :2].T, *by_kind, spoiled.any(1), rejected, *severity.T, *about)
        return np.stack(np.broadcast_arrays(*(np.asarray(column, np.float64) for column in told)), axis=1)

    def _work(self, s: State, trace: Trace, events: list[Event]) -> tuple[list[float], np.ndarray]:
        """Mark the parts that each machine has worked in *trace*; returns those that left the line, and when."""
        time_h, parts_NxC = np.empty(0), self._table([])
        for i, machine in enumerate(self.line.machines):
            made = trace[machine, "parts"]
            time_h = made.time_h[1:]
            if i:
                waiting = np.concatenate((self._table(s.after[i - 1]), parts_NxC))
                parts_NxC, s.after[i - 1] = waiting[: len(time_h)], self._parts(waiting[len(time_h) :])
            else:
                parts_NxC = np.zeros((len(time_h), parts_NxC.shape[1]))
                parts_NxC[:, 0] = made.value[1:] - 1
            wear = trace[machine, "wear"].at(time_h)
            severity, spoiled, worked, worn = (self._of(parts_NxC, name) for name in FIELDS)
            mine = [f for f, flaw in enumerate(self.flaws) if flaw.machine == machine]
            for f in mine:
                flaw = self.flaws[f]
                severity[:, f] = flaw.mean(wear) * s.streams[flaw.name].take(_UNIT_EXPONENTIAL, len(wear))
                chance = s.streams[f"{flaw.name}/spoils"].take(UNIT, len(wear))
                spoiled[:, f] = chance < flaw.spoils(severity[:, f])
                worked[:, f], worn[:, f] = time_h, wear
            for n, k in np.argwhere(spoiled[:, mine]).tolist():
                kind = self.flaws[mine[k]].kind
                events.append(Event(float(time_h[n]), machine, "defect", kind, float(parts_NxC[n, 0])))
        return time_h.tolist(), parts_NxC

    def _reworked(self, s: State, part: Part) -> Part:
        """The part with new marks of all flaws, left by tools at the bench's wear."""
        wear = self.bench.wear if self.bench else 0.0
        severity, spoiled = [], []
        for flaw in self.flaws:
            x = (flaw.base + flaw.gain * wear**flaw.power) * s.streams[f"bench/{flaw.name}"].draw(_UNIT_EXPONENTIAL)
            severity.append(x)
            chance = s.streams[f"bench/{flaw.name}/spoils"].draw(UNIT)
            spoiled.append(chance < -math.expm1(-(x**flaw.sharpness)))  # as `spoils`, without arrays
        worn = (wear,) * len(self.flaws)
        return part._replace(passes=part.passes + 1, severity=tuple(severity), spoiled=tuple(spoiled), wear=worn)


_UNIT_EXPONENTIAL = Exponential(1.0)
