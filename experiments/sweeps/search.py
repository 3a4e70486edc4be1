"""A sweep from its configuration to its trials: suggested in batches, trained by worker processes, kept in a journal.

Trial k is a function of the sweep's configuration alone. It is suggested by the trials of all batches before its own
and by what was suggested before it in its own; the same trials say when it is ended early; and what is drawn follows
from the seed and k. So neither the number of workers nor a kill changes a sweep, and one of more trials begins with
those of a shorter one. Only this process asks and tells. A trial's number in the journal is its name, and one that was
stopped goes on under it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, Literal, cast

from experiments import cli
from experiments.build import call
from experiments.build import fit as fitting
from experiments.experiment import Experiment, run_path
from experiments.run_dir import RunDir, open_run, write_json
from experiments.sweeps import space
from experiments.sweeps.trials import Job, Outcome, Pruning, mirror, play
from sim.errors import InputError, require
from sim.verify import world_seed
from twins.executors.executor import Failed
from twins.executors.workers import Local, crew

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

JOURNAL = "journal.log"
FOUND = "sweep.json"
LEARNED = (
    "model",
    "optim",
    "fit",
    "init",
    "seed",
)  # parts that trials may differ in; all see the same windows
TELLING = 8  # complete trials from which importances are told
DEATHS = 2  # of a worker at one trial, which is then given up


@dataclass(frozen=True)
class Settings:
    """`sweep` of the configuration."""

    space: dict[str, Any]
    trials: int = 20
    batch: int = 4
    sampler: Literal["tpe", "random"] = "tpe"
    pruner: Literal["median", "hyperband"] | None = "median"
    startup: int = 8
    warmup: float = 0.2
    seed: int = 0

    def __post_init__(self):
        require(self.trials >= 1, self, "trials", "at least 1")
        require(self.batch >= 1, self, "batch", "at least 1")
        require(self.startup >= 1, self, "startup", "at least 1")
        require(0 <= self.warmup <= 1, self, "warmup", "from 0 to 1")
        require(0 <= self.seed < 2**31, self, "seed", "at least 0 and below 2³¹")

    def drawn(self, number: int) -> BaseSampler:
        """What suggests trial *number*: TPE (Bergstra et al. 2011; multivariate, Falkner et al. 2018), or chance."""
        from optuna import samplers

        seed = world_seed("sweep", self.seed, number) % 2**32
        if self.sampler == "random":
            return samplers.RandomSampler(seed)
        return samplers.TPESampler(n_startup_trials=self.startup, multivariate=True, constant_liar=True, seed=seed)


class Sweep:
    """Trials of a preset that differ in what `sweep.space` names, each judged by its validation loss."""

    def __init__(self, config: Mapping[str, Any], overrides: Sequence[str] = ()):
        """*config* is resolved; *overrides* are those of the command line, which every trial takes as well."""
        self.config = config
        self.overrides = [text for text in overrides if not text.lstrip("+~").startswith(("sweep.", "sweep="))]

    @staticmethod
    def of(config: Any, overrides: Sequence[str] = ()) -> Sweep:
        """From Hydra's DictConfig."""
        from omegaconf import OmegaConf

        found = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        return Sweep(cast(dict[str, Any], found), overrides)

    @cached_property
    def settings(self) -> Settings:
        return call(Settings, self.config["sweep"], "sweep")

    @cached_property
    def base(self) -> Experiment:
        """The preset as it is."""
        return self.experiment({})

    @cached_property
    def laws(self) -> dict[str, space.Law]:
        return space.space(self.config["sweep"]["space"])

    @cached_property
    def distributions(self) -> dict[str, Any]:
        found = {}
        for key, law in self.laws.items():
            with _named(key):
                found[key] = law.distribution(space.at(self.base.config, key))
        return found

    @cached_property
    def pruning(self) -> Pruning:
        steps = fitting(self.base.config["fit"]["steps"], int, "fit.steps")
        return Pruning(self.settings.pruner, self.settings.startup, round(self.settings.warmup * steps), steps)

    def experiment(self, values: Mapping[str, Any]) -> Experiment:
        """The preset with *values* in place of its own."""
        return cli.compose("train", [*self.overrides, *space.overrides(values)])

    def command(self, values: Mapping[str, Any]) -> str:
        """What trains the preset with *values*, to its scores on the test split."""
        own = [text for text in self.overrides if not text.startswith("workers=")]
        return cli.another("train", [*own, *space.overrides(values)])

    def check(self) -> None:
        """Refuse what cannot be right before any time is spent: both ends of each range, and each choice."""
        from experiments.console import say
        from experiments.run import checks

        _ = self.settings, self.distributions
        checks.check(self.base)
        budget = self.base.config["fit"]
        if not 1 <= budget["validate_every"] <= budget["steps"]:
            raise InputError(
                f"fit.validate_every is {budget['validate_every']}; a sweep judges by validation losses, so it must be "
                f"at most fit.steps, {budget['steps']}"
            )
        for key, law in self.laws.items():
            own = space.at(self.base.config, key)
            if isinstance(law, space.Range) and isinstance(own, int | float) and not law.low <= own <= law.high:
                say(
                    f"sweep.space.{key} is from {law.low:g} to {law.high:g}, without the preset's own {own:g}; "
                    "widen it to have that tried too"
                )
            for value in law.ends:
                with _named(key):
                    self._check(key, value)

    def _check(self, key: str, value: Any) -> None:
        """Refuse a value that is wrong, alone and with whatever may be drawn beside it, or that asks something else."""
        tried = self.experiment({key: value})
        parts = {part for part in tried.config if tried.config[part] != self.base.config.get(part)}
        if other := sorted(parts - set(LEARNED)):
            raise InputError(
                f"it changes {', '.join(other)}, and what is asked of one trial is asked of all; only "
                f"{', '.join(LEARNED)} may differ"
            )
        if tried.config["fit"]["validation_windows"] != self.base.config["fit"]["validation_windows"]:
            raise InputError("trials are judged by the same windows, so fit.validation_windows must be alike in all")
        beside = ({another: end} for another, law in self.laws.items() if another != key for end in law.ends)
        if (error := _wrong(tried)) and all(_wrong(self.experiment({key: value, **more})) for more in beside):
            raise error

    @contextlib.contextmanager
    def open_run(self) -> Iterator[RunDir]:
        """The sweep's folder, locked; the number of trials is not part of its name."""
        asked = {key: value for key, value in self.config["sweep"].items() if key != "trials"}
        config = dict(self.config) | {"sweep": asked, "name": f"sweeps/{self.config['name']}"}
        path = run_path(config, self.base.source.identity)
        with open_run(path, config, fitting(self.config["fresh"], bool, "fresh")) as run:
            yield run

    def done(self, run: RunDir) -> bool:
        """As many trials as are asked for are there, and told in a report."""
        from experiments.report import json_of

        found = json_of(run.path / FOUND)
        whole = isinstance(found, dict) and len(found.get("trials", ())) >= self.settings.trials
        return whole and run.report.exists()

    def execute(self, run: RunDir) -> dict[str, Any]:
        """Do what is left to do of a sweep. Returns what was found, as sweep.json holds it."""
        from experiments.console import progress
        from experiments.run import training
        from experiments.run_dir import stamp

        stamped = stamp(self.base.dataset.manifest["content"])  # the data are there before any worker asks for them
        write_json(run.path / "stamp.json", stamped | {"command": cli.command()})
        for split in ("train", "validation") if self.base.config.get("branches") is not None else ():
            training.learned_from(self.base, split)  # plans that are tried once, and kept beside the data
        run.report.unlink(missing_ok=True)  # of fewer trials; without one the sweep is not done
        study, total = _journal(run.path), self.settings.trials
        with progress("trials") as advance:
            while (number := self._next(study)) < total:
                jobs: list[Job] = []
                try:
                    with self._hands() as each:
                        while number < total:
                            jobs = self._batch(study, number, run.path)
                            for _, outcome in each(jobs):
                                self._tell(study, outcome, run.path)
                                finished = _finished(study)
                                advance(len(finished), total, _note(finished))
                            number = self._next(study)
                            write_json(run.path / FOUND, self.found(study))
                except Failed as lost:  # what kills its worker again and again is given up, and the others go on
                    failed = Outcome(jobs[lost.index].number, "failed", sentence=f"{lost.why}, again and again")
                    self._tell(study, failed, run.path)
        found = self.found(study) | {"importances": self._importances(study)}
        write_json(run.path / FOUND, found)
        return found

    def found(self, study: Study) -> dict[str, Any]:
        """All finished trials and the best of them, as plain JSON."""
        finished = _finished(study)
        best = _best(finished)
        return {
            "space": {key: asdict(law) for key, law in self.laws.items()},
            "asked": self.settings.trials,
            "trials": [_plain(trial) for trial in finished],
            "best": best and _plain(best) | {"command": self.command(best.params)},
        }

    def _importances(self, study: Study) -> dict[str, float] | None:
        """The share of the scores' variance that each key has by itself or with others (fANOVA, Hutter et al. 2014).

        None where there is too little to tell.
        """
        import optuna

        complete = [trial for trial in _finished(study) if trial.state.name == "COMPLETE"]
        if len(self.laws) < 2 or len(complete) < TELLING or len({trial.value for trial in complete}) < 2:
            return None
        told = mirror([], self.pruning)
        told.add_trials(
            [optuna.create_trial(value=t.value, params=t.params, distributions=t.distributions) for t in complete]
        )
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=self.settings.seed)
        shares = optuna.importance.get_param_importances(told, evaluator=evaluator)
        return {key: float(share) for key, share in shares.items()}

    @contextlib.contextmanager
    def _hands(self) -> Iterator[Callable[[list[Job]], Iterable[tuple[int, Outcome]]]]:
        """What plays a list of jobs: processes that stay from batch to batch, or the executor that is configured."""
        executor = self.base.executor
        if not isinstance(executor, Local):
            yield lambda jobs: executor.each(play, jobs)
            return
        with crew(play, min(executor.workers, self.settings.batch), executor.mixed, DEATHS) as each:
            yield each

    def _next(self, study: Study) -> int:
        """The first trial that is not finished, or not there."""
        trials = study.get_trials(deepcopy=False)
        return next((trial.number for trial in trials if not trial.state.is_finished()), len(trials))

    def _before(self, study: Study, number: int) -> list[FrozenTrial]:
        """What trial *number* knows of: the batches before its own, and of its own what was suggested before it."""
        from optuna.trial import TrialState, create_trial

        first = number // self.settings.batch * self.settings.batch
        found = []
        for trial in study.get_trials(deepcopy=False)[:number]:
            what: dict[str, Any] = {"params": trial.params, "distributions": trial.distributions}
            if trial.number >= first:
                found.append(create_trial(state=TrialState.RUNNING, **what))
                continue
            what |= {"intermediate_values": trial.intermediate_values, "system_attrs": trial.user_attrs["rungs"]}
            found.append(create_trial(state=trial.state, value=trial.value, **what))
        return found

    def _batch(self, study: Study, number: int, folder: Path) -> list[Job]:
        """What is left of the batch of trial *number*, all of it suggested before any of it is played."""
        from optuna.trial import TrialState, create_trial

        from experiments.console import say

        first = number // self.settings.batch * self.settings.batch
        batch = range(first, min(first + self.settings.batch, self.settings.trials))
        for k in batch[len(study.get_trials(deepcopy=False)) - first :]:
            asked = mirror(self._before(study, k), self.pruning, self.settings.drawn(k)).ask(self.distributions)
            values = {key: law.shown(asked.params[key]) for key, law in self.laws.items()}
            running = create_trial(state=TrialState.RUNNING, params=values, distributions=self.distributions)
            study.add_trial(running)  # one entry of the journal: it is there with all its values, or not at all
        jobs = []
        for trial in study.get_trials(deepcopy=False)[first : batch[-1] + 1]:
            if trial.state.is_finished():
                continue
            try:
                config = self.experiment(trial.params).config
            except InputError as error:
                self._tell(study, Outcome(trial.number, "failed", sentence=str(error)), folder)
                continue
            before = self._before(study, trial.number)
            say(f"trial {trial.number}: {', '.join(space.overrides(trial.params))}")
            jobs.append(Job(trial.number, config, _trial(folder, trial.number), before, self.pruning))
        return jobs

    def _tell(self, study: Study, outcome: Outcome, folder: Path) -> None:
        """Into the journal, where the last entry alone says that the trial is finished; then clear its folder up."""
        from optuna.trial import Trial, TrialState

        from experiments.run.model import FOLDER

        best = _best(_finished(study))
        frozen = study.get_trials(deepcopy=False)[outcome.number]
        trial = Trial(study, frozen._trial_id)
        for step, loss in outcome.losses.items():
            if step not in frozen.intermediate_values:
                trial.report(loss, step)
        about = {"rungs": outcome.rungs, "seconds": outcome.seconds, "sentence": outcome.sentence}
        for name, value in about.items():
            trial.set_user_attr(name, value)
        state = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        study.tell(outcome.number, outcome.score, state[outcome.state])
        now = _best(_finished(study))
        for number in {outcome.number, best.number if best else outcome.number} - {now.number if now else None}:
            rmtree(_trial(folder, number) / FOLDER, ignore_errors=True)  # the best alone is worth its room
        rmtree(_trial(folder, outcome.number) / "checkpoints", ignore_errors=True)


@contextlib.contextmanager
def _named(key: str) -> Iterator[None]:
    try:
        yield
    except (InputError, ValueError) as error:
        raise InputError(f"sweep.space.{key}: {error}") from error


def _wrong(experiment: Experiment) -> InputError | None:
    from experiments.run import checks

    try:
        checks.check(experiment)
    except InputError as error:
        return error
    return None


def _journal(folder: Path) -> Study:
    """The sweep's journal, which the lock on its folder makes ours: what a kill has left half done is cleared away."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    file = folder / JOURNAL
    for left in folder.glob(f"{JOURNAL}.lock*"):
        left.unlink()
    if file.exists():
        whole = file.read_bytes().rpartition(b"\n")
        if whole[2]:
            os.truncate(file, len(whole[0] + whole[1]))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(file))),
        study_name="sweep",
        sampler=optuna.samplers.RandomSampler(0),  # which suggests nothing here: trials come with their values
        load_if_exists=True,
    )


def _trial(folder: Path, number: int) -> Path:
    return folder / "trials" / f"{number:04d}"


def _finished(study: Study) -> list[FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def _best(finished: Sequence[FrozenTrial]) -> FrozenTrial | None:
    """The lowest score of the complete trials, the first of equals."""
    complete = [trial for trial in finished if trial.state.name == "COMPLETE"]
    return min(complete, key=lambda trial: trial.value or 0.0, default=None)


def _plain(trial: FrozenTrial) -> dict[str, Any]:
    told = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}[trial.state.name]
    return {
        "number": trial.number,
        "state": told,
        "score": trial.value if told == "complete" else None,
        "values": trial.params,
        "losses": sorted(trial.intermediate_values.items()),
        "seconds": trial.user_attrs["seconds"],
        "sentence": trial.user_attrs["sentence"],
    }


def _note(finished: Sequence[FrozenTrial]) -> str:
    best = _best(finished)
    return f"best {best.value:.4g} of trial {best.number}" if best else ""
