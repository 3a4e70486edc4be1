"""Checks of the circulation against its table and its laws, and of drugs. Research only, not for clinical use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.linalg import expm

from sim.errors import InputError, require
from sim.patient import orbit
from sim.patient.circulation import NORMAL, Circulation, follow, steady
from sim.patient.pharmacology import Body, Drug
from sim.verify import Replicated, Target

SOURCE = "tuned for this project on Burkhoff, Smith 2004 and Heldt 2004"
NOTICE = "research only, not for clinical use"


def _named(world: Replicated, values: Mapping[str, float]) -> None:
    if unknown := set(values) - set(orbit.OUTPUTS):
        raise InputError(
            f"{type(world).__name__}.row names {unknown.pop()!r}; it must be among {', '.join(orbit.OUTPUTS)}"
        )


@dataclass(frozen=True, kw_only=True)
class Row(Replicated):
    """One row of the table of the circulation. The fault makes both resistance and stressed volume larger."""

    patient: Circulation = NORMAL
    row: Mapping[str, float] = field(default_factory=dict)  # output: its reference
    replications: int = 2  # nothing is drawn

    def __post_init__(self):
        super().__post_init__()
        require(bool(self.row), self, "row", "an output and its reference, at least one")
        _named(self, self.row)

    def targets(self):
        told = enumerate(self.row.items())
        return [
            Target(name, float(value), SOURCE, 0.1 if name == "co" else 1.0, True, "" if n else NOTICE)
            for n, (name, value) in told
        ]

    def replicate(self, seed):
        p, up = self.patient, 1 + self.fault
        told = steady([replace(p, ra=p.ra * up, vs_ml=p.vs_ml * up)]).outputs
        return [float(told[name][0]) for name in self.row]


@dataclass(frozen=True, kw_only=True)
class Blood(Replicated):
    """A bleeding patient, beat by beat: no blood is lost twice, and plain beats settle on the periodic orbit.

    The fault takes more blood than the reference knows of.
    """

    patient: Circulation = NORMAL
    bled_ml: float = 500.0
    beats: int = 400
    replications: int = 2

    def targets(self):
        after = steady([self.patient.bleed(self.bled_ml)]).outputs
        sv = float(after["sv_right"][0])
        return [
            Target("total volume, ml", self.patient.blood_ml - self.bled_ml, "conservation", 1e-6, True, NOTICE),
            Target("left stroke volume, ml", sv, "the right one's, from the orbit", 1e-6, True),
            Target("mean arterial pressure, mmHg", float(after["map"][0]), "the periodic orbit", 1e-6, True),
        ]

    def replicate(self, seed):
        told = follow(self.patient, self.patient.bleed(self.bled_ml * (1 + self.fault)), self.beats)
        total = told["loop_ml"] + told["reservoir_ml"]
        far = total[np.argmax(np.abs(total - total[0]))]
        return [float(far), float(told["out_ml"][-1]), float(told["map"][-1])]


@dataclass(frozen=True, kw_only=True)
class Kinetics(Replicated):
    """A bolus, an oral dose and an infusion at once, against the matrix exponential of the compartments, to 1e-8.

    The fault raises the clearance of the body and not of the reference.
    """

    drug: Drug = field(default_factory=lambda: Drug(12.0, 3.0, 1.1, 0.8, 5.0, 25.0))
    times_h: tuple[float, ...] = (0.5, 3.0, 24.0)
    replications: int = 2

    def __post_init__(self):
        super().__post_init__()
        require(bool(self.times_h) and min(self.times_h) > 0, self, "times_h", "times above 0, at least one")

    def targets(self):
        d = self.drug
        out, to, back = (
            d.clearance_l_per_h / d.volume_l,
            d.exchange_l_per_h / d.volume_l,
            d.exchange_l_per_h / d.peripheral_l,
        )
        ka = d.absorption_per_h
        flow = np.array([[-ka, 0, 0, 0], [ka, -out - to, back, 1], [0, to, -back, 0], [0, 0, 0, 0]])
        begin = [100 * d.bioavailability, 40.0, 0.0, 5.0]
        return [
            Target(
                f"mg/l at {t:g} h", float((expm(flow * t) @ begin)[1] / d.volume_l), "matrix exponential", 1e-8, True
            )
            for t in self.times_h
        ]

    def replicate(self, seed):
        drug = replace(self.drug, clearance_l_per_h=self.drug.clearance_l_per_h * (1 + self.fault))
        body = Body().bolus(drug, 0, 40.0).swallow(drug, 0, 100.0).infuse(drug, 0, 5.0)
        return [body.concentration(drug, t) for t in self.times_h]
