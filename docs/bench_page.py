"""bench/RESULTS.md and its plot, drawn from bench/RESULTS.json."""

from __future__ import annotations

import json
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1] / "bench"
LIMITS = {
    "normals_per_s": ("float32 normals drawn by NumPy", 1e-6, "million a second"),
    "copied_gb_per_s": ("memory copied", 1.0, "GB a second"),
    "written_gb_per_s": ("written to disk and synchronised", 1.0, "GB a second"),
}


def write() -> None:
    """Draw both anew."""
    found = json.loads((BENCH / "RESULTS.json").read_text())
    (BENCH / "RESULTS.md").write_text(page(found), encoding="utf-8")
    plot(found["results"], BENCH / "results.png")


def page(found: dict) -> str:
    """The page: every measure with its range and what went into it, and what the machine itself can do."""
    machine = found["machine"]
    where = f"On {machine['cores']} cores of {machine['cpu']}, Python {machine['python']}, by"
    lines = [
        "# What was measured",
        "",
        f"{where} `python -m experiments.bench`; drawn from RESULTS.json by `python docs/tables.py`. Ratios are taken "
        "in turns, and the median stands with the least and the greatest. Other work ran beside them, as the load "
        "average of each tells.",
        "",
        "![Each ratio with its range and target](results.png)",
        "",
        "| measure | what | median | range | turns | target | | load |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, r in found["results"].items():
        verdict, load = "met" if r["met"] else "missed", r.get("load_average")
        span = f"{r['low']:.3g} to {r['high']:.3g}"
        cells = (name, r["what"], f"{r['value']:.3g} {r['unit']}", span, str(r["repeats"]), r["target"], verdict)
        lines.append("| " + " | ".join((*cells, "" if load is None else f"{load:.1f}")) + " |")
    if "limits" in machine:
        lines += ["", "What the machine itself can do, in one thread:", "", "| | |", "|---|---|"]
        for name, (what, scale, unit) in LIMITS.items():
            lines.append(f"| {what} | {machine['limits'][name] * scale:.3g} {unit} |")
    lines += ["", "What went into each:", ""]
    for name, r in found["results"].items():
        parts = (f"{what} {x:.4g}" if isinstance(x, float) else f"{what} {x}" for what, x in r["detail"].items())
        lines.append(f"- `{name}`: {', '.join(parts)}")
    return "\n".join(lines) + "\n"


def plot(results: dict, path: Path) -> None:
    """The ratios of which more is better, each with its range, against its target."""
    from matplotlib.figure import Figure

    shown = {name: r for name, r in results.items() if r["unit"] == "×" and r["target"].startswith("at least")}
    figure = Figure(figsize=(8, 0.42 * len(shown) + 1), layout="constrained")
    axes = figure.subplots()
    for y, r in enumerate(shown.values()):
        axes.barh(y, r["value"], color="#4c72b0", height=0.6)
        axes.plot([r["low"], r["high"]], [y, y], color="black", linewidth=1)
        target = float(r["target"].removeprefix("at least "))
        axes.plot([target, target], [y - 0.4, y + 0.4], color="#c44e52", linewidth=2, label="" if y else "target")
        axes.text(r["high"] * 1.08, y, f"{r['value']:.3g} ×", va="center", fontsize=9)
    axes.set(xscale="log", xlabel="how many times the rival's speed", yticks=range(len(shown)), yticklabels=shown)
    axes.set_xlim(right=2.5 * max(r["high"] for r in shown.values()))
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
