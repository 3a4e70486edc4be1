"""Checks of the line against what is known of lines: each a frozen dataclass whose fields are the inputs.

Formulas and chains are in `sim.line.theory` and `stock_theory`, the test itself in `sim.verify`. A check's *fault*
scales one stated parameter of the simulated line and leaves the reference alone.
"""

from sim.line.checks.chains import Bernoulli, SerialLine, SlottedLine, ZeroBuffer
from sim.line.checks.flow import Reversible, SamplePath, TimesInStates, TwoMachines, TwoMachinesReliable
from sim.line.checks.lives import AgeCost, Availability, Crew, FirstPassage, WeibullLife
from sim.line.checks.maintenance import CmapssLives, GammaPassage, Ladder, MinimalRepair
from sim.line.checks.queues import MM1, Little, MMc
from sim.line.checks.stock import MaterialShort, NoSpareKept, Spares

__all__ = [
    "MM1",
    "AgeCost",
    "Availability",
    "Bernoulli",
    "CmapssLives",
    "Crew",
    "FirstPassage",
    "GammaPassage",
    "Ladder",
    "Little",
    "MMc",
    "MaterialShort",
    "MinimalRepair",
    "NoSpareKept",
    "Reversible",
    "SamplePath",
    "SerialLine",
    "SlottedLine",
    "Spares",
    "TimesInStates",
    "TwoMachines",
    "TwoMachinesReliable",
    "WeibullLife",
    "ZeroBuffer",
]
