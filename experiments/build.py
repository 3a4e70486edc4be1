"""From a resolved configuration to typed objects, every value checked against the field that takes it.

Hydra's `_target_` convention, with more help: lists become the tuples that frozen dataclasses declare, a field that
takes one dataclass needs no `_target_`, a value of the wrong type is refused, and every refusal names the key.
"""

from __future__ import annotations

import contextlib
import difflib
import inspect
import pydoc
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from sim.errors import InputError

TARGET = "_target_"


def build(node: Any, key: str = "") -> Any:
    """The object that *node* (plain dicts, lists and values) describes; raises InputError naming the key."""
    if isinstance(node, Mapping):
        parts = {str(k): build(v, _join(key, k)) for k, v in node.items() if k != TARGET}
        return call(_locate(node[TARGET], key), parts, key) if TARGET in node else parts
    if isinstance(node, list):
        return [build(item, _join(key, i)) for i, item in enumerate(node)]
    return node


def targets(node: Any) -> set[str]:
    """Whatever *node* names to be built, at any depth."""
    if isinstance(node, Mapping):
        own = {str(node[TARGET])} if TARGET in node else set()
        return own.union(*map(targets, node.values()))
    return set().union(*map(targets, node)) if isinstance(node, list) else set()


def call(target: Callable[..., Any], values: Mapping[str, Any], key: str = "") -> Any:
    """`target(**values)` after a check of names and types."""
    parameters = inspect.signature(target).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    unknown = [] if open_ended else [name for name in values if name not in parameters]
    if unknown:
        near = difflib.get_close_matches(unknown[0], parameters, n=1)
        if near:
            raise InputError(f"{_join(key, unknown[0])} is unknown to {target.__name__}; did you mean {near[0]}?")
        wrong, are = [_join(key, name) for name in unknown], "is" if len(unknown) == 1 else "are"
        raise InputError(
            f"{' and '.join(wrong)} {are} unknown to {target.__name__}; it takes {', '.join(parameters) or 'nothing'}; "
            f"leave out what is of another: {' '.join(f'~{each}' for each in wrong)}"
        )
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in values and parameter.kind is not parameter.VAR_KEYWORD:
            raise InputError(f"{_join(key, name)} is missing; {target.__name__} needs it")
    hints = _hints(target)
    checked = {name: fit(value, hints.get(name, Any), _join(key, name)) for name, value in values.items()}
    try:
        return target(**checked)
    except InputError as error:
        own = f"{target.__name__}."
        text = str(error)
        raise InputError(f"{_join(key, '')}{text.removeprefix(own)}" if text.startswith(own) else text) from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{key or target.__name__}: {error}") from error


def fit(value: Any, hint: Any, key: str) -> Any:
    """*value* as the type *hint* wants it (a list for a tuple, an int for a float); raises InputError otherwise."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any or hint is inspect.Parameter.empty or isinstance(hint, typing.TypeVar):
        return value
    if origin in (Union, types.UnionType):
        return _any_of(value, args, key)
    if origin is Literal:
        return value if value in args else _refuse(value, key, "one of " + ", ".join(map(repr, args)))
    if origin is typing.Annotated:
        return fit(value, args[0], key)
    if hint is None or hint is type(None):
        return None if value is None else _refuse(value, key, "null")
    if hint is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return float(value) if number else _refuse(value, key, "a number")
    if hint is int:
        whole = (isinstance(value, int) and not isinstance(value, bool)) or (
            isinstance(value, float) and value.is_integer()
        )
        return int(value) if whole else _refuse(value, key, "a whole number")
    if hint in (str, bool):
        return value if isinstance(value, hint) else _refuse(value, key, {str: "text", bool: "true or false"}[hint])
    if hint is Path:
        return Path(value) if isinstance(value, (str, Path)) else _refuse(value, key, "a path")
    kind = origin or hint
    if not isinstance(kind, type) or kind is Callable or kind is Callable.__class__:
        return value
    if issubclass(kind, Enum):
        return _enum(value, kind, key)
    if kind is tuple and not hasattr(kind, "_fields"):
        return _tuple(value, args, key)
    if kind is list or (kind in (Sequence, Iterable) and not isinstance(value, str)):
        items = value if isinstance(value, (list, tuple)) else _refuse(value, key, "a list")
        return [fit(v, args[0] if args else Any, _join(key, i)) for i, v in enumerate(items)]
    if issubclass(kind, Mapping):
        entries = value if isinstance(value, Mapping) else _refuse(value, key, "a mapping")
        return {k: fit(v, args[1] if args else Any, _join(key, k)) for k, v in entries.items()}
    if is_dataclass(kind) and isinstance(value, Mapping):
        return call(kind, value, key)
    if getattr(kind, "_is_protocol", False):
        plain = value is None or isinstance(value, (str, int, float, list, tuple, dict))
        return _refuse(value, key, f"a {kind.__name__} (a node with _target_)") if plain else value
    return value if isinstance(value, kind) else _refuse(value, key, f"a {kind.__name__} (a node with _target_)")


def _any_of(value: Any, hints: tuple[Any, ...], key: str) -> Any:
    kinds = [hint for hint in hints if hint is not type(None)]
    if value is None and len(kinds) < len(hints):
        return None
    for hint in sorted(kinds, key=lambda kind: kind is not type(value)):  # an int stays one where a float would do too
        try:
            return fit(value, hint, key)
        except InputError as error:
            if len(kinds) == 1:
                raise InputError(f"{error}, or null") from None
    return _refuse(value, key, " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds))


def _tuple(value: Any, args: tuple[Any, ...], key: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        _refuse(value, key, "a list")
    if len(args) == 2 and args[1] is Ellipsis:
        args = (args[0],) * len(value)
    if args and len(args) != len(value):
        _refuse(value, key, f"a list of {len(args)}")
    return tuple(
        fit(v, a, _join(key, i)) for i, (v, a) in enumerate(zip(value, args or (Any,) * len(value), strict=True))
    )


def _enum(value: Any, kind: type[Enum], key: str) -> Enum:
    try:
        return kind(value)
    except ValueError:
        return _refuse(value, key, "one of " + ", ".join(str(member.value) for member in kind))


def _refuse(value: Any, key: str, wanted: str) -> Any:
    words = {None: "null", True: "true", False: "false"}  # as in a configuration
    plain = words[value] if value is None or isinstance(value, bool) else repr(value)
    shown = f"a {type(value).__name__}" if is_dataclass(value) else plain
    raise InputError(f"{key} is {shown if len(shown) <= 120 else shown[:119] + '…'}; it must be {wanted}")


def _hints(target: Callable[..., Any]) -> dict[str, Any]:
    """The type of each parameter, but for those that exist for the type checker alone."""
    if inspect.isclass(target) and is_dataclass(target):  # a field's hint is a name of its class's module
        owners = [(vars(sys.modules[kind.__module__]), inspect.get_annotations(kind)) for kind in target.__mro__[::-1]]
    else:
        made = target.__init__ if inspect.isclass(target) else target
        owners = [(getattr(made, "__globals__", {}), getattr(made, "__annotations__", {}))]
    found = {}
    for names, hints in owners:
        for name in hints.keys() & inspect.signature(target).parameters.keys():
            with contextlib.suppress(NameError):
                found |= typing.get_type_hints(types.SimpleNamespace(__annotations__={name: hints[name]}), names)
    return found


def _locate(path: Any, key: str) -> Callable[..., Any]:
    try:
        found = pydoc.locate(str(path))
    except pydoc.ErrorDuringImport as error:
        raise InputError(f"{_join(key, TARGET)} is {path!r}, whose import fails: {error.value}") from error
    if not callable(found):
        raise InputError(f"{_join(key, TARGET)} is {path!r}, which does not exist; it must be package.module.Name")
    return found


def _join(key: str, part: Any) -> str:
    return f"{key}.{part}" if key else str(part)
