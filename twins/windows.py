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
from twins.dataset import Dataset, open_dataset

ROLES = tuple(Role)


class Window(NamedTuple):
    """V variates, in their own units, over T samples."""

    x_VxT: np.ndarray  # float32; 0 where missing
    mask_VxT: np.ndarray  # bool, observed
    role_V: np.ndarray  # int64, index into ROLES


@dataclass(frozen=True)
class WindowReader:
    """All windows of *length* samples of a split, *stride* apart; `reader[i]` is a `Window`.

    Of data that are split by cuts in time, those whose newest sample lies within the split, `Dataset.span`.
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
        return e, self._firsts[e][i - int(self._ends[e - 1] if e else 0)]

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the variates: their quantity, `quantity#2` for the second one of an asset."""
        return tuple(dict.fromkeys(name for one in self._each for name in one.series))

    @cached_property
    def _each(self) -> list[Aligned]:
        found = [Aligned(episode) for episode in self._dataset.sensed(self.split)]
        if not found:
            raise InputError(f"the split {self.split!r} of {self.path} holds no episode")
        return found

    @cached_property
    def _dataset(self) -> Dataset:
        return open_dataset(self.path)

    @cached_property
    def _firsts(self) -> list[range]:
        """The first samples of each episode's windows."""
        low_h, high_h = self._dataset.span(self.split)
        found = []
        for one in self._each:
            newest_h = one.times_h(0, one.length)[self.length - 1 :]
            within = np.flatnonzero((newest_h >= low_h) & (newest_h < high_h)).tolist()
            found.append(range(within[0], within[-1] + 1, self.stride) if within else range(0))
        return found

    @cached_property
    def _ends(self) -> np.ndarray:
        if not any(self._firsts):
            raise InputError(
                f"no window of {self.length} samples fits into the episodes of the split {self.split!r} of {self.path}"
            )
        return np.cumsum([len(each) for each in self._firsts])

    @cached_property
    def _role_ExV(self) -> np.ndarray:
        told = [[s.role if (s := one.series.get(n)) else Role.PAST for n in self.names] for one in self._each]
        return np.array([[ROLES.index(Role(role)) for role in row] for row in told])

    def __reduce__(self):
        return WindowReader, (self.path, self.split, self.length, self.stride)
