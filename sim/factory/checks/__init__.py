"""Checks of the factory against what is known of it: each a frozen dataclass whose fields are the inputs.

A check's *fault* scales one stated parameter of the simulated factory and leaves the reference alone.
"""

from sim.factory.checks.cells import Changeovers, EnergyCycle, Interference, Kitting, Shifts
from sim.factory.checks.flow import ClosedNetwork, Little, ProductMix, Reentrant, SameAsLine, Serial

__all__ = [
    "Changeovers",
    "ClosedNetwork",
    "EnergyCycle",
    "Interference",
    "Kitting",
    "Little",
    "ProductMix",
    "Reentrant",
    "SameAsLine",
    "Serial",
    "Shifts",
]
