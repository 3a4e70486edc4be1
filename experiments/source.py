"""Where episodes come from: a simulated plant, or a table of one's own. Both end in a dataset of the one schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sim.errors import InputError
from twins.clean import Clean
from twins.dataset import Dataset, Plan, Progress, configuration, ensure, files, identity
from twins.dataset.derived import Steps, derive
from twins.dataset.derived import configuration as derived
from twins.executors.executor import Executor
from twins.faults import Faults
from twins.observed import Table, ensure_observed
from twins.twin import Twin


@dataclass(frozen=True)
class Simulated:
    """World runs of a twin."""

    twin: Twin
    plan: Plan
    faults: tuple[Any, ...] = ()  # of twins.faults, put in on purpose
    clean: tuple[Any, ...] = ()  # of twins.clean

    @property
    def steps(self) -> list[Steps]:
        """What the data go through before anybody learns from them."""
        return through(self.faults, self.clean)

    @property
    def identity(self) -> str:
        """What names the data, revisions and defaults included."""
        described = configuration(self.twin, self.plan)
        for steps in self.steps:
            described = derived(described, steps)
        return identity(described)

    def raw(self, root: Path, executor: Executor | None = None, progress: Progress | None = None) -> Dataset:
        """What the sensors read, before any step."""
        return ensure(self.twin, self.plan, root, 1, progress, executor=executor)

    def ensure(self, root: Path, executor: Executor | None = None, progress: Progress | None = None) -> Dataset:
        return passed(self.raw(root, executor, progress), self.steps, root, executor, progress)


@dataclass(frozen=True)
class Observed(Table):
    """A table of readings; nothing hidden is known of it, so it has no twin and no oracle."""

    faults: tuple[Any, ...] = field(default=(), compare=False)  # of twins.faults, put in on purpose
    clean: tuple[Any, ...] = field(default=(), compare=False)  # of twins.clean

    @property
    def steps(self) -> list[Steps]:
        """What the data go through before anybody learns from them."""
        return through(self.faults, self.clean)

    @property
    def identity(self) -> str:
        told: dict = {"file": self._digest()}
        for steps in self.steps:
            told = derived(told, steps)
        return identity(told) if self.steps else told["file"]

    def _digest(self) -> str:
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
        return passed(self.raw(root, executor, progress), self.steps, root, executor, progress)

    def raw(self, root: Path, executor: Executor | None = None, progress: Progress | None = None) -> Dataset:
        """The table as it was read, before any step."""
        return ensure_observed(self, root, progress)


def through(faults: Sequence[Any], clean: Sequence[Any]) -> list[Steps]:
    """Faults first, then cleaning."""
    return [*([Faults(tuple(faults))] if faults else []), *([Clean(tuple(clean))] if clean else [])]


def passed(
    dataset: Dataset,
    steps: Sequence[Steps],
    root: Path,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """The dataset that *steps* make of *dataset*, one after another."""
    for some in steps:
        dataset = derive(dataset, some, root, progress, executor)
    return dataset
