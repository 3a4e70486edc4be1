"""A channel: what one sensor reads, of which entity, in which unit, how often, with what noise, and what it is for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sim.errors import require
from sim.trace import Key, Signal, Trace
from twins.sensors.noise import Noise


class Role(StrEnum):
    """What a model may do with a channel. `truth` never reaches a model's input."""

    TARGET = "target"  # observed up to now, to be forecast
    PAST = "past"  # observed up to now
    KNOWN = "known"  # known ahead: calendar, tariff, plan
    ACTION = "action"  # what was done
    STATIC = "static"
    TRUTH = "truth"  # hidden state, for scoring only


@dataclass(frozen=True)
class Channel:
    """One sensor. `reading` turns a trace into the noise-free signal, at breakpoints, so that one sweep samples it.

    With a `step_h`, sample k lies at k · step_h; without one (visits, sales), at the breakpoints of the reading.
    """

    entity: str
    quantity: str
    unit: str  # UCUM
    role: Role
    reading: Callable[[Trace], Signal]
    step_h: float | None = None
    noise: Noise = Noise()
    memory: bool = True  # whether the reading depends on more of the past than the segments in force: a lag, a counter

    def __post_init__(self):
        require(self.step_h is None or 0 < self.step_h < math.inf, self, "step_h", "above 0")
        bound_to_a_clock = self.noise.autocorrelated > 0 or self.noise.drift > 0
        require(
            self.step_h is not None or not bound_to_a_clock,
            self,
            "noise",
            "without autocorrelated noise and drift where the channel has no step_h",
        )

    @property
    def key(self) -> Key:
        return self.entity, self.quantity
