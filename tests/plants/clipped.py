"""A fault of one's own, outside the packages."""

from dataclasses import dataclass, replace

import numpy as np

from twins.episode import Series
from twins.faults import Fault, Struck


@dataclass(frozen=True)
class Clipped(Fault):
    """A sensor reads no more than *most*."""

    most: float = 1.0

    def strike(self, series: Series, scale: float, rng: np.random.Generator) -> Struck:
        over = series.values > self.most
        return Struck(replace(series, values=np.where(over, np.float32(self.most), series.values)), over)
