"""Serial lines against exact chains: exponential machines, machines in slots, Bernoulli machines, no buffers."""

from __future__ import annotations

from dataclasses import dataclass

from sim.errors import require
from sim.laws import Deterministic, Exponential, Geometric
from sim.line import theory
from sim.line.checks import measure
from sim.line.config import Station, Sudden
from sim.line.line import Line
from sim.verify import Replicated, Target


@dataclass(frozen=True, kw_only=True)
class SerialLine(Replicated):
    """Throughput of a saturated line of exponential machines that may fail. The fault makes every cycle longer."""

    rates_per_h: tuple[float, ...] = (1.0, 1.25, 1.0)
    buffers: tuple[int, ...] = (1, 2)
    failures_per_h: tuple[float, ...] | None = None  # per operating hour; None: machines never fail
    repairs_per_h: tuple[float, ...] | None = None
    warm_up_h: float = 1e3
    length_h: float = 4e4

    def __post_init__(self):
        super().__post_init__()
        count = len(self.rates_per_h)
        require(len(self.buffers) == count - 1, self, "buffers", f"{count - 1} long, one between each two machines")
        for field in ("failures_per_h", "repairs_per_h"):
            given = getattr(self, field)
            require(given is None or len(given) == count, self, field, f"{count} long, one for each machine, or null")
        both = (self.failures_per_h is None) == (self.repairs_per_h is None)
        require(both, self, "repairs_per_h", "given where failures_per_h is, and only there")

    def targets(self):
        reference = theory.serial_line(self.rates_per_h, self.buffers, self.failures_per_h, self.repairs_per_h)
        return [Target("throughput", reference, "Markov chain, blocking after service")]

    def replicate(self, seed):
        cycles = [Exponential((1 + self.fault) / rate) for rate in self.rates_per_h]
        if self.failures_per_h is None or self.repairs_per_h is None:
            stations = [Station(cycle) for cycle in cycles]
        else:
            stations = [
                Station(cycle, sudden=Sudden(Exponential(1 / p)), repair=Exponential(1 / r))
                for cycle, p, r in zip(cycles, self.failures_per_h, self.repairs_per_h, strict=True)
            ]
        line = Line(tuple(stations), self.buffers)
        return [measure.throughput(measure.observed(line, seed, self.warm_up_h, self.length_h), line.machines[-1:])]


@dataclass(frozen=True, kw_only=True)
class SlottedLine(Replicated):
    """Throughput of a saturated line of geometric cycles, full of ties. The fault makes every success less likely."""

    chances: tuple[float, ...] = (0.8, 0.9, 0.85)  # that a machine ends its part in a slot of an hour
    buffers: tuple[int, ...] = (2, 1)
    warm_up_h: float = 1e3
    length_h: float = 2e4

    def __post_init__(self):
        super().__post_init__()
        require(all(0 < p <= 1 for p in self.chances), self, "chances", "above 0 and at most 1")
        wanted = len(self.chances) - 1
        require(len(self.buffers) == wanted, self, "buffers", f"{wanted} long, one between each two machines")

    def targets(self):
        reference = theory.slotted_line(self.chances, self.buffers)
        return [Target("parts per slot", reference, "Markov chain in slots, blocking after service")]

    def replicate(self, seed):
        stations = tuple(Station(Geometric((1 + self.fault) / p)) for p in self.chances)
        line = Line(stations, self.buffers)
        return [measure.throughput(measure.observed(line, seed, self.warm_up_h, self.length_h), line.machines[-1:])]


@dataclass(frozen=True, kw_only=True)
class Bernoulli(Replicated):
    """Production rate of Li and Meerkov's two Bernoulli machines. The fault makes every success less likely.

    Their first machine does nothing, up or not, while the buffer is full and the second takes no part. Ours would keep
    a finished part, so with room B between two geometric machines the line is theirs of B+2−p places (p1 = p2 = p), for
    no whole number of them. Theirs is arrivals, at most one a slot, that are lost where the queue of N−1 before the
    second machine is full.
    """

    chance1: float = 0.9
    chance2: float = 0.9
    buffer: int = 5
    warm_up_h: float = 1e3
    length_h: float = 2e4

    def __post_init__(self):
        super().__post_init__()
        for field in ("chance1", "chance2"):
            require(0 < getattr(self, field) < 1, self, field, "between 0 and 1")
        require(self.buffer >= 1, self, "buffer", "at least 1, the part that the second machine works on")

    def targets(self):
        reference = theory.bernoulli_line(self.chance1, self.chance2, self.buffer)
        return [Target("parts per slot", reference, "Li & Meerkov 2009, sec. 4.1, blocking before service")]

    def replicate(self, seed):
        slower = 1 + self.fault
        station = Station(Geometric(slower / self.chance2))
        line = Line((station,), arrivals=Geometric(slower / self.chance1), queue=self.buffer - 1)
        return [measure.throughput(measure.observed(line, seed, self.warm_up_h, self.length_h), line.machines)]


@dataclass(frozen=True, kw_only=True)
class ZeroBuffer(Replicated):
    """Throughput of a line of equal fixed cycles without buffers. The fault makes every cycle longer.

    Buzacott's line stops as one; ours ends the parts in hand while a machine is down, so repairs may overlap where
    another fails in that cycle: a gain of the order of Σ p_i p_j / r, which has to be small beside the tolerance.
    """

    failures: tuple[float, ...] = (0.003, 0.002, 0.004)  # per cycle of work
    repairs: tuple[float, ...] = (0.1, 0.1, 0.12)  # per cycle
    warm_up_cycles: float = 1e3
    cycles: float = 1e5  # length of a replication

    def __post_init__(self):
        super().__post_init__()
        require(len(self.repairs) == len(self.failures), self, "repairs", f"{len(self.failures)} long, as failures")
        require(
            all(0 < p < r for p, r in zip(self.failures, self.repairs, strict=True)),
            self,
            "failures",
            "rarer than repairs",
        )

    def targets(self):
        reference = theory.zero_buffer_deterministic(self.failures, self.repairs)
        return [Target("parts per cycle", reference, "Buzacott 1967: 1/(1+Σp/r)")]

    def replicate(self, seed):
        stations = tuple(
            Station(Deterministic(1 + self.fault), sudden=Sudden(Exponential(1 / p)), repair=Deterministic(1 / r))
            for p, r in zip(self.failures, self.repairs, strict=True)
        )
        line = Line(stations, (0,) * (len(stations) - 1))
        trace = measure.observed(line, seed, self.warm_up_cycles, self.cycles)
        return [measure.throughput(trace, line.machines[-1:])]
