"""Addressed noise: a sample's noise depends on the world run, the channel and the sample's number, and nothing else.

Sample k of a channel owns counter k of Philox under the run's key (`kernels`): two of its four words make two
normals, the white noise and the innovation of the autocorrelated part; the third decides on dropout.

The autocorrelated part is a stationary Ornstein–Uhlenbeck process seen at the samples, built on a dyadic tree: the
ends 0 and 2³² first, then each middle given its two neighbours. For correlation ρ at distance d and neighbours l and r
at distance d, the middle is N(ρ(l + r)/(1 + ρ²), (1 − ρ²)/(1 + ρ²)). The process is Markov, so this is exact in law;
the anchors of a block are found in 32 steps, and what lies between them needs nothing else.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import log_ndtr

from sim.errors import require
from twins.sensors import kernels


@dataclass(frozen=True)
class Noise:
    """What a sensor adds to the noise-free reading, in the channel's unit. Zero switches a part off."""

    white: float = 0.0  # standard deviation, independent from sample to sample
    autocorrelated: float = 0.0  # standard deviation of a stationary first-order process
    correlation_h: float = 1.0  # its time constant
    drift: float = 0.0  # standard deviation, at its knots, of a slow offset that is linear between them
    drift_knot_h: float = 168.0  # distance of the knots
    quantum: float = 0.0  # resolution of the reading
    dropout: float = 0.0  # probability that a sample is missing

    def __post_init__(self):
        for field in ("white", "autocorrelated", "drift", "quantum"):
            require(0 <= getattr(self, field) < math.inf, self, field, "at least 0")
        for field in ("correlation_h", "drift_knot_h"):
            require(0 < getattr(self, field) < math.inf, self, field, "above 0")
        require(0 <= self.dropout < 1, self, "dropout", "at least 0 and below 1")


def address(seed: int, entity: str, quantity: str) -> tuple[np.uint64, ...]:
    """Key of the world run and upper counter words of the channel, four uint64 below 2³² (BLAKE2b of their names)."""
    return *_halves(f"noise/{seed}"), *_halves(f"{entity}/{quantity}")


@lru_cache(maxsize=1024)
def _halves(text: str) -> tuple[np.uint64, np.uint64]:
    word = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
    return np.uint64(word & 0xFFFFFFFF), np.uint64(word >> 32)


@lru_cache(maxsize=256)
def tree(steps_per_correlation: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights of neighbours and innovation at each level of the tree, two float32[33]; the root's come last."""
    decay = np.exp2(np.arange(kernels.LOG_SPAN + 1)) / steps_per_correlation  # −ln ρ at distance 2ʲ
    rho, loss = np.exp(-decay), -np.expm1(-2 * decay)
    pull, spread = rho / (1 + rho**2), np.sqrt(loss / (1 + rho**2))
    pull[-1], spread[-1] = rho[-1], np.sqrt(loss[-1])
    return pull.astype(np.float32), spread.astype(np.float32)


def log_likelihood(
    noise: Noise, clean: np.ndarray, readings: np.ndarray, offset: np.ndarray | float = 0.0
) -> np.ndarray:
    """Log-likelihood of each reading, float64, same shape: white noise, rounding to the quantum, and dropout.

    *offset* is the autocorrelated part plus drift, which a filter carries as part of its state; given it, readings are
    independent. A density per unit without a quantum, a probability with one. Needs white noise or a quantum.
    """
    require(noise.white > 0 or noise.quantum > 0, noise, "white", "above 0, or the quantum, for readings to have a law")
    error = np.asarray(readings, np.float64) - clean - offset
    half = noise.quantum / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        if noise.white == 0:
            seen = np.where(np.abs(error) <= half * (1 + 1e-6), 0.0, -np.inf)
        elif noise.quantum == 0:
            seen = -0.5 * (error / noise.white) ** 2 - math.log(noise.white * math.sqrt(2 * math.pi))
        else:
            # Both tails are taken on the side where the normal's logarithm keeps its digits.
            upper, lower = (half - np.abs(error)) / noise.white, (-half - np.abs(error)) / noise.white
            seen = log_ndtr(upper) + np.log1p(-np.exp(log_ndtr(lower) - log_ndtr(upper)))
        missing = math.log(noise.dropout) if noise.dropout else -math.inf
    return np.where(np.isnan(readings), missing, seen + math.log1p(-noise.dropout))
