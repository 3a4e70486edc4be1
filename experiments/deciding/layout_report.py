"""What a study of layouts found: its table, its figures and its page."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from experiments.report import decimals, number
from experiments.run_dir import config_of, to_yaml, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure


PLAIN_WIDTH = 140  # of the table where there is no terminal
COLUMNS = ("parts_per_h", "cost_per_h", "profit_per_h", "against_best")


def heads(found: Mapping[str, Any]) -> dict[str, str]:
    """The columns of the table, with their units."""
    money = f"{found['currency']}/h"
    return dict(
        zip(COLUMNS, ("parts/h", f"cost, {money}", f"profit, {money}", f"against the best, {money}"), strict=True)
    )


def show(found: Mapping[str, Any]) -> None:
    """The tables of layouts and of what one step more is worth, on stdout."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table("layout", "buffers", "crew", "ages (h)", *heads(found).values(), box=SIMPLE_HEAD)
    places = _places(found)
    for row in found["rows"]:
        values = [_margin(row[c], places[c]) for c in COLUMNS]
        table.add_row(
            row["kind"], buffers(row), crew(row), ages(row), *values, style="bold" if row["kind"] == "best" else ""
        )
    steps = Table("where", "one step", "parts/h gained", "variance saved by pairing", box=SIMPLE_HEAD)
    digits = decimals([g["parts_per_h"]["mean"] for g in found["bottleneck"]])
    for g in _ordered(found["bottleneck"]):
        steps.add_row(g["place"], g["step"], _margin(g["parts_per_h"], digits), f"{_times(g['pairing'])}")
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
    console.print(table)
    console.print(steps)
    print(headline(found))


def headline(found: Mapping[str, Any]) -> str:
    """What the fresh replications say of the best layout and the line as it is."""
    as_it_is = next(row for row in found["rows"] if row["kind"] == "as it is")
    more = {end: -as_it_is["against_best"][end] for end in ("mean", "low", "high")}
    low, high = sorted((more["low"], more["high"]))
    money = f"{found['currency']}/h"
    if low <= 0 <= high:
        apart = f"{_signed(low)} to {_signed(high)} {money}"
        return f"No layout was found whose profit can be told from that of the line as it is ({apart})"
    if high < 0:
        return f"The line as it is earns {number(-more['mean'], 1)} {money} more than the best layout that was found"
    apart = f"{number(low, 1)} to {number(high, 1)}"
    return f"The best layout earns {number(more['mean'], 1)} {money} more than the line as it is ({apart})"


def write(run: Path) -> Path:
    """Write report.html into the run's folder and return its path."""
    from experiments import report
    from experiments.pages import plots

    found, config, made = report.json_of(run / "metrics.json"), config_of(run), report.json_of(run / "stamp.json") or {}
    best = next(row for row in found["rows"] if row["kind"] == "best")
    shown = {
        "title": config["name"],
        "headline": headline(found),
        "found": found,
        "best": best,
        "heads": heads(found),
        "places": _places(found),
        "buffers": buffers,
        "crew": crew,
        "ages": ages,
        "optimism": best["searched_profit_per_h"] - best["profit_per_h"]["mean"],
        "ordered": _ordered(found["bottleneck"]),
        "digits": decimals([g["parts_per_h"]["mean"] for g in found["bottleneck"]]),
        "times": _times,
        "most": max((g["pairing"] for g in found["bottleneck"] if g["pairing"]), default=None),
        "plots": {
            "front": plots.both("front", lambda width: front(width, found, config["prices"]["part"])),
            "gains": plots.both("gains", lambda width: gains(width, found)),
        },
        "captions": {
            "front": f"Bars are intervals that hold together at {found['confidence']:.0%}; small dots are what the "
            "search saw of every layout that it kept."
            + (" Along the broken line profit is that of the best." if found["gain"] == "throughput" else ""),
            "gains": f"Bars are intervals that hold together at {found['confidence']:.0%}.",
        },
        "command": made.get("command"),
        "yaml": to_yaml(
            {k: v for k, v in config.items() if k in ("world", "levers", "prices", "length", "search", "judge")}
        ),
        "run": run,
    }
    write_text(run / "report.html", report.page("layouts.html", shown))
    return run / "report.html"


def front(width: float, found: Mapping[str, Any], part: float) -> Figure:
    """Gain against cost of every layout, with intervals both ways."""
    import numpy as np
    from matplotlib.figure import Figure

    from experiments.pages.plots import BLUE, GREEN, LINE, ORANGE

    of = "parts_per_h" if found["gain"] == "throughput" else "profit_per_h"
    figure = Figure((width, 3.9))
    axes = figure.add_subplot()
    cloud = np.array(found["cloud"])
    axes.plot(*cloud.T, ".", color=LINE, ms=3.5, mec="none", zorder=1)
    marks = {
        "front": (BLUE, "D", "front"),
        "best": (GREEN, "^", "most profitable"),
        "as it is": (ORANGE, "s", "as it is"),
    }
    for row in found["rows"]:
        colour, mark, label = marks[row["kind"]]
        x, y = row["cost_per_h"], row[of]
        axes.plot([x["low"], x["high"]], [y["mean"]] * 2, color=colour, lw=1.6, alpha=0.6)
        axes.plot([x["mean"]] * 2, [y["low"], y["high"]], color=colour, lw=1.6, alpha=0.6)
        seen = axes.get_legend_handles_labels()[1]
        axes.plot(
            x["mean"],
            y["mean"],
            mark,
            color=colour,
            ms=6.5,
            mec="none",
            label="_" if label in seen else label,
            zorder=3,
        )
    if found["gain"] == "throughput" and part:
        best = next(row for row in found["rows"] if row["kind"] == "best")
        cost = np.array(axes.get_xlim())
        axes.autoscale(False)
        axes.plot(cost, (best["profit_per_h"]["mean"] + cost) / part, color=GREEN, lw=1, ls=(0, (4, 3)), zorder=2)
    axes.set_xlabel(f"cost, {found['currency']} per hour")
    axes.set_ylabel("parts per hour" if of == "parts_per_h" else f"profit, {found['currency']} per hour")
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def gains(width: float, found: Mapping[str, Any]) -> Figure:
    """What one step of each lever adds to the throughput, a panel for each kind of step."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from experiments.pages.plots import BLUE, INK, NARROW

    kinds = list(dict.fromkeys(g["step"] for g in found["bottleneck"]))
    rows = {kind: [g for g in found["bottleneck"] if g["step"] == kind][::-1] for kind in kinds}
    stacked = width <= NARROW
    tallest = max(map(len, rows.values()))
    figure = Figure((width, (0.8 + 0.27 * tallest) * (len(kinds) if stacked else 1)))
    grid = figure.subplots(*((len(kinds), 1) if stacked else (1, len(kinds))), squeeze=False).ravel()
    for axes, kind in zip(grid, kinds, strict=True):
        for y, g in enumerate(rows[kind]):
            gain = g["parts_per_h"]
            axes.plot([gain["low"], gain["high"]], [y, y], color=BLUE, lw=2.2, alpha=0.55, solid_capstyle="round")
            axes.plot(gain["mean"], y, "D", color=BLUE, ms=5.5, mec="none")
        axes.axvline(0, color=INK, lw=0.8)
        axes.set_yticks(range(len(rows[kind])), [g["place"] for g in rows[kind]])
        axes.set_title(kind)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.set_xlabel("parts per hour")
        axes.grid(axis="y", visible=False)
    return figure


def buffers(row: Mapping[str, Any]) -> str:
    return " ".join("∞" if room is None else str(room) for room in row["buffers"]) or "–"


def crew(row: Mapping[str, Any]) -> str:
    return "one each" if row["crew"] is None else str(row["crew"])


def ages(row: Mapping[str, Any]) -> str:
    return " ".join("never" if age_h is None else f"{age_h:.0f}" for age_h in row["ages_h"])


def _places(found: Mapping[str, Any]) -> dict[str, int]:
    places = {c: decimals([row[c]["high"] - row[c]["low"] for row in found["rows"]]) for c in COLUMNS[:3]}
    return {c: min(p, 3) for c, p in {**places, "against_best": places["profit_per_h"]}.items()}


def _ordered(gains: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """By kind of step, the greatest gain first."""
    kinds = list(dict.fromkeys(g["step"] for g in gains))
    return sorted(gains, key=lambda g: (kinds.index(g["step"]), -g["parts_per_h"]["mean"]))


def _margin(value: Mapping[str, float], places: int) -> str:
    """.53 ± .02"""
    half = (value["high"] - value["low"]) / 2
    return f"{number(value['mean'], places)} ± {half:.{places}f}" if half else number(value["mean"], places)


def _times(ratio: float | None) -> str:
    """How many times; nothing where neither side of a step varied."""
    return "–" if ratio is None else f"{float(f'{ratio:.3g}'):,.{1 if ratio < 100 else 0}f} ×".replace(",", " ")


def _signed(value: float) -> str:
    return f"{value:+.1f}".replace("-", "−")
