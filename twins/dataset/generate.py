"""A dataset as a function of its configuration: the shards that are missing are made, in any order, by any worker."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sim.errors import InputError, require
from sim.trace import Run, Trace
from twins import units
from twins.channel import Channel
from twins.dataset import card, files, manifest, shards
from twins.dataset.identity import describe, identity
from twins.dataset.live import left_out
from twins.dataset.making import Place, Shard, ShardFiles, failure, shard_files
from twins.dataset.store import Dataset
from twins.episode import Episode
from twins.executors.executor import Executor, Failed
from twins.executors.platform import probe
from twins.executors.workers import Local
from twins.twin import Twin
from twins.varied import Varied, drawn, twin_of

SPLITS = ("train", "validation", "test")
MOST_SAMPLES = 1e8  # of one channel in one run: a minute's clock for 190 years
Simulate = Callable[[Twin, int, float], Run]  # of a twin, a run's seed and its length in hours
Progress = Callable[[int, int, str], None]  # shards done, shards in all, what is going on


@dataclass(frozen=True)
class Plan:
    """How many world runs each split has, how long they are, and how many share a shard.

    World run i, counted through train, validation and test, has the seed `seed` · 2³² + i.
    """

    train: int
    validation: int
    test: int
    duration_h: float
    seed: int = 0
    runs_per_shard: int = 4

    def __post_init__(self):
        for split in SPLITS:
            require(getattr(self, split) >= 0, self, split, "at least 0")
        require(self.train + self.validation + self.test > 0, self, "train", "at least 1 where no other split has runs")
        require(self.train + self.validation + self.test < 2**32, self, "train", "below 2³² runs in all")
        require(0 < self.duration_h < float("inf"), self, "duration_h", "above 0 and finite")
        require(0 <= self.seed < 2**31, self, "seed", "at least 0 and below 2³¹")
        require(self.runs_per_shard >= 1, self, "runs_per_shard", "at least 1")

    def shards(self) -> list[Shard]:
        """Every shard of every split; their boundaries depend on nothing else."""
        made, first = [], self.seed * 2**32
        for split in SPLITS:
            end = first + getattr(self, split)
            starts = range(first, end, self.runs_per_shard)
            made += [Shard(split, i, (at, min(at + self.runs_per_shard, end))) for i, at in enumerate(starts)]
            first = end
        return made


@dataclass(frozen=True)
class Live(Plan):
    """A plan of a dataset that is kept as traces: what a trace tells is rendered when it is read, and not stored."""


@dataclass(frozen=True)
class Maker:
    """What a worker needs to make any shard of one dataset."""

    twin: Twin
    duration_h: float
    identity: str
    simulate: Simulate
    home: str  # the numeric probe of the process that asks
    live: bool = False

    def __call__(self, shard: Shard) -> ShardFiles:
        """The files of *shard*; raises InputError naming the run for what a user can mend, notes it on all else."""
        runs, differ = [], {}
        for seed in range(*shard.seeds):
            try:
                runs.append(observed(self.twin, seed, self.duration_h, self.simulate, self.live))
                if found := drawn(self.twin, seed):
                    differ[seed] = {"drawn": found}
            except InputError as error:
                raise InputError(f"{error} (run seed {seed}, shard {shard.name})") from error
            except Exception as error:
                error.add_note(f"while making the run of seed {seed} for shard {shard.name}")
                raise
        return shard_files(self.identity, shard.split, shard.name, runs, differ, self.home)


def configuration(twin: Twin, plan: Plan) -> dict:
    """All that the dataset of *twin* and *plan* depends on, as plain JSON; its `identity` names the dataset."""
    return {
        "twin": describe(twin, "twin"),
        "plan": describe(plan, "plan"),
        "revisions": {"world": twin.world.revision, "twin": twin.revision},
        "schema": shards.SCHEMA_VERSION,
    }


def ensure(
    twin: Twin,
    plan: Plan,
    root: str | Path,
    workers: int = 2,
    progress: Progress | None = None,
    simulate: Simulate | None = None,
    executor: Executor | None = None,
) -> Dataset:
    """The dataset of *twin* and *plan* under *root*: made, taken up where it was left, or checked and reused.

    Its folder is `<name>-<first 12 digits of the identity>`. Neither who makes it (*executor*, or so many *workers* on
    this machine) nor an interruption changes a byte of it. Raises InputError for a configuration without a canonical
    form, a damaged shard, a full disk, a folder that holds another dataset, a clock too fine or too coarse for the
    runs, a run without data, or a shard that fails three times. What stands in for the simulation, if anything does
    (*simulate*), has to give the same runs.
    """
    directory = Path(root) / f"{_name(twin)}-{identity(configuration(twin, plan))[:12]}"
    return make(directory, twin, plan, executor or Local(workers), progress, simulate)


def make(
    directory: Path,
    twin: Twin,
    plan: Plan,
    executor: Executor,
    progress: Progress | None = None,
    simulate: Simulate | None = None,
) -> Dataset:
    """`ensure` in a folder of any name."""
    if isinstance(plan, Live) and executor.mixed:
        raise InputError(
            "what is kept as traces (twins.dataset.Live) is rendered where it is read, so all of it has to be made "
            "where numbers come out alike; set executor.mixed=false"
        )
    for channel in twin.channels:
        units.parse(channel.unit)
        _check_clock(channel, plan.duration_h)
    described = configuration(twin, plan)
    maker = Maker(twin, plan.duration_h, identity(described), simulate or simulated, probe(), isinstance(plan, Live))
    return complete(directory, described, plan.shards(), maker, executor, progress)


def complete(
    directory: Path,
    configuration: dict,
    wanted: Sequence[Any],
    make: Callable[[Any], ShardFiles],
    executor: Executor | None = None,
    progress: Progress | None = None,
    **extra: Any,
) -> Dataset:
    """Make what is missing of the shards *wanted* (each has a `name`), seal the manifest, open the dataset."""
    tell, executor = progress or (lambda done, total, what: None), executor or Local(1)
    named = identity(configuration)
    with files.locked(directory, lambda: tell(0, len(wanted), f"waiting for the process that makes {directory}")):
        files.sweep(directory)
        whole = manifest.check(directory, named)
        todo = [s for s in wanted if not manifest.finished(directory, s.name, named, whole, executor.mixed)]
        done = len(wanted) - len(todo)
        tell(done, len(wanted), "making shards" if todo else "checked")
        for shard in todo:
            if whole and not manifest.made_here(whole, shard.name):
                raise InputError(
                    f"{directory} lacks {shard.name} and was made where numbers come out differently; mend it on such "
                    "a machine, or remove it to make it anew here"
                )
        try:
            if todo:
                place = Place.of(directory, configuration, make)
                again = lambda i, why: tell(done, len(wanted), f"{todo[i].name} again, since {why}")  # noqa: E731
                with closing(executor.each(place, todo, again)) as made:
                    for i, held in made:
                        place.receive(held)
                        done += 1
                        tell(done, len(wanted), todo[i].name)
        except Failed as error:
            raise failure(directory, todo[error.index], error.why) from error
        finally:
            files.sweep(directory)
        if not whole or manifest.missing(directory, whole) or todo:
            sealed = manifest.of(directory, configuration, [shard.name for shard in wanted], extra)
            if whole and sealed["content"] != whole["content"]:
                raise InputError(
                    f"{directory}: {todo[0].name} made anew differs from the one that was there, so the code has "
                    f"changed without a higher revision; remove {directory} to make all of it anew"
                )
            card.write(directory, sealed)
            manifest.write(directory, sealed)
    return Dataset.open(directory)


def _check_clock(channel: Channel, duration_h: float) -> None:
    samples = duration_h / channel.step_h if channel.step_h else 1
    if not 1 <= samples <= MOST_SAMPLES:
        raise InputError(
            f"{'/'.join(channel.key)} is sampled every {channel.step_h:g} h, which is {samples:.3g} samples in "
            f"runs of {duration_h:g} h; it must be from 1 to {MOST_SAMPLES:.0e} (step_h, plan.duration_h)"
        )


def simulated(twin: Twin, run: int, duration_h: float) -> Run:
    """The world run *run* from its start on."""
    return twin.world.run(twin.world.start(run), duration_h)


def observed(
    twin: Twin, seed: int, duration_h: float, simulate: Simulate = simulated, live: bool = False
) -> tuple[Trace, list[Episode]]:
    """The trace and the episodes of one world run; of a *live* one without the values that the trace tells."""
    own = twin_of(twin, seed)
    if own is not twin:
        for channel in own.channels:
            _check_clock(channel, duration_h)
    run = simulate(own, seed, duration_h)
    episodes = list(own.observe(run))
    if not episodes:
        raise InputError("the twin observed no episode")
    hidden = {key: float(value) for key, value in drawn(twin, seed).items() if isinstance(value, int | float)}
    if hidden:
        episodes = [replace(episode, truth={**episode.truth, **hidden}) for episode in episodes]
    return run.trace, left_out(own, run.trace, episodes) if live else episodes


def _name(twin: Twin) -> str:
    named = twin.base if isinstance(twin, Varied) else twin
    return re.sub(r"(?<=.)twin$", "", type(named).__name__.lower())
