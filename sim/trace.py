"""What a run leaves behind: signals as breakpoints, events, and the law by which consecutive traces join.

A signal is a sequence of segments, each complete at its own start, so a value at a time needs one segment and no
future. A trace that continues another opens with the segments in force at its start, unchanged and with their original
times; joined, the segment open at the seam is one segment again, and whole equals split bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate, chain
from typing import Any, NamedTuple

import numpy as np

from sim.errors import InputError

Key = tuple[str, str]  # (entity, quantity)


class Form(StrEnum):
    """How a signal runs from one breakpoint to the next."""

    STEP = "step"  # value
    LINEAR = "linear"  # value + slope · (t − t0)
    RELAX = "relax"  # level + (value − level) · exp(−(t − t0) / tau)


_NOTHING = np.empty(0)


@dataclass(frozen=True, eq=False)
class Signal:
    """Segments of one quantity. Of equal breakpoint times the last is in force, from its own time on.

    `target` is the slope per hour of a linear signal, the level of a relaxing one, and empty for steps; `tau_h` is the
    time constant of a relaxing one.
    """

    form: Form
    time_h: np.ndarray  # float64[n], not decreasing
    value: np.ndarray  # float64[n]
    target: np.ndarray = field(default_factory=lambda: _NOTHING)  # float64[n] or empty
    tau_h: float = 0.0

    @staticmethod
    def step(time_h: Any, value: Any) -> Signal:
        return Signal(Form.STEP, np.asarray(time_h, np.float64), np.asarray(value, np.float64))

    @staticmethod
    def linear(time_h: Any, value: Any, slope: Any) -> Signal:
        columns = [np.asarray(a, np.float64) for a in (time_h, value, slope)]
        return Signal(Form.LINEAR, columns[0], columns[1], columns[2])

    @staticmethod
    def relax(time_h: Any, value: Any, level: Any, tau_h: float) -> Signal:
        columns = [np.asarray(a, np.float64) for a in (time_h, value, level)]
        return Signal(Form.RELAX, columns[0], columns[1], columns[2], tau_h)

    def at(self, time_h: Any) -> np.ndarray:
        """Values at *time_h* (hours, any order, none before the first breakpoint, which counts at its own time)."""
        time_h = np.asarray(time_h, np.float64)
        i = np.searchsorted(self.time_h, time_h, side="right") - 1
        if i.size and i.min() < 0:
            raise ValueError(f"the signal begins at {self.time_h[0]} h; asked for {time_h.min()} h")
        if self.form is Form.STEP:
            return self.value[i]
        since_h = time_h - self.time_h[i]
        if self.form is Form.LINEAR:
            return self.value[i] + self.target[i] * since_h
        return self.target[i] + (self.value[i] - self.target[i]) * np.exp(-since_h / self.tau_h)

    def then(self, *later: Signal) -> Signal:
        """This signal continued by others, each of whose first segment is the one open at its seam."""
        columns = [
            np.concatenate((getattr(self, a), *(getattr(signal, a)[1:] for signal in later)))
            for a in ("time_h", "value", "target")
        ]
        return Signal(self.form, columns[0], columns[1], columns[2], self.tau_h)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Signal)
            and (self.form, self.tau_h) == (other.form, other.tau_h)
            and all(np.array_equal(getattr(self, a), getattr(other, a)) for a in ("time_h", "value", "target"))
        )


def steps(keys: Iterable[Key], columns: Sequence[tuple[Sequence[float], Sequence[float]]]) -> dict[Key, Signal]:
    """Step signals from columns of times and values. Most are short after a short run, so they share one array."""
    ends = list(accumulate(len(times) for times, _ in columns))
    if ends[-1] > 8 * len(ends):
        return {key: Signal.step(*column) for key, column in zip(keys, columns, strict=True)}
    flat = [t for times, _ in columns for t in times] + [v for _, values in columns for v in values]
    times, values = np.array(flat, np.float64).reshape(2, -1)
    form, spans = Form.STEP, zip(keys, [0, *ends], ends, strict=False)
    return {key: Signal(form, times[a:b], values[a:b]) for key, a, b in spans}


class Event(NamedTuple):
    """Something that happened: a failure, a repair, an action. `cause` names the mode or the reason."""

    time_h: float
    entity: str
    kind: str
    cause: str = ""
    value: float = 0.0


@dataclass(frozen=True)
class Trace:
    """Signals and events over [start_h, end_h) of the world run *seed*; `first + second` joins consecutive ones."""

    seed: int
    start_h: float
    end_h: float
    signals: Mapping[Key, Signal]
    events: tuple[Event, ...] = ()

    def __getitem__(self, key: Key) -> Signal:
        if key not in self.signals:
            raise InputError(
                f"no signal {'/'.join(key)} in the trace; it has {', '.join(sorted(map('/'.join, self.signals)))}"
            )
        return self.signals[key]

    def __add__(self, later: Trace) -> Trace:
        return self.then(later)

    def then(self, *later: Trace) -> Trace:
        """This trace continued by consecutive others; joining many at once copies each breakpoint once."""
        seed, end_h = self.seed, self.end_h
        for trace in later:
            if (trace.seed, trace.start_h) != (seed, end_h) or trace.signals.keys() != self.signals.keys():
                raise ValueError(
                    f"a trace that ends at {end_h} h of run {seed} cannot be continued by one that starts at "
                    f"{trace.start_h} h of run {trace.seed}"
                )
            end_h = trace.end_h
        signals = {key: signal.then(*(trace.signals[key] for trace in later)) for key, signal in self.signals.items()}
        events = tuple(chain(self.events, *(trace.events for trace in later)))
        return Trace(seed, self.start_h, end_h, signals, events)


class Run(NamedTuple):
    """What `World.run` returns: the trace of the stretch and the state at its end."""

    trace: Trace
    state: Any
