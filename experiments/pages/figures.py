"""The small data behind a report's figures, saved beside the scores, so that a report needs the run folder alone.

`figures.json` holds up to seven parts, each left out where there is nothing to show:

    asset      {run, asset, end_h, series: [{entity, quantity, unit, role, time_h, values}], events}
    risk       {run, asset, time_h, p: {row name: [...]}, horizon_h, events: [{time_h, kind, cause}]}
    forecasts  [{run, asset, quantity, unit, step_h, start_h, past, future, levels, quantiles, mean, naive}]
    lives      {unit, cap, true, mean, low, high, edges, rmse: {row name: [of each stretch of true life]}}
    states     {run, asset, now_h, step_h, names, before: [number], came: [number], p: {row name: [[of each state]]},
               brier: {row name: [of each sample ahead]}}
    frames     [{sample, grey, marks, chance, kinds, p, failed}]: pictures, their true marks and the chance of each
    about      anything else a report says of the run, by name
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from twins.episode import CENSORED, PLANNED, Episode, Series

FILE = "figures.json"
POINTS = 1400  # of one trace; more are not seen


def save(folder: str | Path, **parts: Any) -> Path:
    """Write the parts as JSON with NaN as null; parts that are None are left out."""
    path = Path(folder) / FILE
    text = json.dumps({name: _plain(part) for name, part in parts.items() if part is not None}, separators=(",", ":"))
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)
    return path


def pick(episodes: Sequence[Episode]) -> int:
    """The episode worth a picture: the one with most failures, the first of equals."""
    return int(np.argmax([sum(spell.cause not in (PLANNED, CENSORED) for spell in e.spells) for e in episodes]))


def asset(episode: Episode) -> dict[str, Any]:
    """All channels of an episode, thinned to what a picture shows, and its events."""
    series = [
        {"entity": s.entity, "quantity": s.quantity, "unit": s.unit, "role": str(s.role), **_thin(s)}
        for s in episode.series
        if not s.shape
    ]
    return {
        "run": episode.run,
        "asset": episode.asset,
        "end_h": episode.end_h,
        "series": series,
        "events": _events(episode),
    }


def risk(episode: Episode, time_h: np.ndarray, p: Mapping[str, np.ndarray], horizon_h: float) -> dict[str, Any]:
    """Predicted probabilities of failing within the horizon at the times of one episode; *p* by the row's name."""
    order = np.argsort(time_h)
    return {
        "run": episode.run,
        "asset": episode.asset,
        "time_h": np.asarray(time_h)[order],
        "p": {name: np.asarray(values)[order] for name, values in p.items()},
        "horizon_h": horizon_h,
        "events": _events(episode),
    }


def states(
    windows: Any, anchors_Nx2: np.ndarray, truth: Any, task: Any, predictions: Mapping[str, Any]
) -> dict[str, Any]:
    """The window in which most states came, the first of equals, and each row's Brier score by the sample ahead."""
    from learn.scores.states import state_brier

    known_NxH = truth.state_NxH >= 0
    distinct_N = sum(((truth.state_NxH == state).any(1) for state in range(len(task.states))), known_NxH.all(1) * 0.5)
    n = int(np.argmax(distinct_N))
    e, k = (int(i) for i in anchors_Nx2[n])
    now = windows.context + k
    count_H = np.maximum(known_NxH.sum(0), 1)
    return {
        "run": windows.runs[e],
        "asset": windows.assets[e],
        "now_h": None if windows.step_h is None else k * windows.step_h,
        "step_h": windows.step_h,
        "names": list(task.states),
        "before": np.asarray(windows.cause_ExL)[e, max(now - task.horizon, 0) : now],
        "came": truth.state_NxH[n],
        "p": {name: np.round(prediction.p_NxHxC[n], 4) for name, prediction in predictions.items()},
        "brier": {
            name: np.where(known_NxH, state_brier(prediction, truth), 0.0).sum(0) / count_H
            for name, prediction in predictions.items()
        },
    }


def frames(
    windows: Any, anchors_Nx2: np.ndarray, truth: Any, model: Any, kinds: Sequence[str], count: int = 6
) -> list[dict[str, Any]]:
    """*count* windows' newest frames, first those of the first class and then others, from less to more marked."""
    marked_N = np.zeros(len(anchors_Nx2)) if truth.marks_NxHxW is None else (truth.marks_NxHxW > 0).sum((1, 2))
    chosen: list[int] = []
    for failed in (False, True):
        rows = np.flatnonzero((truth.failed_N == failed) & truth.known_N)
        rows = rows[np.argsort(marked_N[rows], kind="stable")]
        if len(rows):
            chosen += rows[(np.linspace(0.3, 0.95, count // 2) * (len(rows) - 1)).astype(int)].tolist()
    frame, found = windows.scale.frames[0], []
    for n in chosen:
        e, k = anchors_Nx2[n]
        found.append(
            {
                "sample": int(k - 1),
                "grey": np.asarray(windows.frames[0][e, windows.context + k - 1]) * frame.std + frame.mean,
                "marks": None if truth.marks_NxHxW is None else truth.marks_NxHxW[n],
                "chance": None if model.marks_NxHxWxK is None else np.round(model.marks_NxHxWxK[n].astype(float), 3),
                "kinds": list(kinds),
                "p": float(model.p_N[n]),
                "failed": bool(truth.failed_N[n]),
            }
        )
    return found


def forecasts(
    windows: Any,
    anchors_Nx2: np.ndarray,
    model: Any,
    naive: Any = None,
    units: Mapping[str, str] | None = None,
    count=3,
) -> list[dict[str, Any]]:
    """*count* windows spread over the anchors, one target each, in its own unit; *model*, *naive* are predictions."""
    anchors_Nx2, context, horizon = np.asarray(anchors_Nx2), windows.context, windows.horizon
    from learn.baselines.series import targets as asked
    from learn.windows.gaps import hidden_of

    targets = np.flatnonzero(asked(windows).any(0) & np.isfinite(np.asarray(model.mean_NxVxH)).all((0, 2)))
    found = []
    for i, n in enumerate(np.linspace(0, len(anchors_Nx2) - 1, count + 2).astype(int)[1:-1]):
        (e, k), v = anchors_Nx2[n], int(targets[i % len(targets)])
        mean, std = windows.scale.mean[v], windows.scale.std[v]

        def own(x: Any, mean: float = mean, std: float = std) -> np.ndarray:
            return np.asarray(x, np.float64) * std + mean

        values = own(windows.values_ExVxL[int(e), v, int(k) : int(k) + context + horizon])
        gap_NxVxH = hidden_of(windows, anchors_Nx2[n : n + 1])
        told = np.where(np.ones(horizon, bool) if gap_NxVxH is None else gap_NxVxH[0, v], 0.0, np.nan)
        found.append(
            {
                "run": windows.runs[e],
                "asset": windows.assets[e],
                "quantity": windows.scale.names[v],
                "unit": (units or {}).get(windows.scale.names[v], ""),
                "step_h": windows.step_h,
                "start_h": int(k) * windows.step_h,
                "past": values[:context][-3 * horizon :],
                "future": values[context:],
                "levels": model.levels,
                "quantiles": own(model.quantiles_NxVxHxQ[n, v]) + told[:, None],
                "mean": own(model.mean_NxVxH[n, v]) + told,
                "naive": None if naive is None else own(naive.mean_NxVxH[n, v]) + told,
            }
        )
    return found


def lives(truth: Any, model: str, predictions: Mapping[str, Any], cap: float, unit: str) -> dict[str, Any]:
    """At most 300 predicted lives of *model* (a name) with their central 80 %, and each row's error by true life."""
    known = np.flatnonzero(truth.known_N)
    shown = known[np.linspace(0, len(known) - 1, min(300, len(known))).round().astype(int)]
    found, edges = predictions[model], np.linspace(0, cap, 6)
    levels = np.asarray(found.levels)
    low, high = (np.array([np.interp(q, levels, row) for row in found.quantiles_NxQ[shown]]) for q in (0.1, 0.9))
    stretch = np.clip(np.searchsorted(edges, truth.y_N[known], side="right") - 1, 0, len(edges) - 2)

    def rmse(prediction: Any) -> list[float]:
        square = (prediction.mean_N[known] - truth.y_N[known]) ** 2
        return [
            float(np.sqrt(square[stretch == i].mean())) if (stretch == i).any() else float("nan")
            for i in range(len(edges) - 1)
        ]

    return {
        "unit": unit,
        "cap": cap,
        "true": truth.y_N[shown],
        "mean": found.mean_N[shown],
        "low": low,
        "high": high,
        "edges": edges,
        "rmse": {name: rmse(prediction) for name, prediction in predictions.items()},
    }


def _events(episode: Episode) -> list[dict[str, Any]]:
    """What ended a life and what began one; the spells where the episode carries no events of its own."""
    kinds = ("failure", "planned", "renewal")
    of_asset = [e for e in episode.events if e.kind in kinds and e.entity in (episode.asset, "")]
    if of_asset:
        return [{"time_h": e.time_h, "kind": e.kind, "cause": e.cause} for e in of_asset]
    ended = [spell for spell in episode.spells if spell.cause != CENSORED]
    return [{"time_h": s.end_h, "kind": PLANNED if s.cause == PLANNED else "failure", "cause": s.cause} for s in ended]


def _thin(series: Series) -> dict[str, np.ndarray]:
    """At most POINTS samples: of each bucket the least and the greatest, so that no peak is lost."""
    time_h, values = series.clock_h(), np.asarray(series.values, np.float64)
    if len(values) <= POINTS:
        return {"time_h": time_h, "values": values}
    size = -(-len(values) // (POINTS // 2))
    padded = np.full(-(-len(values) // size) * size, np.nan)
    padded[: len(values)] = values
    buckets = padded.reshape(-1, size)
    first = np.arange(len(buckets)) * size
    low = np.argmin(np.where(np.isnan(buckets), np.inf, buckets), 1) + first
    high = np.argmax(np.where(np.isnan(buckets), -np.inf, buckets), 1) + first
    keep = np.unique(np.minimum(np.concatenate((low, high)), len(values) - 1))
    return {"time_h": time_h[keep], "values": values[keep]}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value
