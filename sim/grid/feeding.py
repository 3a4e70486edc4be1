"""Who is fed while parts of a grid are at fault: what protection cuts off, what switching gives back.

At a fault the interrupting devices around it open: all that hangs on them is dark. After switching, the zone between
the devices of any kind around the fault is kept apart; the rest is fed again, by its own way or by a tie. Every section
that leaves a source has a breaker there. Ties stay open towards a feeder in which a fault has not been found yet; where
several can feed an island, the first of the list does, and each carries all that lies beyond it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

from sim.grid.network import INTERRUPTING, Network

KEPT = 2  # faults at once, up to which answers are kept: more are rare, and of too many kinds


class Fault(NamedTuple):
    """An element at fault, by rank; isolated once it has been switched apart."""

    element: int
    isolated: bool


class Supply(NamedTuple):
    """What is under voltage."""

    fed: tuple[bool, ...]  # each load point
    live: tuple[bool, ...]  # each section, ties that were closed included


class Feeding:
    """A network's topology; `supply` is the answer, kept for the sets of few faults it was asked for."""

    def __init__(self, network: Network):
        self.network = network
        self.count = len(network.sections)
        self._at: defaultdict[str, list[int]] = defaultdict(list)
        for i, section in enumerate(network.sections):
            self._at[section.a].append(i)
            self._at[section.b].append(i)
        owners = [k for k, point in enumerate(network.load_points) if point.transformer]
        self.owner = dict(zip(range(self.count, self.count + len(owners)), owners, strict=True))
        self._load_kw: defaultdict[str, float] = defaultdict(float)
        for point in network.load_points:
            self._load_kw[point.bus] += point.load_kw
        self._known: dict[object, Supply] = {}

    def __reduce__(self):
        return Feeding, (self.network,)

    def found_at_once(self, element: int, opened: frozenset[int] = frozenset()) -> bool:
        """Whether what protection cuts off is already the least that can be."""
        return element in self.owner or self._zone(element, False, opened) == self._zone(element, True, opened)

    def supply(self, faults: Iterable[Fault], opened: frozenset[int] = frozenset()) -> Supply:
        """What is under voltage while *faults* last and the sections *opened* by hand stay so."""
        key = (frozenset(faults), opened)
        if (found := self._known.get(key)) is None:
            found = self._supply(*key)
            if len(key[0]) <= KEPT:
                self._known[key] = found
        return found

    def _supply(self, faults: frozenset[Fault], opened: frozenset[int]) -> Supply:
        dead_sections: set[int] = set()
        dead_buses: set[str] = set()
        waiting: set[int | None] = set()  # feeders in which a fault has not been found yet
        for element, isolated in faults:
            if element in self.owner:
                continue
            buses, sections = self._zone(element, isolated, opened)
            dead_buses |= buses
            dead_sections |= sections
            if not isolated:
                waiting |= {self._feeder[element]}
        live = {source for source in self.network.sources if source not in dead_buses}

        def passable(i: int) -> bool:
            return i not in dead_sections and i not in opened and not self.network.sections[i].open

        self._spread(live, dead_buses, passable)
        closed: set[int] = set()
        behind: dict[str, tuple[int, ...]] = {}  # the ties by which a bus is fed
        carried_kw: defaultdict[int, float] = defaultdict(float)
        ties = [i for i, s in enumerate(self.network.sections) if s.open and i not in opened and i not in dead_sections]
        while True:
            before = len(closed)
            for i in ties:
                tie = self.network.sections[i]
                if (tie.a in live) == (tie.b in live):
                    continue
                near, far = (tie.a, tie.b) if tie.a in live else (tie.b, tie.a)
                if far in dead_buses or waiting & {self.feeder_of.get(tie.a), self.feeder_of.get(tie.b)}:
                    continue
                island = self._spread({far}, dead_buses | live, passable)
                load_kw, way = sum(self._load_kw[bus] for bus in island), (*behind.get(near, ()), i)
                if all(carried_kw[k] + load_kw <= self.network.sections[k].capacity_kw for k in way):
                    live |= island
                    closed.add(i)
                    behind |= dict.fromkeys(island, way)
                    for k in way:
                        carried_kw[k] += load_kw
            if len(closed) == before:
                break
        dark = {self.owner[element] for element, _ in faults if element in self.owner}
        return Supply(
            tuple(p.bus in live and k not in dark for k, p in enumerate(self.network.load_points)),
            tuple(
                i in closed or (passable(i) and section.a in live and section.b in live)
                for i, section in enumerate(self.network.sections)
            ),
        )

    def _spread(self, live: set[str], barred: set[str], passable: Callable[[int], bool]) -> set[str]:
        """*live*, grown in place over passable sections up to buses that are *barred*."""
        todo = list(live)
        while todo:
            bus = todo.pop()
            for i in self._at[bus]:
                section = self.network.sections[i]
                other = section.b if section.a == bus else section.a
                if other not in live and other not in barred and passable(i):
                    live.add(other)
                    todo.append(other)
        return live

    def _zone(self, element: int, isolated: bool, opened: frozenset[int] = frozenset()) -> tuple[set[str], set[int]]:
        """Buses and sections that a fault on a section makes dead: up to the devices that part them from it.

        Before switching only devices that interrupt by themselves count. A section with a device at the near end is
        spared; one without is within the zone. A source is never within it: there the faulty section is cut off. What
        is open, a tie or by hand, is so at both ends: its own fault takes nothing but itself.
        """
        if self.network.sections[element].open or element in opened:
            return set(), {element}
        stops = ("switch", *INTERRUPTING) if isolated else INTERRUPTING
        sections, buses, todo = {element}, set(), [element]
        while todo:
            i = todo.pop()
            section = self.network.sections[i]
            for bus, device in ((section.a, section.at_a), (section.b, section.at_b)):
                if device in stops or bus in buses or bus in self.network.sources:
                    continue
                buses.add(bus)
                for k in self._at[bus]:
                    beyond = self.network.sections[k]
                    near = beyond.at_a if beyond.a == bus else beyond.at_b
                    if k not in sections and near not in stops and not beyond.open and k not in opened:
                        sections.add(k)
                        todo.append(k)
        return buses, sections

    @cached_property
    def feeder_of(self) -> Mapping[str, int]:
        """A number for each bus but the sources: equal where closed sections join them without passing a source."""
        found: dict[str, int] = {}
        for bus in sorted(self.network.buses - set(self.network.sources)):
            if bus not in found:
                joined = self._spread({bus}, set(self.network.sources), lambda i: not self.network.sections[i].open)
                found |= dict.fromkeys(joined, len(found))
        return found

    @cached_property
    def _feeder(self) -> list[int | None]:
        """The feeder of each section."""
        return [self.feeder_of.get(s.b, self.feeder_of.get(s.a)) for s in self.network.sections]
