"""Values of a twin's configuration by the key that the command line gives them, and a twin with other values there.

A key is a path: `world.…` into the twin's world, `twin.…` into the twin itself. A part of it is a field, the number or
the name of an item, or `*` for every item.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

from sim.errors import InputError
from twins.twin import Twin

Value = float | int | str | bool | None
EVERY = "*"


def reached(twin: Twin, key: str) -> Iterator[tuple[tuple, Any, Any]]:
    """Path, value and type of all that *key* reaches."""
    first, *rest = key.split(".")
    if first not in ("world", "twin") or not rest:
        raise InputError(f"{key} must begin with world. or twin., as in world.{key}")
    return _walk(twin, type(twin), (), ["world", *rest] if first == "world" else rest, key)


def said(path: tuple) -> str:
    """A path as a key: what begins with the twin's `world` says so, the rest that it is the twin's."""
    told = ".".join(map(str, path))
    return told if path[0] == "world" else f"twin.{told}"


def _walk(obj: Any, hint: Any, path: tuple, steps: Sequence[str], key: str) -> Iterator[tuple[tuple, Any, Any]]:
    if not steps:
        if dataclasses.is_dataclass(obj) or isinstance(obj, Mapping | tuple | list):
            raise InputError(f"{key} is a {type(obj).__name__}; name a number in it: {_choice(obj)}")
        yield path, obj, hint
        return
    step, *rest = steps
    parts = _parts(obj)
    names = list(parts) if step == EVERY else [name for name in (_named(obj, step),) if name in parts]
    if not names:
        raise InputError(f"{key}: there is no {step} in {said(path) if path else 'the twin'}; {_choice(obj)}")
    for name in names:
        yield from _walk(parts[name], _hint(obj, hint, name), (*path, name), rest, key)


def _parts(obj: Any) -> dict[Any, Any]:
    if dataclasses.is_dataclass(obj) and not isinstance(obj, type):
        return {field.name: getattr(obj, field.name) for field in dataclasses.fields(obj) if field.init}
    if isinstance(obj, Mapping):
        return dict(obj)
    return dict(enumerate(obj)) if isinstance(obj, tuple | list) else {}


def _named(obj: Any, step: str) -> Any:
    """The field, key or number of an item that *step* says: by its number, or by the name that it has."""
    if not isinstance(obj, tuple | list) or step.isdecimal():
        return int(step) if step.isdecimal() and isinstance(obj, tuple | list) else step
    return next((i for i, item in enumerate(obj) if getattr(item, "name", None) == step), None)


def _choice(obj: Any) -> str:
    parts = _parts(obj)
    if not parts:
        return f"it is {obj!r}"
    if isinstance(obj, tuple | list):
        return f"it has the items 0 to {len(obj) - 1}"
    return f"it has {', '.join(map(str, parts))}"


def rebuilt(obj: Any, changes: Sequence[tuple[tuple, Any]]) -> Any:
    """*obj* with the values at all paths changed at once, each object made anew a single time."""
    if not changes[0][0]:
        return changes[0][1]
    parts, below = _parts(obj), {}
    for (name, *rest), value in changes:
        below.setdefault(name, []).append((tuple(rest), value))
    made = {name: rebuilt(parts[name], some) for name, some in below.items()}
    if isinstance(obj, Mapping):
        return {**obj, **made}
    if isinstance(obj, tuple | list):
        return type(obj)(made.get(i, item) for i, item in enumerate(obj))
    return dataclasses.replace(obj, **made)


def _hint(obj: Any, hint: Any, name: Any) -> Any:
    """The declared type of one part of *obj*; Any where it is not told."""
    if dataclasses.is_dataclass(obj):
        return _hints(type(obj)).get(name, Any)
    for kind in _kinds(hint):
        args = [arg for arg in typing.get_args(kind) if arg is not Ellipsis]
        if typing.get_origin(kind) is tuple and args:
            return args[name] if len(args) > 1 and name < len(args) else args[0]
        if args:
            return args[-1]
    return Any


@lru_cache(maxsize=256)
def _hints(kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except NameError:  # a name that is there for the type checker alone
        return {}


def _kinds(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def fitted(value: Value, hint: Any, now: Any, key: str) -> Value:
    """*value* as the field takes it; raises InputError where it takes no such thing."""
    if hint is Any:
        hint = type(now) if isinstance(now, bool | int | float | str) else Any
    kinds = _kinds(hint)
    texts = [text for kind in kinds if typing.get_origin(kind) is Literal for text in typing.get_args(kind)]
    if hint is Any or value in texts or type(value) in kinds or (value is None and type(None) in kinds):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        if float in kinds:
            return float(value)
        if int in kinds and float(value).is_integer():
            return int(value)
    wanted = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
    whole = "; draw whole numbers (whole: true)" if int in kinds and isinstance(value, float) else ""
    raise InputError(f"{key} would be {value!r}; it takes {wanted}{whole}")
