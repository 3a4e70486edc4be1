"""Heart failure over days and years, and a fast path of its circulation. Research only, not for clinical use.

Four numbers change slowly: neurohormones N (1 in a healthy adult), stressed volume Vs and the left ventricle's V0 in
ml, its contractility Ees in mmHg/ml. Between two days whose drugs act steadily,

    dN/dt   = (N*(MAP, CO) − N) / 2 d,  N* = (93/MAP)³ · (5.2/CO)², at most 8, · what blocks it
    dVs/dt  = intake · (1 − (MAP/MAP₀)³ (N₀/N)^0.7 · min(PCWP/7 mmHg, 1)²) − what drugs take − leak · (PCWP − 28 mmHg)₊
    dV0/dt  = [k₁ (σ/σ_ref − 1)₊ − k₂ · drugs · (V0 − V0_least)/V0₀] / 120 d,  σ = P_ed · EDV^⅓ at end-diastole
    dEes/dt = [−k₃ · Ees₀ · 2N/(1 + N/N₀) · (1 − β-block) + (Ees_max − Ees)] / 150 d

where ₀ is the patient without drugs at the start, near balance: a heart has adapted to most of its load, and σ_ref lies
between its own stress and a healthy adult's; what neurohormones do to the muscle levels off. The form is the project's;
its constants are tuned, those of drugs by published trials (`sim.patient.outcome_checks`). A day is integrated by the
pair of Bogacki & Shampine (1989), steps within it controlled by their error and begun anew each day, so that a day is a
function of its start.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sim.compiled import compiled
from sim.errors import InputError, require
from sim.patient import orbit
from sim.patient.circulation import NORMAL, Circulation, Steady, solve, steady

ACTS = ("beta_blocker", "ace_inhibitor", "loop_diuretic", "mra", "sglt2_inhibitor", "inotrope")  # effects, 0 to 1 each
BB, ACE, LOOP, MRA, SGLT2, INO = range(6)
FAST_STEPS = 64  # Runge-Kutta steps a beat of the fast path
FAST_ERROR = 0.01  # of each output, that the fast path may be off; `fast_error` measures it
FAST_RANGE = (0.25, 4.0)  # of the patient's own value at the start, for each of the three parameters that change
DRY = 7.0  # mmHg of PCWP, below which kidneys hold back, for want of the heart's natriuretic peptides
MOST = 8.0  # neurohormones, times those of a healthy adult
ONCOTIC = 28.0  # mmHg, colloid osmotic pressure of plasma: from there on water leaves the vessels of the lung
FIELDS = (*orbit.OUTPUTS, "sbp", "stress")


class Heart(NamedTuple):
    """What changes slowly."""

    n: float
    vs_ml: float
    v0_ml: float
    ees: float


@dataclass(frozen=True)
class Slow:
    """Constants of the slow model; times in days."""

    intake_ml: float = 150.0  # into the stressed volume, a day
    loop_ml: float = 45.0  # a day that a full effect takes
    mra_ml: float = 8.0
    sglt2_ml: float = 10.0
    leak_ml: float = 15.0  # a day and mmHg of PCWP beyond ONCOTIC, into the tissues
    k1_ml: float = 10.0
    k2_ml: float = 12.0
    k3: float = 0.2
    lost: float = 0.15  # how far from balance contractility and wall stress are at the start, as a share of the disease
    tolerance: float = 1e-4  # relative, of a step

    def __post_init__(self):
        for field in ("intake_ml", "loop_ml", "mra_ml", "sglt2_ml", "leak_ml", "k1_ml", "k2_ml"):
            require(0 <= getattr(self, field) <= 1000, self, field, "between 0 and 1000")
        require(0 <= self.k3 <= 2, self, "k3", "between 0 and 2")
        require(0 <= self.lost <= 1, self, "lost", "between 0 and 1")
        require(1e-10 <= self.tolerance <= 1e-2, self, "tolerance", "between 1e-10 and 0.01")

    @property
    def told(self) -> np.ndarray:
        water = [self.intake_ml, self.loop_ml, self.mra_ml, self.sglt2_ml, self.leak_ml]
        return np.array([*water, self.k1_ml, self.k2_ml, self.k3])


@dataclass(frozen=True, eq=False)
class Body:
    """A patient's circulation prepared for many days: its own orbit, from which others are found, and its balance."""

    patient: Circulation
    row: np.ndarray
    orbit: np.ndarray  # float64[6], the unknowns at the start
    inverse: np.ndarray  # float64[6, 6]
    balance: np.ndarray  # float64[6]: MAP₀, N₀, V0₀, Ees₀, Ees_max, σ_ref
    heart: Heart


def prepare(patient: Circulation, slow: Slow = Slow()) -> Body:
    """Refuses a patient without a steady state."""
    here = steady([patient], FAST_STEPS)
    o = here.orbits[0]
    unknowns = np.array([o[0], o[1], o[3], o[4], o[5], 100 * o[6]])
    out = {name: float(values[0]) for name, values in here.outputs.items()}
    own = _stress(patient.alpha, patient.beta, patient.v0_ml, out["edv"])
    ref = own * (healthy_stress() / own) ** slow.lost
    n0 = min((93.0 / out["map"]) ** 3 * (5.2 / out["co"]) ** 2, MOST)
    ees_max = patient.ees * (1 + slow.k3 * n0 * (1 - slow.lost))
    balance = np.array([out["map"], n0, patient.v0_ml, patient.ees, ees_max, ref])
    heart = Heart(n0, patient.vs_ml, patient.v0_ml, patient.ees)
    return Body(patient, patient.row, unknowns, here.inverses[0], balance, heart)


@lru_cache(maxsize=8192)
def body_of(patient: Circulation, slow: Slow, changed: Circulation | None = None) -> Body:
    """`prepare`, remembered: it is a function of the patient alone.

    Where procedures have *changed* the circulation, what kidneys and muscle hold as normal stays that of before, but
    that contractility can come to as much more as it has been given.
    """
    body = prepare(patient, slow)
    if changed is None:
        return body
    more = np.array([1, 1, 1, changed.ees / patient.ees, changed.ees / patient.ees, 1])
    return replace(prepare(changed, slow), balance=body.balance * more)


@lru_cache(maxsize=1)
def healthy_stress() -> float:
    """End-diastolic stress of the normal adult of the table, mmHg·ml^⅓."""
    edv = float(steady([NORMAL], FAST_STEPS).outputs["edv"][0])
    return _stress(NORMAL.alpha, NORMAL.beta, NORMAL.v0_ml, edv)


def outputs(body: Body, heart: Heart, effects: tuple[float, ...]) -> dict[str, float]:
    """The circulation's steady outputs under *effects*, by the fast path, with sbp (mmHg) and end-diastolic stress.

    Off by at most FAST_ERROR of each output over the sampled populations; refuses a heart out of FAST_RANGE.
    """
    out = np.empty(len(FIELDS))
    said = _outputs(body.row, body.orbit.copy(), body.inverse.copy(), np.array(heart), np.array(effects), out)
    _lived(said, heart)
    return dict(zip(FIELDS, out.tolist(), strict=True))


def day(body: Body, heart: Heart, effects: tuple[float, ...], slow: Slow = Slow(), days: float = 1.0) -> Heart:
    """The heart *days* later (at most one: longer is a chain of days) under steady *effects*, one for each of ACTS."""
    if len(effects) != len(ACTS) or not all(0 <= e <= 1 for e in effects):
        raise InputError(f"effects are {effects!r}; they must be {len(ACTS)} numbers between 0 and 1")
    if not 0 < days <= 1:
        raise InputError(f"days is {days!r}; it must be above 0 and at most 1")
    y = np.array(heart)
    said = _day(body.row, body.orbit, body.inverse, body.balance, slow.told, np.array(effects), slow.tolerance, days, y)
    _lived(said, heart)
    return Heart(*y.tolist())


def rows(body: Body, heart: Heart, effects: tuple[float, ...]) -> np.ndarray:
    """The parameters that `sim.patient.circulation.solve` takes for this heart under *effects*, (1, 28)."""
    row = np.empty(len(body.row))
    _parameters(body.row, np.array(heart), np.array(effects), row)
    return row[None, :]


def fast_error(bodies: list[Body], hearts: list[Heart], effects: list[tuple[float, ...]]) -> dict[str, float]:
    """The largest relative error of each output of the fast path against the full solution at 1600 steps a beat."""
    full: Steady = solve(np.concatenate([rows(*one) for one in zip(bodies, hearts, effects, strict=True)]), steps=1600)
    fast = [outputs(*one) for one in zip(bodies, hearts, effects, strict=True)]
    return {n: float(np.max(np.abs([f[n] for f in fast] / full.outputs[n] - 1))) for n in orbit.OUTPUTS}


class Collapse(InputError):
    """A heart beyond what a circulation, or the fast path to it, can follow."""


def _lived(said: int, heart: Heart) -> None:
    low, high = FAST_RANGE
    if said == 1:
        raise Collapse(f"{heart} is out of the range of the fast path; Vs and Ees must be {low:g} to {high:g} of first")
    if said == 2:
        raise Collapse(f"the circulation of {heart} has no steady state; it must be one that can live")


@compiled()
def _stress(alpha, beta, v0, edv):
    return beta * (math.exp(alpha * (edv - v0)) - 1) * edv ** (1.0 / 3.0)


@compiled()
def _parameters(row, y, e, out):
    for i in range(len(row)):
        out[i] = row[i]
    out[orbit.VS], out[orbit.V0] = y[1], y[2]
    out[orbit.EES] = y[3] * (1 - 0.10 * e[BB]) * (1 + 0.4 * e[INO])
    out[orbit.HR] *= 1 - 0.15 * e[BB]
    out[orbit.K_HR] *= 1 - 0.6 * e[BB]
    out[orbit.K_EES] *= 1 - 0.6 * e[BB]
    out[orbit.RA] *= 1 - 0.2 * e[ACE]


@compiled()
def _outputs(row, u, inverse, y, e, out):
    """0 where all is well, 1 out of the range, 2 without a steady state. *u* and *inverse* move to the orbit found."""
    if not (
        FAST_RANGE[0] * row[orbit.VS] <= y[1] <= FAST_RANGE[1] * row[orbit.VS]
        and FAST_RANGE[0] * row[orbit.EES] <= y[3] <= FAST_RANGE[1] * row[orbit.EES]
        and 0 <= y[2] <= 200
    ):
        return 1
    p, v = np.empty(len(row)), np.empty(6)
    sums, ends = np.empty(5), np.empty(3)
    _parameters(row, y, e, p)
    if orbit.solve(p, u, inverse, True, FAST_STEPS, v, sums, ends) < 0:
        return 2
    hr = p[orbit.HR] * (1 + p[orbit.K_HR] * (u[5] / 100 - 0.5))
    out[0], out[1], out[2], out[3] = hr, ends[0], ends[1], sums[3]
    out[4], out[5], out[6] = 100 * (ends[0] - ends[1]) / ends[0], sums[3] * hr / 1000, sums[0]
    out[7], out[8], out[9], out[10] = ends[2], sums[2], sums[1], max(ends[2], sums[0])
    out[11] = _stress(p[orbit.ALPHA], p[orbit.BETA], y[2], ends[0])
    return 0


@compiled()
def _slopes(row, u, inverse, balance, k, e, y, out, dy):
    said = _outputs(row, u, inverse, y, e, out)
    if said:
        return said
    block = (1 - 0.13 * e[ACE]) * (1 - 0.15 * e[MRA]) * (1 - 0.1 * e[BB])
    wanted = min((93.0 / out[6]) ** 3 * (5.2 / out[5]) ** 2, MOST) * block
    dy[0] = (wanted - y[0]) / 2
    out_ml = (out[6] / balance[0]) ** 3 * (balance[1] / y[0]) ** 0.7 * min(out[8] / DRY, 1.0) ** 2
    dy[1] = k[0] * (1 - out_ml) - k[1] * e[LOOP] - k[2] * e[MRA] - k[3] * e[SGLT2]
    dy[1] -= k[4] * max(out[8] - ONCOTIC, 0.0)
    less = 0.4 * e[BB] + 0.13 * e[ACE] + 0.15 * e[MRA] + 0.15 * e[SGLT2]
    room = max(y[2] - 5.0, 0.0) / max(balance[2], 5.0)
    dy[2] = (k[5] * max(out[11] / balance[5] - 1, 0.0) - k[6] * less * room) / 120
    harm = 2 * y[0] / (1 + y[0] / balance[1])
    dy[3] = (-k[7] * balance[3] * harm * (1 - 0.6 * e[BB]) + balance[4] - y[3]) / 150
    return 0


@compiled()
def _day(row, first, inverse0, balance, k, e, tolerance, days, y):
    """Bogacki-Shampine 3(2), the last slopes of a step the first of the next."""
    out, z, end = np.empty(12), np.empty(4), np.empty(4)
    u, inverse = first.copy(), inverse0.copy()
    k1, k2, k3, k4 = np.empty(4), np.empty(4), np.empty(4), np.empty(4)
    t, h = 0.0, days
    said = _slopes(row, u, inverse, balance, k, e, y, out, k1)
    while t < days and not said:
        h = min(h, days - t)
        for i in range(4):
            z[i] = y[i] + h / 2 * k1[i]
        said = _slopes(row, u, inverse, balance, k, e, z, out, k2)
        if said:
            break
        for i in range(4):
            z[i] = y[i] + 0.75 * h * k2[i]
        said = _slopes(row, u, inverse, balance, k, e, z, out, k3)
        if said:
            break
        for i in range(4):
            end[i] = y[i] + h * (2 * k1[i] + 3 * k2[i] + 4 * k3[i]) / 9
        said = _slopes(row, u, inverse, balance, k, e, end, out, k4)
        if said:
            break
        worst = 0.0
        for i in range(4):
            off = h * (-5 * k1[i] / 72 + k2[i] / 12 + k3[i] / 9 - k4[i] / 8)
            worst = max(worst, abs(off) / (tolerance * max(abs(y[i]), abs(end[i]), 1e-3)))
        if worst <= 1:
            t = days if h == days - t else t + h
            for i in range(4):
                y[i], k1[i] = end[i], k4[i]
        h *= min(max(0.9 * max(worst, 1e-9) ** (-1.0 / 3.0), 0.2), 5.0)
    return said
