"""What datasets say of themselves, as text: one line each, or all of one.

Beside that: what cleaning does to one, what a page shows of one, tables of one's own, and presets fitted to a table.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sim.errors import InputError
from twins.dataset import health, manifest

HEAD = ("dataset", "world", "twin", "runs", "episodes", "samples", "size", "state")


def listing(root: Path) -> str:
    """A line for each dataset in the folder *root*."""
    if not root.is_dir():
        raise InputError(f"{root} is no folder; name the one that datasets lie in")
    found = sorted(folder for folder in root.iterdir() if folder.is_dir() and health.is_dataset(folder))
    if not found:
        raise InputError(f"{root} holds no dataset; name the folder that datasets lie in, or generate one")
    return table([HEAD, *map(_line, found)])


def _line(folder: Path) -> Sequence[str]:
    state, told = health.state(folder)
    if told is None:
        return folder.name, "–", "–", "–", "–", "–", size(_bytes(folder)), state
    kind, splits = health.kind(told), told["splits"].values()
    varied = f", {len(kind['varied'])} varied" if "varied" in kind else ""
    runs = "/".join(str(len(split["runs"])) for split in splits)
    counts = (f"{sum(split[name] for split in splits):,}" for name in ("episodes", "samples"))
    return folder.name, kind["world"] + varied, kind["twin"], runs, *counts, size(_bytes(folder)), state


def told(folder: Path) -> str:
    """All that a dataset's manifest tells of it."""
    found = manifest.read(folder)
    kind, platform = health.kind(found), found["platform"]
    lines = [
        f"{folder}: {health.state(folder)[0]}",
        f"world {kind['world']}, twin {kind['twin']}",
        f"identity {found['identity']}",
        f"content  {found['content']}",
        f"schema {found['schema']}, revisions {_pairs(found['configuration'].get('revisions', {})) or '–'}",
        f"made with Python {platform['python']}, {_pairs(platform['libraries'])}",
        f"on {platform['processor']} ({platform['system']}), numeric probe {platform['probe'][:12]}",
    ]
    for shard, other in found.get("apart", {}).items():
        lines.append(f"but {shard} on {other.get('processor', 'another one')}, numeric probe {other['probe'][:12]}")
    if "varied" in kind:
        lines += ["varied from run to run: " + ", ".join(kind["varied"])]
    splits = map(_split, found["splits"].items())
    lines += ["", table([("split", "runs", "episodes", "series", "samples", "shards"), *splits])]
    lines += ["", table([("quantity", "unit", "role", "clock", "entities"), *_channels(found["channels"])])]
    if steps := changes(found):
        lines += ["", f"made from {found['made_from']['name']}:", *(f"  {line}" for line in steps)]
    return "\n".join(lines)


def changes(told: dict) -> list[str]:
    """A line for each step: how many readings it changed, of which quantities most."""
    total: dict[str, list[dict]] = {}
    for row in told.get("changed", ()):
        total.setdefault(row["step"], []).append(row)
    lines = []
    for step, rows in total.items():
        changed, samples = (sum(row[what] for row in rows) for what in ("changed", "samples"))
        most = sorted((row for row in rows if row["changed"]), key=lambda row: -row["changed"])[:3]
        which = ", ".join(f"{row['quantity']} {row['changed']:,}" for row in most)
        lines.append(f"{step}: {changed:,} of {samples:,} readings{f' ({which})' if which else ''}")
    return lines


def _split(item: tuple[str, dict]) -> Sequence[str]:
    name, counts = item
    numbers = (f"{counts[count]:,}" for count in ("episodes", "series", "samples"))
    return name, str(len(counts["runs"])), *numbers, str(len(counts["shards"]))


def _channels(channels: Sequence[dict]) -> list[Sequence[str]]:
    kinds: dict[tuple, list[str]] = {}
    for channel in channels:
        clock = "explicit times" if channel["step_h"] is None else f"every {channel['step_h']:.6g} h"
        clock += f", frames {'×'.join(map(str, channel['shape']))}" if channel.get("shape") else ""
        kinds.setdefault((channel["quantity"], channel["unit"], channel["role"], clock), []).append(channel["entity"])
    return [(*kind, ", ".join(names[:6]) + ", …" * (len(names) > 6)) for kind, names in kinds.items()]


def replayed(folder: Path, shard: str) -> str:
    """Make a shard again and say what came of it, with the time and the memory that it took."""
    from twins.dataset.again import replay

    began = time.perf_counter()
    record, same = replay(folder, shard)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    runs = ", ".join(f"{run['run']} ({run['content'][:12]})" for run in record["runs"])
    how = {None: "the dataset does not hold it yet", True: "as the dataset holds it"}
    return (
        f"{shard} was made without a fault in {time.perf_counter() - began:.3g} s and {size(memory)} of memory: world "
        f"runs {runs}, {record['episodes']} episodes, {record['samples']:,} samples; "
        f"{how.get(same, 'the dataset holds another one, made by other code or by other arithmetic')}"
    )


def values(pairs: Sequence[str]) -> dict[str, Any]:
    """`key=value` pairs; a value is YAML, as in the configuration."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise InputError(f"{pair!r} is not key=value, as in twin.step_h=0.5")
        try:
            found[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise InputError(f"{key} is {value!r}; it must be a number, a text, true, false or null") from None
        if isinstance(found[key], list | dict):
            raise InputError(f"{key} is {value}; it must be a number, a text, true, false or null")
    return found


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns under one another, numbers to the right."""
    columns = [*zip(*rows, strict=True)]
    widths = [max(map(len, column)) for column in columns]
    right = [all(not cell or cell[0].isdigit() or cell == "–" for cell in column[1:]) for column in columns]
    lines = (
        "  ".join(cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def size(count: float) -> str:
    """Bytes as people say them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.4g} TB"


def _pairs(named: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in named.items())


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
