"""The figures of a report on states: their probabilities over the samples ahead, and how well each step is foretold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments.pages.plots import BLUE, COLOUR, GREEN, INK, LINE, MARKER, NARROW, ORANGE, PURPLE, SKY, VERMILLION
from experiments.pages.words import name_of

COLOURS = (SKY, BLUE, ORANGE, PURPLE, VERMILLION, GREEN, "#F0E442", "#999999")
STROKES = ("-", "--", ":", "-.")
STRIP = (1.04, 0.1)  # from where, and how high


def colour_of(state: int) -> str:
    return COLOURS[state % len(COLOURS)]


def ahead(width: float, data: Mapping[str, Any], kinds: Mapping[str, str]) -> Figure:
    """Stacked probabilities of the states from now on, of the oracle or a rival and of the model, under what came."""
    order = ("model", "oracle", "baseline", "naive")
    rows = sorted(data["p"], key=lambda name: order.index(kinds.get(name, "baseline")))[:2]
    columns = 1 if width <= NARROW else len(rows)
    figure = Figure((width, 0.6 + 2.7 * -(-len(rows) // columns)))
    grid = figure.subplots(-(-len(rows) // columns), columns, squeeze=False, sharey=True).ravel()
    step, unit = (data["step_h"], "hours") if data["step_h"] else (1.0, "samples")
    there: set[int] = set()
    for axes, name in zip(grid, rows, strict=True):
        p_HxC = np.array(data["p"][name], float)
        edges = np.arange(len(p_HxC) + 1) * step
        top_HxC = np.cumsum(p_HxC, axis=1)
        for state in range(p_HxC.shape[1]):
            low = top_HxC[:, state] - p_HxC[:, state]
            axes.stairs(top_HxC[:, state], edges, baseline=low, fill=True, color=colour_of(state), lw=0)
        there |= set(np.flatnonzero((p_HxC > 0.01).any(0)).tolist())
        before = list(data["before"])
        there |= _strip(axes, [*before, *data["came"]], -len(before) * step, step)
        axes.axvline(0, color=INK, lw=1)
        axes.set_title(name_of(name))
        axes.set_xlim(-len(before) * step, edges[-1])
        axes.set_ylim(0, sum(STRIP))
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1, STRIP[0] + STRIP[1] / 2], ["0", ".25", ".5", ".75", "1", "came"])
        axes.set_xlabel(f"{unit} from now")
        axes.grid(visible=False)
    grid[0].set_ylabel("probability")
    handles = [Patch(color=colour_of(s), label=name_of(data["names"][s])) for s in sorted(there)]
    figure.legend(handles=handles, loc="outside upper left", ncols=3 if width <= NARROW else 6, handlelength=1.0)
    return figure


def _strip(axes: Axes, states: Sequence[int], start: float, step: float) -> set[int]:
    """The states that came as bars above the probabilities; which they are."""
    known = {s for s in states if s >= 0}
    for state in known:
        spans = [(start + i * step, step) for i, s in enumerate(states) if s == state]
        axes.broken_barh(spans, STRIP, facecolors=colour_of(state), lw=0)
    axes.axhline(STRIP[0], color=LINE, lw=0.8)
    return known


def by_step(width: float, data: Mapping[str, Any], kinds: Mapping[str, str]) -> Figure:
    """The Brier score of every row at each sample ahead; rows of one kind differ by their strokes."""
    figure = Figure((width, 2.9))
    axes = figure.add_subplot()
    step, unit = (data["step_h"], "hours") if data["step_h"] else (1.0, "samples")
    seen: Counter[str] = Counter()
    for name, brier in data["brier"].items():
        kind, time = kinds.get(name, "baseline"), (np.arange(len(brier)) + 1) * step
        style: dict[str, Any] = {"marker": MARKER[kind], "markevery": max(len(brier) // 9, 1), "ms": 4.5}
        style |= {"lw": 1.8 if kind == "model" else 1.2, "ls": STROKES[seen[kind] % len(STROKES)]}
        seen[kind] += 1
        axes.plot(time, np.array(brier, float), color=COLOUR[kind], label=name_of(name), **style)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, None)
    axes.set_xlabel(f"{unit} ahead")
    axes.set_ylabel("Brier score")
    axes.legend(handlelength=1.8)
    return figure
