"""A distribution grid whose sections and transformers fail, and are found, kept apart and mended by crews."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import ClassVar

from sim.errors import InputError, require
from sim.grid import process
from sim.grid import state as states
from sim.grid.config import Action, Replace, Storms, SwitchSection
from sim.grid.feeding import Feeding
from sim.grid.network import Network
from sim.grid.state import BY_HAND, State
from sim.laws import Deterministic, Law
from sim.trace import Run


@dataclass(frozen=True)
class Grid:
    """A radial network with ties, its crews and its weather.

    Failures are Poisson while an element is up, at a rate that storms raise. Protection cuts off at once what hangs on
    a fault; *switching_h* later the fault is kept apart and the rest fed again; a crew mends it. Implements World.
    """

    network: Network
    crews: int | None = None  # None: one for each fault
    switching_h: float = 1.0
    replacement: Law = Deterministic(10.0)
    storms: Storms | None = None

    revision: ClassVar[int] = 2

    def __post_init__(self):
        require(self.crews is None or self.crews >= 1, self, "crews", "None or at least 1")
        require(0 <= self.switching_h < math.inf, self, "switching_h", "at least 0 and finite")
        taken = {"grid", "weather", ""} & {*self.network.elements, *(p.name for p in self.network.load_points)}
        if taken:
            raise InputError(f"Grid.network has a part named {min(taken)!r}, as the grid itself is; name it otherwise")

    def __getstate__(self):
        return {field.name: getattr(self, field.name) for field in fields(self)}  # what is cached is left behind

    @cached_property
    def feeding(self) -> Feeding:
        return Feeding(self.network)

    @cached_property
    def rates(self) -> list[tuple[float, bool]]:
        """Failures an hour of each element in calm weather, and whether storms raise them."""
        owned = [p.transformer for p in self.network.load_points if p.transformer]
        return [
            *((section.failures_per_h, section.exposed) for section in self.network.sections),
            *((transformer.failures_per_h, False) for transformer in owned),
        ]

    def kind(self, element: int) -> str:
        """What an element is by rank: "section" or "transformer"; BY_HAND is a "switch"."""
        return "switch" if element == BY_HAND else "section" if element < len(self.network.sections) else "transformer"

    @cached_property
    def repairs(self) -> list[Law]:
        owned = [p.transformer for p in self.network.load_points if p.transformer]
        return [part.repair for part in (*self.network.sections, *owned)]

    @cached_property
    def signals(self) -> tuple[tuple[tuple[str, str], float], ...]:
        """Every signal of a trace, and its value at 0 h."""
        return (
            *(((name, "up"), 1.0) for name in self.network.elements),
            *(
                ((section.name, "live"), float(live))
                for section, live in zip(self.network.sections, self.feeding.supply(()).live, strict=True)
            ),
            *(((point.name, "fed"), 1.0) for point in self.network.load_points),
            (("grid", "customers_out"), 0.0),
            (("grid", "waiting"), 0.0),
            (("weather", "storm"), 0.0),
        )

    def start(self, seed: int) -> State:
        """Everything up and new, calm weather."""
        return states.start(self, seed)

    def run(self, state: State, until_h: float) -> Run:
        """Run to *until_h*; see `sim.world.World`. Signals and events are listed in the package's docstring."""
        if not state.time_h <= until_h < math.inf:
            raise InputError(f"cannot run to {until_h} h a grid that is at {state.time_h} h")
        return process.run(self, state.copy(), float(until_h))

    def act(self, state: State, action: Action) -> State:
        """A copy of *state* with *action* queued; the next run that takes any time carries it out first."""
        if isinstance(action, SwitchSection):
            known, name = [section.name for section in self.network.sections], action.section
        elif isinstance(action, Replace):
            known, name = list(self.network.elements), action.element
        else:
            raise InputError(f"the action is {action!r}; a grid takes SwitchSection or Replace")
        if name not in known:
            raise InputError(f"no element {name!r} to act on; there is {', '.join(known[:6])} …")
        state = state.copy()
        state.actions.append(action)
        return state

    def resample(self, state: State, seed: int) -> State:
        """A copy with another future: lives, repairs under way and the weather are redrawn, given what is known."""
        return states.resample(self, state.copy(), seed)
