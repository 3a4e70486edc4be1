"""What a sweep came to: the table on a terminal, and a report from its folder alone."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments import report
from experiments.pages import plots, words
from experiments.run_dir import config_of, write_text
from sim.errors import InputError

SHOWN = 10  # trials of the table on a terminal
EDGE = 0.05  # of a range
Trial = Mapping[str, Any]


def ranked(found: Mapping[str, Any]) -> list[Trial]:
    """All trials: complete ones by their score, then pruned ones by how far they came, then those that failed."""
    order = ("complete", "pruned", "failed")

    def place(trial: Trial) -> tuple[float, ...]:
        how_far = -trial["losses"][-1][0] if trial["losses"] else 0
        return order.index(trial["state"]), trial["score"] if trial["score"] is not None else how_far, trial["number"]

    return sorted(found["trials"], key=place)


def show(found: Mapping[str, Any]) -> None:
    """The first trials on stdout, the best on top, and what to type for it."""
    keys = list(found["space"])
    table = Table("trial", "validation loss", *map(escape, keys), box=SIMPLE_HEAD)
    for trial in ranked(found)[:SHOWN]:
        table.add_row(str(trial["number"]), outcome(trial), *(escape(value(trial["values"][key])) for key in keys))
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    console = Console(soft_wrap=True, highlight=False)
    headline, detail = verdict(found)
    console.print(f"{headline}. {detail}", markup=False)
    if found["best"]:
        console.print(found["best"]["command"], markup=False)


def verdict(found: Mapping[str, Any]) -> words.Verdict:
    """The best trial, how many there are, and what became of them."""
    count = {state: sum(t["state"] == state for t in found["trials"]) for state in ("complete", "pruned", "failed")}
    told = f"Of {len(found['trials'])} trials {count['complete']} trained to their end, {count['pruned']} ended early"
    told += f", {count['failed']} failed." if count["failed"] else "."
    if not found["best"]:
        return words.Verdict("No trial came to a score", told)
    best, edges = found["best"], at_edge(found)
    if edges:
        told += f" It lies at the edge of its range in {', '.join(edges)}: wider may be better."
    return words.Verdict(f"Trial {best['number']} is the best, with a validation loss of {best['score']:.4g}", told)


def outcome(trial: Trial) -> str:
    if trial["state"] == "complete":
        return f"{trial['score']:.4g}"
    return "failed" if trial["state"] == "failed" else f"ended at {trial['losses'][-1][0]}"


def at_edge(found: Mapping[str, Any]) -> list[str]:
    """The keys whose best value lies in the outermost part of the range that was searched."""
    near = []
    for key, law in found["space"].items():
        if "choices" in law:
            continue
        low, best, high = (
            math.log(x) if law["log"] else x for x in (law["low"], found["best"]["values"][key], law["high"])
        )
        if not EDGE < (best - low) / (high - low) < 1 - EDGE:
            near.append(key)
    return near


def value(tried: Any) -> str:
    return f"{tried:g}" if isinstance(tried, float) else "null" if tried is None else str(tried)


def lowest(trial: Trial) -> float:
    """The lowest validation loss that a trial has seen, pruned or not; NaN where there is none."""
    return min((loss for _, loss in trial["losses"] if math.isfinite(loss)), default=math.nan)


def write(run: Path) -> Path:
    """Write report.html into the sweep's folder and return its path."""
    found = report.json_of(run / "sweep.json")
    if not found["trials"]:
        raise InputError(f"{run} has no finished trial yet; run the command that began it again to finish it")
    shown = {
        "title": config_of(run)["name"].rpartition("/")[2],
        "verdict": verdict(found),
        "found": found,
        "trials": ranked(found),
        "keys": list(found["space"]),
        "failed": [trial for trial in found["trials"] if trial["state"] == "failed"],
        "seconds": sum(trial["seconds"] for trial in found["trials"]),
        "outcome": outcome,
        "value": value,
        "plots": draw(found),
        "captions": {
            "history": "Diamonds trained to their end, open circles were ended early and stand at the lowest loss that "
            "they saw; the line is the best so far.",
            "slices": "The same trials against each value that they were given, the later the darker.",
            "curves": "The validation loss of every trial; the best in colour.",
            "importances": "Shares of the variance of the scores of complete trials, alone and together with other "
            "values, as a forest of random trees over them tells it (fANOVA). From few trials it is a hint.",
        },
        **report.foot(run),
    }
    write_text(run / "report.html", report.page("sweep.html", shown))
    return run / "report.html"


def draw(found: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The figures, each as SVG at two widths."""
    seen = [trial for trial in found["trials"] if math.isfinite(lowest(trial))]
    if not seen:
        return {}
    best = (found["best"] or {}).get("number")
    drawn = {
        "history": lambda width: history(width, seen),
        "slices": lambda width: slices(width, seen, found["space"]),
        "curves": lambda width: curves(width, seen, best),
    }
    if found.get("importances"):
        drawn["importances"] = lambda width: importances(width, found["importances"])
    return {name: plots.both(f"sweep-{name}", how) for name, how in drawn.items()}


def history(width: float, trials: Sequence[Trial]) -> Figure:
    """Every trial's score in the order of their numbers, and the best so far."""
    figure = Figure((width, 2.9))
    axes = figure.add_subplot()
    _points(axes, trials, lambda trial: trial["number"])
    complete = [trial for trial in trials if trial["state"] == "complete"]
    if complete:
        numbers, scores = [t["number"] for t in complete], np.minimum.accumulate([t["score"] for t in complete])
        axes.step(
            [*numbers, trials[-1]["number"]], [*scores, scores[-1]], where="post", color=plots.GREEN, lw=1.4, zorder=1
        )
    _limited(axes, trials)
    axes.set_xlabel("trial")
    axes.set_ylabel("validation loss")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def slices(width: float, trials: Sequence[Trial], space: Mapping[str, Any]) -> Figure:
    """The same scores against each value."""
    columns = min(len(space), 3 if width > plots.NARROW else 1)
    rows = -(-len(space) // columns)
    figure = Figure((width, 0.3 + 2.3 * rows))
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    latest = max(trial["number"] for trial in trials) or 1
    for axes, (key, law) in zip(grid, space.items(), strict=False):
        if names := law.get("choices"):
            labels = [value(name) for name in names]
            at = {label: place for place, label in enumerate(labels)}
            _points(axes, trials, lambda t, key=key, at=at: at[value(t["values"][key])], latest)
            axes.set_xticks(range(len(labels)), labels)
            axes.set_xlim(-0.5, len(labels) - 0.5)
        else:
            _points(axes, trials, lambda t, key=key: t["values"][key], latest)
            if law["log"]:
                axes.set_xscale("log")
                axes.xaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=5))
                axes.xaxis.set_major_formatter("{x:g}")
                axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(key)
        _limited(axes, trials)
    for axes in grid[::columns]:
        axes.set_ylabel("validation loss")
    for axes in grid[len(space) :]:
        axes.set_axis_off()
    return figure


def curves(width: float, trials: Sequence[Trial], best: int | None) -> Figure:
    """Validation loss against update, a line a trial."""
    figure = Figure((width, 2.9))
    axes = figure.add_subplot()
    for trial in sorted(trials, key=lambda trial: trial["number"] == best):
        steps, losses = np.array(trial["losses"], float).T
        chosen = trial["number"] == best
        colour = plots.BLUE if chosen else plots.SKY if trial["state"] == "complete" else plots.ORANGE
        axes.plot(steps, losses, color=colour, lw=2 if chosen else 0.9, alpha=1 if chosen else 0.75)
        axes.plot(steps[-1], losses[-1], "D" if chosen else "o", color=colour, ms=5 if chosen else 3, mec="none")
    for label, colour in (("best", plots.BLUE), ("complete", plots.SKY), ("ended early or failed", plots.ORANGE)):
        axes.plot([], [], color=colour, label=label)
    _limited(axes, trials)
    axes.set_xlabel("update")
    axes.set_ylabel("validation loss")
    axes.legend()
    return figure


def importances(width: float, shares: Mapping[str, float]) -> Figure:
    """A bar a key, the greatest on top."""
    ordered = sorted(shares.items(), key=lambda item: item[1])
    figure = Figure((width, 0.7 + 0.3 * len(ordered)))
    axes = figure.add_subplot()
    axes.barh(range(len(ordered)), [share for _, share in ordered], color=plots.BLUE, height=0.55)
    axes.set_yticks(range(len(ordered)), [key for key, _ in ordered])
    axes.grid(axis="y", visible=False)
    axes.set_xlim(0, 1)
    axes.set_xlabel("importance")
    return figure


def _points(axes: Axes, trials: Sequence[Trial], x: Callable[[Trial], float], latest: int | None = None) -> None:
    """A mark a trial: full where it is complete, open where it is not, the later the darker up to *latest*."""
    for trial in trials:
        alpha = 0.9 if latest is None else 0.25 + 0.65 * trial["number"] / latest
        whole = trial["state"] == "complete"
        axes.plot(
            x(trial),
            trial["score"] if whole else lowest(trial),
            "D" if whole else "o",
            color=plots.BLUE if whole else plots.ORANGE,
            fillstyle="full" if whole else "none",
            ms=5,
            alpha=alpha,
            mew=0 if whole else 1.1,
        )


def _limited(axes: Axes, trials: Sequence[Trial]) -> None:
    """Losses up to well above the middle ones; a trial that went wild leaves room to tell the others apart."""
    losses = np.array([lowest(trial) for trial in trials])
    low, middle, high = losses.min(), np.median(losses), losses.max()
    top = min(high, middle + 3 * max(middle - low, 1e-3 * abs(middle)))
    room = 0.08 * max(top - low, 1e-3 * abs(top), 1e-12)
    axes.set_ylim(low - room, top + room)
