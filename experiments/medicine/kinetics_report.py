"""What a fit of kinetics came to: the table on a terminal, and its page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from experiments import cli, report
from experiments.pages import plots
from experiments.run_dir import to_yaml, write_text
from twins.dosed import Bands, Kinetics, Subject, curve

UNITS = {
    "absorption_per_h": ("absorption", "1/h"),
    "clearance_l_per_h_kg": ("clearance", "l/(h·kg)"),
    "volume_l_kg": ("volume", "l/kg"),
}


def told(subjects: Sequence[Subject], kinetics: Kinetics, bands: Bands) -> dict[str, Any]:
    """As JSON: typical values with their spread from subject to subject, and each subject's own."""
    spread = np.sqrt(np.diag(kinetics.covariance))
    root = np.outer(spread, spread)
    return {
        "subjects": {s.name: np.exp(mode).tolist() for s, mode in zip(subjects, kinetics.modes, strict=True)},
        "typical": {name: math.exp(m) for name, m in zip(UNITS, kinetics.mean.tolist(), strict=True)},
        "spread_of_log": dict(zip(UNITS, spread.tolist(), strict=True)),
        "correlation": (kinetics.covariance / root).tolist(),
        "half_life_h": kinetics.half_life_h,
        "scatter_mg_l": kinetics.scatter_mg_l,
        "measurements": sum(len(s.time_h) for s in subjects),
        "rounds": kinetics.rounds,
        "within": bands.within,
    }


def show(found: Mapping[str, Any]) -> None:
    """On stdout."""
    table = Table("", *(f"{name}, {unit}" for name, unit in UNITS.values()), box=SIMPLE_HEAD)
    table.add_row("typical", *(f"{x:.3g}" for x in found["typical"].values()), style="bold")
    table.add_row("spread (CV)", *(f"{_cv(s):.0%}" for s in found["spread_of_log"].values()), end_section=True)
    for name, values in found["subjects"].items():
        table.add_row(name, *(f"{x:.3g}" for x in values))
    Console().print(table)
    Console(highlight=False, soft_wrap=True).print(
        f"half-life of the typical subject {found['half_life_h']:.1f} h; measurements scatter by "
        f"{found['scatter_mg_l']:.2g} mg/l; {found['within']:.0%} of them lie in the middle 90 % of simulated ones. "
        "Research only, not for clinical use."
    )


def _cv(spread_of_log: float) -> float:
    return math.sqrt(math.expm1(spread_of_log**2))


def write(
    folder: Path,
    config: Mapping[str, Any],
    subjects: Sequence[Subject],
    kinetics: Kinetics,
    bands: Bands,
    found: Mapping[str, Any],
) -> Path:
    """Write report.html and drug.yaml into *folder*; returns the page's path."""
    drug = {"_target_": "sim.patient.pharmacology.Drug"}
    ka, clearance, volume = (float(f"{x:.4g}") for x in found["typical"].values())
    drug |= {"volume_l": 70 * volume, "clearance_l_per_h": 70 * clearance, "absorption_per_h": ka}
    write_text(
        folder / "drug.yaml", "# The typical subject, of 70 kg. Research only, not for clinical use.\n" + to_yaml(drug)
    )
    shown = {
        "title": config["name"],
        "found": found,
        "units": UNITS,
        "cv": _cv,
        "plots": {
            "check": plots.both("check", lambda width: check(width, subjects, bands)),
            "fits": plots.both("fits", lambda width: fits(width, subjects, kinetics)),
        },
        "captions": {
            "check": "Dots are measurements; lines are their 5th, 50th and 95th percentiles in each bin of time; the "
            f"bands hold 95 % of the same percentiles in {config['replicates']} simulated tables of new subjects.",
            "fits": "Each subject's own curve, at its most likely values given the population.",
        },
        "command": cli.command(),
        "yaml": to_yaml(dict(config)),
        "run": folder,
    }
    write_text(folder / "report.html", report.page("kinetics.html", shown))
    return folder / "report.html"


def check(width: float, subjects: Sequence[Subject], bands: Bands) -> Figure:
    """The visual predictive check."""
    figure = Figure((width, 3.8))
    axes = figure.add_subplot()
    axes.set_title("The bands of simulated percentiles hold the measured ones where the model fits")
    colours = (plots.SKY, plots.ORANGE, plots.SKY)
    for k, (level, colour) in enumerate(zip(bands.levels, colours, strict=True)):
        axes.fill_between(bands.time_h, bands.low[k], bands.high[k], color=colour, alpha=0.3, lw=0)
        axes.plot(bands.time_h, bands.measured[k], "-o", color=plots.BLUE, ms=3, lw=1.4 if level == 0.5 else 0.9)
    for s in subjects:
        axes.plot(s.time_h, s.mg_l, ".", color=plots.INK, ms=3.5, alpha=0.6)
    axes.set_xlabel("time since the dose, h")
    axes.set_ylabel("concentration, mg/l")
    axes.set_ylim(bottom=min(0.0, float(bands.low.min())))
    return figure


def fits(width: float, subjects: Sequence[Subject], kinetics: Kinetics) -> Figure:
    """A panel a subject."""
    columns = 4 if width >= plots.WIDE else 2
    rows = -(-len(subjects) // columns)
    figure = Figure((width, 1.5 * rows + 0.4))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    at = np.linspace(0, max(float(s.time_h.max()) for s in subjects), 200)
    for panel, s, mode in zip(panels.flat, subjects, kinetics.modes, strict=False):
        panel.plot(at, curve(mode, s.dose_mg_kg, at), color=plots.BLUE, lw=1.2)
        panel.plot(s.time_h, s.mg_l, ".", color=plots.VERMILLION, ms=4)
        panel.set_title(s.name)
    for panel in panels.flat[len(subjects) :]:
        panel.set_visible(False)
    figure.supxlabel("time since the dose, h", fontsize=8.5)
    figure.supylabel("concentration, mg/l", fontsize=8.5)
    return figure
