"""A study carried out: its runs, made or taken up; their scores in one table, paired where they were asked the same."""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from experiments import cli, console, report
from experiments.experiment import Experiment, run_path
from experiments.pages import plots, words
from experiments.run import checks, pipeline, predictions
from experiments.run.model import Model
from experiments.run.questions import Asked
from experiments.run_dir import damaged, open_run, stamp, write_json, write_text
from experiments.studies import laws
from experiments.studies.grid import MEASURES, Point, Study
from learn.scores.evaluate import Row
from sim.errors import InputError

COLOURS = (plots.BLUE, plots.VERMILLION, plots.GREEN, plots.ORANGE, plots.PURPLE, plots.SKY)


class Ran(NamedTuple):
    """A finished run at one point of a study."""

    point: Point
    path: Path
    config: Mapping[str, Any]
    asked: Asked
    digest: str  # of what was asked, and of what came of it
    rows: dict[str, Row]
    measures: dict[str, float]


def execute(study: Study, config: Mapping[str, Any], base: Sequence[str] = ()) -> Path:
    """Do what is left to do of every run, score them together, and return the study's folder.

    *config* is the experiment's as the command line has it (its name, its folders), *base* what that line sets.
    """
    points, ran = study.points(base), []
    configs: dict[tuple[str, ...], Mapping[str, Any]] = {}  # composed once; sweeps may share a point
    for point in points:
        if point.overrides not in configs:
            with _named(point):
                experiment = cli.compose("train", point.overrides)
                checks.check(experiment)
                configs[point.overrides] = experiment.config
    laws.check(study, [(point, configs[point.overrides]) for point in points])
    read: dict[Path, Ran] = {}
    for done, point in enumerate(points):
        with _named(point):
            experiment = Experiment(configs[point.overrides])
            path = experiment.run_path
            if path not in read:
                console.say(f"{study.name}: {done + 1} of {len(points)}, {point}")
                with experiment.open_run() as run:
                    if not run.done:
                        pipeline.execute(experiment, run)
                read[path] = _read(study, point, experiment, path)
            ran.append(read[path]._replace(point=point))
    found = scores(study, ran) | {"command": cli.command(), "stamp": stamp(" ".join(sorted({r.digest for r in ran})))}
    config = {**config, "name": f"{config['name']}-{study.name}", "study": asdict(study)}
    folder = run_path(config, "")
    with open_run(folder, config, False) as held:
        write_json(held.path / "metrics.json", found)
        write(held.path)
    return folder


@contextlib.contextmanager
def _named(point: Point) -> Iterator[None]:
    """What is wrong at a point is told with its key."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{point}: {error}") from error


def _read(study: Study, point: Point, experiment: Experiment, path: Path) -> Ran:
    """What a finished run predicted, of what, and what it cost."""
    found = report.json_of(path / "metrics.json")
    try:
        kinds = {row["name"]: row["kind"] for row in found["rows"]}
        spent = found["cost"]["stages"]["training"]  # what else a run takes depends on what lies beside its data
        measures = {"flops": float(spent["flops"]), "seconds": float(spent["seconds"])}
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path / "metrics.json", error) from None
    if unknown := [name for name in study.rows if name not in kinds]:
        raise InputError(f"study.rows names {unknown[0]}; the rows of {path} are {', '.join(kinds)}")
    if any(sweep.x == "parameters" for sweep in study.sweeps.values()):
        measures["parameters"] = float(parameters(path))
    wanted = [*study.rows, *({laws.ORACLE} & kinds.keys() if any(s.law for s in study.sweeps.values()) else ())]
    rows = {name: Row(kinds[name], predictions.load(path / "predictions" / f"{name}.npz")) for name in wanted}
    _, asked = pipeline.asked_of(experiment)
    kept = Asked(None, asked.anchors_Nx2, asked.truth, asked.cluster_N)  # type: ignore[arg-type]  # windows may go
    return Ran(point, path, experiment.config, kept, _digest(kept, experiment.task, experiment.scoring), rows, measures)


def parameters(run: Path) -> int:
    """The number of parameters of a run's model."""
    from learn.training.update import split

    return sum(leaf.size for leaf in jax.tree.leaves(split(Model.load(run).module)[1]))


def _digest(asked: Asked, task: Any, scoring: Any) -> str:
    """Alike for runs whose predictions can be set against each other, window by window."""
    digest = hashlib.blake2b(f"{type(task).__name__} {scoring}".encode(), digest_size=8)
    for value in jax.tree.leaves((asked.anchors_Nx2, asked.cluster_N, tuple(asked.truth))):
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()


def scores(study: Study, ran: Sequence[Ran]) -> dict[str, Any]:
    """Every point's score with its interval and, where windows are the same, paired differences: plain JSON types.

    study     {name, title, sweeps: {name: {label, x, log}}, variants, seeds}
    primary   the score that all is told by
    points    [{sweep, values, x, variant, row, runs, asked, score, measures,
                change: from the first point of the sweep (the same variant and row), less is better,
                gain: from the first variant at the same point}]; null where there is no such difference
    laws      as `experiments.studies.laws.fitted`
    """
    groups: dict[tuple, list[Ran]] = {}
    for one in ran:
        groups.setdefault((one.point.sweep, tuple(one.point.values.items()), one.point.variant), []).append(one)
    entries = {(*key, row): some for key, some in groups.items() for row in study.rows}
    told, primary = {}, ""
    for digest in dict.fromkeys(one.digest for one in ran):
        names = {key: f"{i}" for i, (key, some) in enumerate(entries.items()) if some[0].digest == digest}
        first = next(one for one in ran if one.digest == digest)
        tables = [{names[key]: entries[key][s].rows[key[-1]] for key in names} for s in range(len(study.seeds))]
        found = pipeline.score(Experiment(first.config), first.asked, tables[0], tables[1:])
        primary = found["primary"]
        rows = {row["name"]: row for row in found["rows"]}
        told |= {key: (rows[name], names) for key, name in names.items()}
    points = []
    for key, some in entries.items():
        sweep, values, variant, row = key
        point, axis = some[0].point, study.sweeps[sweep].x
        mine, names = told[key]
        start = next(k for k in entries if (k[0], k[2], k[3]) == (sweep, variant, row))
        plain = (sweep, values, next(iter(study.variants)), row)
        measures = {name: float(np.mean([r.measures[name] for r in some])) for name in some[0].measures}
        x = measures[axis] if axis in MEASURES else point.values[axis]
        points.append(
            {"sweep": sweep, "values": point.values, "x": x, "variant": variant, "row": row}
            | {"runs": [str(r.path) for r in some], "asked": some[0].digest, "measures": measures}
            | {"score": mine["scores"][primary], "scores": mine["scores"]}
            | {name: mine["difference"].get(names.get(k)) for name, k in (("change", start), ("gain", plain))}
        )
    sweeps = {n: {"label": s.label or words.name_of(s.x), "x": s.x, "log": s.log} for n, s in study.sweeps.items()}
    about = {"name": study.name, "title": study.title or study.name, "sweeps": sweeps}
    return {"study": about | {"variants": list(study.variants), "seeds": list(study.seeds)}, "primary": primary} | {
        "clusters": len(np.unique(ran[0].asked.cluster_N)),
        "points": points,
        "laws": laws.fitted(study, ran, primary, Experiment(ran[0].config).scoring.resamples),
    }


def told(folder: Path) -> dict[str, Any]:
    """What `execute` has left in a study's folder."""
    found = report.json_of(folder / "metrics.json")
    if not isinstance(found, dict) or "study" not in found:
        raise InputError(f"{folder / 'metrics.json'} holds no study; run the study first")
    return found


def show(found: Mapping[str, Any]) -> None:
    """A row for each point on stdout."""
    table = Table("point", "row", *(escape(f"{what} [95 %]") for what in heads(found)), box=SIMPLE_HEAD)
    places = report.decimals([p["score"]["mean"] for p in found["points"]])
    for point in found["points"]:
        name = ", ".join(f"{k} {v}" for k, v in point["values"].items())
        name = f"{words.name_of(point['sweep'])}: {name}{' · ' + point['variant'] if point['variant'] else ''}"
        shown = [console.interval(point["score"], places), console.interval(point["change"], places)]
        shown += [console.interval(point["gain"], places)] if len(found["study"]["variants"]) > 1 else []
        table.add_row(escape(name), words.name_of(point["row"]), *map(escape, shown))
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    headline, detail = verdict(found)
    for sentence in (f"{headline}. {detail}", *laws.told(found)):
        Console(soft_wrap=True, highlight=False).print(sentence, markup=False)


def heads(found: Mapping[str, Any]) -> list[str]:
    """The columns of numbers."""
    variants = found["study"]["variants"]
    gain = [f"against {variants[0] or 'the first variant'}"] if len(variants) > 1 else []
    return [report.METRICS.get(found["primary"], (found["primary"],))[0], "change along the sweep", *gain]


def verdict(found: Mapping[str, Any]) -> words.Verdict:
    """What moves the score most, and whether the other variants pay."""
    about = found["study"]
    first = [p for p in found["points"] if p["variant"] == about["variants"][0] and p["change"]]
    moved = [p for p in first if p["change"]["low"] is not None and _apart(p["change"])]
    headline = f"{about['title']}: {len(moved)} of {len(first)} points can be told from the first of their sweep"
    detail = ""
    if not first:
        headline = f"{about['title']}: no point can be set against another"
        detail = "Each was asked about other data: readings that were changed, or units of its own training split."
    if moved:
        most = max(moved, key=lambda p: abs(p["change"]["mean"]))
        values = ", ".join(f"{k} {v}" for k, v in most["values"].items())
        places = report.decimals([most["score"]["mean"]]) + 1
        row = f" of {words.name_of(most['row'])}" if len({p["row"] for p in first}) > 1 else ""
        detail = f"The farthest{row} is {words.name_of(most['sweep'])} ({values}): {_told(most['change'], places)}."
    other = [p for p in found["points"] if p["variant"] != about["variants"][0] and p["gain"]]
    gains = list({(*p["runs"], p["row"]): p["gain"] for p in other}.values())  # runs that sweeps share count once
    if gains:
        better, worse = (sum(_apart(g) and s * g["mean"] < 0 for g in gains) for s in (1, -1))
        others = ", ".join(about["variants"][1:])
        detail += (
            f" With {others} against {about['variants'][0] or 'the first variant'}: better in {better} of {len(gains)} "
            f"rows, worse in {worse}, not to be told apart in {len(gains) - better - worse}."
        )
    return words.Verdict(headline, detail.strip())


def _apart(score: Mapping[str, Any]) -> bool:
    return score["low"] is not None and (score["low"] > 0 or score["high"] < 0)


def _told(score: Mapping[str, Any], places: int) -> str:
    within = report.interval(score, places)
    return f"{score['mean']:+.{places}f}".replace("-", "−") + (f" ({within})" if within else "")


def write(folder: Path) -> Path:
    """Write report.html into the study's folder, from what is there, and return its path."""
    write_text(folder / "report.html", report.page("study.html", contents(folder)))
    return folder / "report.html"


def contents(folder: Path) -> dict[str, Any]:
    """All that the page shows, by name."""
    found = told(folder)
    return {
        "title": found["study"]["title"],
        "verdict": verdict(found),
        "found": found,
        "heads": heads(found),
        "places": report.decimals([p["score"]["mean"] for p in found["points"]]),
        "laws": laws.told(found),
        "plots": {"curves": plots.both("curves", lambda width: curves(width, found))},
        "captions": {
            "curves": "Bars are 95 % intervals over world runs"
            + (" and seeds." if len(found["study"]["seeds"]) > 1 else "; one seed of training."),
        },
        "yaml": (folder / "config.yaml").read_text(encoding="utf-8"),
        "run": folder,
    }


def curves(width: float, found: Mapping[str, Any]) -> Figure:
    """A panel a sweep: the score over what is varied, a line for each variant and row."""
    sweeps = found["study"]["sweeps"]
    across = min(3 if width >= plots.WIDE else 1, len(sweeps))
    down = -(-len(sweeps) // across)
    figure = Figure((width, 0.5 + 2.5 * down))
    panels = figure.subplots(down, across, squeeze=False, sharey=True).ravel()
    lines = list(dict.fromkeys((p["variant"], p["row"]) for p in found["points"]))
    for axes, (name, about) in zip(panels, sweeps.items(), strict=False):
        here = [p for p in found["points"] if p["sweep"] == name]
        codes = _codes(here)
        for i, line in enumerate(lines):
            mine = sorted((p for p in here if (p["variant"], p["row"]) == line), key=lambda p: codes[str(p["x"])])
            _line(axes, [codes[str(p["x"])] for p in mine], [p["score"] for p in mine], i, len(lines) < 3)
        if any(isinstance(p["x"], str) for p in here):
            axes.set_xticks(list(codes.values()), list(codes))
        elif about["log"]:
            axes.set_xscale("log")
            places = sorted(codes.values())
            told = [f"{x:g}" for x in places]
            if about["x"] in MEASURES:  # whose numbers are long
                told = ["" if i % 2 else report.count(x) for i, x in enumerate(places)]
            axes.set_xticks(places, told)
            axes.minorticks_off()
        else:
            axes.xaxis.set_major_locator(MaxNLocator(5))
        laws.draw(axes, found, name)
        axes.set_title(words.name_of(name))
        axes.set_xlabel(about["label"])
    for axes in panels[len(sweeps) :]:
        axes.set_visible(False)
    for row in range(down):
        panels[row * across].set_ylabel(heads(found)[0])
    if len(lines) > 1:
        named = [" · ".join(filter(None, (words.name_of(r), v))) for v, r in lines]
        drawn, _ = panels[0].get_legend_handles_labels()
        figure.legend(drawn, named, loc="outside upper left", ncols=3)
    return figure


def _codes(points: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Where each x lies on its axis; names one after another."""
    values = list(dict.fromkeys(p["x"] for p in points))
    if any(isinstance(x, str) or x is None for x in values):
        return {str(x): float(i) for i, x in enumerate(values)}
    return {str(x): float(x) for x in values}


def _line(axes: Any, x: Sequence[float], found: Sequence[Mapping[str, Any]], i: int, band: bool) -> None:
    colour, marker = COLOURS[i % len(COLOURS)], "oDs^vP"[i % 6]
    mean = [np.nan if s["mean"] is None else s["mean"] for s in found]
    axes.plot(x, mean, marker=marker, color=colour, ms=5, lw=1.3, label=str(i))
    ends = [(a, s["low"], s["high"]) for a, s in zip(x, found, strict=True) if s["low"] is not None]
    if ends:
        at, low, high = zip(*ends, strict=True)
        if band:
            axes.fill_between(at, low, high, color=colour, alpha=0.12, lw=0)
        axes.vlines(at, low, high, color=colour, lw=1.2, alpha=0.6)
