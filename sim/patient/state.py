"""What there is to know of patients in care at one time. Research only, not for clinical use."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from sim.patient import orbit
from sim.patient.circulation import Circulation
from sim.patient.disease import ACTS, Heart
from sim.patient.medicines import Prescribe
from sim.patient.pharmacology import Body
from sim.patient.procedures import Operate
from sim.patient.risk import CAUSES, Clock
from sim.streams import Streams
from sim.trace import Key, Signal, steps

if TYPE_CHECKING:
    from sim.patient.care import Care

UNITS = ("ed", "ward", "icu", "theatre")
STREAMS = ("person", "body", "lab", "visit", "route", "stay", "infarct", "operation", *CAUSES)
DAILY = (
    *("n", "vs_ml", "v0_ml", "ees"),
    *orbit.OUTPUTS,
    *("sbp", "creatinine", "nt_probnp"),
    *(f"effect_{act}" for act in ACTS),
)
RISKS = ("phase", *(f"hazard_{cause}" for cause in CAUSES))  # an hour
LABS = ("lab_sbp", "lab_creatinine", "lab_nt_probnp", "lab_ef")
ORDERED = ("ordered", "p")  # of each procedure: whether it has been, and the chance that it had at this visit
MOVED = ("level", "p_down", "p_keep", "p_up")  # of each medicine


class Phase(IntEnum):
    """Where a patient is: the codes of the `phase` signal. In WAITING an emergency department has no bed yet."""

    HOME = 0
    WAITING = 1
    ED = 2
    WARD = 3
    ICU = 4
    THEATRE = 5
    DEAD = 6
    LOST = 7


class Person(NamedTuple):
    """What a patient is for life. Frailty is in no record."""

    circulation: Circulation
    age: float  # years
    male: bool
    creatinine: float  # mg/dl, at the start
    frailty: float  # standard normal


@dataclass
class Patient:
    """One patient. Every field is a value, so that a shallow copy is a copy."""

    person: Person
    heart: Heart
    day: int  # the latest that has begun
    levels: tuple[int, ...]  # by medicine of the formulary
    drugged: tuple[Body, ...]
    effects: tuple[float, ...]  # of ACTS, today
    clocks: tuple[Clock, ...]  # by cause
    phase: Phase = Phase.HOME
    bed: int = -1  # of UNITS; -1: none
    route: tuple[int, ...] = ()  # units still to come
    entered_h: float = 0.0  # into the present bed
    due_h: float = math.inf  # the stay's end; infinite where the stay has ended and the next bed is not free
    visit_h: float = math.inf
    operation: str = ""  # the procedure that is waited for or under way
    had: tuple[str, ...] = ()  # procedures survived
    changed: Circulation | None = None  # what they have made of the circulation
    body: tuple[float, ...] = ()  # the latest breakpoint of each group of signals: time, then values
    risk: tuple[float, ...] = ()
    care: tuple[float, ...] = ()

    @property
    def here(self) -> bool:
        return self.phase < Phase.DEAD


@dataclass
class State:
    """All patients and queues at `time_h`, before what is due at that very time."""

    seed: int
    time_h: float
    streams: Streams
    patients: list[Patient]
    queues: list[list[int]]  # by unit, first come first
    occupied: list[int]
    changed: list[tuple[float, int, int]]  # by unit: time, occupied and waiting as of then
    actions: list[Prescribe | Operate] = field(default_factory=list)

    def copy(self) -> State:
        return replace(
            self,
            streams=self.streams.copy(),
            patients=[copy.copy(p) for p in self.patients],
            queues=[queue[:] for queue in self.queues],
            occupied=self.occupied[:],
            changed=self.changed[:],
            actions=self.actions[:],
        )


def signals(world: Care, groups: Sequence, units: Sequence) -> dict[Key, Signal]:
    """The signals of a run, of each group of rows (time, values) a patient and a unit have."""
    keys, columns = [], []
    care = (*LABS, *(f"{name}_{what}" for name in world.medicines for what in MOVED))
    care += tuple(f"{procedure.name}_{what}" for procedure in world.procedures for what in ORDERED)
    for name, mine in zip(world.names, groups, strict=True):
        for quantities, rows in zip((DAILY, RISKS, care), mine, strict=True):
            times, *values = zip(*rows, strict=True)
            keys += [(name, quantity) for quantity in quantities]
            columns += [(times, column) for column in values]
    for name, rows in zip(UNITS, units, strict=True):
        times, *values = zip(*rows, strict=True)
        keys += [(name, "occupied"), (name, "waiting")]
        columns += [(times, column) for column in values]
    return steps(keys, columns)
