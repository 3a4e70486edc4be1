"""A battery behind a street's meter, stage by stage; what a stage has made is kept in the run's folder.

What a rule or a plan leaves open is chosen on the validation runs, and all are scored on the test runs: against doing
nothing, and against the cheapest that anybody could have done who knew all loads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.cli import command
from experiments.console import progress
from experiments.deciding.battery import (
    Clock,
    Setting,
    Site,
    by_orders,
    by_plan,
    cost_eur,
    measured,
    start_kwh,
    true_day,
)
from experiments.deciding.maintenance import kept, model_of
from experiments.experiment import Experiment
from experiments.run import predictions, training
from experiments.run.model import Model
from experiments.run.pipeline import MODEL
from experiments.run_dir import RunDir, stamp, write_json
from learn.scores.evaluate import interval, resample, skill
from learn.scores.metrics import ForecastPrediction, Ratio
from sim.errors import InputError
from sim.homes import WEATHER
from sim.homes.battery import Operated, self_consumption
from sim.homes.planner import carried_out, plan
from sim.homes.power import integral, street_kwh
from twins.homes import FEEDER

NOTHING, CLOCK, OWN, AHEAD, FORESIGHT = "nothing", "clock", "self_consumption", "plan_perfect_day", "foresight"
LOAD = "feeder_load"


def execute(experiment: Experiment, run: RunDir) -> tuple[dict[str, Any], dict[str, float]]:
    """Do what is left to do of a run. Returns its scores and the seconds of each stage, all attempts together."""
    from experiments.deciding import saving_report

    setting = Setting.of(experiment)
    costs = training.Costs(run.path / "cost.json")
    with costs.stage("training", accelerated=True):
        model = model_of(experiment, run, experiment.config["saving"]["run"])
    with costs.stage("forecasts"):
        validation, test = (sites(experiment, setting, model, run, split) for split in ("validation", "test"))
    with costs.stage("choice"):
        chosen = kept(
            run.path / "choice.json",
            lambda: choose(setting, validation),
            lambda found: set(found) == {"clock", "levels", "cost_eur"},
        )
    with costs.stage("test"):
        played = kept(run.path / "played.json", lambda: play(setting, chosen, test), lambda found: FORESIGHT in found)
        offered = kept(run.path / "tariffs.json", lambda: offers(experiment, setting, chosen, test), bool)
    write_json(run.path / "stamp.json", stamp(experiment.source.identity) | {"command": command()})
    scores = score(played, offered, chosen, setting.resamples) | {"week": week(setting, chosen, test[0])}
    write_json(run.path / "metrics.json", scores | {"choice": chosen, "cost": costs.report()})
    saving_report.write(run.path)
    return scores, costs.seconds


def sites(experiment: Experiment, setting: Setting, model: Model, run: RunDir, split: str) -> list[Site]:
    """The world runs of a split, with what every forecast told of the feeder at the time of each plan."""
    windows, world, horizon = experiment.windows(split), experiment.world, experiment.task.horizon
    feeders = [e for e, asset in enumerate(windows.assets) if asset == FEEDER]
    v = windows.scale.names.index(LOAD)
    hours = [windows.last[e] for e in feeders]
    first, ends = windows.context, [n - horizon for n in hours]
    if min(ends) - first < 2 * 24:
        raise InputError(
            f"plan.duration_h is {min(hours)}; it must leave two days between the context of {first} h and the last "
            f"{horizon} h, which are foretold alone"
        )
    asked = [np.arange(first, end, setting.every) for end in ends]
    anchors = np.concatenate([np.stack((np.full_like(k, e), k), 1) for e, k in zip(feeders, asked, strict=True)])

    def told(predictor: Callable[[], Any]) -> Callable[[], ForecastPrediction]:
        def make() -> ForecastPrediction:
            found = predictor()(windows, anchors.astype(np.int32))
            return ForecastPrediction(found.mean_NxVxH[:, [v]], found.quantiles_NxVxHxQ[:, [v]], found.levels)

        return make

    train, validation = experiment.windows("train"), experiment.windows("validation")
    makers = {
        name: told(lambda b=baseline: b.fit(train, validation, experiment.task))
        for name, baseline in experiment.part("baselines").items()
    }
    makers[MODEL] = told(lambda: model.predict)
    forecasts: dict[str, ForecastPrediction] = {}
    with progress(f"forecasts of {split}") as advance:
        for done, (name, make) in enumerate(makers.items()):
            advance(done, len(makers), name.replace("_", " "))
            prediction = predictions.kept(run.path / "forecasts" / f"{split}_{name}.npz", make)
            assert isinstance(prediction, ForecastPrediction)
            forecasts[name] = prediction
    found, at = [], 0
    for e, end, k in zip(feeders, ends, asked, strict=True):
        part = slice(at, at + len(k))
        at += len(k)
        seed = windows.runs[e]
        trace = world.run(world.start(seed), float(end)).trace
        at_h = np.arange(first, end + 1.0)
        sun = np.diff(integral(trace[WEATHER, "irradiance"], at_h))
        std, mean = windows.scale.std[v], windows.scale.mean[v]
        foretold = {
            name: {level: std * _at(p, level)[part] + mean for level in setting.levels} for name, p in forecasts.items()
        }
        terms = setting.contract.terms(experiment.twin.tariff, world.calendar, seed, end)
        hour = np.array([world.calendar.at(hour).hour for hour in range(first, end)])
        carbon = setting.carbon.g_per_kwh(sun) / 1000
        load_kw = np.diff(street_kwh(world, trace, at_h))
        found.append(Site(seed, first, load_kw, hour, carbon, terms[first:end], foretold))
    return found


def _at(prediction: ForecastPrediction, level: float | None) -> np.ndarray:
    """The mean forecast or a quantile of it, in scaled units, float64[N, H]."""
    if level is None:
        return prediction.mean_NxVxH[:, 0].astype(np.float64)
    q = prediction.quantiles_NxVxHxQ[:, 0].astype(np.float64)
    i = int(np.clip(np.searchsorted(prediction.levels, level), 1, len(prediction.levels) - 1))
    low, high = prediction.levels[i - 1 : i + 1]
    share = (level - low) / (high - low)
    return (1 - share) * q[..., i - 1] + share * q[..., i]


def choose(setting: Setting, runs: Sequence[Site]) -> dict[str, Any]:
    """The clock and, for each forecast, the level at which the validation runs cost least."""

    def total(operated: Callable[[Site], Operated]) -> float:
        return sum(cost_eur(setting, site, operated(site)) for site in runs)

    def by_clock(clock: Clock) -> Callable[[Site], Operated]:
        return lambda site: by_orders(setting, clock.orders_kw(site.hour, setting.battery))

    def by_level(name: str, level: float | None) -> Callable[[Site], Operated]:
        return lambda site: by_plan(setting, site, site.foretold[name][level])

    clocks = [total(by_clock(clock)) for clock in setting.clocks]
    best, costs = int(np.argmin(clocks)), {}
    levels: dict[str, float | None] = {}
    with progress("choosing levels") as advance:
        for done, name in enumerate(runs[0].foretold):
            advance(done, len(runs[0].foretold), name.replace("_", " "))
            found = [total(by_level(name, level)) for level in setting.levels]
            levels[name], costs[f"plan_{name}"] = setting.levels[int(np.argmin(found))], min(found)
    costs |= {
        NOTHING: total(lambda s: by_orders(setting, 0 * s.load_kw)),
        CLOCK: clocks[best],
        OWN: total(lambda s: by_orders(setting, self_consumption(s.load_kw))),
    }
    return {"clock": best, "levels": levels, "cost_eur": costs}


def play(setting: Setting, chosen: Mapping[str, Any], runs: Sequence[Site]) -> dict[str, list[dict[str, float]]]:
    """`measured` of every policy in every test run."""
    clock = setting.clocks[chosen["clock"]]
    found: dict[str, list[dict[str, float]]] = {}
    with progress("test") as advance:
        for done, site in enumerate(runs):
            advance(done, len(runs), f"run {site.seed}")
            horizon = next(iter(site.foretold[MODEL].values())).shape[1]
            ways = {
                NOTHING: by_orders(setting, 0 * site.load_kw),
                CLOCK: by_orders(setting, clock.orders_kw(site.hour, setting.battery)),
                OWN: by_orders(setting, self_consumption(site.load_kw)),
            }
            for name, level in chosen["levels"].items():
                ways[f"plan_{name}"] = by_plan(setting, site, site.foretold[name][level])
            ways[AHEAD] = by_plan(setting, site, true_day(setting, site, horizon))
            ways[FORESIGHT] = by_orders(
                setting, plan(setting.battery, start_kwh(setting), site.load_kw, site.terms).order_kw
            )
            for name, way in ways.items():
                found.setdefault(name, []).append(measured(setting, site, way))
    return found


def offers(experiment: Experiment, setting: Setting, chosen: Mapping[str, Any], runs: Sequence[Site]) -> dict[str, Any]:
    """A tariff for each day, taken at midnight: what each forecast's choice costs a day beyond the best in hindsight.

    A day begins with the battery half full, and is planned once. The cost of a tariff is that of the plan which a
    forecast makes under it; in hindsight loads are known. Returns EUR a day of each run by way of choosing.
    """
    naive = min((n for n in chosen["levels"] if n != MODEL), key=lambda n: chosen["cost_eur"][f"plan_{n}"])
    calendar, battery, held = experiment.world.calendar, setting.battery, start_kwh(setting)
    found: dict[str, list[float]] = {}
    taken: dict[str, int] = dict.fromkeys(setting.tariffs, 0)
    for site in runs:
        hours = site.first + len(site.load_kw)
        terms = {
            name: setting.contract.terms(tariff, calendar, site.seed, hours)[site.first :]
            for name, tariff in setting.tariffs.items()
        }
        days: dict[str, list[float]] = {}
        for k in range(0, len(site.load_kw) - 23, setting.every):
            if site.hour[k]:
                continue
            load, day = site.load_kw[k : k + 24], slice(k, k + 24)
            planned: dict[str, dict[str, tuple[float, float]]] = {}  # forecast, tariff: what is expected, what it costs
            for name in (naive, MODEL):
                told = site.foretold[name][chosen["levels"][name]][k // setting.every][:24]
                planned[name] = {}
                for tariff, whole in terms.items():
                    made = plan(battery, held, told, whole[day])
                    done = carried_out(battery, held, 1.0, made.order_kw)
                    cost = whole[day].bill_eur(load + done.grid_kw_h, float(done.held_kwh[-1]))
                    planned[name][tariff] = made.cost_eur, cost
            best = min(plan(battery, held, load, whole[day]).cost_eur for whole in terms.values())
            costs = {f"always_{tariff}": cost for tariff, (_, cost) in planned[MODEL].items()}
            for name, told in planned.items():
                tariff = min(told, key=lambda t: told[t][0])
                costs[f"by_{name}"] = told[tariff][1]
                if name == MODEL:
                    taken[tariff] += 1
            for way, cost in costs.items():
                days.setdefault(way, []).append(cost - best)
        for way, regrets in days.items():
            found.setdefault(way, []).append(float(np.mean(regrets)))
    return {"regret_eur": found, "taken": taken}


def score(
    played: Mapping[str, Sequence[Mapping[str, float]]],
    offered: Mapping[str, Any],
    chosen: Mapping[str, Any],
    resamples: int,
) -> dict[str, Any]:
    """Means with paired bootstrap intervals over world runs, and the share of the gap that each policy closes.

    The gap is between doing nothing and foresight. A difference is what a policy costs more than the model's plan; the
    rival is the policy without the model that cost least on the validation runs.
    """
    count = len(played[FORESIGHT])
    cluster_N, weights_RxC = resample(range(count), resamples, 0)

    def mean(values: Sequence[float]) -> np.ndarray:
        return Ratio(np.array(values), np.ones(count))(cluster_N, weights_RxC)

    drawn = {name: {m: mean([one[m] for one in runs]) for m in runs[0]} for name, runs in played.items()}
    cost = {name: measures["cost_eur"] for name, measures in drawn.items()}
    rivals = [name for name in chosen["cost_eur"] if name != f"plan_{MODEL}"]
    best = min(rivals, key=lambda name: chosen["cost_eur"][name])

    def kind(name: str) -> str:
        if name in (AHEAD, FORESIGHT):
            return "oracle"
        return "naive" if name == NOTHING else "model" if name == f"plan_{MODEL}" else "baseline"

    def closed(name: str) -> dict[str, float | None] | str:
        share_R = skill(cost[name], cost[NOTHING], cost[FORESIGHT])
        return "undefined" if share_R is None else interval(share_R)

    rows = [
        {
            "name": name,
            "kind": kind(name),
            "scores": {measure: interval(value_R) for measure, value_R in measures.items()},
            "closed": closed(name),
            "difference": interval(cost[name] - cost[f"plan_{MODEL}"]),
        }
        for name, measures in drawn.items()
    ]
    tariffs = [{"name": way, "regret_eur": interval(mean(values))} for way, values in offered["regret_eur"].items()]
    return {
        "worlds": count,
        "primary": "cost_eur",
        "best_rival": best,
        "rows": rows,
        "tariffs": tariffs,
        "taken": offered["taken"],
    }


def week(setting: Setting, chosen: Mapping[str, Any], site: Site) -> dict[str, list[float]]:
    """The first week of a test run, for the report: load, what the grid sees by the model's plan, price, battery."""
    hours = slice(0, min(168, len(site.load_kw)))
    done = by_plan(setting, site, site.foretold[MODEL][chosen["levels"][MODEL]])
    columns = {
        "load_kw": site.load_kw,
        "net_kw": site.load_kw + done.grid_kw_h,
        "held_kwh": done.held_kwh[:-1],
        "buy_eur_per_kwh": site.terms.buy,
    }
    return {name: np.round(values[hours], 4).tolist() for name, values in columns.items()}
