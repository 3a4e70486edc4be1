"""A distribution grid as its control room sees it: who is fed, what feeders carry, and the wind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from sim.errors import require
from sim.grid import Grid, LoadPoint
from sim.trace import Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.lives import spells
from twins.sensors.noise import Noise
from twins.sensors.render import render
from twins.sensors.signals import combine, integral

EXACT = Noise()


@dataclass(frozen=True)
class GridTwin:
    """A grid read every *step_h* hours. One episode is one load point in one world run.

    A life of a load point is a time in which it is fed; it fails of a "section", a "transformer" or a "switch". The
    wind is *calm_m_s* in the mean, and *storm_m_s* while a storm lasts, which itself stays hidden.
    """

    world: Grid
    step_h: float = 1.0
    calm_m_s: float = 6.0
    storm_m_s: float = 16.0
    anemometer: Noise = Noise(white=0.8, autocorrelated=2.5, correlation_h=4.0, quantum=0.1, dropout=0.01)  # m/s
    feeder_meter: Noise = Noise(white=8.0, autocorrelated=25.0, correlation_h=6.0, dropout=0.005)  # kW
    epoch: str = "2025-01-01T00:00:00"

    revision: ClassVar[int] = 1

    def __post_init__(self):
        require(0 < self.step_h < math.inf, self, "step_h", "above 0")
        require(0 <= self.calm_m_s <= self.storm_m_s < math.inf, self, "storm_m_s", "at least calm_m_s and finite")

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple({c.key: c for name in self._points for c in self._seen(name)}.values())

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace = run.trace
        rendered: dict[tuple[str, str], Series] = {}
        for name, point in self._points.items():
            for c in self._seen(name):
                if c.key not in rendered:
                    rendered[c.key] = Series(*c.key, c.unit, c.role, render(trace, c), step_h=c.step_h)
            yield Episode(
                run=trace.seed,
                asset=name,
                series=tuple(rendered[c.key] for c in self._seen(name)),
                events=tuple(event for event in trace.events if event.entity in (name, "weather")),
                spells=tuple(spells(trace, name, integral(trace[name, "fed"]))),
                static={"customers": float(point.customers), "load_kw": point.load_kw},
                epoch=self.epoch,
                end_h=trace.end_h,
            )

    @property
    def _points(self) -> dict[str, LoadPoint]:
        return {point.name: point for point in self.world.network.load_points}

    def _seen(self, name: str) -> tuple[Channel, ...]:
        def channel(entity: str, quantity: str, unit: str, role: Role, reading, noise: Noise = EXACT) -> Channel:
            return Channel(entity, quantity, unit, role, reading, self.step_h, noise)

        def told(entity: str, quantity: str, role: Role) -> Channel:
            return channel(entity, quantity, "1", role, partial(_signal, entity, quantity))

        feeder = self.world.feeding.feeder_of.get(self._points[name].bus, 0)
        wind = partial(_wind, self.calm_m_s, self.storm_m_s)
        return (
            channel("weather", "wind", "m/s", Role.TARGET, wind, self.anemometer),
            channel(f"feeder{feeder + 1}", "load", "kW", Role.TARGET, partial(self._load, feeder), self.feeder_meter),
            told(name, "fed", Role.PAST),
            told("grid", "customers_out", Role.PAST),
            told("grid", "waiting", Role.PAST),
            told("weather", "storm", Role.TRUTH),
        )

    def _load(self, feeder: int, trace: Trace) -> Signal:
        """What the load points of a feeder draw, in kW."""
        of = self.world.feeding.feeder_of
        points = [p for p in self._points.values() if of.get(p.bus, 0) == feeder]
        load_kw = np.array([p.load_kw for p in points])
        return combine(lambda *fed: load_kw @ np.stack(fed), *(trace[p.name, "fed"] for p in points))


def _signal(entity: str, quantity: str, trace: Trace) -> Signal:
    return trace[entity, quantity]


def _wind(calm: float, storm: float, trace: Trace) -> Signal:
    return combine(lambda on: np.where(on > 0, storm, calm), trace["weather", "storm"])
