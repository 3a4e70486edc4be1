"""Datasets made again from what they say of themselves: what they lack, or the same worlds seen otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sim.errors import InputError
from sim.trace import Run
from twins import paths
from twins.dataset import files, generate, health, manifest
from twins.dataset.generate import Live, Maker, Plan, Progress, configuration, simulated
from twins.dataset.identity import describe, identity, revive
from twins.dataset.making import RECIPE
from twins.dataset.store import Dataset
from twins.executors.platform import probe
from twins.executors.workers import Local
from twins.twin import Twin
from twins.varied import changed, twin_of


class Again(NamedTuple):
    """A dataset, and how its runs came about: from the traces of another one, or simulated."""

    dataset: Dataset
    how: str


class Replayed(NamedTuple):
    """What a shard says of itself when it is made here, and whether that is what the dataset holds of it."""

    record: dict
    same: bool | None  # None where the dataset does not hold it


class _Unsaid(Exception):
    """A twin has asked for what a trace does not tell."""


class _End:
    """The end of a run of which only the trace was kept."""

    def __getattr__(self, name: str) -> Any:
        raise _Unsaid(name)


@dataclass(frozen=True)
class Traces:
    """The traces of a dataset in place of a simulation."""

    dataset: Dataset

    def __call__(self, twin: Twin, run: int, duration_h: float) -> Run:
        return Run(self.dataset.trace(run), _End())


def parts_of(told: dict, directory: Path) -> tuple[Twin, Plan]:
    """The twin and the plan of a simulated dataset, built from its manifest; raises InputError where they cannot be."""
    described = told["configuration"]
    if "twin" not in described:
        made = health.remake(directory, told)
        raise InputError(f"{directory} was not simulated, so no twin can make it again; run {made}")
    if "made_from" in told:
        raise InputError(
            f"{directory} was made from {told['made_from']['name']} and not simulated itself; "
            "run the command that made it"
        )
    twin, plan = (revive(described[part], f"the {part} of {directory}") for part in ("twin", "plan"))
    if configuration(twin, plan) != described:
        raise InputError(
            f"{directory} was made by another revision of its world or twin than is here; generate it anew, or use the "
            "code that made it"
        )
    return twin, plan


def rebuild(directory: str | Path, workers: int = 1, progress: Progress | None = None) -> Dataset:
    """What the dataset in *directory* lacks, made anew; damaged files are removed first, all others are kept."""
    directory = Path(directory)
    told = manifest.read(directory)
    twin, plan = parts_of(told, directory)
    for fault in health.faults(directory):
        if fault.what == "damaged":
            files.remove(fault.path)
    return generate.make(directory, twin, plan, Local(workers), progress)


def replay(directory: str | Path, name: str) -> Replayed:
    """Make shard *name* of the dataset in *directory*, finished or not, in this process; nothing is written.

    What goes wrong in it is raised as it is. Raises InputError where there is no such shard.
    """
    directory = Path(directory)
    told = _told_of(directory)
    twin, plan = parts_of(told, directory)
    shards = {shard.name: shard for shard in plan.shards()}
    if name not in shards:
        raise InputError(f"{directory} has no shard {name!r}; it has {', '.join([*shards][:3])}, … {[*shards][-1]}")
    maker = Maker(twin, plan.duration_h, identity(told["configuration"]), simulated, probe(), isinstance(plan, Live))
    made = maker(shards[name])
    path = manifest.record_path(name)
    record = files.sealed(made[path])
    try:
        held = files.read_json(directory / path)
    except (OSError, ValueError):
        return Replayed(record, None)
    return Replayed(record, held["runs"] == record["runs"])


def _told_of(directory: Path) -> dict:
    """The manifest, or what an unfinished dataset is made from."""
    if (directory / manifest.MANIFEST).exists():
        return manifest.read(directory)
    try:
        return files.read_json(directory / RECIPE)
    except (OSError, ValueError):
        raise InputError(
            f"{directory} holds no dataset, nor the beginning of one ({RECIPE} is missing); name the folder it is in"
        ) from None


def rerender(
    dataset: Dataset,
    values: Mapping[str, paths.Value],
    root: str | Path,
    workers: int = 1,
    progress: Progress | None = None,
) -> Again:
    """The runs of *dataset* seen by its twin with other *values* (`twin.step_h`), as a dataset under *root*.

    It is, byte for byte, the one that generating from the changed configuration gives; the traces that are stored stand
    in for the simulation where the world is the same and they tell the twin all that it asks for.
    """
    twin, plan = parts_of(dataset.manifest, dataset.path)
    other = changed(twin, values)
    if describe(other) == describe(twin):
        raise InputError(f"{dataset.path} is what these values give; name another value of the twin or its world")
    source = None
    why = "the world changes" if describe(other.world) != describe(twin.world) else _told_by(dataset, other)
    if why is None:
        source = Traces(dataset)
    made = generate.ensure(other, plan, root, workers, progress, source)
    return Again(made, "rendered from stored traces" if source else f"simulated, since {why}")


def _told_by(dataset: Dataset, twin: Twin) -> str | None:
    """Why the traces of a dataset cannot stand in for the simulation; None where they can."""
    if not manifest.made_here(dataset.manifest):
        return "the traces were made where numbers come out differently"
    run = next(run for split in dataset.splits for run in dataset.runs(split))
    try:
        trace = dataset.trace(run)
    except InputError:
        return "no traces are stored"
    try:
        for _ in twin_of(twin, run).observe(Run(trace, _End())):
            pass
    except _Unsaid:
        return "the twin looks at more than a trace tells"
    return None
