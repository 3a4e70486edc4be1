"""One trial of a sweep: a training in a folder of its own, judged by its validation losses and by them perhaps ended.

It is a function of its `Job` alone, so a trial that was stopped and is taken up again ends as if it had not been.
"""

from __future__ import annotations

import contextlib
import json
import math
import multiprocessing
import os
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from experiments.experiment import Experiment
from experiments.run_dir import RunDir, open_run
from sim.errors import InputError, require

if TYPE_CHECKING:
    from optuna import Study
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

LOCK_S = 30.0  # that a folder's last owner, whose parent was killed, is given to be gone
RUNGS = "completed_rung"  # where successive halving keeps what a trial came to at each of its rungs


@dataclass(frozen=True)
class Pruning:
    """Which trials are ended early: those worse than the median of others, or by Hyperband's brackets.

    The median is of Golovin et al. (2017), section 3.2.2; Hyperband is Li et al. (2018).
    """

    kind: Literal["median", "hyperband"] | None
    startup: int  # trials without it
    least: int  # updates that a trial is given
    steps: int  # of a whole trial

    def pruner(self) -> BasePruner:
        from optuna import pruners

        if self.kind == "median":
            return pruners.MedianPruner(self.startup, max(self.least - 1, 0))
        if self.kind == "hyperband":
            return pruners.HyperbandPruner(max(self.least, 1), self.steps)
        return pruners.NopPruner()


@dataclass(frozen=True)
class Job:
    """A trial to be played: its configuration, its folder, and the trials by which it is pruned."""

    number: int
    config: Mapping[str, Any]
    folder: Path
    before: Sequence[FrozenTrial]
    pruning: Pruning


@dataclass(frozen=True)
class Outcome:
    """What a trial came to."""

    number: int
    state: Literal["complete", "pruned", "failed"]
    score: float | None = None  # the lowest validation loss of a complete one
    losses: Mapping[int, float] = field(default_factory=dict)  # of the validation split, by update
    rungs: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0  # of training, all attempts together
    sentence: str | None = None  # why it failed

    def __post_init__(self):
        require((self.sentence is not None) == (self.state == "failed"), self, "sentence", "that of a failed trial")


class Pruned(Exception):
    """A trial was ended early."""


def mirror(before: Sequence[FrozenTrial], pruning: Pruning, sampler: BaseSampler | None = None) -> Study:
    """A study in memory that knows these trials and no other."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="sweep", sampler=sampler, pruner=pruning.pruner())
    study.add_trials(before)
    return study


def play(job: Job) -> Outcome:
    """Train, or go on with it; what is wrong with the trial itself comes back as its outcome."""
    from experiments.cli import sentence
    from experiments.run import checks, training
    from learn.training.fit import Budget

    _leave_with_parent()
    with _folder(job) as run, _heard(run):
        losses, seconds = kept(run.path), 0.0
        study = mirror(job.before, job.pruning)
        trial = study.ask()
        try:
            experiment = Experiment(job.config)
            checks.check(experiment)
            last = experiment.part("fit", Budget).steps

            def judge(step: int, loss: float) -> None:
                trial.report(loss, step)
                if step < last and trial.should_prune():
                    raise Pruned

            def watch(row: Mapping[str, float]) -> None:
                step = int(row["step"])
                if "validation" in row and step not in losses:
                    losses[step] = row["validation"]
                    judge(step, losses[step])

            costs = training.Costs(run.path / "cost.json")
            try:
                with costs.stage("training", accelerated=True):
                    for step, loss in list(losses.items()):
                        judge(step, loss)
                    training.train(experiment, run, watch)
            finally:
                seconds = costs.seconds.get("training", 0.0)
            score = min((loss for loss in losses.values() if math.isfinite(loss)), default=None)
            if score is None:
                raise InputError("its validation loss is never a number")
            return Outcome(job.number, "complete", score, losses, _rungs(study), seconds)
        except Pruned:
            step = study.trials[-1].last_step or 0
            told = {s: loss for s, loss in losses.items() if s <= step}
            return Outcome(job.number, "pruned", None, told, _rungs(study), seconds)
        except OSError:
            raise  # of the machine, and no fault of the trial
        except Exception as error:
            traceback.print_exc()
            told = sentence(error) if isinstance(error, InputError) else f"{type(error).__name__}: {sentence(error)}"
            return Outcome(job.number, "failed", None, losses, _rungs(study), seconds, told)


def kept(run: Path) -> dict[int, float]:
    """The validation losses in a run's metrics.jsonl by update; a torn line and all after it are left out."""
    file, found = run / "metrics.jsonl", {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            break
        if "validation" in row:
            found[int(row["step"])] = float(row["validation"])
    return found


def _rungs(study: Study) -> dict[str, float]:
    return {key: value for key, value in study.trials[-1].system_attrs.items() if key.startswith(RUNGS)}


@contextlib.contextmanager
def _folder(job: Job) -> Iterator[RunDir]:
    """The trial's folder; its last owner may need a moment to see that its parent is gone."""
    with contextlib.ExitStack() as stack:
        until = time.monotonic() + LOCK_S
        while True:
            try:
                run = stack.enter_context(open_run(job.folder, job.config, False))
                break
            except InputError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
        yield run


@contextlib.contextmanager
def _heard(run: RunDir) -> Iterator[None]:
    """What a worker process says goes into its trial's log.txt; the sweep's own process says it aloud."""
    if multiprocessing.parent_process() is None:
        yield
        return
    with (run.path / "log.txt").open("a", encoding="utf-8") as log, contextlib.redirect_stderr(log):
        yield


def _leave_with_parent() -> None:
    """From now on this process ends when its parent does, however that ends, in the middle of a training too."""
    parent = multiprocessing.parent_process()
    if parent is None or any(thread.name == _leave_with_parent.__name__ for thread in threading.enumerate()):
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, name=_leave_with_parent.__name__, daemon=True).start()
