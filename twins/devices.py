"""Medical devices as their logs and their own sensors tell them. Research only, not for clinical use."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from sim.devices import Devices, Phase
from sim.errors import require
from sim.trace import Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.lives import spells
from twins.sensors.noise import Noise
from twins.sensors.render import render, samples_before
from twins.sensors.signals import combine, integral, since


@dataclass(frozen=True)
class Reading:
    """A sensor of one kind of device: *off* while nobody uses it, else base + load · load + wear · wear^power."""

    kind: str
    quantity: str
    unit: str
    off: float
    base: float
    load: float = 0.0
    wear: float = 0.0
    power: float = 2.0
    noise: Noise = Noise()

    def __post_init__(self):
        require(0 < self.power <= 20, self, "power", "above 0 and at most 20")

    def level(self, load, wear):
        return np.where(load > 0, self.base + self.load * load + self.wear * wear**self.power, self.off)


def _noise(white: float, autocorrelated: float, correlation_h: float, quantum: float) -> Noise:
    return Noise(white, autocorrelated, correlation_h, quantum=quantum, dropout=0.01)


READINGS = (
    Reading("pump", "motor_current", "A", 0.02, 0.10, 0.06, 0.05, noise=_noise(0.01, 0.008, 12.0, 0.001)),
    Reading("pump", "flow_error", "%", 0.0, 0.0, 0.0, 5.0, 3.0, _noise(1.5, 1.0, 24.0, 0.1)),
    Reading("ventilator", "blower_speed", "{rev}/min", 0, 9000, 6000, 3000, noise=_noise(250, 300, 12.0, 10.0)),
    Reading("ventilator", "leak", "L/min", 0.0, 2.0, 1.0, 6.0, 3.0, _noise(1.0, 1.5, 12.0, 0.1)),
    Reading("ventilator", "vibration_rms", "mm/s", 0.05, 0.8, 0.3, 1.5, noise=_noise(0.1, 0.1, 6.0, 0.01)),
)


@dataclass(frozen=True)
class DevicesTwin:
    """Devices read every *step_h* hours. An episode is one device in one world run, with its own lives as labels.

    Sample k of `alarms` counts those of the *step_h* hours before it. *readings* are of the kinds that they name.
    """

    world: Devices
    step_h: float = 2.0
    readings: tuple[Reading, ...] = READINGS
    epoch: str = "2025-01-01T00:00:00"

    revision: ClassVar[int] = 1

    def __post_init__(self):
        object.__setattr__(self, "readings", tuple(self.readings))
        require(0 < self.step_h < math.inf, self, "step_h", "above 0")
        seen = {reading.kind for reading in self.readings}
        known = {kind.name for kind in self.world.kinds} | {reading.kind for reading in READINGS}
        require(seen <= known, self, "readings", f"of kinds among {', '.join(sorted(known))}")
        blind = [kind.name for kind in self.world.kinds if kind.name not in seen]
        require(not blind, self, "readings", f"one or more of each kind; there is none of {', '.join(blind)}")

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(channel for name in self.world.names for channel in self._of(name))

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace = run.trace
        for name in self.world.names:
            yield Episode(
                run=trace.seed,
                asset=name,
                series=tuple(Series(*c.key, c.unit, c.role, render(trace, c), step_h=c.step_h) for c in self._of(name)),
                events=tuple(event for event in trace.events if event.entity == name),
                spells=tuple(spells(trace, name, integral(_in_use(name, trace)))),
                static={"kind": self.world.kind(name).name},
                epoch=self.epoch,
                end_h=trace.end_h,
            )

    def _of(self, name: str) -> tuple[Channel, ...]:
        def channel(quantity: str, unit: str, role: Role, reading, noise: Noise = Noise()) -> Channel:  # noqa: B008
            return Channel(name, quantity, unit, role, reading, self.step_h, noise)

        kind = self.world.kind(name).name
        sensors = [
            channel(r.quantity, r.unit, Role.TARGET, partial(_read, r, name), r.noise)
            for r in self.readings
            if r.kind == kind
        ]
        return (
            *sensors,
            channel("in_use", "1", Role.PAST, partial(_in_use, name)),
            channel("alarms", "1", Role.PAST, partial(self._alarms, name)),
            channel("operating_age", "h", Role.PAST, partial(_age, name)),
            *(channel(q, "1", Role.TRUTH, partial(_signal, name, q)) for q in ("wear", "load", "phase")),
        )

    def _alarms(self, name: str, trace: Trace) -> Signal:
        """Of each step, told when it is over; the first sample of a trace that begins later belongs to what was."""
        counter = trace[name, "alarms"]
        first = samples_before(max(trace.start_h, float(counter.time_h[0])), self.step_h)
        at_h = np.arange(first, max(samples_before(trace.end_h, self.step_h), first + 1)) * self.step_h
        return Signal.step(at_h, np.diff(counter.at(at_h), prepend=counter.value[0]))


def _signal(name: str, quantity: str, trace: Trace) -> Signal:
    return trace[name, quantity]


def _read(reading: Reading, name: str, trace: Trace) -> Signal:
    return combine(reading.level, trace[name, "load"], trace[name, "wear"])


def _in_use(name: str, trace: Trace) -> Signal:
    return combine(lambda phase: phase == Phase.IN_USE, trace[name, "phase"])


def _age(name: str, trace: Trace) -> Signal:
    """Hours of use since the device was renewed."""
    renewed_h = [e.time_h for e in trace.events if e.entity == name and e.kind == "renewal"]
    return since(integral(_in_use(name, trace)), np.array(renewed_h))
