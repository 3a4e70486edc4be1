"""Addressed noise: a sample's noise depends on the world run, the channel and the sample's number, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from sim.errors import require


@dataclass(frozen=True)
class Noise:
    """What a sensor adds to the noise-free reading, in the channel's unit. Zero switches a part off."""

    white: float = 0.0  # standard deviation, independent from sample to sample
    autocorrelated: float = 0.0  # standard deviation of a stationary first-order process
    correlation_h: float = 1.0  # its time constant
    drift: float = 0.0  # standard deviation of a slow offset, linear between knots
    drift_knot_h: float = 168.0  # distance of the knots
    quantum: float = 0.0  # resolution of the reading
    dropout: float = 0.0  # probability that a sample is missing

    def __post_init__(self):
        for field in ("white", "autocorrelated", "drift", "quantum"):
            require(getattr(self, field) >= 0, self, field, "at least 0")
        for field in ("correlation_h", "drift_knot_h"):
            require(getattr(self, field) > 0, self, field, "above 0")
        require(0 <= self.dropout < 1, self, "dropout", "at least 0 and below 1")
