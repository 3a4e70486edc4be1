"""Patients with a lung tumour as their records tell it, a day a sample; and behind it what other treatment would have
come to. Research only, not for clinical use."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import numpy as np

from sim.errors import require
from sim.streams import Streams
from sim.trace import Run, Signal, Trace
from sim.tumour import DAY_H, Patient, Phase, Tumour
from sim.tumour.cohort import draws, outcomes
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.sensors.render import render, samples_before

SEEN = (("volume", "cm3", Role.TARGET), ("chemo_dose", "1", Role.ACTION), ("radio_dose", "Gy", Role.ACTION))
HIDDEN = (("chemo", "1"), ("chemo_propensity", "1"), ("radio_propensity", "1"))
PLAN, OUTCOME, EXPECTED = "plan", "outcome", "expected"


@dataclass(frozen=True)
class TumourTwin:
    """A patient a day, as the record tells volume, doses and kind: research only, not for clinical use.

    Sample t of a dose is given after sample t of the volume is read and acts on sample t + 1. A record ends with the
    patient's last day, and says for `horizon` − 1 days more that nothing changed. Truth: concentration, propensities,
    and frames of each day, but the last, on which a patient was ill: S plans of H days that could have begun on it.
    `plan` (S, H, 2) are the doses of chemotherapy and radiotherapy, `outcome` (S, H) the volumes of the H days after,
    with the noise that there was, and `expected` (S, H) the same without noise, from the patient's own parameters.
    """

    world: Tumour
    horizon: int = 1  # days that a plan covers
    plans: Literal["all", "random", "sliding"] = "all"  # sliding: one treatment on one day, nothing else
    count: int = 2  # of random plans a day
    epoch: str = "2025-01-01T00:00:00"

    revision: ClassVar[int] = 1

    def __post_init__(self):
        most = 3 if self.plans == "all" else 60
        require(1 <= self.horizon <= most, self, "horizon", f"from 1 to {most} days where plans are {self.plans}")
        require(self.plans in ("all", "random", "sliding"), self, "plans", "'all', 'random' or 'sliding'")
        require(1 <= self.count <= 64, self, "count", "from 1 to 64")

    @property
    def channels(self) -> Sequence[Channel]:
        return tuple(c for name in self.world.names for c in (*self._seen(name), *self._hidden(name)))

    def _seen(self, name: str) -> tuple[Channel, ...]:
        return tuple(Channel(name, q, u, role, partial(_signal, name, q), DAY_H, memory=False) for q, u, role in SEEN)

    def _hidden(self, name: str) -> tuple[Channel, ...]:
        return tuple(Channel(name, q, u, Role.TRUTH, partial(_signal, name, q), DAY_H, memory=False) for q, u in HIDDEN)

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace, days = run.trace, samples_before(run.trace.end_h, DAY_H)
        for name, patient in zip(self.world.names, run.state.patients, strict=True):
            ended = patient.phase is not Phase.ILL
            kept = min(patient.day + self.horizon, days) if ended else days
            channels = (*self._seen(name), *self._hidden(name))
            series = [
                Series(*c.key, c.unit, c.role, render(trace, c, 0, kept).astype(np.float32), step_h=DAY_H)
                for c in channels
            ]
            kind = np.full(kept, patient.body.kind, np.float32)
            series.append(Series(name, "kind", "1", Role.STATIC, kind, step_h=DAY_H))
            series += self._branches(trace, name, patient, kept, days)
            yield Episode(
                run=trace.seed,
                asset=name,
                series=tuple(series),
                events=tuple(event for event in trace.events if event.entity == name),
                static={"kind": float(patient.body.kind), "stage": patient.body.stage},
                truth=dict(zip(("alpha", "beta", "rho", "beta_c"), patient.body[3:], strict=True)),
                epoch=self.epoch,
                end_h=trace.end_h,
            )

    def _branches(self, trace: Trace, name: str, patient: Patient, kept: int, days: int) -> Iterator[Series]:
        """What each plan of each day comes to: frames, NaN on days on which no plan begins."""
        h, world = self.horizon, self.world
        last = patient.day if patient.phase is not Phase.ILL else days - 1  # the first day on which none begins
        volume, chemo = (trace[name, quantity].at(np.arange(days) * DAY_H) for quantity in ("volume", "chemo"))
        lived = draws(trace.seed, name, days + h)
        still = (np.zeros(h), np.ones(h))
        told = {PLAN: (h, 2), OUTCOME: (h,), EXPECTED: (h,)}
        found: dict[str, np.ndarray] = {}
        for day, plan in zip(range(last), self._plans(trace.seed, name, last), strict=False):
            if not found:
                found = {q: np.full((kept, len(plan), *shape), np.nan, np.float32) for q, shape in told.items()}
            mine = (world, patient.body, volume[day], chemo[day - 1] if day else 0.0)
            found[PLAN][day] = plan * (world.chemo_dose, world.radio_dose_gy)
            found[OUTCOME][day] = outcomes(*mine, (lived[0][day : day + h], lived[1][day : day + h]), plan)
            found[EXPECTED][day] = outcomes(*mine, still, plan)
        if not found:
            count = len(next(self._plans(trace.seed, name, 1)))
            found = {q: np.full((kept, count, *shape), np.nan, np.float32) for q, shape in told.items()}
        for quantity, frames in found.items():
            unit = "1" if quantity == PLAN else "cm3"
            yield Series(name, quantity, unit, Role.TRUTH, frames, step_h=DAY_H)

    def _plans(self, seed: int, name: str, days: int) -> Iterator[np.ndarray]:
        """The plans of *days* days from day 0 on: float64[S, H, 2], 1 where a treatment is given."""
        h = self.horizon
        if self.plans == "random":
            size = self.count * h * 2
            uniform = np.asarray(Streams.uniforms(seed, f"{name}/plan", size * days))
            yield from (uniform.reshape(-1, self.count, h, 2) > 0.5).astype(np.float64)
            return
        if self.plans == "all":
            whole = np.array(list(itertools.product((0.0, 1.0), repeat=2 * h))).reshape(-1, h, 2)
        else:
            whole = np.zeros((2 * h, h, 2))
            whole[np.arange(h), np.arange(h), 0] = whole[h + np.arange(h), np.arange(h), 1] = 1.0
        yield from itertools.repeat(whole)


def _signal(entity: str, quantity: str, trace: Trace) -> Signal:
    return trace[entity, quantity]
