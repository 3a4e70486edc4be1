"""Trials of a medicine in silico: whom both arms would have done what to, and what a trial of them would have found.

Research only, not for clinical use. Every patient lives under both assignments with the same draws, so that the true
effect is known; a trial then enrols patients, assigns each by chance, looks at planned numbers of deaths, and stops
where a boundary is crossed. It is done many times over with other patients and other chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sim.errors import InputError, require
from sim.laws import Deterministic
from sim.patient.care import Care
from sim.patient.disease import Slow
from sim.patient.medicines import Prescribe, at_levels
from sim.patient.risk import YEAR_H, Risk
from sim.patient.state import State
from sim.streams import Streams
from sim.survival import Rule, boundaries, crossing, events_needed, hazard_ratio, kaplan_meier, log_rank

Arm = tuple[tuple[str, int], ...]  # medicines and their levels
COHORT = Care(
    25, slow=Slow(tolerance=1e-2), risk=Risk(lost=0.0), policy=None, beds=(None,) * 4, visit=Deterministic(1e6)
)


MOST = 1_000_000  # patients of a trial


@dataclass(frozen=True)
class Design:
    """Two arms, whom a coin or blocks assign to them, and when it is looked at what came of it.

    *crossover* is how many of those assigned to one arm change to the other, a year, by chance alone; they are counted
    where they were assigned. Patients come evenly over `enrol_years` and are followed for `years` each at most. Where
    *patients* is null, as many are enrolled as give `events_needed` for `ratio` at `power`, by the pool's mean chance
    of death.
    """

    control: Arm = (("enalapril", 2), ("furosemide", 2))
    treated: Arm = (("enalapril", 2), ("furosemide", 2), ("bisoprolol", 3))
    patients: int | None = None
    ratio: float = 0.66  # of hazards, for which the trial is planned
    alpha: float = 0.05  # of two sides
    power: float = 0.9
    looks: int = 4
    rule: Rule = "obrien_fleming"
    block: int | None = 4  # patients in a block of equally many to each arm; null: a coin each
    crossover: float = 0.0
    enrol_years: float = 1.0
    years: float = 2.0
    world: Care = COHORT  # of a run; the medicines that its patients start with are the arm's

    def __post_init__(self):
        for field in ("control", "treated"):
            at_levels(self, field)
        require(self.patients is None or self.patients >= 10, self, "patients", "at least 10, or null")
        require(1e-9 <= self.alpha < 0.5, self, "alpha", "at least 1e-9 and below 0.5")
        require(0.5 <= self.power < 1, self, "power", "at least 0.5 and below 1")
        require(1 <= self.looks <= 20, self, "looks", "from 1 to 20")
        require(self.rule in ("obrien_fleming", "pocock"), self, "rule", "'obrien_fleming' or 'pocock'")
        require(self.block is None or self.block in range(2, 21, 2), self, "block", "even, from 2 to 20, or null")
        require(0 <= self.crossover <= 2, self, "crossover", "between 0 and 2 a year")
        require(0 <= self.enrol_years <= 10, self, "enrol_years", "between 0 and 10")
        require(0 < self.years <= 10, self, "years", "above 0 and at most 10")
        require(0 < self.ratio < 10 and self.ratio != 1, self, "ratio", "above 0 and below 10, not 1")
        free = all(limit is None for limit in self.world.beds)
        require(free and self.world.policy is None, self, "world", "one with beds for all and without a policy")
        for arm in (self.control, self.treated):
            self.world.prescribed("Design", (0,) * len(self.world.formulary), arm)

    @property
    def events(self) -> int:
        return events_needed(self.ratio, self.alpha, self.power)


class Pool(NamedTuple):
    """Of N patients the years to death or to the end of follow-up, and whether it was death, under each assignment.

    As 0 control and 1 treated: `assigned`, those who cross over included, and `true`, where nobody does.
    """

    assigned_2xN: np.ndarray
    died_2xN: np.ndarray
    true_2xN: np.ndarray
    true_died_2xN: np.ndarray


def pool(design: Design, seed: int) -> Pool:
    """The patients of one world run under both arms."""
    true = [_fates(design, seed, arm, None) for arm in (design.control, design.treated)]
    told = true
    if design.crossover:
        pairs = ((design.control, design.treated), (design.treated, design.control))
        told = [_fates(design, seed, *pair) for pair in pairs]
    return Pool(*(np.array([arm[k] for arm in arms]) for arms in (told, true) for k in (0, 1)))


def joined(pools: list[Pool]) -> Pool:
    return Pool(*(np.concatenate(part, axis=1) for part in zip(*pools, strict=True)))


def _fates(design: Design, seed: int, arm: Arm, other: Arm | None) -> tuple[np.ndarray, np.ndarray]:
    world = replace(design.world, at_start=arm)
    state, end_h = world.start(seed), design.years * YEAR_H
    left_h: dict[str, float] = {}
    died: set[str] = set()  # the others who left were lost to follow-up: censored there

    def go(state: State, until_h: float) -> State:
        trace, state = world.run(state, until_h)
        left_h.update({e.entity: e.time_h for e in trace.events if e.kind in ("death", "lost")})
        died.update(e.entity for e in trace.events if e.kind == "death")
        return state

    if other is not None:
        off = tuple((name, 0) for name, _ in arm if name not in dict(other))
        uniform = {name: float(Streams.uniforms(seed, f"{name}/crossover", 1)[0]) for name in world.names}
        due = sorted((-math.log(u) / design.crossover * YEAR_H, name) for name, u in uniform.items())
        for at_h, name in due:
            if at_h < end_h:
                state = world.act(go(state, at_h), Prescribe(name, (*off, *other)))
    go(state, end_h)
    lived = np.array([left_h.get(name, end_h) for name in world.names]) / YEAR_H
    return lived, np.array([name in died for name in world.names])


class Found(NamedTuple):
    """What one trial found: at its last look."""

    z: float  # below 0: fewer deaths among the treated
    look: int  # at which it stopped, from 1 on
    stopped: bool  # by its boundary
    ratio: float  # of hazards, estimated; not a number where an arm has no death
    deaths: int
    patients: int
    years: float  # since the first was enrolled


def trial(design: Design, patients: Pool, count: int, rng: np.random.Generator, null: bool = False) -> Found:
    """One trial of *count* patients drawn from a pool; under the *null* nobody's fate depends on the assignment."""
    who = rng.integers(patients.assigned_2xN.shape[1], size=count)
    second = _assigned(design, count, rng)
    arm = np.zeros(count, int) if null else second.astype(int)
    lived, died = patients.assigned_2xN[arm, who], patients.died_2xN[arm, who]
    enrolled = np.sort(rng.uniform(0, design.enrol_years, count))
    deaths_at = np.sort((enrolled + lived)[died])
    bounds = boundaries_of(design)
    latest = design.enrol_years + design.years
    for look, bound in enumerate(bounds, 1):
        wanted = math.ceil(design.events * look / design.looks)
        now = deaths_at[wanted - 1] if wanted <= len(deaths_at) else latest
        inside = enrolled < now
        dead = (died & (enrolled + lived <= now))[inside]  # the very sum that set the look, so its death counts
        seen = np.minimum(lived, now - enrolled)[inside]
        z = log_rank(seen, dead, second[inside]).z
        last = look == design.looks or now == latest
        if abs(z) >= bound or last:
            both = dead[second[inside]].any() and dead[~second[inside]].any()
            ratio = hazard_ratio(seen, dead, second[inside])[0] if both else math.nan
            return Found(z, look, abs(z) >= bound, ratio, int(dead.sum()), int(inside.sum()), float(now))
    raise AssertionError("the last look ends a trial")


def boundaries_of(design: Design) -> np.ndarray:
    """The z that stops this trial, at each look."""
    return _boundaries(design.looks, design.alpha, design.rule)


@lru_cache(maxsize=64)
def _boundaries(looks: int, alpha: float, rule: Rule) -> np.ndarray:
    return boundaries(looks, alpha, rule)


def _assigned(design: Design, count: int, rng: np.random.Generator) -> np.ndarray:
    """Who is assigned to the treated arm."""
    if design.block is None:
        return rng.random(count) < 0.5
    half = np.arange(design.block) < design.block // 2
    return np.concatenate([rng.permutation(half) for _ in range(-(-count // design.block))])[:count]


class Truth(NamedTuple):
    """The effect on all patients of a pool, each under both arms."""

    ratio: float  # of hazards
    dead: tuple[float, float]  # share at the end of follow-up, control and treated
    lived: tuple[float, float]  # mean years survived within it


def truth(design: Design, patients: Pool, crossed: bool = False) -> Truth:
    """Where nobody crosses over, or (*crossed*) by assignment alone, as a trial that is analysed so estimates it."""
    lived, died = patients[:2] if crossed else patients[2:]
    second = np.repeat([False, True], lived.shape[1])
    ratio = hazard_ratio(lived.ravel(), died.ravel(), second)[0]
    curves = [kaplan_meier(t, d) for t, d in zip(lived, died, strict=True)]
    dead = tuple(1 - curve.at(design.years) for curve in curves)
    return Truth(ratio, dead, tuple(curve.mean(design.years) for curve in curves))  # type: ignore[arg-type]


def patients_needed(design: Design, patients: Pool) -> int:
    """As many as make it likely that `events` die within follow-up; raises InputError above MOST."""
    share = float(patients.died_2xN.mean())
    if design.patients:
        return design.patients
    if design.events > MOST * share:
        raise InputError(
            f"design.years is {design.years:g} and design.ratio {design.ratio:g}: of patients of whom {share:.2%} die, "
            f"{design.events} deaths take more than {MOST} of them; follow for longer, or plan for a larger effect"
        )
    return math.ceil(design.events / share)


def planned_power(design: Design, ratio: float) -> np.ndarray:
    """The chance to stop at each look were the ratio of hazards *ratio*, and all looks at their planned deaths."""
    t = np.arange(1, design.looks + 1) / design.looks
    return crossing(boundaries_of(design).tolist(), t.tolist(), math.log(ratio) * math.sqrt(design.events / 4))
