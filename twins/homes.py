"""Homes as their smart meters see them, and the street as the transformer's meter does."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import ClassVar
from zoneinfo import ZoneInfo

import numpy as np

from sim.errors import require
from sim.homes import CHARGERS, WEATHER, Calendar, Homes
from sim.homes.calendar import WORKDAY
from sim.homes.power import PARTS, appliance_kwh, begun_h, business_kwh, home_kwh, part_kwh, street_kwh
from sim.homes.tariff import Tariff, TimeOfUse
from sim.trace import Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.sensors.noise import Noise
from twins.sensors.render import render, samples_before

FEEDER = "feeder"
EXACT = Noise()


@dataclass(frozen=True)
class HomesTwin:
    """A street seen through its meters. An episode is a household, a business or the feeder in one world run.

    Sample k of a load (kW) is the mean over the *step_h* hours that begin at its time, and missing until they are
    over. What is known ahead: the temperature as foretold a day before (so a horizon of a day is honest), the clear
    sky's irradiance, the tariff, and whether the day is free of work. Action: the share of heating that is called off.
    Truth: the parts of a load.
    """

    world: Homes
    step_h: float = 1.0
    meter: Noise = Noise(drift=0.004, drift_knot_h=336.0, quantum=0.001, dropout=0.01)
    feeder_meter: Noise = Noise(white=0.02, drift=0.05, drift_knot_h=336.0, quantum=0.01, dropout=0.002)
    thermometer: Noise = Noise(white=0.2, autocorrelated=0.2, correlation_h=3.0, drift=0.3, quantum=0.1, dropout=0.005)
    tariff: Tariff = TimeOfUse()
    appliances: bool = False  # whether the power of each appliance is told beside, as truth, for taking loads apart

    revision: ClassVar[int] = 2

    def __post_init__(self):
        require(0 < self.step_h <= 24, self, "step_h", "above 0 and at most 24")

    @property
    def epoch(self) -> str:
        """Hour 0 by the clock on the wall."""
        calendar = self.world.calendar
        return calendar.start.astimezone(ZoneInfo(calendar.zone)).isoformat()

    @property
    def channels(self) -> tuple[Channel, ...]:
        return (*(c for name in self._assets for c in self._own(name)), *self._common())

    @property
    def _assets(self) -> tuple[str, ...]:
        return (*self.world.names, *self.world.business_names, FEEDER)

    def _own(self, name: str) -> tuple[Channel, ...]:
        if name == FEEDER:
            return self._feeder()
        return self._business(name) if name in self.world.business_names else self._home(name)

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace = run.trace
        common = [self._series(trace, channel) for channel in self._common()]
        for name in self._assets:
            yield Episode(
                run=trace.seed,
                asset=name,
                series=(*(self._series(trace, channel) for channel in self._own(name)), *common),
                events=tuple(
                    e for e in trace.events if e.entity in ((CHARGERS, WEATHER) if name == FEEDER else (name,))
                ),
                static=self._static(name),
                epoch=self.epoch,
                end_h=trace.end_h,
            )

    def _series(self, trace: Trace, c: Channel) -> Series:
        return Series(*c.key, c.unit, c.role, render(trace, c), step_h=c.step_h)

    def _static(self, name: str) -> dict[str, float | str]:
        if name == FEEDER:
            counts = (("households", self.world.names), ("businesses", self.world.business_names))
            return {what: float(len(names)) for what, names in counts if names}
        if name in self.world.business_names:
            return {"annual_kwh": self.world.businesses[self.world.business_names.index(name)].annual_kwh}
        kind = self.world.household(name)
        return {name: float(getattr(kind, name)) for name in ("annual_kwh", "heat_kw_per_k", "pv_kw")}

    def _channel(self, entity: str, quantity: str, unit: str, role: Role, reading, noise: Noise = EXACT) -> Channel:
        return Channel(entity, quantity, unit, role, reading, self.step_h, noise)

    @property
    def _appliances(self) -> tuple[str, ...]:
        return tuple(a.name for a in self.world.appliances) if self.appliances else ()

    def _mean(self, name: str, quantity: str, role: Role, counted: Callable, noise: Noise = EXACT) -> Channel:
        return self._channel(name, quantity, "kW", role, partial(_mean_kw, self.world, self.step_h, counted), noise)

    def _business(self, name: str) -> tuple[Channel, ...]:
        return (self._mean(name, "load", Role.TARGET, partial(_business, name), self.meter),)

    def _home(self, name: str) -> tuple[Channel, ...]:
        mean = partial(self._mean, name)
        return (
            mean("load", Role.TARGET, partial(_home, name), self.meter),
            *(mean(f"{part}_kw", Role.TRUTH, partial(_part, name, part)) for part in PARTS),
            *(mean(f"{a}_kw", Role.TRUTH, partial(_appliance, name, a)) for a in self._appliances),
            self._channel(name, "phase", "1", Role.TRUTH, partial(_signal, name, "phase")),
        )

    def _feeder(self) -> tuple[Channel, ...]:
        return (
            self._mean(FEEDER, "feeder_load", Role.TARGET, street_kwh, self.feeder_meter),
            self._channel(CHARGERS, "busy", "1", Role.PAST, partial(_signal, CHARGERS, "busy")),
        )

    def _common(self) -> tuple[Channel, ...]:
        world = self.world
        seen = partial(_signal, WEATHER, "temperature")
        return (
            self._channel(WEATHER, "temperature", "Cel", Role.PAST, seen, self.thermometer),
            self._channel(WEATHER, "temperature_forecast", "Cel", Role.KNOWN, partial(_signal, WEATHER, "forecast")),
            self._channel(WEATHER, "clear_sky", "kW/m2", Role.KNOWN, partial(_clear_sky, world)),
            self._channel(WEATHER, "cloud", "1", Role.TRUTH, partial(_signal, WEATHER, "cloud")),
            self._channel(WEATHER, "heating_call", "1", Role.ACTION, partial(_signal, WEATHER, "call")),
            self._channel("tariff", "price", "{EUR}/kW.h", Role.KNOWN, partial(_price, world.calendar, self.tariff)),
            self._channel("calendar", "free_day", "1", Role.KNOWN, partial(free_day, world.calendar)),
        )


def _signal(entity: str, quantity: str, trace: Trace) -> Signal:
    return trace[entity, quantity]


def _home(name: str, world: Homes, trace: Trace, at_h: np.ndarray) -> np.ndarray:
    return home_kwh(world, trace, name, at_h)


def _business(name: str, world: Homes, trace: Trace, at_h: np.ndarray) -> np.ndarray:
    return business_kwh(world, trace, name, at_h)


def _part(name: str, part: str, world: Homes, trace: Trace, at_h: np.ndarray) -> np.ndarray:
    return part_kwh(world, trace, name, part, at_h)


def _appliance(name: str, appliance: str, world: Homes, trace: Trace, at_h: np.ndarray) -> np.ndarray:
    return appliance_kwh(world, trace, name, appliance, at_h)


def _mean_kw(world: Homes, step_h: float, counted: Callable[..., np.ndarray], trace: Trace) -> Signal:
    """The mean power of each interval that begins at a sample; one that the trace does not hold whole is unknown."""
    first = samples_before(begun_h(world, trace), step_h)
    last = max(math.floor(trace.end_h / step_h + 1e-9), first)
    at_h = np.arange(first, last + 1) * step_h
    mean_kw = np.diff(counted(world, trace, at_h)) / step_h
    return Signal.step(at_h, np.append(mean_kw, np.nan))


def _hours(trace: Trace) -> int:
    return max(math.ceil(trace.end_h), 1)


def _price(calendar: Calendar, tariff: Tariff, trace: Trace) -> Signal:
    prices = tariff.prices(calendar, trace.seed, _hours(trace))
    return Signal.step(np.arange(len(prices)), prices)


def free_day(calendar: Calendar, trace: Trace) -> Signal:
    """Whether each hour is of a day without work."""
    return Signal.step(np.arange(_hours(trace)), _free(calendar, _hours(trace)))


@lru_cache(maxsize=8)
def _free(calendar: Calendar, hours: int) -> np.ndarray:
    return np.array([float(calendar.at(k).kind != WORKDAY) for k in range(hours)])


def _clear_sky(world: Homes, trace: Trace) -> Signal:
    quarters = 4 * _hours(trace)
    clear = world.weather.clear_kw_m2(world.calendar, 0, quarters + 1)
    return Signal.linear(np.arange(quarters) / 4, clear[:-1], np.diff(clear) * 4)
