"""Predictions on disk, one file a row of the table, so that a run that was stopped keeps what it has."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile
from zlib import error

import numpy as np

from experiments.run_dir import damaged
from learn.scores.metrics import EventPrediction, ForecastPrediction, LifePrediction, Prediction, StatePrediction

KINDS = {kind.__name__: kind for kind in (ForecastPrediction, EventPrediction, LifePrediction, StatePrediction)}


def kept(path: Path, make: Callable[[], Prediction]) -> Prediction:
    """The prediction in *path*, made and written there first if it is missing."""
    if not path.exists():
        save(path, make())
    return load(path)


def save(path: Path, prediction: Prediction) -> None:
    """One .npz of the fields that are there, moved into place when it is whole."""
    fields = {field.name: getattr(prediction, field.name) for field in dataclasses.fields(prediction)}
    path.parent.mkdir(parents=True, exist_ok=True)
    # runs side by side share what lies beside a dataset, those of several hosts too
    part = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    try:
        with part.open("wb") as file:
            present: dict[str, Any] = {name: np.asarray(value) for name, value in fields.items() if value is not None}
            np.savez(file, kind=type(prediction).__name__, **present)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def load(path: Path) -> Prediction:
    """What `save` wrote; raises InputError where that has changed."""
    try:
        with path.open("rb") as file, np.load(file) as stored:
            fields = {name: stored[name] for name in stored.files if name != "kind"}
            return KINDS[str(stored["kind"])](**{k: v if v.ndim else v.item() for k, v in fields.items()})
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, BadZipFile, error) as fault:
        raise damaged(path, fault) from None
