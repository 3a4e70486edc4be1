"""Lung tumours whose treatment is confounded by their size. Research only, not for clinical use."""

from sim.tumour.cohort import Cohort, follow
from sim.tumour.knowledge import KnownEquation
from sim.tumour.population import Body, Population, Stage, volume_cm3
from sim.tumour.process import DAY_H, Patient, Phase, State, Treat, Tumour

__all__ = [
    "DAY_H",
    "Body",
    "Cohort",
    "KnownEquation",
    "Patient",
    "Phase",
    "Population",
    "Stage",
    "State",
    "Treat",
    "Tumour",
    "follow",
    "volume_cm3",
]
