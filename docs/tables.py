"""The tables of README.md and docs/results.md from what was measured: `python docs/tables.py outputs/line_failure/… …`.

Fills the stretch between `<!-- bench -->` and `<!-- /bench -->` from bench/RESULTS.json, draws bench/RESULTS.md and its
plot from it, and fills those named after a run (`<!-- line_failure -->`) from that run's metrics.json, or from the
seeds.json of several; what is said of a preset goes into the table of all (`<!-- glance -->`) too. Runs named
`…_gamma_0`, `…_gamma_2` … are columns of one table; a study is named `<experiment>-<study>`; a folder with a trial.json
is that of a trial. A stretch without a source is left as it is.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from experiments.deciding import saving_report
from experiments.deciding.layout_report import ages, buffers, crew
from experiments.medicine import trials
from experiments.pages import words
from experiments.report import METRICS, count, decimals, interval, number, told_by, with_interval
from experiments.run import joint_report
from experiments.run_dir import config_of
from experiments.studies import laws
from experiments.studies import studied as study_page
from experiments.studies.grid import MEASURES

ROOT = Path(__file__).resolve().parents[1]


def bench() -> str:
    found = json.loads((ROOT / "bench" / "RESULTS.json").read_text())
    machine = found["machine"]
    rows = [
        f"| {r['what']} | {r['value']:.3g} {r['unit']} | {r['target']} | {'met' if r['met'] else 'missed'} |"
        for r in found["results"].values()
    ]
    head = f"On {machine['cores']} cores of {machine['cpu']}, Python {machine['python']}:"
    return "\n".join([head, "", "| what | measured | target | |", "|---|---|---|---|", *rows])


def scores(source: Path) -> str:
    metrics = json.loads((source if source.is_file() else source / "metrics.json").read_text())
    run = Path(next(iter(metrics["runs"].values()))[0]) if source.is_file() else source
    metric = metrics["primary"]
    rows = sorted(
        (row for row in metrics["rows"] if metric in row["scores"]), key=lambda row: row["scores"][metric]["mean"]
    )
    places = decimals([row["scores"][metric]["mean"] for row in rows])
    told = [m for m in METRICS if m != metric and any(m in row["scores"] for row in rows)]
    other = "mase" if "mase" in told and metric != "mse" else told[0]  # squared errors are published with absolute ones
    digits = decimals([row["scores"][other]["mean"] for row in rows if other in row["scores"]])
    lines = [
        f"| method | {METRICS[metric][0]} | 95 % interval | {METRICS[other][0]} | skill |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        score, second, skill = row["scores"][metric], row["scores"].get(other, {}), row["skill"]
        share = with_interval(skill, 2) if isinstance(skill, dict) else skill or ""
        cells = (number(score["mean"], places), interval(score, places), number(second.get("mean"), digits), share)
        name = row["name"].replace("_", " ")
        lines.append(f"| {f'**{name}**' if row['kind'] == 'model' else name} | " + " | ".join(cells) + " |")
    seconds = (metrics.get("cost") or {}).get("total", {}).get("seconds")
    took = f" The run took {seconds:.0f} s on {stamp(run)}." if seconds else ""
    took = f" Means over {metrics['seeds']} seeds of training." if source.is_file() else took
    of = f"{metrics['clusters']} independent {words.cluster(config_of(run))}"
    asked = "plans" if metrics.get("task") == "Counterfactual" else "windows"
    return "\n".join([*lines, "", f"{metrics['scored']} {asked} of {of}.{took}"])


def trial(run: Path) -> str:
    """What trials in silico found."""
    found = json.loads((run / "trial.json").read_text())
    lines = ["| | |", "|---|---|", *(f"| {what} | {value} |" for what, value in trials.rows(found))]
    machine = found["machine"]
    on = f"{machine.get('cpus') or machine['cores']} cores of {machine['processor']}"
    of = f"{found['trials']} trials of {found['pool']} patients under both arms"
    return "\n".join([*lines, "", f"{of}. The run took {found['seconds']:.0f} s on {on}."])


def decisions(run: Path) -> str:
    """Every policy of a run of decisions, cheapest first."""
    metrics = json.loads((run / "metrics.json").read_text())
    asked = config_of(run)["decisions"]
    lines = ["| policy | cost per hour | 95 % interval | against the best fixed | availability | gap closed |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in sorted(metrics["rows"], key=lambda row: row["scores"]["cost_rate"]["mean"]):
        cost, gap, closed = row["scores"]["cost_rate"], row["difference"], row["closed"]
        name = row["name"].replace("_", " ") + (" (the best fixed)" if row["name"] == metrics["best_fixed"] else "")
        apart = with_interval(gap, 4) if row["name"] != metrics["best_fixed"] else ""
        share = f"{closed['mean']:.0%}".replace("%", " %").replace("-", "−") if isinstance(closed, dict) else closed
        available = number(row["scores"]["availability"]["mean"], 3)
        cells = (number(cost["mean"], 4), interval(cost, 4), apart, available, share)
        lines.append(f"| {f'**{name}**' if row['kind'] == 'model' else name} | " + " | ".join(cells) + " |")
    seconds = metrics["cost"]["total"]["seconds"]
    of = f"{metrics['worlds']} world runs of {asked['duration_h']:g} h"
    return "\n".join([*lines, "", f"{of}, the same for all. The run took {seconds:.0f} s on {stamp(run)}."])


def savings(run: Path) -> str:
    """Every policy of a run of saving, cheapest first; below it what choosing a tariff costs."""
    metrics = json.loads((run / "metrics.json").read_text())
    heads = [head for head, _ in saving_report.MEASURES.values()]
    lines = ["| policy | " + " | ".join(heads) + " | gap closed | costs more than by the model |"]
    lines += ["|---|" + "---|" * (len(heads) + 2)]
    for row in sorted(metrics["rows"], key=lambda row: row["scores"]["cost_eur"]["mean"]):
        cells = [number(row["scores"][name]["mean"], places) for name, (_, places) in saving_report.MEASURES.items()]
        closed, gap = row["closed"], row["difference"]
        share = f"{closed['mean']:.0%}".replace("%", " %").replace("-", "−") if isinstance(closed, dict) else closed
        apart = with_interval(gap, 2) if row["kind"] != "model" else ""
        name = row["name"].replace("_", " ")
        cells += [share, apart]
        lines.append(f"| {f'**{name}**' if row['kind'] == 'model' else name} | " + " | ".join(cells) + " |")
    offers = [
        f"{row['name'].replace('_', ' ')} {number(row['regret_eur']['mean'], 2)} ({interval(row['regret_eur'], 2)})"
        for row in sorted(metrics["tariffs"], key=lambda row: row["regret_eur"]["mean"])
    ]
    seconds = metrics["cost"]["total"]["seconds"]
    tariffs = f"A tariff a day costs, in EUR a day beyond the best in hindsight: {'; '.join(offers)}."
    last = f"{metrics['worlds']} world runs, the same for all. The run took {seconds:.0f} s on {stamp(run)}."
    return "\n".join([*lines, "", tariffs, "", last])


def together(run: Path) -> str:
    """What each preset comes to that learned with others, and alone."""
    metrics = json.loads((run / "metrics.json").read_text())
    lines = ["| preset | score | naive | best baseline | alone | together | oracle | skill | together − alone |"]
    lines += ["|---" * 9 + "|"]
    for line in joint_report.lines(metrics):
        shown = (line.naive, line.best, line.alone, line.together, line.oracle)
        places = decimals([line.score(row)["mean"] for row in shown])
        skill, gap = line.together["skill"], line.difference
        cells = [line.name.replace("_", " "), METRICS[line.metric][0]]
        cells += [number(line.score(row)["mean"], places) for row in shown]
        cells.append(with_interval(skill, 2) if isinstance(skill, dict) else skill or "–")
        cells.append(with_interval(gap, places + 1) if gap else "–")
        lines.append("| " + " | ".join(cells) + " |")
    size = f"{metrics['parameters']:,}".replace(",", " ")
    seconds = metrics["cost"]["total"]["seconds"]
    return "\n".join([*lines, "", f"{size} parameters. The run took {seconds:.0f} s on {stamp(run)}."])


def studied(folder: Path) -> str:
    """Each point of a study, and the laws that were fitted over its sweeps."""
    found = json.loads((folder / "metrics.json").read_text())
    about, points = found["study"], found["points"]
    heads = ["point", *study_page.heads(found)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    places = decimals([point["score"]["mean"] for point in points])
    apart = [key for key in ("variant", "row") if len({point[key] for point in points}) > 1]
    for point in points:
        sweep = about["sweeps"][point["sweep"]]
        values = ", ".join(f"{name} {value}" for name, value in point["values"].items())
        values += f" ({count(point['x'])} {sweep['label']})" if sweep["x"] in MEASURES else ""
        name = " · ".join([f"{words.name_of(point['sweep'])}: {values}", *(words.name_of(point[key]) for key in apart)])
        moved = [point[key] for key in ("change", "gain")][: len(heads) - 2]
        cells = [with_interval(point["score"], places), *(with_interval(score, places + 1) for score in moved)]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    seeds = len(about["seeds"])
    trained = f"means over {seeds} seeds" if seeds > 1 else "one seed"
    of = (
        f"{found['clusters']} independent {words.cluster(config_of(folder))}; {trained} of training; intervals of 95 %."
    )
    told = [f"- {sentence}" for sentence in laws.told(found)]
    return "\n".join([*lines, "", *told, *([""] if told else []), of])


def layouts(run: Path) -> str:
    """The layouts that a study judged: the line as it is, and the front."""
    found = json.loads((run / "metrics.json").read_text())
    money = f"{found['currency']}/h"
    lines = [f"| layout | buffers | crew | ages of replacement (h) | parts/h | cost, {money} | profit, {money} |"]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in found["rows"]:
        measured = (
            f"{number(row[c]['mean'], p)} ± {(row[c]['high'] - row[c]['low']) / 2:.{p}f}"
            for c, p in (("parts_per_h", 3), ("cost_per_h", 1), ("profit_per_h", 1))
        )
        name = "**the best**" if row["kind"] == "best" else row["kind"]
        lines.append("| " + " | ".join((name, buffers(row), crew(row), ages(row), *measured)) + " |")
    said = f"Intervals of a column hold together at {found['confidence']:.0%}".replace("%", " %")
    of = f"{said}; {found['replications']} replications each, of seeds that the search has not seen."
    return "\n".join([*lines, "", f"{of} The run took {sum(found['seconds'].values()):.0f} s on {stamp(run)}."])


def confounded(sources: list[Path]) -> str:
    """Runs of one question at several strengths of confounding, side by side; below them what others have published."""
    columns: dict[float, dict[str, tuple[str, str]]] = {}
    plans, of, seeds = [], "", set()
    for source in sources:
        metrics = json.loads((source if source.is_file() else source / "metrics.json").read_text())
        run = Path(next(iter(metrics["runs"].values()))[0]) if source.is_file() else source
        metric, gamma = metrics["primary"], float(config_of(run)["world"]["gamma"])
        seeds.add(metrics.get("seeds", 1))
        plans.append(str(metrics["scored"]))
        of = f"{metrics['clusters']} independent {words.cluster(config_of(run))}"
        for row in metrics["rows"]:
            score = row["scores"][metric]
            cell = with_interval(score, 2)
            columns.setdefault(gamma, {})[row["name"]] = (row["kind"], cell)
    gammas = sorted(columns)
    names = sorted(columns[gammas[0]], key=lambda name: float(columns[gammas[0]][name][1].split()[0]))
    lines = ["| method | " + " | ".join(f"γ = {g:g}" for g in gammas) + " |", "|---|" + "---|" * len(gammas)]
    for name in names:
        cells = [columns[g].get(name, ("", "–"))[1] for g in gammas]
        shown = name.replace("_", " ")
        lines.append(f"| {f'**{shown}**' if columns[gammas[0]][name][0] == 'model' else shown} | {' | '.join(cells)} |")
    known = json.loads((ROOT / "docs" / "published.json").read_text())["tumour_counterfactual"]
    task = config_of(run)["task"]
    if task["horizon"] == 1 and task.get("paired") is None:
        at = [known["gamma"].index(g) if g in known["gamma"] else None for g in gammas]
        for name, values in known["rows"].items():
            lines.append(f"| published: {name} | {' | '.join('–' if i is None else f'{values[i]:.2f}' for i in at)} |")
    many = ", ".join(plans[:-1]) + " and " * (len(plans) > 1) + plans[-1]
    trained = "one seed" if seeds == {1} else f"means over {' or '.join(map(str, sorted(seeds)))} seeds"
    return "\n".join([*lines, "", f"{many} plans of {of}; {trained} of training; intervals of 95 %."])


def table(source: Path) -> str:
    """What a run's metrics.json has to say, whichever command wrote it."""
    if (source / "trial.json").exists():
        return trial(source)
    found = json.loads((source / "metrics.json").read_text()) if source.is_dir() else {}
    return TABLES[told_by(found)](source)


TABLES = {  # by the module that tells the same on a page
    "deciding.maintenance_report": decisions,
    "deciding.layout_report": layouts,
    "deciding.saving_report": savings,
    "run.joint_report": together,
    "studies.studied": studied,
    "report": scores,
}


def tabulated(sources: list[Path]) -> dict[str, str]:
    """A table of each run by its name; of those named `…_gamma_0`, `…_gamma_2` … one together."""
    found: dict[str, list[Path]] = {}
    for source in sources:
        found.setdefault(source.resolve().parent.name.partition("_gamma_")[0], []).append(source)
    apart = {name: "_gamma_" not in runs[0].resolve().parent.name for name, runs in found.items()}
    return {name: table(runs[-1]) if apart[name] else confounded(runs) for name, runs in found.items()}


def stamp(run: Path) -> str:
    found = json.loads((run / "stamp.json").read_text())
    platform, device = found["platform"], found.get("device", {"platform": "cpu"})
    beside = "" if device["platform"] == "cpu" else f", {device['kind']}"
    return f"{platform.get('cpus') or platform['cores']} cores of {platform['processor']}{beside}"


def fill(text: str, name: str, table: str) -> str:
    pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    return re.sub(pattern, lambda m: f"{m[1]}{table}\n{m[2]}", text, flags=re.S)


if __name__ == "__main__":
    import bench_page  # beside this file
    import glance

    sources = list(map(Path, sys.argv[1:]))
    stretches = tabulated(sources)
    for source in sources:
        name = source.resolve().parent.name
        if (ROOT / "conf" / "experiment" / f"{name.partition('_gamma_')[0]}.yaml").exists():
            glance.remember(name, json.loads((source if source.is_file() else source / "metrics.json").read_text()))
    stretches["glance"] = glance.table()
    if (ROOT / "bench" / "RESULTS.json").exists():
        stretches["bench"] = bench()
        bench_page.write()
    for page in (ROOT / "README.md", ROOT / "docs" / "results.md"):
        text = page.read_text(encoding="utf-8")
        for name, filled in stretches.items():
            text = fill(text, name, filled)
        page.write_text(text, encoding="utf-8")
