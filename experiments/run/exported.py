"""A run's folder as a bundle: the model, where it comes from, and a card that tells both to a person."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from experiments.build import TARGET
from experiments.pages import words
from experiments.report import METRICS, decimals, interval, json_of, number
from experiments.run.model import Model
from experiments.run_dir import config_of, to_yaml
from learn.serving.bundle import Bundle, step_of
from learn.serving.export import Source
from sim.errors import InputError

NOTICE = "Research only, not for clinical use."


def output(name: Any) -> Path:
    """The path to write to, checked before any work is done."""
    path = Path(str(name))
    if path.suffix != ".zip":
        raise InputError(f"output is {path}; its name must end in .zip")
    if not path.absolute().parent.is_dir():
        raise InputError(f"output is {path}; the folder {path.absolute().parent} does not exist")
    return path


def export(run: Path, path: Path, licence: str = "unknown") -> Bundle:
    """Write the model of a run's folder as the bundle *path*; raises InputError where there is no trained one.

    Where the model learned from cleaned data the bundle names the steps of cleaning in its manifest and card, and does
    not take them: readings have to be cleaned before they are given to it.
    """
    if find_spec("flatbuffers") is None:
        raise InputError("to export takes flatbuffers; install it with the extra: pip install -e '.[export]'")
    config, model = config_of(run), Model.load(run)
    source = Source(model.module, model.task, model.context, model.scale, model.roles, model.step_h)
    about = {
        "name": str(config["name"]),
        "steps": model.step,
        "licence": licence,
        "revisions": _revisions(config),
        "notice": NOTICE if _clinical(config) else "",
        "cleaning": model.cleaning.told() if model.cleaning else [],
        "made_with": {key: value for key, value in (json_of(run / "stamp.json") or {}).items() if key != "command"},
    }
    texts = {
        "README.md": card(about, config, json_of(run / "metrics.json") or {}, source),
        "config.yaml": to_yaml(_named_only(config)),
    }
    return source.write(path, about, texts)


def _named_only(value: Any) -> Any:
    """*value* with the names of files in place of their absolute paths, which are nobody else's concern."""
    if isinstance(value, Mapping):
        return {key: _named_only(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_named_only(inner) for inner in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _revisions(config: Mapping[str, Any]) -> dict[str, int]:
    """The revision of the world and of the twin that were seen; none of a table."""
    found = {key: words.located(str((config.get(key) or {}).get(TARGET, ""))) for key in ("world", "twin")}
    return {key: kind.revision for key, kind in found.items() if hasattr(kind, "revision")}


def _clinical(config: Mapping[str, Any]) -> bool:
    """Whether the module of the twin says that it is not for clinical use."""
    import inspect

    kind = words.located(str((config.get("twin") or {}).get(TARGET, "")))
    module = inspect.getmodule(kind) if kind is not None else None
    return "not for clinical use" in " ".join((getattr(module, "__doc__", None) or "").split())


def card(about: Mapping[str, Any], config: Mapping[str, Any], metrics: Mapping[str, Any], source: Source) -> str:
    """The model card as Markdown with YAML front matter."""
    front = ["---", f"license: {about['licence']}", "library_name: jax", "tags: [time-series]", "---", ""]
    asked = words.question(config["task"])
    lines = [*front, f"# {about['name']}", "", asked, ""]
    lines += [about["notice"], ""] if about["notice"] and about["notice"] not in asked else []
    return "\n".join(
        [
            *lines,
            *_use(source),
            *_cleaning(about),
            *_channels(source),
            *_data(about, config),
            *_scores(metrics),
            *_origin(about),
        ]
    )


def _use(source: Source) -> list[str]:
    at = "the newest sample of each window" if source.step_h else "each sample, windows × samples"
    return [
        "## Use",
        "",
        "JAX, NumPy and flatbuffers are all that it takes; the file holds its own loader.",
        "",
        "```python",
        "import sys",
        'sys.path.insert(0, "model.zip")  # this file',
        "from bundle import load",
        "",
        'model = load("model.zip")',
        "told = model.predict(values, at)",
        "```",
        "",
        f"`values` are windows × channels × samples in the units below, or `{{channel: windows × samples}}`; NaN where "
        f"missing. The model sees the newest {source.context} samples. `at` is the time of {at}, local, as datetime64. "
        "`bundle.json` says what it gives, `python model.zip` whether it gives the same here.",
        "",
    ]


def _cleaning(about: Mapping[str, Any]) -> list[str]:
    if not about["cleaning"]:
        return []
    steps = [f"{i}. `{step}`" for i, step in enumerate(map(step_of, about["cleaning"]), 1)]
    return [
        "## Cleaning",
        "",
        "It learned from readings that went through these steps, in this order, and raw ones give other answers. This "
        "file does not take the steps: take them before. `bundle.json` has them with all their numbers.",
        "",
        *steps,
        "",
    ]


def _channels(source: Source) -> list[str]:
    scale = source.scale
    lines = [
        "## Channels",
        "",
        "| channel | unit | of | role | mean ± deviation in training |",
        "|---|---|---|---|---|",
    ]
    for column in zip(scale.names, scale.units, scale.kinds, source.roles, scale.mean, scale.std, strict=True):
        name, unit, kind, role, mean, std = column
        lines.append(f"| {name} | `{unit}` | {kind} | {role} | {mean:.4g} ± {std:.3g} |")
    for frame in source.scale.frames:
        sides = " × ".join(map(str, frame.shape))
        lines.append(f"| {frame.name} | frames of {sides} | | past | {frame.mean:.4g} ± {frame.std:.3g} |")
    step = f"A sample every {source.step_h:g} h." if source.step_h else "Samples come at times of their own."
    free = "Any of them may be left out." if source.any_channels else "All of them have their place; NaN where missing."
    ahead = f" Over the horizon it reads {', '.join(source.ahead)} as well." if source.ahead else ""
    return [*lines, "", f"{step} {free}{ahead}", ""]


def _data(about: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    lines = ["## Training", ""]
    for part in words.parts(config):
        if part.key in ("world", "twin", "source"):
            lines.append(f"- {part.key}: {part.name}. {part.sentence}".rstrip())
    if path := (config.get("source") or {}).get("path"):
        lines.append(f"- table: `{Path(str(path)).name}`")
    if plan := config.get("plan"):
        lines.append(
            "- "
            + ", ".join(f"{key} {plan[key]}" for key in ("train", "validation", "test", "duration_h") if key in plan)
        )
    lines.append(
        f"- {about['steps']} updates of {config['fit']['batch']} windows; the parameters of the lowest validation loss"
    )
    whose = "The data are simulated" if config.get("world") else "The data are observed"
    return [*lines, "", f"{whose}; their licence: {about['licence']}.", ""]


def _scores(metrics: Mapping[str, Any]) -> list[str]:
    if "rows" not in metrics:
        return ["## Scores", "", "It was not scored.", ""]
    primary = metrics["primary"]
    rows = [row for row in metrics["rows"] if row["scores"].get(primary, {}).get("mean") is not None]
    rows = sorted(rows, key=lambda row: row["scores"][primary]["mean"])
    places = decimals([row["scores"][primary]["mean"] for row in rows])
    head = METRICS[primary][0] if primary in METRICS else primary
    lines = ["## Scores", "", f"| | {head} | 95 % interval | skill |", "|---|---|---|---|"]
    for row in rows:
        score, skill = row["scores"][primary], row["skill"]
        share = number(skill["mean"], 2) if isinstance(skill, Mapping) and skill["mean"] is not None else "–"
        cells = (row["name"].replace("_", " "), number(score["mean"], places), interval(score, places), share)
        lines.append(f"| {' | '.join(cells)} |")
    of = f"On {metrics['scored']} windows of the test split, {metrics['clusters']} clusters of them."
    return [*lines, "", f"{of} Skill 0 is the naive baseline, 1 the oracle, which sees the hidden state.", ""]


def _origin(about: Mapping[str, Any]) -> list[str]:
    made = about["made_with"]
    versions, platform, device = (made.get(key) or {} for key in ("versions", "platform", "device"))
    lines = ["## Origin", ""]
    lines += [f"- revision of the {key}: {value}" for key, value in about["revisions"].items()]
    lines += [f"- data `{made['dataset']}`"] if made.get("dataset") else []
    lines += (
        [f"- commit `{made['commit']}`{', changed since' if made.get('dirty') else ''}"] if made.get("commit") else []
    )
    lines += (
        ["- " + ", ".join(f"{name} {version}" for name, version in versions.items() if version)] if versions else []
    )
    lines += [f"- on {platform['processor']}, {device.get('kind', '')}"] if platform else []
    return [*lines, "", "`bundle.json` and `config.yaml` hold all of it; `SHA256SUMS` are its checksums.", ""]
