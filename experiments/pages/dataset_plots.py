"""The figures of a dataset's page: distributions, gaps and lives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.pages.plots import BLUE, CODES, GREEN, INK, ORANGE, PURPLE, VERMILLION, WIDE, unit_name
from experiments.pages.words import name_of
from twins.dataset.summary import Column

BARS = 40


def distributions(width: float, columns: Sequence[Column], others: Mapping[tuple, Column]) -> Figure:
    """A histogram a quantity, truth in its own colour, the other dataset as an outline."""
    shown = [column for column in columns if len(column.values)]
    across = 4 if width >= WIDE else 2
    rows = -(-len(shown) // across)
    figure = Figure((width, 1.45 * rows + 0.2))
    panels = figure.subplots(rows, across, squeeze=False).ravel()
    for axes, column in zip(panels, shown, strict=False):
        other = others.get(column.key)
        edges = _edges(column, other)
        colour = PURPLE if column.role == "truth" else BLUE
        axes.stairs(_share(column.values, edges), edges, fill=True, color=colour, alpha=0.55, lw=0)
        if other is not None and len(other.values):
            axes.stairs(_share(other.values, edges), edges, color=ORANGE, lw=1.3)
        axes.set_title(_title(column), fontsize=8)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(visible=False)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    return figure


def gaps(width: float, columns: Sequence[Column]) -> Figure:
    """The share of missing samples of each quantity that has any."""
    shown = sorted((column for column in columns if column.missing), key=lambda column: column.missing)
    figure = Figure((width, 0.5 + 0.24 * len(shown)))
    axes = figure.add_subplot()
    for y, column in enumerate(shown):
        share = 100 * column.missing
        axes.barh(y, share, height=0.62, color=VERMILLION, alpha=0.6)
        axes.annotate(f"{column.gap:,}", (share, y), (4, 0), textcoords="offset points", va="center", fontsize=7.5)
    axes.set_yticks(range(len(shown)), [name_of(column.quantity) for column in shown])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("% missing")
    axes.margins(x=0.08)
    return figure


def lives(width: float, hours: Mapping[str, np.ndarray]) -> Figure:
    """How long lives were, by how they ended, stacked."""
    figure = Figure((width, 2.4))
    axes = figure.add_subplot()
    top = max(float(x.max(initial=0.0)) for x in hours.values())
    per, unit = (24, "days") if top > 240 else (1, "hours")
    colours = (VERMILLION, BLUE, ORANGE, PURPLE, INK)
    fixed = {"planned work": GREEN, "end of the run": "#999999"}
    picked = iter(colours * (len(hours) // len(colours) + 1))
    names = list(hours)
    axes.hist(
        [hours[name] / per for name in names],
        bins=np.linspace(0, top / per or 1.0, BARS + 1).tolist(),
        stacked=True,
        color=[fixed.get(name) or next(picked) for name in names],
        label=[name_of(name) for name in names],
        alpha=0.75,
    )
    axes.set_xlabel(f"length of a life, {unit}")
    axes.set_ylabel("lives")
    axes.grid(axis="x", visible=False)
    axes.margins(x=0)
    figure.legend(loc="outside upper left", ncols=4, handlelength=1.0)
    return figure


def _edges(column: Column, other: Column | None) -> np.ndarray:
    """Bars between the 0.1 % and 99.9 % quantiles of both; one a value where there are few whole ones."""
    both = [c.values for c in (column, other) if c is not None and len(c.values)]
    kinds = np.unique(np.concatenate(both))
    if len(kinds) <= BARS and np.all(kinds == np.rint(kinds)) and np.ptp(kinds) <= 3 * BARS:
        return np.arange(kinds[0], kinds[-1] + 2) - 0.5
    low = min(np.quantile(x, 0.001) for x in both)
    high = max(np.quantile(x, 0.999) for x in both)
    return np.linspace(low, high if high > low else low + 1.0, BARS + 1)


def _share(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    return np.histogram(values, edges)[0] / max(len(values), 1)


def _title(column: Column) -> str:
    bare = column.unit in ("1", "{code}", "{count}", "") or column.quantity in CODES
    return name_of(column.quantity) + ("" if bare else f" ({unit_name(column.unit)})")
