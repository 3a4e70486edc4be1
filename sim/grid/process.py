"""How a grid runs: two deadlines an element (it fails or is mended; its fault is isolated) and one of the weather."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from sim.grid import state as states
from sim.grid.config import Action, Replace, SwitchSection
from sim.grid.feeding import Fault
from sim.grid.state import BY_HAND, GAP, LENGTH, UNIT_LIFE, Dark, State
from sim.kernel import Deadline, Kernel
from sim.trace import Event, Run, Trace, steps

if TYPE_CHECKING:
    from sim.grid.grid import Grid


def run(grid: Grid, s: State, until_h: float) -> Run:
    """Carry *s* on to *until_h*, in place. Its callers hand in a copy."""
    kernel, start_h, network = Kernel(s.time_h), s.time_h, grid.network
    names, points, size = network.elements, network.load_points, len(network.elements)
    keys = [key for key, _ in grid.signals]
    columns = {key: ([s.open[key][0]], [s.open[key][1]]) for key in keys}
    events: list[Event] = []

    def put(entity: str, quantity: str, value: float) -> None:
        times_h, values = columns[entity, quantity]
        times_h.append(kernel._now)
        values.append(value)

    def note(entity: str, kind: str, cause: str = "", value: float = 0.0) -> int:
        events.append(Event(kernel._now, entity, kind, cause, float(value)))
        return len(events) - 1

    def feed(cause: int) -> tuple[int, int]:
        """Who is fed now, after *cause* has changed something: customers that went dark, and that came back."""
        now_h = kernel._now
        faults = [Fault(i, e.isolated) for i, e in enumerate(s.elements) if not e.up]
        fed, live = grid.feeding.supply(faults, frozenset(s.opened))
        if live != s.live:
            for section, before, now in zip(network.sections, s.live, live, strict=True):
                if before != now:
                    put(section.name, "live", float(now))
            s.live = live
        lost = regained = 0
        for k, (point, dark) in enumerate(zip(points, s.dark, strict=True)):
            if fed[k]:
                if dark is not None:
                    count(k, dark)
                    s.dark[k] = None
                    regained += point.customers
                    note(point.name, "renewal", told(dark.cause), point.load_kw * (now_h - dark.since_h))
                    put(point.name, "fed", 1.0)
            elif dark is None:
                s.dark[k] = Dark(now_h, cause, now_h)
                lost += point.customers
                note(point.name, "failure", grid.kind(cause), point.customers)
                put(point.name, "fed", 0.0)
            elif dark.cause >= 0 and s.elements[dark.cause].up:  # mended, but something else keeps it dark
                count(k, dark)
                s.dark[k] = Dark(dark.since_h, faults[0].element if faults else BY_HAND, now_h)
        if lost or regained:
            put("grid", "customers_out", columns["grid", "customers_out"][1][-1] + lost - regained)
        return lost, regained

    def count(k: int, dark: Dark) -> None:
        """The energy that a load point has gone without goes to its cause's account."""
        if dark.cause >= 0:
            s.elements[dark.cause].lost_kwh += points[k].load_kw * (kernel._now - dark.counted_h)

    def told(cause: int) -> str:
        return "switch" if cause == BY_HAND else names[cause]

    def act_on(i: int, deadline: Deadline) -> None:
        (fail if s.elements[i].up else mend)(i)

    def fail(i: int) -> None:
        at = note(names[i], "failure", "storm" if s.storm and grid.rates[i][1] else "chance")
        down(i, grid.feeding.found_at_once(i, frozenset(s.opened)))
        lost, _ = feed(i)
        events[at] = events[at]._replace(value=float(lost))

    def down(i: int, isolated: bool) -> None:
        element = s.elements[i]
        element.up, element.isolated, element.fails_h = False, isolated, math.inf
        put(names[i], "up", 0.0)
        if not isolated:
            element.isolates_h = kernel._now + grid.switching_h
            isolating[i].set(element.isolates_h)
        s.waiting.append(i)
        dispatch()

    def isolate(i: int, deadline: Deadline) -> None:
        element = s.elements[i]
        element.isolates_h, element.isolated = math.inf, True
        _, regained = feed(i)
        note(names[i], "isolated", "", regained)

    def dispatch() -> None:
        """Crews go to those who have waited longest."""
        while s.waiting and (grid.crews is None or s.busy < grid.crews):
            i = s.waiting.pop(0)
            element = s.elements[i]
            s.busy += 1
            element.begun_h = kernel._now
            element.mended_h = kernel._now + drawn(i)
            changing[i].set(element.mended_h)
        if len(s.waiting) != columns["grid", "waiting"][1][-1]:
            put("grid", "waiting", float(len(s.waiting)))

    def drawn(i: int) -> float:
        kind = "replacement" if s.elements[i].replaced else "repair"
        return s.streams[f"{names[i]}/{kind}"].draw(states.work(grid, s, i))

    def mend(i: int) -> None:
        element = s.elements[i]
        cause = "replacement" if element.replaced else "repair"
        element.up, element.isolated, element.replaced = True, False, False
        element.begun_h = element.mended_h = element.isolates_h = math.inf
        isolating[i].set(math.inf)
        element.left, element.since_h = s.streams[f"{names[i]}/life"].draw(UNIT_LIFE), kernel._now
        element.fails_h = states.fails_h(grid, s, i)
        changing[i].set(element.fails_h)
        put(names[i], "up", 1.0)
        s.busy -= 1
        feed(i)
        note(names[i], "renewal", cause, element.lost_kwh)
        element.lost_kwh = 0.0
        dispatch()

    def weather(deadline: Deadline) -> None:
        storms = grid.storms
        assert storms
        before = [states.rate_per_h(grid, s, i) for i in range(size)]
        s.storm, s.storm_since_h = not s.storm, kernel._now
        law, stream = (storms.length, LENGTH) if s.storm else (storms.gap, GAP)
        s.storm_h = kernel._now + s.streams[stream].draw(law)
        deadline.set(s.storm_h)
        put("weather", "storm", float(s.storm))
        note("weather", "storm" if s.storm else "calm")
        for i, (element, rate) in enumerate(zip(s.elements, before, strict=True)):
            if element.up and rate != states.rate_per_h(grid, s, i):
                element.left -= (kernel._now - element.since_h) * rate
                element.since_h = kernel._now
                element.fails_h = states.fails_h(grid, s, i)
                changing[i].set(element.fails_h)

    def act(action: Action) -> None:
        if isinstance(action, SwitchSection):
            i = names.index(action.section)
            note(action.section, "action", "SwitchSection", float(action.open))
            if action.open and i not in s.opened:
                s.opened.append(i)
            elif not action.open and i in s.opened:
                s.opened.remove(i)
            feed(BY_HAND)
            return
        assert isinstance(action, Replace)
        i = names.index(action.element)
        element = s.elements[i]
        note(action.element, "action", "Replace")
        if element.replaced:
            return
        element.replaced = True
        if element.up:
            note(action.element, "planned")
            down(i, True)
            feed(i)
        elif element.begun_h < math.inf:  # the crew that is there turns to it
            element.begun_h = kernel._now
            element.mended_h = kernel._now + drawn(i)
            changing[i].set(element.mended_h)

    changing = [
        kernel.deadline(2 * i, partial(act_on, i), e.fails_h if e.up else e.mended_h) for i, e in enumerate(s.elements)
    ]
    isolating = [kernel.deadline(2 * i + 1, partial(isolate, i), e.isolates_h) for i, e in enumerate(s.elements)]
    kernel.deadline(2 * size, weather, s.storm_h)
    if until_h > start_h:
        for action in s.actions:
            act(action)
        s.actions = []
    kernel.run_to(until_h)
    s.time_h = until_h
    s.open = {key: (times_h[-1], values[-1]) for key, (times_h, values) in columns.items()}
    changing.clear()
    isolating.clear()
    kernel._queue.clear()  # breaks the cycles of callbacks and deadlines, which would keep all until a collection
    return Run(Trace(s.seed, start_h, until_h, steps(keys, [columns[key] for key in keys]), tuple(events)), s)
