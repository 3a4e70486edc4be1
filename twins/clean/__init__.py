"""Cleaning: declared steps between what was recorded and what is learned from, each with a record that undoes it."""

from twins.clean.clocks import ClockJumps, Duplicates, Gaps
from twins.clean.pipeline import Clean, restored
from twins.clean.readings import Misread, Range, Spikes, Stuck, Units
from twins.clean.step import Step

__all__ = [
    "Clean",
    "ClockJumps",
    "Duplicates",
    "Gaps",
    "Misread",
    "Range",
    "Spikes",
    "Step",
    "Stuck",
    "Units",
    "restored",
]
