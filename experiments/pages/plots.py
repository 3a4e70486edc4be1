"""The figures of a report, drawn by matplotlib and handed on as inline SVG that takes the page's font and colours.

Every function returns SVG text at one of two widths, for the desktop and for the phone. Colours are Okabe and Ito's
(2008), which stay apart for colour-blind readers.
"""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from experiments.pages.words import name_of

WIDE, NARROW = 8.6, 4.1  # inches
INK, LINE = "#111213", "#d1d2d3"  # stand for the page's own colours, put in when the SVG is written
ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7"
COLOUR = {"naive": ORANGE, "baseline": SKY, "model": BLUE, "variant": BLUE, "oracle": GREEN}
MARKER = {"naive": "s", "baseline": "o", "model": "D", "variant": "d", "oracle": "^"}
VARIANTS = (("d", "--"), ("v", ":"), ("P", "-."))  # markers and lines of several in one picture
CODES = ("state", "phase")  # numbers that stand for names
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.8,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "path.simplify": True,
    "path.simplify_threshold": 0.3,
}


def both(name: str, draw: Callable[[float], Figure]) -> dict[str, str]:
    """The figure at both widths as SVG: {"wide", "narrow"}."""
    found = {}
    for size, width in (("wide", WIDE), ("narrow", NARROW)):
        with matplotlib.rc_context({**STYLE, "svg.hashsalt": f"{name}-{size}"}):
            out = io.StringIO()
            draw(width).savefig(out, format="svg", metadata={"Date": None, "Creator": None})
        found[size] = _inline(out.getvalue())
    return found


def _inline(svg: str) -> str:
    """Only the <svg> element, without the ids that nothing refers to, in the page's font and colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    used = set(re.findall(r"#([\w.-]+)\)", svg)) | set(re.findall(r'href="#([\w.-]+)"', svg))
    svg = re.sub(r' id="([\w.-]+)"', lambda m: m[0] if m[1] in used else "", svg)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", svg)
    svg = svg.replace(INK, "currentColor").replace(LINE, "var(--line)")
    return re.sub(r' d="[^"]*"', lambda m: re.sub(r"(\.\d\d)\d+", r"\1", m[0]), svg)


def spanned(axes: Axes, y: float, score: Mapping[str, Any], colour: str, marker: str, label: str | None = None) -> None:
    """A score at the height *y*, with its interval where it has one."""
    if score["low"] is not None:
        axes.plot([score["low"], score["high"]], [y, y], color=colour, lw=2.2, alpha=0.55, solid_capstyle="round")
    axes.plot(score["mean"], y, marker, color=colour, ms=6.5, mec="none", label=label)


def marks(width: float, rows: Sequence[Mapping[str, Any]], metric: str, label: str) -> Figure:
    """Every row's score with its interval, best on top, between the lines of the naive baseline and of the oracle."""
    rows = [row for row in rows if row["scores"].get(metric, {}).get("mean") is not None]
    rows = sorted(rows, key=lambda row: -row["scores"][metric]["mean"])
    figure = Figure((width, 0.75 + 0.29 * len(rows)))
    axes = figure.add_subplot()
    for y, row in enumerate(rows):
        score, colour = row["scores"][metric], COLOUR[row["kind"]]
        spanned(axes, y, score, colour, MARKER[row["kind"]])
        if row["kind"] in ("naive", "oracle"):
            axes.axvline(score["mean"], color=colour, lw=1, ls=(0, (4, 3)), zorder=0)
    names = [name_of(row["name"]) for row in rows]
    axes.set_yticks(range(len(rows)), names)
    for text, row in zip(axes.get_yticklabels(), rows, strict=True):
        text.set_fontweight("bold" if row["kind"] == "model" else "normal")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(5 if width < WIDE else 8))
    return figure


def sensors(width: float, asset: Mapping[str, Any], limit: int = 8) -> Figure:
    """The hidden health of one asset above what its sensors read, failures and planned work marked."""
    truth = [s for s in asset["series"] if s["role"] == "truth"]
    seen = [s for s in asset["series"] if s["role"] not in ("truth", "static") and s["quantity"] not in CODES]
    seen = [s for s in seen if len({v for v in s["values"] if v is not None}) > 1][:limit]
    truth = [s for s in truth if len({v for v in s["values"] if v is not None}) > 2][:1]
    panels = truth + seen
    figure = Figure((width, 0.45 + 0.82 * len(panels)))
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    days = asset["end_h"] > 72
    per = 24 if days else 1
    for axes, series in zip(grid, panels, strict=True):
        hidden = series["role"] == "truth"
        time = np.asarray(series["time_h"]) / per
        values = np.array(series["values"], float)
        _down(axes, asset["events"], per)
        if hidden:
            axes.fill_between(time, 0, values, color=PURPLE, alpha=0.35, lw=0, step="post")
            axes.plot(time, values, color=PURPLE, lw=1.1, drawstyle="steps-post")
        else:
            style = "steps-post" if series["role"] == "action" else "default"  # a dose is given, not poured in between
            axes.plot(time, values, color=BLUE, lw=0.55, drawstyle=style)
        axes.set_title(_quantity(series, asset["asset"]) + (", hidden from every model" if hidden else ""), pad=2.5)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.grid(axis="x", visible=False)
        axes.margins(x=0)
    grid[-1].set_xlabel("days" if days else "hours")
    figure.align_ylabels()
    return figure


def _down(axes: Axes, events: Sequence[Mapping[str, Any]], per: float) -> None:
    """Failures as full lines, planned work as broken ones, the time down shaded."""
    start = None
    for event in events:
        at = event["time_h"] / per
        if event["kind"] == "failure":
            axes.axvline(at, color=VERMILLION, lw=1.2)
        elif event["kind"] == "planned":
            axes.axvline(at, color=GREEN, lw=1.2, ls=(0, (3, 2)))
        if event["kind"] == "renewal" and start is not None:
            axes.axvspan(start, at, color=VERMILLION, alpha=0.12, lw=0)
        start = at if event["kind"] in ("failure", "planned") else None


def _quantity(series: Mapping[str, Any], asset: str) -> str:
    where = "" if series["entity"] == asset else f"{series['entity']}: "
    bare = series["unit"] in ("1", "{code}", "{count}", "")
    if series["quantity"] == "parts" and bare:
        return f"{where}finished (parts)"
    unit = "" if bare else f" ({unit_name(series['unit'])})"
    return f"{where}{name_of(series['quantity'])}{unit}"


def unit_name(ucum: str) -> str:
    """A UCUM unit as people write it."""
    known = {"Cel": "°C", "[degF]": "°F", "deg": "°", "dB[SPL]": "dB", "%": "%"}
    plain = re.sub(r"[][{}]", "", ucum).replace(".", "·")
    return known.get(ucum, re.sub(r"(?<=[a-z])([23])\b", lambda m: "²³"[int(m[1]) - 2], plain))


def learning(width: float, curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], label: str) -> Figure:
    """Loss against update, the training's and the validation's; *curves* is name to (steps, values)."""
    figure = Figure((width, 2.5))
    axes = figure.add_subplot()
    for colour, (name, (step, value)) in zip((SKY, BLUE, ORANGE, GREEN), curves.items(), strict=False):
        mark = "o" if len(step) < 25 else ""
        axes.plot(step, value, color=colour, lw=1.6, marker=mark, ms=3, label=name)
    axes.set_xlabel("update")
    axes.set_ylabel(label)
    axes.margins(x=0.02)
    axes.legend()
    return figure


def risk(width: float, data: Mapping[str, Any], kinds: Mapping[str, str]) -> Figure:
    """Probability of failing within the horizon against time; the horizon before each failure is shaded."""
    rows = [(name, p) for name, p in data["p"].items()]
    figure = Figure((width, 3.1))
    axes = figure.add_subplot()
    time, ahead = np.asarray(data["time_h"]) / 24, data["horizon_h"] / 24
    start, end = time[0], time[-1] + ahead
    for event in data["events"]:
        at = event["time_h"] / 24
        if event["kind"] == "failure" and start <= at <= end:
            axes.axvspan(max(at - ahead, start), at, color=VERMILLION, alpha=0.14, lw=0)
            axes.axvline(at, color=VERMILLION, lw=1.2)
    ends = [event["time_h"] / 24 for event in data["events"] if event["kind"] != "renewal"]
    gaps = np.unique(np.searchsorted(time, ends))  # no line from one life to the next
    for name, p in sorted(rows, key=lambda item: kinds.get(item[0]) == "model"):
        kind = kinds.get(name, "baseline")
        values = np.array(p, float)
        width_pt = {"model": 1.8, "baseline": 0.9}.get(kind, 1.2)
        style = {"color": COLOUR[kind], "lw": width_pt, "zorder": 3 if kind == "model" else 2}
        axes.plot(np.insert(time, gaps, np.nan), np.insert(values, gaps, np.nan), label=name_of(name), **style)
    axes.set_ylim(0, 1)
    axes.set_xlim(start, end)
    axes.set_xlabel("days")
    axes.set_ylabel(f"P(within {data['horizon_h']:g} h)")
    figure.legend(loc="outside upper left", ncols=4, handlelength=1.4, columnspacing=1.4)
    return figure


def lives(width: float, data: Mapping[str, Any], kinds: Mapping[str, str]) -> Figure:
    """Predicted against true remaining life with the central 80 %, and beside it the error by true life."""
    rows = 1 if width > NARROW else 2
    figure = Figure((width, 3.4 * rows))
    left, right = figure.subplots(rows, 3 - rows)
    true, mean, cap = np.array(data["true"], float), np.array(data["mean"], float), data["cap"]
    left.plot([0, cap], [0, cap], color=LINE, lw=1.2)
    left.vlines(true, data["low"], data["high"], color=BLUE, alpha=0.16, lw=1)
    left.plot(true, mean, "o", color=BLUE, ms=2.6, mec="none", alpha=0.8)
    left.set_ylabel(f"predicted life left ({data['unit']})")
    middle = (np.array(data["edges"][1:], float) + np.array(data["edges"][:-1], float)) / 2
    for name, rmse in data["rmse"].items():
        kind = kinds.get(name, "baseline")
        right.plot(middle, np.array(rmse, float), marker=MARKER[kind], color=COLOUR[kind], ms=4.5, label=name_of(name))
    right.set_ylim(bottom=0)
    right.set_ylabel(f"RMSE ({data['unit']})")
    right.legend(handlelength=1.6)
    for axes in (left, right):
        axes.set_xlabel(f"true life left ({data['unit']})")
    return figure


def frames(width: float, shown: Sequence[Mapping[str, Any]]) -> Figure:
    """Pictures above their true marks, a colour a kind, and above the model's marks, as deep as it is sure of them."""
    shown = shown if width > NARROW else shown[1::2]
    rows = 1 + (shown[0]["marks"] is not None) + (shown[0]["chance"] is not None)
    figure = Figure((width, rows * width / len(shown) + 0.5))
    grid = figure.subplots(rows, len(shown), squeeze=False)
    colours = (VERMILLION, BLUE, GREEN, ORANGE, SKY, PURPLE)
    ink_Kx3 = 1 - np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in colours])

    def tinted(chance_HxWxK: np.ndarray) -> np.ndarray:
        return np.clip(1 - chance_HxWxK @ ink_Kx3[: chance_HxWxK.shape[-1]], 0, 1)

    for column, one in enumerate(shown):
        panels = list(grid[:, column])
        panels[0].imshow(np.array(one["grey"], float), cmap="gray", vmin=0.2, vmax=0.9)
        panels[0].set_title(f"{'bad' if one['failed'] else 'good'}, p = {one['p']:.2f}")
        if one["marks"] is not None:
            bits = np.array(one["marks"], int)[..., None] >> np.arange(len(one["kinds"])) & 1
            panels[1].imshow(tinted(bits.astype(float)))
        if one["chance"] is not None:
            panels[-1].imshow(tinted(np.array(one["chance"], float)))
        for axes in panels:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.grid(visible=False)
    for axes, name in zip(grid[:, 0], ("picture", "true marks", "predicted marks"), strict=False):
        axes.set_ylabel(name)
    handles = [Patch(color=colour, label=kind) for colour, kind in zip(colours, shown[0]["kinds"], strict=False)]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles), handlelength=1.0)
    return figure


def forecasts(width: float, windows: Sequence[Mapping[str, Any]]) -> Figure:
    """Each window's past, what came, and the forecast's median with its central 80 % and 98 %; whose it is, where they
    are of several assets or runs."""
    columns = 1 if width <= NARROW else min(len(windows), 3)
    count = -(-len(windows) // columns)
    figure = Figure((width, 0.55 + 2.2 * count))
    grid = figure.subplots(count, columns, squeeze=False).ravel()
    several = len({(window["asset"], window["run"]) for window in windows}) > 1
    for axes, window in zip(grid, windows, strict=False):
        step_h, past = window["step_h"] or 1.0, np.array(window["past"], float)
        future, levels = np.array(window["future"], float), np.array(window["levels"], float)
        quantiles = np.array(window["quantiles"], float)
        ahead = np.arange(len(future)) * step_h
        axes.plot((np.arange(len(past)) - len(past)) * step_h, past, color=INK, lw=1)
        axes.plot(ahead, future, color=INK, lw=1, label="what came")
        for low, high, alpha in ((0.01, 0.99, 0.18), (0.1, 0.9, 0.32)):
            if levels[0] <= low + 1e-9 and levels[-1] >= high - 1e-9:
                band = [np.array([np.interp(q, levels, row) for row in quantiles]) for q in (low, high)]
                label = f"central {round(100 * (high - low))} %"
                axes.fill_between(ahead, *band, color=BLUE, alpha=alpha, lw=0, label=label)
        middle = np.array([np.interp(0.5, levels, row) for row in quantiles])
        axes.plot(ahead, middle, color=BLUE, lw=1.5, label="forecast")
        if window.get("naive") is not None:
            axes.plot(ahead, np.array(window["naive"], float), color=ORANGE, lw=1, ls=(0, (4, 2)), label="naive")
        axes.axvline(0, color=LINE, lw=1)
        unit = f" ({unit_name(window['unit'])})" if window["unit"] not in ("", "1") else ""
        whose = f"\n{window['asset']}, test run {window['run']}" if several else ""
        axes.set_title(name_of(window["quantity"]) + unit + whose)
        axes.set_xlabel("hours from now" if window["step_h"] else "samples from now")
        axes.margins(x=0)
    handles, labels = grid[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=3 if width <= NARROW else 5, handlelength=1.4)
    return figure


def calibration(
    width: float, curves: Mapping[str, Sequence[Mapping[str, Any]]], kinds: Mapping[str, str], events: bool
):
    """What was observed against what was predicted, with intervals; the diagonal is honest."""
    side = min(width, 4.6)
    figure = Figure((side, side * 0.86))
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=LINE, lw=1.2)
    top, told = 0.0, itertools.cycle(VARIANTS)
    for name, bins in curves.items():
        colour, marker, line = COLOUR[kinds[name]], MARKER[kinds[name]], "-"
        if kinds[name] == "variant":
            marker, line = next(told)
        bins = [b for b in bins if b["observed"]["mean"] is not None]
        x, y = [b["predicted"] for b in bins], [b["observed"]["mean"] for b in bins]
        top = max([top, *x, *y, *(b["observed"]["high"] or 0 for b in bins)])
        for b in bins:
            if b["observed"]["low"] is not None:
                axes.plot([b["predicted"]] * 2, [b["observed"]["low"], b["observed"]["high"]], color=colour, alpha=0.45)
        axes.plot(x, y, lw=1.3, ms=4.5, label=name_of(name), color=colour, marker=marker, ls=line)
    limit = min(1.0, top * 1.06) if events else 1.0
    axes.set_xlim(0, limit)
    axes.set_ylim(0, limit)
    axes.set_xlabel("predicted probability" if events else "quantile level")
    axes.set_ylabel("share observed" if events else "share of values below the forecast quantile")
    axes.legend(loc="upper left", handlelength=1.6)
    return figure


def pit(width: float, curves: Mapping[str, Sequence[Mapping[str, Any]]], kinds: Mapping[str, str]):
    """How often what came fell into each tenth of the forecast, over how often it should have: a panel a forecast."""
    columns = min(len(curves), 2 if width <= NARROW else 4)
    rows = -(-len(curves) // columns)
    figure = Figure((width, 1.7 * rows))
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    tenths = np.linspace(0, 1, 11)
    for axes, (name, levels) in zip(grid, curves.items(), strict=False):
        seen = [(b["predicted"], b["observed"]["mean"]) for b in levels if b["observed"]["mean"] is not None]
        below = np.interp(tenths, *np.array([(0.0, 0.0), *seen, (1.0, 1.0)]).T)
        axes.stairs(10 * np.diff(below), tenths, fill=True, color=COLOUR[kinds[name]], alpha=0.7)
        axes.axhline(1, color=LINE, lw=1.2)
        axes.set_title(name_of(name))
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1])
    for axes in grid[len(curves) :]:
        axes.set_axis_off()
    figure.supxlabel("probability integral transform")
    return figure
