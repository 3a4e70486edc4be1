"""Chargers as a loss system."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sim.errors import require
from sim.homes.config import Chargers
from sim.homes.process import CHARGERS, Homes
from sim.homes.theory import erlang_b
from sim.laws import Exponential, Law
from sim.verify import Replicated, Target


@dataclass(frozen=True, kw_only=True)
class Blocking(Replicated):
    """The share of visitors who find no charger free, and the mean number taken, by Erlang's formula.

    The formula holds for every law of the dwell time. The fault lengthens it.
    """

    count: int = 10
    offered: float = 8.0  # erlang: visits in a mean dwell time
    dwell: Law = Exponential(1.0)
    warm_up_h: float = 40.0
    length_h: float = 1000.0
    replications: int = 128
    tolerance: float = 0.02

    def __post_init__(self):
        super().__post_init__()
        require(0 < self.warm_up_h < math.inf, self, "warm_up_h", "above 0 and finite")
        require(0 < self.length_h < math.inf, self, "length_h", "above 0 and finite")
        require(0 < self.offered < math.inf, self, "offered", "above 0 and finite")

    def targets(self):
        blocked, source = erlang_b(self.count, self.offered), "Erlang 1917, formula B"
        why = "chance in the number blocked"
        return [
            Target("share of visitors blocked", blocked, source, self.tolerance, reason=why),
            Target("chargers taken", self.offered * (1 - blocked), source, 0.005),
        ]

    def replicate(self, seed):
        dwell = replace(self.dwell, mean_h=self.dwell.mean_h * (1 + self.fault))  # type: ignore[type-var]
        visits = self.offered / self.dwell.mean_h
        world = Homes((), chargers=Chargers(self.count, dwell=dwell, visits_per_h=visits))
        state = world.run(world.start(seed), self.warm_up_h).state
        end_h = self.warm_up_h + self.length_h
        trace = world.run(state, end_h).trace
        came = [event.kind for event in trace.events if event.kind in ("charge", "blocked")]
        busy = trace[CHARGERS, "busy"]
        edges_h = np.concatenate(([self.warm_up_h], busy.time_h[1:], [end_h]))
        return [came.count("blocked") / len(came), float(np.dot(busy.value, np.diff(edges_h))) / self.length_h]
