"""Operations and devices: what each does to a circulation, and how many die of it. Research only, not for clinical use.

Each changes the parameters of the patient's circulation; what follows in the months after is what the slow model makes
of that. Deaths within the stay are those of trials, rounded: transcatheter mitral repair 2 % (COAPT 2018, 30 days),
bypass grafts at an EF up to 35 % 4 % (STICH 2011), resynchronisation .5 % (COMPANION 2004), a left ventricular assist
device 5 % (MOMENTUM 3 2018, 30 days), of a patient of 65 of average frailty. How much contractility comes back is the
project's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sim.errors import InputError, require
from sim.patient.circulation import Circulation, wave


@dataclass(frozen=True)
class Procedure:
    """Factors on a circulation's parameters, and the chance to die of it."""

    name: str
    death: float  # chance that a patient of 65 and average frailty dies in theatre or of it
    leak: float = 1.0  # what is left of the mitral valve's leak
    ees: float = 1.0  # contractility that the heart can come to, over months, times that before
    at_once: float = 1.0  # and what it has at once
    pump: float = 0.0  # ml/s of an assist device, against no head
    infarctions: float = 1.0  # hazard of infarctions, times that before

    def __post_init__(self):
        require(bool(self.name), self, "name", "given")
        require(0 <= self.death < 1, self, "death", "at least 0 and below 1")
        require(0 <= self.leak <= 1, self, "leak", "between 0 and 1")
        for field in ("ees", "at_once"):
            require(0.5 <= getattr(self, field) <= 2, self, field, "between 0.5 and 2")
        require(0 <= self.pump <= 500, self, "pump", "between 0 and 500")
        require(0 <= self.infarctions <= 1, self, "infarctions", "between 0 and 1")

    def change(self, circulation: Circulation) -> Circulation:
        """The circulation that the body then has, and settles into."""
        leak, pump = circulation.mitral_leak * self.leak, max(circulation.pump, self.pump)
        return replace(circulation, mitral_leak=leak, ees=circulation.ees * self.ees, pump=pump)

    def risk(self, age: float, frailty: float) -> float:
        """The chance of an operative death: a hazard that grows by 4 % a year of age and by half with frailty."""
        return 1 - (1 - self.death) ** math.exp(0.04 * (age - 65) + 0.4 * frailty)


PROCEDURES = (
    Procedure("valve_repair", 0.02, leak=0.1),
    Procedure("cabg", 0.04, ees=1.25, at_once=0.95, infarctions=0.5),
    Procedure("crt", 0.005, leak=0.7, ees=1.15, at_once=1.07),
    Procedure("lvad", 0.05, pump=140.0),
)


@dataclass(frozen=True)
class Operate:
    """Action: take this patient, if at home, to hospital for a procedure, as soon as the theatre is free."""

    patient: str
    procedure: str


def named(name: str, procedures: tuple[Procedure, ...]) -> Procedure:
    """The procedure of this name; refuses one that there is not."""
    for procedure in procedures:
        if procedure.name == name:
            return procedure
    raise InputError(f"Operate names {name!r}; it must be among {', '.join(p.name for p in procedures) or 'none'}")


def loops(
    circulation: Circulation, procedures: tuple[Procedure, ...] = PROCEDURES, steps: int = 400
) -> dict[str, dict[str, np.ndarray]]:
    """One steady beat before and after each procedure, by name: what `wave` tells; `before` is without any.

    The loop of "lv_mmhg" over "lv_ml" is that of pressure and volume, at once after the reflex has settled.
    """
    told = {"before": wave(circulation, steps)}
    for p in procedures:
        told[p.name] = wave(replace(p.change(circulation), ees=circulation.ees * p.at_once), steps)
    return told
