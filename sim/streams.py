"""Addressed randomness: each named stream is its own Philox sequence, and its position is one integer.

A draw is the inverse survival function of its law at one uniform, so two futures that branch at one moment share every
draw that does not depend on what differs between them, and skipping ahead costs nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np

from sim.laws import Law

BLOCK = 128  # draws made at once; aligned to the position, so that a draw never depends on where a run was split


# Set to a place before each use, so that what is left in it never matters. Philox4x64 makes four draws a counter step.
_BITS = np.random.Philox(0)
_UNIFORMS = np.random.Generator(_BITS)
_NOTHING, _WORD = np.zeros(4, np.uint64), 2**64 - 1


class Stream:
    """Draws from Philox4x64 under one key. `position` counts the draws made; all else is a cache."""

    __slots__ = ("_law", "_values", "key", "position")

    def __init__(self, key: int, position: int = 0):
        self.key, self.position = key, position
        self._law: Law | None = None
        self._values: list[float] = []

    def draw(self, law: Law) -> float:
        """The next value of *law*. A stream serves one law; a change of law costs a refill of the block."""
        at = self.position % BLOCK
        if not at or law is not self._law:
            self._fill(law)
        self.position += 1
        return self._values[at]

    def take(self, law: Law, count: int) -> np.ndarray:
        """The next *count* values of *law*, as so many calls of `draw` would give them, float64[count]."""
        found = np.empty(count)
        done = 0
        while done < count:
            at = self.position % BLOCK
            if not at or law is not self._law:
                self._fill(law)
            some = min(BLOCK - at, count - done)
            found[done : done + some] = self._values[at : at + some]
            self.position += some
            done += some
        return found

    def ahead(self, law: Law, count: int) -> np.ndarray:
        """The next *count* values of *law*, which remain to be drawn, float64[count]; `skip` draws them."""
        at = self.position % BLOCK
        if not at or law is not self._law:
            return self._drawn(law, self.position - at, at + count)[at:]
        known = np.array(self._values[at : at + count])
        more = count - len(known)
        return np.concatenate((known, self._drawn(law, self.position - at + BLOCK, more))) if more else known

    def skip(self, count: int) -> None:
        """Move on as so many calls of `draw` would."""
        at = self.position % BLOCK
        if not at or at + count >= BLOCK:
            self._law = None
        self.position += count

    def _fill(self, law: Law) -> None:
        self._values = self._drawn(law, self.position - self.position % BLOCK, BLOCK).tolist()
        self._law = law

    def _drawn(self, law: Law, position: int, count: int) -> np.ndarray:
        """The values of *law* from *position* on, a whole number of blocks, float64[count]."""
        words = np.array([self.key & _WORD, self.key >> 64], np.uint64)
        with _BITS.lock:  # a new generator would cost more than the draws of a block
            _BITS.state = {
                "bit_generator": "Philox",
                "state": {"counter": np.array([position // 4, 0, 0, 0], np.uint64), "key": words},
                "buffer": _NOTHING,
                "buffer_pos": 4,
                "has_uint32": 0,
                "uinteger": 0,
            }
            uniforms = _UNIFORMS.random(-(-count // BLOCK) * BLOCK)
        return law.isf(1.0 - uniforms)[:count]

    def copy(self) -> Stream:
        other = Stream(self.key, self.position)
        other._law, other._values = self._law, self._values
        return other

    def __reduce__(self):
        return Stream, (self.key, self.position)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream) and (self.key, self.position) == (other.key, other.position)

    def __hash__(self) -> int:
        return hash((self.key, self.position))

    def __repr__(self) -> str:
        return f"Stream({self.key:#034x}, {self.position})"


class Streams(dict[str, Stream]):
    """The named streams of one world run, declared when it starts; an undeclared name is a KeyError."""

    def __init__(self, seed: int, names: Iterable[str] = ()):
        super().__init__((name, Stream(stream_key(seed, name))) for name in names)
        self.seed = seed

    def copy(self) -> Streams:
        other = Streams(self.seed)
        for name, stream in self.items():
            other[name] = stream.copy()
        return other

    def rekeyed(self, seed: int) -> Streams:
        """Fresh streams of the same names under another seed."""
        return Streams(seed, self)

    @staticmethod
    def uniforms(seed: int, name: str, count: int) -> list[float]:
        """The first *count* uniforms in (0, 1] of the stream *name*."""
        return (1.0 - np.random.Generator(np.random.Philox(key=stream_key(seed, name))).random(count)).tolist()

    def __reduce__(self):
        return _restore, (self.seed, dict(self))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Streams) and self.seed == other.seed and dict.__eq__(self, other)

    __hash__ = None  # type: ignore[assignment]


def _restore(seed: int, streams: dict[str, Stream]) -> Streams:
    other = Streams(seed)
    other.update(streams)
    return other


def stream_key(seed: int, name: str) -> int:
    """A 128-bit Philox key from a seed and a name (BLAKE2b)."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=16).digest(), "little")
