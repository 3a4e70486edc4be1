"""From a dataset to a report, stage by stage; what a stage has made is kept in the run's folder and not made again."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments import figures, own_data, predictions, report
from experiments.branches import Branches
from experiments.cli import command
from experiments.console import progress, say
from experiments.datasets import changes
from experiments.experiment import Experiment
from experiments.model import Model
from experiments.questions import Asked, ask, recorded
from experiments.run_dir import RunDir, damaged, stamp, write_json
from experiments.settings import Scoring
from experiments.source import Observed
from learn import ensemble, update
from learn.batch import Windows, anchors, batch_of, gather
from learn.conformal import conformal
from learn.cost import Cost, flops
from learn.counterfactual import planned
from learn.evaluate import Row, evaluate
from learn.fit import Budget, fit
from learn.journal import at
from learn.metrics import (
    EventPrediction,
    EventTruth,
    ForecastPrediction,
    ForecastTruth,
    LifePrediction,
    LifeTruth,
    Prediction,
)
from learn.plan import analytic
from learn.sharding import Layout
from learn.tasks import Classify, Counterfactual, Forecast, Imputation, RemainingLife, Task, TimeToEvent
from learn.update import Optim
from sim.errors import InputError
from twins.clean import Clean
from twins.dataset import SPLITS, Dataset, describe
from twins.derived import derive, origin
from twins.episode import Episode

MODEL = "model"  # the model's row in the table
PRIMARY: dict[type, tuple[str, ...]] = {  # scores of which less is better
    TimeToEvent: ("brier", "log_loss"),
    Forecast: ("crps", "mse", "mae", "wql"),
    Counterfactual: ("nrmse", "mse", "mae", "pehe", "regret"),
    Imputation: ("crps", "mse", "mae", "wql"),
    RemainingLife: ("crps", "rmse"),
    Classify: ("brier", "log_loss"),
}
PARTS: dict[str, Any] = {
    "source": Any,
    "task": Task,
    "model": Any,
    "optim": Optim,
    "fit": Budget,
    "mesh": Layout,
    "evaluate": Scoring,
    "baselines": dict[str, Any],
}


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
        test, episodes = experiment.windows("test"), branched(experiment, experiment.dataset, "test")
        asked = ask(experiment.task, experiment.scoring, experiment.windows("train"), test, episodes)
    with costs.stage("training", accelerated=True):
        model, spent = train(experiment, run, costs=costs)
        kept = run.path / "predictions"
        forecast = predictions.kept(kept / f"{MODEL}.npz", lambda: model.predict(asked.windows, asked.anchors_Nx2))
    costs.add_flops("training", spent)
    with costs.stage("baselines"):
        rows = baselines(experiment, asked, kept)
    for name, rival in (rivals or {}).items():
        rows[name] = Row("baseline", rival.predict(asked.windows, asked.anchors_Nx2))
    rows[MODEL] = Row("model", forecast)
    if experiment.scoring.conformal:
        rows[f"{MODEL}_conformal"] = Row("variant", _moved(experiment, model, forecast))
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


def _moved(experiment: Experiment, model: Model, forecast: Prediction) -> ForecastPrediction:
    """The model's quantiles moved by its misses on the windows of the validation split."""
    task, validation = experiment.task, experiment.windows("validation")
    asked = ask(task, experiment.scoring, experiment.windows("train"), validation, ())
    calibration = model.predict(asked.windows, asked.anchors_Nx2)
    assert isinstance(forecast, ForecastPrediction)
    assert isinstance(calibration, ForecastPrediction)
    assert isinstance(asked.truth, ForecastTruth)
    return conformal(forecast, calibration, asked.truth)


def check(experiment: Experiment) -> None:
    """Build every part, so that what cannot be right is refused before any time is spent."""
    for name in ("context", "seed", "feeding"):  # first, since other parts take them over
        getattr(experiment, name)
    for key, kind in PARTS.items():
        experiment.part(key, kind)
    experiment.part("mesh", Layout).mesh()
    if experiment.config.get("branches") is not None:
        experiment.part("branches", Branches)
    for name in ("oracle", "source"):
        getattr(experiment, name)
    if ahead := Clean(clean).looking_ahead if (clean := getattr(experiment.source, "clean", ())) else []:
        raise InputError(
            f"source.{ahead[0]} looks ahead: a reading would depend on later ones, so a model would be fed what nobody "
            "can know at the time; leave it out of what is learned from (experiments.clean take it)"
        )
    if isinstance(experiment.source, Observed):
        own_data.trainable(experiment.source, experiment.task)
    plan = getattr(experiment.part("source"), "plan", None)
    for split in SPLITS if plan else ():
        if not getattr(plan, split):
            raise InputError(f"plan.{split} is 0; an experiment needs at least 1 world run in each split")
    if plan and experiment.train_runs is not None and experiment.train_runs > plan.train:
        raise InputError(
            f"train_runs is {experiment.train_runs}; it must be at most the {plan.train} runs that train has"
        )
    if experiment.scoring.every is None and not isinstance(experiment.task, RemainingLife):
        raise InputError("evaluate.every is null; only a remaining life is asked at the newest moment alone")
    if isinstance(experiment.task, Imputation):
        if experiment.context <= experiment.task.horizon:
            raise InputError(
                f"context is {experiment.context}; to see both sides of gaps in the newest task.horizon="
                f"{experiment.task.horizon} samples it must be above that"
            )
        if experiment.oracle is not None:
            raise InputError("oracle must be null where gaps are asked: nothing tells what can be known of them")
    if experiment.scoring.conformal and (type(experiment.task) is not Forecast or experiment.task.loss != "pinball"):
        raise InputError("evaluate.conformal is true; only a forecast told in quantiles, task.loss=pinball, has it")
    if experiment.scoring.mc_dropout and not getattr(experiment.part("model"), "dropout", 0):
        raise InputError("evaluate.mc_dropout asks a model with units dropped out; model.dropout must be above 0")
    scoring, choice = experiment.scoring, PRIMARY[type(experiment.task)]
    choice = (*choice, "mase") if scoring.season and isinstance(experiment.task, Forecast) else choice
    if scoring.primary not in (None, *choice):
        raise InputError(f"evaluate.primary is {scoring.primary!r}; it must be one of {', '.join(choice)}, or null")


def examine(experiment: Experiment, model: Model, dataset: Dataset, split: str) -> dict[str, Any]:
    """The scores of a trained *model*, the experiment's baselines and (of its own twin) the oracle on *dataset*.

    A dataset that is not cleaned yet goes through the steps behind which the model learned.
    """
    if model.cleaning and "clean" not in dataset.manifest["configuration"]:
        dataset = derive(dataset, model.cleaning, Path(str(experiment.config["datasets"])))
    episodes = branched(experiment, dataset, split)
    windows = Windows.of(dataset, split, model.context, task=model.task, scale=model.scale)
    asked = ask(model.task, experiment.scoring, experiment.windows("train"), windows, episodes)
    rows = baselines(experiment, asked)
    rows[MODEL] = Row("model", model.predict(asked.windows, asked.anchors_Nx2))
    simulated = dataset.manifest["configuration"].get("twin")
    if experiment.oracle is not None and simulated == describe(experiment.twin):
        rows["oracle"] = Row("oracle", _oracle(experiment, episodes, asked))
        rows |= beside(experiment, episodes, asked)
    return score(experiment, asked, rows)


def baselines(experiment: Experiment, asked: Asked, kept: Path | None = None) -> dict[str, Row]:
    """Every baseline of the configuration, fitted on the training split and *asked* about the test split."""
    found, rows = experiment.part("baselines"), {}
    with progress("baselines") as advance:
        for done, (name, baseline) in enumerate(found.items()):
            advance(done, len(found), name.replace("_", " "))

            def make(baseline: Any = baseline) -> Any:
                fitted = baseline.fit(experiment.windows("train"), experiment.windows("validation"), experiment.task)
                return fitted(asked.windows, asked.anchors_Nx2)

            prediction = make() if kept is None else predictions.kept(kept / f"{name}.npz", make)
            rows[name] = Row(baseline.kind, prediction)
    return rows


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


def train(
    experiment: Experiment,
    run: RunDir,
    watch: Callable[[Mapping[str, float]], None] | None = None,
    costs: Costs | None = None,
) -> tuple[Model, float]:
    """The trained model, and the floating-point operations that it took now; *costs* are told how long it waited.

    *watch* is told each row of metrics in place of a bar, and may end the training by an exception.
    """
    if Model.saved(run.path):
        return Model.load(run.path), 0.0
    first = begun(experiment)
    budget, optim = experiment.part("fit", Budget), experiment.part("optim", Optim)
    train, validation = (learned_from(experiment, split) for split in ("train", "validation"))
    mesh = experiment.part("mesh", Layout).mesh()
    if watch is not None:
        done = fit(first.module, train, validation, optim, budget, run.path, watch, mesh)
    else:
        say("training: compiling the step, before the first row")
        with progress("training") as advance:

            def tell(row: Mapping[str, float]) -> None:
                advance(int(row["step"]), budget.steps, f"loss {row['loss']:.4f}")

            done = fit(first.module, train, validation, optim, budget, run.path, tell, mesh)
            say(f"the device waited {done.waited_s / done.seconds:.2%} of the time for data")
    if costs is not None:
        costs.add_waiting("training", done.waited_s)
    model = first.with_parameters(done.params, at(done.state))
    model.save(run.path)
    return model, budget.members * at(done.state) * _flops(first.module, optim, budget, train)


def learned_from(experiment: Experiment, split: str) -> Any:
    """The windows of a split from which a model learns: what happened, or the outcomes of plans where it is paired.

    `Windows`, or a `Feed` or `Stream` that cuts them.
    """
    task = experiment.task
    if not isinstance(task, Counterfactual) or task.paired is None:
        return experiment.stream() if split == "train" else experiment.feed(split)
    windows, episodes = experiment.windows(split), branched(experiment, experiment.data(split), split, task.paired)
    return planned(windows, episodes, task, task.paired, pairs=task.difference_weight > 0).windows


def branched(experiment: Experiment, dataset: Any, split: str, every: int | None = None) -> Sequence[Episode]:
    """The episodes of a split, with plans tried at every *every*-th sample where the configuration has branches."""
    episodes = dataset.episodes(split)
    if experiment.config.get("branches") is None:
        return episodes
    branches = experiment.part("branches", Branches)
    with progress("plans") as advance:
        how = {"workers": experiment.workers, "cache": dataset.path / "cache", "progress": advance}
        every = every or experiment.scoring.every or 1
        return branches.tried(experiment.task, experiment.twin, episodes, every, **how)


def begun(experiment: Experiment) -> Model:
    """The model before training: with fresh parameters, or with those of the run that `init` names.

    That run may be of another twin or task: what they have in common is taken over, the blocks always.
    """
    first, init = Model.first(experiment), experiment.config.get("init")
    if init is None:
        return first
    modules = Model.load(Path(str(init))).module, first.module
    theirs, ours = (update.split(module)[1] for module in modules)
    if isinstance(modules[0], ensemble.Ensemble) != isinstance(modules[1], ensemble.Ensemble):
        raise InputError(f"init={init} and this experiment must both be of an ensemble, or neither; see fit.members")
    params, fresh = update.carried(theirs, ours)
    if any(name.removeprefix("net.").startswith(("blocks", "dense")) for name in fresh):
        raise InputError(f"init={init} is of a model of another shape; its {fresh[0]} must be that of this experiment")
    if fresh:
        parts = sorted({name.split(".")[0] for name in fresh})
        say(f"init={init}: taken over but for {', '.join(parts)}, which begins afresh")
    return first.with_parameters(params, 0)


def _flops(module: Any, optim: Optim, budget: Budget, train: Any) -> float:
    """Floating-point operations of one update: as XLA counts them, which tells a loop over time once, or by formula,
    which leaves out what is no product, whichever is more; 0 where neither can."""
    graphdef, params = update.split(module)
    params = ensemble.first(params) if isinstance(module, ensemble.Ensemble) else params
    transform = optim.transform(budget.steps)
    step = update.make_update(graphdef, transform)
    like = getattr(train, "like", train)  # of a stream
    if isinstance(like, Windows):
        batch = jax.eval_shape(gather, like, anchors(like)[: budget.batch])
    else:
        batch = jax.eval_shape(batch_of, like.cut(like.anchors()[: budget.batch]))
    counted = flops(step, update.start(params, transform), batch)
    by_formula = analytic(getattr(module, "shape", None), module.task, params, like, budget.batch)
    return float(np.nanmax((counted, by_formula or 0.0, 0.0)))


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
    elif isinstance(model, ForecastPrediction) and test.step_h is not None:
        naive = next((row.prediction for row in rows.values() if row.kind == "naive"), None)
        units = {c["quantity"]: c["unit"] for c in experiment.dataset.channels}
        parts["forecasts"] = figures.forecasts(test, asked.anchors_Nx2, model, naive, units)
    figures.save(run.path, **parts)


class Costs:
    """What the stages of a run have cost so far, kept in a file, an interrupted stage included."""

    def __init__(self, path: Path):
        self.path = path
        try:
            stages = json.loads(path.read_text(encoding="utf-8"))["stages"] if path.exists() else {}
        except (ValueError, KeyError, TypeError) as error:
            raise damaged(path, error) from None
        self._cost = Cost(accelerators=sum(d.platform != "cpu" for d in jax.devices()), stages=stages)

    @contextlib.contextmanager
    def stage(self, name: str, accelerated: bool = False) -> Iterator[None]:
        try:
            with self._cost.stage(name, accelerated):
                yield
        finally:
            write_json(self.path, self.report())

    def add_flops(self, name: str, count: float) -> None:
        self._cost.add_flops(name, count)

    def add_waiting(self, name: str, seconds: float) -> None:
        self._cost.add_waiting(name, seconds)

    def report(self) -> dict[str, Any]:
        return self._cost.report()

    @property
    def seconds(self) -> dict[str, float]:
        return {name: stage["seconds"] for name, stage in self._cost.stages.items()}
