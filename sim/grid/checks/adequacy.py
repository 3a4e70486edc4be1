"""Generating capacity against the published indices, and the days that count as major events."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import stats

from sim.grid.adequacy import generation, kinds
from sim.grid.reliability import major_days
from sim.verify import Exact, Replicated, Target

REFERENCE = {"rbts": (1.09156, 9.861), "rts79": (9.39418, 1176.3)}
ROUNDING = {"rbts": (5e-6, 5e-4), "rts79": (5e-6, 5e-2)}


@dataclass(frozen=True, kw_only=True)
class EnumeratedAdequacy(Exact):
    """Loss of load of a published system, over every state of its units. The fault makes outages more frequent."""

    system: Literal["rbts", "rts79"] = "rbts"

    def targets(self):
        names = ("LOLE (h a year)", "EENS (MWh a year)")
        return [
            Target(name, value, "IEEE RTS 1979; Billinton et al. 1989", rounding, True, "as printed")
            for name, value, rounding in zip(names, REFERENCE[self.system], ROUNDING[self.system], strict=True)
        ]

    def replicate(self, seed):
        whole = generation(self.system)
        return list(replace(whole, units=kinds(whole.units, 1 + self.fault)).enumerated())


@dataclass(frozen=True, kw_only=True)
class DrawnAdequacy(Replicated):
    """The same from drawn states of the units. The fault makes outages more frequent."""

    system: Literal["rbts", "rts79"] = "rts79"
    years: int = 400

    def targets(self):
        lole_h, eens_mwh = REFERENCE[self.system]
        reason = "2 %: a load is lost in one hour of a thousand"
        return [
            Target("LOLE (h a year)", lole_h, "IEEE RTS 1979", 0.02, reason=reason),
            Target("EENS (MWh a year)", eens_mwh, "IEEE RTS 1979", 0.02, reason=reason),
        ]

    def replicate(self, seed):
        whole = generation(self.system)
        units = kinds(whole.units, 1 + self.fault)
        return list(replace(whole, units=units).drawn(np.random.default_rng(seed), self.years))


@dataclass(frozen=True, kw_only=True)
class MajorDays(Replicated):
    """The share of days beyond the threshold of 2.5 β where the logarithm of a day's SAIDI is normal: 1 − Φ(2.5). The
    fault draws the days of one year from a wider law than those that set the threshold."""

    days: int = 40_000
    mean: float = -2.0
    spread: float = 1.4

    def targets(self):
        share = float(stats.norm.sf(2.5))
        return [Target("share of days", share, "IEEE 1366-2022, annex B", 0.02, reason="2 %: six days in a thousand")]

    def replicate(self, seed):
        rng = np.random.default_rng(seed)
        before = np.exp(rng.normal(self.mean, self.spread, self.days))
        year = np.exp(rng.normal(self.mean, self.spread * (1 + self.fault), self.days))
        return [float(major_days(before, year).mean())]
