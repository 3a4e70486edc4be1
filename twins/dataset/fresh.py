"""World runs that no dataset holds, simulated when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass

from sim.errors import require
from twins.dataset.generate import Plan, observed
from twins.episode import Episode
from twins.twin import Twin

HALF = 2**31  # of the run numbers of one plan's seed are its own, the others are fresh


@dataclass(frozen=True)
class Fresh:
    """Fresh run i of a plan has the seed `plan.seed` · 2³² + 2³¹ + i, so that it is none of the plan's own."""

    twin: Twin
    plan: Plan

    def __post_init__(self):
        own = self.plan.train + self.plan.validation + self.plan.test
        require(
            own <= HALF, self.plan, "train", "such that all splits have 2³¹ runs at most where fresh ones are asked for"
        )

    def __call__(self, i: int) -> list[Episode]:
        """The episodes of fresh run *i*; picklable, and free of JAX, so that any worker may make them."""
        return observed(self.twin, self.plan.seed * 2**32 + HALF + i, self.plan.duration_h)[1]
