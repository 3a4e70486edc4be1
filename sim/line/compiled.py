"""The line as one compiled loop, where nothing outside reacts to it: the same draws, floats and order as `process`.

A draw is addressed, so it can be made ahead: each kind of each machine is drawn as far as the horizon asks for, in one
go, and the loop takes them one by one. Every step is the arithmetic of `sim.line.process`, so traces and states are
equal bit for bit, and either engine goes on where the other has stopped.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from sim.line import loop
from sim.line.config import AgeReplacement, RunToFailure, WearThreshold
from sim.line.loop import KINDS, MACHINE
from sim.line.state import Machine, State
from sim.trace import Event, Form, Run, Signal, Trace
from sim.wear import Wiener

if TYPE_CHECKING:
    from sim.laws import Law
    from sim.line.line import Line
    from sim.line.plan import Plan


class Floor(NamedTuple):
    """What the loop works on."""

    machines: np.ndarray  # MACHINE[machines]
    crew: np.ndarray  # int64: members at work, members, machines that wait, whether draws ran out, events
    queue: np.ndarray  # machines that wait for the crew
    draws: np.ndarray  # of all machines and kinds, one after the other; each machine knows where
    time_h: np.ndarray  # breakpoints of all that is recorded, stretch by stretch; the first of each is the state's
    value: np.ndarray
    next: np.ndarray  # int64[len(OPENS), machines]: where the next breakpoint goes
    event_h: np.ndarray
    event: np.ndarray  # int64[most, 2]: machine, and which of loop.EVENTS
    first: np.ndarray  # int64[len(OPENS), machines]: where each stretch of the record begins


def refusal(line: Line) -> str | None:
    """What a compiled line has and *line* has not, or None."""
    if line.arrivals is not None or line.supply is not None or line.material is not None:
        return "a source that never runs dry, and no supply"
    for k, s in enumerate(line.stations, 1):
        needs = {
            "one machine": s.machines == 1,
            "sudden failures by operation": s.sudden is None or s.sudden.clock == "operation",
            "wear by Wiener, or none": s.wear is None or type(s.wear) is Wiener,
            "a policy of its own age or wear": isinstance(s.policy, RunToFailure | AgeReplacement | WearThreshold),
            "units as good as new after work": s.repair_leaves.new and s.maintenance_leaves.new,
        }
        for need, met in needs.items():
            if not met:
                return f"{need} at each station, which station {k} has not"
    return None


def run(plan: Plan, s: State, until_h: float) -> Run:
    """Carry *s* on to *until_h*, in place, as `process.run` does."""
    margin = 1.0
    while True:
        floor = _floor(plan, s, until_h - s.time_h, margin)
        if loop.run(*floor[:-1], until_h):
            break
        margin *= 2  # the draws made ahead did not last
    names, count = plan.names, int(floor.crew[4])
    events = tuple(
        Event(time_h, names[i], *loop.EVENTS[which])
        for time_h, (i, which) in zip(floor.event_h[:count].tolist(), floor.event[:count].tolist(), strict=True)
    )
    trace = Trace(s.seed, s.time_h, until_h, _signals(plan, s, floor), events)
    _hand_back(plan, s, floor)
    s.time_h = until_h
    return Run(trace, s)


def _floor(plan: Plan, s: State, hours: float, margin: float) -> Floor:
    machines = np.zeros(len(s.machines), MACHINE)
    for name in (*loop.FLOATS, *loop.INTS, "speed", "hours"):
        machines[name] = [getattr(m, name) for m in s.machines]
    held = [m.held for m in s.machines]
    machines["age_h"] = np.where(held, math.inf, plan.age_h)
    machines["threshold"] = np.where(held, math.inf, plan.threshold)
    machines["strain"] = strain = [
        plan.upkeep[m.rank].load * m.speed**wear.load_exponent if wear else 1.0
        for m, wear in zip(s.machines, plan.wear, strict=True)
    ]
    machines["rungs"] = [wear.levels if isinstance(wear, Wiener) else 0 for wear in plan.wear]
    machines["room"], machines["level"], machines["changed_h"] = plan.capacity, s.levels, s.changed_h
    machines["waits"] = [len(waiting) for waiting in s.blocked]
    draws: list[np.ndarray] = []
    ends, size = np.zeros((2, len(machines), len(KINDS)), np.int64)
    for i, m in enumerate(s.machines):
        for kind, (law, count) in enumerate(_wanted(plan, m, strain[i], hours)):
            if law is not None:
                ahead = s.streams[f"{plan.names[i]}/{KINDS[kind]}"].ahead(law, int(margin * (1.05 * count + 12)))
                draws.append(ahead)
                size[i, kind] = len(ahead)
    ends[size > 0] = np.cumsum(size[size > 0])
    machines["begin"] = machines["at"] = ends - size
    machines["end"] = ends

    parts, works = size[:, loop.CYCLE], size[:, loop.REPAIR :].sum(1)
    room = np.empty((len(loop.OPENS), len(machines)), np.int64)
    room[loop.PHASE] = 3 * parts + 3 * works  # starved, at work, blocked; waiting, under repair, at work
    room[loop.WEARS], room[loop.RATES], room[loop.PARTS] = size[:, loop.WEAR] + works, works, parts
    room[loop.LEVEL] = parts
    room[loop.LEVEL, 1:] += parts[:-1]
    after = np.cumsum(room + 8).reshape(room.shape)
    first, events, waiting = after - room - 8, 2 * int(works.sum()) + 8, len(s.queue)
    floor = Floor(
        machines,
        np.array([s.busy, int(min(plan.crew, len(machines))), waiting, 0, 0]),
        np.array([*s.queue, *[0] * (len(machines) + 1 - waiting)]),
        np.concatenate(draws),
        np.empty(after[-1, -1]),
        np.empty(after[-1, -1]),
        first + 1,
        np.empty(events),
        np.empty((events, 2), np.int64),
        first,
    )
    for at, (since_h, value) in zip(first, loop.OPENS, strict=True):
        floor.time_h[at], floor.value[at] = machines[since_h], machines[value]
    return floor


def _wanted(plan: Plan, m: Machine, strain: float, hours: float) -> list[tuple[Law | None, float]]:
    """The law of each kind of draw of a machine, None where it draws none, and how many *hours* take on the average."""
    i = m.rank
    wear, life, steps = plan.wear[i], plan.operation[i], 0.0
    lives_h = [plan.age_h[i], life.mean_h if life else math.inf]
    if isinstance(wear, Wiener):
        pace = strain * 1.5  # units differ
        steps = hours * pace / wear.level_time.mean_h
        lives_h.append(wear.mean_life_h / pace)
    lives = sum(hours / life_h for life_h in lives_h) + 3
    planned = m.planned or not isinstance(plan.upkeep[i].policy, RunToFailure)
    rate, maintenance = dict(plan.parameters[i]).get("rate"), plan.maintenance[i] if planned else None
    laws = (plan.cycle[i], plan.draws[i], rate, life, plan.repair[i], maintenance)
    return list(zip(laws, (hours * m.speed / plan.cycle[i].mean_h, steps, lives, lives, lives, lives), strict=True))


def _signals(plan: Plan, s: State, floor: Floor) -> dict:
    signals = {}

    def put(name: str, quantity: str, what: int, i: int) -> None:
        stretch = slice(floor.first[what, i], floor.next[what, i])
        signals[name, quantity] = Signal(Form.STEP, floor.time_h[stretch], floor.value[stretch])

    for m, name in zip(s.machines, plan.names, strict=True):
        put(name, "phase", loop.PHASE, m.rank)
        put(name, "wear", loop.WEARS, m.rank)
        signals[name, "speed"] = Signal.step([m.speed_h], [m.speed])
        put(name, "parts", loop.PARTS, m.rank)
        put(name, "rate", loop.RATES, m.rank)
    for k, name in enumerate(plan.line.buffer_names, 1):
        put(name, "level", loop.LEVEL, k)
    return signals


def _hand_back(plan: Plan, s: State, floor: Floor) -> None:
    """The state at the end, from what the loop has left."""
    machines = floor.machines
    for name in (*loop.FLOATS, *loop.INTS, "hours"):
        for m, now in zip(s.machines, machines[name].tolist(), strict=True):
            setattr(m, name, now)
    drawn, renewals = (machines["at"] - machines["begin"]).tolist(), machines["renewals"].tolist()
    for i, m in enumerate(s.machines):
        m.planned = bool(m.planned)
        if renewals[i] and plan.wear[i]:
            m.unit = {"rate": m.rate} if plan.parameters[i] else {}
        for kind, count in zip(KINDS, drawn[i], strict=True):
            if count:
                s.streams[f"{plan.names[i]}/{kind}"].skip(count)
    s.levels, s.changed_h = machines["level"].tolist(), machines["changed_h"].tolist()
    s.blocked = [[k - 1] if waits else [] for k, waits in enumerate(machines["waits"].tolist())]
    s.busy, _, waiting, *_ = floor.crew.tolist()
    s.queue = floor.queue[:waiting].tolist()
