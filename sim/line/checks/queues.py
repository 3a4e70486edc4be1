"""Queues: Poisson arrivals at one station of exponential machines, and Little's law anywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sim.errors import require
from sim.laws import Exponential, Gamma, Lognormal
from sim.line import theory
from sim.line.checks import measure
from sim.line.config import Phase, Station, Sudden
from sim.line.line import Line
from sim.verify import Replicated, Target

# A queue multiplies any error of its utilisation; the tolerance of what is measured follows.
UTILISATION_TOLERANCE = 0.0025


def _tolerance(elasticity: float) -> tuple[float, str]:
    """Tolerance of a quantity that changes *elasticity* times as much as the utilisation, and the reason."""
    if UTILISATION_TOLERANCE * elasticity <= 0.005:
        return 0.005, ""
    return (
        UTILISATION_TOLERANCE * elasticity,
        f"{UTILISATION_TOLERANCE:.2%} of utilisation, which counts {elasticity:.1f} times",
    )


@dataclass(frozen=True, kw_only=True)
class MM1(Replicated):
    """Mean number in an M/M/1 system. The fault makes service longer."""

    utilisation: float = 0.8
    service_h: float = 1.0
    warm_up_services: float = 2e3
    services: float = 2.5e5  # length of a replication, in mean service times

    def __post_init__(self):
        super().__post_init__()
        require(0 < self.utilisation < 1, self, "utilisation", "between 0 and 1")

    def targets(self):
        tolerance, reason = _tolerance(1 / (1 - self.utilisation))
        reference = theory.mm1_number(self.utilisation)
        return [Target("L", reference, "Kleinrock 1975, eq. 3.24: ρ/(1−ρ)", tolerance, reason=reason)]

    def replicate(self, seed):
        station = Station(Exponential(self.service_h * (1 + self.fault)))
        line = Line((station,), arrivals=Exponential(self.service_h / self.utilisation))
        unit = self.service_h
        trace = measure.observed(line, seed, self.warm_up_services * unit, self.services * unit)
        return [measure.time_mean(trace["b0", "level"], trace) + measure.share(trace, line.machines, [Phase.WORKING])]


@dataclass(frozen=True, kw_only=True)
class MMc(Replicated):
    """Probability of waiting and mean wait of an M/M/c queue, over its arrivals. The fault makes service longer."""

    servers: int = 3
    arrivals_per_h: float = 2.4
    service_per_h: float = 1.0
    warm_up_services: float = 1e3
    services: float = 8e4

    def __post_init__(self):
        super().__post_init__()
        require(self.servers >= 1, self, "servers", "at least 1")
        most = self.servers * self.service_per_h
        require(
            0 < self.arrivals_per_h < most, self, "arrivals_per_h", f"between 0 and {most}, what the servers can do"
        )

    def targets(self):
        here, step = theory.mmc(self.arrivals_per_h, self.service_per_h, self.servers), 1e-6
        near = theory.mmc(self.arrivals_per_h * (1 + step), self.service_per_h * 1.0, self.servers)
        wait_probability, wait_h = (
            Target(name, value, "Erlang C; Kleinrock 1975, sec. 3.5", tolerance, reason=reason)
            for name, value, other in (
                ("P(wait)", here.wait_probability, near.wait_probability),
                ("Wq", here.wait_h, near.wait_h),
            )
            for tolerance, reason in [_tolerance((other / value - 1) / step)]
        )
        return [wait_probability, wait_h]

    def replicate(self, seed):
        station = Station(Exponential((1 + self.fault) / self.service_per_h), machines=self.servers)
        line = Line((station,), arrivals=Exponential(1 / self.arrivals_per_h))
        unit = 1 / self.service_per_h
        trace = measure.observed(line, seed, self.warm_up_services * unit, self.services * unit)
        queue = trace["b0", "level"]
        joined, left = measure.rises_h(queue), measure.falls_h(queue)[int(queue.value[0]) :]
        waited_h = left - joined[: len(left)]
        working = sum(trace[m, "phase"].value[[0, -1]] == Phase.WORKING for m in line.machines)
        inside = queue.value[[0, -1]] + working
        arrived = len(measure.finished_h(trace, line.machines)) + inside[1] - inside[0]
        return [len(joined) / arrived, waited_h.sum() / arrived * (len(joined) / max(len(waited_h), 1))]


# Two machines in parallel, a small crew, laws of every kind.
SHOP = Line(
    stations=(
        Station(Gamma(0.5, 0.8), sudden=Sudden(Exponential(60.0)), repair=Gamma(4.0, 1.0)),
        Station(Exponential(1.1), machines=2, sudden=Sudden(Exponential(90.0)), repair=Exponential(5.0)),
        Station(Lognormal(0.55, 0.5), sudden=Sudden(Exponential(80.0)), repair=Exponential(3.0)),
    ),
    buffers=(4, 2),
    arrivals=Exponential(0.9),
    crew=1,
)


@dataclass(frozen=True, kw_only=True)
class Little(Replicated):
    """L = λW at every station: L from buffer levels and phases, λ and W from the times at which parts were finished.

    A part belongs to a station from the end of its work at the one before. Failures must depend on operation, so that a
    machine that is down holds a part. A saturated first station is left out. The fault lengthens every W.
    """

    line: Line = SHOP
    warm_up_h: float = 500.0
    length_h: float = 3e4

    def __post_init__(self):
        super().__post_init__()
        ok = all(s.sudden is None or s.sudden.clock == "operation" for s in self.line.stations)
        require(ok, self, "line", "a line whose failures depend on operation")

    @property
    def _stations(self) -> range:
        return range(self.line.arrivals is None, len(self.line.stations))

    def targets(self):
        return [Target(f"L/(λW), station {k + 1}", 1.0, "Little 1961") for k in self._stations]

    def replicate(self, seed):
        line = self.line
        trace = measure.observed(line, seed, self.warm_up_h, self.length_h)
        members = _members(line)
        return [self._ratio(trace, k, members) for k in self._stations]

    def _ratio(self, trace, k, members):
        here, before = members[k], members[k - 1] if k else ()
        level = trace[f"b{k}", "level"]
        holding = (Phase.WORKING, *measure.DOWN)
        number = measure.time_mean(level, trace) + len(here) * measure.share(trace, here, holding)
        inside = level.value[0] + sum(_first_phase(trace, m) in holding for m in here)
        if k:
            number += len(before) * measure.share(trace, before, [Phase.BLOCKED])
            inside += sum(_first_phase(trace, m) == Phase.BLOCKED for m in before)
            entered = measure.finished_h(trace, before)
        else:
            entered = _arrivals_h(trace, here)
        out = measure.finished_h(trace, here)[int(inside) :]
        stay_h = (out - entered[: len(out)]) * (1 + self.fault)
        rate_per_h = len(entered) / (trace.end_h - trace.start_h)
        return number / theory.little_number(rate_per_h, float(stay_h.mean()))


def _members(line: Line) -> list[list[str]]:
    names = iter(line.machines)
    return [[next(names) for _ in range(station.machines)] for station in line.stations]


def _first_phase(trace, machine: str) -> int:
    return int(trace[machine, "phase"].value[0])


def _arrivals_h(trace, machines: list[str]) -> np.ndarray:
    """Arrivals that were let in: those that joined the queue, and those that an idle machine took at once."""
    queue = trace["b0", "level"]
    idle = []
    for machine in machines:
        phase = trace[machine, "phase"]
        idle.append(phase.time_h[1:][(phase.value[:-1] == Phase.STARVED) & (phase.value[1:] == Phase.WORKING)])
    return np.sort(np.concatenate([measure.rises_h(queue), *idle]))
