"""A world against what is known of it: `python -m experiments.validate world=line`. Exits with 1 if a check fails."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "validate")


def job(config: Any) -> None:
    from dataclasses import replace
    from pathlib import Path

    from omegaconf import OmegaConf

    from experiments import console, run_dir
    from experiments.build import build
    from sim.errors import InputError
    from sim.verify import Result, run_suite
    from twins import platform

    plain: Any = OmegaConf.to_container(config, resolve=True)
    checks = build(plain["checks"], "checks")
    only = plain["only"] or list(checks)
    if unknown := [name for name in only if name not in checks]:
        raise InputError(f"only names {unknown[0]!r}; it must be among {', '.join(checks)}")
    if plain["plant"] is not None and not (isinstance(plain["plant"], float) and plain["plant"] > -1):
        raise InputError(f"plant is {plain['plant']!r}; it must be a fraction above -1, such as 0.05")
    checks = {name: check for name, check in checks.items() if name in only}
    if plain["plant"] is not None:
        checks = {name: replace(check, fault=plain["plant"]) for name, check in checks.items()}
    seconds: dict[str, float] = {}
    began = time.perf_counter()
    with console.progress(plain["name"]) as advance:
        done, least = 0, sum(check.replications for check in checks.values())

        def step(name: str) -> None:
            nonlocal done
            done += 1
            advance(done, max(done, least), name)  # further looks may need more

        results = run_suite(
            checks,
            plain["confidence"],
            plain["workers"],
            report=lambda name, rows, taken: seconds.update({name: taken}),
            done=step,
        )
    total = time.perf_counter() - began
    table(results, seconds, plain["plant"] is not None)
    failed = sorted({r.check for r in results if r.verdict == "fail"})
    path = Path(plain["outputs"]) / plain["name"] / "validation.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "world": plain["name"].removeprefix("validate_"),
        "passed": not failed,
        "failed": failed,
        "confidence": plain["confidence"],
        "plant": plain["plant"],
        "seconds": {**seconds, "total": total},
        "workers": plain["workers"],
        "machine": platform.stamp(),
        "checks": plain["checks"],
        "results": [{k: finite(v) for k, v in zip(Result._fields, r, strict=True)} for r in results],
    }
    run_dir.write_json(path, document)
    if plain["plant"] is not None:
        missed = [
            name for name in checks if not any(r.verdict == "fail" and r.decided for r in results if r.check == name)
        ]
        print(f"planted {plain['plant']:+.1%}: {len(checks) - len(missed)} of {len(checks)} caught", *missed)
    else:
        print(f"{len(checks) - len(failed)} of {len(checks)} checks pass in {total:.0f} s", *failed)
    print(path)
    sys.exit(1 if failed else 0)


def finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(results: list, seconds: dict[str, float], planted: bool) -> None:
    """The table of the validation on stdout."""
    from rich.console import Console
    from rich.table import Table

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
    shown, last = Table(*columns, title="planted fault" if planted else None), ""
    for r in results:
        tolerance = f"± {r.tolerance:.3g}" if r.absolute else f"± {r.tolerance:.2%}"
        colour = "green" if r.verdict == "pass" else "red"
        verdict = f"[{colour}]{r.verdict}{'' if r.decided else ' (too noisy)'}[/]"
        interval = f"{r.low:.6g} … {r.high:.6g}"
        again = r.check == last
        once = ("", "") if again else (str(r.replications), f"{seconds[r.check]:.1f}")
        name, last = "" if again else r.check, r.check
        shown.add_row(name, r.quantity, f"{r.reference:.6g}", f"{r.measured:.6g}", interval, tolerance, verdict, *once)
    console = Console()
    Console(width=None if console.is_terminal else 170).print(shown)


if __name__ == "__main__":
    main()
