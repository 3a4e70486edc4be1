"""Checks of inspection, rework and scrap at constant wear against Bayes' rule and the geometric law of passes."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sim.errors import require
from sim.laws import Exponential
from sim.line import Line, Station
from sim.line.theory import two_machine_reliable
from sim.quality import Bench, Flaw, Inspected
from sim.verify import Replicated, Target

RATE_PER_H, BUFFER = 60.0, 4
TOLERANCE = 0.01
RARE = "2 %: of few parts"
WHY = "1 %: shares of events need four times the parts for half of it"
STEADY = Inspected(
    Line((Station(Exponential(1 / RATE_PER_H)), Station(Exponential(1 / RATE_PER_H))), (BUFFER,)),
    (Flaw("m1", "scratch", 0.75), Flaw("m2", "dent", 0.7, 0.5, 1.0)),
    misses=0.15,
    false_alarms=0.08,
    bench=Bench(Exponential(0.005), passes=2, wear=0.3),
)


@dataclass(frozen=True, kw_only=True)
class Passes(Replicated):
    """Shares of parts from inspection to their end, in a line of two equal machines that do not wear.

    A part is spoiled by chance p in the line and by p' on the bench, and rejected by r = p(1 − miss) + (1 − p) · alarm,
    or r'; with at most K reworks the share r · r'^K is scrapped. The fault makes every mark more severe.
    """

    world: Inspected = STEADY
    length_h: float = 150.0

    def __post_init__(self):
        super().__post_init__()
        plain = all(s.wear is None and s.sudden is None for s in self.world.line.stations)
        plain = plain and len(self.world.line.stations) == 2 and self.world.line.arrivals is None
        require(plain, self, "world", "of two machines without wear or failures, and saturated")
        require(self.world.bench is not None, self, "world", "one with a bench")

    def targets(self):
        w, bench = self.world, self.world.bench or Bench()
        reliable = [1 - np.prod([1 - f.chance(wear) for f in w.flaws]) for wear in (0.0, bench.wear)]
        first, again = map(float, reliable)
        r1, r2 = (p * (1 - w.misses) + (1 - p) * w.false_alarms for p in (first, again))
        scrap = r1 * r2**bench.passes
        reworks = r1 * math.fsum(r2**j for j in range(bench.passes))
        escaped = (first * w.misses + reworks * again * w.misses) / (1 - scrap)
        rates = {s.cycle.mean_h for s in w.line.stations}
        require(len(rates) == 1, self, "world", "of two machines with equal mean cycles")
        flow = two_machine_reliable(1 / rates.pop(), w.line.buffers[0] or 0)
        told = [
            ("share spoiled in the line", first, "mean over exponential severities"),
            ("spoiled, of those rejected first", first * (1 - w.misses) / r1, "Bayes"),
            ("spoiled, of those passed", escaped, "Bayes over the passes"),
            ("reworks a part", reworks, "geometric, cut at K"),
            ("share scrapped", scrap, "geometric, cut at K"),
            ("passed per hour", flow * (1 - scrap), "TH(B) (1 − scrap)"),
        ]
        rare = {"spoiled, of those passed", "share scrapped"}
        return [
            Target(*one, TOLERANCE * (1 + (one[0] in rare)), False, RARE if one[0] in rare else WHY) for one in told
        ]

    def replicate(self, seed):
        flaws = tuple(
            replace(f, base=f.base * (1 + self.fault), gain=f.gain * (1 + self.fault)) for f in self.world.flaws
        )
        world = replace(self.world, flaws=flaws)
        warm = world.run(world.start(seed), 10.0).state
        trace = world.run(warm, 10.0 + self.length_h).trace
        passes, bad, verdict = (trace[world.station, q].value[1:] for q in ("pass", "defective", "verdict"))
        first, rejected = passes == 0, verdict == 1
        ended = {kind: sum(e.kind == kind for e in trace.events) for kind in ("passed", "rework", "scrap")}
        whole = ended["passed"] + ended["scrap"]
        return [
            bad[first].mean(),
            bad[first & rejected].mean(),
            bad[~rejected].mean(),
            ended["rework"] / first.sum(),
            ended["scrap"] / whole,
            ended["passed"] / self.length_h,
        ]
