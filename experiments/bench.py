"""Speed as ratios taken in one run: `python -m experiments.bench`, from a checkout, writes bench/RESULTS.json.

`only=[line,split]` measures a part; the others keep what was measured before. Exits with 1 where a target is missed.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from experiments import cli
from sim.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    cli.run(job, "bench")


def job(config: Any) -> None:
    if not (ROOT / "bench" / "measure.py").exists():
        raise InputError(f"{ROOT} has no folder bench, where the rivals are; run from a checkout of the source")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    from bench.measure import MEASURES
    from experiments.console import say
    from experiments.experiment import Experiment
    from experiments.run_dir import write_json

    experiment = Experiment.of(config)
    names = [measure.__name__ for measure in MEASURES]
    wanted = list(config.only or names)
    for name in wanted:
        if name not in names:
            raise InputError(f"only has {name!r}; choose from {', '.join(names)}")
    from bench.limits import limits

    able = {name: rounded(value) for name, value in limits().items()}
    path = Path(config.results) if config.results else ROOT / "bench" / "RESULTS.json"
    kept = results = json.loads(path.read_text())["results"] if path.exists() and config.only else {}
    for measure in MEASURES:
        if measure.__name__ in wanted:
            say(f"measuring {measure.__name__} …")
            try:
                kept[measure.__name__] = entry(measure(experiment, config.repeats))
            except ModuleNotFoundError as missing:
                if config.only:
                    raise InputError(f"{measure.__name__} takes {missing.name}, which is not installed") from None
                say(f"{measure.__name__} is left out: it takes {missing.name}, which is not installed")
                continue
            results = {name: kept[name] for name in names if name in kept}
            write_json(path, {"results": results, "machine": machine() | {"limits": able}})
    show(results)
    print(path)
    if not all(results[name]["met"] for name in wanted if name in results):
        sys.exit(1)


def entry(measured: Any) -> dict[str, Any]:
    """A measurement as JSON."""
    return {
        "what": measured.what,
        "value": rounded(measured.value),
        "low": rounded(min(measured.values)),
        "high": rounded(max(measured.values)),
        "repeats": len(measured.values),
        "unit": measured.unit,
        "target": f"{'at least' if measured.more_is_better else 'at most'} {measured.target:g}",
        "met": bool(measured.met),
        "load_average": rounded(os.getloadavg()[0]) if hasattr(os, "getloadavg") else None,
        "detail": {name: rounded(v) if isinstance(v, float) else v for name, v in measured.detail.items()},
    }


def rounded(value: float) -> float:
    return float(f"{value:.4g}")


def machine() -> dict[str, Any]:
    """Where the ratios were taken."""
    from experiments.run_dir import LIBRARIES, _version
    from twins.executors.platform import stamp

    return {
        "cpu": stamp()["processor"],
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in LIBRARIES if name != "twinworlds"},
    }


def show(results: dict[str, Any]) -> None:
    """The table on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table("measure", "value", "range", "target", "verdict", "what")
    for name, r in results.items():
        unit = r["unit"]
        verdict = "met" if r["met"] else "missed"
        table.add_row(
            name, f"{r['value']:.3g} {unit}", f"{r['low']:.3g} to {r['high']:.3g}", r["target"], verdict, r["what"]
        )
    Console(width=None if sys.stdout.isatty() else 150).print(table)


if __name__ == "__main__":
    main()
