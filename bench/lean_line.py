"""The rival: the same serial line as a lean SimPy program that cannot be stopped and resumed.

Generators, timeouts and events, a `simpy.Resource` for the crew; the same draws from the same blocks and the same
breakpoints as `sim.line`, so that the two give the same history and only their speed differs. One machine per station,
a saturated source, failures by operation, run to failure.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import simpy

from sim.line import Line, Phase
from sim.streams import Streams
from sim.trace import Event, Signal

STARVED, WORKING, BLOCKED, WAITING, REPAIRING, *_ = map(int, Phase)


class LeanRun(NamedTuple):
    """Signals and events as in a Trace, and the hours of each machine in each phase."""

    signals: dict[tuple[str, str], Signal]
    events: list[Event]
    hours: list[list[float]]


def run(line: Line, seed: int, until_h: float) -> LeanRun:
    """Run *line* from 0 h to *until_h* without a thought for stopping."""
    env = simpy.Environment()
    timeout, event = env.timeout, env.event
    count = len(line.stations)
    crew = simpy.Resource(env, line.crew or count)
    streams = Streams(seed, line.plan.streams)
    room = [math.inf if b is None else b for b in (0, *line.buffers, None)]
    level = [0] * (count + 1)
    starving: list[simpy.Event | None] = [None] * (count + 1)
    blocking: list[simpy.Event | None] = [None] * (count + 1)
    level_t, level_v = [[0.0] for _ in level], [[0] for _ in level]
    events: list[Event] = []
    signals: dict[tuple[str, str], Signal] = {}
    hours = [[0.0] * len(Phase) for _ in line.stations]
    ends = []

    def machine(i: int):
        station, name = line.stations[i], f"m{i + 1}"
        first, last, wear, sudden = i == 0, i == count - 1, station.wear, station.sudden
        cycle, repair = streams[f"{name}/cycle"].draw, streams[f"{name}/repair"].draw
        cycle_law, repair_law = station.cycle, station.repair
        phase, since, spent = STARVED if i else WORKING, 0.0, hours[i]
        phase_t, phase_v, parts_t = [0.0], [phase], [0.0]
        wear_t, wear_v, rate_t, rate_v = [0.0], [0.0], [0.0], []
        steps, step_law, rate_law = 1, None, None
        if wear:
            steps, step_law, rate_law = wear.levels, wear.level_time, wear.rate

        def enter(to: int) -> None:
            nonlocal phase, since
            now = env.now
            spent[phase] += now - since
            phase, since = to, now
            phase_t.append(now)
            phase_v.append(to)

        def unit() -> tuple[float, float, float]:
            rate = streams[f"{name}/rate"].draw(rate_law) if rate_law else 1.0
            rate_v.append(rate)
            pace = station.load * rate
            to_level = streams[f"{name}/wear"].draw(step_law) / pace if step_law else math.inf
            return pace, to_level, streams[f"{name}/sudden"].draw(sudden.life) if sudden else math.inf

        def end() -> None:
            spent[phase] += until_h - since
            signals[name, "phase"] = Signal.step(phase_t, phase_v)
            signals[name, "parts"] = Signal.step(parts_t, np.arange(len(parts_t)))
            signals[name, "wear"] = Signal.step(wear_t, wear_v)
            signals[name, "rate"] = Signal.step(rate_t, rate_v)
            signals[name, "speed"] = Signal.step([0.0], [1.0])

        ends.append(end)
        worn = 0
        pace, to_level, to_sudden = unit()
        clock = min(to_level, to_sudden)  # operating time to the next of the two, of which both are counted from `base`
        base = clock
        while True:
            if not first:
                if blocking[i]:
                    waiting, blocking[i] = blocking[i], None
                    waiting.succeed()
                elif level[i]:
                    level[i] -= 1
                    level_t[i].append(env.now)
                    level_v[i].append(level[i])
                else:
                    if phase != STARVED:
                        enter(STARVED)
                    starving[i] = event()
                    yield starving[i]
            if phase != WORKING:
                enter(WORKING)
            left = cycle(cycle_law)
            while clock < left:
                yield timeout(clock)
                left -= clock
                to_level -= base
                to_sudden -= base
                cause = "sudden"
                if to_level <= 0:
                    worn += 1
                    wear_t.append(env.now)
                    wear_v.append(worn / steps)
                    if worn < steps:
                        to_level = streams[f"{name}/wear"].draw(step_law) / pace
                        base = clock = min(to_level, to_sudden)
                        continue
                    cause = "wear"
                events.append(Event(env.now, name, "failure", cause))
                with crew.request() as request:
                    if not request.triggered:
                        enter(WAITING)
                    yield request
                    enter(REPAIRING)
                    yield timeout(repair(repair_law))
                if worn:
                    worn = 0
                    wear_t.append(env.now)
                    wear_v.append(0.0)
                rate_t.append(env.now)
                pace, to_level, to_sudden = unit()
                base = clock = min(to_level, to_sudden)
                events.append(Event(env.now, name, "renewal", "repair"))
                enter(WORKING)
            yield timeout(left)
            clock -= left
            parts_t.append(env.now)
            if last:
                continue
            if starving[i + 1]:
                waiting, starving[i + 1] = starving[i + 1], None
                waiting.succeed()
            elif level[i + 1] < room[i + 1]:
                level[i + 1] += 1
                level_t[i + 1].append(env.now)
                level_v[i + 1].append(level[i + 1])
            else:
                enter(BLOCKED)
                blocking[i + 1] = event()
                yield blocking[i + 1]

    for i in range(count):
        env.process(machine(i))
    env.run(until=until_h)
    for end in ends:
        end()
    for k in range(1, count):
        signals[f"b{k}", "level"] = Signal.step(level_t[k], level_v[k])
    return LeanRun(signals, events, hours)
