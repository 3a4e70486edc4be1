"""From a dataset to a report, stage by stage; what a stage has made is kept in the run's folder and not made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments import report
from experiments.cli import command
from experiments.console import progress, say
from experiments.datasets import changes
from experiments.experiment import Experiment
from experiments.pages import figures
from experiments.run import baselines, predictions
from experiments.run.checks import check
from experiments.run.model import Model
from experiments.run.questions import Asked, ask, recorded
from experiments.run.training import Costs, branched, train
from experiments.run_dir import RunDir, stamp, write_json
from experiments.settings import Scoring
from learn.scores.conformal import conformal, fewest, followed
from learn.scores.evaluate import Row, evaluate
from learn.scores.metrics import (
    EventPrediction,
    EventTruth,
    ForecastPrediction,
    ForecastTruth,
    LifePrediction,
    LifeTruth,
    Prediction,
    StatePrediction,
    StateTruth,
)
from learn.tasks import Classify
from learn.windows.batch import Windows
from sim.errors import InputError
from twins.dataset import Dataset, describe
from twins.dataset.derived import derive, origin
from twins.episode import Episode

MODEL = "model"  # the model's row in the table


def execute(
    experiment: Experiment, run: RunDir, rivals: Mapping[str, Model] | None = None
) -> tuple[dict[str, Any], dict[str, float]]:
    """Do what is left to do of a run. Returns its scores and the seconds of each stage, all attempts together.

    A model that lies in the folder is not trained. *rivals* are other trained models, scored among the baselines.
    """
    check(experiment)
    costs = Costs(run.path / "cost.json")
    with costs.stage("dataset"):
        content = experiment.dataset.manifest["content"]
        write_json(run.path / "stamp.json", stamp(content) | {"command": command()})
        for line in changes(experiment.dataset.manifest):
            say(line)
        episodes, asked = asked_of(experiment)
        calibrating = _calibrating(experiment)
    kept = run.path / "predictions"
    with costs.stage("baselines"):  # first, so that what one of them refuses costs no training
        rows = baselines.predicted(experiment, asked, kept)
    with costs.stage("training", accelerated=True):
        model, spent = train(experiment, run, costs=costs)
        forecast = predictions.kept(kept / f"{MODEL}.npz", lambda: model.predict(asked.windows, asked.anchors_Nx2))
    costs.add_flops("training", spent)
    for name, rival in (rivals or {}).items():
        rows[name] = Row("baseline", rival.predict(asked.windows, asked.anchors_Nx2))
    rows[MODEL] = Row("model", forecast)
    if calibrating is not None:
        with costs.stage("calibration", accelerated=True):
            rows |= _moved(experiment.scoring, model, forecast, asked, calibrating)
    if passes := experiment.scoring.mc_dropout:
        with costs.stage("dropout", accelerated=True):
            about = (asked.windows, asked.anchors_Nx2, passes, experiment.seed)
            sampled = predictions.kept(kept / f"{MODEL}_mc_dropout.npz", lambda: model.predict(*about))
        rows[f"{MODEL}_mc_dropout"] = Row("variant", sampled)
    if experiment.oracle is not None:
        with costs.stage("oracle"):
            known = predictions.kept(kept / "oracle.npz", lambda: _oracle(experiment, episodes, asked))
            rows["oracle"] = Row("oracle", known)
            rows |= beside(experiment, episodes, asked)
    for name, row in rows.items():
        predictions.kept(kept / f"{name}.npz", lambda row=row: row.prediction)
    with costs.stage("scores"):
        scores = score(experiment, asked, rows)
        _figures(experiment, run, asked.windows, episodes, asked, rows, scores["best_baseline"])
    with costs.stage("report"):
        drawn = report.draw(run.path, scores)
    write_json(run.path / "metrics.json", scores | {"cost": costs.report()})  # all stages, the drawing included
    report.write(run.path, drawn)
    return scores, costs.seconds


def asked_of(experiment: Experiment) -> tuple[Sequence[Episode], Asked]:
    """The episodes of the test split, plans tried where there are branches, and what is asked of them."""
    test, episodes = experiment.windows("test"), branched(experiment, experiment.dataset, "test")
    return episodes, ask(experiment.task, experiment.scoring, experiment.windows("train"), test, episodes)


def _calibrating(experiment: Experiment) -> Asked | None:
    """What the validation split asks, where quantiles are to be moved by the misses there.

    Raises InputError, before any training, where a variate has fewer readings than the outermost quantile needs.
    """
    scoring, task = experiment.scoring, experiment.task
    if not (scoring.conformal or scoring.adaptive):
        return None
    asked = ask(task, scoring, experiment.windows("train"), experiment.windows("validation"), ())
    assert isinstance(asked.truth, ForecastTruth)
    level = max(task.quantiles)
    for name, mask_NxH in zip(asked.windows.scale.names, asked.truth.mask_NxVxH.swapaxes(0, 1), strict=True):
        if scoring.conformal and 0 < mask_NxH.sum() < fewest(level):
            raise InputError(
                f"evaluate.conformal is true, and the validation split has {mask_NxH.sum()} readings of {name} to be "
                f"told; the quantile of level {level:g} needs {fewest(level)}; make the split longer, or leave it false"
            )
    return asked


def _moved(scoring: Scoring, model: Model, forecast: Prediction, asked: Asked, calibrating: Asked) -> dict[str, Row]:
    """The model's quantiles moved by its misses on the windows of the validation split, and by those known by then."""
    calibration = model.predict(calibrating.windows, calibrating.anchors_Nx2)
    assert isinstance(forecast, ForecastPrediction)
    assert isinstance(calibration, ForecastPrediction)
    assert isinstance(asked.truth, ForecastTruth)
    assert isinstance(calibrating.truth, ForecastTruth)
    made = {}
    if scoring.conformal:
        made[f"{MODEL}_conformal"] = conformal(forecast, calibration, calibrating.truth)
    if rate := scoring.adaptive:
        about = (asked.truth, asked.anchors_Nx2, calibration, calibrating.truth)
        made[f"{MODEL}_adaptive"] = followed(forecast, *about, rate)
    return {name: Row("variant", moved) for name, moved in made.items()}


def examine(experiment: Experiment, model: Model, dataset: Dataset, split: str) -> dict[str, Any]:
    """The scores of a trained *model*, the experiment's baselines and (of its own twin) the oracle on *dataset*.

    A dataset that is not cleaned yet goes through the steps behind which the model learned.
    """
    if model.cleaning and "clean" not in dataset.manifest["configuration"]:
        dataset = derive(dataset, model.cleaning, Path(str(experiment.config["datasets"])))
    episodes = branched(experiment, dataset, split)
    windows = Windows.of(dataset, split, model.context, task=model.task, scale=model.scale)
    asked = ask(model.task, experiment.scoring, experiment.windows("train"), windows, episodes)
    rows = baselines.predicted(experiment, asked)
    forecast = model.predict(asked.windows, asked.anchors_Nx2)
    rows[MODEL] = Row("model", forecast)
    if (calibrating := _calibrating(experiment)) is not None:
        rows |= _moved(experiment.scoring, model, forecast, asked, calibrating)
    simulated = dataset.manifest["configuration"].get("twin")
    if experiment.oracle is not None and simulated == describe(experiment.twin):
        rows["oracle"] = Row("oracle", _oracle(experiment, episodes, asked))
        rows |= beside(experiment, episodes, asked)
    return score(experiment, asked, rows)


def beside(experiment: Experiment, episodes: Sequence[Episode], asked: Asked) -> dict[str, Row]:
    """What an oracle tells beside the best that can be known: rows of what can be known from less."""
    found = getattr(experiment.oracle, "beside", {})
    about = (asked.windows, asked.anchors_Nx2)
    return {name: Row("oracle", recorded(episodes, *about, q, asked.rows_Nx3)) for name, q in found.items()}


def score(
    experiment: Experiment, asked: Asked, rows: Mapping[str, Row], others: Sequence[Mapping[str, Row]] = ()
) -> dict[str, Any]:
    """The scores of all rows, as metrics.json holds them; *others* are those of further seeds."""
    scoring, task = experiment.scoring, type(experiment.task).__name__
    how: dict[str, Any] = {"primary": scoring.primary, "resamples": scoring.resamples}
    return evaluate(task, rows, asked.truth, asked.cluster_N, others=others, **how)


def _oracle(experiment: Experiment, episodes: Sequence[Episode], asked: Asked) -> Prediction:
    cache, workers = origin(experiment.dataset) / "cache", int(experiment.config["workers"])  # which knows no steps
    with progress("oracle") as advance:
        how: dict[str, Any] = {"workers": workers, "cache": cache, "progress": advance}
        how |= {} if asked.rows_Nx3 is None else {"rows": asked.rows_Nx3}
        about = (experiment.task, experiment.twin, asked.windows, episodes, asked.anchors_Nx2)
        return experiment.oracle.predict(*about, **how)


def _figures(
    experiment: Experiment,
    run: RunDir,
    test: Windows,
    episodes: Sequence[Episode],
    asked: Asked,
    rows: Mapping[str, Row],
    best: str | None,
) -> None:
    """The data behind the report's pictures: one asset with its truth, the risk or some forecasts of it."""
    parts: dict[str, Any] = {}
    shown = figures.pick(episodes)
    if test.step_h is not None:
        parts["asset"] = figures.asset(episodes[shown])
    model = rows[MODEL].prediction
    if isinstance(experiment.task, Classify):
        pictures = bool(test.frames) and len(test.scale.frames[0].shape) == 2
        if pictures and isinstance(model, EventPrediction) and isinstance(asked.truth, EventTruth):
            parts["frames"] = figures.frames(test, asked.anchors_Nx2, asked.truth, model, experiment.task.kinds)
    elif isinstance(model, EventPrediction):
        here_N = asked.anchors_Nx2[:, 0] == shown
        time_h = asked.anchors_Nx2[here_N, 1] * (test.step_h or 1.0)
        p = {
            name: row.prediction.p_N[here_N]
            for name, row in rows.items()
            if isinstance(row.prediction, EventPrediction) and (row.kind not in ("baseline", "variant") or name == best)
        }
        parts["risk"] = figures.risk(episodes[shown], time_h, p, experiment.task.horizon_h)
    elif isinstance(model, LifePrediction) and isinstance(asked.truth, LifeTruth):
        shown_rows = {n: r.prediction for n, r in rows.items() if r.kind not in ("baseline", "variant") or n == best}
        parts["lives"] = figures.lives(asked.truth, MODEL, shown_rows, experiment.task.cap, experiment.task.unit)
    elif isinstance(model, StatePrediction) and isinstance(asked.truth, StateTruth):
        told = {n: r.prediction for n, r in rows.items() if isinstance(r.prediction, StatePrediction)}
        parts["states"] = figures.states(test, asked.anchors_Nx2, asked.truth, experiment.task, told)
    elif isinstance(model, ForecastPrediction) and test.step_h is not None:
        naive = next((row.prediction for row in rows.values() if row.kind == "naive"), None)
        units = {c["quantity"]: c["unit"] for c in experiment.dataset.channels}
        parts["forecasts"] = figures.forecasts(test, asked.anchors_Nx2, model, naive, units)
    figures.save(run.path, **parts)
