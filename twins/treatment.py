"""Patients with heart failure as their doctor sees them, a visit a sample, and what each plan would come to.

Research only, not for clinical use.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from sim.errors import require
from sim.laws import Deterministic
from sim.patient import Care, Prescribe
from sim.patient.medicines import known
from sim.patient.state import State
from sim.trace import Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.noise import Noise
from twins.plans import Options
from twins.render import render

TARGET = "ln_nt_probnp"
CLEAR = Noise()
CHANCES = ("p_down", "p_keep", "p_up")
LABS = (("lab_sbp", "mm[Hg]"), ("lab_creatinine", "mg/dL"), ("lab_ef", "%"))


@dataclass(frozen=True)
class TreatmentTwin:
    """A patient a visit: research only, not for clinical use.

    Sample k is visit k. Its results are read, then doses are decided, which the patient takes until the next visit; a
    patient who is in hospital misses a visit, and the record tells nothing of it. Target: the logarithm of NT-proBNP
    (pg/ml) as measured. Truth: the chances of every decision, the heart.

    A plan begins at a visit: all doses stay as they were (the first), or one medicine of the policy goes to its full
    dose; then nothing is changed for `horizon` visits. What it comes to is NT-proBNP without noise at those times.
    """

    world: Care
    horizon: int = 3  # visits that a plan covers
    weight: Noise = Noise(white=0.4, quantum=0.1)
    heart_rate: Noise = Noise(white=3.0, quantum=1.0)
    untested: float = 0.1  # chance that a visit has no result of one laboratory test; NT-proBNP is always measured
    dry_kg: float = 72.0
    epoch: str = "2025-01-01T00:00:00"

    revision: ClassVar[int] = 1

    def __post_init__(self):
        require(1 <= self.horizon <= 24, self, "horizon", "from 1 to 24 visits")
        require(0 <= self.untested < 1, self, "untested", "at least 0 and below 1")
        require(0 < self.dry_kg < 300, self, "dry_kg", "above 0 and below 300")
        require(self.world.policy is not None, self, "world", "one whose doctors decide by a policy")
        require(isinstance(self.world.visit, Deterministic), self, "world", "one whose visits are equally far apart")
        free = all(limit is None for limit in self.world.beds)
        require(free, self, "world", "one with beds for all, so that no patient's plan touches another's")

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(channel for name in self.world.names for channel in self._of(name))

    def _of(self, name: str) -> tuple[Channel, ...]:
        def seen(quantity: str, unit: str, role: Role, read: Any, noise: Noise = CLEAR) -> Channel:
            return Channel(name, quantity, unit, role, partial(_at_visits, name, read), noise=noise)

        gap = Noise(dropout=self.untested)
        patient = seen(TARGET, "1", Role.TARGET, _ln_probnp)
        rate = seen("heart_rate", "/min", Role.PAST, "hr", self.heart_rate)
        weight = seen("weight", "kg", Role.PAST, partial(_weight, self.dry_kg), self.weight)
        labs = (seen(q, unit, Role.PAST, q, gap) for q, unit in LABS)
        doses = (seen(f"{m}_level", "1", Role.ACTION, f"{m}_level") for m in self.medicines)
        hidden = (seen(q, "1", Role.TRUTH, q) for q in ("ef", "pcwp", "n"))
        chances = (seen(f"{m}_{p}", "1", Role.TRUTH, f"{m}_{p}") for m in self.medicines for p in CHANCES)
        return (patient, rate, weight, *labs, *doses, *hidden, *chances)

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace = run.trace
        for name, patient in zip(self.world.names, run.state.patients, strict=True):
            times_h = _visits(trace, name)
            if not len(times_h):
                continue
            who = patient.person
            series = [Series(*c.key, c.unit, c.role, render(trace, c), times_h=times_h) for c in self._of(name)]
            for quantity, value in (("age", who.age), ("male", float(who.male))):
                told = np.full(len(times_h), value, np.float32)
                series.append(Series(name, quantity, "1", Role.STATIC, told, times_h=times_h))
            yield Episode(
                run=trace.seed,
                asset=name,
                series=tuple(series),
                events=tuple(event for event in trace.events if event.entity == name),
                static={"age": who.age, "male": float(who.male)},
                truth={"frailty": who.frailty},
                epoch=self.epoch,
                end_h=trace.end_h,
            )

    @property
    def medicines(self) -> tuple[str, ...]:
        return self.world.policy.medicines if self.world.policy else ()

    @cached_property
    def held(self) -> Care:
        return replace(self.world, policy=None)

    @property
    def every_h(self) -> float:
        return self.world.visit.mean_h

    @property
    def shape(self) -> tuple[int, int, int]:
        return 1 + len(self.medicines), self.horizon, len(self.medicines)

    def options(self, state: State, asset: str) -> Options:
        """As they were; and each medicine in turn at its full dose."""
        now = dict(zip(self.world.medicines, state.patients[self.world.names.index(asset)].levels, strict=True))
        full = {m.name: len(m.doses_mg) for m in known("TreatmentTwin", self.medicines, self.world.formulary)}
        plans = [{m: now[m] for m in self.medicines}]
        plans += [plans[0] | {m: full[m]} for m in self.medicines]
        levels = np.array([[plan[m] for m in self.medicines] for plan in plans], np.float64)
        orders = tuple(Prescribe(asset, tuple(plan.items())) for plan in plans)
        return Options(np.repeat(levels[:, None], self.horizon, axis=1), orders)

    def outcome(self, trace: Trace, asset: str, times_h: np.ndarray) -> np.ndarray:
        """The logarithm of NT-proBNP; not a number from death or loss on."""
        end_h = min(
            (e.time_h for e in trace.events if e.entity == asset and e.kind in ("death", "lost")), default=np.inf
        )
        return np.where(times_h < end_h, np.log(trace[asset, "nt_probnp"].at(times_h)), np.nan)


def _visits(trace: Trace, name: str) -> np.ndarray:
    return np.array([e.time_h for e in trace.events if e.entity == name and e.kind == "visit"])


def _at_visits(name: str, read: Any, trace: Trace) -> Signal:
    times_h = _visits(trace, name)
    return Signal.step(times_h, read(trace, name, times_h) if callable(read) else trace[name, read].at(times_h))


def _ln_probnp(trace: Trace, name: str, times_h: np.ndarray) -> np.ndarray:
    return np.log(trace[name, "lab_nt_probnp"].at(times_h))


def _weight(dry_kg: float, trace: Trace, name: str, times_h: np.ndarray) -> np.ndarray:
    return dry_kg + trace[name, "vs_ml"].at(times_h) / 250
