"""Decisions by simulation: policies of maintenance, a battery's plan, the layout of a line."""
