"""Devices against renewal theory and the machine repairman. Research only, not for clinical use."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sim.devices.config import Kind
from sim.devices.devices import ENGINEERS, Devices
from sim.devices.state import Phase
from sim.errors import require
from sim.laws import Deterministic, Exponential, Lognormal
from sim.verify import Replicated, Target
from sim.wear import Wiener


def share(signal, of, start_h: float, end_h: float) -> float:
    """The share of the time from *start_h* to *end_h* in which a step signal is one of *of*."""
    edges_h = np.clip(np.append(signal.time_h, end_h), start_h, end_h)
    return float(np.diff(edges_h)[np.isin(signal.value, of)].sum()) / (end_h - start_h)


@dataclass(frozen=True, kw_only=True)
class Renewal(Replicated):
    """One device that wears, against renewal theory, which holds for every law of a life in hours of use.

    Uses are exponential, so that a life of mean L cuts L/u of them short of an end: a cycle is L, a repair, and
    1 + L/u pauses. Lives of wear are inverse Gaussian, of mean L. Alarms of a device that does not mind its wear are
    Poisson. The fault hastens wear.
    """

    life_h: float = 100.0
    use_h: float = 12.0
    idle_h: float = 4.0
    repair_h: float = 15.0
    alarms_per_h: float = 0.05
    hours: float = 60_000.0

    def __post_init__(self):
        super().__post_init__()
        for name in ("life_h", "use_h", "idle_h", "repair_h"):
            require(0 < getattr(self, name) < math.inf, self, name, "above 0 and finite")
        require(self.hours > 100 * self.life_h, self, "hours", "above 100 lives")

    def targets(self):
        cycle_h = self.life_h + self.repair_h + self.idle_h * (1 + self.life_h / self.use_h)
        source = "renewal reward theorem"
        return [
            Target("failures per 1000 h", 1000 / cycle_h, source, 0.01),
            Target("share of time in use", self.life_h / cycle_h, source),
            Target("alarms per hour of use", self.alarms_per_h, "Poisson", 0.01),
        ]

    def replicate(self, seed):
        kind = Kind(
            "pump", 1, Exponential(self.use_h), Lognormal(self.idle_h, 0.5), Deterministic(1.0),
            Wiener((1 + self.fault) / self.life_h, 0.03, levels=10), None,
            self.alarms_per_h, 0.0, Lognormal(self.repair_h, 0.5),
        )  # fmt: skip
        world, warm_up_h = Devices((kind,)), 20 * self.life_h
        state = world.run(world.start(seed), warm_up_h).state
        end_h = warm_up_h + self.hours
        trace = world.run(state, end_h).trace
        kinds = [event.kind for event in trace.events]
        used = share(trace["pump1", "phase"], [Phase.IN_USE], warm_up_h, end_h)
        return [1000 * kinds.count("failure") / self.hours, used, kinds.count("alarm") / (used * self.hours)]


@dataclass(frozen=True, kw_only=True)
class Engineers(Replicated):
    """Devices in use without a pause that fail and are mended by few engineers: M/M/c with a finite population.

    The chance of n devices down goes as N!/(N−n)!·(λ/μ)ⁿ over n! or c!·cⁿ⁻ᶜ (Gross & Harris, section 2.7). The fault
    lengthens repairs.
    """

    devices: int = 8
    engineers: int = 2
    life_h: float = 60.0
    repair_h: float = 15.0
    hours: float = 20_000.0

    def targets(self):
        n = np.arange(self.devices + 1)
        served = np.minimum(n, self.engineers)
        rates = (self.devices - n[:-1]) / self.life_h / (served[1:] / self.repair_h)
        chance = np.concatenate(([1.0], np.cumprod(rates)))
        chance /= chance.sum()
        source = "machine repairman, Gross & Harris"
        return [
            Target("devices down", float(chance @ n), source, 0.01),
            Target("devices waiting", float(chance @ (n - served)), source, 0.03, reason="chance"),
        ]

    def replicate(self, seed):
        pause, whole = Deterministic(1e-6), Deterministic(1e9)
        kind = Kind(
            "pump", self.devices, whole, pause, Deterministic(1.0), None, Exponential(self.life_h), 0.0, 0.0,
            Exponential(self.repair_h * (1 + self.fault)),
        )  # fmt: skip
        world, warm_up_h = Devices((kind,), self.engineers), 20 * self.life_h
        state = world.run(world.start(seed), warm_up_h).state
        end_h = warm_up_h + self.hours
        trace = world.run(state, end_h).trace
        down = [Phase.WAITING, Phase.REPAIRED]
        off = sum(share(trace[name, "phase"], down, warm_up_h, end_h) for name in world.names)
        waiting = trace[ENGINEERS, "waiting"]
        edges_h = np.append(waiting.time_h, end_h).clip(warm_up_h)
        return [off, float(waiting.value @ np.diff(edges_h)) / self.hours]
