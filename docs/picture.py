"""The picture of the README: `python docs/picture.py` simulates the line of `line_failure` and draws docs/line.png."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from experiments import load
from experiments.pages import plots
from sim.line import Phase
from twins.futures.oracle import Ask, failures
from twins.sensors.render import render

SEED, ASSET, START_H, END_H = 58, "m2", 0.0, 28 * 24.0
PHASES = {  # colours of Okabe and Ito
    Phase.WORKING: ("working", plots.SKY),
    Phase.STARVED: ("starved", "#F0E442"),
    Phase.BLOCKED: ("blocked", plots.ORANGE),
    Phase.WAITING: ("waits for the crew", plots.PURPLE),
    Phase.REPAIRING: ("in repair", plots.VERMILLION),
}


def draw() -> Figure:
    line = load("line_failure")
    world, twin = line.world, line.twin
    trace = world.run(world.start(SEED), END_H).trace
    failed = [e for e in trace.events if e.entity == ASSET and e.kind == "failure"]
    figure = Figure((10, 7.6), dpi=160)
    figure.set_facecolor("white")
    top, wear, vibration, heat, risk = figure.subplots(5, 1, sharex=True, height_ratios=(2.1, 0.8, 1, 1, 1))

    for y, machine in enumerate(world.machines):
        phase = trace[machine, "phase"]
        ends_h = np.append(phase.time_h[1:], END_H)
        for code, (_, colour) in PHASES.items():
            here = phase.value == code
            spans = list(zip(phase.time_h[here] / 24, (ends_h - phase.time_h)[here] / 24, strict=True))
            top.broken_barh(spans, (y - 0.38, 0.76), facecolors=colour, lw=0)
    top.set_yticks(range(len(world.machines)), world.machines)
    top.invert_yaxis()
    top.grid(visible=False)
    top.set_title("The world: what five machines do, simulated event by event", pad=22)
    handles = [Patch(color=colour, label=name) for name, colour in PHASES.values()]
    top.legend(handles=handles, ncols=5, loc="lower left", bbox_to_anchor=(-0.01, 0.97), handlelength=1, fontsize=8.5)

    level = trace[ASSET, "wear"]
    wear.fill_between(np.append(level.time_h, END_H) / 24, np.append(level.value, level.value[-1]), step="post", lw=0)
    wear.collections[0].set(facecolor=plots.PURPLE, alpha=0.5)
    wear.set_title(f"The truth: wear of {ASSET}, which nobody sees")
    wear.set_ylim(0, 1.05)

    channels = {c.quantity: c for c in twin.channels if c.entity == ASSET}
    titles = {
        "vibration_high": "The twin: vibration in the high band (mm²/s²)",
        "bearing_temperature": "and bearing temperature (°C)",
    }
    for axes, (quantity, title) in zip((vibration, heat), titles.items(), strict=True):
        values = render(trace, channels[quantity])
        axes.plot(np.arange(len(values)) * twin.step_h / 24, values, color=plots.BLUE, lw=0.5)
        axes.set_title(title)

    at_h = np.arange(6.0, END_H, 6.0)
    first_h = failures(twin, [Ask(SEED, ASSET, t) for t in at_h], 24.0, 100)
    chance = (first_h <= 24.0).mean(1)
    breaks = np.searchsorted(at_h, [e.time_h for e in failed])
    risk.plot(np.insert(at_h, breaks, np.nan) / 24, np.insert(chance, breaks, np.nan), color=plots.GREEN, lw=1.6)
    risk.set_title(
        f"The bound: the chance that {ASSET} fails within 24 h, from 100 futures of the true state at each moment"
    )
    risk.set_ylim(0, 1)
    risk.set_xlabel("days")

    for axes in (wear, vibration, heat, risk):
        axes.grid(axis="x", visible=False)
        for event in failed:
            axes.axvline(event.time_h / 24, color=plots.VERMILLION, lw=1.3)
    for event in failed:
        words = {"wear": " worn out ", "sudden": " failed without warning "}[event.cause]
        late = event.time_h > 0.8 * END_H
        wear.text(event.time_h / 24, 1.02, words, color="#222222", va="top", ha="right" if late else "left")
    top.set_xlim(START_H / 24, END_H / 24)
    return figure


if __name__ == "__main__":
    import matplotlib

    with matplotlib.rc_context({**plots.STYLE, **{k: "#333333" for k in plots.STYLE if "labelcolor" in k}}):
        matplotlib.rcParams.update(
            {"text.color": "#222222", "axes.titlecolor": "#222222", "axes.labelcolor": "#222222"}
        )
        path = Path(__file__).with_name("line.png")
        draw().savefig(path, metadata={"Software": None})
    print(path)
