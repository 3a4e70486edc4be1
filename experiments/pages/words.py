"""A run in words: the verdict from its scores, and what was simulated from its configuration."""

from __future__ import annotations

import dataclasses
import inspect
import pydoc
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.build import TARGET

HIDDEN = {TARGET, "revision"}
FEW = 10  # clusters, below which a bootstrap's intervals are too narrow
LEAST = 5  # windows with an event, and without one, below which scores tell nothing


class Verdict(NamedTuple):
    headline: str
    detail: str


class Part(NamedTuple):
    """One object of the configuration: its class's own sentence, its values in words, and the objects in it."""

    key: str
    name: str
    sentence: str
    values: list[tuple[str, str]]
    parts: list[Part]


def verdict(metrics: Mapping[str, Any], cluster: str = "runs") -> Verdict:
    """What the scores say, in one headline and one sentence with the numbers; *cluster* is what is resampled."""
    rows = {row["name"]: row for row in metrics["rows"]}
    model = next((row for row in rows.values() if row["kind"] == "model"), None)
    if model is None:
        return Verdict("Baselines and marks, no model yet", "")
    primary, skill = metrics["primary"], model["skill"]
    if (rate := metrics.get("base_rate")) is not None and metrics.get("scored"):
        scored, events = metrics["scored"], round(rate * metrics["scored"])
        if min(events, scored - events) < LEAST:
            what = f"in {events or 'none'} of {scored} scored windows what is foretold came true"
            detail = f"{what[0].upper()}{what[1:]}; give more or longer test runs."
            return Verdict("Too few events to tell what the model can do", detail)
    best, naive = rows.get(metrics.get("best_baseline") or ""), rows.get(metrics.get("naive") or "")
    standing = standing_of(model, best)
    against = f"{standing} the best baseline, {name_of(best['name'])}" if best and standing else ""
    clusters = metrics.get("clusters") or FEW
    few = f" With only {clusters} {cluster} to resample, intervals are too narrow." if clusters < FEW else ""
    if isinstance(skill, Mapping) and skill["mean"] is not None:
        low, high = skill["low"], skill["high"]
        share = f"{100 * skill['mean']:.0f} %"
        if low is not None and low > 0:
            headline = f"The model covers {share} of the way from the naive baseline to the oracle"
        elif high is not None and high < 0:
            headline = "The model falls behind the naive baseline"
        else:
            headline = "The model cannot be told from the naive baseline"
        decided = standing in ("better than", "worse than") and best is not naive
        if decided:
            headline += (
                f", {'but' if (standing == 'worse than') == (low is not None and low > 0) else 'and'} is {against}"
            )
        if low is not None and high is not None:
            share += f" (95 % interval {100 * low:.0f} to {100 * high:.0f} %)"
        rest = f"; the model {against}" if against and not decided and best is not naive else ""
        return Verdict(headline, f"Skill {share}".replace("-", "−") + f"{rest}.{few}")
    score, other = model["scores"][primary]["mean"], (naive or model)["scores"][primary]["mean"]
    headline = f"The model {against if against.startswith('cannot') else 'is ' + against}" if against else ""
    headline = headline or "The model is scored"
    if skill == "undefined":
        detail = "Naive baseline and oracle lie within 5 % of each other, so skill is undefined."
    else:
        detail = f"Its {primary.upper()} is {score:.3f}" + (f", the naive baseline's {other:.3f}." if naive else ".")
    return Verdict(headline, detail + few)


def span(value: Mapping[str, Any]) -> tuple[float, float]:
    """The ends of an interval; its mean twice where nothing was drawn."""
    mean = value["mean"]
    return tuple(mean if value[end] is None else value[end] for end in ("low", "high"))  # type: ignore[return-value]


def standing_of(model: Mapping[str, Any], best: Mapping[str, Any] | None) -> str:
    """How a row stands against another one by their paired interval, less being better; nothing where unpaired."""
    paired = model["difference"].get(best["name"]) if best else None
    if not best or not paired or paired["mean"] is None:
        return ""
    low, high = span(paired)
    return "better than" if high < 0 else "worse than" if low > 0 else "cannot be told from"


def name_of(text: str) -> str:
    """A name as words: `boosted_trees` is boosted trees."""
    return text.replace("_", " ")


def cluster(config: Mapping[str, Any]) -> str:
    """What a run's scores are resampled over, in the plural."""
    if (config.get("evaluate") or {}).get("cluster_h") is not None:
        return "stretches of time"
    return "world runs" if config.get("world") else "runs"


def futures(config: Mapping[str, Any]) -> int | None:
    """How many futures the oracle plays from each window; None where it plays none."""
    oracle = config.get("oracle")
    return oracle.get("count") if oracle else config.get("futures")


def outcome(task: Mapping[str, Any]) -> tuple[str, str]:
    """What became of the share of windows that the base rate counts, and of a window in the present tense."""
    if "states" in task:
        return "", "came"
    if "classes" in task:
        return f"are {' or '.join(task['classes'][1:])}", "are so"
    if _mortal(task):
        return f"ended in {ends(task)}", "do"
    return "ended in a failure", "fail"


def of_chances(metrics: Mapping[str, Any]) -> bool:
    """Whether what was predicted are probabilities of what came, or did not."""
    return metrics.get("base_rate") is not None or metrics.get("task") == "States"


def _mortal(task: Mapping[str, Any]) -> bool:
    return "death" in task.get("causes", ())


def ends(task: Mapping[str, Any]) -> str:
    """What a life ends of, where it is one that can die; failures otherwise."""
    if not _mortal(task):
        return "failures"
    *first, last = task["causes"]
    return f"{', '.join(first)} or {last}" if first else last


def captions(figures: Mapping[str, Any], metrics: Mapping[str, Any], resampled: str) -> dict[str, str]:
    """What the lines of the figures are, by the figure; only of lines that are drawn."""
    kinds = {row["kind"] for row in metrics["rows"]}
    dashed = "; dashed lines are the marks" if kinds & {"naive", "oracle"} else ""
    found = {"marks": f"Scores with 95 % intervals from a bootstrap over {metrics['clusters']} {resampled}{dashed}."}
    if asset := figures.get("asset"):
        drawn = [event["kind"] for event in asset["events"]]
        ended = [kind in ("failure", "planned") for kind in drawn]
        found["sensors"] = _listed(
            ("red lines are failures", "failure" in drawn),
            ("broken green lines are planned work", "planned" in drawn),
            ("shading is time down", any(a and b == "renewal" for a, b in zip(ended, drawn[1:], strict=False))),
        )
    if lives := figures.get("lives"):
        found["lives"] = (
            "Points are the model's means, bars its central 80 %; "
            f"a life beyond {lives['cap']:g} {lives['unit']} counts as that."
        )
    if figures.get("states"):
        found["states"] = "The bar on top is what came, before now and after; below it are the probabilities, stacked."
        found["states_by_step"] = "Over all scored windows; less is better."
    if (risk := figures.get("risk")) and len(risk["time_h"]):
        start, end = risk["time_h"][0], risk["time_h"][-1] + risk["horizon_h"]
        failures = [e for e in risk["events"] if e["kind"] == "failure" and start <= e["time_h"] <= end]
        found["risk"] = _listed(("red lines are failures", bool(failures)))
    return found


def _listed(*said: tuple[str, bool]) -> str:
    text = ", ".join(words for words, drawn in said if drawn)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def question(task: Mapping[str, Any], shown: Sequence[Mapping[str, Any]] = ()) -> str:
    """What was asked, from the fields of the task and the windows *shown* of a forecast, where there are any."""
    if "classes" in task:
        return f"Is what was just seen {' or '.join(task['classes'][1:])}?"
    if "states" in task:
        *first, last = task["states"]
        return f"Is this asset {', '.join(first)} or {last} at each of the next {task['horizon']} samples?"
    if "cap" in task:
        return f"How much life is left to this asset, up to {task['cap']:g} {task.get('unit', 'h')}?"
    if "horizon_h" in task and _mortal(task):
        return f"Does {ends(task)} come within {hours(task['horizon_h'])}?"
    if "horizon_h" in task:
        return f"Does this asset fail within {hours(task['horizon_h'])}?"
    if "outcome" in task:
        days = "" if task["horizon"] == 1 else f" of {task['horizon']} samples"
        return f"What would come of each plan{days}, followed or not? Research only, not for clinical use."
    if "longest" in task:
        return f"What was read in a gap of up to {task['longest']} samples?"
    if "horizon" in task:
        names = list(dict.fromkeys(name_of(window["quantity"]) for window in shown))
        of = f" of {' and '.join(names)}" if 0 < len(names) <= 2 else ""
        span = f", over {hours(task['horizon'] * shown[0]['step_h'])}" if shown and shown[0]["step_h"] else ""
        return (
            f"What comes next{of}?"
            if task["horizon"] == 1
            else f"What are the next {task['horizon']} samples{of}{span}?"
        )
    return ""


def parts(config: Mapping[str, Any]) -> list[Part]:
    """The world, the twin, and whatever else of the configuration has a class of its own, in the order of the house."""
    order = [key for key in ("world", "twin", "source", "task", "model", "optim") if key in config]
    return [_part(key, config[key]) for key in order if isinstance(config[key], Mapping) and TARGET in config[key]]


def _part(key: str, node: Mapping[str, Any]) -> Part:
    target = str(node.get(TARGET, ""))
    values, inner = [], []
    for name, value in node.items():
        if name in HIDDEN or (name in ("world", "twin") and key in ("twin", "source")):
            continue
        if (
            isinstance(value, Mapping)
            and TARGET in value
            and any(isinstance(v, (Mapping, list)) for v in value.values())
        ):
            inner.append(_part(name, value))
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            for first, times in _runs(value):
                inner.append(_part(f"{times} × {name.removesuffix('s')}" if times > 1 else name, first))
        else:
            values.append((label(name), phrase(name, value)))
    found = located(target)
    sentence = _sentence(found, node)
    if not sentence and dataclasses.is_dataclass(found):
        plain = [f for f in dataclasses.fields(found) if f.name not in {*node, *HIDDEN}]
        values += [
            (label(f.name), phrase(f.name, f.default)) for f in plain if isinstance(f.default, (int, float, str))
        ]
    return Part(label(key), target.rpartition(".")[2], sentence, values, inner)


def _runs(values: list[Any]) -> Iterator[tuple[Any, int]]:
    """Equal neighbours together: (value, how many)."""
    start = 0
    for i in range(1, len(values) + 1):
        if i == len(values) or values[i] != values[start]:
            yield values[start], i - start
            start = i


def located(target: str) -> Any:
    """The class that *target* names; None where it cannot be found."""
    try:
        return pydoc.locate(target) if target else None
    except pydoc.ErrorDuringImport:
        return None


def _sentence(found: Any, node: Mapping[str, Any]) -> str:
    """The first sentence of the class's docstring, with the values of *node* in it; nothing where it speaks of code."""
    text = inspect.getdoc(found) or "" if found is not None else ""
    if inspect.isclass(found) and text.startswith(found.__name__ + "("):  # a dataclass's own
        return ""
    first = re.split(r"(?<=[.!?])\s+", " ".join(text.split("\n\n")[0].split()), maxsplit=1)[0]
    first = re.sub(r"\*(\w+)\*( hours)?", lambda m: phrase(m[1], node[m[1]]) if m[1] in node else m[0], first)
    first = re.sub(r"\b1 (\w+)s\b", r"1 \1", first)
    return "" if re.search(r"[`*]", first) or not first.endswith(".") else first


def label(name: str) -> str:
    """A field's name in words, without its unit: `mean_h` is mean."""
    return name.removesuffix("_per_sqrt_h").removesuffix("_per_h").removesuffix("_h").replace("_", " ")


def phrase(name: str, value: Any) -> str:
    """A value in words, its unit read off the field's name."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{label(k)} {phrase(k, v)}" for k, v in value.items() if k not in HIDDEN)
        kind = str(value.get(TARGET, "")).rpartition(".")[2]
        return f"{kind} ({inner})" if kind and inner else kind or inner
    if isinstance(value, list):
        return ", ".join(f"{n} × {phrase(name, v)}" if n > 1 else phrase(name, v) for v, n in _runs(value))
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        if name.endswith("_per_sqrt_h"):
            return f"{value:.4g} per √h"
        if name.endswith("_per_h"):
            return f"{value:.4g} per h"
        return hours(value) if name.endswith("_h") else f"{value:.4g}" if isinstance(value, float) else str(value)
    return str(value)


def hours(value: float) -> str:
    """A duration in the unit that people would say."""
    if value and abs(value) < 1:
        return f"{value * 60:.3g} min" if abs(value) * 60 >= 1 else f"{value * 3600:.3g} s"
    return f"{value / 24:.4g} days" if value >= 240 and value % 24 == 0 else f"{value:.4g} h"


class Box(NamedTuple):
    x: float
    name: str
    machines: int
    buffer: str | None  # what waits after it


def line(world: Mapping[str, Any]) -> list[Box]:
    """Boxes of a picture of stations in series, where the world's configuration has some."""
    stations, buffers = world.get("stations"), world.get("buffers", [])
    if not isinstance(stations, list) or not isinstance(buffers, list) or not 0 < len(stations) <= 12:
        return []
    rooms = ["∞" if room is None else str(room) for room in buffers] + [None] * len(stations)
    return [
        Box(i * 110.0, f"m{i + 1}", station.get("machines", 1), rooms[i] if i < len(stations) - 1 else None)
        for i, station in enumerate(stations)
    ]
