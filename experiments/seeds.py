"""Runs of one experiment that differ in their seed alone, scored as one."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import pipeline, predictions
from experiments.build import fit
from experiments.experiment import Experiment
from experiments.questions import ask
from experiments.run_dir import UNHASHED, config_of, damaged
from learn.evaluate import Row
from sim.errors import InputError

DATA = ("plan", "source", "oracle")  # parts whose seeds are of the data, not of the training


def found(runs: Any) -> list[Path]:
    """The folders that the key `runs` names. Raises InputError where there are fewer than two finished runs."""
    fit(runs, str | list[str], "runs")
    paths = [Path(p) for p in (sorted(glob.glob(runs)) if isinstance(runs, str) else runs)]
    finished = [path for path in paths if (path / "metrics.json").exists()]
    if isinstance(runs, list) and len(finished) < len(paths):
        missing = next(path for path in paths if path not in finished)
        raise InputError(f"runs names {missing}, which is no finished run: it has no metrics.json")
    if len(finished) < 2:
        raise InputError(f"runs is {runs!r}, which finds {len(finished)} finished runs; it takes two or more")
    return finished


def compare(runs: Sequence[Path], places: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of all *runs* together, as metrics.json holds those of one; see `learn.evaluate.evaluate`."""
    configs = [config_of(path) for path in runs]
    for path, config in zip(runs, configs, strict=True):
        if (key := _differs(configs[0], config)) is not None:
            raise InputError(f"{path} differs from {runs[0]} in {key}; runs to compare differ in their seed alone")
    if len({config["seed"] for config in configs}) < len(configs):
        raise InputError(f"the seeds of the runs are {[c['seed'] for c in configs]}; each has to have one of its own")
    experiment = Experiment(configs[0] | dict(places))
    test, episodes = experiment.windows("test"), experiment.dataset.episodes("test")
    asked = ask(experiment.task, experiment.scoring, experiment.windows("train"), test, episodes)
    first, *others = [_rows(path) for path in runs]
    return pipeline.score(experiment, asked, first, others) | {"runs": [str(path) for path in runs]}


def _rows(run: Path) -> dict[str, Row]:
    """What every row of a run's table predicted."""
    file = run / "metrics.json"
    try:
        kinds = {row["name"]: row["kind"] for row in json.loads(file.read_text(encoding="utf-8"))["rows"]}
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(file, error) from None
    return {name: Row(kind, predictions.load(run / "predictions" / f"{name}.npz")) for name, kind in kinds.items()}


def _differs(first: Any, other: Any, key: str = "") -> str | None:
    """The first key in which two configurations differ, seeds of training and places aside."""
    if not (isinstance(first, Mapping) and isinstance(other, Mapping)):
        return None if first == other else key or "something"
    inside = key.partition(".")[0]
    ignored = (UNHASHED if not key else frozenset()) | (frozenset() if inside in DATA else {"seed"})
    for name in sorted({*first, *other} - ignored):
        where = f"{key}.{name}" if key else name
        if (found := _differs(first.get(name), other.get(name), where)) is not None:
            return found
    return None
