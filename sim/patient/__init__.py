"""Patients: a circulation that can fail, drugs in it, and a hospital. Research only, not for clinical use."""

from sim.patient.care import Care
from sim.patient.circulation import HFPEF, HFREF, NORMAL, Circulation, Steady, follow, solve, steady, wave
from sim.patient.medicines import FORMULARY, Medicine, Policy, Prescribe
from sim.patient.pharmacology import Body, Drug, Hill
from sim.patient.population import HEALTHY, PRESERVED, REDUCED, Population
from sim.patient.procedures import PROCEDURES, Operate, Procedure
from sim.patient.risk import Risk
from sim.patient.state import Phase

__all__ = [
    "FORMULARY",
    "HEALTHY",
    "HFPEF",
    "HFREF",
    "NORMAL",
    "PRESERVED",
    "PROCEDURES",
    "REDUCED",
    "Body",
    "Care",
    "Circulation",
    "Drug",
    "Hill",
    "Medicine",
    "Operate",
    "Phase",
    "Policy",
    "Population",
    "Prescribe",
    "Procedure",
    "Risk",
    "Steady",
    "follow",
    "solve",
    "steady",
    "wave",
]
