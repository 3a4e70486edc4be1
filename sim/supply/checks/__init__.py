"""Checks of supply chains against `sim.supply.theory`: each a frozen dataclass whose fields are the inputs.

A check's *fault* scales one stated parameter of the simulated chain and leaves the reference alone. Where the demand is
Poisson, what customers asked for is a control variate: its mean is known, and levels move with it.
"""

from sim.supply.checks.chains import Echelons, Little, Unreliable
from sim.supply.checks.lots import EconomicOrderQuantity, Newsvendor
from sim.supply.checks.points import ContinuousReview, LostSales, MinMaxCost, PeriodicReview

__all__ = [
    "ContinuousReview",
    "Echelons",
    "EconomicOrderQuantity",
    "Little",
    "LostSales",
    "MinMaxCost",
    "Newsvendor",
    "PeriodicReview",
    "Unreliable",
]
