"""The published base case of a power flow."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sim.grid.cases import case33bw
from sim.grid.flow import Flow
from sim.verify import Exact, Target


@dataclass(frozen=True, kw_only=True)
class BaseCase(Exact):
    """Losses and the lowest voltage of the 33-bus feeder at its published loads. The fault scales every impedance."""

    def targets(self):
        source = "Baran & Wu 1989; MATPOWER case33bw"
        return [
            Target("losses (kW)", 202.677, source, 5e-4, True, "as printed"),
            Target("voltage at bus 18 (pu)", 0.91309, source, 5e-6, True, "as printed"),
        ]

    def replicate(self, seed):
        case, factor = case33bw(), 1 + self.fault
        sections = [
            replace(s, resistance_ohm=factor * s.resistance_ohm, reactance_ohm=factor * s.reactance_ohm)
            for s in case.sections
        ]
        flow = Flow(replace(case, sections=tuple(sections)))
        kw, kvar = (np.array([[getattr(p, f) for p in case.load_points]]) for f in ("load_kw", "load_kvar"))
        found = flow(kw, kvar)
        return [float(found.loss_kw_T[0]), float(found.voltage_pu_TxB[0, flow.buses.index("18")])]
