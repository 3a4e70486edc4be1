"""The data card: README.md with the front matter by which `datasets.load_dataset(folder)` finds the tables."""

from __future__ import annotations

import json
from pathlib import Path

from twins.dataset import files
from twins.dataset.live import kept_as_traces

CARD = "README.md"
TABLES = {
    "series": "one row a channel of an episode: its clock and its values (NaN where missing)",
    "episodes": "one row an asset of a run: events, lives (`spells`), static facts, hidden truth",
    "records": "one row a maintenance order as it was written down, which nobody can read before `written_h`: its "
    "`code` may be wrong or missing (empty), `note` is free text, `true_cause` is hidden truth",
    "changes": "one row a series that a step has changed: what was there before, so that it can be had again",
    "traces": "one row a run: the signals and events of the simulation, from which every window can be rendered again",
}


def write(directory: Path, manifest: dict) -> None:
    """Write the card and enter it among the manifest's files."""
    digest, size = files.write(directory / CARD, [text(directory.name, manifest).encode()])
    manifest["files"] = manifest["files"] | {CARD: {"sha256": digest, "bytes": size}}


def text(name: str, manifest: dict) -> str:
    """The card as Markdown with YAML front matter."""
    tables = [kind for kind in TABLES if any(path.startswith(f"{kind}/") for path in manifest["files"])]
    lines = ["---", f"pretty_name: {name}", "tags: [time-series]", "configs:"]
    for kind in tables:
        lines += [f"- config_name: {kind}", *(["  default: true"] if kind == "series" else []), "  data_files:"]
        for split in manifest["splits"]:
            lines += [f"  - split: {split}", f"    path: {kind}/{split}-*.parquet"]
    lines += ["---", "", f"# {name}", ""]
    if "source" in manifest:
        source = manifest["source"]
        lines += [
            f"Observed data: `{source['file']}` (SHA-256 `{source['sha256']}`, {source['rows']} rows). The licence is "
            "the source's.",
            "",
        ]
    else:
        lines += ["Simulated: this dataset is a function of the configuration in `manifest.json`.", ""]
    lines += ["| split | runs | episodes | series | samples |", "|---|---|---|---|---|"]
    for split, counts in manifest["splits"].items():
        lines.append(
            f"| {split} | {len(counts['runs'])} | "
            + " | ".join(f"{counts[count]:,}" for count in ("episodes", "series", "samples"))
            + " |"
        )
    lines += [
        "",
        "Time is in hours since each episode's `epoch`. Channels with the role `truth` are hidden from sensors.",
        "",
    ]
    lines += ["| quantity | unit | role | step in hours | entities |", "|---|---|---|---|---|"]
    kinds: dict[tuple, list[str]] = {}
    for channel in manifest["channels"]:
        kind = (*(channel[key] for key in ("quantity", "unit", "role", "step_h")), tuple(channel.get("shape", ())))
        kinds.setdefault(kind, []).append(channel["entity"])
    for (quantity, unit, role, step_h, shape), entities in kinds.items():
        shown = ", ".join(entities[:8]) + (f" and {len(entities) - 8} more" if len(entities) > 8 else "")
        step = "explicit times" if step_h is None else f"{step_h:.6g}"
        step += f", frames of {' × '.join(map(str, shape))}" if shape else ""
        lines.append(f"| {quantity} | `{unit}` | {role} | {step} | {shown} |")
    if "made_from" in manifest:
        lines += ["", *_steps(manifest)]
    if kept_as_traces(manifest):
        lines += [
            "",
            "Kept as traces: values that a trace tells are null in `series/` and rendered when read.",
        ]
    if findings := manifest.get("findings"):
        lines += ["", "## What the checks changed", "", *map(_finding, findings)]
    lines += ["", "## Tables", "", *(f"- `{kind}/`: {TABLES[kind]}" for kind in tables), ""]
    lines += [
        f'    datasets.load_dataset("{name}", "series")',
        f'    pandas.concat(map(pandas.read_parquet, sorted(glob.glob("{name}/series/train-*.parquet"))))  # one split',
        "",
    ]
    platform = manifest["platform"]
    lines += [
        "## Origin",
        "",
        f"- identity `{manifest['identity']}`",
        f"- content `{manifest['content']}`",
        f"- schema version {manifest['schema']}",
        f"- made with Python {platform['python']}, NumPy {platform['libraries'].get('numpy')} on "
        f"{platform['processor']} ({platform['system']})",
        "",
    ]
    return "\n".join(lines)


def _steps(manifest: dict) -> list[str]:
    """What was done to the dataset that this one was made from."""
    lines = [f"## Made from `{manifest['made_from']['name']}`", ""]
    for kind, closed in manifest["closed"].items():
        lines += [f"{kind}:", *(f"- {number}. `{json.dumps(step)}`" for number, step in enumerate(closed)), ""]
    if changed := manifest.get("changed"):
        lines += ["| step | quantity | samples | changed | share |", "|---|---|---|---|---|"]
        for row in changed:
            share = 100 * row["changed"] / max(row["samples"], 1)
            counts = f"{row['samples']:,} | {row['changed']:,} | {share:.3g} %"
            lines.append(f"| {row['step']} | {row['quantity']} | {counts} |")
    return lines


def _finding(found: dict) -> str:
    column = f" in `{found['column']}`" if found["column"] else ""
    lines = f" (first in line {', '.join(map(str, found['lines']))})" if found["lines"] else ""
    return f"- {found['check']}{column}: {found['count']:,} {found['did']}{lines}"
