"""What boosted trees have in common, whatever they predict: how they grow, and what is chosen of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sim.errors import require

GROWTH: dict[str, Any] = {
    "min_samples_leaf": 40,
    "learning_rate": 0.08,
    "max_features": 0.3,
    "l2_regularization": 1.0,
    "max_iter": 600,
    "early_stopping": True,
    "n_iter_no_change": 15,
}


@dataclass(frozen=True)
class Trees:
    """Histogram gradient boosting on *rows* windows; validation runs choose the number of trees and of *leaves*."""

    rows: int = 25_000
    leaves: tuple[int, ...] = (8, 20)
    seed: int = 0
    kind: str = "baseline"

    def __post_init__(self) -> None:
        object.__setattr__(self, "leaves", tuple(self.leaves))
        require(self.rows >= 1, self, "rows", "at least 1")
        require(bool(self.leaves) and min(self.leaves) >= 2, self, "leaves", "numbers of at least 2")
