"""A study of layouts from its configuration to its numbers: search, then judge what was found by seeds of its own.

Every answer of the simulation is kept in the run's folder as soon as it is there. The search is a function of its
settings and of those answers, so a run that was stopped takes the same way again and goes on where it ended.
"""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from experiments.build import fit
from experiments.cli import command
from experiments.console import progress
from experiments.experiment import Experiment, run_path
from experiments.run_dir import RunDir, open_run, write_json
from sim.errors import InputError, require
from sim.line import AgeReplacement, Line
from sim.line.bottleneck import Perturbed
from sim.line.design import Levers, Opening, Point, Prices, Trial, Yield
from sim.steady import Estimate, mean_interval, mser5
from sim.verify import world_seed
from twins.control.search import Search, crowding, front
from twins.executors import platform
from twins.executors.workers import crew

PARTS = ("name", "seed", "currency", "world", "levers", "prices", "gain", "length", "search", "judge")


@dataclass(frozen=True)
class Length:
    """Of one replication."""

    warm_up_h: float = 1000.0
    measured_h: float = 1000.0

    def __post_init__(self):
        require(0 <= self.warm_up_h < math.inf, self, "warm_up_h", "at least 0 and finite")
        require(0 < self.measured_h < math.inf, self, "measured_h", "above 0 and finite")


@dataclass(frozen=True)
class Judge:
    """How the layouts that were found are looked at again, by seeds that the search has not seen."""

    points: int = 10  # of the front, the most profitable among them
    replications: int = 20
    steps: int = 12  # replications of each step that shows the bottleneck
    confidence: float = 0.95  # of the intervals of one column together
    step: float = 0.05  # of the perturbation that shows the bottleneck, as a fraction of speed or repair time

    def __post_init__(self):
        require(self.points >= 1, self, "points", "at least 1")
        require(self.replications >= 2, self, "replications", "at least 2")
        require(self.steps >= 2, self, "steps", "at least 2")
        require(0 < self.confidence < 1, self, "confidence", "between 0 and 1")
        require(0 < self.step < 1, self, "step", "between 0 and 1")


@dataclass(frozen=True)
class Study:
    """A line, what may be changed in it, what that costs, and how to search."""

    config: Mapping[str, Any]
    line: Line
    levers: Levers
    prices: Prices
    gain: Literal["throughput", "profit"]
    length: Length
    search: Search
    judge: Judge
    seed: int
    workers: int

    @staticmethod
    def of(experiment: Experiment) -> Study:
        """Every part built, so that what cannot be right is refused before any time is spent."""
        gain = fit(experiment.config["gain"], Literal["throughput", "profit"], "gain")
        kinds = {"world": Line, "levers": Levers, "prices": Prices, "length": Length, "search": Search, "judge": Judge}
        built = {key: experiment.part(key, kind) for key, kind in kinds.items()}
        if not built["levers"].sizes(built["world"]):
            raise InputError("levers leaves nothing to choose in this line; give it buffers, crew or age_h")
        line = built.pop("world")
        return Study(experiment.config, line, gain=gain, seed=experiment.seed, workers=experiment.workers, **built)

    @contextlib.contextmanager
    def open_run(self) -> Iterator[RunDir]:
        """The study's folder, locked."""
        asked = {key: self.config[key] for key in PARTS}
        path = run_path(asked | {"outputs": self.config["outputs"]}, f"line revision {self.line.revision}")
        with open_run(path, asked, fit(self.config["fresh"], bool, "fresh")) as run:
            yield run

    @property
    def trial(self) -> Trial:
        return Trial(self.line, self.levers, self.prices, self.length.warm_up_h, self.length.measured_h)

    def seeds(self, stage: str, count: int) -> list[int]:
        """Seeds of a stage's replications; no two stages share one."""
        return [world_seed(f"optimise/{stage}", self.seed, k) for k in range(count)]

    def columns(self, answer: Sequence[float]) -> tuple[float, float, float]:
        """What the search sees of an answer, all the better the greater: gain, cost, and profit as the goal."""
        found = Yield(*answer)
        return (found.parts_per_h if self.gain == "throughput" else found.profit_per_h), -found.cost_per_h, found[2]


class Answers:
    """What *work* answered, kept in a file line by line; `ask` plays only what is not there."""

    def __init__(self, path: Path, work: Callable[[Any], Any], hands: Callable[[], Any], told: Callable[[int], None]):
        self.path, self.told, self._known = path, told, {}
        self._new = 0
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
            with contextlib.suppress(ValueError):  # a torn last line is played again
                task, answer = json.loads(line)
                self._known[json.dumps(task)] = answer
        self._work, self._hands = work, hands

    def ask(self, tasks: Sequence[Any]) -> list[Any]:
        """The answers to *tasks*, in their order."""
        keys = [json.dumps(task) for task in tasks]
        missing = [task for key, task in zip(keys, tasks, strict=True) if key not in self._known]
        if missing:
            with self.path.open("a", encoding="utf-8") as file:
                if file.tell() and not self.path.read_bytes().endswith(b"\n"):
                    file.write("\n")
                for i, answer in self._hands()([(self._work, task) for task in missing]):
                    plain = np.asarray(answer).tolist()
                    file.write(json.dumps([missing[i], plain]) + "\n")
                    file.flush()
                    self._known[json.dumps(missing[i])] = plain
                    self._new += 1
                    self.told(self._new)
        return [self._known[key] for key in keys]


def execute(study: Study, run: RunDir) -> tuple[dict[str, Any], dict[str, float]]:
    """Do what is left to do of a study. Returns what metrics.json holds, and the seconds of each stage this time."""
    with contextlib.ExitStack() as stack:

        @cache
        def hands() -> Any:
            """The workers, who start with the first question that is new."""
            return stack.enter_context(crew(_play, study.workers))

        return _execute(study, run, hands)


def _play(what: tuple[Callable[[Any], Any], Any]) -> Any:
    work, task = what
    return work(task)


def _execute(study: Study, run: RunDir, hands: Callable[[], Any]) -> tuple[dict[str, Any], dict[str, float]]:
    from experiments.deciding import layout_report

    seconds: dict[str, float] = {}
    trial, judge, search = study.trial, study.judge, study.search
    sizes = study.levers.sizes(study.line)

    def ask(stage: str, work: Callable[[Any], Any], most: int) -> contextlib.AbstractContextManager[Answers]:
        return _answers(run.path / f"{stage}.jsonl", work, hands, most, seconds)

    most = (search.population * (1 + search.generations) + search.climbs * 2 * len(sizes)) * search.replications
    with ask("search", trial, most) as answers:
        seeds = study.seeds("search", search.replications)

        def play(tasks: Sequence[tuple[Point, int]]) -> list[tuple[float, float, float]]:
            return [study.columns(a) for a in answers.ask([[list(point), seeds[k]] for point, k in tasks])]

        kept = search.run(sizes, play)
    chosen, best = _chosen(kept, judge.points)
    layout, fresh = [None, *map(list, chosen)], study.seeds("judge", judge.replications)
    with ask("judge", trial, len(layout) * len(fresh)) as answers:
        judged = np.array(answers.ask([[point, seed] for point in layout for seed in fresh]), np.float64)
    line = study.levers.line(study.line, best)
    perturbed = Perturbed(line, study.length.warm_up_h, study.length.measured_h, judge.step)
    with ask("bottleneck", perturbed, judge.steps) as answers:
        samples = answers.ask(study.seeds("bottleneck", judge.steps))
    gains = perturbed.gains(samples, (1 - judge.confidence) / len(perturbed.levers))
    opening = Opening(line, study.length.warm_up_h + study.length.measured_h)
    with ask("opening", opening, len(fresh)) as answers:
        settles = np.mean(answers.ask(study.seeds("opening", len(fresh))), 0)
    alpha = (1 - judge.confidence) / len(layout)
    by_layout = judged.reshape(len(layout), len(fresh), -1)
    reference = by_layout[1 + chosen.index(best), :, 2]
    found = {
        "gain": study.gain,
        "currency": study.config["currency"],
        "confidence": judge.confidence,
        "replications": len(fresh),
        "length": {"warm_up_h": study.length.warm_up_h, "measured_h": study.length.measured_h},
        "layouts": len(kept),
        "rows": [
            {
                "kind": "as it is" if point is None else "best" if tuple(point) == best else "front",
                **describe(study.line if point is None else study.levers.line(study.line, tuple(point))),
                **{
                    name: _told(mean_interval(column, alpha))
                    for name, column in zip(Yield._fields, rows.T, strict=True)
                },
                "against_best": _told(mean_interval(rows[:, 2] - reference, alpha)),
                "searched_profit_per_h": None if point is None else float(kept[tuple(point)][:, -1].mean()),
            }
            for point, rows in zip(layout, by_layout, strict=True)
        ],
        "cloud": [[-float(a[:, 1].mean()), float(a[:, 0].mean())] for a in kept.values()],
        "bottleneck": [
            {"place": g.place, "step": g.step, "parts_per_h": _told(g.parts_per_h), "pairing": _finite(g.pairing)}
            for g in gains
        ],
        "settled_h": _settled_h(settles, opening),
        "seconds": seconds,
    }
    write_json(run.path / "stamp.json", {"platform": platform.stamp(), "command": command()})
    write_json(run.path / "metrics.json", found)
    layout_report.write(run.path)
    return found, seconds


def describe(line: Line) -> dict[str, Any]:
    """What the levers set in a line; an age is None where a station is never replaced by age."""
    policies = [station.policy for station in line.stations]
    ages_h = [policy.age_h if isinstance(policy, AgeReplacement) else None for policy in policies]
    return {"buffers": list(line.buffers), "crew": line.crew, "ages_h": ages_h}


def _chosen(kept: Mapping[Point, np.ndarray], count: int) -> tuple[list[Point], Point]:
    """At most *count* points of the front, far from one another, with the most profitable; and that one."""
    best = max(kept, key=lambda point: (kept[point][:, -1].mean(), point))
    shown = list(dict.fromkeys([*front(dict(kept)), best]))
    while len(shown) > count:
        room = dict(zip(shown, crowding(np.array([kept[point].mean(0)[:-1] for point in shown])), strict=True))
        shown.remove(min((point for point in shown if point != best), key=room.__getitem__))
    return sorted(shown, key=lambda point: -kept[point][:, 1].mean()), best


def _told(estimate: Estimate) -> dict[str, float]:
    value, half = estimate
    return {"mean": value, "low": value - half, "high": value + half}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _settled_h(rates: np.ndarray, opening: Opening) -> float | None:
    """The warm-up that MSER-5 would drop, in hours; None where the run is too short to tell."""
    try:
        return mser5(rates) * opening.length_h / opening.stretches
    except InputError:
        return None


@contextlib.contextmanager
def _answers(
    path: Path, work: Callable[[Any], Any], hands: Callable[[], Any], most: int, seconds: dict[str, float]
) -> Iterator[Answers]:
    """The answers of a stage, with its progress towards *most* and its seconds."""
    began = time.perf_counter()
    with progress(path.stem) as advance:
        yield Answers(path, work, hands, lambda n: advance(n, max(n, most)))
    seconds[path.stem] = time.perf_counter() - began
