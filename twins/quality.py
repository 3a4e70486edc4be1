"""The twin of an inspected line: of each part its verdict, what the machines' sensors read while it was worked, and a
picture of it; and, where there are pickups, how the machines sounded."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar

import numpy as np

from sim.errors import require
from sim.line import Phase
from sim.quality import Inspected
from sim.trace import Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.line import LineSensors
from twins.machines import operating_age
from twins.sensors.camera import Camera, Inspections
from twins.sensors.noise import Noise
from twins.sensors.render import render
from twins.sensors.sound import Pickup

CHANCE, WEAR_CHANCE = "defect_chance", "defect_chance_of_wear"


@dataclass(frozen=True)
class QualityTwin:
    """An inspected line seen part by part, in the order of inspection; one episode is one world run.

    What a machine's sensors read is put down once a part, over the operation on it. A reworked part keeps the readings
    of its first way through the line. Truth beside the marks' places: whether the part is defective, the chance of it
    given its marks and all verdicts (which is all that can be known), and given the machines' wear and the verdict.
    """

    world: Inspected
    camera: Camera | None = None  # None: of the world's station, as it comes
    pictures: bool = True
    pickups: tuple[Pickup, ...] = ()  # each records, of every part, how its machine sounded while the part was worked
    sensors: LineSensors = field(default_factory=LineSensors)
    epoch: str = "2025-01-01T00:00:00"

    revision: ClassVar[int] = 1

    def __post_init__(self):
        if self.camera is None:
            object.__setattr__(self, "camera", Camera(self.world.station))
        same = self.camera is not None and self.camera.station == self.world.station
        require(same, self, "camera", f"one over the station that inspects, {self.world.station}")
        object.__setattr__(self, "pickups", tuple(self.pickups))
        heard = [pickup.machine for pickup in self.pickups]
        ok = len(set(heard)) == len(heard) and set(heard) <= set(self.world.marking)
        require(ok, self, "pickups", f"each on another machine that marks parts, {', '.join(self.world.marking)}")

    @property
    def channels(self) -> tuple[Channel, ...]:
        q, s = self.world.station, self.sensors
        about = [
            Channel(q, name, "1", role, partial(_recorded, q, name))
            for name, role in (("verdict", Role.PAST), ("pass", Role.PAST), ("defective", Role.TRUTH))
        ]
        about.append(Channel(q, CHANCE, "1", Role.TRUTH, partial(_chance, self.world)))
        about.append(Channel(q, WEAR_CHANCE, "1", Role.TRUTH, partial(_chance_of_wear, self.world)))
        for m in self.world.marking:
            load = self.world.line.station_of(m).load
            for quantity, unit, reading, noise in (
                ("vibration_low", "mm2/s2", s.low, s.vibration_low),
                ("vibration_high", "mm2/s2", s.high, s.vibration_high),
                ("motor_current", "A", s.current, s.motor_current),
                ("acoustic_level", "dB", s.level, s.acoustic_level),
            ):
                read = partial(_while_worked, q, m, reading, load)
                about.append(Channel(m, quantity, unit, Role.PAST, read, noise=_each_part(noise)))
            about.append(Channel(m, "operating_age", "h", Role.PAST, partial(_age_when_worked, q, m)))
            about.append(Channel(m, "wear", "1", Role.TRUTH, partial(_recorded, q, f"{m} wear")))
        return tuple(about)

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace, camera = run.trace, self.camera
        times_h = Inspections.of(trace, self.world.station).time_h
        series = [Series(*c.key, c.unit, c.role, render(trace, c), times_h=times_h) for c in self.channels]
        if self.pictures and camera is not None:
            shots, station = camera.shoot(trace), camera.station
            marks = shots.marks_NxPxP.astype(np.float32)
            series.append(Series(station, "picture", "1", Role.PAST, shots.pictures_NxPxP, times_h=times_h))
            series.append(Series(station, "marks", "1", Role.TRUTH, marks, times_h=times_h))
        for pickup in self.pickups:
            done_h = _recorded(self.world.station, f"{pickup.machine} worked", trace).value
            wave_NxS = pickup.record(trace, done_h, self.world.line.station_of(pickup.machine).load)
            series.append(Series(pickup.machine, "waveform", "mm/s", Role.PAST, wave_NxS, times_h=times_h))
        ended = ("passed", "rework", "scrap", "defect")
        yield Episode(
            run=trace.seed,
            asset=self.world.station,
            series=tuple(series),
            events=tuple(event for event in trace.events if event.kind in ended),
            static={"misses": self.world.misses, "false_alarms": self.world.false_alarms},
            epoch=self.epoch,
            end_h=trace.end_h,
        )


def _each_part(noise: Noise) -> Noise:
    """A sensor's noise from part to part: what wanders slowly is drawn anew for each."""
    return replace(noise, white=math.hypot(noise.white, noise.autocorrelated), autocorrelated=0.0, drift=0.0)


def _recorded(station: str, quantity: str, trace: Trace) -> Signal:
    """What was put down at the inspections of this trace; its first segment is of one before it, or of none."""
    signal = trace[station, quantity]
    return Signal.step(signal.time_h[1:], signal.value[1:])


def _columns(world: Inspected, names: Sequence[str], trace: Trace) -> np.ndarray:
    return np.stack([_recorded(world.station, name, trace).value for name in names], axis=1)


def _chance(world: Inspected, trace: Trace) -> Signal:
    verdict = _recorded(world.station, "verdict", trace)
    severity_NxF = _columns(world, [f"{flaw.machine} {flaw.kind}" for flaw in world.flaws], trace)
    return Signal.step(verdict.time_h, world.given_verdict(world.chance(severity_NxF), verdict.value))


def _chance_of_wear(world: Inspected, trace: Trace) -> Signal:
    verdict = _recorded(world.station, "verdict", trace)
    wear_NxM = _columns(world, [f"{machine} wear" for machine in world.marking], trace)
    return Signal.step(verdict.time_h, world.given_verdict(world.chance_of_wear(wear_NxM), verdict.value))


def _while_worked(station: str, machine: str, reading, load: float, trace: Trace) -> Signal:
    worked = _recorded(station, f"{machine} worked", trace)
    speed, wear = (trace[machine, quantity].at(worked.value) for quantity in ("speed", "wear"))
    phase = np.full(len(wear), float(Phase.WORKING))
    return Signal.step(worked.time_h, reading(load, phase, speed, wear))


def _age_when_worked(station: str, machine: str, trace: Trace) -> Signal:
    worked = _recorded(station, f"{machine} worked", trace)
    return Signal.step(worked.time_h, operating_age(machine, trace).at(worked.value))
