"""Tumours that grow, are treated and end, a day at a time. Research only, not for clinical use.

V[t+1] = V[t] · (1 + ρ ln(K/V[t]) − βc·C[t] − (α·d[t] + β·d[t]²) + ε), ε normal, C the concentration of chemotherapy
and d the dose of radiation of the day. Each treatment is given by a coin of its own with
P = σ(γ/13 · (mean diameter of the days before − 6.5)), the diameters in cm: sicker patients are treated more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import ClassVar, NamedTuple

from scipy.special import ndtri

from sim.compiled import compiled
from sim.errors import InputError, require
from sim.kernel import Deadline, Kernel
from sim.laws import UNIT
from sim.streams import Streams
from sim.trace import Event, Run, Trace, steps
from sim.tumour.population import Body, Population, volume_cm3

DAY_H = 24.0
COINS = ("noise", "recovery", "chemo", "radio")  # streams of a patient of which a day takes one draw each
BODY = ("pair", "single")
CELLS_PER_CM3 = 5.8e8
QUANTITIES = ("volume", "chemo", "chemo_dose", "radio_dose", "chemo_propensity", "radio_propensity", "phase")


class Phase(IntEnum):
    """The codes of the `phase` signal."""

    ILL = 0
    RECOVERED = 1
    DEAD = 2


@compiled()
def diameter_cm(volume: float) -> float:
    """Of a sphere of *volume* cm³."""
    return (6.0 / math.pi * volume) ** (1.0 / 3.0)


@compiled()
def grown(
    volume: float, alpha: float, beta: float, rho: float, beta_c: float, capacity: float, chemo: float, gray: float
) -> float:
    """The factor by which a tumour changes in a day, but for the noise."""
    return 1.0 + rho * math.log(capacity / volume) - beta_c * chemo - (alpha * gray + beta * gray * gray)


@compiled()
def propensity(gamma: float, total_cm: float, count: float, full_cm: float) -> float:
    """The chance of a treatment after *count* days whose diameters add up to *total_cm*."""
    return 1.0 / (1.0 + math.exp(-gamma / full_cm * (total_cm / count - full_cm / 2.0)))


@compiled()
def recovers(volume: float, cells_per_cm3: float) -> float:
    """The chance that no cell of *volume* is left."""
    return math.exp(-cells_per_cm3 * volume)


@dataclass(frozen=True)
class Treat:
    """Action: the patient's next decisions are these, (chemotherapy, radiotherapy) each; none gives them back.

    A plan that is there at 0 h begins on day 0, on which nobody is treated otherwise.
    """

    patient: str
    plan: tuple[tuple[bool, bool], ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "plan", tuple((bool(c), bool(r)) for c, r in self.plan))


class Patient(NamedTuple):
    """One patient as of the latest day."""

    body: Body
    day: int
    phase: Phase
    volume: float  # cm³
    chemo: float  # concentration, in doses' own unit
    chemo_dose: float  # what was given today
    radio_dose: float  # Gy
    chemo_propensity: float
    radio_propensity: float
    diameters_cm: tuple[float, ...]  # of the days before today, as many as the window holds
    plan: tuple[tuple[bool, bool], ...] = ()  # decisions to come that are forced

    @property
    def values(self) -> tuple[float, ...]:
        return (*self[3:9], float(self.phase))


@dataclass
class State:
    """All patients at `time_h`, before what is due at that very time."""

    seed: int
    time_h: float
    streams: Streams
    patients: list[Patient]
    changed_h: list[float]  # when each patient's signals have their latest breakpoint
    actions: list[Treat] = field(default_factory=list)  # to be carried out first by the next run that takes any time


@dataclass(frozen=True)
class Tumour:
    """Patients with a lung tumour whose treatment depends on its size, for research only, not for clinical use.

    Signals of each patient `p1`, `p2` …, all steps with a breakpoint a day: `volume` (cm³), `chemo` (concentration),
    `chemo_dose`, `radio_dose` (Gy), `chemo_propensity`, `radio_propensity` (the chance that this day's decision had;
    0 on day 0, on which nobody is treated), `phase`. Events: `recovered`, `dead`, `action`. Treatment of day t acts on
    the volume of day t + 1; the noise of a day is the same whatever was given. Implements World.
    """

    patients: int = 1
    gamma: float = 0.0  # confounding
    chance: float | None = None  # of each treatment a day, whatever the size; None: by the size
    population: Population = Population()
    noise_sd: float = 0.01  # of a day's growth
    window: int = 15  # days whose diameters decide
    capacity_cm: float = 30.0  # diameter at which growth ends
    death_cm: float = 13.0
    chemo_dose: float = 5.0
    half_life_h: float = 24.0
    radio_dose_gy: float = 2.0
    cells_per_cm3: float = CELLS_PER_CM3
    revision: ClassVar[int] = 2

    def __post_init__(self):
        require(self.patients >= 1, self, "patients", "at least 1")
        require(0 <= self.gamma <= 100, self, "gamma", "between 0 and 100")
        require(self.chance is None or 0 <= self.chance <= 1, self, "chance", "a probability, or null")
        require(0 <= self.noise_sd < 0.2, self, "noise_sd", "at least 0 and below 0.2")
        require(self.window >= 1, self, "window", "at least 1 day")
        require(0 < self.death_cm < math.inf, self, "death_cm", "above 0 and finite")
        require(self.death_cm < self.capacity_cm < math.inf, self, "capacity_cm", "above death_cm and finite")
        require(0 < self.half_life_h < math.inf, self, "half_life_h", "above 0 and finite")
        for name in ("chemo_dose", "radio_dose_gy", "cells_per_cm3"):
            require(0 <= getattr(self, name) < math.inf, self, name, "at least 0 and finite")
        most = max(stage.most_cm for stage in self.population.stages if stage.count)
        require(most <= self.death_cm, self, "death_cm", f"at least {most:g}, the largest diameter at the start")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"p{i + 1}" for i in range(self.patients))

    @property
    def death_cm3(self) -> float:
        return volume_cm3(self.death_cm)

    @property
    def capacity_cm3(self) -> float:
        return volume_cm3(self.capacity_cm)

    @property
    def left_a_day(self) -> float:
        """Share of a concentration that is left after a day."""
        return 0.5 ** (DAY_H / self.half_life_h)

    def born(self, streams: Streams, name: str) -> Body:
        pair, single = (streams[f"{name}/{part}"] for part in BODY)
        return self.population.draw(lambda: pair.draw(UNIT), lambda: single.draw(UNIT))[0]

    def start(self, seed: int) -> State:
        streams = Streams(seed, (f"{name}/{part}" for name in self.names for part in (*BODY, *COINS)))
        patients = []
        for name in self.names:
            body = self.born(streams, name)
            patients.append(Patient(body, 0, Phase.ILL, body.volume_cm3, 0.0, 0.0, 0.0, 0.0, 0.0, ()))
        return State(seed, 0.0, streams, patients, [0.0] * self.patients)

    def act(self, state: State, action: Treat) -> State:
        if not isinstance(action, Treat) or action.patient not in self.names:
            raise InputError(f"the action is {action!r}; Tumour takes Treat of p1 to p{self.patients}")
        s = _copy(state)
        s.actions.append(action)
        return s

    def resample(self, state: State, seed: int) -> State:
        """Noise and coins to come are drawn anew. What a patient is, α and all, is the true state and stays."""
        s = _copy(state)
        s.seed, s.streams = seed, state.streams.rekeyed(seed)
        return s

    def run(self, state: State, until_h: float) -> Run:
        if not state.time_h <= until_h < math.inf:
            raise InputError(f"cannot run to {until_h} h patients who are at {state.time_h} h")
        s, kernel, events = _copy(state), Kernel(state.time_h), []
        points = [[(at_h, *p.values)] for at_h, p in zip(s.changed_h, s.patients, strict=True)]
        names = self.names

        def day(deadline: Deadline, i: int) -> None:
            p = s.patients[i] = self._next(s.patients[i], s.streams, names[i])
            s.changed_h[i] = kernel.now
            points[i].append((kernel.now, *p.values))
            if p.phase is Phase.ILL:
                deadline.set((p.day + 1) * DAY_H)
            else:
                events.append(Event(kernel.now, names[i], p.phase.name.lower()))

        for i, p in enumerate(s.patients):
            if p.phase is Phase.ILL:
                kernel.at((p.day + 1) * DAY_H, i, lambda deadline, i=i: day(deadline, i))
        if until_h > s.time_h:
            for action in s.actions:
                i = names.index(action.patient)
                said = " ".join(
                    "+".join(n for n, on in zip("cr", both, strict=True) if on) or "-" for both in action.plan
                )
                events.append(Event(s.time_h, action.patient, "action", f"Treat {said}".strip()))
                p = s.patients[i] = s.patients[i]._replace(plan=action.plan)
                if s.time_h == 0 and p.plan:
                    (chemo, radio), *rest = p.plan
                    dose, gray = self.chemo_dose * chemo, self.radio_dose_gy * radio
                    s.patients[i] = p._replace(chemo=dose, chemo_dose=dose, radio_dose=gray, plan=tuple(rest))
                    points[i].append((0.0, *s.patients[i].values))
            s.actions.clear()
        kernel.run_to(until_h)
        s.time_h = until_h
        columns: list[tuple[Sequence[float], Sequence[float]]] = []
        for mine in points:
            times, *rest = zip(*mine, strict=True)
            columns += [(times, values) for values in rest]
        keys = ((name, quantity) for name in names for quantity in QUANTITIES)
        return Run(Trace(s.seed, state.time_h, until_h, steps(keys, columns), tuple(events)), s)

    def _next(self, p: Patient, streams: Streams, name: str) -> Patient:
        """The next day: what was given has acted, the patient may have ended, and is treated if not."""
        noise, recovery, *coins = (streams[f"{name}/{part}"].draw(UNIT) for part in COINS)
        b = p.body
        change = grown(p.volume, b.alpha, b.beta, b.rho, b.beta_c, self.capacity_cm3, p.chemo, p.radio_dose)
        volume = p.volume * (change + self.noise_sd * float(ndtri(noise)))
        faded = p.chemo * self.left_a_day
        if volume > self.death_cm3 or volume <= 0 or recovery < recovers(volume, self.cells_per_cm3):
            phase = Phase.DEAD if volume > self.death_cm3 else Phase.RECOVERED
            volume = self.death_cm3 if phase is Phase.DEAD else 0.0
            return Patient(b, p.day + 1, phase, volume, faded, 0.0, 0.0, 0.0, 0.0, ())
        before_cm = (*p.diameters_cm, diameter_cm(p.volume))[-self.window :]
        total_cm = 0.0
        for one_cm in before_cm:
            total_cm += one_cm
        chance = self.chance
        if chance is None:
            chance = propensity(self.gamma, total_cm, float(len(before_cm)), self.death_cm)
        given = p.plan[0] if p.plan else tuple(coin < chance for coin in coins)
        dose, gray = self.chemo_dose * given[0], self.radio_dose_gy * given[1]
        return Patient(b, p.day + 1, Phase.ILL, volume, faded + dose, dose, gray, chance, chance, before_cm, p.plan[1:])


def _copy(state: State) -> State:
    return replace(
        state,
        streams=state.streams.copy(),
        patients=state.patients[:],
        changed_h=state.changed_h[:],
        actions=state.actions[:],
    )
