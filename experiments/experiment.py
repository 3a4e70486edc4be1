"""An experiment as objects, each built from its part of the configuration when it is first asked for."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from experiments.build import build, fit
from experiments.console import progress
from experiments.run_dir import RunDir, config_hash, open_run
from experiments.settings import Feeding, Scoring
from experiments.vary import vary
from sim.errors import InputError
from twins.dataset import Live
from twins.executors.executor import Executor
from twins.executors.workers import Local

if TYPE_CHECKING:
    from experiments.run.model import Model
    from learn.windows.batch import Windows
    from learn.windows.feed import Feed
    from twins.dataset import Dataset
    from twins.episode import Episode


class Experiment:
    """`world`, `twin`, `source`, `task`, `dataset` (generated if need be) and `model` (trained, once a run is)."""

    def __init__(self, config: Mapping[str, Any]):
        self.config = config
        self._windows: dict[str, Windows] = {}
        self._feeds: dict[str, Windows | Feed] = {}

    def __repr__(self) -> str:
        keys = ("world", "twin", "source", "task", "model")
        kinds = [str((self.config.get(key) or {}).get("_target_", "")).rpartition(".")[2] for key in keys]
        return f"<Experiment {self.config.get('name')}: {', '.join(filter(None, kinds))}>"

    @staticmethod
    def of(config: Any) -> Experiment:
        """From Hydra's DictConfig; raises where a mandatory value is missing."""
        from omegaconf import OmegaConf

        return Experiment(cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True)))

    def part(self, key: str, kind: Any = Any) -> Any:
        """The object built from one key of the configuration, which has to be a *kind*."""
        if key not in self.config:
            raise InputError(f"the configuration has no {key}; it has {', '.join(self.config)}")
        return fit(build(self.config[key], key), kind, key)

    @cached_property
    def world(self) -> Any:
        return self.part("world")

    @cached_property
    def twin(self) -> Any:
        """Varied, where `vary` names what differs from run to run."""
        return vary(self.part("twin"), self.config.get("vary"))

    @cached_property
    def source(self) -> Any:
        source, kept = self.part("source"), self.config.get("render", "stored")
        if kept not in ("stored", "live"):
            raise InputError(f"render is {kept!r}; it must be stored or live")
        if not self.config.get("vary") and kept == "stored":
            return source
        if not hasattr(source, "plan"):
            raise InputError("vary and render are of simulated worlds; leave them out where the source is a table")
        plan = Live(**vars(source.plan)) if kept == "live" else source.plan
        return replace(source, twin=self.twin if self.config.get("vary") else source.twin, plan=plan)

    @cached_property
    def task(self) -> Any:
        return self.part("task")

    @cached_property
    def context(self) -> int:
        """Samples that a model sees."""
        return _natural(self.config, "context")

    @cached_property
    def seed(self) -> int:
        return _natural(self.config, "seed", below=2**31)

    @cached_property
    def train_runs(self) -> int | None:
        """World runs of the training split that are learned from, the first ones; None: all."""
        return None if self.config.get("train_runs") is None else _natural(self.config, "train_runs", 1)

    @cached_property
    def workers(self) -> int:
        """Processes that simulate."""
        return _natural(self.config, "workers", 1)

    @cached_property
    def executor(self) -> Executor:
        """Who makes the dataset."""
        return self.part("executor", Executor) if "executor" in self.config else Local(self.workers)

    @cached_property
    def scoring(self) -> Scoring:
        return self.part("evaluate", Scoring)

    @cached_property
    def oracle(self) -> Any:
        """None where nothing can be known, as of observed data."""
        return self.part("oracle") if self.config.get("oracle") is not None else None

    @cached_property
    def dataset(self) -> Dataset:
        root = Path(fit(self.config["datasets"], str, "datasets"))
        with progress("dataset") as advance:
            return self.source.ensure(root, self.executor, advance)

    def data(self, split: str) -> Any:
        """The dataset, of which fewer runs are learned from where the configuration says so."""
        return _Fewer(self.dataset, self.train_runs) if split == "train" and self.train_runs else self.dataset

    @cached_property
    def feeding(self) -> Feeding:
        return self.part("feed", Feeding) if self.config.get("feed") is not None else Feeding()

    def windows(self, split: str) -> Windows:
        """The windows of a split in memory, all in the scale of the training split; of that a sample, where it is said
        so."""
        from learn.windows.batch import Windows

        if split not in self._windows:
            fed = self.feed(split)
            sample = self.feeding.sample if split == "train" else None
            self._windows[split] = fed if isinstance(fed, Windows) else fed.whole(sample)
        return self._windows[split]

    def feed(self, split: str) -> Windows | Feed:
        """What is learned from: the windows of a split, or what cuts them one by one."""
        from learn.windows.batch import Windows
        from learn.windows.feed import Feed

        if split not in self._feeds:
            scale = None if split == "train" else self.feed("train").scale
            live = self.dataset.live and not any(channel.get("shape") for channel in self.dataset.channels)
            kind = Feed if live or self.feeding.cut or self.feeding.sample is not None else Windows
            self._feeds[split] = kind.of(self.data(split), split, self.context, task=self.task, scale=scale)
        return self._feeds[split]

    def stream(self) -> Any:
        """The training split's windows, and behind them those of fresh runs where the configuration asks for them."""
        from learn.windows.feed import FreshFeed
        from twins.dataset.fresh import Fresh

        fed, how = self.feed("train"), self.feeding
        if not how.fresh_runs:
            return fed
        if not hasattr(self.source, "twin") or self.source.steps:
            raise InputError("feed.fresh_runs simulates; it must be 0 where the source is a table, cleaned or faulty")
        fresh = Fresh(self.source.twin, self.source.plan)
        return FreshFeed(fed, self.task, fresh, how.fresh_runs, how.fresh_steps, self.workers)

    @property
    def run_path(self) -> Path:
        """The folder of this experiment's run, which need not exist."""
        return run_path(self.config, self.source.identity)

    @contextlib.contextmanager
    def open_run(self) -> Iterator[RunDir]:
        """The run's folder, locked."""
        with open_run(self.run_path, self.config, fit(self.config["fresh"], bool, "fresh")) as run:
            yield run

    @cached_property
    def model(self) -> Model:
        """As trained by this experiment's run; an InputError where there is none yet."""
        from experiments.run.model import Model

        if not Model.saved(self.run_path):
            raise InputError(
                f"{self.config['name']} is not trained yet, no model lies in {self.run_path}; train it first"
            )
        return Model.load(self.run_path)


class _Fewer(NamedTuple):
    """A dataset of whose splits only the first runs are taken."""

    dataset: Dataset
    count: int

    @property
    def path(self) -> Path:
        return self.dataset.path

    def span(self, split: str) -> tuple[float, float]:
        return self.dataset.span(split)

    def episodes(self, split: str) -> list[Episode]:
        return self._taken(split, self.dataset.episodes)

    def sensed(self, split: str) -> list[Episode]:
        return self._taken(split, self.dataset.sensed)

    def _taken(self, split: str, read: Callable[[str], list[Episode]]) -> list[Episode]:
        runs = self.dataset.runs(split)
        if self.count > len(runs):
            raise InputError(f"train_runs is {self.count}; it must be at most the {len(runs)} runs that {split} has")
        taken = set(runs[: self.count])
        return [episode for episode in read(split) if episode.run in taken]


def run_path(config: Mapping[str, Any], identity: str) -> Path:
    """outputs/<name>/<hash>, the folder of what a configuration asks of the data *identity*."""
    outputs, name = (fit(config[key], str, key) for key in ("outputs", "name"))
    if not name or Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"name is {name!r}; it must be the name of a folder under outputs")
    return Path(outputs) / name / config_hash(config, identity)


def _natural(config: Mapping[str, Any], key: str, least: int = 0, below: float = math.inf) -> int:
    value = fit(config[key], int, key)
    if value < least:
        raise InputError(f"{key} is {value}; it must be at least {least}")
    if value >= below:
        raise InputError(f"{key} is {value}; it must be below {below}")
    return value
