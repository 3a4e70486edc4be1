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
from sim.line.state import State
from sim.trace import Event, Run, Signal, Trace
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
    time_h: (
        np.ndarray
    )  # breakpoints of all that is recorded, one stretch after the other; the state has the first of each
    value: np.ndarray
    next: np.ndarray  # int64[len(OPENS), machines]: where the next breakpoint goes
    event_h: np.ndarray
    event: np.ndarray  # int64[most, 2]: machine, and which of loop.EVENTS


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
        if loop.run(*floor, until_h):
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
    draws: list[np.ndarray] = []
    for name in (*loop.FLOATS, *loop.INTS, "speed", "hours"):
        machines[name] = [getattr(m, name) for m in s.machines]
    for row, m in zip(machines, s.machines, strict=True):
        i, wear = m.rank, plan.wear[m.rank]
        row["age_h"], row["threshold"] = (math.inf, math.inf) if m.held else (plan.age_h[i], plan.threshold[i])
        if isinstance(wear, Wiener):
            row["strain"], row["rungs"] = plan.upkeep[i].load * m.speed**wear.load_exponent, wear.levels
        row["room"], row["level"], row["waits"] = plan.capacity[i], s.levels[i], len(s.blocked[i])
        row["changed_h"] = s.changed_h[i]
        for kind, (law, count) in enumerate(_wanted(plan, row, i, hours)):
            if law is not None:
                ahead = s.streams[f"{plan.names[i]}/{KINDS[kind]}"].ahead(law, int(margin * (1.05 * count + 12)))
                row["begin"][kind] = row["at"][kind] = sum(map(len, draws))
                draws.append(ahead)
                row["end"][kind] = row["at"][kind] + len(ahead)
    places, waiting = _places(machines), len(s.queue)
    most = len(machines) * int(2 * (machines["end"] - machines["begin"])[:, loop.REPAIR :].sum(1).max() + 8)
    floor = Floor(
        machines,
        np.array([s.busy, int(min(plan.crew, len(machines))), waiting, 0, 0]),
        np.array([*s.queue, *[0] * (len(machines) + 1 - waiting)]),
        np.concatenate(draws),
        np.empty(places[-1, -1]),
        np.empty(places[-1, -1]),
        places[:, :-1] + 1,
        np.empty(most),
        np.empty((most, 2), np.int64),
    )
    for at, (since_h, value) in zip(places[:, :-1], loop.OPENS, strict=True):
        floor.time_h[at], floor.value[at] = machines[since_h], machines[value]
    return floor


def _places(machines: np.ndarray) -> np.ndarray:
    """Where each stretch of the record begins, and behind the last machine where it ends, int64[len(OPENS), …]."""
    size = machines["end"] - machines["begin"]
    parts, works = size[:, loop.CYCLE], size[:, loop.REPAIR :].sum(1)
    room = np.zeros((len(loop.OPENS), len(machines)), np.int64)
    room[loop.PHASE] = 3 * parts + 3 * works  # starved, at work, blocked; waiting, under repair, at work
    room[loop.WEARS], room[loop.RATES], room[loop.PARTS] = size[:, loop.WEAR] + works, works, parts
    room[loop.LEVEL] = parts + np.r_[0, parts[:-1]]
    ends = np.cumsum(room + 8).reshape(room.shape)
    return np.c_[np.r_[0, ends[:-1, -1]], ends]


def _wanted(plan: Plan, row: np.void, i: int, hours: float) -> list[tuple[Law | None, float]]:
    """The law of each kind of draw, and how many *hours* take on the average."""
    wear, life, steps = plan.wear[i], plan.operation[i], 0.0
    lives_h = [plan.age_h[i], life.mean_h if life else math.inf]
    if isinstance(wear, Wiener):
        pace = float(row["strain"]) * 1.5  # units differ
        steps = hours * pace / wear.level_time.mean_h
        lives_h.append(wear.mean_life_h / pace)
    lives = sum(hours / life_h for life_h in lives_h) + 3
    laws = (plan.draws[i], dict(plan.parameters[i]).get("rate"), life, plan.repair[i], plan.maintenance[i])
    cycles = hours * float(row["speed"]) / plan.cycle[i].mean_h
    return [(plan.cycle[i], cycles), *zip(laws, (steps, lives, lives, lives, lives), strict=True)]


def _signals(plan: Plan, s: State, floor: Floor) -> dict:
    signals, places = {}, _places(floor.machines)

    def put(name: str, quantity: str, what: int, i: int) -> None:
        stretch = slice(places[what, i], floor.next[what, i])
        signals[name, quantity] = Signal.step(floor.time_h[stretch], floor.value[stretch])

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
