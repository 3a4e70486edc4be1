"""Observed data: a real table of readings becomes episodes in the same store as simulated ones."""

from twins.observed.store import ensure_observed
from twins.observed.table import Assets, Column, Cuts, Table

__all__ = ["Assets", "Column", "Cuts", "Table", "ensure_observed"]
