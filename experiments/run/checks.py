"""What cannot be right about an experiment is refused before any time is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_type_hints

from experiments.datasets import own_data
from experiments.experiment import Experiment
from experiments.run.branches import Branches
from experiments.run.model import Model
from experiments.run.questions import Recorded
from experiments.settings import Scoring
from experiments.source import Observed
from learn.tasks import Classify, Counterfactual, Forecast, Imputation, RemainingLife, States, Task, TimeToEvent
from learn.training.fit import Budget
from learn.training.sharding import Layout
from learn.training.update import Optim
from sim.errors import InputError
from twins.clean import Clean
from twins.dataset import SPLITS

PRIMARY: dict[type, tuple[str, ...]] = {  # scores of which less is better
    TimeToEvent: ("brier", "log_loss"),
    Forecast: ("crps", "mse", "mae", "wql"),
    Counterfactual: ("nrmse", "mse", "mae", "pehe", "regret"),
    Imputation: ("crps", "mse", "mae", "wql"),
    RemainingLife: ("crps", "rmse"),
    Classify: ("brier", "log_loss"),
    States: ("brier", "log_loss"),
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


def check(experiment: Experiment) -> None:
    """Build every part, so that what cannot be right is refused before any time is spent."""
    for name in ("context", "seed", "feeding"):  # first, since other parts take them over
        getattr(experiment, name)
    for key, kind in PARTS.items():
        experiment.part(key, kind)
    experiment.part("mesh", Layout).mesh()
    _asked_alike(experiment)
    if (init := experiment.config.get("init")) is not None:
        Model.load(Path(str(init)))
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
    if isinstance(experiment.task, States) and isinstance(experiment.oracle, Recorded):
        raise InputError("oracle cannot be Recorded where states are asked; it must be questions.Futures, or null")
    in_quantiles = type(experiment.task) is Forecast and experiment.task.loss == "pinball"
    for key in ("conformal", "adaptive"):
        if getattr(experiment.scoring, key) and not in_quantiles:
            raise InputError(f"evaluate.{key} is asked; only a forecast told in quantiles, task.loss=pinball, has it")
    if experiment.scoring.mc_dropout and not getattr(experiment.part("model"), "dropout", 0):
        raise InputError("evaluate.mc_dropout asks a model with units dropped out; model.dropout must be above 0")
    scoring, choice = experiment.scoring, PRIMARY[type(experiment.task)]
    choice = (*choice, "mase") if scoring.season and isinstance(experiment.task, Forecast) else choice
    if scoring.primary not in (None, *choice):
        raise InputError(f"evaluate.primary is {scoring.primary!r}; it must be one of {', '.join(choice)}, or null")


def _asked_alike(experiment: Experiment) -> None:
    """Model and baselines have to answer the task."""
    task, model = experiment.task, experiment.part("model")
    if hasattr(model, "check"):
        model.check(task, experiment.context)
    for name, baseline in experiment.part("baselines").items():
        if not callable(getattr(baseline, "fit", None)):
            raise InputError(
                f"baselines.{name} is a {type(baseline).__name__}, which has no fit; it must be an object with "
                "fit(train, validation, task), such as learn.baselines.RepeatLast"
            )
        answers = _answers(baseline)
        if not isinstance(task, answers) or (isinstance(task, Imputation) and answers is Forecast):
            raise InputError(
                f"baselines.{name} answers the task {answers.__name__}, and task is {type(task).__name__}; choose the "
                "group of conf/baselines that belongs to the task, such as task=states baselines=states"
            )


def _answers(baseline: Any) -> type:
    """The kind of task that a baseline's `fit` takes; any, where it does not say."""
    try:
        said = get_type_hints(baseline.fit).get("task")
    except (NameError, AttributeError, TypeError):  # names for type checkers alone, or a fit that is no function
        said = None
    return said if isinstance(said, type) and not getattr(said, "_is_protocol", False) else object
