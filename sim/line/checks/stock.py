"""Lines that wait for stock: spares and the material of the first station, against chains and a renewal argument."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sim.errors import require
from sim.laws import Exponential, Gamma, Law, Lognormal, Weibull
from sim.line import stock_theory
from sim.line.checks import measure
from sim.line.checks.lives import ENDLESS
from sim.line.config import Material, Phase, Station, Sudden
from sim.line.line import Line
from sim.supply import BaseStock, MinMax, Point, Supply
from sim.verify import Replicated, Target

STOCK = "stock"  # the name of the only point
SHARE_REASON = "precise enough to catch a fault of 5 %, within seconds"


@dataclass(frozen=True, kw_only=True)
class Spares(Replicated):
    """Machines that share a crew and the spares of one base stock; every time is exponential. The fault lengthens the
    lead time."""

    machines: int = 3
    crew: int = 2
    spares: int = 1
    mttf_h: float = 100.0
    mttr_h: float = 10.0
    lead_h: float = 60.0
    warm_up_h: float = 2e3
    length_h: float = 4e5

    def targets(self):
        known = stock_theory.spared_machines(
            self.machines, self.crew, self.spares, self.mttf_h, self.mttr_h, self.lead_h
        )
        source = "machine repair with spares, Markov chain"
        return [
            Target("availability", known.availability, source),
            Target("share of time without a spare", known.lacking, source, 0.02, reason=SHARE_REASON),
        ]

    def replicate(self, seed):
        lead = Exponential(self.lead_h * (1 + self.fault))
        station = Station(
            ENDLESS,
            self.machines,
            sudden=Sudden(Exponential(self.mttf_h)),
            repair=Exponential(self.mttr_h),
            spare=STOCK,
        )
        supply = Supply((Point(STOCK, BaseStock(self.spares), lead=lead),))
        line = Line((station,), crew=self.crew, supply=supply)
        trace = measure.observed(line, seed, self.warm_up_h, self.length_h)
        lacking = measure.share(trace, line.machines, [Phase.LACKING])
        return [1 - measure.share(trace, line.machines, measure.DOWN), lacking]


@dataclass(frozen=True, kw_only=True)
class NoSpareKept(Replicated):
    """One machine whose spare is ordered when it fails, with times of any laws. The fault lengthens the lead time."""

    life: Law = Weibull(110.0, 2.0)
    repair: Law = Lognormal(10.0, 0.6)
    lead: Law = Gamma(30.0, 0.5)
    warm_up_h: float = 2e3
    length_h: float = 4e5

    def targets(self):
        reference = stock_theory.unspared_availability(self.life.mean_h, self.repair.mean_h, self.lead.mean_h)
        return [Target("availability", reference, "renewal theorem")]

    def replicate(self, seed):
        lead = replace(self.lead, mean_h=self.lead.mean_h * (1 + self.fault))  # type: ignore[type-var]
        station = Station(ENDLESS, sudden=Sudden(self.life), repair=self.repair, spare=STOCK)
        line = Line((station,), supply=Supply((Point(STOCK, BaseStock(0), lead=lead),)))
        trace = measure.observed(line, seed, self.warm_up_h, self.length_h)
        return [measure.share(trace, line.machines, [Phase.WORKING])]


@dataclass(frozen=True, kw_only=True)
class MaterialShort(Replicated):
    """Throughput of parallel machines whose material is replenished by (s, S), and how long they are short of it; all
    times exponential. The fault lengthens the lead time."""

    machines: int = 2
    rate_per_h: float = 1.0
    units: int = 1
    reorder_point: int = 1
    order_up_to: int = 6
    lead_h: float = 3.0
    warm_up_h: float = 500.0
    length_h: float = 4e4

    def __post_init__(self):
        super().__post_init__()
        require(self.reorder_point >= -1, self, "reorder_point", "at least -1, or machines wait for ever")

    def targets(self):
        known = stock_theory.stocked_machines(
            self.machines, self.rate_per_h, self.units, self.reorder_point, self.order_up_to, self.lead_h
        )
        return [
            Target("throughput", known.throughput_per_h, "Markov chain"),
            Target("share of time short", known.short, "Markov chain", 0.02, reason=SHARE_REASON),
        ]

    def replicate(self, seed):
        point = Point(
            STOCK, MinMax(self.reorder_point, self.order_up_to), lead=Exponential(self.lead_h * (1 + self.fault))
        )
        station = Station(Exponential(1 / self.rate_per_h), self.machines)
        line = Line((station,), supply=Supply((point,)), material=Material(STOCK, self.units))
        trace = measure.observed(line, seed, self.warm_up_h, self.length_h)
        return [measure.throughput(trace, line.machines), measure.share(trace, line.machines, [Phase.SHORT])]
