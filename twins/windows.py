"""Windows of a dataset as NumPy arrays, for any library: a sequence that reads a window when it is asked for.

Values lie in a memory-mapped file, or are rendered, so a dataset may be larger than memory. It pickles as a path and
is opened again in each process, as `torch.utils.data.DataLoader` wants of a dataset; no library is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sim.errors import InputError, require
from twins.aligned import Aligned
from twins.channel import Role
from twins.dataset import open_dataset

ROLES = tuple(Role)


class Window(NamedTuple):
    """V variates, in their own units, over T samples."""

    x_VxT: np.ndarray  # float32; 0 where missing
    mask_VxT: np.ndarray  # bool, observed
    role_V: np.ndarray  # int64, index into ROLES


@dataclass(frozen=True)
class WindowReader:
    """All windows of *length* samples of a split, *stride* apart; `reader[i]` is a `Window`.

    Variates of all episodes have one order, `names`; one that an episode lacks is missing all along. What is of role
    truth is left out, frames such as pictures too.
    """

    path: Path
    split: str
    length: int
    stride: int = 1

    def __post_init__(self):
        object.__setattr__(self, "path", Path(self.path))
        for field in ("length", "stride"):
            require(getattr(self, field) >= 1, self, field, "at least 1 sample")

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, i: int) -> Window:
        if not -len(self) <= i < len(self):
            raise IndexError(f"window {i} of {len(self)}")
        e, k = self.place(i % len(self))
        x_VxT = np.full((len(self.names), self.length), np.nan, np.float32)
        self._each[e].fill(x_VxT, self.names, k)
        mask_VxT = np.isfinite(x_VxT)
        return Window(np.where(mask_VxT, x_VxT, np.float32(0)), mask_VxT, self._role_ExV[e])

    def place(self, i: int) -> tuple[int, int]:
        """The episode of window *i*, counted as in `dataset.episodes(split)`, and its first sample."""
        e = int(np.searchsorted(self._ends, i, side="right"))
        return e, (i - int(self._ends[e - 1] if e else 0)) * self.stride

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the variates: their quantity, `quantity#2` for the second one of an asset."""
        return tuple(dict.fromkeys(name for one in self._each for name in one.series))

    @cached_property
    def _each(self) -> list[Aligned]:
        found = [Aligned(episode) for episode in open_dataset(self.path).sensed(self.split)]
        if not found:
            raise InputError(f"the split {self.split!r} of {self.path} holds no episode")
        return found

    @cached_property
    def _ends(self) -> np.ndarray:
        counts = [max((one.length - self.length) // self.stride + 1, 0) for one in self._each]
        if not sum(counts):
            raise InputError(f"no window of {self.length} samples fits into the episodes of {self.path}")
        return np.cumsum(counts)

    @cached_property
    def _role_ExV(self) -> np.ndarray:
        told = [[s.role if (s := one.series.get(n)) else Role.PAST for n in self.names] for one in self._each]
        return np.array([[ROLES.index(Role(role)) for role in row] for row in told])

    def __reduce__(self):
        return WindowReader, (self.path, self.split, self.length, self.stride)
