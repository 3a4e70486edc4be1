"""Every preset in one table: what docs/tables.py has seen of each lies in docs/scores.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from experiments.report import METRICS, decimals, number, told_by, with_interval

SCORES = Path(__file__).with_name("scores.json")
HEADS = ("preset", "score", "naive", "best baseline", "model", "oracle", "skill", "model − best baseline", "seeds")


def remember(name: str, metrics: dict[str, Any]) -> None:
    """Keep what the table needs of a run's metrics.json, or of the seeds.json of several. Fewer never replace more.

    Of runs of other commands than experiments.train it needs nothing.
    """
    if told_by(metrics) != "report":
        return
    rows, metric = {row["name"]: row for row in metrics["rows"]}, metrics["primary"]
    model, best = rows["model"], metrics["best_baseline"]
    told = {
        "metric": metric,
        "naive": rows[metrics["naive"]]["scores"][metric]["mean"],
        "best": [best, rows[best]["scores"][metric]["mean"]],
        "model": model["scores"][metric],
        "oracle": rows["oracle"]["scores"][metric]["mean"] if "oracle" in rows else None,
        "skill": model["skill"],
        "difference": model["difference"][best],
        "seeds": metrics["seeds"],
    }
    kept = json.loads(SCORES.read_text())
    if told["seeds"] >= kept.get(name, told)["seeds"]:
        SCORES.write_text(json.dumps(kept | {name: told}, indent=1, ensure_ascii=False) + "\n")


def table() -> str:
    lines = ["| " + " | ".join(HEADS) + " |", "|---" * len(HEADS) + "|"]
    for name, told in json.loads(SCORES.read_text()).items():
        best, best_mean = told["best"]
        places = min(decimals([best_mean, told["model"]["mean"]]), _kept(told["model"]))
        preset, _, gamma = name.partition("_gamma_")
        cells = (
            f"`{preset}`" + f", γ = {gamma}" * bool(gamma),
            METRICS[told["metric"]][0],
            number(told["naive"], places),
            f"{number(best_mean, places)} {best.replace('_', ' ')}",
            _with(told["model"], places),
            number(told["oracle"], places),
            told["skill"] if told["skill"] == "undefined" else _with(told["skill"], 2),
            _with(told["difference"], places + 1),
            str(told["seeds"]),
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _with(score: dict[str, float | None] | None, places: int) -> str:
    """A mean and its interval, of no more places than were kept."""
    return with_interval(score, min(places, _kept(score))) if score else "–"


def _kept(score: dict[str, float | None]) -> int:
    """The decimals of a score; of some there are only as many as a table had."""
    return max(len(repr(value).partition(".")[2]) for value in score.values())
