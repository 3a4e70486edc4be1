"""One trace of a feeder in intervals, and what both of its twins have in common."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from zoneinfo import ZoneInfo

import numpy as np

from sim.errors import require
from sim.feeder import BATTERY, FEEDER, TRANSFORMER, Feeder
from sim.feeder.power import Behind, behind, metered_kwh
from sim.homes import WEATHER
from sim.homes.power import begun_h
from sim.trace import Event, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Series
from twins.homes import free_day
from twins.sensors.noise import Noise, address
from twins.sensors.render import render, samples_before, sweep

EXACT = Noise()
ZERO = Signal.step([0.0], [0.0])
VOLT = 230.0  # between phase and neutral, nominal


class Seen:
    """One trace in intervals of a step: what is computed of it once for all channels."""

    def __init__(self, world: Feeder, trace: Trace, step_h: float):
        self.world, self.trace, self.step_h = world, trace, step_h
        self.first = samples_before(begun_h(world.homes, trace), step_h)
        self.last = max(math.floor(trace.end_h / step_h + 1e-9), self.first)
        self.at_h = np.arange(self.first, self.last + 1) * step_h
        self.estimated: Behind | None = None  # from meters alone

    @property
    def count(self) -> int:
        return self.last - self.first

    @cached_property
    def behind(self) -> Behind:
        return behind(self.world, self.trace, self.at_h)

    def metered_kw(self, name: str, clock_h: float) -> np.ndarray:
        """As a meter counts whose clock is off by so much (a standard deviation), drifting from week to week."""
        at_h = self.at_h
        if clock_h:
            off = Noise(drift=clock_h, drift_knot_h=168.0)
            at_h = at_h + sweep(ZERO, self.step_h, off, address(self.trace.seed, name, "clock"), self.first, len(at_h))
            late = at_h > self.trace.end_h
            at_h = np.clip(at_h, self.at_h[0], self.trace.end_h)
            kw = metered_kwh(self.world, self.trace, name, at_h) / self.step_h
            return np.where(late[1:], np.nan, kw)
        return metered_kwh(self.world, self.trace, name, at_h) / self.step_h

    def unsolved(self) -> tuple[Event, ...]:
        return tuple(
            Event(float(self.at_h[u.instant]), u.bus, "unsolved", "the flow does not converge")
            for u in self.behind.flows.unsolved
        )


class Shared:
    """What channels that were made together know of the trace that they were last asked about."""

    def __init__(self, world: Feeder, step_h: float):
        self.world, self.step_h = world, step_h
        self.seen: Seen | None = None

    def of(self, trace: Trace) -> Seen:
        if self.seen is None or self.seen.trace is not trace:
            self.seen = Seen(self.world, trace, self.step_h)
        return self.seen


Told = Callable[[Seen], np.ndarray]  # one value an interval


@dataclass(frozen=True)
class FeederTwin:
    """What both twins have in common."""

    world: Feeder
    step_h: float = 1.0
    transformer_meter: Noise = Noise(white=0.05, drift=0.05, drift_knot_h=336.0, quantum=0.01, dropout=0.002)  # kW
    ammeter: Noise = Noise(white=0.3, drift=0.2, drift_knot_h=336.0, quantum=0.1, dropout=0.002)  # A
    thermometer: Noise = Noise(white=0.2, autocorrelated=0.2, correlation_h=3.0, drift=0.3, quantum=0.1, dropout=0.005)

    def __post_init__(self):
        require(0 < self.step_h <= 24, self, "step_h", "above 0 and at most 24")

    @property
    def epoch(self) -> str:
        """Hour 0 by the clock on the wall."""
        calendar = self.world.homes.calendar
        return calendar.start.astimezone(ZoneInfo(calendar.zone)).isoformat()

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    def _channel(self, entity: str, quantity: str, unit: str, role: Role, reading, noise: Noise = EXACT) -> Channel:
        return Channel(entity, quantity, unit, role, reading, self.step_h, noise)

    def _told(
        self, shared: Shared, entity: str, quantity: str, unit: str, role: Role, told: Told, noise: Noise = EXACT
    ) -> Channel:
        return self._channel(entity, quantity, unit, role, partial(_intervals, shared, told), noise)

    def _signal(
        self, entity: str, quantity: str, unit: str, role: Role, noise: Noise = EXACT, as_: str = ""
    ) -> Channel:
        return self._channel(entity, as_ or quantity, unit, role, partial(_signal, entity, quantity), noise)

    def _common(self) -> tuple[Channel, ...]:
        return (
            self._signal(WEATHER, "temperature", "Cel", Role.PAST, self.thermometer),
            self._signal(WEATHER, "forecast", "Cel", Role.KNOWN, as_="temperature_forecast"),
            self._channel("calendar", "free_day", "1", Role.KNOWN, partial(free_day, self.world.homes.calendar)),
            self._signal(FEEDER, "live", "1", Role.PAST),
            self._signal(WEATHER, "call", "1", Role.ACTION, as_="heating_call"),
            *([self._signal(BATTERY, "power", "kW", Role.ACTION)] if self.world.battery else []),
            self._signal(WEATHER, "cloud", "1", Role.TRUTH),
        )

    def _supplied(self, shared: Shared, role: Role) -> tuple[Channel, ...]:
        """What the transformer delivers."""
        return (
            self._told(shared, TRANSFORMER, "power", "kW", role, _delivered, self.transformer_meter),
            self._told(shared, TRANSFORMER, "current", "A", Role.PAST, _current, self.ammeter),
        )

    def _series(self, trace: Trace, channels: tuple[Channel, ...]) -> tuple[Series, ...]:
        return tuple(Series(*c.key, c.unit, c.role, render(trace, c), step_h=c.step_h) for c in channels)


def _intervals(shared: Shared, told: Told, trace: Trace) -> Signal:
    seen = shared.of(trace)
    values = told(seen) if seen.count else np.empty(0)
    return Signal.step(seen.at_h, np.append(values, np.nan))


def _signal(entity: str, quantity: str, trace: Trace) -> Signal:
    return trace[entity, quantity]


def mean_kw(counted_kwh: Callable[..., np.ndarray], name: str, seen: Seen) -> np.ndarray:
    return counted_kwh(seen.world, seen.trace, name, seen.at_h) / seen.step_h


def _delivered(seen: Seen) -> np.ndarray:
    return seen.behind.transformer_kw_T


def _current(seen: Seen) -> np.ndarray:
    return seen.behind.transformer_a_T


def held(values: np.ndarray) -> np.ndarray:
    """Gaps filled with what was last read, at first with 0."""
    last = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), -1))
    return np.where(last < 0, 0.0, values[last])
