"""Worlds that differ from run to run: numbers of a twin's configuration, drawn for each world run.

    Varied(twin, {"world.crew": Choices((1, 2, 3)), "world.stations.*.load": Between(0.8, 1.25, log=True)})

A key is a path as on the command line: `world.…` into the twin's world, `twin.…` into the twin itself. A part of it is
a field, the number or the name of an item, or `*`: every item, each with a draw of its own. What run and key draw
depends on nothing else, so that one more key leaves the draws of the others alone.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from scipy import special

from sim.errors import InputError, require
from sim.streams import Streams
from twins.twin import Twin

Value = float | int | str | bool | None
EVERY = "*"
SMALLEST = 2.0**-54


@dataclass(frozen=True)
class Between:
    """Any number from *low* to *high* alike, or its logarithm alike; whole numbers include both."""

    low: float
    high: float
    log: bool = False
    whole: bool = False
    _: KW_ONLY
    relative: bool = False  # the draw multiplies what the configuration says
    each: bool = True  # False: one draw for all that a key with `*` reaches

    def __post_init__(self):
        require(math.isfinite(self.low), self, "low", "finite")
        require(not self.log or self.low > 0, self, "low", "above 0 where the logarithm is drawn")
        require(self.low <= self.high < math.inf, self, "high", "at least low and finite")
        whole = float(self.low).is_integer() and float(self.high).is_integer()
        require(not self.whole or whole, self, "whole", "false where low or high is not whole")
        require(not (self.whole and self.relative), self, "relative", "false where whole numbers are drawn")

    def at(self, u: float) -> Value:
        """The value at the uniform *u* in (0, 1]."""
        low, high = self.low, self.high + self.whole
        share = 1.0 - u
        found = low * (high / low) ** share if self.log else low + (high - low) * share
        found = min(max(found, low), self.high if not self.whole else math.nextafter(high, low))
        return math.floor(found) if self.whole else found


@dataclass(frozen=True)
class Normal:
    """A normal number, cut off below *low* and above *high*."""

    mean: float
    sd: float
    low: float = -math.inf
    high: float = math.inf
    _: KW_ONLY
    relative: bool = False
    each: bool = True

    def __post_init__(self):
        require(math.isfinite(self.mean), self, "mean", "finite")
        require(0 < self.sd < math.inf, self, "sd", "above 0 and finite")
        require(self.low < self.high, self, "high", "above low")
        require(self._ends()[1] > self._ends()[0], self, "low", "such that some of the law lies between low and high")

    def at(self, u: float) -> Value:
        low, high = self._ends()
        found = self.mean + self.sd * float(special.ndtri(max(low + (high - low) * (1.0 - u), SMALLEST)))
        return min(max(found, self.low), self.high)

    def _ends(self) -> tuple[float, float]:
        return tuple(float(special.ndtr((end - self.mean) / self.sd)) for end in (self.low, self.high))  # type: ignore[return-value]


@dataclass(frozen=True)
class Choices:
    """One of *choices*, all alike or by *weights*."""

    choices: tuple[Any, ...]
    weights: tuple[float, ...] | None = None
    _: KW_ONLY
    each: bool = True

    def __post_init__(self):
        object.__setattr__(self, "choices", tuple(self.choices))
        plain = all(c is None or isinstance(c, bool | int | float | str) for c in self.choices)
        require(bool(self.choices) and plain, self, "choices", "at least one, of numbers, texts, true, false and null")
        if self.weights is not None:
            object.__setattr__(self, "weights", tuple(map(float, self.weights)))
            require(len(self.weights) == len(self.choices), self, "weights", f"{len(self.choices)} long, one a choice")
            ok = all(0 <= w < math.inf for w in self.weights) and sum(self.weights) > 0
            require(ok, self, "weights", "at least 0 each and above 0 in all")

    def at(self, u: float) -> Value:
        weights = self.weights or (1.0,) * len(self.choices)
        reached = np.cumsum(weights) / math.fsum(weights)
        kept = [i for i, weight in enumerate(weights) if weight]
        return self.choices[next((i for i in kept if 1.0 - u < reached[i]), kept[-1])]


Draw = Between | Normal | Choices


@dataclass(frozen=True)
class Varied:
    """A twin of which each world run is another: `of(run)` is the one of world run *run*.

    What is the same in all runs, or asked before there is a run, is that of *base*.
    """

    base: Twin
    vary: Mapping[str, Draw]

    def __post_init__(self):
        require(bool(self.vary), self, "vary", "at least one key; without, it is the twin itself")
        object.__setattr__(self, "vary", types.MappingProxyType(dict(self.vary)))
        taken: dict[tuple, str] = {}
        for key in self.vary:
            for path, _, _ in _reached(self.base, key):
                if path in taken:
                    raise InputError(f"{taken[path]} and {key} both vary {_said(path)}; name it once")
                taken[path] = key
        self.drawn(0)

    def of(self, run: int) -> Twin:
        """The twin of world run *run*; raises InputError naming the keys where such a world cannot be."""
        drawn = self._drawn(run)
        try:
            return _changed(self.base, list(drawn.items()))
        except InputError as error:
            told = ", ".join(f"{_said(path)}={value!r}" for path, value in drawn.items())
            raise InputError(f"run {run} would be a world that cannot be, with {told}: {error}") from error

    def drawn(self, run: int) -> dict[str, Value]:
        """What was drawn for world run *run*, by its full key."""
        return {_said(path): value for path, value in self._drawn(run).items()}

    @property
    def world(self) -> Any:
        return self.base.world

    @property
    def revision(self) -> int:
        return self.base.revision

    @property
    def channels(self) -> Any:
        return self.base.channels

    def observe(self, run: Any) -> Any:
        """The episodes of a run of this twin's own, none that was resampled: its seed says of which world it is."""
        return self.of(run.trace.seed).observe(run)

    def render(self, trace: Any, channel: Any, start: int, count: int) -> np.ndarray:
        return self.base.render(trace, channel, start, count)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("base", "vary"):
            raise AttributeError(name)
        return getattr(self.base, name)

    def __reduce__(self):
        return Varied, (self.base, dict(self.vary))

    def _drawn(self, run: int) -> dict[tuple, Value]:
        found: dict[tuple, Value] = {}
        for key, law in self.vary.items():
            for path, now, hint in _reached(self.base, key):
                name = _said(path) if law.each else key
                value = law.at(Streams.uniforms(run, f"vary/{name}", 1)[0])
                if getattr(law, "relative", False):
                    if isinstance(now, bool) or not isinstance(now, int | float):
                        raise InputError(f"{_said(path)} is {now!r}, which a relative draw cannot multiply")
                    value = now * value  # type: ignore[operator]
                found[path] = _fit(value, hint, now, _said(path))
        return found


def twin_of(twin: Twin, run: int) -> Twin:
    """The twin of one world run: *twin* itself, unless runs differ."""
    return twin.of(run) if isinstance(twin, Varied) else twin


def drawn(twin: Twin, run: int) -> dict[str, Value]:
    """What was drawn for one world run: nothing, unless runs differ."""
    return twin.drawn(run) if isinstance(twin, Varied) else {}


def changed(twin: Twin, values: Mapping[str, Value]) -> Twin:
    """*twin* with other values under full keys, each of the type that its field takes."""
    if isinstance(twin, Varied):
        return Varied(changed(twin.base, values), twin.vary)
    found = {
        path: _fit(value, hint, now, _said(path))
        for key, value in values.items()
        for path, now, hint in _reached(twin, key)
    }
    return _changed(twin, list(found.items())) if found else twin


def _reached(twin: Twin, key: str) -> Iterator[tuple[tuple, Any, Any]]:
    """Path, value and type of all that *key* reaches."""
    first, *rest = key.split(".")
    if first not in ("world", "twin") or not rest:
        raise InputError(f"{key} must begin with world. or twin., as in world.{key}")
    return _walk(twin, type(twin), (), ["world", *rest] if first == "world" else rest, key)


def _said(path: tuple) -> str:
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
        raise InputError(f"{key}: there is no {step} in {_said(path) if path else 'the twin'}; {_choice(obj)}")
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


def _changed(obj: Any, changes: Sequence[tuple[tuple, Any]]) -> Any:
    """*obj* with the values at all paths changed at once, each object made anew a single time."""
    if not changes[0][0]:
        return changes[0][1]
    parts, below = _parts(obj), {}
    for (name, *rest), value in changes:
        below.setdefault(name, []).append((tuple(rest), value))
    made = {name: _changed(parts[name], some) for name, some in below.items()}
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


def _fit(value: Value, hint: Any, now: Any, key: str) -> Value:
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
