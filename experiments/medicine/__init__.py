"""Trials in silico and kinetics. Research only, not for clinical use."""
