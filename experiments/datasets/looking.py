"""What a dataset holds, for a person: its channels, their distributions and gaps, events, some episodes, and drift."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiments import cli, report
from experiments.build import fit
from experiments.console import progress
from experiments.datasets import size
from experiments.experiment import Experiment
from experiments.pages import dataset_plots as drawn
from experiments.pages import figures, plots
from experiments.run_dir import write_text
from sim.errors import InputError
from twins.dataset import Dataset, drift, health, open_dataset, remote
from twins.dataset.manifest import MANIFEST
from twins.dataset.summary import Column, columns, events, lives
from twins.episode import Episode

WORST = ("none seen", "too few runs to tell", "slight drift", "moderate drift", "strong drift")


def write(experiment: Experiment) -> Path:
    """Write the page under outputs/look and return its path."""
    config = experiment.config
    first = _dataset(experiment, "dataset")
    second = _dataset(experiment, "against") if config["against"] is not None else None
    count, shuffles = (fit(config[name], int, name) for name in ("episodes", "shuffles"))
    if count < 0 or shuffles < 99:
        raise InputError(f"episodes is {count} and shuffles {shuffles}; they must be at least 0 and 99")
    split = fit(config["split"], str | None, "split")
    name = first.path.name + (f"-against-{second.path.name}" if second else "")
    path = Path(fit(config["outputs"], str, "outputs")) / "look" / f"{name}{f'-{split}' if split else ''}.html"
    shown = contents(first, second, split, count, shuffles)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, report.page("look.html", shown | {"command": cli.command(), "path": path}))
    return path


def _dataset(experiment: Experiment, key: str) -> Dataset:
    """What *key* names, by its folder or by its name under datasets; the experiment's dataset where it names none."""
    named = fit(experiment.config[key], str | None, key)
    if named is None:
        return experiment.dataset
    root = Path(fit(experiment.config["datasets"], str, "datasets"))
    if remote.is_url(named):
        with progress("pulling") as advance:
            return remote.pull(named, root, advance)
    for folder in (Path(named), root / named):
        if (folder / MANIFEST).exists():
            return open_dataset(folder)
    found = sorted(folder for folder in root.glob(f"{named}*") if (folder / MANIFEST).exists())
    if len(found) == 1:
        return open_dataset(found[0])
    has = ", ".join(folder.name for folder in found or sorted(root.glob("*")) if folder.is_dir()) or "none"
    raise InputError(f"{key}={named} is no finished dataset, nor the name of one in {root}; there is {has}")


def contents(
    first: Dataset, second: Dataset | None, split: str | None, count: int, shuffles: int = 9999
) -> dict[str, Any]:
    """All that the page shows, by name."""
    splits = [split] if split else list(first.splits)
    episodes = [episode for name in splits for episode in first.episodes(name)]
    if not episodes:
        raise InputError(f"{first.path} has no episode in {', '.join(splits)}; choose another split")
    mine = columns(first, splits)
    others = columns(second, [split] if split else list(second.splits)) if second else []
    found = drift.drifts(mine, others, shuffles) if second else []
    kinds = lives(episodes)
    shown = [figures.asset(episodes[i]) for i in chosen(episodes, count)]
    beside = {column.key: column for column in others}
    pictures = {"values": plots.both("values", lambda width: drawn.distributions(width, mine, beside))}
    if any(column.missing for column in mine):
        pictures["missing"] = plots.both("missing", lambda width: drawn.gaps(width, mine))
    if kinds:
        pictures["lives"] = plots.both("lives", lambda width: drawn.lives(width, kinds))
    for i, one in enumerate(shown):
        if _drawable(one):
            pictures[f"episode{i}"] = plots.both(f"episode{i}", lambda width, one=one: plots.sensors(width, one))
    return {
        "title": first.path.name,
        "headline": headline(found, second, first),
        "dataset": first,
        "second": second,
        "kind": health.kind(first.manifest),
        "size": size(sum(entry["bytes"] for entry in first.manifest["files"].values())),
        "split": split or "all splits",
        "columns": mine,
        "rows": [_row(column) for column in mine],
        "drifts": sorted(found, key=lambda row: (-WORST.index(row.verdict), -row.psi)),
        "only": drift.only(mine, others) + drift.only(others, mine) if second else [],
        "events": events(episodes),
        "lives": {name: (len(hours), float(np.median(hours))) for name, hours in kinds.items()},
        "asset_h": sum(episode.end_h for episode in episodes),
        "episodes": episodes,
        "shown": shown,
        "drawn": _varied(first, splits),
        "changed": [_changed(row) for row in first.manifest.get("changed", ())],
        "made_from": first.manifest.get("made_from"),
        "plots": pictures,
        "captions": {
            "values": "Shares of the readings, all entities together"
            + ("; the orange outline is the other dataset." if second else "; between the 0.1 % and 99.9 % quantiles."),
            "missing": "Share of the samples that are missing; the number is the longest stretch of them.",
            "lives": "Lives by how they ended.",
        }
        | {f"episode{i}": f"{one['asset']} in run {one['run']}." for i, one in enumerate(shown)},
    }


def headline(found: Sequence[drift.Drift], second: Dataset | None, first: Dataset) -> str:
    """One sentence: what it holds, or how far it is from the other."""
    if second is None:
        runs = sum(len(first.runs(split)) for split in first.splits)
        return f"{runs:,} runs of {len(first.channels):,} channels"
    moved = [row for row in found if row.verdict.endswith("drift")]
    if not moved:
        few = [row for row in found if row.verdict == "too few runs to tell"]
        return "Too few runs to tell whether the two differ" if few else "No drift seen between the two"
    return f"{len(moved)} of {len(found)} quantities {'has' if len(moved) == 1 else 'have'} drifted"


def chosen(episodes: Sequence[Episode], count: int) -> list[int]:
    """The episodes worth a picture: the one with most failures, and others spread evenly over the rest."""
    first = figures.pick(episodes)
    rest = [i for i in range(len(episodes)) if i != first]
    more = [rest[round(k)] for k in np.linspace(0, len(rest) - 1, min(max(count - 1, 0), len(rest)))]
    return [first, *dict.fromkeys(more)][:count]


def _drawable(one: Mapping[str, Any]) -> bool:
    return any(s["role"] != "truth" and len({v for v in s["values"] if v == v}) > 1 for s in one["series"])


def _row(column: Column) -> dict[str, Any]:
    """The numbers of one quantity."""
    clock = "explicit times" if column.step_h is None else f"every {column.step_h:.4g} h"
    row = {
        "name": column.quantity,
        "unit": column.unit,
        "role": column.role,
        "clock": clock + (f", {'×'.join(map(str, column.shape))}" if column.shape else ""),
        "entities": len(column.entities),
        "samples": int(column.seen_R.sum() + column.missing_R.sum()),
        "missing": column.missing,
    }
    values = column.values
    if len(values):
        row["quantiles"] = [_short(x) for x in np.quantile(values, (0, 0.01, 0.5, 0.99, 1))]
    return row


def _changed(row: Mapping[str, Any]) -> tuple[str, str, int, int, float]:
    """What a step has changed of one quantity, in all splits."""
    share = 100 * row["changed"] / max(row["samples"], 1)
    return row["step"], row["quantity"], row["samples"], row["changed"], share


def _varied(dataset: Dataset, splits: Sequence[str]) -> list[tuple[str, str]]:
    """Each drawn key with the range of what was drawn, or with the choices and how often each came."""
    found: dict[str, list[Any]] = {}
    for split in splits:
        for values in dataset.drawn(split).values():
            for key, value in values.items():
                found.setdefault(key, []).append(value)
    told = []
    for key, values in found.items():
        kinds = list(dict.fromkeys(values))
        if len(kinds) > 6 and all(isinstance(v, int | float) for v in values):
            told.append((key, " · ".join(_short(x) for x in np.quantile(values, (0, 0.5, 1)))))
        else:
            told.append((key, ", ".join(f"{v} ({values.count(v)}×)" for v in sorted(kinds, key=str))))
    return told


def _short(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")
