"""Where episodes come from: a simulated plant, or a table of one's own. Both end in a dataset of the one schema."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from twins.dataset import Dataset, Plan, ensure
from twins.dataset.generate import Progress
from twins.twin import Twin


@dataclass(frozen=True)
class Simulated:
    """World runs of a twin."""

    twin: Twin
    plan: Plan

    @property
    def identity(self) -> str:
        """What changes the data without a change of the configuration."""
        return f"world {self.twin.world.revision}, twin {self.twin.revision}"

    def ensure(self, root: Path, workers: int, progress: Progress | None = None) -> Dataset:
        return ensure(self.twin, self.plan, root, workers, progress)
