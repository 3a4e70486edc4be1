"""The state of devices, plain data: amounts are as of a device's latest event, deadlines are absolute."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from sim.streams import Streams


class Phase(IntEnum):
    """The codes of a device's `phase` signal."""

    IDLE = 0
    IN_USE = 1
    WAITING = 2  # for an engineer
    REPAIRED = 3
    SERVICED = 4


@dataclass(frozen=True)
class Service:
    """Action: a device is taken out for service, at once where it is idle, else when its patient is done."""

    device: str


@dataclass(slots=True)
class Device:
    """One device and the unit in it. What it has left is in its own measure: wear hours, hours of use, hazard."""

    phase: Phase = Phase.IDLE
    since_h: float = 0.0
    until_h: float = math.inf  # when a use, a pause or work on it ends
    load: float = 0.0
    clocked_h: float = 0.0  # as of when the amounts below are
    used_h: float = 0.0  # since it was renewed
    wear: float = 0.0
    next_wear: float = 0.0
    step: float = math.inf  # wear hours from this wear to the next
    wear_left: float = math.inf
    sudden_left: float = math.inf
    alarm_left: float = math.inf
    alarms: int = 0
    unit: Mapping[str, float] = field(default_factory=dict)  # what the unit has drawn for itself
    planned: bool = False  # the work that it waits for, or that is done on it
    ordered: bool = False  # a service, when it is free


@dataclass
class State:
    """All devices at `time_h`, before what is due at that very time."""

    seed: int
    time_h: float
    streams: Streams
    devices: list[Device]
    queue: list[int] = field(default_factory=list)  # those that wait for an engineer, in order
    open: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)  # the signals' latest breakpoints
    actions: list[Service] = field(default_factory=list)  # to be carried out first by the next run that takes any time

    def copy(self) -> State:
        return replace(
            self,
            streams=self.streams.copy(),
            devices=[replace(device) for device in self.devices],
            queue=self.queue[:],
            open=dict(self.open),
            actions=self.actions[:],
        )
