"""Serial lines: throughput against formulas and chains, the sample path, reversal, and time that adds up."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sim.errors import require
from sim.laws import Deterministic, Exponential, Gamma, Law, Lognormal
from sim.line import theory
from sim.line.checks import measure
from sim.line.config import AgeReplacement, Phase, SetSpeed, Station, Sudden
from sim.line.line import Line
from sim.steady import Estimate
from sim.streams import Streams
from sim.verify import Replicated, Target
from sim.wear import Wiener


@dataclass(frozen=True, kw_only=True)
class TwoMachines(Replicated):
    """Throughput of two unreliable exponential machines and one buffer. The fault makes every cycle longer."""

    rate1_per_h: float = 1.0
    failure1_per_h: float = 0.01
    repair1_per_h: float = 0.1
    rate2_per_h: float = 1.0
    failure2_per_h: float = 0.01
    repair2_per_h: float = 0.1
    buffer: int = 5
    warm_up_h: float = 2e3
    length_h: float = 1e5

    def targets(self):
        reference = theory.two_machine_unreliable(
            self.rate1_per_h,
            self.rate2_per_h,
            self.failure1_per_h,
            self.repair1_per_h,
            self.failure2_per_h,
            self.repair2_per_h,
            self.buffer,
        )
        return [Target("throughput", reference, "Markov chain, operation-dependent failures, blocking after service")]

    def replicate(self, seed):
        stations = [
            Station(Exponential((1 + self.fault) / mu), sudden=Sudden(Exponential(1 / p)), repair=Exponential(1 / r))
            for mu, p, r in (
                (self.rate1_per_h, self.failure1_per_h, self.repair1_per_h),
                (self.rate2_per_h, self.failure2_per_h, self.repair2_per_h),
            )
        ]
        line = Line(tuple(stations), (self.buffer,))
        return [measure.throughput(measure.observed(line, seed, self.warm_up_h, self.length_h), line.machines[-1:])]


@dataclass(frozen=True, kw_only=True)
class TwoMachinesReliable(Replicated):
    """Throughput of two equal, reliable exponential machines and one buffer. The fault makes every cycle longer."""

    rate_per_h: float = 1.0
    buffer: int = 5
    warm_up_h: float = 1e3
    length_h: float = 4e4

    def targets(self):
        reference = theory.two_machine_reliable(self.rate_per_h, self.buffer)
        return [Target("throughput", reference, "birth-death chain: μ(B+2)/(B+3)")]

    def replicate(self, seed):
        station = Station(Exponential((1 + self.fault) / self.rate_per_h))
        line = Line((station, station), (self.buffer,))
        return [measure.throughput(measure.observed(line, seed, self.warm_up_h, self.length_h), line.machines[-1:])]


@dataclass(frozen=True, kw_only=True)
class SamplePath(Replicated):
    """Every completion of a reliable serial line equals the recursion on the same cycle times.

    The cycle times are drawn from the same addressed streams; the fault makes the line's machines slower.
    """

    cycles: tuple[Law, ...] = (Exponential(1.0), Gamma(1.0, 0.5), Lognormal(1.0, 0.8))
    buffers: tuple[int, ...] = (0, 5, 20)  # tried one after the other, the same between any two machines
    parts: int = 100_000
    replications: int = 1
    looks: int = 1

    def __post_init__(self):
        super().__post_init__()
        require(len(self.cycles) >= 2, self, "cycles", "at least two laws")
        require(self.parts >= 1, self, "parts", "at least 1")

    def targets(self):
        source = "D_i(k) = max(max(D_{i−1}(k), D_i(k−1)) + X_i(k), D_{i+1}(k−B_i−1))"
        reason = "an identity, to rounding"
        return [
            Target(f"largest deviation, B = {b}, {self.parts} parts (h)", 0.0, source, 1e-9, True, reason)
            for b in self.buffers
        ]

    def replicate(self, seed):
        return [self._deviation_h(seed, b) for b in self.buffers]

    def _deviation_h(self, seed, buffer):
        room = (buffer,) * (len(self.cycles) - 1)
        line = Line(tuple(Station(law) for law in self.cycles), room)
        streams = Streams(seed, [f"{m}/cycle" for m in line.machines])
        work = [
            [streams[f"{m}/cycle"].draw(law) for _ in range(self.parts)]
            for m, law in zip(line.machines, self.cycles, strict=True)
        ]
        expected, _ = theory.departures_h(np.array(work).T, room)
        state = line.start(seed)
        for machine in line.machines if self.fault else ():
            state = line.act(state, SetSpeed(machine, 1 / (1 + self.fault)))
        trace = line.run(state, float(expected[-1, -1]) * (1 + max(self.fault, 0.0)) + 1.0).trace
        worst_h = 0.0
        for i, machine in enumerate(line.machines):
            simulated = trace[machine, "parts"].time_h[1 : self.parts + 1]
            worst_h = max(worst_h, np.abs(simulated - expected[:, i]).max())
        return float(worst_h)

    def estimates(self, samples, alpha):
        return [Estimate(float(worst), 0.0) for worst in np.max(samples, 0)]


UNEVEN = Line(
    stations=(
        Station(Gamma(0.9, 0.5), sudden=Sudden(Exponential(100.0)), repair=Gamma(3.0, 0.7)),
        Station(Exponential(0.7), sudden=Sudden(Exponential(50.0)), repair=Exponential(2.0)),
        Station(Lognormal(0.8, 0.6)),
        Station(Deterministic(1.0), sudden=Sudden(Exponential(200.0)), repair=Lognormal(4.0, 0.6)),
    ),
    buffers=(0, 3, 9),
)


@dataclass(frozen=True, kw_only=True)
class Reversible(Replicated):
    """A serial line and its mirror image have the same throughput. The fault slows the mirror image's machines.

    Times to work and to repair are free; lives are exponential in operation; a machine each, and no shared crew.
    """

    line: Line = UNEVEN
    warm_up_h: float = 2e3
    length_h: float = 4e4

    def __post_init__(self):
        super().__post_init__()
        plain = self.line.arrivals is None and self.line.crew is None and set(self.line.buffers) <= {*range(10**6)}
        equal = all(s.machines == 1 and s.wear is None for s in self.line.stations)
        memoryless = all(
            s.sudden is None or (isinstance(s.sudden.life, Exponential) and s.sudden.clock == "operation")
            for s in self.line.stations
        )
        wanted = "saturated, with finite buffers, single machines, memoryless failures and no shared crew"
        require(plain and equal and memoryless, self, "line", wanted)

    def targets(self):
        source = "Yamazaki & Sakasegawa 1975; Muth 1979"
        return [Target("throughput forth / back", 1.0, source)]

    def replicate(self, seed):
        line = self.line
        mirror = replace(line, stations=line.stations[::-1], buffers=line.buffers[::-1])
        back = mirror.start(seed + 1)
        for machine in mirror.machines if self.fault else ():
            back = mirror.act(back, SetSpeed(machine, 1 / (1 + self.fault)))
        traces = [
            measure.observed(each, seed, self.warm_up_h, self.length_h, state)
            for each, state in ((line, None), (mirror, back))
        ]
        forth_per_h, back_per_h = (measure.throughput(trace, line.machines[-1:]) for trace in traces)
        return [forth_per_h / back_per_h]


WORN = Line(
    stations=(
        Station(
            Lognormal(0.5, 0.3), wear=Wiener(0.01, 0.03), sudden=Sudden(Exponential(200.0)), repair=Exponential(4.0)
        ),
        Station(
            Gamma(1.0, 0.5),
            machines=2,
            sudden=Sudden(Exponential(150.0), clock="time"),
            repair=Exponential(6.0),
            maintenance=Deterministic(1.0),
            policy=AgeReplacement(50.0),
        ),
        Station(Deterministic(0.5), sudden=Sudden(Exponential(80.0))),
    ),
    buffers=(3, None),
    arrivals=Exponential(0.6),
    queue=10,
    crew=1,
)


@dataclass(frozen=True, kw_only=True)
class TimesInStates(Replicated):
    """The exact times in each phase add up to the time that passed, and equal those of the trace, for every machine.

    The fault lengthens the accounted working time.
    """

    line: Line = WORN
    length_h: float = 1e4
    splits: int = 7  # runs in which the time is covered
    replications: int = 4
    looks: int = 1

    def targets(self):
        reason = "an identity, to rounding"
        return [
            Target("largest gap in a machine's time, share", 0.0, "definition", 1e-9, True, reason),
            Target("largest gap to the trace, share", 0.0, "definition", 1e-9, True, reason),
        ]

    def replicate(self, seed):
        run = self.line.run(self.line.start(seed), self.length_h / self.splits)
        trace = run.trace
        for k in range(2, self.splits + 1):
            run = self.line.run(run.state, self.length_h * k / self.splits)
            trace = trace + run.trace
        total_gap = trace_gap = 0.0
        for name, machine in zip(self.line.machines, run.state.machines, strict=True):
            hours = np.array(machine.hours)
            hours[machine.phase] += run.state.time_h - machine.since_h
            hours[Phase.WORKING] *= 1 + self.fault
            seen = [measure.share(trace, [name], [phase]) * self.length_h for phase in Phase]
            total_gap = max(total_gap, abs(hours.sum() - self.length_h))
            trace_gap = max(trace_gap, np.abs(hours - seen).max())
        return [total_gap / self.length_h, trace_gap / self.length_h]

    def estimates(self, samples, alpha):
        return [Estimate(float(worst), 0.0) for worst in np.max(samples, 0)]
