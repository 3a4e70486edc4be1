"""What a run of decisions came to: the table on a terminal, and a report rebuilt from the run's folder alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments import report
from experiments.pages import plots, words
from experiments.run_dir import config_of, write_text

MEASURES = {"cost_rate": ("cost per hour", 4), "availability": ("availability", 4), "throughput": ("parts per hour", 3)}


def show(scores: Mapping[str, Any]) -> None:
    """Every policy, cheapest first, on stdout."""
    table = Table("policy", escape("cost per hour [95 %]"), "available", "parts/h", "gap closed", box=SIMPLE_HEAD)
    for row in ordered(scores):
        cost, closed = row["scores"]["cost_rate"], row["closed"]
        between = f" [{cost['low']:.3f}, {cost['high']:.3f}]" if cost["low"] is not None else ""
        share = f"{closed['mean']:.0%}" if isinstance(closed, Mapping) else closed
        rest = (f"{row['scores'][name]['mean']:.3f}" for name in ("availability", "throughput"))
        table.add_row(words.name_of(row["name"]), escape(f"{cost['mean']:.3f}{between}"), *rest, share)
    Console().print(table)
    headline, detail = verdict(scores)
    Console(soft_wrap=True, highlight=False).print(f"{headline}. {detail}", markup=False)


def ordered(scores: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(scores["rows"], key=lambda row: row["scores"]["cost_rate"]["mean"])


def verdict(scores: Mapping[str, Any]) -> words.Verdict:
    """Whether the forecast pays, by how much, and what makes the difference."""
    rows = {row["name"]: row for row in scores["rows"]}
    best = rows[scores["best_fixed"]]
    model = next(row for row in scores["rows"] if row["kind"] == "model")
    name, gap, closed = words.name_of(best["name"]), model["difference"], model["closed"]
    mean, (low, high) = gap["mean"], words.span(gap)
    share = mean / best["scores"]["cost_rate"]["mean"]
    if high < 0:
        headline = f"Acting on the forecast costs {-100 * share:.0f} % less than the best fixed policy, {name}"
    elif low > 0:
        headline = f"Acting on the forecast costs {100 * share:.0f} % more than the best fixed policy, {name}"
    else:
        headline = f"Acting on the forecast cannot be told from the best fixed policy, {name}"
    detail = f"The difference is {mean:+.4f} an hour (95 % interval {low:+.4f} to {high:+.4f})"
    if isinstance(closed, Mapping):
        detail += f", {100 * closed['mean']:.0f} % of the gap to the clairvoyant"
    parts = {k: model["spent"][k] - best["spent"][k] for k in model["spent"]}
    moved = [f"{k} {v:+.4f}" for k, v in sorted(parts.items(), key=lambda item: -abs(item[1])) if abs(v) >= 5e-5]
    detail += f": {', '.join(moved)}." if moved else "."
    if cheaper := [row for row in scores["rows"] if row["kind"] in ("naive", "baseline") and _rate(row) < _rate(best)]:
        least = words.name_of(min(cheaper, key=_rate)["name"])
        detail += f" The best fixed policy was chosen on other worlds; on these, {least} cost less."
    return words.Verdict(headline, detail.replace("-", "−"))


def _rate(row: Mapping[str, Any]) -> float:
    return row["scores"]["cost_rate"]["mean"]


def write(run: Path) -> Path:
    """Write report.html into the run's folder and return its path."""
    write_text(run / "report.html", report.page("decisions.html", contents(run)))
    return run / "report.html"


def contents(run: Path) -> dict[str, Any]:
    """All that the page shows, by name."""
    metrics, config = report.json_of(run / "metrics.json"), config_of(run)
    rows, label = ordered(metrics), "cost per hour, less is better; bars are 95 % intervals"
    return {
        "title": config["name"],
        "verdict": verdict(metrics),
        "metrics": metrics,
        "measures": MEASURES,
        "rows": rows,
        "marks": plots.both("marks", lambda width: plots.marks(width, rows, "cost_rate", label)),
        "searched": {name: found for name, found in metrics["search"].items() if len(found["table"]) > 1},
        "decisions": config["decisions"],
        "policy": (config.get("station") or {}).get("policy"),
        "phrase": _phrase,
        **report.foot(run),
    }


def _phrase(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{words.label(k)} {words.phrase(k, v)}" for k, v in parameters.items())
