"""Which samples of a window are hidden for a model to tell: drawn by the window's address, the same on any device."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Any

import numpy as np

from learn.tasks import Imputation

STEP = np.uint32(0x9E3779B9)  # odd, so that no two parts of an address fall together


@lru_cache(maxsize=64)
def addresses(runs: tuple[int, ...], assets: tuple[str, ...]) -> np.ndarray:
    """What tells episodes apart wherever they lie: their run and their asset, uint32[E]."""
    each = [zlib.crc32(f"{run}/{asset}".encode()) for run, asset in zip(runs, assets, strict=True)]
    return np.asarray(each, np.uint32)


def blocks(task: Imputation, address_N: Any, k_N: Any, variates: int) -> Any:
    """Whether each of the *horizon* samples from *k_N* on lies in the block of its variate, bool[N, V, H].

    NumPy and JAX arrays alike: nothing but 32-bit arithmetic, of (seed, episode, anchor, variate) alone. A block has
    any length from shortest to longest, and any place that leaves the sample after it within the horizon.
    """
    at_NxV = _mixed(_mixed(address_N ^ np.uint32(task.seed)) + k_N.astype(np.uint32) * STEP)[:, None]
    at_NxV = _mixed(at_NxV + np.arange(1, variates + 1, dtype=np.uint32) * STEP)
    length_NxV = task.shortest + at_NxV % np.uint32(task.longest - task.shortest + 1)
    first_NxV = _mixed(at_NxV + STEP) % (np.uint32(task.horizon) - length_NxV)
    h_H = np.arange(task.horizon, dtype=np.uint32)
    return (h_H >= first_NxV[..., None]) & (h_H < (first_NxV + length_NxV)[..., None])


def hidden_of(windows: Any, anchors_Nx2: Any) -> Any:
    """`blocks` of the *windows* at these anchors, on the host; None where nothing is."""
    if windows.hides is None:
        return None
    e_N, k_N = np.asarray(anchors_Nx2).T
    return blocks(windows.hides, addresses(windows.runs, windows.assets)[e_N], k_N, len(windows.scale.names))


def _mixed(x: Any) -> Any:
    """Every bit of 32 depends on every other: the finaliser of MurmurHash3 (Appleby 2011)."""
    x = (x ^ (x >> 16)) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * np.uint32(0xC2B2AE35)
    return x ^ (x >> 16)
