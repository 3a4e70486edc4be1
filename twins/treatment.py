"""Patients with heart failure as their doctor sees them, a visit a sample, and what each plan would come to.

Research only, not for clinical use.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar

import numpy as np

from sim.errors import require
from sim.laws import Deterministic
from sim.patient import Care, Operate, Prescribe
from sim.patient.medicines import known
from sim.patient.state import Phase, State
from sim.trace import Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.futures.plans import Options
from twins.sensors.noise import Noise
from twins.sensors.render import render

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

    A plan begins at a visit: all stays as it was (the first), or one medicine of the policy goes to its full dose, or
    the patient is sent to one procedure of the policy; then nothing is changed for `horizon` visits. What it comes to
    is NT-proBNP without noise at those times. Where *dead* says as how much (pg/ml) a death counts, records go on
    after it for `horizon` visits with that alone; else the dead are left out.
    """

    world: Care
    horizon: int = 3  # visits that a plan covers
    weight: Noise = Noise(white=0.4, quantum=0.1)
    heart_rate: Noise = Noise(white=3.0, quantum=1.0)
    untested: float = 0.1  # chance that a visit has no result of one laboratory test; NT-proBNP is always measured
    dry_kg: float = 72.0
    dead: float | None = None
    epoch: str = "2025-01-01T00:00:00"

    revision: ClassVar[int] = 3

    def __post_init__(self):
        require(1 <= self.horizon <= 24, self, "horizon", "from 1 to 24 visits")
        require(0 <= self.untested < 1, self, "untested", "at least 0 and below 1")
        require(0 < self.dry_kg < 300, self, "dry_kg", "above 0 and below 300")
        require(self.dead is None or 1 < self.dead < 1e6, self, "dead", "above 1 and below 1e6 pg/ml, or null")
        require(self.world.policy is not None, self, "world", "one whose doctors decide by a policy")
        require(isinstance(self.world.visit, Deterministic), self, "world", "one whose visits are equally far apart")
        free = all(limit is None for limit in self.world.beds)
        require(free, self, "world", "one with beds for all, so that no patient's plan touches another's")
        start = self.world.prescribed("world.at_start", (0,) * len(self.world.formulary), self.world.at_start)
        for m in known("TreatmentTwin", self.medicines, self.world.formulary):
            self.world.prescribed("a plan of world.policy beside world.at_start", start, ((m.name, len(m.doses_mg)),))

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
        chances = [f"{m}_{p}" for m in self.medicines for p in CHANCES] + [f"{p}_p" for p in self.procedures]
        orders = (seen(f"{p}_ordered", "1", Role.ACTION, f"{p}_ordered") for p in self.procedures)
        recorded = (seen(q, "1", Role.TRUTH, q) for q in chances)
        return (patient, rate, weight, *labs, *doses, *orders, *hidden, *recorded)

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace = run.trace
        for name, patient in zip(self.world.names, run.state.patients, strict=True):
            who, times_h = patient.person, _visits(trace, name)
            seen = len(times_h)
            after_h = self._after_h(trace, name, times_h[-1]) if seen else [0.0]  # never seen: one sample, of nothing
            times_h = np.concatenate((times_h, after_h))
            series = []
            for c in self._of(name):
                values = np.full(len(times_h), np.nan, np.float32)
                values[:seen] = render(trace, c)
                if c.role is Role.TARGET and self.dead and seen:
                    values[seen:] = math.log(self.dead)
                elif c.role is Role.ACTION and seen:
                    values[seen:] = values[seen - 1]
                series.append(Series(*c.key, c.unit, c.role, values, times_h=times_h))
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

    def _after_h(self, trace: Trace, name: str, last_h: float) -> np.ndarray:
        """When visits would have been after a death, as far as a plan looks."""
        died_h = next((e.time_h for e in trace.events if e.entity == name and e.kind == "death"), None)
        if died_h is None or not self.dead:
            return np.empty(0)
        lived = math.floor((died_h - last_h) / self.every_h)  # visits missed in life, as in hospital: they stay untold
        after_h = last_h + self.every_h * np.arange(lived, lived + self.horizon + 2)
        return after_h[(after_h > died_h) & (after_h < trace.end_h)][: self.horizon]

    @property
    def procedures(self) -> tuple[str, ...]:
        return self.world.policy.procedures if self.world.policy else ()

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
        actions = len(self.medicines) + len(self.procedures)
        return 1 + actions, self.horizon, actions

    def options(self, state: State, asset: str) -> Options:
        """As they were; each medicine in turn at its full dose; and each procedure in turn."""
        patient = state.patients[self.world.names.index(asset)]
        now = dict(zip(self.world.medicines, patient.levels, strict=True))
        full = {m.name: len(m.doses_mg) for m in known("TreatmentTwin", self.medicines, self.world.formulary)}
        plans = [{m: now[m] for m in self.medicines}]
        plans += [plans[0] | {m: full[m]} for m in self.medicines]
        had = [float(p in patient.had) for p in self.procedures]
        rows = [[*(float(plan[m]) for m in self.medicines), *had] for plan in plans]
        orders: list[tuple[Any, ...]] = [(Prescribe(asset, tuple(plan.items())),) for plan in plans]
        for k, procedure in enumerate(self.procedures):
            rows.append([*rows[0][: len(self.medicines)], *had[:k], 1.0, *had[k + 1 :]])
            orders.append((*orders[0], *([] if had[k] else [Operate(asset, procedure)])))
        return Options(np.repeat(np.array(rows)[:, None], self.horizon, axis=1), tuple(orders))

    def outcome(self, trace: Trace, asset: str, times_h: np.ndarray) -> np.ndarray:
        """The logarithm of NT-proBNP; from death on what that counts as, or not a number, as from loss on.

        Nobody plans for who is dead or lost when the trace begins: all of it is not a number.
        """
        if trace[asset, "phase"].at(trace.start_h) in (Phase.DEAD, Phase.LOST):
            return np.full(len(times_h), np.nan)
        told = np.log(trace[asset, "nt_probnp"].at(times_h))
        for event in trace.events:
            if event.entity == asset and event.kind in ("death", "lost"):
                counts = math.log(self.dead) if self.dead and event.kind == "death" else math.nan
                told = np.where(times_h < event.time_h, told, counts)
        return told


def _visits(trace: Trace, name: str) -> np.ndarray:
    return np.array([e.time_h for e in trace.events if e.entity == name and e.kind == "visit"])


def _at_visits(name: str, read: Any, trace: Trace) -> Signal:
    times_h = _visits(trace, name)
    return Signal.step(times_h, read(trace, name, times_h) if callable(read) else trace[name, read].at(times_h))


def _ln_probnp(trace: Trace, name: str, times_h: np.ndarray) -> np.ndarray:
    return np.log(trace[name, "lab_nt_probnp"].at(times_h))


def _weight(dry_kg: float, trace: Trace, name: str, times_h: np.ndarray) -> np.ndarray:
    return dry_kg + trace[name, "vs_ml"].at(times_h) / 250
