"""What a distribution grid is made of: buses joined by sections, what switches them, and who is fed.

A section has a device at either end, or none. A *breaker* or *fuse* interrupts a fault by itself; a *switch* (a
disconnector) is opened by hand afterwards and keeps what is faulty apart. An *open* section is a tie: a normally open
point, closed to feed what has lost its own way to a source.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Literal

from sim.errors import InputError, require
from sim.laws import Deterministic, Law

YEAR_H = 8760.0
DEVICES = ("", "switch", "fuse", "breaker")
INTERRUPTING = ("fuse", "breaker")

Device = Literal["", "switch", "fuse", "breaker"]


@dataclass(frozen=True)
class Section:
    """A line or cable from *a* to *b*. Its failures are Poisson while it is up."""

    name: str
    a: str
    b: str
    length_km: float = 1.0
    failures_per_km_year: float = 0.065
    repair: Law = Deterministic(5.0)  # from the fault on, once a crew is there
    at_a: Device = ""
    at_b: Device = ""
    open: bool = False
    capacity_kw: float = math.inf  # of a tie: mean load that it can take over
    resistance_ohm: float = 0.0  # of a phase, over its whole length; 0 with no reactance: not known
    reactance_ohm: float = 0.0
    exposed: bool = True  # storms raise the rate of its failures

    def __post_init__(self):
        require(bool(self.name) and "/" not in self.name, self, "name", "some text without a slash")
        require(self.a != self.b, self, "b", f"another bus than {self.a!r}")
        for name in ("length_km", "failures_per_km_year", "resistance_ohm", "reactance_ohm"):
            require(0 <= getattr(self, name) < math.inf, self, name, "at least 0 and finite")
        for name in ("at_a", "at_b"):
            require(getattr(self, name) in DEVICES, self, name, "'', 'switch', 'fuse' or 'breaker'")
        require(self.capacity_kw > 0, self, "capacity_kw", "above 0")

    @property
    def failures_per_h(self) -> float:
        return self.failures_per_km_year * self.length_km / YEAR_H


@dataclass(frozen=True)
class Transformer:
    """The transformer of a load point, behind a fuse of its own: its failures cut off nobody else."""

    failures_per_year: float = 0.015
    repair: Law = Deterministic(200.0)

    def __post_init__(self):
        require(0 <= self.failures_per_year < math.inf, self, "failures_per_year", "at least 0 and finite")

    @property
    def failures_per_h(self) -> float:
        return self.failures_per_year / YEAR_H


@dataclass(frozen=True)
class LoadPoint:
    """Customers fed from a bus, by a transformer or directly."""

    name: str
    bus: str
    customers: int = 1
    load_kw: float = 1.0  # mean, of all of them together
    transformer: Transformer | None = None
    load_kvar: float = 0.0

    def __post_init__(self):
        require(bool(self.name) and "/" not in self.name, self, "name", "some text without a slash")
        require(self.customers >= 0, self, "customers", "at least 0")
        require(0 <= self.load_kw < math.inf, self, "load_kw", "at least 0 and finite")
        require(math.isfinite(self.load_kvar), self, "load_kvar", "finite")


@dataclass(frozen=True)
class Network:
    """Sections and load points around *sources*. In its normal state it is radial: no section closes a loop."""

    sources: tuple[str, ...]
    sections: tuple[Section, ...]
    load_points: tuple[LoadPoint, ...]
    voltage_kv: float = 11.0  # nominal, between phases

    def __post_init__(self):
        for name in ("sources", "sections", "load_points"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        require(0 < self.voltage_kv < math.inf, self, "voltage_kv", "above 0 and finite")
        require(bool(self.sources), self, "sources", "the name of at least one bus")
        require(bool(self.sections), self, "sections", "at least one Section")
        counted = Counter([*self.elements, *(point.name for point in self.load_points)])
        twice = [name for name, times in counted.items() if times > 1]
        if twice:
            raise InputError(
                f"Network has two parts named {twice[0]!r}; each section and load point needs its own name"
            )
        for bus in (*self.sources, *(point.bus for point in self.load_points)):
            if bus not in self.buses:
                raise InputError(f"Network has no bus {bus!r}: no section ends there; there is {_few(self.buses)}")
        self._check_radial()

    def __getstate__(self):
        return {field.name: getattr(self, field.name) for field in fields(self)}  # what is cached is left behind

    def _check_radial(self) -> None:
        """Refuse a loop, and an island without a source."""
        root = {bus: bus for bus in self.buses}

        def find(bus: str) -> str:
            while root[bus] != bus:
                root[bus] = bus = root[root[bus]]
            return bus

        for source in self.sources[1:]:  # to join two sources is a loop as well
            root[find(source)] = find(self.sources[0])
        for section in self.sections:
            if section.open:
                continue
            a, b = find(section.a), find(section.b)
            if a == b:
                raise InputError(
                    f"Network.sections: {section.name!r} closes a loop between {section.a!r} and {section.b!r}; open "
                    "one of the loop's sections, since a radial network is fed by one way"
                )
            root[a] = b
        apart = sorted(bus for bus in self.buses if find(bus) != find(self.sources[0]))
        if apart:
            raise InputError(f"Network: no closed section leads from a source to {_few(apart)}; join the island to one")

    @cached_property
    def buses(self) -> frozenset[str]:
        return frozenset(bus for section in self.sections for bus in (section.a, section.b))

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """What can fail, by rank: every section, and the transformer of every load point that has one."""
        return (*(s.name for s in self.sections), *(_of(p) for p in self.load_points if p.transformer))

    @cached_property
    def customers(self) -> int:
        return sum(point.customers for point in self.load_points)

    def scaled(self, factor: float) -> Network:
        """The same with every rate of failures times *factor*."""

        def worse(point: LoadPoint) -> LoadPoint:
            t = point.transformer
            return (
                replace(point, transformer=replace(t, failures_per_year=t.failures_per_year * factor)) if t else point
            )

        sections = [replace(s, failures_per_km_year=s.failures_per_km_year * factor) for s in self.sections]
        return replace(self, sections=tuple(sections), load_points=tuple(map(worse, self.load_points)))


def _of(point: LoadPoint) -> str:
    """The name of a load point's transformer."""
    return f"{point.name}.transformer"


def _few(names: Iterable[str]) -> str:
    found = sorted(names)
    return ", ".join(found[:6]) + (" …" if len(found) > 6 else "")
