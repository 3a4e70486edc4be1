"""A supply chain: stock points in a tree, each supplied by another or from outside."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import ClassVar

from sim.errors import InputError, require
from sim.supply import process
from sim.supply import state as states
from sim.supply.config import Action, Point
from sim.supply.state import State
from sim.trace import Run


@dataclass(frozen=True)
class Supply:
    """Stock points that order from one another or from outside, and customers who take from them.

    Who asks first is served first, with what is there: the rest waits, or where sales are lost a customer goes without
    it. A supplier ships each part of an order when it has it. At one time reviews come first, then deliveries, then
    demands, each by the rank of the point. Implements World.
    """

    points: tuple[Point, ...]

    revision: ClassVar[int] = 1

    def __post_init__(self):
        object.__setattr__(self, "points", tuple(self.points))
        ok = bool(self.points) and len(set(self.names)) == len(self.points)
        require(ok, self, "points", "at least one Point, each with a name of its own")
        for point in self.points:
            line = [point.name]
            while (supplier := self[line[-1]].supplier) is not None:
                if supplier not in self.names or supplier in line:
                    raise InputError(
                        f"Supply.points: the supplier of {line[-1]!r} is {supplier!r}; it must be another point, not "
                        "one that it supplies itself, or null"
                    )
                line.append(supplier)

    def __getitem__(self, name: str) -> Point:
        """The point of that name; an unknown one is an InputError."""
        if name not in self.names:
            raise InputError(f"no point {name!r} in the supply chain; it has {', '.join(self.names)}")
        return self.points[self.names.index(name)]

    def __getstate__(self):
        return {field.name: getattr(self, field.name) for field in fields(self)}  # what is cached is left behind

    @cached_property
    def names(self) -> tuple[str, ...]:
        """By rank."""
        return tuple(point.name for point in self.points)

    @cached_property
    def suppliers(self) -> tuple[int | None, ...]:
        """The rank of each point's supplier, None for outside."""
        return tuple(None if p.supplier is None else self.names.index(p.supplier) for p in self.points)

    def start(self, seed: int) -> State:
        """Every point with its first stock, nothing on order; every policy is about to look."""
        return states.start(self.points, seed)

    def run(self, state: State, until_h: float) -> Run:
        """Run to *until_h*; see `sim.world.World`. Signals and events are listed in the package's docstring."""
        if not state.time_h <= until_h < math.inf:
            raise InputError(f"cannot run to {until_h} h a supply chain that is at {state.time_h} h")
        return process.run(self.points, self.suppliers, state.copy(), float(until_h))

    def act(self, state: State, action: Action) -> State:
        """A copy of *state* with *action* queued; the next run that takes any time carries it out first."""
        self.check(action)
        state = state.copy()
        state.actions.append(action)
        return state

    def check(self, action: Action) -> None:
        """Refuse what is no action, or is one on a point that is not there."""
        if not isinstance(action, Action):
            raise InputError(f"the action is {action!r}; a supply chain takes PlaceOrder, SetPolicy or Hold")
        assert self[action.point]

    def resample(self, state: State, seed: int) -> State:
        """A copy with another future: the next demands and what is under way are redrawn, given what is known."""
        return states.resample(self.points, state.copy(), seed)
