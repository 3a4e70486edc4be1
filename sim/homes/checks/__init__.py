"""Checks of homes against exact answers, and against what has been published of real ones."""

from sim.homes.checks.chargers import Blocking
from sim.homes.checks.households import Diversity, Profile, Routine
from sim.homes.checks.sky import Forecasts

__all__ = ["Blocking", "Diversity", "Forecasts", "Profile", "Routine"]
