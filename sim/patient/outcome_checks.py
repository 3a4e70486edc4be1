"""Deaths of patients in care against published ones. Research only, not for clinical use.

What is compared is the mean of a world run's hazards while patients live, which is known more exactly than how many of
them died. The model is a reduced one: its patients are all of one phenotype and differ in twelve parameters of a
circulation, age, kidneys and frailty, so that agreement is asked for within stated shares and not to the percent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from sim.errors import require
from sim.laws import Deterministic
from sim.patient.care import Care
from sim.patient.disease import Slow
from sim.patient.maggic import THREE_YEARS, score, three_year_death
from sim.patient.medicines import at_levels
from sim.patient.population import PRESERVED, REDUCED
from sim.patient.risk import YEAR_H, Risk
from sim.steady import Estimate, mean_interval
from sim.trace import Trace
from sim.verify import Replicated, Target

NOTICE = "of a reduced model; research only, not for clinical use"
FOLLOWED = Care(
    slow=Slow(tolerance=1e-2), risk=Risk(lost=0.0), policy=None, beds=(None,) * 4, visit=Deterministic(1e6)
)  # nobody is lost, no dose changes


def spent(trace: Trace, names: tuple[str, ...], at_h: np.ndarray) -> np.ndarray:
    """The hazard of death that each patient has been through by each of the times *at_h*, float64[N, T].

    A circulation that collapses kills without a hazard; that death counts as one.
    """
    out = np.zeros((len(names), len(at_h)))
    for name, row in zip(names, out, strict=True):
        for cause in ("cardiac", "other"):
            rate = trace[name, f"hazard_{cause}"]
            whole = np.cumsum(rate.value * np.diff(rate.time_h, append=trace.end_h))
            row += np.interp(at_h, np.append(rate.time_h, trace.end_h), np.append(0.0, whole))
    for event in trace.events:
        if event.kind == "death" and event.cause == "pump":
            out[names.index(event.entity)] += at_h >= event.time_h
    return out


def lived(trace: Trace, names: tuple[str, ...]) -> np.ndarray:
    """Until when each patient lived, hours."""
    ends = {e.entity: e.time_h for e in trace.events if e.kind == "death"}
    return np.array([ends.get(name, trace.end_h) for name in names])


@dataclass(frozen=True, kw_only=True)
class Trial(Replicated):
    """The hazard ratio of death of one medicine, both arms with the same patients and the same draws.

    The fault makes the patients of the treated arm older.
    """

    medicine: str = "bisoprolol"
    level: int = 3
    beside: tuple[tuple[str, int], ...] = (("enalapril", 2), ("furosemide", 2))  # what both arms take
    years: float = 1.2
    age: tuple[float, float] = (61.0, 10.0)
    ratio: float = 0.66
    source: str = "CIBIS-II and MERIT-HF, 1999"
    tolerance: float = 0.08  # of the ratio
    patients: int = 25
    replications: int = 16
    looks: int = 2

    def __post_init__(self):
        super().__post_init__()
        at_levels(self, "beside")
        object.__setattr__(self, "age", tuple(map(float, self.age)))
        require(0 < self.years <= 20, self, "years", "above 0 and at most 20")
        require(0 < self.ratio < 10, self, "ratio", "above 0 and below 10")

    def targets(self):
        return [Target(f"hazard ratio of {self.medicine}", self.ratio, self.source, self.tolerance, reason=NOTICE)]

    def arm(self, seed: int, treated: bool) -> list[float]:
        """Deaths by the hazards, and hours lived, of one arm."""
        taken = dict(self.beside) | ({self.medicine: self.level} if treated else {})
        older = 1 + self.fault * treated
        world = replace(
            FOLLOWED, patients=self.patients, at_start=tuple(taken.items()), age=(self.age[0] * older, self.age[1])
        )
        trace = world.run(world.start(seed), self.years * YEAR_H).trace
        return [float(f.sum()) for f in (spent(trace, world.names, np.array([trace.end_h])), lived(trace, world.names))]

    def replicate(self, seed):
        return [*self.arm(seed, True), *self.arm(seed, False)]

    def estimates(self, samples, alpha):
        """The ratio of two rates, by linearisation."""
        deaths1, hours1, deaths0, hours0 = np.array(samples).T
        rate1, rate0 = deaths1.mean() / hours1.mean(), deaths0.mean() / hours0.mean()
        residual = (deaths1 - rate1 * hours1) / deaths1.mean() - (deaths0 - rate0 * hours0) / deaths0.mean()
        spread = mean_interval(residual, alpha).half_width
        ratio = float(rate1 / rate0)
        return [Estimate(ratio, ratio * float(spread))]


TREATED = (("bisoprolol", 2), ("enalapril", 2), ("furosemide", 1))
GROUPS = (  # patients whose scores lie around 10, 20, 30 and, as far as they reach, 40: phenotype, age, medicines
    (PRESERVED, (50.0, 8.0), TREATED),
    (PRESERVED, (70.0, 8.0), TREATED),
    (REDUCED, (50.0, 8.0), TREATED),
    (REDUCED, (68.0, 8.0), TREATED),
    (REDUCED, (68.0, 8.0), ()),
    (REDUCED, (84.0, 4.0), ()),
)
BAND = 5  # points to either side of a published score


@dataclass(frozen=True, kw_only=True)
class Maggic(Replicated):
    """Deaths within three years over those that the patients' MAGGIC scores foretell, by bands of the score.

    A band's deaths are 1 − exp(−Λ), Λ the hazard of those alive added up by months (Nelson & Aalen's, compensated);
    intervals are a jackknife's over replications. Since agreement is asked for to a quarter alone, the fault counts
    twenty times: by that share all hazards of death are too high.
    """

    tolerance: float = 0.25  # of each band
    patients: int = 10  # of each group in a replication
    replications: int = 12
    looks: int = 2

    def targets(self):
        why = "observed over expected " + NOTICE
        return [
            Target(f"deaths in 3 years, scores around {s}", 1.0, "Pocock 2013, expected", self.tolerance, reason=why)
            for s, _ in THREE_YEARS
        ]

    def replicate(self, seed):
        """Scores, expected chances, hours lived and hazards by month of all patients."""
        months_h = np.arange(37) * YEAR_H / 12
        risk, more = FOLLOWED.risk, 1 + 20 * self.fault
        worse = replace(risk, cardiac=risk.cardiac * more, other=risk.other * more)
        parts = []
        for k, (population, age, taken) in enumerate(GROUPS):
            world = replace(FOLLOWED, patients=self.patients, population=population, age=age, at_start=taken)
            world = replace(world, risk=worse)
            run = world.run(world.start(seed + k), months_h[-1])
            for name, patient in zip(world.names, run.state.patients, strict=True):
                told = {q: float(run.trace[name, q].value[1]) for q in ("ef", "sbp", "creatinine")}
                who, drugs = patient.person, dict(taken)
                points = score(who.age, who.male, **told, beta_blocker="bisoprolol" in drugs, ace="enalapril" in drugs)
                parts.append((points, three_year_death(points)))
            hazards = spent(run.trace, world.names, months_h)
            alive = lived(run.trace, world.names)
            parts[-self.patients :] = [
                (*p, a, *h) for p, a, h in zip(parts[-self.patients :], alive, np.diff(hazards), strict=True)
            ]
        return np.array(parts)

    def estimates(self, samples, alpha):
        rows, of = np.concatenate(samples), np.repeat(np.arange(len(samples)), [len(s) for s in samples])
        z = float(ndtri(1 - alpha / 2))
        found = []
        for s, _ in THREE_YEARS:
            here = np.abs(rows[:, 0] - s) <= BAND
            less = np.array([observed_over_expected(rows[here & (of != k)]) for k in range(len(samples))])
            spread = np.sqrt((len(less) - 1) * less.var())
            found.append(Estimate(observed_over_expected(rows[here]), z * float(spread)))
        return found


def observed_over_expected(rows: np.ndarray) -> float:
    """Over expected, of rows of score, expected chance, hours lived and hazards by month."""
    if not len(rows):
        return float("nan")
    first_h = np.arange(rows.shape[1] - 3) * YEAR_H / 12
    alive = rows[:, 2:3] > first_h
    months = (rows[:, 3:] * alive).sum(0) / np.maximum(alive.sum(0), 1)
    return float((1 - np.exp(-months.sum())) / rows[:, 1].mean())
