"""The circulation of one patient, and what a steady heart does with it. Research only, not for clinical use.

Six volumes in a closed loop: both ventricles as time-varying elastances, four valves that let blood pass one way, a
baroreflex on heart rate, contractility, resistance and stressed volume, and a reservoir of unstressed blood. The form
follows Burkhoff & Tyberg (1993), Smith et al. (2004) and Heldt (2004); the parameters are tuned to textbook patients.
Pressures in mmHg, volumes in ml, elastance in mmHg/ml, compliance in ml/mmHg, resistance in mmHg·s/ml.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sim.errors import InputError, require
from sim.patient import orbit

RANGES = {  # what a living adult's parameters may be; wide, so that only nonsense is refused
    "hr_per_min": (20, 250),
    "ees": (0.05, 15),
    "v0_ml": (0, 200),
    "alpha": (0.001, 0.1),
    "beta": (0.01, 10),
    "ra": (0.1, 10),
    "vs_ml": (100, 3000),
    "eer": (0.05, 10),
    "rap": (0.005, 3),
    "pset": (30, 180),
    "cas": (0.1, 10),
    "cvs": (5, 300),
    "cap": (0.2, 30),
    "cvp": (0.5, 80),
    "rv_v0_ml": (0, 200),
    "rv_alpha": (0.001, 0.1),
    "rv_beta": (0.01, 10),
    "r_aortic": (0.002, 1),
    "r_mitral": (0.002, 1),
    "r_tricuspid": (0.002, 1),
    "r_pulmonic": (0.002, 1),
    "reflex_hr": (0, 1.5),
    "reflex_ees": (0, 1.5),
    "reflex_ra": (0, 1.5),
    "reflex_vs": (0, 1.5),
    "reflex_width": (1, 50),
    "mitral_leak": (0, 10),
    "pump": (0, 500),
    "blood_ml": (500, 12000),
}


@dataclass(frozen=True)
class Circulation:
    """A patient's circulation where the reflex rests (at ½). The default is a normal adult."""

    hr_per_min: float = 70.0
    ees: float = 2.4  # end-systolic elastance of the left ventricle
    v0_ml: float = 10.0  # its volume without pressure
    alpha: float = 0.026  # its stiffness in diastole, 1/ml, and the scale of its pressure then
    beta: float = 0.34
    ra: float = 1.0  # systemic resistance
    vs_ml: float = 750.0  # stressed volume, less the unstressed volumes of both ventricles
    eer: float = 0.60  # end-systolic elastance of the right ventricle; the reflex leaves it alone
    rap: float = 0.06  # pulmonary resistance
    pset: float = 92.0  # mean arterial pressure at which the reflex rests
    cas: float = 1.4  # compliances: systemic and pulmonary, arteries and veins
    cvs: float = 70.0
    cap: float = 4.5
    cvp: float = 9.0
    rv_v0_ml: float = 10.0
    rv_alpha: float = 0.020
    rv_beta: float = 0.34
    r_aortic: float = 0.036
    r_mitral: float = 0.010
    r_tricuspid: float = 0.015
    r_pulmonic: float = 0.023
    reflex_hr: float = 0.5  # how far the reflex moves each, from its one end to its other
    reflex_ees: float = 0.5
    reflex_ra: float = 0.5
    reflex_vs: float = 0.3
    reflex_width: float = 8.0  # mmHg
    mitral_leak: float = 0.0  # back through the mitral valve, ml/s for each mmHg
    pump: float = 0.0  # what an assist device moves against no head, ml/s
    blood_ml: float = 5000.0  # all blood, the reservoir included

    def __post_init__(self):
        for field, (low, high) in RANGES.items():
            value = getattr(self, field)
            require(math.isfinite(value) and low <= value <= high, self, field, f"between {low} and {high}")
        most = self.vs_ml * (1 + self.reflex_vs / 2) + self.v0_ml + self.rv_v0_ml
        require(self.blood_ml >= most, self, "blood_ml", f"at least {most:g}, which its reflex can call for")

    @property
    def row(self) -> np.ndarray:
        """The parameters in the order of `sim.patient.orbit.COLUMNS`."""
        return np.array(astuple(self)[:-1], np.float64)

    def reservoir_ml(self, reflex: float = 0.5) -> float:
        """Blood outside the six compartments."""
        return self.blood_ml - float(orbit.stressed(self.row, reflex))

    def bleed(self, ml: float) -> Circulation:
        """After the loss of *ml* of blood, all of it from the stressed volume.

        What the reflex then recruits comes from the reservoir, at most 15 % of the stressed volume as published; people
        recruit more, so that a loss weighs more here than in them.
        """
        most = min(2500.0, self.vs_ml - 100)  # all of it is out of the stressed volume, of which 100 ml must be left
        return self._with("bleed", ml, -math.inf, most, vs_ml=self.vs_ml - ml, blood_ml=self.blood_ml - ml)

    def diurese(self, ml: float) -> Circulation:
        """After *ml* of fluid has left the stressed volume, as a diuretic takes it."""
        return self._with("diurese", ml, -math.inf, 2500, vs_ml=self.vs_ml - ml, blood_ml=self.blood_ml - ml)

    def vasodilate(self, share: float) -> Circulation:
        """Systemic resistance lower by *share*."""
        return self._with("vasodilate", share, 0, 0.9, ra=self.ra * (1 - share))

    def stimulate(self, share: float) -> Circulation:
        """Contractility of the left ventricle higher by *share*, as an inotrope raises it."""
        return self._with("stimulate", share, 0, 5, ees=self.ees * (1 + share))

    def block_beta(self, hr: float = 0.15, ees: float = 0.10, left: float = 0.4) -> Circulation:
        """Acute β-block: rate and contractility lower by these shares, and *left* of their reflex left."""
        for share, most in ((hr, 0.9), (ees, 0.9), (left, 1)):
            self._with("block_beta", share, 0, most)
        slow, weak = self.hr_per_min * (1 - hr), self.ees * (1 - ees)
        limb = {"reflex_hr": self.reflex_hr * left, "reflex_ees": self.reflex_ees * left}
        return replace(self, hr_per_min=slow, ees=weak, **limb)

    def dilate(self, ml: float) -> Circulation:
        """The left ventricle larger by *ml* at the same stressed volume: the reservoir gives the difference."""
        return self._with("dilate", ml, -math.inf, 200, v0_ml=self.v0_ml + ml)

    def _with(self, what: str, amount: float, low: float, high: float, **changes: float) -> Circulation:
        if not low <= amount <= high:
            raise InputError(f"{what} of {amount!r}; it must be between {low} and {high}")
        return replace(self, **changes)


NORMAL = Circulation()
HFREF = Circulation(78.0, 0.65, 35.0, 0.0165, 0.6, 1.05, 1100.0, 0.40, 0.09, 86.0)
HFPEF = Circulation(70.0, 2.6, 10.0, 0.036, 0.5, 1.1, 850.0, 0.60, 0.06, 92.0, cas=1.0)


@dataclass(frozen=True, eq=False)
class Steady:
    """The steady state of each patient of a batch: an array of length N for each output."""

    patients: np.ndarray  # (N, 28)
    orbits: np.ndarray  # (N, 7): six volumes at the start of a beat, and the reflex
    inverses: np.ndarray  # (N, 6, 6): of the Jacobian of a beat, from which a neighbour starts
    sums: np.ndarray  # (N, 5)
    ends: np.ndarray  # (N, 3)
    beats: np.ndarray  # (N,): that the solution took; -1: none found

    @property
    def found(self) -> np.ndarray:
        return self.beats >= 0

    @cached_property
    def outputs(self) -> dict[str, np.ndarray]:
        """By name: hr (1/min), edv, esv, sv (ml), ef (%), co (l/min), map, lvsp, pcwp, mpap (mmHg), and sv_right.

        sv and co are what reaches the aorta; ef is of the volumes, so that what leaks back counts in it.
        """
        p, reflex = self.patients, self.orbits[:, 6]
        hr = p[:, orbit.HR] * (1 + p[:, orbit.K_HR] * (reflex - 0.5))
        edv, esv = self.ends[:, 0], self.ends[:, 1]
        told: dict[str, Any] = {"hr": hr, "edv": edv, "esv": esv, "sv": self.sums[:, 3]}
        told |= {"ef": 100 * (edv - esv) / edv, "co": self.sums[:, 3] * hr / 1000, "map": self.sums[:, 0]}
        told |= {"lvsp": self.ends[:, 2], "pcwp": self.sums[:, 2], "mpap": self.sums[:, 1]}
        told["sv_right"] = self.sums[:, 4]
        return {name: np.where(self.found, value, np.nan) for name, value in told.items()}


def solve(patients: np.ndarray, near: Steady | None = None, steps: int = orbit.STEPS) -> Steady:
    """The steady states of rows of parameters, a patient each; from those of *near*, row by row, where it is given.

    A patient without one (no orbit to which beats return) is marked in `found`, and its outputs are not numbers.
    """
    p = np.ascontiguousarray(patients, np.float64)
    if p.ndim != 2 or p.shape[1] != len(orbit.COLUMNS):
        raise InputError(f"patients have shape {p.shape}; it must be (N, {len(orbit.COLUMNS)})")
    if near is not None and len(near.orbits) != len(p):
        raise InputError(f"near has {len(near.orbits)} patients; it must have {len(p)}, one for each")
    if near is None:
        inverses, guesses = np.empty((len(p), 6, 6)), np.empty((len(p), 7))
        guesses[:, 0] = p[:, orbit.V0] + 70 + 0.08 * p[:, orbit.VS]
        guesses[:, 1], guesses[:, 3] = 0.9 * p[:, orbit.PSET] * p[:, orbit.CAS], p[:, orbit.RV_V0] + 90
        guesses[:, 4], guesses[:, 5], guesses[:, 6] = 16 * p[:, orbit.CAP], 10 * p[:, orbit.CVP], 0.5
    else:
        inverses, guesses = near.inverses.copy(), near.orbits
        if not near.found.all():
            raise InputError(f"near has no steady state for patient {int(np.argmin(near.found))}; it must have one")
    orbits, sums, ends = np.empty((len(p), 7)), np.empty((len(p), 5)), np.empty((len(p), 3))
    beats = np.empty(len(p), np.int64)
    orbit.steady(p, guesses, inverses, near is not None, steps, orbits, sums, ends, beats)
    return Steady(p, orbits, inverses, sums, ends, beats)


def steady(patients: Sequence[Circulation], steps: int = orbit.STEPS) -> Steady:
    """The steady states of *patients*; refuses one whose heart has none."""
    told = solve(np.array([patient.row for patient in patients]).reshape(-1, len(orbit.COLUMNS)), steps=steps)
    if not told.found.all():
        n = int(np.argmin(told.found))
        raise InputError(f"patient {n} has no steady state; it must be one whose circulation settles: {patients[n]}")
    return told


def wave(patient: Circulation, steps: int = 400) -> dict[str, np.ndarray]:
    """One steady beat: time_s, and by compartment (lv, sa, sv, rv, pa, pv) "<name>_ml" and "<name>_mmhg".

    "aorta_mmhg" is the pressure beyond the aortic valve. lv_mmhg over lv_ml is the pressure-volume loop.
    """
    if steps < 50:
        raise InputError(f"steps is {steps!r}; it must be at least 50")
    at = steady([patient], steps).orbits[0]
    rows = np.empty((steps, 19))
    orbit.beat(patient.row, at[6], at[:6].copy(), steps, np.empty(6), np.empty(5), np.empty(3), rows)
    told = {"time_s": rows[:, 0]}
    for i, name in enumerate(("lv", "sa", "sv", "rv", "pa", "pv")):
        told[f"{name}_ml"], told[f"{name}_mmhg"] = rows[:, 1 + i], rows[:, 7 + i]
    told["aorta_mmhg"] = rows[:, 8] + orbit.AORTA * rows[:, 13]
    return told


def follow(before: Circulation, after: Circulation, beats: int, gain: float = 0.2) -> dict[str, np.ndarray]:
    """Beat by beat from the steady state of *before* with the parameters of *after*: an array of length *beats* each.

    After a beat the reflex goes the share *gain* of its way. Blood that *after* has less of leaves the systemic veins.
    Told: map, edv, esv, lvsp, reflex, what the left ventricle gives in a beat ("out_ml"), and the blood in the loop
    ("loop_ml") and outside it ("reservoir_ml").
    """
    if not (beats >= 1 and 0 < gain <= 1):
        raise InputError(f"beats is {beats!r} and gain {gain!r}; they must be at least 1, and above 0 and at most 1")
    start = steady([before]).orbits[0]
    p = after.row
    start[2] += float(orbit.stressed(p, start[6])) - float(start[:6].sum())
    rows = np.empty((beats, 16))
    orbit.follow(p, start, after.reservoir_ml(float(start[6])), gain, orbit.STEPS, rows)
    if not np.isfinite(rows).all():
        raise InputError(f"the circulation breaks down within {beats} beats; it must be one that can live: {after}")
    names = {"reflex": 6, "reservoir_ml": 7, "edv": 8, "esv": 9, "lvsp": 10, "map": 11, "out_ml": 14}
    return {name: rows[:, i] for name, i in names.items()} | {"loop_ml": rows[:, :6].sum(1)}
