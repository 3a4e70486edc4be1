"""Alarms: thresholds with hysteresis and delay on what sensors read, and now and then one for no reason."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from sim.compiled import compiled
from sim.errors import InputError, require
from sim.laws import Exponential
from sim.streams import Stream, stream_key
from sim.trace import Signal, Trace
from twins.channel import Channel, Role
from twins.sensors.render import render, samples_before


@dataclass(frozen=True)
class Alarm:
    """Raised when a sensor has read at or beyond *limit* for *delay_h*, cleared when it reads within *clear*.

    A *clear* below the limit makes it a high alarm, one above a low alarm. A missing reading changes nothing. Nuisance
    alarms come *nuisance_per_h* and stay for exponential times, whatever the sensor reads.
    """

    sensor: str  # a quantity
    limit: float  # in the sensor's unit
    clear: float
    delay_h: float = 0.0
    nuisance_per_h: float = 0.0
    nuisance_mean_h: float = 0.5

    def __post_init__(self):
        for field in ("limit", "clear"):
            require(math.isfinite(getattr(self, field)), self, field, "finite")
        require(
            self.clear != self.limit, self, "clear", f"below the limit of {self.limit:g}, or above it for a low alarm"
        )
        require(0 <= self.delay_h < math.inf, self, "delay_h", "at least 0 and finite")
        require(0 <= self.nuisance_per_h < math.inf, self, "nuisance_per_h", "at least 0 and finite")
        require(0 < self.nuisance_mean_h < math.inf, self, "nuisance_mean_h", "above 0 and finite")

    @property
    def quantity(self) -> str:
        return f"alarm_{self.sensor}"

    def states(self, values: np.ndarray, step_h: float) -> np.ndarray:
        """Whether the alarm stands at each of the readings float32[n] of a sensor, bool[n], from no alarm on."""
        sign = 1.0 if self.clear < self.limit else -1.0
        readings = max(math.ceil(self.delay_h / step_h - 1e-9), 0) + 1
        return _alarmed(sign * values.astype(np.float64), sign * self.limit, sign * self.clear, readings)

    def nuisances(self, seed: int, asset: str, end_h: float) -> list[tuple[float, float]]:
        """From and to, in hours, of the alarms for no reason that begin before *end_h*."""
        if not self.nuisance_per_h:
            return []
        gap, stay = (Stream(stream_key(seed, f"alarms/{asset}/{self.sensor}/{name}")) for name in ("gap", "stay"))
        apart, length, begun_h, found = Exponential(1 / self.nuisance_per_h), Exponential(self.nuisance_mean_h), 0.0, []
        while (begun_h := begun_h + gap.draw(apart)) < end_h:
            found.append((begun_h, begun_h + stay.draw(length)))
        return found


def alarm_channels(alarms: Iterable[Alarm], sensors: Iterable[Channel]) -> tuple[Channel, ...]:
    """A channel of 0 and 1, on the sensor's clock, for each alarm on one of an asset's *sensors*."""
    known, found = {sensor.quantity: sensor for sensor in sensors if sensor.role is not Role.TRUTH}, []
    for alarm in alarms:
        if alarm.sensor not in known or known[alarm.sensor].step_h is None:
            has = ", ".join(quantity for quantity, sensor in known.items() if sensor.step_h)
            raise InputError(f"Alarm.sensor is {alarm.sensor!r}; it must be a sensor with a clock: {has}")
        sensor = known[alarm.sensor]
        found.append(
            Channel(sensor.entity, alarm.quantity, "1", Role.PAST, partial(_standing, alarm, sensor), sensor.step_h)
        )
    return tuple(found)


def _standing(alarm: Alarm, sensor: Channel, trace: Trace) -> Signal:
    """Whether the alarm stands, at each sample of the sensor; right on a trace that begins where the run began."""
    step_h: float = sensor.step_h  # type: ignore[assignment]
    first, owned = samples_before(trace.start_h, step_h), samples_before(trace.end_h, step_h)
    at_h = np.arange(first, max(owned, first + 1)) * step_h
    standing = np.zeros(len(at_h), bool)
    standing[: owned - first] = alarm.states(render(trace, sensor, first, owned - first), step_h)
    for begun_h, ended_h in alarm.nuisances(trace.seed, sensor.entity, trace.end_h):
        standing[np.searchsorted(at_h, begun_h) : np.searchsorted(at_h, ended_h)] = True
    changed = np.flatnonzero(np.diff(standing, prepend=~standing[:1]))
    return Signal.step(at_h[changed], standing[changed])


@compiled()
def _alarmed(values, limit, clear, readings):
    """Whether an alarm stands at each reading: from the last of so many in a row at *limit* or above, until one below
    *clear* or at it. A reading that is NaN changes nothing."""
    out = np.zeros(len(values), np.bool_)
    standing, above = False, 0
    for k in range(len(values)):
        value = values[k]
        if value == value:
            above = above + 1 if value >= limit else 0
            standing = value > clear if standing else above >= readings
        out[k] = standing
    return out
