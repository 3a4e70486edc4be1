"""The market as an appraiser sees it: floor area and price of each home, at the time of its sale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from sim.house import MARKET, House
from sim.trace import Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.sensors.render import render


@dataclass(frozen=True)
class HouseTwin:
    """The sales of a world run as one episode, each at its own time.

    Its asset is `market`, with series `area` (known) and `price` (target).
    """

    world: House
    epoch: str = "2025-01-01T00:00:00"

    revision = 1

    @property
    def channels(self) -> Sequence[Channel]:
        return (
            Channel(MARKET, "area", "m2", Role.KNOWN, partial(_sales, quantity="area")),
            Channel(MARKET, "price", "{kEUR}", Role.TARGET, partial(_sales, quantity="price")),
        )

    def observe(self, run: Run) -> Iterable[Episode]:
        trace = run.trace
        series = tuple(
            Series(c.entity, c.quantity, c.unit, c.role, render(trace, c), times_h=c.reading(trace).time_h)
            for c in self.channels
        )
        truth = {
            "intercept_keur": self.world.intercept_keur,
            "slope_keur_per_m2": self.world.slope_keur_per_m2,
            "noise_keur": self.world.noise_keur,
        }
        yield Episode(trace.seed, MARKET, series, trace.events, truth=truth, epoch=self.epoch, end_h=trace.end_h)

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)


def _sales(trace: Trace, quantity: str) -> Signal:
    """The quantity at the sales of this trace: its first segment is the last sale before it, or none."""
    signal = trace[MARKET, quantity]
    return Signal.step(signal.time_h[1:], signal.value[1:])
