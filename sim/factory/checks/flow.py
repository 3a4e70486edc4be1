"""Flow: a factory that is a line, networks of queues with re-entrance and rework, product mix, and Little's law."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.errors import require
from sim.factory import theory
from sim.factory.checks import measure
from sim.factory.config import Arrivals, Branch, Component, Conwip, Operation, Phase, Product, Saturated, Station
from sim.factory.factory import Factory
from sim.laws import Deterministic, Exponential, Gamma, Law, Lognormal, Scaled
from sim.line import Line, Sudden
from sim.line import Station as LineStation
from sim.line.theory import mm1_number, serial_line
from sim.steady import Estimate
from sim.streams import Stream, stream_key
from sim.verify import Replicated, Target


def _serial(stations: tuple[Station, ...], cycles: tuple[Law, ...]) -> Factory:
    route = tuple(Operation(s.name, cycle) for s, cycle in zip(stations, cycles, strict=True))
    return Factory(stations, (Product("part", route, Saturated()),))


@dataclass(frozen=True, kw_only=True)
class SameAsLine(Replicated):
    """A factory that is a serial line finishes every part when `sim.line` does, from the same draws.

    The fault makes the factory's cycles longer.
    """

    cycles: tuple[Law, ...] = (Gamma(1.0, 0.5), Exponential(1.0), Lognormal(1.0, 0.8))
    buffer: int = 3
    life: Law = Exponential(40.0)  # of each machine, in operation
    repair: Law = Lognormal(3.0, 0.6)
    length_h: float = 2e4
    replications: int = 1
    looks: int = 1

    def targets(self):
        source = "sim.line, which is checked by itself"
        return [Target("largest deviation (h)", 0.0, source, 1e-9, True, "an identity, to rounding")]

    def replicate(self, seed):
        sudden, count = Sudden(self.life), len(self.cycles)
        stations = tuple(LineStation(cycle, sudden=sudden, repair=self.repair) for cycle in self.cycles)
        line = Line(stations, (self.buffer,) * (count - 1))
        known = line.run(line.start(seed), self.length_h).trace[line.machines[-1], "parts"].time_h
        rooms = tuple(Station(m, room=self.buffer, sudden=sudden, repair=self.repair) for m in line.machines)
        factory = _serial(rooms, self.cycles)
        state = factory.start(seed)
        for k, name in enumerate(line.machines):
            state.streams[f"{name}/part.{k}"] = Stream(stream_key(seed, f"{name}/cycle"))
        if self.fault:
            factory = _serial(rooms, tuple(Deterministic(c.mean_h * (1 + self.fault)) for c in self.cycles))
        found = factory.run(state, self.length_h).trace[line.machines[-1], "parts"].time_h
        common = min(len(known), len(found))
        return [float(np.abs(known[:common] - found[:common]).max()) + abs(len(known) - len(found))]

    def estimates(self, samples, alpha):
        return [Estimate(float(np.max(samples)), 0.0)]


@dataclass(frozen=True, kw_only=True)
class Serial(Replicated):
    """Throughput of a factory that is an unreliable exponential line. The fault makes every cycle longer."""

    rates_per_h: tuple[float, ...] = (1.0, 1.2, 0.9)
    buffers: tuple[int, ...] = (2, 3)
    failures_per_h: tuple[float, ...] = (0.02, 0.03, 0.01)
    repairs_per_h: tuple[float, ...] = (0.4, 0.5, 0.3)
    warm_up_h: float = 1e3
    length_h: float = 2e4

    def targets(self):
        reference = serial_line(self.rates_per_h, self.buffers, self.failures_per_h, self.repairs_per_h)
        return [Target("throughput", reference, "Markov chain, operation-dependent failures, blocking after service")]

    def replicate(self, seed):
        rooms = (None, *self.buffers)
        upkeep = zip(rooms, self.failures_per_h, self.repairs_per_h, strict=True)
        stations = tuple(
            Station(f"m{k}", room=room, sudden=Sudden(Exponential(1 / p)), repair=Exponential(1 / r))
            for k, (room, p, r) in enumerate(upkeep)
        )
        factory = _serial(stations, tuple(Exponential((1 + self.fault) / rate) for rate in self.rates_per_h))
        return [measure.finished_per_h(measure.observed(factory, seed, self.warm_up_h, self.length_h), "part")]


@dataclass(frozen=True, kw_only=True)
class Reentrant(Replicated):
    """Mean numbers at two exponential FIFO stations, the first of which parts pass twice; Poisson arrivals.

    With one mean for all visits each is as M/M/1 (Kelly 1975; Baskett et al. 1975). The fault makes work longer.
    """

    arrivals_per_h: float = 0.3
    first_h: float = 1.0  # each visit
    second_h: float = 1.8
    warm_up_h: float = 2e3
    length_h: float = 6e4

    def __post_init__(self):
        super().__post_init__()
        require(self.arrivals_per_h * 2 * self.first_h < 1, self, "first_h", "such that the station keeps up")
        require(self.arrivals_per_h * self.second_h < 1, self, "second_h", "such that the station keeps up")

    def targets(self):
        loads = (2 * self.arrivals_per_h * self.first_h, self.arrivals_per_h * self.second_h)
        reason = "a queue multiplies any error of its utilisation"
        return [
            Target(f"L, {name}", mm1_number(load), "ρ/(1−ρ); Kelly 1975", 0.01, reason=reason)
            for name, load in zip(("visited twice", "visited once"), loads, strict=True)
        ]

    def replicate(self, seed):
        first, second = (Exponential(h * (1 + self.fault)) for h in (self.first_h, self.second_h))
        route = (Operation("first", first), Operation("second", second), Operation("first", first))
        arrivals = Arrivals(Exponential(1 / self.arrivals_per_h))
        factory = Factory((Station("first"), Station("second")), (Product("part", route, arrivals),))
        trace = measure.observed(factory, seed, self.warm_up_h, self.length_h)
        return [
            measure.time_mean(trace[name, "level"], trace) + measure.share(trace, [name], [Phase.WORKING])  # type: ignore[list-item]
            for name in ("first", "second")
        ]


@dataclass(frozen=True, kw_only=True)
class ClosedNetwork(Replicated):
    """Throughput of a fixed number of parts on a route that comes back and is sometimes begun again.

    The fault makes work longer.
    """

    parts: int = 6
    first_h: float = 0.6  # each of two visits
    second_h: float = 1.0
    again: float = 0.2  # probability that a part must go round once more
    warm_up_h: float = 1e3
    length_h: float = 2e4

    def __post_init__(self):
        super().__post_init__()
        require(0 < self.again < 1, self, "again", "between 0 and 1")

    def targets(self):
        rounds = 1 / (1 - self.again)
        reference = theory.closed_network((2 * self.first_h * rounds, self.second_h * rounds), self.parts)
        return [Target("throughput", reference, "mean value analysis; Gordon & Newell 1967")]

    def replicate(self, seed):
        first, second = (Exponential(h * (1 + self.fault)) for h in (self.first_h, self.second_h))
        route = (
            Operation("first", first, name="begin"),
            Operation("second", second),
            Operation("first", first, next=(Branch("begin", self.again), Branch("", 1 - self.again))),
        )
        factory = Factory((Station("first"), Station("second")), (Product("part", route, Conwip(self.parts)),))
        return [measure.finished_per_h(measure.observed(factory, seed, self.warm_up_h, self.length_h), "part")]


@dataclass(frozen=True, kw_only=True)
class ProductMix(Replicated):
    """Mean wait before a station that works a mix of products, each by its own law. The fault makes work longer."""

    arrivals_per_h: tuple[float, ...] = (0.5, 0.25)
    works: tuple[Law, ...] = (Deterministic(0.6), Exponential(1.4))
    squares_h2: tuple[float, ...] = (0.36, 3.92)  # E[S²] of each
    warm_up_h: float = 2e3
    length_h: float = 6e4

    def targets(self):
        means_h = [law.mean_h for law in self.works]
        reference = theory.mixed_wait_h(self.arrivals_per_h, means_h, self.squares_h2)
        reason = "a queue multiplies any error of its utilisation"
        return [Target("mean wait (h)", reference, "Pollaczek–Khinchine; Kleinrock 1975, 5.7", 0.01, reason=reason)]

    def replicate(self, seed):
        products = tuple(
            Product(f"p{i}", (Operation("cell", _longer(law, 1 + self.fault)),), Arrivals(Exponential(1 / rate)))
            for i, (rate, law) in enumerate(zip(self.arrivals_per_h, self.works, strict=True))
        )
        trace = measure.observed(Factory((Station("cell"),), products), seed, self.warm_up_h, self.length_h)
        return [measure.time_mean(trace["cell", "level"], trace) / sum(self.arrivals_per_h)]


def _longer(law: Law, factor: float) -> Law:
    return Scaled(law, factor) if factor != 1 else law


# Parallel machines, a part taken twice, rework, failures and a crew of one.
SHOP = Factory(
    (
        Station("saw", sudden=Sudden(Exponential(60.0)), repair=Gamma(4.0, 1.0)),
        Station("mill", machines=2, room=4, setup=Exponential(0.1), rule="setup"),
        Station("bench", sudden=Sudden(Exponential(80.0)), repair=Exponential(3.0)),
    ),
    (
        Product(
            "pin", (Operation("saw", Exponential(0.4)), Operation("mill", Gamma(0.8, 0.5), family="pin")), Conwip(8)
        ),
        Product(
            "box",
            (
                Operation("mill", Lognormal(1.0, 0.5), family="box"),
                Operation("bench", Exponential(0.9), name="join", takes=(Component("pin"),)),
                Operation("bench", Exponential(0.3), next=(Branch("", 0.9), Branch("join", 0.1))),
            ),
            Arrivals(Exponential(2.5)),
        ),
    ),
    crew=1,
)


@dataclass(frozen=True, kw_only=True)
class Little(Replicated):
    """L = λW of every product: L from the parts in the plant, λ and W from those that were finished.

    Of products that leave the plant; components stay in stock beyond their W. The fault lengthens every W.
    """

    factory: Factory = SHOP
    warm_up_h: float = 500.0
    length_h: float = 2e4

    def _names(self) -> list[str]:
        component = self.factory.plan.component
        return [p.name for p, inside in zip(self.factory.products, component, strict=True) if not inside]

    def targets(self):
        return [Target(f"L/(λW), {name}", 1.0, "Little 1961") for name in self._names()]

    def replicate(self, seed):
        trace = measure.observed(self.factory, seed, self.warm_up_h, self.length_h)
        stays_h = [float(trace[name, "lead"].value[1:].mean()) * (1 + self.fault) for name in self._names()]
        return [
            measure.time_mean(trace[name, "wip"], trace) / (measure.finished_per_h(trace, name) * stay_h)
            for name, stay_h in zip(self._names(), stays_h, strict=True)
        ]
