"""Medicines by mouth, and who gets how much: doses, effects, policies. Research only, not for clinical use.

Kinetics are rounded from product labels to one compartment. The effect of a day is that of its mean concentration, by
Emax with half the effect at the mean concentration of the middle dose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index

from sim.errors import InputError, require
from sim.patient.disease import ACTS
from sim.patient.pharmacology import Body, Drug

DAY_H = 24.0
MOVES = (-1, 0, 1)  # what a decision may do to a dose: a level down, none, a level up


@dataclass(frozen=True)
class Medicine:
    """One a day, at a level 0 (none) to the number of *doses_mg*."""

    name: str
    acts: str  # one of ACTS
    drug: Drug
    doses_mg: tuple[float, ...]
    most: float = 1.0  # its largest effect

    def __post_init__(self):
        require(self.acts in ACTS, self, "acts", f"among {', '.join(ACTS)}")
        object.__setattr__(self, "doses_mg", tuple(map(float, self.doses_mg)))
        rising = all(0 < a < b < math.inf for a, b in zip(self.doses_mg, self.doses_mg[1:], strict=False))
        require(rising and len(self.doses_mg) > 1, self, "doses_mg", "two or more, above 0 and rising")
        require(0 <= self.most <= 1, self, "most", "between 0 and 1")
        require(self.drug.exchange_l_per_h == 0, self, "drug", "of one compartment (exchange_l_per_h 0)")

    @property
    def ec50_mg_per_l(self) -> float:
        return self.drug.average_mg_per_l(self.doses_mg[len(self.doses_mg) // 2], DAY_H, oral=True)

    def effect(self, mg_per_l: float) -> float:
        return self.most * mg_per_l / (mg_per_l + self.ec50_mg_per_l)

    def take(self, body: Body, at_h: float, level: int) -> tuple[Body, float]:
        """The body after the dose of *level*, and the mean concentration of the day that begins (mg/l), exactly.

        What has gone from gut and blood after a day is the clearance times the area under the concentration.
        """
        now = body.swallow(self.drug, at_h, self.doses_mg[level - 1]) if level else body.advance(self.drug, at_h)
        then = now.advance(self.drug, at_h + DAY_H)
        gone = sum(now.modes_mg) + now.gut_mg - sum(then.modes_mg) - then.gut_mg
        return now, max(gone, 0.0) / self.drug.clearance_l_per_h / DAY_H


FORMULARY = (
    Medicine("bisoprolol", "beta_blocker", Drug(226.0, 15.0, 0.8, 0.9), (2.5, 5.0, 10.0)),
    Medicine("enalapril", "ace_inhibitor", Drug(100.0, 6.3, 0.9, 0.4), (5.0, 10.0, 20.0)),
    Medicine("sacubitril_valsartan", "ace_inhibitor", Drug(100.0, 6.0, 0.7, 0.6), (100.0, 200.0, 400.0)),
    Medicine("furosemide", "loop_diuretic", Drug(12.0, 6.0, 0.8, 0.55), (20.0, 40.0, 80.0)),
    Medicine("spironolactone", "mra", Drug(300.0, 12.6, 0.9, 0.7), (12.5, 25.0, 50.0)),
    Medicine("dapagliflozin", "sglt2_inhibitor", Drug(118.0, 6.5, 1.5, 0.78), (2.5, 5.0, 10.0)),
)


def conflict(medicines: Sequence[Medicine]) -> tuple[str, str] | None:
    """Two of *medicines* that must not be taken together: those that act alike, and a β-blocker with an inotrope."""
    for k, a in enumerate(medicines):
        for b in medicines[k + 1 :]:
            if a.acts == b.acts or {a.acts, b.acts} == {"beta_blocker", "inotrope"}:
                return a.name, b.name
    return None


def at_levels(owner: object, field: str) -> None:
    """Hold a field of medicines and their levels to its type; raises InputError for what is no such list."""
    given = getattr(owner, field)
    try:
        pairs = tuple((str(name), index(level)) for name, level in given)
    except (TypeError, ValueError):
        pairs = None
    ok = pairs is not None and len(dict(pairs)) == len(pairs)
    require(ok, owner, field, "a list of medicines, each once and with a whole level")
    object.__setattr__(owner, field, pairs)


@dataclass(frozen=True)
class Prescribe:
    """Action: these medicines at these levels from the next day on; what is not named stays as it is."""

    patient: str
    levels: tuple[tuple[str, int], ...] = ()

    def __post_init__(self):
        at_levels(self, "levels")


@dataclass(frozen=True)
class Policy:
    """How doses are decided at a visit, a coin with three sides for each medicine in turn.

    The logit of a level up, against none, is `up` + γ·(severity + hidden·frailty), that of a level down `down` +
    γ·(100 mmHg − sbp)/10 mmHg. Severity is ln(NT-proBNP as measured/1000). At γ = 0 it is a randomised trial.
    Each possible action has at least the chance `floor`. After that, one coin decides whether the patient is sent to
    one of `procedures` not had before, the logit of each against none being `refer` + γ·(severity + hidden·frailty).
    """

    medicines: tuple[str, ...] = ("bisoprolol", "enalapril", "furosemide", "spironolactone", "dapagliflozin")
    gamma: float = 1.0
    hidden: float = 0.0  # how much frailty, which no record shows, counts beside severity
    up: float = 0.5
    down: float = -2.0
    floor: float = 0.05
    procedures: tuple[str, ...] = ()
    refer: float = -5.0
    refer_floor: float = 0.002  # least chance of each procedure not had before

    def __post_init__(self):
        for field in ("medicines", "procedures"):
            names = tuple(getattr(self, field))
            object.__setattr__(self, field, names)
            require(len(set(names)) == len(names), self, field, "each once")
        require(0 <= self.gamma <= 10, self, "gamma", "between 0 and 10")
        for field in ("hidden", "up", "down", "refer"):
            require(-10 <= getattr(self, field) <= 10, self, field, "between -10 and 10")
        must = "at least 0.001 and at most 0.3, so that every possible action has a chance"
        require(0.001 <= self.floor <= 0.3, self, "floor", must)
        require(
            0.0001 <= self.refer_floor <= 0.1,
            self,
            "refer_floor",
            "at least 0.0001 and at most 0.1, so that each has a chance",
        )

    def chances(self, possible: Sequence[bool], severity: float, sbp: float, frailty: float) -> tuple[float, ...]:
        """Of each of MOVES; 0 for what is not possible."""
        up = self.up + self.gamma * (severity + self.hidden * frailty)
        down = self.down + self.gamma * (100 - sbp) / 10
        logits = [min(max(x, -30.0), 30.0) for x in (down, 0.0, up)]
        weights = [math.exp(x) if ok else 0.0 for x, ok in zip(logits, possible, strict=True)]
        whole, left = sum(weights), 1 - self.floor * sum(possible)
        return tuple((self.floor + left * w / whole) * ok for w, ok in zip(weights, possible, strict=True))

    def referrals(self, possible: Sequence[bool], severity: float, frailty: float) -> tuple[float, ...]:
        """Of each of `procedures`; 0 for what is not possible. What is left is the chance of none."""
        logit = self.refer + self.gamma * (severity + self.hidden * frailty)
        weight = math.exp(min(max(logit, -30.0), 30.0))
        left = 1 - self.refer_floor * sum(possible)
        each = self.refer_floor + left * weight / (1 + weight * sum(possible))
        return tuple(each * ok for ok in possible)


def known(owner: str, names: Sequence[str], formulary: Sequence[Medicine]) -> list[Medicine]:
    """The medicines of these names; refuses one that is not in the formulary."""
    have = {medicine.name: medicine for medicine in formulary}
    for name in names:
        if name not in have:
            raise InputError(f"{owner} names {name!r}; it must be among {', '.join(have)}")
    return [have[name] for name in names]
