"""The line's twin: the sensors of each machine and its buffers, and one episode a machine with its lives as labels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import partial
from typing import ClassVar

import numpy as np

from sim.errors import require
from sim.line import Action, Hold, Line, OrderMaintenance, Phase, RunToFailure, SetSpeed, State
from sim.supply import Action as Order
from sim.supply import Hold as HoldOrders
from sim.supply import PlaceOrder
from sim.trace import Event, Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series, Spell
from twins.lives import spells
from twins.noise import Noise
from twins.records import Alarm, Records, alarm_channels, order_channels
from twins.render import render
from twins.signals import combine, integral, lag, since


@dataclass(frozen=True)
class LineSensors:
    """What each machine's sensors read, and how well. Wear is a fraction of the failure threshold, speed of nominal.

    Vibration has two bands. The low one follows rotation and load, and wear only late; the high one, where bearings
    ring, answers early. Velocity grows with speed, so energy with its square; the RMS is the root of all energy
    together with the floor that the hall shakes at.
    """

    vibration_floor_mm_s: float = 0.4
    low_mm2_s2: float = 1.2  # while working at speed 1 and load 1, unworn
    low_gain: float = 2.0  # of wear^4
    high_mm2_s2: float = 0.3
    high_gain: float = 6.0  # of wear^1.5
    ambient_cel: float = 22.0
    idle_rise_k: float = 6.0  # powered but not working
    working_rise_k: float = 25.0  # at speed 1 and load 1
    wear_rise_k: float = 14.0  # of wear², while working
    temperature_tau_h: float = 0.5
    idle_a: float = 3.5
    working_a: float = 9.0
    wear_a: float = 0.9
    background_db: float = 58.0
    idle_db: float = 66.0
    working_db: float = 74.0
    wear_db: float = 5.0
    vibration_rms: Noise = Noise(
        white=0.15, autocorrelated=0.15, correlation_h=6.0, drift=0.1, quantum=0.01, dropout=0.005
    )
    vibration_low: Noise = Noise(
        white=0.25, autocorrelated=0.2, correlation_h=6.0, drift=0.1, quantum=0.01, dropout=0.005
    )
    vibration_high: Noise = Noise(
        white=0.25, autocorrelated=0.25, correlation_h=6.0, drift=0.2, quantum=0.01, dropout=0.005
    )
    bearing_temperature: Noise = Noise(
        white=0.3, autocorrelated=1.5, correlation_h=12.0, drift=1.0, quantum=0.1, dropout=0.002
    )
    motor_current: Noise = Noise(
        white=0.25, autocorrelated=0.3, correlation_h=12.0, drift=0.2, quantum=0.05, dropout=0.002
    )
    acoustic_level: Noise = Noise(white=1.0, autocorrelated=1.0, correlation_h=3.0, quantum=0.1, dropout=0.01)

    def __post_init__(self):
        for name in ("vibration_floor_mm_s", "low_mm2_s2", "high_mm2_s2", "temperature_tau_h"):
            require(0 < getattr(self, name) < math.inf, self, name, "above 0")
        for name in (f.name for f in fields(self) if f.name.endswith(("_gain", "_k", "_a"))):
            require(0 <= getattr(self, name) < math.inf, self, name, "at least 0")

    def low(self, load: float, phase, speed, wear):
        """Energy of the low band in (mm/s)²."""
        working = np.where(phase == Phase.WORKING, self.low_mm2_s2 * load * speed**2, 0.0)
        return working * (1 + self.low_gain * wear**4)

    def high(self, load: float, phase, speed, wear):
        """Energy of the high band in (mm/s)²."""
        working = np.where(phase == Phase.WORKING, self.high_mm2_s2 * speed**2, 0.0)
        return working * (1 + self.high_gain * wear**1.5)

    def rms(self, load: float, phase, speed, wear):
        """Vibration velocity in mm/s: the root of the energy of both bands and of the floor."""
        bands = self.low(load, phase, speed, wear) + self.high(load, phase, speed, wear)
        return np.sqrt(self.vibration_floor_mm_s**2 + bands)

    def temperature(self, load: float, phase, speed, wear):
        """The bearing's temperature in Cel if it stayed so; the bearing lags behind it."""
        working = self.working_rise_k * load * speed + self.wear_rise_k * wear**2
        return self.ambient_cel + _by_phase(phase, 0.0, self.idle_rise_k, self.idle_rise_k + working)

    def current(self, load: float, phase, speed, wear):
        """Motor current in A."""
        working = self.idle_a + self.working_a * load * speed + self.wear_a * wear
        return _by_phase(phase, 0.0, self.idle_a, working)

    def level(self, load: float, phase, speed, wear):
        """Acoustic level in dB."""
        working = self.working_db + 20 * np.log10(speed) + self.wear_db * wear**2
        return _by_phase(phase, self.background_db, self.idle_db, working)


def _by_phase(phase, down, idle, working):
    off = (phase >= Phase.WAITING) & (phase != Phase.SHORT)
    return np.where(phase == Phase.WORKING, working, np.where(off, down, idle))


def _signal(entity: str, quantity: str, trace: Trace) -> Signal:
    return trace[entity, quantity]


def _operating_age(machine: str, trace: Trace) -> Signal:
    renewals_h = [e.time_h for e in trace.events if e.entity == machine and e.kind == "renewal"]
    return since(_hours(machine, trace), np.array(renewals_h))


def _hours(machine: str, trace: Trace) -> Signal:
    return integral(combine(lambda phase: phase == Phase.WORKING, trace[machine, "phase"]))


def _regime(f, load: float, machine: str, trace: Trace) -> Signal:
    return combine(partial(f, load), *(trace[machine, quantity] for quantity in ("phase", "speed", "wear")))


def _temperature(sensors: LineSensors, load: float, machine: str, trace: Trace) -> Signal:
    steady = _regime(sensors.temperature, load, machine, trace)
    return lag(steady, sensors.temperature_tau_h, sensors.ambient_cel)


@dataclass(frozen=True)
class LineTwin:
    """A line seen through its sensors, every *step_h* hours, and the plant's records. One episode is one machine in
    one world run."""

    world: Line
    step_h: float = 1 / 6
    sensors: LineSensors = field(default_factory=LineSensors)
    epoch: str = "2025-01-01T00:00:00"
    unmaintained_limit_h: float = 8760.0  # how far a life without maintenance is followed beyond the work that ended it
    records: Records | None = None  # of maintenance orders; None: none are kept
    alarms: tuple[Alarm, ...] = ()  # on each machine's sensors

    revision: ClassVar[int] = 1

    def __post_init__(self):
        require(0 < self.step_h < math.inf, self, "step_h", "above 0")
        require(self.unmaintained_limit_h > 0, self, "unmaintained_limit_h", "above 0")
        object.__setattr__(self, "alarms", tuple(self.alarms))
        assert self.channels  # refuses alarms on what is no sensor

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(channel for asset in self.world.machines for channel in self._machine(asset))

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    @property
    def assets(self) -> tuple[str, ...]:
        return self.world.machines

    def maintain(self, asset: str) -> OrderMaintenance:
        """The action that orders planned work."""
        return OrderMaintenance(asset)

    def made(self, trace: Trace) -> tuple[float, float]:
        """Parts that the last station finished within *trace*, and parts lost: arrivals that found no room, or of a
        saturated line what it fell short of its slowest station, had that never stood still at nominal speed."""
        stations = self.world.stations
        last = [m for m in self.world.machines if self._station(m)[0] == len(stations)]
        parts = sum(float(trace[m, "parts"].value[-1] - trace[m, "parts"].value[0]) for m in last)
        if self.world.arrivals is not None:
            return parts, float(sum(event.kind == "lost" for event in trace.events))
        return parts, min(s.machines / s.cycle.mean_h for s in stations) * (trace.end_h - trace.start_h) - parts

    def hold(self, asset: str) -> Hold | None:
        """The action that leaves a machine to run to failure; None where no policy would stop it."""
        return None if isinstance(self.world.station_of(asset).policy, RunToFailure) else Hold(asset)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace = run.trace
        if trace.start_h != 0:
            raise ValueError(f"an episode begins at 0 h; the trace begins at {trace.start_h} h")
        lives = self._lives(trace)
        for asset in self.world.machines:
            number, station = self._station(asset)
            yield Episode(
                run=trace.seed,
                asset=asset,
                series=tuple(
                    Series(*c.key, c.unit, c.role, render(trace, c), step_h=c.step_h) for c in self._machine(asset)
                ),
                events=tuple(event for event in trace.events if event.entity == asset),
                spells=tuple(lives[asset]),
                static={"station": float(number), "load": station.load, "cycle_h": station.cycle.mean_h},
                epoch=self.epoch,
                end_h=trace.end_h,
                records=self.records.of(trace, asset) if self.records else None,
            )

    def _station(self, asset: str):
        number = int(asset[1:].split(".")[0])
        return number, self.world.stations[number - 1]

    def _machine(self, m: str) -> tuple[Channel, ...]:
        s, (number, station) = self.sensors, self._station(m)
        load = station.load
        beside = {"buffer_before": f"b{number - 1}", "buffer_after": f"b{number}"}
        stocks = {"spare": station.spare}
        if number == 1 and self.world.material:
            stocks["material"] = self.world.material.point

        def channel(quantity: str, unit: str, role: Role, reading, noise: Noise, memory: bool = True) -> Channel:
            return Channel(m, quantity, unit, role, reading, self.step_h, noise, memory)

        def regime(quantity: str, unit: str, f, noise: Noise) -> Channel:
            return channel(quantity, unit, Role.TARGET, partial(_regime, f, load, m), noise, memory=False)

        def signal(quantity: str, unit: str, role: Role, entity: str = m, name: str = "") -> Channel:
            return channel(quantity, unit, role, partial(_signal, entity, name or quantity), Noise(), memory=False)

        sensors = (
            regime("vibration_rms", "mm/s", s.rms, s.vibration_rms),
            regime("vibration_low", "mm2/s2", s.low, s.vibration_low),
            regime("vibration_high", "mm2/s2", s.high, s.vibration_high),
            channel(
                "bearing_temperature", "Cel", Role.TARGET, partial(_temperature, s, load, m), s.bearing_temperature
            ),
            regime("motor_current", "A", s.current, s.motor_current),
            regime("acoustic_level", "dB", s.level, s.acoustic_level),
        )
        return (
            *sensors,
            *alarm_channels(self.alarms, sensors),
            *(order_channels(self.records, m, self.step_h) if self.records else ()),
            signal("parts", "1", Role.PAST),
            signal("state", "1", Role.PAST, name="phase"),
            channel("operating_age", "h", Role.PAST, partial(_operating_age, m), Noise()),
            signal("speed", "1", Role.ACTION),
            *(signal(q, "1", Role.PAST, b, "level") for q, b in beside.items() if b in self.world.buffer_names),
            *(
                signal(f"{what}_{quantity}", "1", Role.PAST, point, quantity)
                for what, point in stocks.items()
                if point
                for quantity in ("on_hand", "on_order")
            ),
            signal("wear", "1", Role.TRUTH),
            signal("rate", "1", Role.TRUTH),
        )

    def _lives(self, trace: Trace) -> dict[str, list[Spell]]:
        """The spells of each machine; a failed life is its own length without maintenance, a planned end is re-run."""
        lives = {asset: spells(trace, asset, _hours(asset, trace)) for asset in self.world.machines}
        at = {(asset, spell.end_h): i for asset in lives for i, spell in enumerate(lives[asset])}
        state, queued = self.world.start(trace.seed), []
        for event in trace.events:
            if event.kind not in ("action", "planned"):
                continue
            if event.time_h > state.time_h:
                state, queued = self.world.run(self._act(state, queued), event.time_h).state, []
            if event.kind == "action":
                if (action := self._action(event)) is None:
                    return lives  # what was done cannot be done again, so the rest of the lives stays unknown
                queued.append(action)
                continue
            asset, just_after_h = event.entity, math.nextafter(event.time_h, math.inf)
            if event not in self.world.run(self._act(state, queued), just_after_h).trace.events:
                continue  # a resampled future, which the seed alone does not tell again
            held = [action for action in queued if action != OrderMaintenance(asset)]
            beyond = self._beyond(self._act(state, [Hold(asset), *held]), asset)  # before an order takes it down too
            if beyond:
                i = at[asset, event.time_h]
                whole_h, operating_h = event.time_h - lives[asset][i].start_h, lives[asset][i].operating_h
                lives[asset][i] = lives[asset][i]._replace(
                    unmaintained_h=whole_h + beyond[0], unmaintained_operating_h=operating_h + beyond[1]
                )
        return lives

    def _action(self, event: Event) -> Action | Order | None:
        """The action that an event tells of; None where it does not tell enough, as of a new policy of the supply."""
        if event.entity not in self.world.machines:
            if event.cause == PlaceOrder.__name__:
                return PlaceOrder(event.entity, int(event.value))
            return HoldOrders(event.entity) if event.cause == HoldOrders.__name__ else None
        if event.cause == SetSpeed.__name__:
            return SetSpeed(event.entity, event.value)
        return {action.__name__: action for action in (OrderMaintenance, Hold)}[event.cause](event.entity)

    def _act(self, state: State, actions: Iterable[Action | Order]) -> State:
        for action in actions:
            state = self.world.act(state, action)
        return state

    def _beyond(self, state: State, machine: str) -> tuple[float, float] | None:
        """Calendar and operating hours from *state* to the next failure of a machine; None past the limit."""
        origin_h, limit_h = state.time_h, state.time_h + self.unmaintained_limit_h
        operating_h = 0.0
        while state.time_h < limit_h:
            trace, state = self.world.run(state, min(state.time_h + 100.0, limit_h))
            failure_h = next((e.time_h for e in trace.events if e.entity == machine and e.kind == "failure"), None)
            ends_h = [trace.start_h, trace.end_h if failure_h is None else failure_h]
            operating_h += float(np.diff(_hours(machine, trace).at(ends_h))[0])
            if failure_h is not None:
                return failure_h - origin_h, operating_h
        return None
