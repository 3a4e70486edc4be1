"""`vary` of a configuration: which numbers of the world, or of its twin, are drawn anew for each world run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from experiments.build import call
from sim.errors import InputError
from twins.varied import Between, Choices, Normal, Varied

KINDS = {"choices": Choices, "mean": Normal, "low": Between}  # told by the first of these that is there
WANTED = "{low, high}, {choices: […]}, or {mean, sd}"


def vary(twin: Any, node: Any) -> Any:
    """*twin*, or one whose worlds differ as *node* says; raises InputError naming the key."""
    if not node:
        return twin
    if not isinstance(node, Mapping):
        raise InputError(f"vary is {node!r}; it must be a mapping of keys, as in vary.world.crew={WANTED}")
    try:
        return Varied(twin, dict(laws(node, "vary", KINDS, WANTED)))
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith("vary.") else f"vary: {text}") from error


def laws(node: Mapping[str, Any], root: str, kinds: Mapping[str, type], wanted: str, key: str = "") -> Iterator[Any]:
    """(key, law) of each law under *root*, its full key written in one (`world.crew:`) or level by level.

    *kinds* are the classes of laws, told by the first of their fields that is there. Raises InputError naming the key.
    """
    for name, value in node.items():
        path = f"{key}.{name}" if key else str(name)
        if not isinstance(value, Mapping) or not value:
            raise InputError(f"{root}.{path} is {value!r}; it must be {wanted}")
        kind = next(
            (kind for told, kind in kinds.items() if told in value and not isinstance(value[told], Mapping)), None
        )
        below = value if kind is None else {k: v for k, v in value.items() if isinstance(v, Mapping)}
        if kind is not None:
            yield path, call(kind, {k: v for k, v in value.items() if k not in below}, f"{root}.{path}")
        yield from laws(below, root, kinds, wanted, path)
