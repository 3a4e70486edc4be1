"""The pump as its sensors see it: flow and pressure, motor current, the seal's temperature, an hour counter."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from sim.errors import require
from sim.trace import Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.lives import spells
from twins.sensors.noise import Noise
from twins.sensors.render import render
from twins.sensors.signals import combine, integral, lag, since

from .sim import Phase, Pump, ReplaceSeal


def flow_m3_h(phase, wear, clog):
    return np.where(phase == Phase.PUMPING, 42 * (1 - 0.35 * clog**2) * (1 - 0.08 * wear**2), 0)


def pressure_bar(phase, wear, clog):
    return np.where(phase == Phase.PUMPING, 6.2 - 1.5 * clog**2 - 0.5 * wear**2, 1)


def current_a(phase, wear, clog):
    return np.where(phase == Phase.PUMPING, 18 - 3 * clog**2 + 1.2 * wear**2, 0)


def seal_cel(phase, wear, clog):
    return np.where(phase == Phase.PUMPING, 38 + 4 * clog + 14 * wear**2, 18)


SENSORS = {  # quantity: unit, level in each state, lag in hours, noise
    "flow": ("m3/h", flow_m3_h, 0, Noise(white=0.6, autocorrelated=0.8, correlation_h=4, quantum=0.1)),
    "pressure": ("bar", pressure_bar, 0, Noise(white=0.05, autocorrelated=0.08, correlation_h=4, quantum=0.01)),
    "motor_current": ("A", current_a, 0, Noise(white=0.3, autocorrelated=0.2, correlation_h=2, quantum=0.1)),
    "seal_temperature": ("Cel", seal_cel, 0.7, Noise(white=0.4, autocorrelated=1, correlation_h=8, dropout=0.01)),
}


def sensed(level, tau_h: float, trace: Trace) -> Signal:
    steady = combine(level, *(trace["pump", name] for name in ("phase", "wear", "clog")))
    return lag(steady, tau_h) if tau_h else steady


def hours(trace: Trace) -> Signal:
    return integral(combine(lambda phase: phase == Phase.PUMPING, trace["pump", "phase"]))


def seal_hours(trace: Trace) -> Signal:
    return since(hours(trace), np.array([event.time_h for event in trace.events if event.kind == "renewal"]))


@dataclass(frozen=True)
class PumpTwin:
    """One episode a run: the pump, read every *step_h* hours. Implements Twin."""

    world: Pump
    step_h: float = 0.25
    revision: ClassVar[int] = 1
    assets: ClassVar[tuple[str, ...]] = ("pump",)

    def __post_init__(self):
        require(self.step_h > 0, self, "step_h", "above 0")

    @property
    def channels(self) -> tuple[Channel, ...]:
        sensors = tuple(
            Channel("pump", quantity, unit, Role.TARGET, partial(sensed, f, tau_h), self.step_h, noise)
            for quantity, (unit, f, tau_h, noise) in SENSORS.items()
        )
        return (
            *sensors,
            Channel("pump", "seal_hours", "h", Role.PAST, seal_hours, self.step_h),
            Channel("pump", "wear", "1", Role.TRUTH, lambda trace: trace["pump", "wear"], self.step_h),
            Channel("pump", "clog", "1", Role.TRUTH, lambda trace: trace["pump", "clog"], self.step_h),
        )

    def maintain(self, asset: str) -> ReplaceSeal:
        return ReplaceSeal()

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace = run.trace
        series = tuple(
            Series(c.entity, c.quantity, c.unit, c.role, render(trace, c), step_h=c.step_h) for c in self.channels
        )
        lives = tuple(spells(trace, "pump", hours(trace)))
        yield Episode(trace.seed, "pump", series, trace.events, lives, end_h=trace.end_h)
