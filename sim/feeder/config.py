"""What a feeder is made of beside its homes, and the actions that it takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sim.errors import require
from sim.laws import Exponential, Law, Uniform


@dataclass(frozen=True)
class Cable:
    """A street's cable: strands from the transformer's busbar on, and a household every so many metres.

    The impedance is that of NAYY 4x150 mm² (four aluminium cores, 20 °C) as in pandapower's standard types, after
    Heuck, Dettmann & Schulz, Elektrische Energieversorgung.
    """

    strands: int = 2  # households are dealt to them in turn
    spacing_m: float = 30.0
    resistance_ohm_per_km: float = 0.208
    reactance_ohm_per_km: float = 0.080
    rated_a: float = 270.0

    def __post_init__(self):
        require(1 <= self.strands <= 100, self, "strands", "between 1 and 100")
        for name in ("spacing_m", "resistance_ohm_per_km", "rated_a"):
            require(0 < getattr(self, name) < math.inf, self, name, "above 0 and finite")
        require(0 <= self.reactance_ohm_per_km < math.inf, self, "reactance_ohm_per_km", "at least 0 and finite")


@dataclass(frozen=True)
class Windings:
    """A transformer's series impedance, in parts of what is rated: 20/.4 kV oil transformers of 50 to 250 kVA."""

    short_circuit: float = 0.04  # voltage at rated current
    load_loss: float = 0.013  # of its rating, at rated current

    def __post_init__(self):
        require(0 < self.load_loss < 0.2, self, "load_loss", "above 0 and below .2")
        require(self.load_loss <= self.short_circuit < 0.5, self, "short_circuit", "at least load_loss and below .5")

    def ohms(self, rated_kva: float, voltage_kv: float) -> tuple[float, float]:
        """Resistance and reactance of a phase on the side of *voltage_kv*."""
        base = voltage_kv**2 * 1000 / rated_kva
        return self.load_loss * base, math.sqrt(self.short_circuit**2 - self.load_loss**2) * base


@dataclass(frozen=True)
class Protection:
    """Cuts the feeder off where an interval's mean load or the hot spot is too high; it is switched on by hand."""

    hot_spot_cel: float = 150.0
    load: float = 1.8  # of what is rated
    reclose: Law = Uniform(0.5, 2.0)

    def __post_init__(self):
        require(40 <= self.hot_spot_cel < math.inf, self, "hot_spot_cel", "at least 40")
        require(0 < self.load < math.inf, self, "load", "above 0 and finite")


@dataclass(frozen=True)
class Theft:
    """A household begins to pass by its meter a share of what it uses, uniform between two; what panels give it never.

    Without *lasts* it goes on for ever.
    """

    onset: Law = Exponential(8766.0)  # from when it was honest
    lasts: Law | None = None
    least: float = 0.3
    most: float = 0.8

    def __post_init__(self):
        require(0 < self.least <= 1, self, "least", "above 0 and at most 1")
        require(self.least <= self.most <= 1, self, "most", "at least the least and at most 1")


@dataclass(frozen=True)
class SetBattery:
    """Action: the street's battery charges (above 0) or discharges with so much power from now on, while it can."""

    order_kw: float = 0.0

    def __post_init__(self):
        require(math.isfinite(self.order_kw), self, "order_kw", "finite")


@dataclass(frozen=True)
class ReplaceTransformer:
    """Action: the transformer is taken out and a new one put in. Nothing where one is being put in already."""
