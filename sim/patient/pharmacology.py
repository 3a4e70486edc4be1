"""Drugs in the body, exactly: amounts in closed form and effects by Emax. Research only, not for clinical use.

A drug is one or two compartments with linear elimination and, by mouth, first-order absorption. Amounts are kept by
exponential mode, so that every mode decays by itself: a state is amounts as of the last dose, and how often or where
time is split changes nothing. Time in h, amounts in mg, volumes in l, clearance in l/h, concentrations in mg/l.
Sources: Bateman (1910); Gibaldi & Perrier, Pharmacokinetics (1982), chapters 1 and 2; Hill (1910).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

from sim.errors import InputError, require


def between(a: float, b: float, t: float) -> float:
    """(e^(−at) − e^(−bt)) / (b − a), well behaved where the rates are equal: then it is t·e^(−at)."""
    if b < a:
        a, b = b, a
    x = (b - a) * t
    return math.exp(-a * t) * t * (-math.expm1(-x) / x if x > 0 else 1.0)


class Mode(NamedTuple):
    """What is dosed into the central compartment is there as Σ weight · e^(−rate · t)."""

    rate_per_h: float
    weight: float
    beside: float  # amount in the peripheral compartment for each mg of this mode in the central one


@dataclass(frozen=True)
class Drug:
    """One compartment, or two where *exchange_l_per_h* (between them) is above 0."""

    volume_l: float
    clearance_l_per_h: float
    absorption_per_h: float = 1.0
    bioavailability: float = 1.0
    exchange_l_per_h: float = 0.0
    peripheral_l: float = 1.0

    def __post_init__(self):
        for field in ("volume_l", "clearance_l_per_h", "absorption_per_h", "peripheral_l"):
            require(0 < getattr(self, field) < math.inf, self, field, "above 0 and finite")
        require(0 < self.bioavailability <= 1, self, "bioavailability", "above 0 and at most 1")
        require(0 <= self.exchange_l_per_h < math.inf, self, "exchange_l_per_h", "at least 0 and finite")

    @cached_property
    def modes(self) -> tuple[Mode, ...]:
        """Slowest first. With rates k10 out, k12 to and k21 from the periphery the modes are the roots of
        λ² − (k10 + k12 + k21)λ + k10·k21 = 0, the one on each side of k21; both weights are then positive.
        """
        out, to = self.clearance_l_per_h / self.volume_l, self.exchange_l_per_h / self.volume_l
        if self.exchange_l_per_h == 0:
            return (Mode(out, 1.0, 0.0),)
        back = self.exchange_l_per_h / self.peripheral_l
        root = math.sqrt((out - back) ** 2 + to * to + 2 * to * (out + back))
        fast = (out + to + back + root) / 2
        slow = out * back / fast
        # fast − k21 and k21 − slow, each without loss: their product is k12·k21, their difference known
        half = (out + to - back) / 2
        above = half + root / 2 if half > 0 else to * back / (root / 2 - half)
        below = to * back / above
        return (Mode(slow, below / root, to / below), Mode(fast, above / root, -to / above))

    @property
    def half_life_h(self) -> float:
        """Of the slowest mode."""
        return math.log(2) / self.modes[0].rate_per_h

    def bolus(self, dose_mg: float, t_h: float) -> float:
        """mg/l a time after an injection; 0 before it."""
        _dose("dose_mg", dose_mg)
        return (
            0.0
            if t_h < 0
            else dose_mg / self.volume_l * sum(m.weight * math.exp(-m.rate_per_h * t_h) for m in self.modes)
        )

    def infusion(self, rate_mg_per_h: float, t_h: float, length_h: float = math.inf) -> float:
        """mg/l a time after the start of an infusion of *length_h*."""
        _dose("rate_mg_per_h", rate_mg_per_h)
        if not length_h >= 0:
            raise InputError(f"length_h is {length_h!r}; it must be at least 0")
        if t_h <= 0:
            return 0.0
        on, off = min(t_h, length_h), max(t_h - length_h, 0.0)
        return (
            rate_mg_per_h
            / self.volume_l
            * sum(m.weight * between(0.0, m.rate_per_h, on) * math.exp(-m.rate_per_h * off) for m in self.modes)
        )

    def oral(self, dose_mg: float, t_h: float) -> float:
        """mg/l a time after a dose by mouth: Bateman's function of each mode."""
        _dose("dose_mg", dose_mg)
        if t_h <= 0:
            return 0.0
        ka = self.absorption_per_h
        reach = self.bioavailability * dose_mg / self.volume_l
        return reach * ka * sum(m.weight * between(m.rate_per_h, ka, t_h) for m in self.modes)

    @property
    def tmax_h(self) -> float:
        """When one dose by mouth is highest: ln(ka/k)/(ka − k), or 1/k where they are equal. One compartment only."""
        if self.exchange_l_per_h > 0:
            raise InputError("tmax_h is known in closed form for one compartment; exchange_l_per_h must be 0")
        k, ka = self.modes[0].rate_per_h, self.absorption_per_h
        x = ka / k - 1
        return (math.log1p(x) / x if x != 0 else 1.0) / k

    def auc_mg_h_per_l(self, dose_mg: float, oral: bool = False) -> float:
        """The area under the concentration of one dose, to infinity: F·D/CL."""
        return (self.bioavailability if oral else 1.0) * dose_mg / self.clearance_l_per_h

    def average_mg_per_l(self, dose_mg: float, every_h: float, oral: bool = False) -> float:
        """The mean concentration once doses every *every_h* have settled: F·D/(CL·τ)."""
        _positive("every_h", every_h)
        return self.auc_mg_h_per_l(dose_mg, oral) / every_h

    def accumulation(self, every_h: float) -> float:
        """The settled peak over the first, for boluses into one compartment: 1/(1 − e^(−kτ))."""
        _positive("every_h", every_h)
        if self.exchange_l_per_h > 0:
            raise InputError("accumulation is 1/(1 − e^(−kτ)) for one compartment; exchange_l_per_h must be 0")
        return -1 / math.expm1(-self.modes[0].rate_per_h * every_h)

    def settled(self, dose_mg: float, every_h: float, t_h: float) -> float:
        """mg/l at *t_h* after the latest of endless boluses every *every_h*."""
        _positive("every_h", every_h)
        if not 0 <= t_h <= every_h:
            raise InputError(f"t_h is {t_h!r}; it must be between 0 and every_h, {every_h!r}")
        total = sum(m.weight * math.exp(-m.rate_per_h * t_h) / -math.expm1(-m.rate_per_h * every_h) for m in self.modes)
        return dose_mg / self.volume_l * total


@dataclass(frozen=True)
class Body:
    """How much of a drug is where, as of its last dose; to be read at any later time."""

    time_h: float = 0.0
    gut_mg: float = 0.0  # what will be absorbed
    modes_mg: tuple[float, ...] = ()  # in the central compartment, by mode; none: no drug yet
    rate_mg_per_h: float = 0.0  # of the infusion that runs

    def central_mg(self, drug: Drug, at_h: float) -> float:
        return sum(self._modes(drug, at_h))

    def peripheral_mg(self, drug: Drug, at_h: float) -> float:
        return sum(m.beside * a for m, a in zip(drug.modes, self._modes(drug, at_h), strict=True))

    def concentration(self, drug: Drug, at_h: float) -> float:
        """mg/l in the central compartment."""
        return self.central_mg(drug, at_h) / drug.volume_l

    def advance(self, drug: Drug, at_h: float) -> Body:
        """The amounts as of *at_h*. Call it where doses change, not where a run ends: that keeps splits exact."""
        gut = self.gut_mg * math.exp(-drug.absorption_per_h * (at_h - self.time_h))
        return replace(self, time_h=at_h, gut_mg=gut, modes_mg=self._modes(drug, at_h))

    def bolus(self, drug: Drug, at_h: float, dose_mg: float) -> Body:
        _dose("dose_mg", dose_mg)
        now = self.advance(drug, at_h)
        given = tuple(a + m.weight * dose_mg for m, a in zip(drug.modes, now.modes_mg, strict=True))
        return replace(now, modes_mg=given)

    def swallow(self, drug: Drug, at_h: float, dose_mg: float) -> Body:
        _dose("dose_mg", dose_mg)
        now = self.advance(drug, at_h)
        return replace(now, gut_mg=now.gut_mg + drug.bioavailability * dose_mg)

    def infuse(self, drug: Drug, at_h: float, rate_mg_per_h: float) -> Body:
        """From *at_h* at this rate, in place of the one that ran; 0 stops it."""
        _dose("rate_mg_per_h", rate_mg_per_h)
        return replace(self.advance(drug, at_h), rate_mg_per_h=rate_mg_per_h)

    def _modes(self, drug: Drug, at_h: float) -> tuple[float, ...]:
        t = at_h - self.time_h
        if not t >= 0:
            raise InputError(f"at_h is {at_h!r}; it must not be before the last dose, at {self.time_h!r}")
        if self.modes_mg and len(self.modes_mg) != len(drug.modes):
            raise InputError(f"modes_mg holds {len(self.modes_mg)} amounts; this drug has {len(drug.modes)}")
        ka = drug.absorption_per_h
        return tuple(
            a * math.exp(-m.rate_per_h * t)
            + m.weight * self.gut_mg * ka * between(m.rate_per_h, ka, t)
            + m.weight * self.rate_mg_per_h * between(0.0, m.rate_per_h, t)
            for m, a in zip(drug.modes, self.modes_mg or (0.0,) * len(drug.modes), strict=True)
        )


@dataclass(frozen=True)
class Hill:
    """An effect that grows with concentration: base + most · C^h / (EC50^h + C^h)."""

    most: float
    ec50_mg_per_l: float
    power: float = 1.0
    base: float = 0.0

    def __post_init__(self):
        require(math.isfinite(self.most), self, "most", "finite")
        require(0 < self.ec50_mg_per_l < math.inf, self, "ec50_mg_per_l", "above 0 and finite")
        require(0 < self.power <= 20, self, "power", "above 0 and at most 20")
        require(math.isfinite(self.base), self, "base", "finite")

    def at(self, mg_per_l: float) -> float:
        _dose("mg_per_l", mg_per_l)
        if mg_per_l == 0:
            return self.base
        below = self.power * math.log(self.ec50_mg_per_l / mg_per_l)
        return self.base + self.most / (1 + math.exp(min(below, 700.0)))  # beyond it nothing is left of the effect


def _dose(field: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise InputError(f"{field} is {value!r}; it must be at least 0 and finite")


def _positive(field: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InputError(f"{field} is {value!r}; it must be above 0 and finite")
