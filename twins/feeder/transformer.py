"""The transformer of a feeder as its sensors and its monitor show it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from sim.feeder import FEEDER, TRANSFORMER, Feeder, ReplaceTransformer
from sim.homes.transformer import ageing_rate
from sim.trace import Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode
from twins.feeder.seen import VOLT, FeederTwin, Seen, Shared, held
from twins.lives import spells
from twins.sensors.noise import Noise
from twins.sensors.render import render
from twins.sensors.signals import integral, since


@dataclass(frozen=True)
class TransformerTwin(FeederTwin):
    """The transformer, one episode a world run. It fails of "ageing" or by chance ("sudden").

    Its monitor adds up the life that its own readings of oil and current, hour by hour, say is used up since the
    transformer was put in (IEC 60076-7; what it stood before, and what it will stand, nobody knows).
    """

    oil: Noise = Noise(white=0.3, autocorrelated=0.3, correlation_h=6.0, drift=0.5, quantum=0.1, dropout=0.005)
    monitor: bool = True

    assets: ClassVar[tuple[str, ...]] = (TRANSFORMER,)
    revision: ClassVar[int] = 2

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self._channels(Shared(self.world, self.step_h))

    def maintain(self, asset: str) -> ReplaceTransformer:
        return ReplaceTransformer()

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
            self._signal(TRANSFORMER, "load", "1", Role.TRUTH, as_="load_factor"),
            self._signal(TRANSFORMER, "hot_spot", "Cel", Role.TRUTH),
            self._signal(TRANSFORMER, "aged", "h", Role.TRUTH),
            self._told(shared, FEEDER, "cable_loss", "kW", Role.TRUTH, lambda seen: seen.behind.cable_loss_kw_T),
            *self._common(),
        )


def _lowest(seen: Seen) -> np.ndarray:
    """The lowest voltage at any load point."""
    buses = [seen.behind.flow.buses.index(point.bus) for point in seen.world.wires.load_points]
    return VOLT * seen.behind.flows.voltage_pu_TxB[:, buses].min(1)


def _in_place(trace: Trace) -> Signal:
    """Hours since the transformer was put in, counted from 0 h for the first."""
    up = trace[TRANSFORMER, "up"]
    renewed_h = up.time_h[1:][np.diff(up.value) > 0]
    return since(Signal.linear([0.0], [0.0], [1.0]), renewed_h)


def _monitored(world: Feeder, oil: Channel, current: Channel, trace: Trace) -> Signal:
    """Life used up since the transformer was put in, from readings of oil and current; gaps are as read before."""
    t, step_h = world.transformer, oil.step_h or 1.0
    oil_cel, amps = (held(render(trace, channel).astype(np.float64)) for channel in (oil, current))
    at_h = np.arange(len(oil_cel)) * step_h
    rated_a = trace[TRANSFORMER, "rated"].at(at_h) / (math.sqrt(3) * world.wires.voltage_kv)
    hot_cel = oil_cel + t.gradient_k * np.maximum(amps / rated_a, 0.0) ** t.winding_exponent
    used_h = np.concatenate(([0.0], np.cumsum(step_h * ageing_rate(t, hot_cel) * trace[TRANSFORMER, "up"].at(at_h))))
    up = trace[TRANSFORMER, "up"]
    renewed = np.searchsorted(at_h, up.time_h[1:][np.diff(up.value) > 0])
    last = np.searchsorted(renewed, np.arange(len(at_h)), side="right") - 1
    return Signal.step(at_h, used_h[:-1] - np.where(last < 0, 0.0, used_h[np.append(renewed, 0)[last]]))
