"""From an experiment to a trained model, and what the stages of its run cost."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from experiments.console import progress, say
from experiments.experiment import Experiment
from experiments.run.branches import Branches
from experiments.run.model import Model
from experiments.run_dir import RunDir, damaged, write_json
from learn.compute.cost import Cost
from learn.compute.work import Work
from learn.models import ensemble
from learn.tasks import Counterfactual
from learn.training import update
from learn.training.fit import Budget, fit
from learn.training.journal import at
from learn.training.sharding import Layout
from learn.training.update import Optim
from learn.windows.counterfactual import planned
from sim.errors import InputError
from twins.episode import Episode


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
    return model, budget.members * at(done.state) * Work.of_training(first.module, optim, budget, train).most


def learned_from(experiment: Experiment, split: str) -> Any:
    """The windows of a split from which a model learns: what happened, or the outcomes of plans where it is paired.

    `Windows`, or a `Feed` or `FreshFeed` that cuts them.
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
