"""The baselines of an experiment, fitted and asked; their answers are kept beside the dataset, for runs that ask alike.

Trees take longer to grow than a small model to train, and runs that differ in their model alone ask them the same.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments.build import targets
from experiments.console import progress
from experiments.experiment import Experiment
from experiments.run import predictions
from experiments.run.questions import Asked
from experiments.run_dir import config_hash
from learn.scores.evaluate import Row
from learn.scores.metrics import Prediction
from sim.errors import InputError
from twins.executors.platform import stamp

UNSEEN = frozenset({"resamples", "primary", "cluster_h", "conformal", "adaptive", "mc_dropout"})  # how rows are scored
UNASKED = frozenset({"model", "optim", "fit", "init", "seed", "oracle", "name", "baselines"})  # of no baseline
PACKAGES = {"sim", "twins", "learn", "experiments"}


def predicted(experiment: Experiment, asked: Asked, kept: Path | None = None) -> dict[str, Row]:
    """Every baseline of the configuration, fitted on the training split and *asked* about the test split.

    With *kept*, the folder of a run's own predictions, *asked* is what the experiment itself asks.
    """
    found, rows = experiment.part("baselines"), {}
    with progress("baselines") as advance:
        for done, (name, baseline) in enumerate(found.items()):
            advance(done, len(found), name.replace("_", " "))
            make = partial(_answer, experiment, name, baseline, asked)
            once = partial(_once, experiment, name, make)
            prediction = make() if kept is None else predictions.kept(kept / f"{name}.npz", once)
            rows[name] = Row(baseline.kind, prediction)
    return rows


def _answer(experiment: Experiment, name: str, baseline: Any, asked: Asked) -> Prediction:
    """What a baseline says once it is fitted; raises InputError naming it."""
    try:
        fitted = baseline.fit(experiment.windows("train"), experiment.windows("validation"), experiment.task)
        return fitted(asked.windows, asked.anchors_Nx2)
    except InputError as error:
        raise InputError(f"baselines.{name}: {error}; else leave it out, ~baselines.{name}") from error


def _once(experiment: Experiment, name: str, make: Callable[[], Prediction]) -> Prediction:
    """What an earlier run has kept beside the dataset; made and kept where it is not there, or damaged."""
    path = _shared(experiment, name)
    if path is None:
        return make()
    try:
        return predictions.load(path)
    except InputError:
        made = make()
        with contextlib.suppress(OSError):  # a dataset that others keep may be read alone
            predictions.save(path, made)
        return made


def _shared(experiment: Experiment, name: str) -> Path | None:
    """The file beside the dataset, named by all that a baseline's predictions depend on: its settings, its own seed
    among them, the data and whatever says which windows of them, the code, the libraries and the processor.

    None where that is not all known: code from outside the packages, readings rendered anew, plans tried.
    """
    dataset = experiment.dataset
    about = experiment.config["baselines"][name]
    built = [about, *map(experiment.config.get, ("task", "evaluate", "feed"))]
    foreign = {name.partition(".")[0] for name in targets(built)} - PACKAGES
    if foreign or dataset.live or experiment.config.get("branches") is not None:
        return None
    asks = {key: value for key, value in experiment.config.items() if key not in UNASKED} | {"baseline": about}
    asks["evaluate"] = {key: value for key, value in asks["evaluate"].items() if key not in UNSEEN}
    key = config_hash(asks, repr([dataset.manifest["content"], _code(), stamp(), version("scikit-learn")]))
    return dataset.path / "cache" / f"{name}-{key}.npz"


@cache
def _code() -> str:
    """A digest of the source of the packages."""
    root, digest = Path(__file__).parents[2], hashlib.blake2b(digest_size=16)
    for path in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


_code()  # of what is imported now, not of what is written there by the time that baselines are asked
