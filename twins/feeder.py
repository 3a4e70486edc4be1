"""A low-voltage feeder as its operator sees it: the transformer through its sensors, the street through its meters.

Sample k of a power, a current or a voltage is of the means over the interval that begins at its time, and missing until
that is over; all voltages and currents of a run come from one batched AC flow. An instant at which the flow does not
converge is missing in every channel that needs it, and an event "unsolved" of the bus that gave way first names it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar
from zoneinfo import ZoneInfo

import numpy as np

from sim.errors import require
from sim.feeder import FEEDER, TRANSFORMER, Feeder
from sim.feeder.power import Behind, behind, bus_of, drawn_kwh, gated_kwh, head_of, metered_kwh, stolen_kwh
from sim.homes import WEATHER
from sim.homes.power import begun_h
from sim.homes.transformer import ageing_rate
from sim.trace import Event, Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.homes import free_day
from twins.lives import spells
from twins.noise import Noise, address
from twins.render import render, samples_before, sweep
from twins.signals import integral, since

EXACT = Noise()
ZERO = Signal.step([0.0], [0.0])
METERS = "meters"  # all of them together, as the head end sums them up
LOWEST_PU, HIGHEST_PU = 0.9, 1.1  # EN 50160
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
class _FeederTwin:
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


@dataclass(frozen=True)
class TransformerTwin(_FeederTwin):
    """The transformer, one episode a world run. It fails of "ageing" or by chance ("sudden").

    Its monitor adds up the life that its own readings of oil and current, hour by hour, say is used up since the
    transformer was put in (IEC 60076-7; what it stood before, and what it will stand, nobody knows).
    """

    oil: Noise = Noise(white=0.3, autocorrelated=0.3, correlation_h=6.0, drift=0.5, quantum=0.1, dropout=0.005)
    monitor: bool = True

    revision: ClassVar[int] = 1

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self._channels(Shared(self.world, self.step_h))

    def observe(self, run: Run) -> Iterator[Episode]:
        trace, shared = run.trace, Shared(self.world, self.step_h)
        mine = tuple(e for e in trace.events if e.entity in (TRANSFORMER, FEEDER))
        yield Episode(
            run=trace.seed,
            asset=TRANSFORMER,
            series=self._series(trace, self._channels(shared)),
            events=tuple(sorted([*mine, *shared.of(trace).unsolved()], key=lambda event: event.time_h)),
            spells=tuple(spells(trace, TRANSFORMER, integral(trace[TRANSFORMER, "up"]))),
            static={"households": float(len(self.world.homes.names))},
            truth={"unsolved": float(len(shared.of(trace).behind.flows.unsolved))},
            epoch=self.epoch,
            end_h=trace.end_h,
        )

    def _channels(self, shared: Shared) -> tuple[Channel, ...]:
        oil = self._signal(TRANSFORMER, "oil", "Cel", Role.PAST, self.oil)
        power, current = self._supplied(shared, Role.TARGET)
        monitor = partial(_monitored, self.world, oil, current)
        return (
            power,
            current,
            oil,
            self._signal(TRANSFORMER, "rated", "kV.A", Role.PAST),
            self._channel(TRANSFORMER, "operating_age", "h", Role.PAST, _in_place),
            *([self._channel(TRANSFORMER, "loss_of_life", "h", Role.PAST, monitor)] if self.monitor else []),
            self._told(shared, FEEDER, "lowest_voltage", "V", Role.PAST, _lowest, Noise(white=0.2, quantum=0.1)),
            self._signal(TRANSFORMER, "hot_spot", "Cel", Role.TRUTH),
            self._signal(TRANSFORMER, "aged", "h", Role.TRUTH),
            self._told(shared, FEEDER, "cable_loss", "kW", Role.TRUTH, lambda seen: seen.behind.cable_loss_kw_T),
            *self._common(),
        )


@dataclass(frozen=True)
class MeterTwin(_FeederTwin):
    """The street through its smart meters; an episode is a household in one world run. Who steals is hidden.

    *clock* is the error of the meters' clocks, in hours. The head end knows the balance: what the transformer's meter
    reads less the sum of all others, losses and theft. It also computes the network's state from the meters alone:
    `expected_voltage` at the household, were its meter, like all others, to tell all that is drawn; `estimated_loss`.
    """

    meter: Noise = Noise(drift=0.004, drift_knot_h=336.0, quantum=0.001, dropout=0.004)  # kW
    voltmeter: Noise = Noise(white=0.3, drift=0.3, drift_knot_h=336.0, quantum=0.1, dropout=0.004)  # V
    clock_h: float = 0.005  # standard deviation: 18 s

    revision: ClassVar[int] = 1

    def __post_init__(self):
        super().__post_init__()
        require(0 <= self.clock_h < 0.05 * self.step_h, self, "clock_h", "at least 0 and below a twentieth of step_h")

    @property
    def channels(self) -> tuple[Channel, ...]:
        shared = Shared(self.world, self.step_h)
        return (*(c for name in self.world.homes.names for c in self._own(shared, name)), *self._rest(shared))

    def observe(self, run: Run) -> Iterator[Episode]:
        trace, shared = run.trace, Shared(self.world, self.step_h)
        common = self._series(trace, self._rest(shared))
        unsolved = shared.of(trace).unsolved()
        for name in self.world.homes.names:
            kind = self.world.homes.household(name)
            mine = [e for e in trace.events if e.entity in (name, FEEDER)]
            yield Episode(
                run=trace.seed,
                asset=name,
                series=(*self._series(trace, self._own(shared, name)), *common),
                events=tuple(sorted([*mine, *unsolved], key=lambda event: event.time_h)),
                static={what: float(getattr(kind, what)) for what in ("annual_kwh", "heat_kw_per_k", "pv_kw")},
                truth={"unsolved": float(len(unsolved))},
                epoch=self.epoch,
                end_h=trace.end_h,
            )

    def _meter(self, shared: Shared, name: str, role: Role) -> Channel:
        return self._told(
            shared, name, "load", "kW", role, lambda seen: seen.metered_kw(name, self.clock_h), self.meter
        )

    def _own(self, shared: Shared, name: str) -> tuple[Channel, ...]:
        bus, head = bus_of(self.world, name), head_of(self.world, name).name
        told = partial(self._told, shared, name)
        return (
            self._meter(shared, name, Role.TARGET),
            told("voltage", "V", Role.PAST, lambda seen: VOLT * seen.behind.voltage_pu_T(bus), self.voltmeter),
            told("expected_voltage", "V", Role.PAST, lambda seen: VOLT * self._estimate(seen).voltage_pu_T(bus)),
            told("strand_current", "A", Role.PAST, lambda seen: seen.behind.current_a_T(head), self.ammeter),
            told("expected_current", "A", Role.PAST, lambda seen: self._estimate(seen).current_a_T(head)),
            told("stealing", "1", Role.TRUTH, partial(_stealing, name)),
            told("stolen", "kW", Role.TRUTH, lambda seen: stolen_kwh(self.world, seen.trace, name, seen.at_h)
                 / self.step_h),
            told("clean_voltage", "V", Role.TRUTH, lambda seen: VOLT * seen.behind.voltage_pu_T(bus)),
            told("violation", "1", Role.TRUTH, lambda seen: _violates(seen.behind.voltage_pu_T(bus))),
        )  # fmt: skip

    def _rest(self, shared: Shared) -> tuple[Channel, ...]:
        return (
            *self._supplied(shared, Role.PAST),
            self._told(shared, METERS, "balance", "kW", Role.PAST, partial(self._balance, shared)),
            self._told(
                shared, METERS, "estimated_loss", "kW", Role.PAST, lambda seen: self._estimate(seen).flows.loss_kw_T
            ),
            self._told(shared, FEEDER, "loss", "kW", Role.TRUTH, lambda seen: seen.behind.flows.loss_kw_T),
            *self._common(),
        )

    def _read(self, seen: Seen, channel: Channel) -> np.ndarray:
        """A channel as its sensor gave it, one value an interval."""
        return render(seen.trace, channel, seen.first, seen.count).astype(np.float64)

    def _estimate(self, seen: Seen) -> Behind:
        """The network's state if meters told all; a gap is what was read before."""
        if seen.estimated is None:
            shared, columns = Shared(self.world, self.step_h), []
            shared.seen = seen
            for name in self.world.points:
                if name in self.world.homes.names:
                    columns.append(_held(self._read(seen, self._meter(shared, name, Role.TARGET))))
                else:
                    columns.append(drawn_kwh(self.world, seen.trace, name, seen.at_h) / self.step_h)
            seen.estimated = behind(self.world, seen.trace, seen.at_h, np.stack(columns, 1))
        return seen.estimated

    def _balance(self, shared: Shared, seen: Seen) -> np.ndarray:
        """What the transformer delivers, as read, less all that meters read; missing where one of them is."""
        found = self._read(seen, self._supplied(shared, Role.PAST)[0])
        for name in self.world.points:
            if name in self.world.homes.names:
                found -= self._read(seen, self._meter(shared, name, Role.TARGET))
            else:
                found -= drawn_kwh(self.world, seen.trace, name, seen.at_h) / self.step_h
        return found - self._estimate(seen).cable_loss_kw_T


def _intervals(shared: Shared, told: Told, trace: Trace) -> Signal:
    seen = shared.of(trace)
    values = told(seen) if seen.count else np.empty(0)
    return Signal.step(seen.at_h, np.append(values, np.nan))


def _signal(entity: str, quantity: str, trace: Trace) -> Signal:
    return trace[entity, quantity]


def _delivered(seen: Seen) -> np.ndarray:
    return seen.behind.transformer_kw_T


def _current(seen: Seen) -> np.ndarray:
    return seen.behind.transformer_a_T


def _lowest(seen: Seen) -> np.ndarray:
    """The lowest voltage at any load point."""
    buses = [seen.behind.flow.buses.index(point.bus) for point in seen.world.wires.load_points]
    return VOLT * seen.behind.flows.voltage_pu_TxB[:, buses].min(1)


def _violates(pu: np.ndarray) -> np.ndarray:
    """Outside the limits, while there is voltage; missing where that is not known."""
    outside = (pu > 0) & ((pu < LOWEST_PU) | (pu > HIGHEST_PU))
    return np.where(np.isfinite(pu), outside.astype(np.float64), np.nan)


def _stealing(name: str, seen: Seen) -> np.ndarray:
    """Whether a share passes by the meter in any part of an interval."""
    return (gated_kwh(lambda t: t, seen.trace[name, "theft"], seen.at_h) > 0).astype(np.float64)


def _in_place(trace: Trace) -> Signal:
    """Hours since the transformer was put in, counted from 0 h for the first."""
    up = trace[TRANSFORMER, "up"]
    renewed_h = up.time_h[1:][np.diff(up.value) > 0]
    return since(Signal.linear([0.0], [0.0], [1.0]), renewed_h)


def _monitored(world: Feeder, oil: Channel, current: Channel, trace: Trace) -> Signal:
    """Life used up since the transformer was put in, from readings of oil and current; gaps are as read before."""
    t, step_h = world.transformer, oil.step_h or 1.0
    oil_cel, amps = (_held(render(trace, channel).astype(np.float64)) for channel in (oil, current))
    at_h = np.arange(len(oil_cel)) * step_h
    rated_a = trace[TRANSFORMER, "rated"].at(at_h) / (math.sqrt(3) * world.wires.voltage_kv)
    hot_cel = oil_cel + t.gradient_k * np.maximum(amps / rated_a, 0.0) ** t.winding_exponent
    used_h = np.concatenate(([0.0], np.cumsum(step_h * ageing_rate(t, hot_cel) * trace[TRANSFORMER, "up"].at(at_h))))
    up = trace[TRANSFORMER, "up"]
    renewed = np.searchsorted(at_h, up.time_h[1:][np.diff(up.value) > 0])
    last = np.searchsorted(renewed, np.arange(len(at_h)), side="right") - 1
    return Signal.step(at_h, used_h[:-1] - np.where(last < 0, 0.0, used_h[np.append(renewed, 0)[last]]))


def _held(values: np.ndarray) -> np.ndarray:
    """Gaps filled with what was last read, at first with 0."""
    last = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(len(values)), -1))
    return np.where(last < 0, 0.0, values[last])
