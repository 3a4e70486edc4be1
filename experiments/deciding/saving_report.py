"""What a run of saving came to: the table on a terminal, and a report rebuilt from the run's folder alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments import report
from experiments.pages import plots, words
from experiments.run_dir import config_of, write_text

MEASURES = {  # a heading, and places after the point
    "cost_eur": ("cost, EUR a day", 2),
    "carbon_kg": ("CO₂, kg a day", 1),
    "peak_kw": ("daily peak, kW", 1),
    "ramp_kw": ("ramp, kW from hour to hour", 2),
    "load_factor": ("load factor", 3),
}


def show(scores: Mapping[str, Any]) -> None:
    """Every policy, cheapest first, on stdout; below it what the choice of a tariff costs."""
    heads = [escape("EUR/day [95 %]"), "kg CO₂/day", "peak kW", "ramp kW", "load factor", "gap closed"]
    table = Table("policy", *heads, box=SIMPLE_HEAD)
    for row in ordered(scores):
        cost, closed = row["scores"]["cost_eur"], row["closed"]
        between = f" [{cost['low']:.2f}, {cost['high']:.2f}]" if cost["low"] is not None else ""
        share = f"{closed['mean']:.0%}" if isinstance(closed, Mapping) else closed
        rest = [f"{row['scores'][name]['mean']:.{places}f}" for name, (_, places) in list(MEASURES.items())[1:]]
        table.add_row(words.name_of(row["name"]), escape(f"{cost['mean']:.2f}{between}"), *rest, share)
    console = Console(width=None if sys.stdout.isatty() else 130)
    console.print(table)
    offers = Table("tariff of the day", "EUR/day beyond the best in hindsight", box=SIMPLE_HEAD)
    for row in sorted(scores["tariffs"], key=lambda row: row["regret_eur"]["mean"]):
        offers.add_row(words.name_of(row["name"]), f"{row['regret_eur']['mean']:.2f}")
    console.print(offers)
    headline, detail = verdict(scores)
    Console(soft_wrap=True, highlight=False).print(f"{headline}. {detail}", markup=False)


def ordered(scores: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted(scores["rows"], key=lambda row: row["scores"]["cost_eur"]["mean"])


def verdict(scores: Mapping[str, Any]) -> words.Verdict:
    """Whether the model's forecasts save more than the best without them, and how near that is to foresight."""
    rows = {row["name"]: row for row in scores["rows"]}
    best, model = rows[scores["best_rival"]], next(row for row in scores["rows"] if row["kind"] == "model")
    gap, closed, name = best["difference"], model["closed"], words.name_of(best["name"])
    mean, (low, high) = gap["mean"], words.span(gap)
    if low > 0:
        headline = f"Planning by the model saves {mean:.2f} EUR a day more than the best without it, {name}"
    elif high < 0:
        headline = f"Planning by the model costs {-mean:.2f} EUR a day more than the best without it, {name}"
    else:
        headline = f"Planning by the model cannot be told from the best without it, {name}"
    detail = f"The difference is {0 - mean:+.3f} EUR a day (95 % interval {0 - high:+.3f} to {0 - low:+.3f})"
    if isinstance(closed, Mapping):
        detail += f"; it closes {100 * closed['mean']:.0f} % of the gap between doing nothing and foresight"
    return words.Verdict(headline, (detail + ".").replace("-", "−"))


def write(run: Path) -> Path:
    """Write report.html into the run's folder and return its path."""
    write_text(run / "report.html", report.page("saving.html", contents(run)))
    return run / "report.html"


def contents(run: Path) -> dict[str, Any]:
    """All that the page shows, by name."""
    metrics, config = report.json_of(run / "metrics.json"), config_of(run)
    rows, label = ordered(metrics), "EUR a day, less is better; bars are 95 % intervals"
    return {
        "title": config["name"],
        "verdict": verdict(metrics),
        "metrics": metrics,
        "measures": MEASURES,
        "rows": rows,
        "tariffs": sorted(metrics["tariffs"], key=lambda row: row["regret_eur"]["mean"]),
        "plots": {
            "marks": plots.both("marks", lambda width: plots.marks(width, rows, "cost_eur", label)),
            "week": plots.both("week", lambda width: week(width, metrics["week"])),
        },
        "captions": {
            "marks": "What the street pays a day by each policy; broken lines are doing nothing and foresight.",
            "week": "One week of a test run as the model's plan went through it: what homes and cars draw, what the "
            "grid sees, what the battery holds, and the price.",
        },
        "saving": config["saving"],
        **report.foot(run),
    }


def week(width: float, found: Mapping[str, Any]) -> Figure:
    """Load and grid, battery, price, hour by hour."""
    figure = Figure((width, 4.6))
    power, battery, price = figure.subplots(3, 1, sharex=True, height_ratios=(2.2, 1, 1))
    hours = np.arange(len(found["load_kw"])) / 24
    power.set_title("The battery takes the noon's surplus and holds the evening's peak")
    power.plot(hours, found["load_kw"], color=plots.ORANGE, lw=1, label="load")
    power.step(hours, found["net_kw"], color=plots.BLUE, lw=1.2, where="post", label="grid")
    power.set_ylabel("kW")
    power.legend(loc="upper right", ncols=2)
    battery.fill_between(hours, found["held_kwh"], color=plots.GREEN, alpha=0.5, lw=0)
    battery.set_ylabel("battery, kWh")
    price.step(hours, found["buy_eur_per_kwh"], color=plots.VERMILLION, lw=1, where="post")
    price.set_ylabel("EUR/kWh")
    price.set_xlabel("days")
    return figure
