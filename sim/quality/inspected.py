"""The world: a line, the inspection of what leaves it, and the bench beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from sim.errors import require
from sim.kernel import Kernel
from sim.laws import UNIT, Residual
from sim.line import Line
from sim.line.config import Action
from sim.quality.flaws import BENCH, KINDS, SEEN, TIME, Bench, Flaw
from sim.quality.marking import marked, put_down, reworked
from sim.quality.parts import Part, State, column
from sim.streams import Streams
from sim.trace import Event, Run, Signal, Trace


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
            line, streams, [[] for _ in self.line.stations[1:]], last=(-1.0, *(0.0,) * (len(self.columns) - 1))
        )

    def run(self, state: State, until_h: float) -> Run:
        """Run to *until_h*; see `sim.world.World`."""
        made = self.line.run(state.line, until_h)
        trace: Trace = made.trace
        s = replace(state, line=made.state, streams=state.streams.copy(), after=[q[:] for q in state.after])
        s.bench = state.bench[:]
        events, levels = list(trace.events), [(s.level_h, float(len(s.bench)))]
        leaves_h, parts_NxC = marked(self, s, trace, events)
        names = [flaw.name for flaw in self.flaws]
        spoiled_NxF = column(parts_NxC, "spoiled").tolist()
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
            part = reworked(self, s, part)
            cause = next((name for name, bad in zip(names, part.spoiled, strict=True) if bad), "")
            inspect(float(part.number), part.passes, cause, part)

        def leave(_: object) -> None:
            nonlocal left
            here, left = left, left + 1
            line.set(leaves_h[left] if left < len(leaves_h) else math.inf)
            inspect(numbers[here], 0, causes[here], here)

        numbers, worked_h = parts_NxC[:, 0].tolist(), column(parts_NxC, "worked_h").tolist()
        line = kernel.deadline(0, leave, leaves_h[0] if leaves_h else math.inf)
        bench = kernel.deadline(1, finish, s.done_h)
        kernel.run_to(until_h)

        rows = np.concatenate(([(s.last_h, *s.last)], put_down(self, parts_NxC, looks)))
        s.last_h, *last = rows[-1].tolist()
        s.last = tuple(last)
        time_h, *columns = np.ascontiguousarray(rows.T)
        signals = dict(trace.signals)
        for name, values in zip(self.columns, columns, strict=True):
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
    def layout(self) -> tuple[list[list[int]], list[int]]:
        """The flaws of each kind, and the first of each of `marking`."""
        kinds = [[f for f, flaw in enumerate(self.flaws) if flaw.kind == kind] for kind in KINDS]
        return kinds, [[flaw.machine for flaw in self.flaws].index(machine) for machine in self.marking]

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """What an inspection puts down, in order."""
        per_flaw = (f"{flaw.machine} {flaw.kind}" for flaw in self.flaws)
        per_machine = (f"{machine} {what}" for machine in self.marking for what in ("worked", "wear"))
        return (*SEEN, *per_flaw, *per_machine)
