"""A table of one's own before a trained model: columns find channels, units are converted, predictions become rows."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from experiments.run.model import Model
from experiments.source import Observed
from learn.scores.metrics import EventPrediction, ForecastPrediction, LifePrediction, StatePrediction
from learn.tasks import Forecast, Imputation, RemainingLife, States, Task, TimeToEvent
from learn.windows.batch import Windows
from sim.errors import InputError
from twins.aligned import variates
from twins.channel import Role
from twins.clean import Units
from twins.dataset import manifest
from twins.episode import Episode
from twins.observed import Column

FORMATS = (".csv", ".parquet")
FAR_SD, FEW = 8.0, 0.03  # training deviations that are far, and the share of readings that may lie beyond


def output(name: Any) -> Path:
    """The path to write to, checked before any work is done."""
    path = Path(str(name))
    if path.suffix not in FORMATS:
        raise InputError(f"output is {path}; its name must end in {' or '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise InputError(f"output is {path}; the folder {path.absolute().parent} does not exist")
    return path


def trainable(table: Observed, task: Task) -> None:
    """Raises InputError, saying what is missing, where nothing can be trained on *table* for *task*."""
    if isinstance(task, TimeToEvent | RemainingLife) and not table.ends:
        raise InputError(
            f"{table.path} tells of no lives, so it cannot be asked when something fails: say task=forecast "
            "baselines=forecast, or source.ends=… what ended each asset's record"
        )
    if isinstance(table.splits, str):
        raise InputError(
            "source.splits is not given; training takes a part to train, one to validate and one to test, as in "
            "'+source.splits={_target_: twins.observed.Cuts, train: 2000, validation: 500, unit: rows}'"
        )


def matched(table: Observed, model: Model) -> tuple[Observed, list[str]]:
    """The table with its columns in the model's units and roles, and the model's channels that it does not have."""
    if isinstance(model.task, Imputation):
        raise InputError(
            "run is of a model that fills gaps, and predict tells what comes next; export it, and its bundle fills "
            "what is missing among the newest samples that it is given"
        )
    known = dict(zip(model.scale.names, zip(model.roles, model.scale.units, strict=True), strict=True))
    said = {column.quantity or name for name, column in table.columns.items()} | {
        *table.columns,
        table.time,
        table.asset,
    }
    plain = {name: Column(known[name][1]) for name in _header(table) if name in known and name not in said}
    given = {**plain, **table.columns}
    wanted = {name: column.quantity or name for name, column in given.items()}
    for name, quantity in wanted.items():
        if quantity not in known:
            raise InputError(
                f"source.columns.{name} is of quantity {quantity!r}, which the model does not know; it knows "
                + ", ".join(known)
            )
    columns = {}
    for name in sorted(given, key=lambda name: list(known).index(wanted[name])):
        role, unit = known[wanted[name]]
        columns[name] = replace(given[name], quantity=wanted[name].partition("#")[0], role=Role(role), to=unit)
    if not columns:
        raise InputError(
            f"{table.path} has none of the model's channels {', '.join(known)}; name its columns with source.columns"
        )
    lacking = [name for name, (role, _) in known.items() if name not in wanted.values()]
    needed = [name for name in lacking if known[name][0] == Role.TARGET]
    if needed and isinstance(model.task, Forecast):
        raise InputError(f"{table.path} lacks {', '.join(needed)}, which the model is to forecast; add it as a column")
    return replace(table, columns=columns, splits="test"), lacking


def _header(table: Observed) -> Sequence[str]:
    if table.header is not None:
        return table.header
    try:
        with open(table.path, encoding=table.encoding, newline="") as file:
            first = file.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read source.path={table.path}: {error}") from None
    cells = first.split() if table.delimiter is None else next(csv.reader([first], delimiter=table.delimiter), [])
    return [cell.strip() for cell in cells]


def cleaned(episodes: Sequence[Episode], model: Model) -> tuple[list[Episode], list[str]]:
    """The episodes after the steps of cleaning behind which *model* learned, and a sentence for each that changed some.

    Raises InputError where those convert a channel: episodes that were matched to the model are in its units already.
    """
    if model.cleaning is None:
        return list(episodes), []
    if any(isinstance(step, Units) for step in model.cleaning.steps):
        raise InputError(
            "the model learned behind clean steps that convert units (twins.clean.Units), so its other steps cannot be "
            "taken here; train it with the units of its columns or sensors set instead"
        )
    done = [model.cleaning(episode) for episode in episodes]
    total: dict[tuple, dict] = {}
    for one in done:
        manifest.add(total, one.counts)
    said = [
        f"{row['quantity']}: {row['changed']:,} of {row['samples']:,} readings changed by clean {row['step']}"
        for row in total.values()
        if row["changed"]
    ]
    return [one.episode for one in done], said


def strange(episodes: Sequence[Episode], model: Model) -> list[str]:
    """A sentence for each channel of which more than a few per cent of readings lie far outside those of training."""
    found: dict[str, list[np.ndarray]] = {}
    for episode in episodes:
        for name, series in variates(episode).items():
            found.setdefault(name, []).append(np.asarray(series.values, np.float64))
    said = []
    scale = model.scale
    for name, mean, std, unit in zip(scale.names, scale.mean, scale.std, scale.units, strict=True):
        values = np.concatenate([*found.get(name, []), np.empty(0)])
        values = values[np.isfinite(values)]
        share = np.mean(np.abs(values - mean) > FAR_SD * std) if values.size else 0.0
        if share > FEW:
            said.append(
                f"{name}: {100 * share:.0f} % of its values lie far outside training; they are {values.min():.4g} to "
                f"{values.max():.4g} {unit}, in training {mean:.4g} ± {std:.2g} {unit}; if the table "
                f"holds another unit, say '+source.columns.{name}={{unit: …}}'"
            )
    return said


def short(episodes: Sequence[Episode], model: Model) -> list[str]:
    """A sentence for each asset that has fewer samples than the model looks back on."""
    said = []
    for episode in episodes:
        samples = max((len(series.values) for series in episode.series), default=0)
        if samples < model.context:
            said.append(
                f"{episode.asset}: {samples} samples, where the model looks back on {model.context}; "
                "those before are missing to it"
            )
    return said


def told(finding: Mapping[str, Any]) -> str:
    """One finding of the checks, for a person."""
    lines = ", ".join(map(str, finding["lines"]))
    where = f"{finding['column']}: " if finding["column"] else ""
    return (
        f"{where}{finding['check']}, {finding['count']} rows{f' (line {lines}, …)' if lines else ''}: {finding['did']}"
    )


def predictions(model: Model, episodes: Sequence[Episode], every: int | None) -> dict[str, list[Any]]:
    """Columns of the answer: the asset, the time, and probabilities or quantiles in the model's units."""
    labelled = None if isinstance(model.task, States) else model.task  # what comes need not be in the table
    windows = Windows.of(episodes, "", model.context, model.task.samples_ahead, labelled, model.scale)
    if windows.step_h != model.step_h and not np.isclose(windows.step_h or 0, model.step_h or 0, rtol=1e-6):
        raise InputError(f"the table has a sample every {windows.step_h} h; the model was trained on {model.step_h} h")
    asked = _moments(windows, every)
    found = model.predict(windows, asked)
    step_h = windows.step_h or 0.0
    when = [_time(episodes[e], k * step_h) for e, k in asked.tolist()]
    assets = [windows.assets[e] for e, _ in asked.tolist()]
    if isinstance(found, EventPrediction):
        task: Any = model.task
        columns: dict[str, list[Any]] = {"asset": assets, "time": when}
        columns[f"fails_within_{task.horizon_h:g}_h"] = found.p_N.tolist()
        if found.cif_NxCxK is not None:
            at = task.edges_h.index(task.horizon_h)
            for c, cause in enumerate(task.causes):
                columns[f"fails_within_{task.horizon_h:g}_h_by_{cause}"] = found.cif_NxCxK[:, c, at].tolist()
        return columns
    if isinstance(found, LifePrediction):
        lives: Any = model.task
        named = {"mean": found.mean_N} | {f"q{q:g}": found.quantiles_NxQ[:, i] for i, q in enumerate(found.levels)}
        told = {f"life_left_{lives.unit}_{name}": values.tolist() for name, values in named.items()}
        return {"asset": assets, "time": when} | told
    if isinstance(found, StatePrediction):
        return _states(model.task, episodes, asked, found, step_h)
    return _forecasts(model, episodes, asked, found, step_h)


def _moments(windows: Windows, every: int | None) -> np.ndarray:
    """Anchors after the last sample of each asset, or after every so many samples."""
    if every is not None and every < 1:
        raise InputError(f"every is {every}; it must be at least 1 sample, or null")
    found = []
    for e, last in enumerate(windows.last):
        moments = [last] if every is None else range(min(max(windows.context, 1), last), last + 1, every)
        found += [(e, k) for k in moments]
    return np.array(found, np.int32)


def _states(
    task: Any, episodes: Sequence[Episode], asked: np.ndarray, found: StatePrediction, step_h: float
) -> dict[str, list[Any]]:
    at = [(episodes[e], k, h) for e, k in asked.tolist() for h in range(task.horizon)]
    columns: dict[str, list[Any]] = {
        "asset": [episode.asset for episode, *_ in at],
        "made_at": [_time(episode, k * step_h) for episode, k, _ in at],
        "time": [_time(episode, (k + h) * step_h) for episode, k, h in at],
    }
    p_MxC = np.asarray(found.p_NxHxC, float).reshape(len(at), -1)
    return columns | {f"p_{name}": p_MxC[:, c].tolist() for c, name in enumerate(task.states)}


def _forecasts(
    model: Model, episodes: Sequence[Episode], asked: np.ndarray, found: ForecastPrediction, step_h: float
) -> dict[str, list[Any]]:
    names = ["asset", "made_at", "time", "quantity", "unit", "mean", *(f"q{level:g}" for level in found.levels)]
    columns: dict[str, list[Any]] = {name: [] for name in names}
    mean_NxVxH = model.scale.restore(found.mean_NxVxH)
    quantiles_NxVxHxQ = model.scale.restore(found.quantiles_NxVxHxQ, 2)
    if isinstance(model.task, Forecast) and model.task.loss == "counts":
        # whole, but for what was rounded on the way into scaled units and back
        quantiles_NxVxHxQ = np.rint(quantiles_NxVxHxQ)
    targets = [v for v, role in enumerate(model.roles) if role == Role.TARGET]
    for n, (e, k) in enumerate(asked.tolist()):
        episode, made_at = episodes[e], _time(episodes[e], k * step_h)
        for v in targets:
            if model.scale.names[v] not in variates(episode):
                continue
            for h in range(mean_NxVxH.shape[2]):
                cells = (episode.asset, made_at, _time(episode, (k + h) * step_h), model.scale.names[v])
                numbers = (float(mean_NxVxH[n, v, h]), *map(float, quantiles_NxVxHxQ[n, v, h]))
                for name, cell in zip(names, (*cells, model.scale.units[v], *numbers), strict=True):
                    columns[name].append(cell)
    return columns


def _time(episode: Episode, time_h: float) -> str:
    return (datetime.fromisoformat(episode.epoch) + timedelta(hours=time_h)).isoformat(timespec="seconds")


def write(columns: Mapping[str, list[Any]], path: Path) -> None:
    """A CSV or Parquet file, moved into place when it is whole."""
    import pyarrow as pa
    from pyarrow import csv as pa_csv
    from pyarrow import parquet

    part = path.with_name(f".{path.name}.part")
    table = pa.table(dict(columns))
    try:
        parquet.write_table(table, part) if path.suffix == ".parquet" else pa_csv.write_csv(table, part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
