"""Taking turns: how a ratio is measured.

A ratio of neighbours in time is hardly moved by what else the machine does; the median of several is reported, with the
least and the greatest beside it. What runs in one thread is timed by the processor's clock, the rest by the wall's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

MONTH_H = 720.0
MINUTE_H = 1 / 60


@dataclass(frozen=True)
class Measured:
    """One line of the table. `value` is the median of `values`; `detail` says what went into them."""

    name: str
    what: str
    unit: str
    target: float
    more_is_better: bool
    values: tuple[float, ...]
    detail: dict[str, Any]

    @property
    def value(self) -> float:
        return median(self.values)

    @property
    def met(self) -> bool:
        return self.value >= self.target if self.more_is_better else self.value <= self.target


def turns(first: Callable[[int], Any], second: Callable[[int], Any], repeats: int) -> tuple[list[float], list[float]]:
    """Processor seconds of both, in turn, after one unmeasured turn each, which compiles and fills caches."""
    first(0), second(0)
    seconds: tuple[list[float], list[float]] = ([], [])
    for k in range(1, repeats + 1):
        for job, spent in zip((first, second), seconds, strict=True):
            began = time.process_time()
            job(k)
            spent.append(time.process_time() - began)
    return seconds
