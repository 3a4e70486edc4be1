"""What presets came to that learned together: the table on a terminal, and a report from the run's folder alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments import console, report
from experiments.pages import plots, words
from experiments.run.joint import ALONE
from experiments.run.pipeline import MODEL
from experiments.run_dir import config_of, write_text


class Line(NamedTuple):
    """One preset: its scores by the metric it is judged by."""

    name: str
    metric: str
    together: Mapping[str, Any]  # the row of metrics.json
    alone: Mapping[str, Any] | None
    naive: Mapping[str, Any] | None
    best: Mapping[str, Any] | None  # of the baselines, what was trained alone aside
    oracle: Mapping[str, Any] | None

    @property
    def difference(self) -> Mapping[str, Any] | None:
        """Together less alone; below 0 the company helps."""
        return self.together["difference"].get(ALONE)

    def score(self, row: Mapping[str, Any] | None) -> Mapping[str, Any]:
        return {"mean": None, "low": None, "high": None} if row is None else row["scores"][self.metric]


def lines(found: Mapping[str, Any]) -> list[Line]:
    """Every preset of a run's metrics."""
    told = []
    for name, scores in found["together"].items():
        rows, metric = {row["name"]: row for row in scores["rows"]}, scores["primary"]
        oracle = next((row for row in scores["rows"] if row["kind"] == "oracle"), None)
        plain = [r for r in scores["rows"] if r["kind"] in ("naive", "baseline") and r["name"] != ALONE]
        best = min(plain, key=lambda row: row["scores"][metric]["mean"], default=None)
        naive = rows.get(scores["naive"] or "")
        told.append(Line(name, metric, rows[MODEL], rows.get(ALONE), naive, best, oracle))
    return told


def show(found: Mapping[str, Any]) -> None:
    """A row for each preset on stdout, and what company is worth."""
    table = Table(
        "preset", "score", "naive", "best baseline", "alone", "together", "oracle",
        escape("skill together [95 %]"), escape("together − alone [95 %]"), box=SIMPLE_HEAD,
    )  # fmt: skip
    for line in lines(found):
        shown = (line.naive, line.best, line.alone, line.together, line.oracle)
        means = [line.score(row)["mean"] for row in shown]
        places = report.decimals(means)
        numbers = ["–" if mean is None else console.short(mean, places) for mean in means]
        told = (console.interval(line.together["skill"], 3), console.interval(line.difference, places + 1))
        table.add_row(words.name_of(line.name), line.metric, *numbers, *map(escape, told))
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    headline, detail = verdict(found)
    Console(soft_wrap=True, highlight=False).print(f"{headline}. {detail}", markup=False)


def verdict(found: Mapping[str, Any]) -> words.Verdict:
    """On how many presets learning together helps, hurts, and cannot be told from learning alone."""
    told = [(x, how) for x in lines(found) if (how := words.standing_of(x.together, x.alone))]
    about = f"One model of {found['parameters']:,} parameters for {len(found['together'])} presets".replace(",", " ")
    if not told:
        return words.Verdict(about, "None was trained alone beside it.")
    better, worse = ([x for x, how in told if how == f"{what} than"] for what in ("better", "worse"))
    level = len(told) - len(better) - len(worse)
    return words.Verdict(
        about,
        f"Learning together is better than learning alone on {_named(better)}, worse on {_named(worse)}, and cannot be "
        f"told from it on {level} of {len(told)}.",
    )


def _named(some: Sequence[Line]) -> str:
    return ", ".join(words.name_of(line.name) for line in some) or "none"


def write(run: Path) -> Path:
    """Write report.html into the run's folder and return its path."""
    write_text(run / "report.html", report.page("together.html", contents(run)))
    return run / "report.html"


def contents(run: Path) -> dict[str, Any]:
    """All that the page shows, by name."""
    found, config = report.json_of(run / "metrics.json"), config_of(run)
    told, curves = lines(found), report.curves(run / "metrics.jsonl")
    return {
        "title": config["name"],
        "verdict": verdict(found),
        "metrics": found,
        "lines": told,
        "labels": {m: label for m, (label, _) in report.METRICS.items()},
        "places": {
            x.name: report.decimals([x.score(r)["mean"] for r in (x.naive, x.together, x.oracle)]) for x in told
        },
        "plots": {
            "skills": plots.both("skills", lambda width: skills(width, told)),
            "learning": plots.both("learning", lambda width: plots.learning(width, curves, "weighted loss")),
        },
        "captions": {
            "skills": "Skill is 0 for the naive baseline and 1 for the oracle; bars are 95 % intervals.",
            "learning": "The loss that all presets lower together, by their weights.",
        },
        "weights": found["members"],
        **report.foot(run),
    }


def skills(width: float, told: Sequence[Line]) -> Figure:
    """The skill of each preset, alone and together, those without marks left out."""
    shown = [x for x in told if isinstance(x.together["skill"], Mapping)]
    figure = Figure((width, 0.9 + 0.5 * max(len(shown), 1)))
    axes = figure.add_subplot()
    kinds = [("together", plots.BLUE, "o", 0.13)]
    kinds += [("alone", plots.ORANGE, "s", -0.13)] if any(x.alone for x in shown) else []
    for what, colour, marker, shift in kinds:
        for y, x in enumerate(reversed(shown)):
            skill = (getattr(x, what) or {}).get("skill")
            if isinstance(skill, Mapping) and skill["mean"] is not None:
                plots.spanned(axes, y + shift, skill, colour, marker, what)
    for mark in (0, 1):
        axes.axvline(mark, color="gray", lw=1, ls=(0, (4, 3)), zorder=0)
    axes.set_yticks(range(len(shown)), [words.name_of(x.name) for x in reversed(shown)])
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xlabel("skill: 0 naive baseline, 1 oracle")
    named = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    axes.legend(named.values(), named.keys(), loc="lower right", ncols=2)
    return figure
