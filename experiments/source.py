"""Where episodes come from: a simulated plant, or a table of one's own. Both end in a dataset of the one schema."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sim.errors import InputError
from twins.dataset import Dataset, Plan, Progress, configuration, ensure, files, identity
from twins.executor import Executor
from twins.observed import Table, ensure_observed
from twins.twin import Twin


@dataclass(frozen=True)
class Simulated:
    """World runs of a twin."""

    twin: Twin
    plan: Plan

    @property
    def identity(self) -> str:
        """What names the data, revisions and defaults included."""
        return identity(configuration(self.twin, self.plan))

    def ensure(self, root: Path, executor: Executor | None = None, progress: Progress | None = None) -> Dataset:
        return ensure(self.twin, self.plan, root, 1, progress, executor=executor)


@dataclass(frozen=True)
class Observed(Table):
    """A table of readings; nothing hidden is known of it, so it has no twin and no oracle."""

    @property
    def identity(self) -> str:
        try:
            digest = files.sha256(Path(self.path))
        except OSError as error:
            raise InputError(
                f"source.path={self.path}: {error.strerror}; give the path of a table of readings"
            ) from None
        for key, path in (("test", self.test), ("left", self.left)):
            try:
                digest += files.sha256(Path(path)) if path else ""
            except OSError as error:
                raise InputError(f"source.{key}={path}: {error.strerror}; give the path of a file") from None
        return digest

    def ensure(self, root: Path, executor: Executor | None = None, progress: Progress | None = None) -> Dataset:
        return ensure_observed(self, root, progress)
