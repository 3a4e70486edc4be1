"""What cleaning has changed in an experiment's data, and against planted faults how well: a table, and a page."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments import cli, datasets, report
from experiments.build import fit
from experiments.console import progress, say
from experiments.experiment import Experiment
from experiments.pages import plots, words
from experiments.run_dir import write_text
from experiments.source import passed
from sim.errors import InputError
from twins.clean import Clean
from twins.clean.pipeline import Closed, restored
from twins.clean.scored import ALL, Errors, Scored, scored
from twins.dataset import Dataset, shards
from twins.episode import Series
from twins.faults import Closed as Planted

SHOWN = 240  # samples of an example
STAGES = {"healthy": plots.GREEN, "faulty": plots.VERMILLION, "cleaned": plots.BLUE}


class Example(NamedTuple):
    """A stretch of one series, faulty and cleaned."""

    series: str
    unit: str
    faulty: Series
    cleaned: Series
    first_h: float
    last_h: float


def write(experiment: Experiment) -> Path:
    """Make the data, score the steps, say it on the terminal, write the page under outputs/clean; its path."""
    config, source = experiment.config, experiment.source
    split, count = fit(config["split"], str, "split"), fit(config["examples"], int, "examples")
    if not source.clean:
        raise InputError("source.clean is empty; name the steps to look at, as in clean=standard")
    root = Path(fit(config["datasets"], str, "datasets"))
    with progress("dataset") as advance:
        raw = source.raw(root, experiment.executor, advance)
        faulty = passed(raw, source.steps[:-1], root, experiment.executor, advance)
        cleaned = passed(faulty, source.steps[-1:], root, experiment.executor, advance)
    if split not in cleaned.splits:
        raise InputError(f"split is {split!r}; {cleaned.path} has {', '.join(cleaned.splits)}")
    found = None
    if source.faults:
        twin = experiment.twin if hasattr(source, "plan") else None
        found = _scored(raw, cleaned, twin, split)
    runs = proven(faulty, cleaned)
    for line in datasets.changes(cleaned.manifest):
        say(line)
    if found:
        show(found)
    print(f"the record gives back the readings of all {runs} runs before cleaning, bit for bit")
    path = Path(fit(config["outputs"], str, "outputs")) / "clean" / f"{cleaned.path.name}-{split}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = contents(cleaned, found, examples(faulty, cleaned, split, count), runs, source.clean)
    write_text(path, report.page("clean.html", shown | {"command": cli.command(), "split": split, "path": path}))
    return path


def _scored(raw: Dataset, cleaned: Dataset, twin: Any, split: str) -> Scored:
    told = cleaned.manifest["closed"]
    runs = itertools.chain.from_iterable(raw.shard(name) for name in raw.manifest["splits"][split]["shards"])
    return scored(runs, Planted.of(told["faults"]), Closed.of(told["clean"]), twin, split)


def proven(before: Dataset, cleaned: Dataset) -> int:
    """How many runs there are, once the record of each has given back what was there; raises InputError otherwise."""
    count = 0
    for split in cleaned.splits:
        for name in cleaned.manifest["splits"][split]["shards"]:
            told = {run["run"]: run["before"] for run in cleaned.record(name)["runs"]}
            for trace, episodes in restored(cleaned, name):
                run = episodes[0].run
                if shards.content(episodes, trace) != told[run]:
                    raise InputError(
                        f"{cleaned.path}: the record of run {run} does not give back what {before.path} holds; remove "
                        "it, and make it again by the same command"
                    )
                count += 1
    return count


def show(found: Scored) -> None:
    """Steps with precision and recall, and the errors of each quantity, on stdout."""
    planted = kinds(found)
    table = Table("step", "found", "precision", *(f"recall of {words.name_of(f)}" for f in planted), box=SIMPLE_HEAD)
    for name, one in found.steps.items():
        table.add_row(name, f"{one.found:,}", _share(one.precision), *(_share(one.recall(f)) for f in planted))
    console = Console(width=None if sys.stdout.isatty() else 150)
    console.print(table)
    table = Table("quantity", escape("RMSE [unit]"), *STAGES, "readings left", box=SIMPLE_HEAD)
    for name, one in found.errors.items():
        numbers = [f"{rmse:.4g}" if (rmse := one.rmse(stage)) is not None else "–" for stage in STAGES]
        table.add_row(words.name_of(name), escape(one.unit), *numbers, _share(left(one)))
    console.print(table)


def kinds(found: Scored) -> list[str]:
    """The faults that were planted."""
    return list(dict.fromkeys(fault for one in found.steps.values() for fault in one.planted))


def left(one: Errors) -> float | None:
    """The share of the healthy readings that is there after cleaning."""
    return one.count.get("cleaned", 0) / one.count["healthy"] if one.count.get("healthy") else None


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def examples(faulty: Dataset, cleaned: Dataset, split: str, count: int) -> list[Example]:
    """Stretches in which most was changed, of different quantities."""
    best: dict[str, tuple[int, Example]] = {}
    for before, after in zip(faulty.episodes(split), cleaned.episodes(split), strict=True):
        now = {s.key: s for s in after.series}
        for series in before.series:
            other = now[series.key]
            if series.shape or len(series.values) < 2 or series.step_h != other.step_h or series.unit != other.unit:
                continue
            moved = ~np.equal(series.values, other.values) & ~(np.isnan(series.values) & np.isnan(other.values))
            sums = np.convolve(moved, np.ones(min(SHOWN, len(moved))), "valid")
            at = int(sums.argmax())
            if sums[at] and sums[at] > best.get(series.quantity, (0,))[0]:
                clock_h = series.clock_h()[at : at + SHOWN]
                name = f"{after.asset} in run {after.run}: {words.name_of(series.quantity)}"
                ends = float(clock_h[0]), float(clock_h[-1])
                best[series.quantity] = int(sums[at]), Example(name, series.unit, series, other, *ends)
    return [one for _, one in sorted(best.values(), key=lambda pair: -pair[0])[:count]]


def contents(
    cleaned: Dataset, found: Scored | None, shown: Sequence[Example], runs: int, steps: Sequence[Any]
) -> dict[str, Any]:
    """All that the page shows, by name."""
    pictures: dict[str, Any] = {}
    if found and any(one.count.get("cleaned") for one in found.errors.values()):
        pictures["errors"] = plots.both("errors", lambda width: errors(width, found.errors))
    for i, one in enumerate(shown):
        pictures[f"example{i}"] = plots.both(f"example{i}", lambda width, one=one: example(width, one))
    total: dict[str, dict[str, int]] = {}
    for row in cleaned.manifest.get("changed", ()):
        mine = total.setdefault(row["step"], {"changed": 0, "samples": 0})
        for what in mine:
            mine[what] += row[what]
    return {
        "title": cleaned.path.name,
        "headline": headline(found, cleaned),
        "dataset": cleaned,
        "runs": runs,
        "found": found,
        "all": ALL,
        "faults": kinds(found) if found else [],
        "left": left,
        "stages": list(STAGES),
        "total": total,
        "closed": cleaned.manifest["closed"]["clean"],
        "ahead": Clean(tuple(steps)).looking_ahead,
        "examples": shown,
        "plots": pictures,
        "captions": {
            "errors": "Root mean square error against a sensor without noise, over that of the healthy sensor (1).",
        }
        | {f"example{i}": f"{one.series}." for i, one in enumerate(shown)},
    }


def headline(found: Scored | None, cleaned: Dataset) -> str:
    """One sentence."""
    if found is None:
        changed, samples = (sum(row[k] for row in cleaned.manifest.get("changed", ())) for k in ("changed", "samples"))
        return f"{changed:,} of {samples:,} looks at a reading changed it"
    one = found.steps[ALL]
    planted, hit = (sum(count.get(fault, 0) for fault in found.sought) for count in (one.planted, one.hit))
    share = 100 * hit / planted if planted else 0.0
    right = f", and {100 * one.precision:.0f} % of what was found is wrong" if one.precision is not None else ""
    return f"{share:.0f} % of the readings that are wrong by themselves and not merely missing were found{right}"


def errors(width: float, found: Mapping[str, Errors]) -> Figure:
    """The error of each quantity, faulty and cleaned, over the healthy one."""
    shown = [(n, e) for n, e in found.items() if e.rmse("healthy") and e.rmse("cleaned") is not None][::-1]
    figure = Figure((width, 0.8 + 0.3 * max(len(shown), 1)))
    axes = figure.add_subplot()
    for y, (_, one) in enumerate(shown):
        base = one.rmse("healthy") or 1.0
        ends = [(one.rmse(stage) or 0.0) / base for stage in ("faulty", "cleaned")]
        axes.plot(ends, [y, y], color=plots.INK, lw=1, alpha=0.5)
        for stage, x, marker in zip(("faulty", "cleaned"), ends, "so", strict=True):
            axes.plot(x, y, marker, color=STAGES[stage], ms=6, label=stage if y == 0 else None)
    axes.axvline(1.0, color=STAGES["healthy"], lw=1, ls=(0, (4, 3)), label="healthy")
    axes.set_yticks(range(len(shown)), [words.name_of(name) for name, _ in shown])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(-0.6, len(shown) - 0.4)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axes.minorticks_off()
    axes.set_xlabel("RMSE over that of the healthy sensor")
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def example(width: float, one: Example) -> Figure:
    """What was recorded, and what is left of it."""
    figure = Figure((width, 2.2))
    axes = figure.add_subplot()
    clock_h = one.faulty.clock_h()
    here = (clock_h >= one.first_h) & (clock_h <= one.last_h)
    was, now_h = one.faulty.values[here], one.cleaned.clock_h()
    inside = (now_h >= one.first_h) & (now_h <= one.last_h)
    axes.plot(clock_h[here], was, ".", color=STAGES["faulty"], ms=5, label="recorded, changed by cleaning")
    axes.plot(now_h[inside], one.cleaned.values[inside], "-o", color=STAGES["cleaned"], ms=2.2, lw=0.9, label="cleaned")
    axes.set_xlabel("hours")
    axes.set_ylabel(plots.unit_name(one.unit))
    axes.margins(x=0.01)
    figure.legend(loc="outside upper left", ncols=2)
    return figure
