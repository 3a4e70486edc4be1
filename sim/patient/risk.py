"""What can happen to a patient, as hazards that add up to a threshold. Research only, not for clinical use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import NamedTuple

from sim.errors import require

YEAR_H = 8766.0
CAUSES = ("cardiac", "other", "decompensation", "infarction", "lost")  # the first two are deaths


class Clock(NamedTuple):
    """A cause of one spell: it fires when its cumulative hazard reaches the threshold, an Exp(1) of its own."""

    threshold: float
    cumulative: float = 0.0  # as of since_h
    since_h: float = 0.0
    rate_per_h: float = 0.0  # from then on

    @property
    def due_h(self) -> float:
        left = max(self.threshold - self.cumulative, 0.0)  # below it by rounding only
        return self.since_h + left / self.rate_per_h if self.rate_per_h > 0 else math.inf

    def spent(self, at_h: float) -> float:
        return self.cumulative + self.rate_per_h * (at_h - self.since_h)

    def at_rate(self, at_h: float, rate_per_h: float) -> Clock:
        """From *at_h* on at another rate."""
        return Clock(self.threshold, self.spent(at_h), at_h, rate_per_h)


@dataclass(frozen=True)
class Risk:
    """Proportional hazards: events a year of a patient of 70 with EF 30 %, PCWP 18 mmHg, SBP 110 mmHg, creatinine
    1.2 mg/dl and neurohormones (as far as no β-blocker shields from them) of 1.5; and logs of ratios.

    Age, EF, SBP and creatinine weigh about as in the MAGGIC score, a point of which is worth .095; the level and the
    weight of neurohormones are tuned so that deaths come as `sim.patient.outcome_checks` asks.
    """

    cardiac: float = 0.076
    other: float = 0.034
    decompensation: float = 0.20
    infarction: float = 0.02
    lost: float = 0.03
    age: float = 0.30  # a decade; 1.8 times as much for other deaths
    ef: float = 0.15  # 10 % less, as far as it is below 50 %
    pcwp: float = 0.04  # 5 mmHg
    congestion: float = 0.60  # 5 mmHg, beside that and on decompensation alone
    hormones: float = 0.75  # e times as many
    shielded: float = 0.73  # share of neurohormones from which a full β-block shields
    sbp: float = 0.10  # 10 mmHg less
    creatinine: float = 0.30  # 1 mg/dl
    frailty: float = 0.40  # one standard deviation
    inotrope: float = 0.7  # a full effect
    acute: float = 6.0  # deaths in hospital, times as many
    unattended: float = 2.0  # and times as many again while no bed is free

    def __post_init__(self):
        for field in CAUSES:
            require(0 <= getattr(self, field) <= 1e6, self, field, "between 0 and 1e6 a year")
        for field in fields(self)[len(CAUSES) : -2]:
            require(-3 <= getattr(self, field.name) <= 3, self, field.name, "between -3 and 3")
        require(0 <= self.shielded <= 1, self, "shielded", "between 0 and 1")
        for field in ("acute", "unattended"):
            require(0 < getattr(self, field) <= 100, self, field, "above 0 and at most 100")

    def rates_per_h(
        self,
        age: float,
        frailty: float,
        creatinine: float,
        hormones: float,
        told: Mapping[str, float],
        beta_block: float = 0.0,
        inotrope: float = 0.0,
        inside: bool = False,
        waiting: bool = False,
    ) -> tuple[float, ...]:
        """Of CAUSES, an hour. In hospital there is no further admission, and nobody is lost."""
        felt = max(hormones * (1 - self.shielded * beta_block), 1e-9)
        body = self.age * (age - 70) / 10 + self.ef * (30 - min(told["ef"], 50.0)) / 10
        body += self.pcwp * (told["pcwp"] - 18) / 5 + self.hormones * math.log(felt / 1.5)
        body += self.sbp * (110 - told["sbp"]) / 10 + self.creatinine * (creatinine - 1.2)
        frail, wet = self.frailty * frailty, self.congestion * (told["pcwp"] - 18) / 5
        death = (self.acute if inside else 1.0) * (self.unattended if waiting else 1.0)
        outside = 0.0 if inside else 1 / YEAR_H
        return (
            self.cardiac / YEAR_H * death * _exp(body + frail + self.inotrope * inotrope),
            self.other / YEAR_H * death * _exp(1.8 * self.age * (age - 70) / 10 + frail),
            self.decompensation * outside * _exp(body + frail + wet),
            self.infarction * outside * _exp(self.age * (age - 70) / 10),
            self.lost * outside,
        )


def _exp(x: float) -> float:
    return math.exp(min(max(x, -6.0), 6.0))
