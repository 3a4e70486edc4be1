"""Patients with heart failure as their record tells them: what they measure at home, visits and laboratory tests.

Research only, not for clinical use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from sim.errors import require
from sim.patient import Care, Phase
from sim.patient.risk import CAUSES
from sim.patient.state import LABS
from sim.streams import Streams
from sim.trace import Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.lives import spells
from twins.sensors.noise import Noise
from twins.sensors.render import render, samples_before

VITAL = (("heart_rate", "/min", "hr"), ("systolic_pressure", "mm[Hg]", "sbp"), ("weight", "kg", "vs_ml"))
UNITS = {"lab_sbp": "mm[Hg]", "lab_creatinine": "mg/dL", "lab_nt_probnp": "pg/mL", "lab_ef": "%"}
TRUTH = (("ef", "%"), ("pcwp", "mm[Hg]"), ("co", "L/min"), ("n", "1"), ("vs_ml", "mL"))
TIME = Signal.linear([0.0], [0.0], [1.0])  # every hour of a life counts


@dataclass(frozen=True)
class PatientTwin:
    """One episode is one patient; vital signs are taken at home every *step_h* hours, with noise of the devices.

    A vital sign is missing with odds that grow with PCWP, so that the sickest are seen least, and wherever the patient
    is not at home. Laboratory results come at the times of visits. Doses as prescribed are actions. Truth: the heart,
    the hazards and the chances of every decision. A life is a time at home: it fails of "decompensation",
    "infarction" or "death". Units are UCUM. Weight is that of fluid: 1 kg for 250 ml of stressed volume.
    """

    world: Care
    step_h: float = 24.0
    heart_rate: Noise = Noise(white=3.0, quantum=1.0)
    systolic_pressure: Noise = Noise(white=7.0, quantum=1.0)
    weight: Noise = Noise(white=0.4, drift=0.6, drift_knot_h=1440.0, quantum=0.1)
    missed: float = 0.15  # chance that a patient whose PCWP is 15 mmHg does not measure
    illness: float = 0.8  # by which the logit of it grows with 10 mmHg more
    untested: float = 0.1  # chance that a visit has no result of one laboratory test
    dry_kg: float = 72.0  # weight without any stressed volume
    epoch: str = "2025-01-01T00:00:00"

    revision: ClassVar[int] = 1

    def __post_init__(self):
        require(0 < self.step_h < math.inf, self, "step_h", "above 0")
        require(0 < self.missed < 1, self, "missed", "above 0 and below 1")
        require(0 <= self.untested < 1, self, "untested", "at least 0 and below 1")
        require(-10 <= self.illness <= 10, self, "illness", "between -10 and 10")
        require(0 < self.dry_kg < 300, self, "dry_kg", "above 0 and below 300")

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(channel for name in self.world.names for channel in self._of(name))

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace = run.trace
        for name, patient in zip(self.world.names, run.state.patients, strict=True):
            series = []
            for c in self._of(name):
                times_h = None if c.step_h else c.reading(trace).time_h
                series.append(Series(*c.key, c.unit, c.role, render(trace, c), step_h=c.step_h, times_h=times_h))
            who = patient.person
            yield Episode(
                run=trace.seed,
                asset=name,
                series=tuple(series),
                events=tuple(event for event in trace.events if event.entity == name),
                spells=tuple(spells(trace, name, TIME)),
                static={"age": who.age, "male": float(who.male)},
                truth={"frailty": who.frailty},
                epoch=self.epoch,
                end_h=trace.end_h,
            )

    def _of(self, name: str) -> tuple[Channel, ...]:
        def plain(quantity: str, unit: str, role: Role) -> Channel:
            return Channel(name, quantity, unit, role, partial(_signal, name, quantity), self.step_h)

        taken = [
            Channel(name, q, unit, Role.TARGET, partial(self._taken, name, read), self.step_h, getattr(self, q))
            for q, unit, read in VITAL
        ]
        noise = Noise(dropout=self.untested)
        labs = [Channel(name, q, UNITS[q], Role.PAST, partial(_at_visits, name, q), noise=noise) for q in LABS]
        doses = [plain(f"{medicine}_level", "1", Role.ACTION) for medicine in self.world.medicines]
        hidden = [plain(q, unit, Role.TRUTH) for q, unit in TRUTH]
        hidden += [plain(f"hazard_{cause}", "/h", Role.TRUTH) for cause in CAUSES]
        decided = self.world.policy.medicines if self.world.policy else ()
        chances = [plain(f"{m}_{p}", "1", Role.TRUTH) for m in decided for p in ("p_down", "p_keep", "p_up")]
        return (*taken, *labs, *doses, plain("phase", "1", Role.TRUTH), *hidden, *chances)

    def _taken(self, name: str, quantity: str, trace: Trace) -> Signal:
        """What a device would read without noise at each sample of the trace; not a number where nobody measured."""
        signal = trace[name, quantity]
        first = samples_before(max(trace.start_h, float(signal.time_h[0])), self.step_h)
        last = max(samples_before(trace.end_h, self.step_h), first + 1)
        at_h = np.arange(first, last) * self.step_h
        values = signal.at(at_h)
        if quantity == "vs_ml":
            values = self.dry_kg + values / 250
        lazy = math.log(self.missed / (1 - self.missed)) + self.illness * (trace[name, "pcwp"].at(at_h) - 15) / 10
        coin = np.asarray(Streams.uniforms(trace.seed, f"measures/{name}", last))[first:]  # one a day for all devices
        absent = (coin < 1 / (1 + np.exp(-lazy))) | (trace[name, "phase"].at(at_h) != Phase.HOME)
        return Signal.step(at_h, np.where(absent, np.nan, values))


def _signal(name: str, quantity: str, trace: Trace) -> Signal:
    return trace[name, quantity]


def _at_visits(name: str, quantity: str, trace: Trace) -> Signal:
    """The results of this trace's visits."""
    times_h = np.array([e.time_h for e in trace.events if e.entity == name and e.kind == "visit"])
    return Signal.step(times_h, trace[name, quantity].at(times_h))
