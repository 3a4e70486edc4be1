"""A suite of checks from its configuration to its table and its validation.json."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from experiments import console, run_dir
from experiments.build import build
from sim.errors import InputError
from sim.verify import Check, Result, run_suite
from twins.executors import platform

PLAIN_WIDTH = 170  # of the table where there is no terminal


class Outcome(NamedTuple):
    results: list[Result]
    seconds: dict[str, float]  # by check
    cpu_s: float  # of all workers together
    wrong: list[str]  # checks that failed, or, of planted faults, those that were missed


def chosen(config: Mapping[str, Any]) -> dict[str, Any]:
    """The checks of a configuration, those that `only` names, with the fault that `plant` asks for."""
    only, plant = config["only"], config["plant"]
    if unknown := [name for name in only or () if name not in config["checks"]]:
        raise InputError(f"only names {unknown[0]!r}; it must be among {', '.join(config['checks'])}")
    if plant is not None and not (isinstance(plant, (int, float)) and plant > -1):
        raise InputError(f"plant is {plant!r}; it must be a fraction above -1, such as 0.05, or null")
    if not (isinstance(config["confidence"], float) and 0 < config["confidence"] < 1):
        raise InputError(f"confidence is {config['confidence']!r}; it must be between 0 and 1")
    checks = {
        name: build(node, f"checks.{name}") for name, node in config["checks"].items() if name in (only or [name])
    }
    return checks if plant is None else {name: replace(check, fault=float(plant)) for name, check in checks.items()}


def run(config: Mapping[str, Any], checks: Mapping[str, Check]) -> Outcome:
    """Run the suite, showing progress."""
    seconds: dict[str, float] = {}
    done, least, cpu_s = 0, sum(check.replications for check in checks.values()), 0.0
    with console.progress(config["name"]) as advance:

        def step(name: str, spent_s: float) -> None:
            nonlocal done, cpu_s
            done, cpu_s = done + 1, cpu_s + spent_s
            advance(done, max(done, least), name)  # further looks may need more

        results = run_suite(checks, config["confidence"], config["workers"], seconds.__setitem__, step)
    failed = [name for name in checks if any(r.verdict == "fail" for r in results if r.check == name)]
    caught = [name for name in checks if any(r.verdict == "fail" and r.decided for r in results if r.check == name)]
    wrong = failed if config["plant"] is None else [name for name in checks if name not in caught]
    return Outcome(results, seconds, cpu_s, wrong)


def write(config: Mapping[str, Any], outcome: Outcome) -> Path:
    """validation.json: every number of the table with its source, the inputs, the machine and the seconds."""
    path = Path(config["outputs"]) / config["name"] / "validation.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "world": config["name"].removeprefix("validate_"),
        "passed": not outcome.wrong,
        "failed": outcome.wrong,
        "confidence": config["confidence"],
        "plant": config["plant"],
        "seconds": {**outcome.seconds, "total": sum(outcome.seconds.values())},
        "cpu_seconds": outcome.cpu_s,
        "workers": config["workers"],
        "machine": platform.stamp(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "checks": config["checks"],
        "results": [{k: _finite(v) for k, v in r._asdict().items()} for r in outcome.results],
    }
    run_dir.write_json(path, document)
    return path


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def show(results: Sequence[Result], seconds: Mapping[str, float], title: str | None) -> None:
    """The table, on stdout."""
    columns = (
        "check",
        "quantity",
        "reference",
        "measured",
        "interval",
        "tolerance",
        "verdict",
        "replications",
        "seconds",
    )
    table, last = Table(*columns, title=title), ""
    for r in results:
        tolerance = f"± {r.tolerance:.3g}" if r.absolute else f"± {r.tolerance:.2%}"
        colour = "green" if r.verdict == "pass" else "red"
        verdict = f"[{colour}]{r.verdict}{'' if r.decided else ' (too noisy)'}[/]"
        interval = f"{r.low:.6g} … {r.high:.6g}"
        again, last = r.check == last, r.check
        name, *cost = ("", "", "") if again else (r.check, str(r.replications), f"{seconds[r.check]:.1f}")
        table.add_row(name, r.quantity, f"{r.reference:.6g}", f"{r.measured:.6g}", interval, tolerance, verdict, *cost)
    terminal = Console()
    (terminal if terminal.is_terminal else Console(width=PLAIN_WIDTH)).print(table)
    for reason in dict.fromkeys(f"{r.check}, {r.quantity}: {r.reason}" for r in results if r.reason):
        print(f"  {reason}")
