"""The whole truth about a grid at one time, and how its hidden draws are made anew."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from sim.grid.config import Action
from sim.laws import Deterministic, Exponential, Law, residual_h
from sim.streams import Streams

if TYPE_CHECKING:
    from sim.grid.grid import Grid

UNIT_LIFE = Exponential(1.0)
GAP, LENGTH = "storm/gap", "storm/length"
BY_HAND = -1  # in the place of an element at fault: a switch opened by hand


@dataclass(slots=True)
class Element:
    """A section or a transformer. It fails when the hazard since its renewal has used up an exponential threshold."""

    left: float  # of the threshold, as of since_h
    since_h: float = 0.0
    fails_h: float = math.inf
    up: bool = True
    isolated: bool = False  # while it is at fault: switched apart
    isolates_h: float = math.inf
    replaced: bool = False  # a new one is put in its place, instead of a repair
    begun_h: float = math.inf  # when a crew came
    mended_h: float = math.inf
    lost_kwh: float = 0.0  # not supplied because of its present fault, so far


class Dark(NamedTuple):
    """A load point that is not fed."""

    since_h: float
    cause: int  # the element at fault, by rank, or BY_HAND
    counted_h: float  # until when the energy is on its cause's account


@dataclass(slots=True)
class State:
    """A grid at `time_h`, before what is due at that very time."""

    seed: int
    time_h: float
    elements: list[Element]  # by rank
    dark: list[Dark | None]  # of each load point
    live: tuple[bool, ...]  # each section
    streams: Streams
    waiting: list[int] = field(default_factory=list)  # elements that wait for a crew, first come first
    busy: int = 0  # crews at work
    opened: list[int] = field(default_factory=list)  # sections opened by hand
    storm: bool = False
    storm_since_h: float = 0.0
    storm_h: float = math.inf  # when it ends, or the next begins
    actions: list[Action] = field(default_factory=list)  # to be carried out first by the next run that takes any time
    open: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)  # the breakpoint in force

    def copy(self) -> State:
        return replace(
            self,
            elements=[replace(element) for element in self.elements],
            dark=self.dark[:],
            streams=self.streams.copy(),
            waiting=self.waiting[:],
            opened=self.opened[:],
            actions=self.actions[:],
            open=self.open.copy(),
        )


def start(grid: Grid, seed: int) -> State:
    names = grid.network.elements
    per_element = (f"{name}/{kind}" for name in names for kind in ("life", "repair", "replacement"))
    streams = Streams(seed, (*per_element, GAP, LENGTH))
    elements = [Element(streams[f"{name}/life"].draw(UNIT_LIFE)) for name in names]
    s = State(seed, 0.0, elements, [None] * len(grid.network.load_points), grid.feeding.supply(()).live, streams)
    if grid.storms:
        s.storm_h = streams[GAP].draw(grid.storms.gap)
    for i in range(len(elements)):
        s.elements[i].fails_h = fails_h(grid, s, i)
    s.open = {key: (0.0, value) for key, value in grid.signals}
    return s


def rate_per_h(grid: Grid, s: State, i: int) -> float:
    """The hazard of an element that is up."""
    base, exposed = grid.rates[i]
    return base * grid.storms.factor if grid.storms and s.storm and exposed else base


def fails_h(grid: Grid, s: State, i: int) -> float:
    element, rate = s.elements[i], rate_per_h(grid, s, i)
    return element.since_h + element.left / rate if rate else math.inf


def work(grid: Grid, s: State, i: int) -> Law:
    """How long a crew takes over an element."""
    return grid.replacement if s.elements[i].replaced else grid.repairs[i]


def resample(grid: Grid, s: State, seed: int) -> State:
    """Redraw, in place, every life that runs, every repair under way and the storm, given how long each has taken."""
    s.seed, s.streams = seed, s.streams.rekeyed(seed)
    uniforms = iter(Streams.uniforms(seed, "resample", len(s.elements) + 1))

    def redraw(law: Law, since_h: float, due_h: float, q: float) -> float:
        return due_h if isinstance(law, Deterministic) else s.time_h + residual_h(law, s.time_h - since_h, q)

    for i, element in enumerate(s.elements):
        q = next(uniforms)
        if element.up:
            element.left, element.since_h = -math.log(q), s.time_h
            element.fails_h = fails_h(grid, s, i)
        elif element.mended_h < math.inf:
            element.mended_h = redraw(work(grid, s, i), element.begun_h, element.mended_h, q)
    if grid.storms:
        law = grid.storms.length if s.storm else grid.storms.gap
        s.storm_h = redraw(law, s.storm_since_h, s.storm_h, next(uniforms))
    return s
