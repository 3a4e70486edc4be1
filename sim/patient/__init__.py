"""The body of a patient: a circulation that can fail, and drugs in it. Research only, not for clinical use."""

from sim.patient.circulation import HFPEF, HFREF, NORMAL, Circulation, Steady, follow, solve, steady, wave
from sim.patient.pharmacology import Body, Drug, Hill

__all__ = [
    "HFPEF",
    "HFREF",
    "NORMAL",
    "Body",
    "Circulation",
    "Drug",
    "Hill",
    "Steady",
    "follow",
    "solve",
    "steady",
    "wave",
]
