"""Policies in closed loop on paired worlds, stage by stage; what a stage has made is kept in the run's folder.

The model learns from the source's worlds, whose own policy has to act on what the model sees too (an age), so that the
lives it cuts are censored without a bias, and planned work is nothing new. Parameters of fixed policies are searched on
worlds of their own, the model's limit is chosen on others, and all are scored on a third set, the same for all.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.build import build, fit
from experiments.cli import command
from experiments.console import progress
from experiments.datasets import own_data
from experiments.experiment import Experiment
from experiments.run import training
from experiments.run.model import Model
from experiments.run_dir import RunDir, damaged, stamp, write_json
from learn.scores.evaluate import interval, resample, skill
from learn.scores.metrics import EventPrediction, Ratio
from learn.tasks import TimeToEvent
from learn.windows.batch import Windows
from sim.errors import InputError, require
from twins.control.account import Account, Prices
from twins.control.clairvoyant import Clairvoyant
from twins.control.environment import Environment, Observation
from twins.control.policies import Forecast, Policy, accounts, cost_rate, hindsight, play

FIRST = 2**31  # world runs of decisions, counted from here, are none of a dataset's
COUNTED = {"failures": "failures", "planned work": "planned", "inspections": "inspections"}
FORECAST, CLAIRVOYANT = "forecast", "clairvoyant"


@dataclass(frozen=True)
class Worlds:
    """How many world runs policies are searched, chosen and scored on; run i has the seed `seed` · 2³² + 2³¹ + i."""

    search: int
    validation: int
    test: int
    seed: int = 0

    def __post_init__(self):
        for field in ("search", "validation", "test"):
            require(1 <= getattr(self, field) < FIRST, self, field, "at least 1")
        require(0 <= self.seed < FIRST, self, "seed", "at least 0 and below 2³¹")

    def seeds(self, split: str) -> range:
        first = self.seed * 2**32 + FIRST
        for name in ("search", "validation", "test"):
            if name == split:
                return range(first, first + getattr(self, name))
            first += getattr(self, name)
        raise KeyError(split)


@dataclass(frozen=True, eq=False)
class Chances:
    """What a model says of every asset of several observations: the chance that is at stake in a decision.

    Work that is ordered now is done in `lead_h`, work that is ordered at the next decision `every_h` later. What the
    wait puts at stake is a failure between the two; before, no order helps. Where hazards rise it is best to order once
    that chance, times what a failure costs more than planned work, exceeds what an hour costs in the long run, times
    `every_h` (the marginal rule of age replacement, Barlow & Hunter 1960). So one limit on the chance is to be chosen.
    """

    model: Model

    def __call__(self, seen: Sequence[Observation]) -> np.ndarray:
        context, assets = self.model.context, seen[0].environment.assets
        episodes = [one.episode(asset, context) for one in seen for asset in assets]
        episodes, _ = own_data.cleaned(episodes, self.model)
        windows = Windows.of(episodes, context=context, task=self.model.task, scale=self.model.scale)
        anchors_Nx2 = np.stack((np.arange(len(episodes)), np.full(len(episodes), context)), 1).astype(np.int32)
        found = self.model.predict(windows, anchors_Nx2)
        assert isinstance(found, EventPrediction)
        assert isinstance(self.model.task, TimeToEvent)
        assert found.cif_NxCxK is not None
        environment, edges_h = seen[0].environment, self.model.task.edges_h
        times_h = (environment.lead_h, environment.lead_h + environment.every_h)
        return between(found.cif_NxCxK.sum(1), edges_h, *times_h).reshape(len(seen), len(assets))


def between(failed_NxK: np.ndarray, edges_h: Sequence[float], from_h: float, to_h: float) -> np.ndarray:
    """The chance of failing before *to_h*, given life until *from_h*, from the chance of having failed by each edge.

    Within a bin the hazard is constant.
    """
    hazard_NxK = -np.log1p(-np.clip(failed_NxK, 0.0, 1 - 1e-9, dtype=np.float64))
    hazard_NxK = np.concatenate((np.zeros((len(hazard_NxK), 1)), hazard_NxK), 1)
    at_h = np.array([from_h, to_h])
    edge = np.concatenate(([0.0], edges_h))
    i = np.clip(np.searchsorted(edge, at_h), 1, len(edge) - 1)
    share = (at_h - edge[i - 1]) / (edge[i] - edge[i - 1])
    reached = hazard_NxK[:, i - 1] * (1 - share) + hazard_NxK[:, i] * share
    return -np.expm1(reached[:, 0] - reached[:, 1])


class Played(NamedTuple):
    """A policy's runs of the test worlds."""

    kind: str  # naive, baseline (a fixed policy), model, or oracle (a mark that sees more than anybody can)
    parameters: dict[str, Any]
    runs: list[Account]


def execute(experiment: Experiment, run: RunDir) -> tuple[dict[str, Any], dict[str, float]]:
    """Do what is left to do of a run. Returns its scores and the seconds of each stage, all attempts together."""
    from experiments.deciding import maintenance_report

    environment, worlds, families, limits = parts(experiment)
    costs = training.Costs(run.path / "cost.json")
    with costs.stage("training", accelerated=True):
        model = model_of(experiment, run, experiment.config["decisions"]["run"])
    workers = int(experiment.config["workers"])
    with costs.stage("search"):
        found = kept(
            run.path / "search.json",
            lambda: _search(environment, families, worlds.seeds("search"), workers),
            lambda found: (
                _names(found) == set(families) and all(_names(one) == {"best", "table"} for one in found.values())
            ),
        )
    with costs.stage("choice"):
        chosen = kept(
            run.path / "choice.json",
            lambda: _choose(environment, model, limits, worlds.seeds("validation")),
            lambda found: _names(found) == {"limit", "limits", "cost_rate"} and found["limit"] in limits,
        )
    with costs.stage("test"):
        raw = kept(
            run.path / "played.json",
            lambda: _test(environment, families, found, model, chosen["limit"], worlds.seeds("test"), workers),
            lambda found: _names(found) == {*families, FORECAST, CLAIRVOYANT},
        )
    played = {name: Played(kind, values, [Account(*a) for a in runs]) for name, (kind, values, runs) in raw.items()}
    write_json(run.path / "stamp.json", stamp(experiment.source.identity) | {"command": command()})
    scores = score(environment.prices, played, found, experiment.config["decisions"]["resamples"])
    write_json(run.path / "metrics.json", scores | {"search": found, "choice": chosen, "cost": costs.report()})
    maintenance_report.write(run.path)
    return scores, costs.seconds


def parts(experiment: Experiment) -> tuple[Environment, Worlds, dict[str, list[Policy]], list[float]]:
    """What `decisions` of the configuration describes: a list in a policy's field is a range to be searched."""
    config = experiment.config["decisions"]
    if not isinstance(experiment.task, TimeToEvent):
        raise InputError("task has to ask when an asset fails, for a decision to rest on it; it must be a TimeToEvent")
    prices = fit(build(config["prices"], "decisions.prices"), Prices, "decisions.prices")
    hours = (fit(config[name], float, f"decisions.{name}") for name in ("every_h", "duration_h", "lead_h"))
    environment = Environment(experiment.twin, prices, *hours)
    ahead_h, last_h = environment.lead_h + environment.every_h, experiment.task.edges_h[-1]
    if ahead_h > last_h:
        raise InputError(
            f"decisions.lead_h and every_h come to {ahead_h:g} h, but task.edges_h ends at {last_h:g} h; the model has "
            "to look as far as the work that it decides on"
        )
    worlds = fit(config["worlds"], Worlds, "decisions.worlds")
    families = {name: _family(node, f"decisions.policies.{name}") for name, node in config["policies"].items()}
    for name, family in families.items():
        for policy in family:
            try:
                policy.check(environment)
            except InputError as error:
                raise InputError(f"decisions.policies.{name}: {error}") from None
    resamples = fit(config["resamples"], int, "decisions.resamples")
    if resamples < 1:
        raise InputError(f"decisions.resamples is {resamples}; it must be at least 1")
    limits = fit(config["limits"], list[float], "decisions.limits")
    if not limits or not all(0 < limit < 1 for limit in limits):
        raise InputError(f"decisions.limits is {limits}; it must be chances between 0 and 1")
    return environment, worlds, families, limits


def _family(node: Mapping[str, Any], key: str) -> list[Policy]:
    ranges = [value if isinstance(value, list) else [value] for value in node.values()]
    if empty := [name for name, values in zip(node, ranges, strict=True) if not values]:
        raise InputError(f"{key}.{empty[0]} is an empty list; it must hold what is to be searched")
    found = [build(dict(zip(node, values, strict=True)), key) for values in itertools.product(*ranges)]
    return [fit(policy, Policy, key) for policy in found]


def _parameters(policy: Policy) -> dict[str, Any]:
    return {k: v for k, v in vars(policy).items() if isinstance(v, int | float)}


def model_of(experiment: Experiment, run: RunDir, other: str | None) -> Model:
    """The model of the *other* run, where one is named, else the one that is trained here."""
    if other is not None:
        return Model.load(Path(other))
    return Model.load(run.path) if Model.saved(run.path) else training.train(experiment, run)[0]


def _search(environment: Environment, families: Mapping[str, list[Policy]], seeds: range, workers: int) -> dict:
    """The cost rate of every candidate of every family, and the best of each family."""
    flat = [policy for family in families.values() for policy in family]
    with progress("search") as advance:
        rates = iter([cost_rate(environment.prices, r) for r in accounts(environment, flat, seeds, workers, advance)])
    found = {}
    for name, family in families.items():
        table = [{"parameters": _parameters(policy), "cost_rate": next(rates)} for policy in family]
        best = min(range(len(table)), key=lambda i: table[i]["cost_rate"])
        found[name] = {"best": best, "table": table}
    return found


def _choose(environment: Environment, model: Model, limits: Sequence[float], seeds: range) -> dict:
    """The cost rate on validation worlds of acting at each chance, and the chance that costs least."""
    rates = []
    with progress("choosing the limit") as advance:
        for done, limit in enumerate(limits):
            advance(done, len(limits), f"limit {limit:g}")
            ends = play(environment, Forecast(limit, Chances(model)), seeds)
            rates.append(cost_rate(environment.prices, [end.account for end in ends]))
    best = int(np.argmin(rates))
    return {"limit": limits[best], "limits": list(limits), "cost_rate": rates}


def _test(
    environment: Environment, families: Mapping, found: Mapping, model: Model, limit: float, seeds: range, workers: int
) -> dict[str, tuple[str, dict[str, Any], list[Account]]]:
    """Every chosen policy on the test worlds; the clairvoyant has the cheapest plan of its own search and theirs."""
    chosen = {name: family[found[name]["best"]] for name, family in families.items()}
    with progress("test") as advance:
        runs = accounts(environment, [*chosen.values(), Clairvoyant()], seeds, workers, advance)
    learned = [end.account for end in play(environment, Forecast(limit, Chances(model)), seeds)]
    played = {}
    for (name, policy), own in zip(chosen.items(), runs, strict=False):
        kind = "oracle" if policy.privileged else "baseline" if _parameters(policy) else "naive"
        played[name] = (kind, _parameters(policy), own)
    played[FORECAST] = ("model", {"limit": limit}, learned)
    played[CLAIRVOYANT] = ("oracle", {}, hindsight(environment.prices, [runs[-1], *runs[:-1], learned]))
    return played


def score(prices: Prices, played: Mapping[str, Played], found: Mapping[str, Any], resamples: int) -> dict[str, Any]:
    """Rates with paired bootstrap intervals over world runs, and the share of the gap that each policy closes.

    The gap is between the clairvoyant and the fixed policy that was best in the search, not in the test.
    """
    count = len(played[CLAIRVOYANT].runs)
    cluster_N, weights_RxC = resample(range(count), resamples, 0)

    def ratio(top: Callable[[Account], float], bottom: Callable[[Account], float], runs: list[Account]) -> np.ndarray:
        return Ratio(np.array([*map(top, runs)]), np.array([*map(bottom, runs)]))(cluster_N, weights_RxC)

    drawn = {
        name: {
            "cost_rate": ratio(prices.cost, lambda a: a.hours, row.runs),
            "availability": 1 - ratio(lambda a: a.down_h, lambda a: a.hours * a.assets, row.runs),
            "throughput": ratio(lambda a: a.parts, lambda a: a.hours, row.runs),
        }
        for name, row in played.items()
    }
    fixed = [name for name, row in played.items() if row.kind in ("naive", "baseline")]
    best = min(fixed, key=lambda name: found[name]["table"][found[name]["best"]]["cost_rate"])
    cost = {name: rates["cost_rate"] for name, rates in drawn.items()}

    def closed(name: str) -> dict[str, float | None] | str:
        share_R = skill(cost[name], cost[best], cost[CLAIRVOYANT])
        return "undefined" if share_R is None else interval(share_R)

    hours = sum(a.hours for a in played[best].runs)
    rows = [
        {
            "name": name,
            "kind": row.kind,
            "parameters": row.parameters,
            "scores": {measure: interval(value_R) for measure, value_R in drawn[name].items()},
            "closed": closed(name),
            "difference": interval(cost[name] - cost[best]),
            "spent": {k: v / hours for k, v in spent(prices, row.runs).items()},
            "counts": {said: sum(getattr(a, field) for a in row.runs) for said, field in COUNTED.items()},
        }
        for name, row in played.items()
    ]
    return {"worlds": count, "hours": hours, "best_fixed": best, "primary": "cost_rate", "rows": rows}


def spent(prices: Prices, runs: Sequence[Account]) -> dict[str, float]:
    """The cost of all runs by what it was for."""
    return {
        "failures": prices.failure * sum(a.failures for a in runs),
        "planned work": prices.planned * sum(a.planned for a in runs),
        "inspections": prices.inspection * sum(a.inspections for a in runs),
        "downtime": prices.downtime_per_h * sum(a.down_h for a in runs),
        "lost parts": prices.lost_part * sum(a.lost for a in runs),
    }


def _names(found: Any) -> set[str]:
    return set(found) if isinstance(found, dict) else set()


def kept(path: Path, make: Callable[[], Any], fits: Callable[[Any], bool]) -> Any:
    """What the file holds, else what *make* gives, written there; what does not fit this run is damaged."""
    if not path.exists():
        write_json(path, make())
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise damaged(path, error) from None
    if not fits(found):
        raise damaged(path, "it does not hold what this run keeps there")
    return found
