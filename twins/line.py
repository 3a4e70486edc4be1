"""The line's twin: the sensors of each machine and its buffers, and one episode a machine with its lives as labels."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from functools import partial
from typing import ClassVar

import numpy as np

from sim.errors import require
from sim.line import Action, Hold, Line, OrderMaintenance, SetSpeed
from sim.supply import Action as Order
from sim.supply import Hold as HoldOrders
from sim.supply import PlaceOrder
from sim.trace import Event, Trace
from twins.channel import Channel, Role
from twins.machines import WORKING, MachineTwin, by_phase
from twins.records import Alarm, Records
from twins.sensors.noise import Noise


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
        working = np.where(phase == WORKING, self.low_mm2_s2 * load * speed**2, 0.0)
        return working * (1 + self.low_gain * wear**4)

    def high(self, load: float, phase, speed, wear):
        """Energy of the high band in (mm/s)²."""
        working = np.where(phase == WORKING, self.high_mm2_s2 * speed**2, 0.0)
        return working * (1 + self.high_gain * wear**1.5)

    def rms(self, load: float, phase, speed, wear):
        """Vibration velocity in mm/s: the root of the energy of both bands and of the floor."""
        bands = self.low(load, phase, speed, wear) + self.high(load, phase, speed, wear)
        return np.sqrt(self.vibration_floor_mm_s**2 + bands)

    def temperature(self, load: float, phase, speed, wear):
        """The bearing's temperature in Cel if it stayed so; the bearing lags behind it."""
        working = self.working_rise_k * load * speed + self.wear_rise_k * wear**2
        return self.ambient_cel + by_phase(phase, 0.0, self.idle_rise_k, self.idle_rise_k + working)

    def current(self, load: float, phase, speed, wear):
        """Motor current in A."""
        working = self.idle_a + self.working_a * load * speed + self.wear_a * wear
        return by_phase(phase, 0.0, self.idle_a, working)

    def level(self, load: float, phase, speed, wear):
        """Acoustic level in dB."""
        working = self.working_db + 20 * np.log10(speed) + self.wear_db * wear**2
        return by_phase(phase, self.background_db, self.idle_db, working)


@dataclass(frozen=True)
class LineTwin(MachineTwin):
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

    def made(self, trace: Trace) -> tuple[float, float]:
        """Parts that the last station finished within *trace*, and parts lost: arrivals that found no room, or of a
        saturated line what it fell short of its slowest station, had that never stood still at nominal speed."""
        stations = self.world.stations
        last = [m for m in self.world.machines if self._station(m)[0] == len(stations)]
        parts = sum(float(trace[m, "parts"].value[-1] - trace[m, "parts"].value[0]) for m in last)
        if self.world.arrivals is not None:
            return parts, float(sum(event.kind == "lost" for event in trace.events))
        return parts, min(s.machines / s.cycle.mean_h for s in stations) * (trace.end_h - trace.start_h) - parts

    def _static(self, asset: str) -> dict[str, float | str]:
        number, station = self._station(asset)
        return {"station": float(number), "load": station.load, "cycle_h": station.cycle.mean_h}

    def _station(self, asset: str):
        number = int(asset[1:].split(".")[0])
        return number, self.world.stations[number - 1]

    def _machine(self, m: str) -> tuple[Channel, ...]:
        number, station = self._station(m)
        beside = {"buffer_before": f"b{number - 1}", "buffer_after": f"b{number}"}
        stocks = {"spare": station.spare}
        if number == 1 and self.world.material:
            stocks["material"] = self.world.material.point

        signal = partial(self._signal, m)
        return (
            *self._common(m, station.load),
            *(signal(q, "1", Role.PAST, b, "level") for q, b in beside.items() if b in self.world.buffer_names),
            *(
                signal(f"{what}_{quantity}", "1", Role.PAST, point, quantity)
                for what, point in stocks.items()
                if point
                for quantity in ("on_hand", "on_order")
            ),
            *self._truth(m),
        )

    def _action(self, event: Event) -> Action | Order | None:
        """The action that an event tells of; None where it does not tell enough, as of a new policy of the supply."""
        if event.entity not in self.world.machines:
            if event.cause == PlaceOrder.__name__:
                return PlaceOrder(event.entity, int(event.value))
            return HoldOrders(event.entity) if event.cause == HoldOrders.__name__ else None
        if event.cause == SetSpeed.__name__:
            return SetSpeed(event.entity, event.value)
        return {action.__name__: action for action in (OrderMaintenance, Hold)}[event.cause](event.entity)
