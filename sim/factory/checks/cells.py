"""Cells: changeovers, assembly, operators, shifts, and energy."""

from __future__ import annotations

from dataclasses import dataclass

from sim.errors import require
from sim.factory import theory
from sim.factory.calendar import WEEK_H, Calendar, Shift
from sim.factory.checks import measure
from sim.factory.config import (
    Arrivals,
    Band,
    Component,
    Conwip,
    Operation,
    Operator,
    Phase,
    Power,
    Product,
    Saturated,
    Station,
    Tariff,
)
from sim.factory.energy import used
from sim.factory.factory import Factory
from sim.laws import Deterministic, Exponential, Gamma
from sim.line.theory import interference
from sim.verify import Exact, Replicated, Target

EXACT = "an identity, to rounding"


@dataclass(frozen=True, kw_only=True)
class Changeovers(Replicated):
    """Throughput of a station that makes runs of one product and a single of another, a setup before each run.

    The fault makes setups longer.
    """

    run: int = 3  # parts of the first for each of the second
    work_h: float = 0.5
    setup_h: float = 2.0
    cv: float = 0.5  # of both
    warm_up_h: float = 200.0
    length_h: float = 5e4

    def __post_init__(self):
        super().__post_init__()
        require(self.run >= 1, self, "run", "at least 1")

    def targets(self):
        parts = self.run + 1
        reference = parts / (parts * self.work_h + 2 * self.setup_h)
        return [Target("throughput", reference, "two setups a cycle, renewal reward")]

    def replicate(self, seed):
        station = Station("cell", setup=Gamma(self.setup_h * (1 + self.fault), self.cv))
        work = Gamma(self.work_h, self.cv)
        products = tuple(
            Product(name, (Operation("cell", work, family=name),), Saturated(float(share)))
            for name, share in (("often", self.run), ("once", 1))
        )
        trace = measure.observed(Factory((station,), products), seed, self.warm_up_h, self.length_h)
        return [sum(measure.finished_per_h(trace, p.name) for p in products)]


@dataclass(frozen=True, kw_only=True)
class Kitting(Replicated):
    """Throughput of an assembly of two components, each made by a machine that stops at its limit.

    The fault makes every operation longer.
    """

    rate1_per_h: float = 1.0
    rate2_per_h: float = 1.3
    assembly_per_h: float = 1.6
    limit1: int = 4
    limit2: int = 2
    warm_up_h: float = 1e3
    length_h: float = 3e4

    def targets(self):
        reference = theory.kitting(self.rate1_per_h, self.rate2_per_h, self.assembly_per_h, self.limit1, self.limit2)
        return [Target("throughput", reference, "Markov chain of the stocks and the assembly")]

    def replicate(self, seed):
        def work(rate):
            return Exponential((1 + self.fault) / rate)

        takes = (Component("a"), Component("b"))
        factory = Factory(
            (Station("m1"), Station("m2"), Station("bench")),
            (
                Product("a", (Operation("m1", work(self.rate1_per_h)),), Conwip(self.limit1)),
                Product("b", (Operation("m2", work(self.rate2_per_h)),), Conwip(self.limit2)),
                Product("kit", (Operation("bench", work(self.assembly_per_h), takes=takes),), Saturated()),
            ),
        )
        return [measure.finished_per_h(measure.observed(factory, seed, self.warm_up_h, self.length_h), "kit")]


@dataclass(frozen=True, kw_only=True)
class Interference(Replicated):
    """How much of the time machines run that stop, each for itself, for an operator whom they share.

    A part goes round between a spell in which its machine runs by itself and one in which the operator serves it. The
    fault makes service longer.
    """

    machines: int = 5
    operators: int = 1
    alone_h: float = 4.0
    service_h: float = 1.0
    warm_up_h: float = 500.0
    length_h: float = 3e4

    def targets(self):
        reference = interference(self.machines, self.operators, self.alone_h, self.service_h)
        return [Target("share of time at work alone", reference, "finite source queue; Palm's machine interference")]

    def replicate(self, seed):
        alone, service = Exponential(self.alone_h), Exponential(self.service_h * (1 + self.fault))
        names = [f"m{k}" for k in range(self.machines)]
        factory = Factory(
            tuple(Station(name) for name in names),
            tuple(
                Product(f"p{k}", (Operation(name, alone), Operation(name, service, skill="serve")), Conwip(1))
                for k, name in enumerate(names)
            ),
            tuple(Operator(f"o{k}", ("serve",)) for k in range(self.operators)),
        )
        trace = measure.observed(factory, seed, self.warm_up_h, self.length_h)
        waits = measure.share(trace, names, [Phase.UNMANNED])  # type: ignore[list-item]
        busy = [measure.positive(trace[who.name, "at"], trace) for who in factory.operators]
        return [1 - waits - sum(busy) / self.machines]


@dataclass(frozen=True, kw_only=True)
class Shifts(Exact):
    """Parts of a week: of a station that is open for a shift, and of one whose operator works another.

    Work rests between shifts, so parts are the hours over the time of one. The fault makes work longer.
    """

    open_h: float = 8.0  # on each of five days, from 6 o'clock
    works_h: float = 6.0
    work_h: float = 0.75
    weeks: int = 30

    def targets(self):
        source = "hours of the calendar over the time of a part"
        hours = (("open", self.open_h), ("manned", self.works_h))
        return [
            Target(f"parts a week, {name}", 5 * h / self.work_h, source, 1 / self.weeks, True, "a part under way")
            for name, h in hours
        ]

    def replicate(self, seed):
        opened, manned = (Calendar((Shift(6, 6 + h),)) for h in (self.open_h, self.works_h))
        work = Deterministic(self.work_h * (1 + self.fault))
        factory = Factory(
            (Station("a", calendar=opened), Station("b")),
            (
                Product("x", (Operation("a", work),), Saturated()),
                Product("y", (Operation("b", work, skill="b"),), Saturated()),
            ),
            (Operator("ann", ("b",), manned),),
        )
        trace = factory.run(factory.start(seed), self.weeks * WEEK_H).trace
        return [float(trace[name, "finished"].value[-1]) / self.weeks for name in ("x", "y")]


@dataclass(frozen=True, kw_only=True)
class EnergyCycle(Exact):
    """Energy and cost of a week of a station to which a part comes every hour. The fault takes more power at work."""

    work_h: float = 0.25
    working_kw: float = 12.0
    idle_kw: float = 2.0
    per_kwh: float = 0.15
    dear_per_kwh: float = 0.3
    dear_h: int = 5  # from 8 o'clock, on weekdays

    def __post_init__(self):
        super().__post_init__()
        require(0 < self.work_h < 1, self, "work_h", "between 0 and 1")
        require(1 <= self.dear_h <= 24, self, "dear_h", "between 1 and 24")

    def targets(self):
        hourly = self.work_h * self.working_kw + (1 - self.work_h) * self.idle_kw
        kwh = WEEK_H * hourly - self.work_h * (self.working_kw - self.idle_kw)  # the first part comes after an hour
        dear = 5 * self.dear_h * hourly
        cost = self.per_kwh * (kwh - dear) + self.dear_per_kwh * dear
        source = "power times time, hour by hour"
        return [Target("kWh a week", kwh, source, 1e-9, reason=EXACT), Target("cost", cost, source, 1e-9, reason=EXACT)]

    def replicate(self, seed):
        power = Power(working_kw=self.working_kw * (1 + self.fault), idle_kw=self.idle_kw)
        work = Operation("oven", Deterministic(self.work_h))
        factory = Factory(
            (Station("oven", power=power),),
            (Product("loaf", (work,), Arrivals(Deterministic(1.0))),),
            tariff=Tariff(self.per_kwh, (Band(self.dear_per_kwh, Shift(8, 8 + self.dear_h)),)),
        )
        return list(used(factory.tariff, factory.run(factory.start(seed), WEEK_H).trace, factory.machines))
