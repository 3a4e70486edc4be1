"""The factory's twin: each machine's sensors and meter, what it works at and for whom it waits, and what is planned."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np

from sim.errors import require
from sim.factory import Action, Factory, Release, SetPriority
from sim.factory.energy import price
from sim.line import Hold, OrderMaintenance, SetSpeed
from sim.trace import Event, Signal, Trace
from twins.channel import Channel, Role
from twins.line import LineSensors
from twins.machines import MachineTwin, signal
from twins.records import Alarm, Records
from twins.sensors.noise import Noise
from twins.sensors.signals import combine


def _manned(rank: int, operators: tuple[str, ...], trace: Trace) -> Signal:
    """Whether an operator stands at the machine."""
    return combine(lambda *at: np.any([a == rank + 1 for a in at], axis=0), *(trace[who, "at"] for who in operators))


def _scheduled(station: str, crews: tuple[tuple[str, ...], ...], trace: Trace) -> Signal:
    """The share of a machine's kinds of operation that the calendars allow: of each, one who can must be on shift."""
    everybody = sorted({who for crew in crews for who in crew})

    def share(is_open, *there):
        at = dict(zip(everybody, there, strict=True))
        manned = [np.any([at[who] > 0 for who in crew], axis=0) if crew else is_open > 0 for crew in crews]
        return is_open * np.mean(manned, axis=0)

    return combine(share, trace[station, "open"], *(trace[who, "there"] for who in everybody))


def _tariff(world: Factory, trace: Trace) -> Signal:
    return price(world.tariff, trace.start_h, max(trace.end_h, math.nextafter(trace.start_h, math.inf)))


@dataclass(frozen=True)
class FactoryTwin(MachineTwin):
    """A factory seen through its machines' sensors, meters and counters, every *step_h* hours, and the plant's records.

    One episode is one machine in one world run. Known ahead: the price of electricity, and the schedule, which is the
    share of the machine's kinds of operation for which its station is open and somebody able is on shift.
    """

    world: Factory
    step_h: float = 1 / 6
    sensors: LineSensors = field(default_factory=LineSensors)
    meter: Noise = Noise(white=0.05, quantum=0.01, dropout=0.002)  # in kW
    epoch: str = "2025-01-06T00:00:00"  # a Monday, as hour 0 is
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
        """Parts that left the plant within *trace*, and parts from outside that found no room."""
        ends = [p.name for p, part in zip(self.world.products, self.world.plan.component, strict=True) if not part]
        finished = [trace[name, "finished"].value for name in ends]
        return float(sum(v[-1] - v[0] for v in finished)), float(sum(e.kind == "lost" for e in trace.events))

    def _static(self, asset: str) -> dict[str, float | str]:
        k = self.world.plan.station[self.world.machines.index(asset)]
        station = self.world.stations[k]
        work = [o.time.mean_h for p in self.world.products for o in p.route if o.station == station.name]
        cycle_h = sum(work) / len(work) if work else 0.0
        return {"station": float(k + 1), "load": station.load, "cycle_h": cycle_h}

    def _machine(self, m: str) -> tuple[Channel, ...]:
        world, rank = self.world, self.world.machines.index(m)
        station = world.station_of(m)
        skills = [o.skill for p in world.products for o in p.route if o.station == station.name]
        crews = tuple(tuple(who.name for who in world.operators if s in who.skills) if s else () for s in skills)
        schedule = partial(_scheduled, station.name, crews or ((),))
        everybody = tuple(who.name for who in world.operators)
        return (
            *self._common(m, station.load),
            self._channel(m, "power", "kW", Role.TARGET, partial(signal, m, "power"), self.meter),
            self._signal(m, "queue", "1", Role.PAST, station.name, "level"),
            self._signal(m, "product", "1", Role.PAST),
            self._signal(m, "family", "1", Role.PAST),
            *([self._channel(m, "manned", "1", Role.PAST, partial(_manned, rank, everybody))] if everybody else []),
            self._channel(m, "schedule", "1", Role.KNOWN, schedule),
            self._channel(m, "tariff", "{EUR}/kW.h", Role.KNOWN, partial(_tariff, world)),
            *self._truth(m),
        )

    def _action(self, event: Event) -> Action:
        if event.cause == Release.__name__:
            return Release(event.entity, int(event.value))
        if event.cause == SetPriority.__name__:
            return SetPriority(event.entity, int(event.value))
        if event.cause == SetSpeed.__name__:
            return SetSpeed(event.entity, event.value)
        return {action.__name__: action for action in (OrderMaintenance, Hold)}[event.cause](event.entity)
