"""Runs of one experiment that differ in their seed alone, scored as one; or of several, each a row of one table."""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.build import fit
from experiments.experiment import Experiment
from experiments.report import json_of, told_by
from experiments.run import pipeline, predictions
from experiments.run_dir import UNHASHED, config_of, damaged
from learn.scores.evaluate import Row
from sim.errors import InputError

DATA = ("plan", "oracle")  # parts whose seeds are of the data, not of the training
ASKED = ("task", "evaluate")


def found(runs: Any) -> dict[str, list[Path]]:
    """The folders that the key `runs` names, by the name of the model's row.

    Raises InputError where a row has fewer than two finished runs.
    """
    if isinstance(runs, Mapping):
        return {
            name: _folders(fit(some, str | list[str], f"runs.{name}"), f"runs.{name}") for name, some in runs.items()
        }
    return {pipeline.MODEL: _folders(fit(runs, str | list[str], "runs"), "runs")}


def _folders(runs: str | list[str], key: str) -> list[Path]:
    paths = [Path(p) for p in (sorted(glob.glob(runs)) if isinstance(runs, str) else runs)]
    finished = [path for path in paths if (path / "metrics.json").exists()]
    if isinstance(runs, list) and len(finished) < len(paths):
        missing = next(path for path in paths if path not in finished)
        raise InputError(f"{key} names {missing}, which is no finished run: it has no metrics.json")
    for path in finished:
        if told_by(json_of(path / "metrics.json")) != "report":
            raise InputError(f"{key} names {path}, a run of another command; compare those of experiments.train")
    if len(finished) < 2:
        raise InputError(
            f"{key} is {runs!r}, which finds {len(finished)} finished run{'s' * (len(finished) != 1)}; "
            "it takes two or more"
        )
    return finished


def compare(models: Mapping[str, Sequence[Path]], places: Mapping[str, Any]) -> dict[str, Any]:
    """The scores of all runs together, as metrics.json holds those of one; see `learn.scores.evaluate.evaluate`.

    Baselines are those of the first model's runs. All models are of the same seeds, and asked the same.
    """
    configs = {name: _of_seeds(runs) for name, runs in models.items()}
    (first, by_seed), *others = configs.items()
    for name, other in others:
        if list(other) != list(by_seed):
            raise InputError(f"the seeds of {name} are {list(other)}, those of {first} {list(by_seed)}; give the same")
        (_, ours), (run, theirs) = (next(iter(found.values())) for found in (by_seed, other))
        if (key := _differs({k: ours[k] for k in ASKED}, {k: theirs[k] for k in ASKED})) is not None:
            raise InputError(f"{run} is asked otherwise than the runs of {first}: it differs in {key}")
    experiment = Experiment(next(iter(by_seed.values()))[1] | dict(places))
    _, asked = pipeline.asked_of(experiment)
    rows: list[dict[str, Row]] = []
    for seed, (run, _) in by_seed.items():
        table = _rows(run)
        named = {name: _rows(of[seed][0])[pipeline.MODEL] for name, of in configs.items()}
        rows.append({name: row for name, row in table.items() if row.kind != "model"} | named)
    folders = {name: [str(path) for path in runs] for name, runs in models.items()}
    return pipeline.score(experiment, asked, rows[0], rows[1:]) | {"runs": folders}


def _of_seeds(runs: Sequence[Path]) -> dict[int, tuple[Path, dict[str, Any]]]:
    """Folder and configuration by seed, in order; refuses runs that differ in more."""
    configs = [config_of(path) for path in runs]
    for path, config in zip(runs, configs, strict=True):
        if (key := _differs(configs[0], config)) is not None:
            raise InputError(
                f"{path} differs from {runs[0]} in {key}; runs to compare differ in their seed alone; "
                "where a folder holds others too, name them, as in 'runs=[outputs/…/a,outputs/…/b]'"
            )
    for run, config in zip(runs, configs, strict=True):
        if "seed" not in config:
            raise damaged(Path(run) / "config.yaml", "it has no seed")
    if len({config["seed"] for config in configs}) < len(configs):
        raise InputError(f"the seeds of the runs are {[c['seed'] for c in configs]}; each has to have one of its own")
    return {config["seed"]: (path, config) for path, config in sorted(zip(runs, configs, strict=True), key=_seed)}


def _seed(run: tuple[Path, dict[str, Any]]) -> int:
    return run[1]["seed"]


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
