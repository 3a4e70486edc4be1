"""Whether a folder holds a dataset, whole to the last byte, and what mends it where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from sim.errors import InputError
from twins.dataset import files, manifest

COMMAND = "python -m experiments.data"
BESIDE = ("cache", ".lock")  # which no configuration determines: made again when they are needed


class Fault(NamedTuple):
    """One file that is not as the manifest says: damaged, missing, or extra."""

    path: Path
    what: str
    mend: str  # a command, or what to do


def faults(directory: Path) -> list[Fault]:
    """Every file of the dataset in *directory* read again; empty where all are as its manifest says."""
    path = directory / manifest.MANIFEST
    try:
        told = manifest.read(directory)
    except InputError as error:
        if not path.exists():
            raise
        return [Fault(path, "damaged", f"rm '{path}' and the command that made the dataset ({error})")]
    again, found = remake(directory, told), []
    for name, entry in told["files"].items():
        file = directory / name
        if not file.is_file():
            found.append(Fault(file, "missing", again))
        elif not files.intact(file, entry):
            found.append(Fault(file, "damaged", f"rm '{file}' && {again}"))
    return found + [Fault(file, "extra", f"rm '{file}'") for file in extra(directory, told)]


def extra(directory: Path, told: dict) -> list[Path]:
    """What lies in the folder and belongs to no dataset, such as what a writer that was killed has left."""
    known = {*told["files"], manifest.MANIFEST}
    found = (path for path in sorted(directory.rglob("*")) if path.is_file())
    names = ((path, path.relative_to(directory)) for path in found)
    return [path for path, name in names if name.as_posix() not in known and name.parts[0] not in BESIDE]


def remake(directory: Path, told: dict) -> str:
    """The command that makes again what a dataset lacks, and keeps the rest."""
    configuration = told["configuration"]
    if "merged" in configuration:
        sources = " ".join(f"'{directory.parent / part['name']}'" for part in configuration["merged"])
        return f"{COMMAND} merge {sources} --root '{directory.parent}'"
    if "made_from" in told:
        return f"the command that made it from {told['made_from']['name']}"
    if "twin" in configuration:
        return f"{COMMAND} rebuild '{directory}'"
    return f"the command that read {told.get('source', {}).get('file', 'the table')}"


def is_dataset(directory: Path) -> bool:
    """Whether a dataset was begun there."""
    return (directory / manifest.MANIFEST).exists() or (directory / "shards").is_dir()


def state(directory: Path) -> tuple[str, dict | None]:
    """whole, damaged, or unfinished, in a few words; and the manifest where one can be read."""
    if not (directory / manifest.MANIFEST).exists():
        return f"unfinished, {len(list((directory / 'shards').glob('*.json')))} shards so far", None
    try:
        told = manifest.read(directory)
    except InputError:
        return "damaged: its manifest", None
    if gone := manifest.missing(directory, told):
        return f"damaged: lacks {len(gone)} of {len(told['files'])} files", told
    try:
        manifest.check(directory)
    except InputError:
        return "damaged: see verify", told
    return "whole", told


def kind(told: dict) -> dict[str, Any]:
    """What a dataset is of: the names of its world and twin, or of its table, or of what was merged."""
    configuration = told["configuration"]
    if "merged" in configuration:
        return {"twin": f"{len(configuration['merged'])} merged", "world": kind(configuration["merged"][0])["world"]}
    twin = configuration.get("twin")
    if twin is None:
        return {"twin": "observed", "world": told.get("source", {}).get("file", "–")}
    varied = sorted(twin.get("vary", ())) if "base" in twin else []
    twin = twin.get("base", twin)
    found = {"twin": _last(twin["_class"]), "world": _last(twin["world"]["_class"])}
    return found | ({"varied": varied} if varied else {})


def _last(path: str) -> str:
    return path.rpartition(".")[2]
