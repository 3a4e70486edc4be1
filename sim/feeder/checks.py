"""Checks of a feeder against the standard, closed forms and the balance of energy.

A check's *fault* scales one stated parameter of what is simulated or computed, and leaves the reference alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sim.errors import require
from sim.feeder.config import Cable, Protection, SetBattery, Theft, Windings
from sim.feeder.feeder import Feeder
from sim.feeder.names import BATTERY, TRANSFORMER
from sim.feeder.power import behind, bus_of, drawn_kwh, metered_kwh, stolen_kwh
from sim.homes import WEATHER, Chargers, Group, Homes, Household, Weather
from sim.homes.battery import Battery
from sim.homes.transformer import Transformer, aged_h, ageing_rate, warm
from sim.laws import Exponential, Weibull
from sim.trace import Trace
from sim.verify import Exact, Replicated, Target

STANDARD = "IEC 60076-7:2018"
STREET = Homes(
    (Group(4, Household(heat_kw_per_k=0.15)), Group(3, Household(pv_kw=5.0)), Group(3, Household(car=True))),
    chargers=Chargers(1, visits_per_h=0.1),
)
HUGE = Battery(1e9, 1e6, 1e6)  # draws a constant power for ever


@dataclass(frozen=True, kw_only=True)
class Temperatures(Exact):
    """A transformer's temperatures and life used up behind a street, against the standard's solution of the same load.

    The fault scales the oil's rise.
    """

    homes: Homes = STREET
    rated_kva: float = 20.0
    hours: int = 1000

    def __post_init__(self):
        super().__post_init__()
        require(self.hours >= 48, self, "hours", "at least 48")

    def _trace(self, fault: float) -> tuple[Feeder, Trace]:
        own = Transformer(self.rated_kva)
        world = Feeder(self.homes, replace(own, oil_rise_k=own.oil_rise_k * (1 + fault)), life=None, protection=None)
        world = replace(world, load_at_start=0.0)
        return world, world.run(world.start(self.seed), float(self.hours)).trace

    def targets(self):
        world, trace = self._trace(0.0)
        load, unit = trace[TRANSFORMER, "load"].value[1:], world.transformer
        at_h = np.arange(len(load) + 1) * world.step_h
        ambient = trace[WEATHER, "temperature"].at(at_h[:-1] + world.step_h / 2)
        found = warm(unit, at_h, load, ambient)
        # The world begins in the steady state without load at the ambient temperature of hour 0.
        begun = unit.steady_cel(0.0, float(trace[WEATHER, "temperature"].value[0]))[0] - found.oil_cel[0]
        shift = begun * np.exp(-at_h * 60 / (unit.k11 * unit.oil_min))
        oil, hot = found.oil_cel + shift, found.hot_spot_cel + shift
        rate = ageing_rate(unit, hot)
        used_h = aged_h(unit, at_h, hot) + world.step_h / 2 * (rate[0] - rate[-1])  # trapezoids as left rectangles
        return [
            Target("mean of the top oil (°C)", float(oil.mean()), STANDARD, 1e-9),
            Target("highest hot spot (°C)", float(hot.max()), STANDARD, 1e-9),
            Target("life used up (h)", float(used_h), STANDARD, 1e-9),
        ]

    def replicate(self, seed):
        _, trace = self._trace(self.fault)
        oil, hot = trace[TRANSFORMER, "oil"].value, trace[TRANSFORMER, "hot_spot"].value
        return [float(oil.mean()), float(hot.max()), float(trace[TRANSFORMER, "aged"].value[-1])]


@dataclass(frozen=True, kw_only=True)
class Lives(Replicated):
    """When a transformer fails that carries a constant *load*: a Weibull life, over the rate of its hot spot.

    The fault lengthens the life that it stands.
    """

    load: float = 1.2
    ambient_cel: float = 20.0
    scale_h: float = 500.0  # of use at the rate of 1
    shape: float = 4.0
    replications: int = 4096
    looks: int = 3

    def __post_init__(self):
        super().__post_init__()
        require(0 < self.load <= 2, self, "load", "above 0 and at most 2")
        require(0 < self.scale_h < 1e6, self, "scale_h", "above 0 and below 1e6")
        require(0.5 <= self.shape <= 20, self, "shape", "between .5 and 20")

    @property
    def _mean_h(self) -> float:
        unit = Transformer()
        rate = float(ageing_rate(unit, np.array(unit.steady_cel(self.load, self.ambient_cel)[1])))
        return Weibull(self.scale_h, self.shape).mean_h / rate

    def targets(self):
        scale_h = self._mean_h / math.gamma(1 + 1 / self.shape)
        source = "Weibull life over a constant rate of ageing"
        alive = math.exp(-((self._mean_h / scale_h) ** self.shape))
        return [
            Target("mean life (h)", self._mean_h, source, 0.015, reason="few thousand lives"),
            Target("share that outlives the mean", alive, source, 0.025, True, "few thousand lives"),
        ]

    def replicate(self, seed):
        weather = replace(
            Weather(), mean_cel=self.ambient_cel, yearly_cel=0.0, daily_cel=0.0, deviation_cel=0.0, known=0.0
        )
        world = Feeder(
            Homes((), weather=weather), Transformer(), life=Weibull(self.scale_h * (1 + self.fault), self.shape),
            protection=None, battery=HUGE, load_at_start=self.load,
        )  # fmt: skip
        order = SetBattery(self.load * world.power_factor * world.transformer.rated_kva)
        state, found = world.act(world.start(seed), order), []
        while not found:
            trace, state = world.run(state, state.time_h + 0.5 * self._mean_h)
            found = [e.time_h for e in trace.events if (e.entity, e.kind) == (TRANSFORMER, "failure")]
        return [found[0], float(found[0] > self._mean_h)]


@dataclass(frozen=True, kw_only=True)
class Balance(Exact):
    """What the transformer delivers, by the AC flow, against meters, theft and what currents lose in cables.

    The fault scales the cables' impedance.
    """

    homes: Homes = STREET
    rated_kva: float = 20.0
    hours: int = 720

    @property
    def _world(self) -> Feeder:
        return Feeder(
            self.homes, Transformer(self.rated_kva), (self.rated_kva, 1.5 * self.rated_kva), life=Weibull(20.0, 3.0),
            sudden=Exponential(200.0), protection=Protection(130.0, 1.5), theft=Theft(Exponential(200.0)),
            battery=Battery(10.0, 4.0, 4.0), cable=Cable(spacing_m=60.0),
        )  # fmt: skip

    def _run(self) -> tuple[Feeder, Trace, np.ndarray]:
        world = self._world
        trace, state = world.run(world.start(self.seed), self.hours / 3)
        trace += world.run(world.act(state, SetBattery(2.0)), self.hours / 2).trace
        return world, trace, np.arange(round(trace.end_h * 4) + 1) / 4

    def targets(self):
        world, trace, at_h = self._run()
        counted = sum(
            float((metered_kwh(world, trace, name, at_h) + stolen_kwh(world, trace, name, at_h)).sum())
            for name in self.homes.names
        )
        counted += sum(float(drawn_kwh(world, trace, n, at_h).sum()) for n in world.points if n not in self.homes.names)
        found = behind(world, trace, at_h)
        ohm = np.array([s.resistance_ohm for s in world.wires.sections])
        current = found.flows.current_a_TxS[:, -len(ohm) :]
        lost_kwh = 3 * float((current**2 @ ohm).sum()) / 4000
        return [
            Target("energy from the transformer (kWh)", counted + lost_kwh, "Kirchhoff; Joule", 1e-9),
            Target("lost in cables (kWh)", lost_kwh, "Joule", 1e-8),
        ]

    def replicate(self, seed):
        world, trace, at_h = self._run()
        cable, factor = world.cable, 1 + self.fault
        found = behind(replace(world, cable=replace(cable, spacing_m=cable.spacing_m * factor)), trace, at_h)
        return [float(found.transformer_kw_T.sum()) / 4, float(found.cable_loss_kw_T.sum()) / 4]


@dataclass(frozen=True, kw_only=True)
class TwoBuses(Exact):
    """The voltage at the end of one cable that carries a constant power, in closed form.

    With z = r + jx from the source on, V⁴ + (2(rP + xQ) − V₀²)·V² + |z|²·|S|² = 0. The fault lengthens the cable.
    """

    power_kw: float = 40.0
    length_m: float = 200.0
    rated_kva: float = 100.0

    @property
    def _world(self) -> Feeder:
        return Feeder(
            Homes(()), Transformer(self.rated_kva), life=None, protection=None, battery=HUGE,
            cable=Cable(1, self.length_m), windings=Windings(),
        )  # fmt: skip

    def targets(self):
        world, kv = self._world, self._world.wires.voltage_kv
        own = world.windings.ohms(self.rated_kva, kv)
        km = self.length_m / 1000
        r, x = own[0] + world.cable.resistance_ohm_per_km * km, own[1] + world.cable.reactance_ohm_per_km * km
        p, q = self.power_kw / 1000, self.power_kw / 1000 * math.tan(math.acos(world.power_factor))
        half = (world.source_pu * kv) ** 2 / 2 - (r * p + x * q)
        square = half + math.sqrt(half**2 - (r**2 + x**2) * (p**2 + q**2))
        return [Target("voltage (pu)", math.sqrt(square) / kv, "two-bus power flow in closed form", 1e-9)]

    def replicate(self, seed):
        world = self._world
        trace = world.run(world.act(world.start(seed), SetBattery(self.power_kw)), 2.0).trace
        world = replace(world, cable=replace(world.cable, spacing_m=self.length_m * (1 + self.fault)))
        found = behind(world, trace, np.array([0.5, 1.0]))
        return [float(found.voltage_pu_T(bus_of(world, BATTERY))[0])]
