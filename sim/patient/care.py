"""Patients with heart failure in care, a world. Research only, not for clinical use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from scipy.special import ndtri

from sim.errors import InputError, require
from sim.laws import UNIT, Law, Lognormal, Residual
from sim.patient import disease, orbit, process
from sim.patient.disease import ACTS, Slow, body_of, healthy_stress, outputs
from sim.patient.medicines import FORMULARY, Medicine, Policy, Prescribe, at_levels, conflict, known
from sim.patient.pharmacology import Body
from sim.patient.population import REDUCED, Population
from sim.patient.procedures import PROCEDURES, Operate, Procedure, named
from sim.patient.risk import CAUSES, Clock, Risk
from sim.patient.state import LABS, STREAMS, UNITS, Patient, Person, State
from sim.streams import Streams
from sim.trace import Run


@dataclass(frozen=True)
class Care:
    """Patients with heart failure, their doctors and one hospital. Research only, not for clinical use.

    Each patient `p1`, `p2` … has signals that are steps, of DAILY (a breakpoint at each midnight and at each event that
    changes the heart), RISKS (at each change of a hazard), and at each visit LABS and, for each medicine, MOVED: the
    level, and the chances that the decision's three actions had; for each procedure ORDERED. Units of the hospital have
    `occupied` and `waiting`.
    Events: visit, missed (a dose), decompensation, infarction, admission, wait, bed, discharge, death (cause: cardiac,
    other, pump, operation), lost, action, procedure (done), cancelled (who was to be operated was not at home, or had
    had it); and of lives at home `failure` (decompensation, infarction, death), `planned` (lost, or taken to a
    procedure: the life is cut) and `renewal` (discharge). Implements World.
    """

    patients: int = 20
    population: Population = REDUCED
    slow: Slow = Slow()
    risk: Risk = Risk()
    formulary: tuple[Medicine, ...] = FORMULARY
    policy: Policy | None = Policy()  # none: doses change by actions alone
    at_start: tuple[tuple[str, int], ...] = ()  # levels of medicines that all patients start with
    adherence: float = 0.9  # chance that a dose is taken
    visit: Law = Lognormal(90 * 24.0, 0.3)  # between visits
    beds: tuple[int | None, ...] = (4, 8, 2, 1)  # of UNITS; none: without limit
    stay: tuple[Law, ...] = (Lognormal(6.0, 0.6), Lognormal(120.0, 0.7), Lognormal(60.0, 0.7), Lognormal(3.0, 0.4))
    procedures: tuple[Procedure, ...] = PROCEDURES
    icu: float = 0.2  # chance that a decompensation goes through it
    age: tuple[float, float] = (68.0, 10.0)  # mean and standard deviation, years; none below 18 or above 100
    lab_cv: float = 0.1  # of a laboratory result
    revision: ClassVar[int] = 6

    def __post_init__(self):
        for name in ("formulary", "beds", "stay", "age", "procedures"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        at_levels(self, "at_start")
        require(self.patients >= 1, self, "patients", "at least 1")
        require(0 <= self.adherence <= 1, self, "adherence", "between 0 and 1")
        require(0 <= self.icu <= 1, self, "icu", "between 0 and 1")
        require(0 <= self.lab_cv <= 1, self, "lab_cv", "between 0 and 1")
        require(len(self.beds) == len(self.stay) == len(UNITS), self, "beds", f"of {', '.join(UNITS)}, as is stay")
        require(
            all(n is None or n >= 1 for n in self.beds), self, "beds", "at least 1 in each unit, or none for no limit"
        )
        require(18 <= self.age[0] <= 100 and 0 <= self.age[1] <= 30, self, "age", "a mean of 18 to 100, a spread to 30")
        require(len({m.name for m in self.formulary}) == len(self.formulary), self, "formulary", "of different names")
        require(
            len({p.name for p in self.procedures}) == len(self.procedures), self, "procedures", "of different names"
        )
        if self.policy:
            for name in self.policy.procedures:
                named(name, self.procedures)
            wanted = known("Policy.medicines", self.policy.medicines, self.formulary)
            if pair := conflict(wanted):
                raise InputError(
                    f"Policy.medicines holds {' and '.join(pair)}, which contradict; it must hold one at most"
                )
        self.prescribed("at_start", (0,) * len(self.formulary), self.at_start)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"p{i + 1}" for i in range(self.patients))

    @property
    def medicines(self) -> tuple[str, ...]:
        return tuple(m.name for m in self.formulary)

    def prescribed(self, owner: str, levels: tuple[int, ...], change: tuple[tuple[str, int], ...]) -> tuple[int, ...]:
        """*levels* after a change; refuses unknown medicines, levels that there are not, and contradictions."""
        new = list(levels)
        for (name, level), medicine in zip(change, known(owner, [n for n, _ in change], self.formulary), strict=True):
            if not 0 <= level <= len(medicine.doses_mg):
                raise InputError(f"{owner} asks for {name} at level {level}; it must be 0 to {len(medicine.doses_mg)}")
            new[self.medicines.index(name)] = level
        if pair := conflict([m for m, level in zip(self.formulary, new, strict=True) if level]):
            raise InputError(f"{owner} asks for {' and '.join(pair)}, which contradict; one must go")
        return tuple(new)

    def start(self, seed: int) -> State:
        own = [f"{kind}/{medicine}" for kind in ("dose", "decide") for medicine in self.medicines]
        own.append("decide/procedure")
        streams = Streams(seed, (f"{name}/{kind}" for name in self.names for kind in (*STREAMS, *own)))
        levels = self.prescribed("at_start", (0,) * len(self.formulary), self.at_start)
        patients = []
        for name in self.names:
            person = self._born(streams, name)
            clocks = tuple(Clock(-math.log(streams[f"{name}/{cause}"].draw(UNIT))) for cause in CAUSES)
            first_h = streams[f"{name}/visit"].draw(UNIT) * min(self.visit.mean_h, 14 * 24.0)
            none = (Body(),) * len(self.formulary)
            heart = body_of(person.circulation, self.slow).heart
            p = Patient(person, heart, -1, levels, none, (0.0,) * len(ACTS), clocks, visit_h=first_h)
            p.body = (0.0, *self.daily(p))
            p.risk = (0.0, 0.0, *(0.0 for _ in CAUSES))
            p.care = (0.0, *(0.0 for _ in LABS), *(x for level in levels for x in (level, 0.0, 0.0, 0.0)))
            p.care += (0.0, 0.0) * len(self.procedures)
            patients.append(p)
        count = len(UNITS)
        return State(seed, 0.0, streams, patients, [[] for _ in UNITS], [0] * count, [(0.0, 0, 0)] * count)

    def _born(self, streams: Streams, name: str) -> Person:
        person = streams[f"{name}/person"]
        circulation = self.population.draw(lambda: streams[f"{name}/body"].draw(UNIT)).patient
        z = [float(ndtri(min(max(person.draw(UNIT), 1e-12), 1 - 1e-12))) for _ in range(3)]
        age = min(max(self.age[0] + self.age[1] * z[0], 18.0), 100.0)
        return Person(circulation, age, person.draw(UNIT) < 0.6, 1.1 * math.exp(0.2 * z[1]), z[2])

    def body(self, p: Patient) -> disease.Body:
        """The circulation of today, with what procedures have made of it."""
        return body_of(p.person.circulation, self.slow, p.changed)

    def daily(self, p: Patient) -> tuple[float, ...]:
        """The values of DAILY."""
        told = outputs(self.body(p), p.heart, p.effects)
        creatinine = p.person.creatinine * (5.0 / told["co"]) ** 0.5 * (1 + 0.1 * p.effects[1])
        probnp = 100 * (0.2 + 0.8 * (told["stress"] / healthy_stress()) ** 3) * creatinine**0.5
        kept = (told[name] for name in orbit.OUTPUTS)
        return (*p.heart, *kept, told["sbp"], creatinine, probnp, *p.effects)

    def act(self, state: State, action: Prescribe | Operate) -> State:
        if not isinstance(action, Prescribe | Operate) or action.patient not in self.names:
            raise InputError(f"the action is {action!r}; Care takes Prescribe or Operate of p1 to p{self.patients}")
        if isinstance(action, Operate):
            named(action.procedure, self.procedures)
        else:
            levels = state.patients[self.names.index(action.patient)].levels
            for queued in state.actions:
                if isinstance(queued, Prescribe) and queued.patient == action.patient:
                    levels = self.prescribed("Prescribe", levels, queued.levels)
            self.prescribed("Prescribe", levels, action.levels)
        s = state.copy()
        s.actions.append(action)
        return s

    def resample(self, state: State, seed: int) -> State:
        """Thresholds and stays are drawn anew, given what was survived; coins and noise to come come from new streams.

        What a patient is, appointments and the way through the hospital once told, are the true state and stay.
        """
        s = state.copy()
        s.seed, s.streams = seed, state.streams.rekeyed(seed)
        for name, p in zip(self.names, s.patients, strict=True):
            if not p.here:
                continue
            p.clocks = tuple(
                Clock(-math.log(s.streams[f"{name}/{cause}"].draw(UNIT)), 0.0, s.time_h, c.rate_per_h)
                for c, cause in zip(p.clocks, CAUSES, strict=True)
            )
            if p.due_h < math.inf:
                law = Residual(self.stay[p.bed], s.time_h - p.entered_h)
                p.due_h = s.time_h + float(s.streams[f"{name}/stay"].draw(law))
        return s

    def run(self, state: State, until_h: float) -> Run:
        if not state.time_h <= until_h < math.inf:
            raise InputError(f"cannot run to {until_h} h patients who are at {state.time_h} h")
        return process.run(self, state.copy(), until_h)
