"""What is drawn, metered and stolen behind a transformer, and the voltages there, from the signals of a trace.

Energies are exact, of intervals between any times; a trace that does not begin where the run began tells what lies
within it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from sim.feeder.names import BATTERY, FEEDER, TRANSFORMER
from sim.feeder.street import fed
from sim.grid.flow import Flow, Flows
from sim.grid.network import Section
from sim.homes import CHARGERS
from sim.homes.power import home_kwh, integral, part_kwh
from sim.trace import Signal, Trace

if TYPE_CHECKING:
    from sim.feeder.feeder import Feeder

Counted = Callable[[np.ndarray], np.ndarray]  # energy up to each of so many times, counted from wherever


def gated_kwh(counted: Counted, gate: Signal, at_h: np.ndarray) -> np.ndarray:
    """Energy in each interval between *at_h* (N + 1, increasing) times what a step signal was meanwhile, float64[N]."""
    inside = gate.time_h[(gate.time_h > at_h[0]) & (gate.time_h < at_h[-1])]
    edges_h = np.union1d(at_h, inside)
    if len(at_h) < 2:
        return np.empty(0)
    pieces = np.diff(counted(edges_h)) * gate.at(edges_h[:-1])
    return np.add.reduceat(pieces, np.searchsorted(edges_h, at_h[:-1]))


def drawn_kwh(world: Feeder, trace: Trace, name: str, at_h: np.ndarray) -> np.ndarray:
    """What one of `Feeder.points` drew in each interval between *at_h*, float64[N]; nothing while all was dark."""
    if name == BATTERY:
        return np.diff(integral(trace[BATTERY, "power"], at_h))
    if name == CHARGERS or name in world.homes.business_names:
        return gated_kwh(lambda t: integral(trace[name, "power"], t), trace[FEEDER, "live"], at_h)
    return gated_kwh(lambda t: home_kwh(world.homes, trace, name, t), trace[FEEDER, "live"], at_h)


def stolen_kwh(world: Feeder, trace: Trace, name: str, at_h: np.ndarray) -> np.ndarray:
    """What passed by a meter in each interval between *at_h*, float64[N]."""
    if name not in world.homes.names:
        return np.zeros(len(at_h) - 1)
    theft, live = trace[name, "theft"], trace[FEEDER, "live"]
    if not theft.value.any():
        return np.zeros(len(at_h) - 1)
    times_h = np.union1d(theft.time_h, live.time_h)
    times_h = times_h[times_h >= max(theft.time_h[0], live.time_h[0])]
    both = Signal.step(times_h, theft.at(times_h) * live.at(times_h))

    def used(t: np.ndarray) -> np.ndarray:
        return home_kwh(world.homes, trace, name, t) - part_kwh(world.homes, trace, name, "panels", t)

    return gated_kwh(used, both, at_h)


def metered_kwh(world: Feeder, trace: Trace, name: str, at_h: np.ndarray) -> np.ndarray:
    """What a meter counted in each interval between *at_h*, float64[N]."""
    return drawn_kwh(world, trace, name, at_h) - stolen_kwh(world, trace, name, at_h)


@dataclass(frozen=True, eq=False)
class Behind:
    """The low-voltage network in T intervals, all of them in one batch; powers by the order of `Feeder.points`."""

    flow: Flow
    flows: Flows
    kw_TxP: np.ndarray
    transformer_loss_kw_T: np.ndarray  # of its windings
    transformer_a_T: np.ndarray  # of a phase, at the low voltage

    @property
    def cable_loss_kw_T(self) -> np.ndarray:
        return self.flows.loss_kw_T - self.transformer_loss_kw_T

    @property
    def transformer_kw_T(self) -> np.ndarray:
        """What it delivers at the busbar."""
        return self.flows.source_kw_T - self.transformer_loss_kw_T

    def voltage_pu_T(self, bus: str) -> np.ndarray:
        return self.flows.voltage_pu_TxB[:, self.flow.buses.index(bus)]

    def current_a_T(self, section: str) -> np.ndarray:
        names = [s.name for s in self.flow.network.sections]
        return self.flows.current_a_TxS[:, names.index(section)]


def behind(world: Feeder, trace: Trace, at_h: np.ndarray, kw_TxP: np.ndarray | None = None) -> Behind:
    """The flow of the mean powers of each interval between *at_h*; without voltage where it was dark throughout.

    Powers are those that were drawn, unless others are given, by the order of `Feeder.points`.
    """
    flow = _flow(world)
    if kw_TxP is None:
        kw_TxP = np.stack([drawn_kwh(world, trace, name, at_h) for name in world.points], 1) / np.diff(at_h)[:, None]
    order = [world.points.index(point.name) for point in flow.network.load_points]
    share = gated_kwh(lambda t: t, trace[FEEDER, "live"], at_h)
    rated = trace[TRANSFORMER, "rated"]
    kva = rated.value[np.searchsorted(rated.time_h, at_h[1:], side="left") - 1]  # just before an interval's end
    live = np.ones((len(kw_TxP), len(flow.network.sections)), bool)
    live[:, : len(world.sizes)] = (np.array(world.sizes) == kva[:, None]) & (share > 0)[:, None]
    found = flow(kw_TxP[:, order], kw_TxP[:, order] * math.tan(math.acos(world.power_factor)), live)
    current = found.current_a_TxS[:, : len(world.sizes)]
    ohm = np.array([s.resistance_ohm for s in flow.network.sections[: len(world.sizes)]])
    return Behind(flow, found, kw_TxP, 3 * (current**2 * ohm).sum(1) / 1000, current.sum(1))


def bus_of(world: Feeder, name: str) -> str:
    """Where a household is connected."""
    return next(point.bus for point in world.wires.load_points if point.name == name)


def head_of(world: Feeder, name: str) -> Section | None:
    """The section between the busbar and the strand on which a household lies; None for one at the busbar itself."""
    bus, busbar = bus_of(world, name), world.wires.sources[0]
    before: dict[str, Section] = {}  # the way back from each bus
    todo = [busbar]
    for here in todo:
        for section in world.wires.sections:
            if not section.open and here in (section.a, section.b):
                far = section.b if section.a == here else section.a
                if far != busbar and far not in before:
                    before[far] = section
                    todo.append(far)
    head = before.get(bus)
    while head is not None and busbar not in (head.a, head.b):
        bus = head.a if head.b == bus else head.b
        head = before[bus]
    return head


@lru_cache(maxsize=8)
def _flow(world: Feeder) -> Flow:
    return Flow(fed(world), world.source_pu)
