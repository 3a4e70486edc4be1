"""Interruptions, availability, crews and storms of a grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np

from sim.errors import require
from sim.grid.cases import rbts_bus2
from sim.grid.config import Storms
from sim.grid.grid import Grid
from sim.grid.network import YEAR_H, LoadPoint, Network, Section
from sim.grid.reliability import indices, measured
from sim.laws import Exponential
from sim.steady import Estimate, mean_interval, time_means
from sim.verify import Exact, Replicated, Target

SCARCE = "1 %: interruptions are rare, and half of it takes four times as long"


@dataclass(frozen=True, kw_only=True)
class Published(Exact):
    """The closed form of RBTS bus 2 at its published rates. The fault scales the rates of failures."""

    def targets(self):
        source = "Allan, Billinton et al. 1991"
        rounded = "as printed"
        return [
            Target("SAIFI, a customer and year", 0.2482, source, 5e-5, True, rounded),
            Target("SAIDI, h a customer and year", 3.612, source, 1.5e-3, True, "printed as 3.611 and as 3.613"),
            Target("CAIDI (h)", 14.55, source, 5e-3, True, rounded),
            Target("ASAI", 0.999588, source, 5e-7, True, rounded),
            Target("ENS (MWh a year)", 37.745, source, 7.5e-3, True, "printed as 37.74 and as 37.75"),
        ]

    def replicate(self, seed):
        found = indices(Grid(rbts_bus2().scaled(1 + self.fault)))
        return [found.saifi, found.saidi_h, found.caidi_h, found.asai, found.ens_mwh]


@dataclass(frozen=True, kw_only=True)
class Simulated(Replicated):
    """Interruptions counted over *years* against the closed form. The fault scales the rates of failures."""

    network: Network = field(default_factory=rbts_bus2)
    switching_h: float = 1.0
    years: float = 2500.0

    def targets(self):
        found = indices(Grid(self.network, switching_h=self.switching_h))
        source = "Billinton & Allan 1996, ch. 7 and 8"
        return [
            Target("SAIFI, a customer and year", found.saifi, source, 0.01, reason=SCARCE),
            Target("SAIDI, h a customer and year", found.saidi_h, source, 0.01, reason=SCARCE),
            Target("ENS (MWh a year)", found.ens_mwh, source, 0.01, reason=SCARCE),
        ]

    def replicate(self, seed):
        grid = Grid(self.network.scaled(1 + self.fault), switching_h=self.switching_h)
        return list(measured(grid, grid.run(grid.start(seed), self.years * YEAR_H).trace))


def spokes(count: int, failures_per_h: float, repair: Exponential, exposed: bool = True) -> Network:
    """Equal sections from one source, each behind a breaker of its own with one customer at its end."""
    rate = failures_per_h * YEAR_H
    sections = [
        Section(f"s{i}", "busbar", f"n{i}", 1.0, rate, repair, "breaker", exposed=exposed) for i in range(count)
    ]
    return Network(("busbar",), tuple(sections), tuple(LoadPoint(f"LP{i}", f"n{i}") for i in range(count)))


@dataclass(frozen=True, kw_only=True)
class TwoState(Replicated):
    """A(t) = A + (1 − A) e^(−(λ+μ)t) of a section that is up at 0 h. The fault makes failures more frequent."""

    failures_per_h: float = 0.02
    repair_h: float = 30.0
    at_h: tuple[float, ...] = (5.0, 20.0, 200.0)
    sections: int = 20

    def __post_init__(self):
        super().__post_init__()
        object.__setattr__(self, "at_h", tuple(self.at_h))
        rising = all(a < b for a, b in zip((0.0, *self.at_h), self.at_h, strict=False))
        require(bool(self.at_h) and rising, self, "at_h", "times above 0 in rising order")

    def targets(self):
        rate, mend = self.failures_per_h, 1 / self.repair_h
        steady = mend / (rate + mend)
        value = [steady + (1 - steady) * math.exp(-(rate + mend) * t) for t in self.at_h]
        return [
            Target(f"availability at {t:g} h", a, "two-state Markov", 0.005)
            for t, a in zip(self.at_h, value, strict=True)
        ]

    def replicate(self, seed):
        rate = self.failures_per_h * (1 + self.fault)
        grid = Grid(spokes(self.sections, rate, Exponential(self.repair_h)))
        trace = grid.run(grid.start(seed), self.at_h[-1] + 1).trace
        up = [trace[f"s{i}", "up"].at(np.array(self.at_h)) for i in range(self.sections)]
        return np.mean(up, axis=0).tolist()


@dataclass(frozen=True, kw_only=True)
class Crews(Replicated):
    """Sections that share few crews: the machine-repairman model, M/M/c//N (Kleinrock 1975, 3.8). The fault makes
    failures more frequent."""

    sections: int = 10
    crews: int = 2
    failures_per_h: float = 0.02
    repair_h: float = 8.0
    warm_up_h: float = 500.0
    length_h: float = 2e4

    def targets(self):
        n, ratio, weight = self.sections, self.failures_per_h * self.repair_h, [1.0]
        for k in range(n):
            weight.append(weight[-1] * (n - k) * ratio / min(k + 1, self.crews))
        p = np.array(weight) / sum(weight)
        waiting = float(p @ np.maximum(np.arange(n + 1) - self.crews, 0))
        down = float(p @ np.arange(n + 1))
        source = "machine repairman"
        return [
            Target("share of sections up", 1 - down / n, source),
            Target("faults that wait for a crew", waiting, source, 0.02, reason="2 %: a queue multiplies any error"),
        ]

    def replicate(self, seed):
        rate = self.failures_per_h * (1 + self.fault)
        grid = Grid(spokes(self.sections, rate, Exponential(self.repair_h)), crews=self.crews)
        settled = grid.run(grid.start(seed), self.warm_up_h).state
        trace = grid.run(settled, self.warm_up_h + self.length_h).trace
        span = (trace.start_h, trace.end_h)
        up = np.mean([time_means(trace[f"s{i}", "up"], span)[0] for i in range(self.sections)])
        return [float(up), float(time_means(trace["grid", "waiting"], span)[0])]


@dataclass(frozen=True, kw_only=True)
class Stormy(Replicated):
    """Failures a section and year with storms, and the share of them in storms, of sections mended in no time: renewal
    theory of storms and calms (Cox 1962). The fault makes storms fiercer."""

    storms: Storms = field(default_factory=lambda: Storms(20.0, Exponential(24.0), 25.0))
    sections: int = 40
    failures_per_h: float = 1e-4
    years: float = 100.0

    def targets(self):
        share = self.storms.length.mean_h / (self.storms.length.mean_h + self.storms.gap.mean_h)
        inside = share * self.storms.factor
        rate = self.failures_per_h * YEAR_H * (1 - share + inside)
        reason = "1 %: storms come in few numbers"
        return [
            Target("failures a section and year", rate, "renewal theory", 0.01, reason=reason),
            Target("share of them in storms", inside / (1 - share + inside), "renewal theory", 0.01, reason=reason),
        ]

    def replicate(self, seed):
        storms = replace(self.storms, factor=1 + (self.storms.factor - 1) * (1 + 2 * self.fault))
        grid = Grid(spokes(self.sections, self.failures_per_h, Exponential(1e-3)), storms=storms)
        warm_up_h = 4 * (self.storms.gap.mean_h + self.storms.length.mean_h)
        settled = grid.run(grid.start(seed), warm_up_h).state
        trace = grid.run(settled, warm_up_h + self.years * YEAR_H).trace
        sections = {section.name for section in grid.network.sections}
        failures = [event.cause for event in trace.events if event.kind == "failure" and event.entity in sections]
        often = len(failures) / self.sections / self.years
        return [often, failures.count("storm") / self.sections / self.years]

    def estimates(self, samples, alpha):
        often_N, stormy_N = np.asarray(samples, np.float64).T
        share = stormy_N.mean() / often_N.mean()
        spread = mean_interval((stormy_N - share * often_N) / often_N.mean(), alpha)
        return [mean_interval(often_N, alpha), Estimate(float(share), spread.half_width)]
