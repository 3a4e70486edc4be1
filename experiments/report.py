"""A run's report.html, rebuilt from its folder alone: `python -m experiments.report run=outputs/line_failure/…`.

Reads metrics.json (as `learn.scores.evaluate` writes it, with `cost` as `learn.compute.cost` does), metrics.jsonl,
figures.json, stamp.json and config.yaml. What is not there is left out.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments import cli
from sim.errors import InputError

OTHERS = {
    "best_fixed": "deciding.maintenance_report",
    "bottleneck": "deciding.layout_report",
    "best_rival": "deciding.saving_report",
    "together": "run.joint_report",
    "study": "studies.studied",
    "space": "sweeps.search_report",
}  # by what marks their scores
METRICS = {  # name for a person, and whether less is better
    "brier": ("Brier score", True),
    "auroc": ("AUROC", False),
    "log_loss": ("log loss", True),
    "accuracy": ("accuracy", False),
    "uno_c": ("concordance (Uno)", False),
    "ibs": ("integrated Brier score", True),
    "iou": ("IoU of marks", False),
    "average_precision": ("average precision of marks", False),
    "rmse": ("RMSE", True),
    "pehe": ("error of effects (PEHE), %", True),
    "regret": ("regret of the choice, %", True),
    "nrmse": ("RMSE at the last step, %", True),
    "mse": ("MSE", True),
    "mae": ("MAE", True),
    "crps": ("CRPS", True),
    "wql": ("WQL", True),
    "mase": ("MASE", True),
    "nasa": ("NASA score, mean", True),
    "coverage_80": ("coverage of 80 %", None),
    "coverage_90": ("coverage of 90 %", None),
}


def main() -> None:
    cli.run(job, "report")


def job(config: Any) -> None:
    from importlib import import_module

    from jinja2 import UndefinedError

    from experiments.run_dir import damaged, find_run

    run = find_run(Path(config.run))
    told = "metrics.json" if (run / "metrics.json").exists() else "sweep.json"
    page = import_module(f"experiments.{told_by(json_of(run / told))}").write
    try:
        print(page(run))
    except InputError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, ArithmeticError, UndefinedError) as error:
        raise damaged(run / told, f"{type(error).__name__}: {error}") from error


def told_by(found: Any) -> str:
    """The module that tells what a metrics.json holds; this one where it is of no other command."""
    return next((module for key, module in OTHERS.items() if isinstance(found, dict) and key in found), "report")


def write(run: Path, drawn: Mapping[str, Any] | None = None) -> Path:
    """Write report.html into a run's folder and return its path; raises InputError where there are no scores yet.

    *drawn* are the figures, where `draw` has made them.
    """
    from experiments.run_dir import find_run, write_text

    path = find_run(run) / "report.html"
    write_text(path, page("report.html", contents(run, drawn)))
    return path


def page(template: str, shown: Mapping[str, Any]) -> str:
    """One page that loads nothing from a network, from a template and what it shows."""
    import jinja2

    from experiments.pages import words

    pages = jinja2.Environment(
        loader=jinja2.PackageLoader("experiments.pages"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    pages.filters |= {
        "number": number,
        "interval": interval,
        "seconds": seconds,
        "count": count,
        "words": words.name_of,
    }
    return pages.get_template(template).render(shown)


def draw(run: Path, metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a run with these scores, each as SVG at two widths."""
    kinds = {row["name"]: row["kind"] for row in metrics["rows"]}
    return _plots(metrics, json_of(run / "figures.json") or {}, curves(run / "metrics.jsonl"), kinds)


def contents(run: Path, drawn: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All that the page shows, by name; parts that the folder does not hold are None or empty."""
    from experiments.pages import words
    from experiments.run_dir import config_of

    metrics = json_of(run / "metrics.json")
    if not isinstance(metrics, dict) or "rows" not in metrics:
        raise InputError(
            f"{run / 'metrics.json'} holds no scores; finish the run first, with the command that began it"
        )
    figures, config = json_of(run / "figures.json") or {}, config_of(run)
    resampled = words.cluster(config)
    columns = [m for m in METRICS if any(m in row["scores"] for row in metrics["rows"])]
    less = {m: METRICS[m][1] for m in columns}
    order = sorted(
        metrics["rows"], key=lambda row: _sortable(row, metrics["primary"], less.get(metrics["primary"], True))
    )
    return {
        "title": config.get("name", run.parent.name),
        "verdict": words.verdict(metrics, resampled),
        "fast": (config.get("debug") or {}).get("fast", False),
        "question": words.question(config.get("task") or {}, figures.get("forecasts") or ()),
        "members": (config.get("fit") or {}).get("members", 1),
        "metrics": metrics,
        "rows": order,
        "columns": columns,
        "labels": {m: METRICS[m][0] for m in columns},
        "less": less,
        "decimals": {m: decimals([row["scores"][m]["mean"] for row in order if m in row["scores"]]) for m in columns},
        "plots": draw(run, metrics) if drawn is None else drawn,
        "captions": words.captions(figures, metrics, resampled),
        "resampled": resampled,
        "futures": words.futures(config),
        "ends": words.ends(config.get("task") or {}),
        "chances": words.of_chances(metrics),
        "whole": (config.get("task") or {}).get("loss") == "counts",
        "outcome": words.outcome(config.get("task") or {}),
        "figures": figures,
        "parts": words.parts(config),
        "config": config,
        "skilled": any(row["skill"] is not None for row in order),
        "line": words.line(config.get("world") or {}),
        "cost": metrics.get("cost"),
        **foot(run),
    }


def foot(run: Path) -> dict[str, Any]:
    """What every page of a run ends with: what it was made with, its configuration and its folder."""
    text = (run / "config.yaml").read_text(encoding="utf-8")
    return {"stamp": json_of(run / "stamp.json") or {}, "yaml": text, "run": run}


def _plots(
    metrics: Mapping[str, Any], figures: Mapping[str, Any], curves: dict, kinds: dict[str, str]
) -> dict[str, Any]:
    from experiments.pages import plots, state_plots, words

    primary = metrics["primary"]
    less = METRICS.get(primary, ("", True))[1]
    label = f"{METRICS.get(primary, (primary,))[0]}, {'less' if less else 'more'} is better; bars are 95 % intervals"
    found = {"marks": plots.both("marks", lambda w: plots.marks(w, metrics["rows"], primary, label))}
    if (asset := figures.get("asset")) and asset["series"]:
        found["sensors"] = plots.both("sensors", lambda w: plots.sensors(w, asset))
    if curves:
        found["learning"] = plots.both("learning", lambda w: plots.learning(w, curves, "loss"))
    if (data := figures.get("risk")) and len(data["time_h"]) > 1:
        found["risk"] = plots.both("risk", lambda w: plots.risk(w, data, kinds))
    if told := figures.get("lives"):
        found["lives"] = plots.both("lives", lambda w: plots.lives(w, told, kinds))
    if foretold := figures.get("states"):
        found["states"] = plots.both("states", lambda w: state_plots.ahead(w, foretold, kinds))
        found["states_by_step"] = plots.both("by_step", lambda w: state_plots.by_step(w, foretold, kinds))
    if pictures := figures.get("frames"):
        found["frames"] = plots.both("frames", lambda w: plots.frames(w, pictures))
    if windows := [w for w in figures.get("forecasts") or () if sum(v is not None for v in w["future"]) > 1]:
        found["forecasts"] = plots.both("forecasts", lambda w: plots.forecasts(w, windows))
    shown = [n for n, k in kinds.items() if k in ("model", "variant")] + [metrics.get("best_baseline")]
    bins = {str(name): (metrics.get("calibration") or {}).get(name) for name in shown}
    bins = {name: b for name, b in bins.items() if b}
    if bins:
        events = words.of_chances(metrics)
        found["calibration"] = plots.both("calibration", lambda w: plots.calibration(w, bins, kinds, events))
        if not events:
            found["pit"] = plots.both("pit", lambda w: plots.pit(w, bins, kinds))
    return found


def curves(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    """The losses of metrics.jsonl by name, each with its updates; a torn last line is left out."""
    names = {"loss": "training", "train_loss": "training", "validation": "validation", "val_loss": "validation"}
    names["validation_loss"] = "validation"
    found: dict[str, tuple[list[float], list[float]]] = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if not isinstance(row, dict):
            continue
        for key, name in names.items():
            if isinstance(row.get(key), (int, float)) and math.isfinite(row[key]) and "step" in row:
                steps, values = found.setdefault(name, ([], []))
                steps.append(row["step"])
                values.append(row[key])
    return {name: found[name] for name in ("training", "validation") if name in found}


def _sortable(row: Mapping[str, Any], metric: str, less: bool | None) -> float:
    mean = row["scores"].get(metric, {}).get("mean")
    return math.inf if mean is None else mean if less is not False else -mean


def json_of(path: Path) -> Any:
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: {error}; run the command that wrote it again with fresh=true") from None


def decimals(values: list[float | None]) -> int:
    """Decimals that show three digits of the least of *values*, four at most."""
    least = min((abs(v) for v in values if v), default=1.0)
    return int(min(max(2 - math.floor(math.log10(least)), 0), 4))


def number(value: float | None, places: int = 3) -> str:
    return "–" if value is None else f"{value:.{places}f}".replace("-", "−")


def interval(score: Mapping[str, Any] | None, places: int = 3) -> str:
    """Low to high, or nothing where there is no interval."""
    if not score or score.get("low") is None:
        return ""
    return f"{number(score['low'], places)} to {number(score['high'], places)}"


def seconds(value: float) -> str:
    """A duration as people say it."""
    if value < 100:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"
    if value < 6000:
        return f"{int(value) // 60} min {int(value) % 60:02d} s"
    return f"{value / 3600:.1f} h"


def with_interval(score: Mapping[str, Any] | None, places: int = 3) -> str:
    """A mean and its interval, or what there is of them; nothing where there is no score."""
    if not score:
        return ""
    mean, between = score["mean"], interval(score, places)
    return " ".join([number(mean, places)] * (mean is not None) + [f"({between})"] * bool(between))


def count(value: float) -> str:
    """A large number in scientific words: 3.2 × 10¹²; small ones as they are."""
    if value < 1e5:
        return f"{value:,.0f}".replace(",", " ")
    power = math.floor(math.log10(value))
    return f"{value / 10**power:.1f} × 10" + str(power).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


if __name__ == "__main__":
    main()
