"""Every prediction of one set of windows, scored by the same rule and set between the naive baseline and the oracle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from learn.baselines.hazard import step_h
from learn.baselines.lives import left
from learn.baselines.series import ahead, targets
from learn.scores.choices import choice_scores
from learn.scores.metrics import (
    EventPrediction,
    EventTruth,
    ForecastPrediction,
    ForecastTruth,
    LifePrediction,
    LifeTruth,
    Prediction,
    Ratio,
    Score,
    StatePrediction,
    StateTruth,
    Truth,
    event_scores,
    forecast_scores,
    life_scores,
    reached,
)
from learn.scores.states import state_scores
from learn.scores.survival import Concordance, Lives, survival_scores
from learn.tasks import RemainingLife, TimeToEvent
from learn.windows.batch import Windows, anchors
from learn.windows.gaps import hidden_of
from sim.errors import InputError
from twins.episode import CENSORED, PLANNED, Episode, Spell

Kind = Literal["naive", "baseline", "model", "variant", "oracle"]  # a variant: the model's, told in another way
APART = 0.05  # marks closer than this share of the naive score leave no room to measure skill in
BINS = 10
PREDICTS: dict[type, type] = {  # what has to be predicted where that is the truth
    EventTruth: EventPrediction,
    LifeTruth: LifePrediction,
    StateTruth: StatePrediction,
    ForecastTruth: ForecastPrediction,
}


class Row(NamedTuple):
    """One line of the table: what kind of predictor it is and what it predicted for the windows."""

    kind: Kind
    prediction: Prediction


def evaluate(
    task: str,
    rows: Mapping[str, Row],
    truth: Truth,
    runs_N: Sequence[int] | np.ndarray,
    *,
    primary: str | None = None,
    resamples: int = 2000,
    seed: int = 0,
    others: Sequence[Mapping[str, Row]] = (),
) -> dict[str, Any]:
    """Score *rows* (name to Row; all of the same N windows) against *truth*; windows of one run are resampled together.

    *others* are the same rows of the same windows from further seeds of training. A score is then the mean over all
    seeds, and each bootstrap draw takes as many seeds, with replacement, the same for every row. Calibration is of
    *rows* alone.

    *runs_N* names the cluster of each window: its world run, or its stretch of time in one long series (`stretches`).
    *primary* is the score that skill and differences are of: brier for events and states, crps for others unless said.
    Every interval is the central 95 % of *resamples* bootstrap draws of clusters, the same draws for every row, so
    differences are paired. Returns plain JSON types; `interval` below is {"mean", "low", "high"}, with low and high
    null where the draws do not differ (one cluster, a mark's own skill), and all three where there is no such score:

        task, primary        as given
        windows              how many were asked about;  scored: how many of them have a known truth;  clusters;  seeds
        base_rate            share of scored windows that failed; null for forecasts
        naive                the row of kind naive with the lowest primary score;  best_baseline: of naive or baseline
        rows                 [{name, kind, scores: {metric: interval},
                               skill: interval | "undefined" (naive within 5 % of the oracle) | null (no such marks),
                               difference: {other row's name: interval of this row's primary score less the other's}}]
        calibration          {name: [{predicted, observed: interval, count}]}: events, or all states together, by tenths
                             of the predictions, in order; forecasts by quantile level (point forecasts have none)
    """
    cluster_N, weights_RxC = resample(runs_N, resamples, seed)
    primary = primary or ("brier" if isinstance(truth, EventTruth | StateTruth) else "crps")
    drawn = draws(rows, truth, cluster_N, weights_RxC, seed, others)
    main_R = {name: scores[primary] for name, scores in drawn.items()}
    naive, oracle = (_best(rows, main_R, (kind,)) for kind in ("naive", "oracle"))
    table = [
        {
            "name": name,
            "kind": row.kind,
            "scores": {metric: interval(value_R) for metric, value_R in drawn[name].items()},
            "skill": _skill(main_R[name], main_R.get(naive or ""), main_R.get(oracle or "")),
            "difference": {other: interval(main_R[name] - main_R[other]) for other in rows if other != name},
        }
        for name, row in rows.items()
    ]
    scored = truth.mask_NxVxH.any((1, 2)) if isinstance(truth, ForecastTruth) else truth.known_N
    return {
        "task": task,
        "primary": primary,
        "windows": len(cluster_N),
        "scored": int(scored.sum()),
        "clusters": weights_RxC.shape[1],
        "seeds": 1 + len(others),
        "base_rate": float(truth.failed_N[scored].mean()) if isinstance(truth, EventTruth) and scored.any() else None,
        "naive": naive,
        "best_baseline": _best(rows, main_R, ("naive", "baseline")),
        "rows": table,
        "calibration": {
            name: [
                {"predicted": p, "observed": interval(share(cluster_N, weights_RxC)), "count": int(share.den_N.sum())}
                for p, share in _calibration(row.prediction, truth)
            ]
            for name, row in rows.items()
        },
    }


def draws(
    rows: Mapping[str, Row],
    truth: Truth,
    cluster_N: np.ndarray,
    weights_RxC: np.ndarray,
    seed: int = 0,
    others: Sequence[Mapping[str, Row]] = (),
) -> dict[str, dict[str, np.ndarray]]:
    """Every score of every row in every draw of `resample`, by name and metric; see `evaluate`."""
    each = [_draw(some, truth, cluster_N, weights_RxC) for some in (rows, *others)]
    weights_RxS = resample(range(len(each)), len(weights_RxC) - 1, seed + 1)[1] / len(each)
    return {
        name: {
            metric: np.einsum("rs,sr->r", weights_RxS, np.stack([one[name][metric] for one in each]))
            for metric in metrics
        }
        for name, metrics in each[0].items()
    }


def _draw(
    rows: Mapping[str, Row], truth: Truth, cluster_N: np.ndarray, weights_RxC: np.ndarray
) -> dict[str, dict[str, np.ndarray]]:
    """Every score of every row, with its bootstrap draws."""
    drawn = {}
    for name, row in rows.items():
        if not isinstance(row.prediction, PREDICTS[type(truth)]):
            raise TypeError(
                f"row {name!r} predicts {type(row.prediction).__name__}, the truth is {type(truth).__name__}"
            )
        found = _scores(row.prediction, truth)
        drawn[name] = {metric: score(cluster_N, weights_RxC) for metric, score in found.items()}
    return drawn


def resample(runs_N: Sequence[int] | np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cluster index of each window, and how often each bootstrap draw takes each cluster; row 0 takes each once."""
    names, cluster_N = np.unique(np.asarray(runs_N), return_inverse=True)
    rng = np.random.Generator(np.random.Philox(seed))
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=count)
    return cluster_N, np.vstack((np.ones(len(names)), drawn))


def stretches(time_N: np.ndarray, length_h: float) -> np.ndarray:
    """Clusters for a single long series: the non-overlapping stretch of *length_h* that each window's time lies in."""
    return np.floor((np.asarray(time_N) - np.min(time_N)) / length_h).astype(np.int64)


def interval(value_R: np.ndarray) -> dict[str, float | None]:
    """Point estimate (entry 0) with the central 95 % of the draws (the others)."""
    mean, draws = float(value_R[0]), value_R[1:]
    if not math.isfinite(mean):
        return {"mean": None, "low": None, "high": None}
    if not len(draws) or np.isnan(draws).mean() > 0.025 or np.all(draws == mean):
        return {"mean": mean, "low": None, "high": None}
    low, high = np.nanquantile(draws, [0.025, 0.975])
    return {"mean": mean, "low": float(low), "high": float(high)}


def skill(score_R: np.ndarray, naive_R: np.ndarray, oracle_R: np.ndarray) -> np.ndarray | None:
    """(naive − score) / (naive − oracle), draw by draw; None where the marks are within 5 % of each other."""
    room_R = naive_R - oracle_R
    if not room_R[0] > APART * abs(naive_R[0]):
        return None
    return np.divide(naive_R - score_R, room_R, out=np.full_like(room_R, np.nan), where=room_R > 0)


def event_anchors(windows: Windows, horizon_h: float, every_h: float) -> np.ndarray:
    """Anchors int32[N, 2] (episode, sample) of assets at risk, at the multiples of *every_h*, so that all assets of a
    run are asked at the same times. A whole context lies before each and *horizon_h* of the split after it, or of a
    record that ends with the asset's failure all that there is."""
    stride = round(every_h / step_h(windows))
    if stride < 1 or not math.isclose(stride * step_h(windows), every_h, rel_tol=1e-6):
        raise InputError(f"every_h is {every_h:g} h; it must be a whole number of steps of {step_h(windows):g} h")
    e_N, k_N = anchors(windows, at_risk=True).T
    horizon = horizon_h / step_h(windows)
    whole_E = np.where(_fails_at_its_end(windows), windows.until_h / step_h(windows), windows.last)
    chosen_N = (k_N % stride == 0) & (k_N <= whole_E[e_N] - horizon + 1e-6)
    if not chosen_N.any():
        raise InputError(
            f"no asset is at risk at any multiple of {every_h:g} h with {horizon_h:g} h to come; run longer"
        )
    return np.stack((e_N, k_N), axis=1)[chosen_N]


def _fails_at_its_end(windows: Windows) -> np.ndarray:
    """Of each episode whether it ends just when the asset fails, bool[E]."""
    left_ExL, cause_ExL = np.asarray(windows.event_h_ExL), np.asarray(windows.cause_ExL)
    alive_ExL = np.isfinite(left_ExL)
    at = np.arange(len(left_ExL)), left_ExL.shape[1] - 1 - alive_ExL[:, ::-1].argmax(1)
    end_E = at[1] + 1 - windows.context + left_ExL[at] / step_h(windows)
    return alive_ExL.any(1) & (cause_ExL[at] > 0) & (end_E >= np.array(windows.last) - 1e-3)


def life_anchors(windows: Windows, every: int | None) -> np.ndarray:
    """Anchors int32[N, 2] of assets at risk: every so many samples, or (None) after the last sample of each asset."""
    if every is not None:
        asked = anchors(windows, at_risk=True)
        asked = asked[asked[:, 1] % every == 0]
    else:
        rows = [(e, k) for e, k in enumerate(windows.last) if k >= windows.context]
        asked = np.array(rows, np.int32).reshape(-1, 2)
        asked = asked[np.isfinite(np.asarray(windows.event_h_ExL)[asked[:, 0], asked[:, 1] + windows.context - 1])]
    if not len(asked):
        raise InputError("no asset is at risk at any moment that is to be scored; give longer records")
    return asked


def life_truth(windows: Windows, anchors_Nx2: np.ndarray, task: RemainingLife) -> LifeTruth:
    """The life that was left at each anchor, and whether it is known as far as the cap."""
    return LifeTruth(*left(windows, anchors_Nx2, task))


def at_risk(episode: Episode, time_h: float) -> Spell | None:
    """The life under way at *time_h*; None while the asset is down. An event at the very time counts before it."""
    return next((spell for spell in episode.spells if spell.start_h <= time_h < spell.end_h), None)


def event_truth(episodes: Sequence[Episode], anchors_Nx2: np.ndarray, step_h: float, horizon_h: float) -> EventTruth:
    """Does the asset, at risk at the anchor, fail within *horizon_h* if nobody does planned work on it?

    Known from `Spell.unmaintained_h` where a twin gives it; otherwise from what happened: the life ended in a failure,
    or outlasted the horizon. A life that planned work or the end of the run cut before the horizon tells neither.
    """
    failed, known = np.zeros(len(anchors_Nx2), bool), np.zeros(len(anchors_Nx2), bool)
    for n, (e, k) in enumerate(anchors_Nx2):
        now_h, spell = k * step_h, at_risk(episodes[e], k * step_h)
        if spell is None:
            continue
        if not math.isnan(spell.unmaintained_h):
            failed[n], known[n] = spell.start_h + spell.unmaintained_h <= now_h + horizon_h, True
        else:
            failed[n] = spell.cause not in (PLANNED, CENSORED) and spell.end_h <= now_h + horizon_h
            known[n] = failed[n] or spell.end_h >= now_h + horizon_h - 1e-9
    return EventTruth(failed, known)


def seen_lives(
    windows: Windows, episodes: Sequence[Episode], anchors_Nx2: np.ndarray, step_h: float, task: TimeToEvent
) -> Lives:
    """How long the life under way at each anchor goes on, and whether it fails then or is lost sight of.

    A life that planned work cut is followed to the failure that was to come where a twin tells it, as in `event_truth`,
    but not beyond the end of the record or of the split: there every life is lost sight of, whatever was done to it.
    """
    at = anchors_Nx2[:, 0], anchors_Nx2[:, 1] + windows.context - 1
    event_h_N, failed_N = np.array(windows.event_h_ExL[at]), np.asarray(windows.cause_ExL)[at] > 0
    for n, (e, k) in enumerate(anchors_Nx2):
        spell = at_risk(episodes[e], k * step_h)
        if spell is not None and spell.cause == PLANNED and math.isfinite(spell.unmaintained_h):
            end_h, cut_h = spell.start_h + spell.unmaintained_h, min(windows.until_h, episodes[e].end_h)
            event_h_N[n], failed_N[n] = min(end_h, cut_h) - k * step_h, end_h < cut_h
    return Lives(event_h_N, failed_N, task.edges_h, task.horizon_h)


def class_truth(windows: Windows, anchors_Nx2: np.ndarray) -> EventTruth:
    """Whether the newest sample of each window is of another class than the first, and where its marks are."""
    at = anchors_Nx2[:, 0], anchors_Nx2[:, 1] + windows.context - 1
    label_N = np.asarray(windows.cause_ExL)[at]
    marks = None if windows.marks_ExLxHxW is None else np.asarray(windows.marks_ExLxHxW)[at]
    return EventTruth(label_N > 0, label_N >= 0, marks)


def forecast_truth(
    windows: Windows, anchors_Nx2: np.ndarray, train: Windows, period: int | None = None
) -> ForecastTruth:
    """What came after each anchor, or its gaps hide; with a *period* (samples), also MASE's scale, from *train*."""
    y_NxVxH = ahead(windows, anchors_Nx2)
    target_NxV = targets(windows)[anchors_Nx2[:, 0]]
    scale_NxV = None if period is None else np.broadcast_to(seasonal_mae(train, period), target_NxV.shape)
    counts_NxVxH, hidden_NxVxH = np.isfinite(y_NxVxH) & target_NxV[..., None], hidden_of(windows, anchors_Nx2)
    return ForecastTruth(y_NxVxH, counts_NxVxH if hidden_NxVxH is None else counts_NxVxH & hidden_NxVxH, scale_NxV)


def seasonal_mae(windows: Windows, period: int) -> np.ndarray:
    """Mean |x_t − x_{t−period}| of each variate within the split, float64[V]; 1 where there is none to take it from."""
    total_V, count_V = np.zeros(windows.variates), np.zeros(windows.variates)
    for e, (first, last) in enumerate(zip(windows.first, windows.last, strict=True)):
        x_VxL = np.asarray(windows.values_ExVxL[e])[:, windows.context + first : windows.context + last]
        step_VxL = np.abs(x_VxL[:, period:] - x_VxL[:, :-period])
        total_V += np.nansum(step_VxL, axis=1, dtype=np.float64)
        count_V += np.isfinite(step_VxL).sum(1)
    return np.divide(total_V, count_V, out=np.ones_like(total_V), where=total_V > 0)


def _scores(prediction: Prediction, truth: Truth) -> Mapping[str, Score | Concordance]:
    if isinstance(prediction, EventPrediction) and isinstance(truth, EventTruth):
        return event_scores(prediction, truth) | survival_scores(prediction, truth)
    if isinstance(prediction, LifePrediction) and isinstance(truth, LifeTruth):
        return life_scores(prediction, truth)
    if isinstance(prediction, StatePrediction) and isinstance(truth, StateTruth):
        return state_scores(prediction, truth)
    assert isinstance(prediction, ForecastPrediction)
    assert isinstance(truth, ForecastTruth)
    return forecast_scores(prediction, truth) | choice_scores(prediction, truth)


def _best(rows: Mapping[str, Row], main_R: Mapping[str, np.ndarray], kinds: tuple[Kind, ...]) -> str | None:
    return min((name for name, row in rows.items() if row.kind in kinds), key=lambda n: main_R[n][0], default=None)


def _skill(
    score_R: np.ndarray, naive_R: np.ndarray | None, oracle_R: np.ndarray | None
) -> dict[str, float | None] | str | None:
    if naive_R is None or oracle_R is None:
        return None
    skill_R = skill(score_R, naive_R, oracle_R)
    return "undefined" if skill_R is None else interval(skill_R)


def _calibration(prediction: Prediction, truth: Truth) -> list[tuple[float, Ratio]]:
    """What was predicted, and as a score what was observed, for each bin of probability or quantile level."""
    if isinstance(prediction, EventPrediction) and isinstance(truth, EventTruth):
        return _reliability(*(x[:, None] for x in (prediction.p_N, truth.failed_N, truth.known_N)))
    if isinstance(prediction, StatePrediction) and isinstance(truth, StateTruth):
        known_NxHxC = np.broadcast_to(truth.state_NxH[..., None] >= 0, prediction.p_NxHxC.shape)
        came_NxHxC = truth.state_NxH[..., None] == np.arange(prediction.p_NxHxC.shape[-1])
        return _reliability(prediction.p_NxHxC, came_NxHxC, known_NxHxC)
    if isinstance(prediction, LifePrediction) and isinstance(truth, LifeTruth):
        return _calibration(prediction.forecast, truth.forecast)
    assert isinstance(prediction, ForecastPrediction)
    assert isinstance(truth, ForecastTruth)
    if len(prediction.levels) == 1:
        return []
    mask = truth.mask_NxVxH
    below = reached(truth.y_NxVxH, prediction.quantiles_NxVxHxQ, prediction.levels)
    count_N = mask.sum((1, 2))
    return [
        (float(level), Ratio((b * mask).sum((1, 2)), count_N))
        for level, b in zip(prediction.levels, below, strict=True)
    ]


def _reliability(p_NxX: np.ndarray, came_NxX: np.ndarray, known_NxX: np.ndarray) -> list[tuple[float, Ratio]]:
    """Of the probabilities in each of their tenths the mean, and how often what they are of came."""
    p_NxX, known_NxX, came_NxX = (np.reshape(x, (len(x), -1)) for x in (p_NxX, known_NxX, came_NxX))
    p_NxX = p_NxX.astype(np.float64)
    if not known_NxX.any():
        return []
    edges = np.unique(np.quantile(p_NxX[known_NxX], np.linspace(0, 1, BINS + 1)[1:-1]))
    bin_NxX = np.where(known_NxX, np.searchsorted(edges, p_NxX, side="right"), -1)
    inside = [bin_NxX == b for b in np.unique(bin_NxX[known_NxX])]
    return [(float(p_NxX[here].mean()), Ratio((here & came_NxX).sum(1), here.sum(1))) for here in inside]
