"""The world of devices. Research only, not for clinical use."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from sim.devices import process
from sim.devices.config import PUMP, VENTILATOR, Kind
from sim.devices.state import Device, Phase, Service, State
from sim.errors import InputError, require
from sim.laws import UNIT, Exponential, redraw
from sim.streams import Streams
from sim.trace import Run

ENGINEERS = "engineers"
ONE = Exponential(1.0)  # hazard until the next alarm


@dataclass(frozen=True)
class Devices:
    """Devices `pump1`, `pump2` … of several kinds, and the *engineers* who mend them in the order they came (none:
    as many as are wanted). Implements World."""

    kinds: tuple[Kind, ...] = (PUMP, VENTILATOR)
    engineers: int | None = 1
    revision: ClassVar[int] = 1

    def __post_init__(self):
        object.__setattr__(self, "kinds", tuple(self.kinds))
        names = [kind.name for kind in self.kinds]
        require(bool(names) and len(set(names)) == len(names), self, "kinds", "one or more, of different names")
        require(ENGINEERS not in self.names, self, "kinds", f"such that no device is called {ENGINEERS!r}")
        require(len(set(self.names)) == len(self.names), self, "kinds", "such that no two devices are called alike")
        require(self.engineers is None or self.engineers >= 1, self, "engineers", "at least 1, or none for no limit")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{kind.name}{i + 1}" for kind in self.kinds for i in range(kind.count))

    @property
    def each(self) -> tuple[Kind, ...]:
        """The kind of each device."""
        return tuple(kind for kind in self.kinds for _ in range(kind.count))

    def kind(self, name: str) -> Kind:
        """The kind that a device is of."""
        if name not in self.names:
            raise InputError(f"no device {name!r}; there are {', '.join(self.names)}")
        return self.each[self.names.index(name)]

    def start(self, seed: int) -> State:
        parts = ("use", "idle", "load", "wear", "sudden", "alarm", "repair", "service")
        each = list(zip(self.names, self.each, strict=True))
        own = [f"{name}/{p}" for name, kind in each for p in (*parts, *(kind.wear.parameters if kind.wear else ()))]
        state = State(seed, 0.0, Streams(seed, own), [Device() for _ in each])
        for (name, kind), device in zip(each, state.devices, strict=True):
            process.renew(kind, name, device, state.streams)
            device.until_h = state.streams[f"{name}/idle"].draw(kind.idle)
            device.alarm_left = state.streams[f"{name}/alarm"].draw(ONE)
            state.open |= {(name, signal): (0.0, value) for signal, value in process.shown(device)}
        state.open[ENGINEERS, "waiting"] = (0.0, 0.0)
        return state

    def run(self, state: State, until_h: float) -> Run:
        if not state.time_h <= until_h < math.inf:
            raise InputError(f"cannot run to {until_h} h devices that are at {state.time_h} h")
        return process.run(self, state.copy(), until_h)

    def act(self, state: State, action: Service) -> State:
        if not isinstance(action, Service) or action.device not in self.names:
            raise InputError(f"the action is {action!r}; Devices take Service of one of {', '.join(self.names)}")
        s = state.copy()
        s.actions.append(action)
        return s

    def resample(self, state: State, seed: int) -> State:
        """What is drawn and not yet seen is drawn anew, given how long it has lasted; loads and units' rates stay."""
        s = state.copy()
        s.seed, s.streams = seed, state.streams.rekeyed(seed)
        for name, kind, d in zip(self.names, self.each, s.devices, strict=True):
            streams = s.streams
            if d.phase is Phase.IN_USE:
                process.clock(kind, d, s.time_h)
            law, part = {
                Phase.IDLE: (kind.idle, "idle"),
                Phase.IN_USE: (kind.use, "use"),
                Phase.REPAIRED: (kind.repair, "repair"),
                Phase.SERVICED: (kind.service, "service"),
            }.get(d.phase, (None, ""))
            if law:
                u = streams[f"{name}/{part}"].draw(UNIT)
                d.until_h = s.time_h + redraw(law, s.time_h - d.since_h, d.until_h - s.time_h, u)
            if d.phase in (Phase.IDLE, Phase.IN_USE):
                self._redraw_life(kind, name, d, streams)
        return s

    @staticmethod
    def _redraw_life(kind: Kind, name: str, d: Device, streams: Streams) -> None:
        if kind.wear:
            spent = max(d.step - d.wear_left, 0.0)
            survival = kind.wear.sf(d.wear, d.unit, spent)
            draw = float(kind.wear.draws.isf(streams[f"{name}/wear"].draw(UNIT) * survival))
            d.step, d.next_wear = kind.wear.step(d.wear, d.unit, draw)
            d.wear_left = max(d.step - spent, 0.0)
        if kind.sudden:
            u = streams[f"{name}/sudden"].draw(UNIT)
            d.sudden_left = redraw(kind.sudden, d.used_h, d.sudden_left, u)
        d.alarm_left = streams[f"{name}/alarm"].draw(ONE)
