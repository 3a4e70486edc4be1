"""Worlds that differ from run to run: numbers of a twin's configuration, drawn for each world run.

    Varied(twin, {"world.crew": Choices((1, 2, 3)), "world.stations.*.load": Between(0.8, 1.25, log=True)})

A key is a path as in `twins.paths`; where it says `*`, each item has a draw of its own. What run and key draw depends
on nothing else, so that one more key leaves the draws of the others alone.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from scipy import special

from sim.errors import InputError, require
from sim.streams import Streams
from twins.paths import Value, fitted, reached, rebuilt, said
from twins.twin import Twin

SMALLEST = 2.0**-54
SHOWN = 4  # draws that a message names


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
            for path, _, _ in reached(self.base, key):
                if path in taken:
                    raise InputError(f"{taken[path]} and {key} both vary {said(path)}; name it once")
                taken[path] = key
        self.drawn(0)

    def of(self, run: int) -> Twin:
        """The twin of world run *run*; raises InputError naming the keys where such a world cannot be."""
        drawn = self._drawn(run)
        try:
            return rebuilt(self.base, list(drawn.items()))
        except InputError as error:
            why = str(error)
            first = sorted(drawn.items(), key=lambda draw: repr(draw[1]) not in why)  # those that it speaks of
            shown = ", ".join(f"{said(path)}={value!r}" for path, value in first[:SHOWN]) + ", …" * (len(first) > SHOWN)
            raise InputError(f"run {run} would be a world that cannot be, with {shown}: {why}") from error

    def drawn(self, run: int) -> dict[str, Value]:
        """What was drawn for world run *run*, by its full key."""
        return {said(path): value for path, value in self._drawn(run).items()}

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
            for path, now, hint in reached(self.base, key):
                name = said(path) if law.each else key
                value = law.at(Streams.uniforms(run, f"vary/{name}", 1)[0])
                if getattr(law, "relative", False):
                    if isinstance(now, bool) or not isinstance(now, int | float):
                        raise InputError(f"{said(path)} is {now!r}, which a relative draw cannot multiply")
                    value = now * value  # type: ignore[operator]
                found[path] = fitted(value, hint, now, said(path))
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
        path: fitted(value, hint, now, said(path))
        for key, value in values.items()
        for path, now, hint in reached(twin, key)
    }
    return rebuilt(twin, list(found.items())) if found else twin
