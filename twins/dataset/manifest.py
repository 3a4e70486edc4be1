"""What a dataset says of itself: a record a shard, written when it is whole, and the manifest that joins them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sim.errors import InputError
from sim.trace import Trace
from twins.dataset import files
from twins.dataset.identity import identity as identity_of
from twins.dataset.shards import READABLE, SCHEMA_VERSION, content
from twins.episode import Episode
from twins.executors.platform import probe, stamp

MANIFEST = "manifest.json"
CHECKED = "cache/checked.json"


def record_path(name: str) -> str:
    return f"shards/{name}.json"


def record(
    identity: str,
    split: str,
    held: dict[str, dict],
    runs: Sequence[tuple[Trace | None, Sequence[Episode]]],
    differ: Mapping[int, Mapping[str, Any]],
    home: str,
) -> dict:
    """That a shard is whole: the hash of each file, counts, channels; of each run the content hash and in what it
    *differs* from others; and the platform, if its numeric probe is not that of *home*."""
    return {
        "identity": identity,
        "probe": probe(),
        **({} if probe() == home else {"platform": stamp()}),
        "split": split,
        "files": held,
        "runs": [_run(episodes[0].run, content(episodes, trace), differ) for trace, episodes in runs],
        "episodes": sum(len(episodes) for _, episodes in runs),
        "series": sum(len(episode.series) for _, episodes in runs for episode in episodes),
        "samples": sum(len(s.values) for _, episodes in runs for episode in episodes for s in episode.series),
        "channels": channels(episode for _, episodes in runs for episode in episodes),
    }


def _run(run: int, digest: str, differ: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    told = {"run": run, "content": digest}
    return told | differ.get(run, {})  # type: ignore[operator]


def channels(episodes) -> list[dict]:
    """The channels of *episodes*, each once, in order of appearance; those of frames with their shape."""
    found = {}
    for episode in episodes:
        for s in episode.series:
            found[s.entity, s.quantity, s.unit, str(s.role), s.step_h, s.shape] = None
    names = ("entity", "quantity", "unit", "role", "step_h", "shape")
    told = [dict(zip(names, key, strict=True)) for key in found]
    return [c | {"shape": list(c["shape"])} if c["shape"] else {n: c[n] for n in names[:-1]} for c in told]


def of(directory: Path, configuration: dict, names: Sequence[str], extra: dict[str, Any]) -> dict:
    """The manifest of a dataset all of whose shards are whole, but for its card."""
    held, splits, found, apart, contents = {}, {}, {}, {}, hashlib.sha256()
    changed: dict[tuple, dict] = {}
    for name in names:
        path = directory / record_path(name)
        with files.whole(path):
            record = files.read_json(path)
            digest, size = files.sha256(path), files.stamp(path)[0]
        held |= record["files"] | {record_path(name): {"sha256": digest, "bytes": size}}
        split = splits.setdefault(record["split"], {"runs": [], "shards": [], "episodes": 0, "series": 0, "samples": 0})
        split["shards"].append(name)
        for run in record["runs"]:
            if run["run"] not in split["runs"][-1:]:
                split["runs"].append(run["run"])
            contents.update(run["content"].encode())
            add(changed, run.get("changed", ()))
        for count in ("episodes", "series", "samples"):
            split[count] += record[count]
        found |= {json.dumps(channel): channel for channel in record["channels"]}
        if record["probe"] != probe():
            apart[name] = record.get("platform", {}) | {"probe": record["probe"]}
    if not sum(split["samples"] for split in splits.values()):
        raise InputError(f"the dataset {directory} would be empty: none of its runs has a sample")
    return {
        "schema": SCHEMA_VERSION,
        "identity": identity_of(configuration),
        "configuration": configuration,
        "content": contents.hexdigest(),
        "platform": stamp() | {"probe": probe()},
        **({"apart": apart} if apart else {}),
        "splits": splits,
        "channels": list(found.values()),
        "files": held,
        **({"changed": list(changed.values())} if changed else {}),
        **extra,
    }


def add(total: dict[tuple, dict], counts: Iterable[Mapping[str, Any]]) -> None:
    """Add what steps have changed, of so many samples, to the *total* by step and quantity."""
    for count in counts:
        mine = total.setdefault((count["step"], count["quantity"]), dict(count) | {"samples": 0, "changed": 0})
        for name in ("samples", "changed"):
            mine[name] += count[name]


def write(directory: Path, manifest: dict) -> None:
    files.write_json(directory / MANIFEST, manifest)


def read(directory: Path) -> dict:
    """The manifest of the dataset in *directory*; raises InputError where there is none, or one that cannot be used."""
    path = directory / MANIFEST
    try:
        manifest = files.read_json(path)
    except FileNotFoundError:
        raise InputError(f"{directory} holds no finished dataset ({MANIFEST} is missing); generate it first") from None
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path} is damaged ({error}); run `rm '{path}'`, then the command that made the dataset: it writes the "
            "manifest anew from the shards, which are kept"
        ) from None
    if manifest.get("schema") not in READABLE:
        raise InputError(
            f"{path} has schema version {manifest.get('schema')!r}, this program reads "
            f"{' and '.join(map(str, READABLE))}; generate the dataset again into another folder"
        )
    if identity_of(manifest["configuration"]) != manifest["identity"]:
        raise InputError(f"{path} was made by another configuration than the one it describes; generate it again")
    return manifest


def check(directory: Path, identity: str | None = None, thorough: bool = False) -> dict | None:
    """The manifest, once every file of it that is there has its hash; None where there is no manifest yet.

    A file whose size and modification time are those of its last full check is not read again unless *thorough*.
    """
    if not (directory / MANIFEST).exists():
        return None
    manifest = read(directory)
    if identity is not None and manifest["identity"] != identity:
        raise InputError(
            f"{directory} holds a dataset of another configuration (identity {manifest['identity'][:12]}, wanted "
            f"{identity[:12]}); move it away, or choose another folder"
        )
    before = _seen(directory)
    seen, damaged = dict(before), []
    for name, entry in manifest["files"].items():
        path = directory / name
        if not path.exists():
            continue
        now = list(files.stamp(path))
        if not thorough and seen.get(name) == now:
            continue
        if not files.intact(path, entry):
            damaged.append(str(path))
        seen[name] = now
    if damaged:
        raise files.damaged("' '".join(damaged))
    with suppress(InputError):  # a folder that can only be read is still a dataset
        if seen != before:
            files.write_json(directory / CHECKED, {"files": seen})
    return manifest


def made_here(manifest: dict, *names: str) -> bool:
    """Whether the shards of those *names*, or else all, were made where numbers come out as they do here."""
    names = names or tuple(name for split in manifest["splits"].values() for name in split["shards"])
    apart = manifest.get("apart", {})
    return all(apart.get(name, manifest["platform"])["probe"] == probe() for name in names)


def missing(directory: Path, manifest: dict) -> list[str]:
    """The files of the manifest that are not there."""
    return [name for name in manifest["files"] if not (directory / name).exists()]


def finished(directory: Path, name: str, identity: str, manifest: dict | None, mixed: bool = False) -> bool:
    """Whether shard *name* is whole and of this dataset, and of this arithmetic unless *mixed*.

    Without a manifest, damaged means unfinished.
    """
    try:
        record = files.read_json(directory / record_path(name))
        ours = record["identity"] == identity and (mixed or record["probe"] == probe())
        if not ours and manifest is None:
            return False
        if manifest is not None:  # whose hashes have just been checked
            return all((directory / path).exists() for path in record["files"])
        return all(files.intact(directory / path, entry) for path, entry in record["files"].items())
    except (OSError, ValueError, KeyError):
        return False


def _seen(directory: Path) -> dict[str, list[int]]:
    try:
        return files.read_json(directory / CHECKED)["files"]
    except (OSError, ValueError, KeyError):
        return {}
