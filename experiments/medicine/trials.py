"""Trials in silico from their configuration to a table and trial.json. Research only, not for clinical use."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from experiments import console, run_dir
from experiments.build import build, fit
from sim.errors import InputError
from sim.patient.trial import (
    Design,
    Found,
    boundaries_of,
    joined,
    patients_needed,
    planned_power,
    pool,
    trial,
    truth,
)
from sim.streams import stream_key
from sim.survival import kaplan_meier
from twins.executors import platform
from twins.executors.workers import spread

NOTICE = "Research only, not for clinical use."


def run(config: Mapping[str, Any]) -> dict[str, Any]:
    """Simulate the pool of patients under both arms, then trial after trial of them; plain JSON types."""
    began = time.perf_counter()
    design = fit(build(config["design"], "design"), Design, "design")
    runs, trials, seed = (fit(config[key], int, key) for key in ("runs", "trials", "seed"))
    if runs < 1 or trials < 10 or seed < 0:
        raise InputError(f"runs, trials and seed are {runs}, {trials} and {seed}; they must be at least 1, 10 and 0")
    parts: list[Any] = [None] * runs
    with console.progress("patients") as advance:
        seeds = [stream_key(seed, f"trial/{k}") >> 65 for k in range(runs)]
        for done, (k, part) in enumerate(spread(partial(pool, design), seeds, fit(config["workers"], int, "workers"))):
            parts[k] = part
            advance(done + 1, runs, "world runs under both arms")
    patients = joined(parts)
    count = patients_needed(design, patients)
    rng = np.random.Generator(np.random.Philox(seed))
    real, null = ([trial(design, patients, count, rng, is_null) for _ in range(trials)] for is_null in (False, True))
    true, crossed = truth(design, patients), truth(design, patients, True)
    curves = [kaplan_meier(t, d) for t, d in zip(patients.true_2xN, patients.true_died_2xN, strict=True)]
    months = [m / 12 for m in range(0, math.floor(design.years * 12 + 1e-9) + 1)]
    return {
        "pool": patients.true_2xN.shape[1],
        "trials": trials,
        "patients": count,
        "events": design.events,
        "boundaries": boundaries_of(design).tolist(),
        "true": {"ratio": true.ratio, "dead": true.dead, "lived_years": true.lived},
        "by_assignment": {"ratio": crossed.ratio, "dead": crossed.dead, "lived_years": crossed.lived},
        "survival": {"years": months, "arms": [[curve.at(y) for y in months] for curve in curves]},
        "power": share([f.stopped and f.z < 0 for f in real])
        | {"planned": float(planned_power(design, design.ratio).sum())}
        | {"at_true_ratio": float(planned_power(design, crossed.ratio).sum())},
        "type_1_error": share([f.stopped for f in null]) | {"planned": design.alpha},
        "trial": summary(real),
        "trial_under_null": summary(null),
        "seconds": time.perf_counter() - began,
    }


def share(hits: list[bool]) -> dict[str, float]:
    """Of trials, with Wilson's interval of 95 %."""
    n, p, z = len(hits), float(np.mean(hits)), 1.959964
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return {"mean": p, "low": (middle - half) / (1 + z * z / n), "high": (middle + half) / (1 + z * z / n)}


def summary(found: list[Found]) -> dict[str, Any]:
    """Means over trials; of the ratio of hazards the geometric mean and the central 95 %."""
    logs = np.log([f.ratio for f in found if math.isfinite(f.ratio)])
    low, high = np.exp(np.quantile(logs, [0.025, 0.975])).tolist()
    looks = np.bincount([f.look for f in found if f.stopped], minlength=2)[1:] / len(found)
    means = {key: float(np.mean([getattr(f, key) for f in found])) for key in ("deaths", "patients", "years")}
    return {"ratio": {"mean": float(np.exp(logs.mean())), "low": low, "high": high}, "stopped": looks.tolist()} | means


def rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a person reads of it."""
    true, told, trial = found["true"], found["by_assignment"], found["trial"]
    power, wrong = found["power"], found["type_1_error"]

    chances = f"{_percent(power)}; {power['planned']:.1%}, {power['at_true_ratio']:.1%}"
    ends = f"{trial['deaths']:.0f}, {trial['patients']:.0f}, {trial['years']:.2f}"

    def ratio(x: Mapping[str, float]) -> str:
        return f"{x['mean']:.3f} ({x['low']:.3f} to {x['high']:.3f})"

    return [
        ("patients enrolled, deaths planned", f"{found['patients']}, {found['events']}"),
        ("boundaries of z, look by look", ", ".join(f"{z:.3f}" for z in found["boundaries"])),
        ("true hazard ratio, both arms of everyone", f"{true['ratio']:.3f}"),
        ("the same by assignment, with crossover", f"{told['ratio']:.3f}"),
        ("estimate at the last look, mean (central 95 %)", ratio(trial["ratio"])),
        ("dead at the end, control and treated", " and ".join(f"{p:.1%}" for p in true["dead"])),
        ("mean years lived, control and treated", " and ".join(f"{y:.3f}" for y in true["lived_years"])),
        ("power (95 %); were the ratio as planned, as true", chances),
        ("type-I error (95 %); planned", f"{_percent(wrong)}; {wrong['planned']:.1%}"),
        ("deaths, patients, years at the end, mean", ends),
        ("trials stopped at each look", ", ".join(f"{p:.1%}" for p in trial["stopped"])),
    ]


def _percent(x: Mapping[str, float]) -> str:
    return f"{x['mean']:.1%} ({x['low']:.1%} to {x['high']:.1%})"


def show(found: Mapping[str, Any]) -> None:
    """The table, on stdout."""
    table = Table("", "", title=f"{found['trials']} trials of {found['pool']} patients under both arms. {NOTICE}")
    for row in rows(found):
        table.add_row(*row)
    terminal = Console()
    (terminal if terminal.is_terminal else Console(width=120)).print(table)


def write(config: Mapping[str, Any], found: Mapping[str, Any]) -> Path:
    """trial.json: every number of the table, the survival of both arms by months, the inputs and the machine."""
    path = Path(config["outputs"]) / config["name"] / run_dir.config_hash(config) / "trial.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    asked = {key: config[key] for key in ("seed", "runs", "trials", "design")}
    about = {"notice": NOTICE, "asked": asked, "machine": platform.stamp()}
    run_dir.write_json(path, {"trial_of": "a medicine"} | dict(found) | about)
    return path
