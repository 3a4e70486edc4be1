"""A study as the configuration says it: one experiment asked again at the points of a grid, each an ordinary run."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml

from sim.errors import InputError, require

MEASURES = (
    "parameters",
    "flops",
    "seconds",
)  # of a training, over which a sweep may be drawn in place of a grid's values
_NAME = re.compile(r"\$(\w+)")


@dataclass(frozen=True)
class Sweep:
    """Every combination of the values of *grid*, put into *set* for `$name`, as on a command line."""

    grid: dict[str, tuple[Any, ...]]
    set: tuple[str, ...]
    x: str = ""  # what it is drawn over: a name of the grid (the first if empty), or parameters, flops or seconds
    label: str = ""  # of that
    log: bool = False
    base: dict[str, Any] | None = None  # values of a first point, at which nothing is set: the experiment as it is
    law: bool = False  # a power law of what is left above the oracle is fitted over x

    def __post_init__(self):
        require(bool(self.grid) and all(self.grid.values()), self, "grid", "at least one name with at least one value")
        object.__setattr__(self, "grid", {name: tuple(values) for name, values in self.grid.items()})
        object.__setattr__(self, "x", self.x or next(iter(self.grid)))
        require(
            self.base is None or set(self.base) == set(self.grid), self, "base", "a value of each name of grid, or null"
        )
        known = (*self.grid, *MEASURES)
        require(self.x in known, self, "x", f"one of {', '.join(known)}")
        used = {name for text in self.set for name in _NAME.findall(text)}
        if used != set(self.grid):
            odd = min(used ^ set(self.grid))
            raise InputError(f"Sweep.set names ${', $'.join(sorted(used))}; ${odd} must be both there and in grid")

    def points(self) -> Iterator[tuple[dict[str, Any], tuple[str, ...]]]:
        """The values of each point, and what they set."""
        if self.base is not None:
            yield {name: self.base[name] for name in self.grid}, ()
        for values in itertools.product(*self.grid.values()):
            named = dict(zip(self.grid, values, strict=True))
            yield named, tuple(_NAME.sub(lambda match, named=named: spelled(named[match[1]]), t) for t in self.set)


class Point(NamedTuple):
    """One run of a study."""

    sweep: str
    values: dict[str, Any]
    variant: str
    seed: int
    overrides: tuple[str, ...]

    def __str__(self) -> str:
        told = [*(f"{name}={value}" for name, value in self.values.items()), *filter(None, [self.variant])]
        return f"study.sweeps.{self.sweep} at {', '.join(told)}, seed {self.seed}"


@dataclass(frozen=True)
class Study:
    """Sweeps over an experiment, each with every variant and every seed of training."""

    name: str
    title: str
    sweeps: dict[str, Sweep]
    variants: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"": ()})  # name: what is set in it
    set: tuple[str, ...] = ()  # at every point
    seeds: tuple[int, ...] = (0,)
    rows: tuple[str, ...] = ("model",)  # of each run's table

    def __post_init__(self):
        require(bool(re.fullmatch(r"\w+", self.name)), self, "name", "letters, digits and _")
        for name in ("sweeps", "variants", "rows", "seeds"):
            require(bool(getattr(self, name)), self, name, "at least one")
        require(len(set(self.seeds)) == len(self.seeds), self, "seeds", "without repetition")

    def points(self, base: Sequence[str]) -> list[Point]:
        """Every point; *base* is what the command line sets."""
        found = []
        for sweep, (variant, more) in itertools.product(self.sweeps, self.variants.items()):
            for values, put in self.sweeps[sweep].points():
                for seed in self.seeds:
                    overrides = (*base, *self.set, *put, *more, f"seed={seed}")
                    found.append(Point(sweep, values, variant, seed, overrides))
        return found


def spelled(value: Any) -> str:
    """A value as a command line has it: null, true, .5, [1,2]."""
    return value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True).split("\n...")[0].strip()
