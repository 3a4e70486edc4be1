"""`vary` of a configuration: which numbers of the world, or of its twin, are drawn anew for each world run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.build import call
from sim.errors import InputError
from twins.varied import Between, Choices, Draw, Normal, Varied

KINDS = {"choices": Choices, "mean": Normal, "low": Between}  # told by the first of these that is there
WANTED = "{low, high}, {choices: […]}, or {mean, sd}"


def vary(twin: Any, node: Any) -> Any:
    """*twin*, or one whose worlds differ as *node* says; raises InputError naming the key."""
    if not node:
        return twin
    if not isinstance(node, Mapping):
        raise InputError(f"vary is {node!r}; it must be a mapping of keys, as in vary.world.crew={WANTED}")
    try:
        return Varied(twin, dict(_draws(node, "")))
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith("vary.") else f"vary: {text}") from error


def _draws(node: Mapping[str, Any], key: str) -> Any:
    """Each law by its full key, which may be written in one (`world.crew:`) or level by level."""
    for name, value in node.items():
        path = f"{key}.{name}" if key else str(name)
        if not isinstance(value, Mapping) or not value:
            raise InputError(f"vary.{path} is {value!r}; it must be {WANTED}")
        kind = next(
            (kind for told, kind in KINDS.items() if told in value and not isinstance(value[told], Mapping)), None
        )
        if kind is None:
            yield from _draws(value, path)
            continue
        law: Draw = call(kind, value, f"vary.{path}")
        yield path, law
