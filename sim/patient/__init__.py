"""The body of a patient: a circulation that can fail, and drugs in it. Research only, not for clinical use."""

from sim.patient.circulation import HFPEF, HFREF, NORMAL, Circulation, Steady, follow, solve, steady, wave
from sim.patient.pharmacology import Body, Drug, Hill
from sim.patient.population import HEALTHY, PRESERVED, REDUCED, Population

__all__ = [
    "HEALTHY",
    "HFPEF",
    "HFREF",
    "NORMAL",
    "PRESERVED",
    "REDUCED",
    "Body",
    "Circulation",
    "Drug",
    "Hill",
    "Population",
    "Steady",
    "follow",
    "solve",
    "steady",
    "wave",
]
