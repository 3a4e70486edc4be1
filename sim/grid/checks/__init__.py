"""Checks of grids against closed forms: each a frozen dataclass whose fields are the inputs.

A check's *fault* scales one stated parameter of what is simulated or computed, and leaves the reference alone.
"""

from sim.grid.checks.adequacy import DrawnAdequacy, EnumeratedAdequacy, MajorDays
from sim.grid.checks.flow import BaseCase
from sim.grid.checks.upkeep import Crews, Published, Simulated, Stormy, TwoState

__all__ = [
    "BaseCase",
    "Crews",
    "DrawnAdequacy",
    "EnumeratedAdequacy",
    "MajorDays",
    "Published",
    "Simulated",
    "Stormy",
    "TwoState",
]
