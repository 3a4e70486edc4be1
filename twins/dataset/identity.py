"""What a configuration is called: plain JSON of nested frozen dataclasses, and back; the hash that names a dataset."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import math
import pydoc
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from sim.errors import InputError

HOUSE = ("sim", "twins")  # packages whose behaviour is told by revisions, which golden files guard


def describe(obj: Any, where: str = "") -> Any:
    """*obj* as plain JSON: the class path and the compared fields of each frozen dataclass, depth first.

    Takes frozen dataclasses, enums, tuples, lists, mappings with string keys, numbers, strings, None, and functions and
    classes by their qualified name; what lies outside the house also by the SHA-256 of its file, so that an edited
    plant is another one. Anything else has no canonical form and raises InputError naming where it is.
    """
    where = where or type(obj).__name__
    if obj is None or isinstance(obj, bool):
        return obj
    if isinstance(obj, Enum):
        return {"_enum": f"{_path(type(obj))}.{obj.name}"}
    if isinstance(obj, np.generic):
        return describe(obj.item(), where)
    if isinstance(obj, str):
        return str(obj)
    if isinstance(obj, int):
        return int(obj)
    if isinstance(obj, float):
        return obj if math.isfinite(obj) else {"_float": repr(obj)}
    if isinstance(obj, tuple | list):
        return [describe(item, f"{where}[{i}]") for i, item in enumerate(obj)]
    if isinstance(obj, Mapping) and all(isinstance(key, str) and not key.startswith("_") for key in obj):
        return {key: describe(obj[key], f"{where}[{key!r}]") for key in sorted(obj)}
    if isinstance(obj, FunctionType | type) and "<" not in _path(obj):
        return {"_name": _path(obj)} | _source(obj)
    if dataclasses.is_dataclass(obj) and type(obj).__dataclass_params__.frozen:  # type: ignore[attr-defined]
        fields = (field.name for field in dataclasses.fields(obj) if field.compare)
        named = {"_class": _path(type(obj))} | _source(type(obj))
        return named | {name: describe(getattr(obj, name), f"{where}.{name}") for name in fields}
    raise InputError(
        f"{where} is {obj!r} ({type(obj).__name__}), which has no canonical form; a configuration is made of frozen "
        "dataclasses, enums, tuples, mappings with string keys, numbers, strings, None and functions with a name"
    )


def revive(told: Any, where: str = "") -> Any:
    """The object that *told* describes: the inverse of `describe`, with tuples for its lists.

    Raises InputError where the code here has no such class, or would describe what it makes otherwise.
    """
    try:
        found = _revived(told)
        same = describe(found, where) == told
    except (InputError, TypeError, ValueError, LookupError, AttributeError, ImportError) as error:
        raise InputError(f"{where or 'it'} cannot be built by the code that is here: {error}") from error
    if not same:
        raise InputError(f"{where or 'it'} is of other code than is here: its fields, or its file, have changed")
    return found


def _revived(told: Any) -> Any:
    if isinstance(told, list):
        return tuple(map(_revived, told))
    if not isinstance(told, dict):
        return told
    if "_float" in told:
        return float(told["_float"])
    if "_enum" in told:
        kind, _, name = told["_enum"].rpartition(".")
        return _located(kind)[name]
    if "_name" in told:
        return _located(told["_name"])
    parts = {name: _revived(value) for name, value in told.items() if not name.startswith("_")}
    if "_class" not in told:
        return parts
    kind = _located(told["_class"])
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen):  # type: ignore[attr-defined]
        raise InputError(f"{told['_class']} is no frozen dataclass")
    given = {field.name for field in dataclasses.fields(kind) if field.init}
    return kind(**{name: value for name, value in parts.items() if name in given})


def _located(path: str) -> Any:
    found = pydoc.locate(path)
    if found is None:
        raise InputError(f"there is no {path}")
    return found


def canonical(description: Any) -> bytes:
    """One byte string for one description."""
    return json.dumps(description, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def identity(description: Any) -> str:
    """SHA-256 of a description, hexadecimal."""
    return hashlib.sha256(canonical(description)).hexdigest()


def _path(named: Any) -> str:
    return f"{named.__module__}.{named.__qualname__}"


def _source(named: Any) -> dict[str, str]:
    """The digest of the file that defines a class or function, unless that lies in the house."""
    if named.__module__.partition(".")[0] in HOUSE:
        return {}
    try:
        file = inspect.getsourcefile(named)
    except TypeError:  # built in
        return {}
    return {"_file": hashlib.sha256(Path(file).read_bytes()).hexdigest()} if file and Path(file).exists() else {}
