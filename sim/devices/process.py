"""How devices run: one deadline each, on which what comes first happens."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sim.devices.config import Kind
from sim.devices.state import Device, Phase, State
from sim.kernel import Kernel
from sim.laws import Exponential
from sim.streams import Streams
from sim.trace import Event, Run, Trace, steps

if TYPE_CHECKING:
    from sim.devices.devices import Devices

ONE = Exponential(1.0)


def pace(kind: Kind, d: Device) -> float:
    """Wear hours an hour of use."""
    return d.load**kind.wear.load_exponent * d.unit.get("rate", 1.0) if kind.wear else 1.0


def clock(kind: Kind, d: Device, now_h: float) -> None:
    """Carry the amounts of a device in use on to now."""
    gone_h = now_h - d.clocked_h
    d.used_h += gone_h
    d.wear_left = max(d.wear_left - gone_h * pace(kind, d), 0.0)
    d.sudden_left = max(d.sudden_left - gone_h, 0.0)
    d.alarm_left = max(d.alarm_left - gone_h * kind.alarm_rate(d.wear), 0.0)
    d.clocked_h = now_h


def due_h(kind: Kind, d: Device) -> tuple[float, str]:
    """When the next thing happens to a device, and what it is."""
    if d.phase is not Phase.IN_USE:
        return d.until_h, "end"
    rate, found = kind.alarm_rate(d.wear), (d.until_h, "end")
    if rate and d.clocked_h + d.alarm_left / rate < found[0]:
        found = d.clocked_h + d.alarm_left / rate, "alarm"
    if d.clocked_h + d.sudden_left <= found[0]:
        found = d.clocked_h + d.sudden_left, "sudden"
    if d.clocked_h + d.wear_left / pace(kind, d) <= found[0]:
        found = d.clocked_h + d.wear_left / pace(kind, d), "wear"
    return found


def renew(kind: Kind, name: str, d: Device, streams: Streams) -> None:
    """A new unit."""
    d.used_h, d.wear = 0.0, 0.0
    if kind.wear:
        d.unit = {p: streams[f"{name}/{p}"].draw(law) for p, law in kind.wear.parameters.items()}
        d.wear = kind.wear.begin(d.unit)
        worn(kind, name, d, streams)
    if kind.sudden:
        d.sudden_left = streams[f"{name}/sudden"].draw(kind.sudden)


def worn(kind: Kind, name: str, d: Device, streams: Streams) -> None:
    """The way to the next breakpoint of wear, from one that has just been reached."""
    assert kind.wear
    d.step, d.next_wear = kind.wear.step(d.wear, d.unit, streams[f"{name}/wear"].draw(kind.wear.draws))
    d.wear_left = d.step


def shown(d: Device) -> Iterator[tuple[str, float]]:
    """The signals of a device, with what they show now."""
    yield "phase", float(d.phase)
    yield "wear", d.wear
    yield "load", d.load
    yield "alarms", float(d.alarms)


def run(world: Devices, s: State, until_h: float) -> Run:
    """Carry *s* on to *until_h*, in place."""
    kernel, start_h, names, kinds = Kernel(s.time_h), s.time_h, world.names, world.each
    free = (world.engineers or len(names)) - sum(d.phase >= Phase.REPAIRED for d in s.devices)
    columns = {key: ([time_h], [value]) for key, (time_h, value) in s.open.items()}
    events: list[Event] = []

    def draw(i: int, part: str, law) -> float:
        return s.streams[f"{names[i]}/{part}"].draw(law)

    def note(i: int, kind: str, cause: str = "", value: float = 0.0) -> None:
        events.append(Event(kernel._now, names[i], kind, cause, value))

    def show(key: tuple[str, str], value: float) -> None:
        times_h, values = columns[key]
        if value != values[-1]:
            times_h.append(kernel._now)
            values.append(value)

    def enter(i: int, phase: Phase, until_h: float = math.inf) -> None:
        d = s.devices[i]
        d.phase, d.since_h, d.until_h = phase, kernel._now, until_h

    def happen(i: int) -> None:
        d, kind = s.devices[i], kinds[i]
        match d.phase:
            case Phase.IDLE:
                d.load, d.clocked_h = draw(i, "load", kind.load), kernel._now
                enter(i, Phase.IN_USE, kernel._now + draw(i, "use", kind.use))
                note(i, "use", value=d.load)
            case Phase.IN_USE:
                use(i)
            case Phase.REPAIRED | Phase.SERVICED:
                renew(kind, names[i], d, s.streams)
                note(i, "renewal", "service" if d.planned else "repair")
                d.planned = d.ordered = False
                enter(i, Phase.IDLE, kernel._now + draw(i, "idle", kind.idle))
                release()
        tell(i)

    def use(i: int) -> None:
        """What comes first while a patient has it."""
        d, kind = s.devices[i], kinds[i]
        what = due_h(kind, d)[1]
        clock(kind, d, kernel._now)
        if what == "alarm":
            d.alarms += 1
            d.alarm_left = draw(i, "alarm", ONE)
            note(i, "alarm")
        elif what == "wear":
            d.wear = d.next_wear
            if d.wear > 1 - 1e-9:
                fail(i, "wear")
            else:
                worn(kind, names[i], d, s.streams)
        elif what == "sudden":
            fail(i, "sudden")
        else:
            d.load = 0.0
            note(i, "free")
            if d.ordered or d.used_h >= kind.service_every_h:
                take_out(i)
            else:
                enter(i, Phase.IDLE, kernel._now + draw(i, "idle", kind.idle))

    def fail(i: int, cause: str) -> None:
        s.devices[i].load = 0.0
        note(i, "failure", cause)
        wait(i)

    def take_out(i: int) -> None:
        s.devices[i].planned = True
        note(i, "planned")
        wait(i)

    def wait(i: int) -> None:
        enter(i, Phase.WAITING)
        s.queue.append(i)
        attend()

    def attend() -> None:
        nonlocal free
        while free and s.queue:
            i = s.queue.pop(0)
            d, kind, free = s.devices[i], kinds[i], free - 1
            phase, law, part = (
                (Phase.SERVICED, kind.service, "service") if d.planned else (Phase.REPAIRED, kind.repair, "repair")
            )
            enter(i, phase, kernel._now + draw(i, part, law))
            tell(i)
        show(("engineers", "waiting"), float(len(s.queue)))

    def release() -> None:
        nonlocal free
        free += 1
        attend()

    def tell(i: int) -> None:
        d = s.devices[i]
        for signal, value in shown(d):
            show((names[i], signal), value)
        deadlines[i].set(due_h(kinds[i], d)[0])

    deadlines = [kernel.deadline(i, lambda _, i=i: happen(i)) for i in range(len(names))]
    if until_h > start_h:
        for action in s.actions:
            i = names.index(action.device)
            d = s.devices[i]
            note(i, "action", type(action).__name__)
            d.ordered = d.ordered or d.phase in (Phase.IDLE, Phase.IN_USE)
            if d.phase is Phase.IDLE:
                take_out(i)
        s.actions.clear()
    for i in range(len(names)):
        tell(i)
    kernel.run_to(until_h)
    s.time_h = until_h
    s.open = {key: (times_h[-1], values[-1]) for key, (times_h, values) in columns.items()}
    return Run(Trace(s.seed, start_h, until_h, steps(list(columns), list(columns.values())), tuple(events)), s)
