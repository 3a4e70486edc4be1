"""What a channel is, told by words and not by its place: those of its quantity, its unit and its kind of entity.

Each word falls into a few of a fixed number of buckets (hash embeddings, Svenstrup et al. 2017), so that one model
reads the channels of any twin, and one that it never saw by the words that it shares with others.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

import numpy as np

from twins.units import parse

BUCKETS = 256
HASHES = 2  # buckets of a word: two words that share one are told apart by the other


def words(quantity: str, unit: str, kind: str) -> tuple[str, ...]:
    """The words of a channel: its quantity and the parts of that, its unit and dimension, its kind of entity."""
    name = quantity.partition("#")[0]
    parts = [part for part in name.lower().split("_") if part]
    dimension = ".".join(f"{base}{power}" for base, power in parse(unit).dimension) if unit else ""
    found = [f"quantity {name}", *(f"part {part}" for part in parts), f"unit {unit}", f"dimension {dimension}"]
    return tuple(dict.fromkeys([*found, f"of {kind}"]))


@lru_cache(maxsize=64)
def buckets(names: tuple[str, ...], units: tuple[str, ...], kinds: tuple[str, ...]) -> np.ndarray:
    """The buckets of each channel's words, int32[V, W]; −1 where a channel has fewer words than another."""
    channels = zip(names, units, kinds, strict=True)
    found = [[_bucket(word, i) for word in words(*each) for i in range(HASHES)] for each in channels]
    wide = max(map(len, found), default=0)
    return np.array([row + [-1] * (wide - len(row)) for row in found], np.int32).reshape(len(found), wide)


def kind(entity: str) -> str:
    """The group that an entity belongs to: its name without numbers, `m3` → `m`, `house_12` → `house`."""
    return "".join(c for c in entity if not c.isdigit()).rstrip("_-. ")


def _bucket(word: str, i: int) -> int:
    return zlib.crc32(f"{i} {word}".encode()) % BUCKETS
