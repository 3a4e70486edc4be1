"""The tables of README.md from what was measured: `python docs/tables.py outputs/line_failure/… outputs/etth1/…`.

Fills the stretch between `<!-- bench -->` and `<!-- /bench -->` from bench/RESULTS.json, and those named after a run
(`<!-- line_failure -->`) from that run's metrics.json, or from the seeds.json of several. A stretch without a source is
left as it is.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from experiments.report import METRICS, decimals, interval, number
from experiments.run_dir import config_of
from experiments.words import cluster

ROOT = Path(__file__).resolve().parents[1]


def bench() -> str:
    found = json.loads((ROOT / "bench" / "RESULTS.json").read_text())
    machine = found["machine"]
    rows = [
        f"| {r['what']} | {r['value']:.3g} {r['unit']} | {r['target']} | {'met' if r['met'] else 'missed'} |"
        for r in found["results"].values()
    ]
    head = f"On {machine['cores']} cores of {machine['cpu']}, Python {machine['python']}:"
    return "\n".join([head, "", "| what | measured | target | |", "|---|---|---|---|", *rows])


def scores(source: Path) -> str:
    metrics = json.loads((source if source.is_file() else source / "metrics.json").read_text())
    run = Path(next(iter(metrics["runs"].values()))[0]) if source.is_file() else source
    metric = metrics["primary"]
    rows = sorted(
        (row for row in metrics["rows"] if metric in row["scores"]), key=lambda row: row["scores"][metric]["mean"]
    )
    places = decimals([row["scores"][metric]["mean"] for row in rows])
    other = next(m for m in METRICS if m != metric and any(m in row["scores"] for row in rows))
    digits = decimals([row["scores"][other]["mean"] for row in rows if other in row["scores"]])
    lines = [
        f"| method | {METRICS[metric][0]} | 95 % interval | {METRICS[other][0]} | skill |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        score, second, skill = row["scores"][metric], row["scores"].get(other, {}), row["skill"]
        share = f"{number(skill['mean'], 2)} ({interval(skill, 2)})" if isinstance(skill, dict) else skill or ""
        share = share.replace(" ()", "")
        cells = (number(score["mean"], places), interval(score, places), number(second.get("mean"), digits), share)
        name = row["name"].replace("_", " ")
        lines.append(f"| {f'**{name}**' if row['kind'] == 'model' else name} | " + " | ".join(cells) + " |")
    seconds = (metrics.get("cost") or {}).get("total", {}).get("seconds")
    took = f" The run took {seconds:.0f} s on {stamp(run)}." if seconds else ""
    took = f" Means over {metrics['seeds']} seeds of training." if source.is_file() else took
    of = f"{metrics['clusters']} independent {cluster(config_of(run))}"
    return "\n".join([*lines, "", f"{metrics['scored']} windows of {of}.{took}"])


def stamp(run: Path) -> str:
    found = json.loads((run / "stamp.json").read_text())
    platform, device = found["platform"], found["device"]
    beside = "" if device["platform"] == "cpu" else f", {device['kind']}"
    return f"{platform['cpus']} cores of {platform['processor']}{beside}"


def fill(text: str, name: str, table: str) -> str:
    pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda m: f"{m[1]}{table}\n{m[2]}", text, flags=re.S)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    filled = readme.read_text(encoding="utf-8")
    if (ROOT / "bench" / "RESULTS.json").exists():
        filled = fill(filled, "bench", bench())
    for run in map(Path, sys.argv[1:]):
        filled = fill(filled, run.resolve().parent.name, scores(run))
    readme.write_text(filled, encoding="utf-8")
