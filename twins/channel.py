"""A channel: what one sensor reads, from which entity, in which unit, how often, with what noise, and what it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from sim.trace import Key, Signal, Trace
from twins.noise import Noise


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

    @property
    def key(self) -> Key:
        return self.entity, self.quantity
