"""How a line runs: phases driven by one deadline per machine, every fact in the state."""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from sim.kernel import Deadline, Kernel
from sim.laws import Deterministic, Law, residual_h
from sim.line.config import Action, AgeReplacement, OrderMaintenance, Phase, SetSpeed, WearThreshold
from sim.line.state import DONE, NONE, RAW, Machine, State
from sim.streams import Streams
from sim.trace import Event, Form, Key, Run, Signal, Trace

if TYPE_CHECKING:
    from sim.line.line import Line

STARVED, WORKING, BLOCKED, WAITING, REPAIRING, MAINTAINING = map(int, Phase)
UP = (STARVED, WORKING, BLOCKED)


@dataclass(frozen=True, eq=False)
class Plan:
    """A line laid out by rank, so that a run looks things up by index. Buffer k lies before station k."""

    line: Line
    names: tuple[str, ...]
    station: list[int]  # of each machine
    members: list[list[int]]  # machines of each station
    capacity: list[float]  # of each buffer
    crew: float
    cycle: list[Law]
    repair: list[Law]
    maintenance: list[Law]
    operation: list[Law | None]  # sudden failures by operating time
    calendar: list[Law | None]  # sudden failures by time
    level: list[Law | None]  # wear time from level to level
    rate: list[Law | None]  # the unit's own rate of wear
    levels: list[int]
    threshold: list[int]  # level at which the policy asks for planned work
    age_h: list[float]  # age at which it does
    streams: list[str]
    signals: list[Key]

    @staticmethod
    def of(line: Line) -> Plan:
        station = [k for k, s in enumerate(line.stations) for _ in range(s.machines)]
        machines = [line.stations[k] for k in station]
        streams = ["arrivals"] * (line.arrivals is not None)
        for name, s in zip(line.machines, machines, strict=True):
            wear = s.wear and ["wear"] + ["rate"] * (s.wear.rate is not None)
            kinds = ["cycle", "repair", "maintenance", *(wear or []), *(["sudden"] * (s.sudden is not None))]
            streams += [f"{name}/{kind}" for kind in kinds]
        return Plan(
            line,
            names=line.machines,
            station=station,
            members=[[i for i, k in enumerate(station) if k == j] for j in range(len(line.stations))],
            capacity=[math.inf if room is None else room for room in (line.queue, *line.buffers)],
            crew=math.inf if line.crew is None else line.crew,
            cycle=[s.cycle for s in machines],
            repair=[s.repair for s in machines],
            maintenance=[s.maintenance for s in machines],
            operation=[s.sudden.life if s.sudden and s.sudden.clock == "operation" else None for s in machines],
            calendar=[s.sudden.life if s.sudden and s.sudden.clock == "time" else None for s in machines],
            level=[s.wear and s.wear.level_time for s in machines],
            rate=[s.wear and s.wear.rate for s in machines],
            levels=[s.wear.levels if s.wear else 1 for s in machines],
            threshold=[
                s.policy.level(s.wear) if isinstance(s.policy, WearThreshold) and s.wear else 0 for s in machines
            ],
            age_h=[s.policy.age_h if isinstance(s.policy, AgeReplacement) else math.inf for s in machines],
            streams=streams,
            signals=[(name, q) for name in line.machines for q in ("phase", "wear", "speed", "parts", "rate")]
            + [(name, "level") for name in line.buffer_names],
        )

    def pace(self, m: Machine) -> float:
        """Wear hours per operating hour."""
        station = self.line.stations[self.station[m.rank]]
        return station.load * m.speed**station.wear.load_exponent * m.rate if station.wear else 1.0

    def renew(self, m: Machine, streams: Streams, now_h: float) -> None:
        """Put a new unit into *m*, which does not work at *now_h*."""
        i, name, op = m.rank, self.names[m.rank], m.hours[WORKING]
        m.renewed_op, m.renewed_h, m.entered_op, m.level = op, now_h, op, 0
        if rate := self.rate[i]:
            m.rate = streams[f"{name}/rate"].draw(rate)
        m.pace = self.pace(m)
        if level := self.level[i]:
            m.level_op = op + streams[f"{name}/wear"].draw(level) / m.pace
        if life := self.operation[i]:
            m.sudden_op = op + streams[f"{name}/sudden"].draw(life)
        if life := self.calendar[i]:
            m.sudden_h = now_h + streams[f"{name}/sudden"].draw(life)
        m.age_op = math.inf if m.held else op + self.age_h[i]
        m.next_op = min(m.level_op, m.sudden_op, m.age_op)


def start(plan: Plan, seed: int) -> State:
    streams = Streams(seed, plan.streams)
    machines = [Machine(i) for i in range(len(plan.names))]
    count = len(plan.line.stations)
    state = State(seed, 0.0, machines, [0] * count, [0.0] * count, [[] for _ in range(count)], streams)
    for m in machines:
        plan.renew(m, streams, 0.0)
    if plan.line.arrivals:
        state.arrival_h = streams["arrivals"].draw(plan.line.arrivals)
        return state
    for i in plan.members[0]:
        m = machines[i]
        m.phase, m.holds, m.clock_h = WORKING, RAW, m.next_op
        m.part_h = m.cycle_h = streams[f"{plan.names[i]}/cycle"].draw(plan.cycle[i])
        m.until_h = min(m.part_h, m.clock_h)
    return state


def run(plan: Plan, s: State, until_h: float) -> Run:
    """Carry *s* on to *until_h*, in place. Its callers hand in a copy."""
    kernel = Kernel(s.time_h)
    start_h, names, machines, streams = s.time_h, plan.names, s.machines, s.streams
    station, members, capacity, cycle_law, arrivals = (
        plan.station,
        plan.members,
        plan.capacity,
        plan.cycle,
        plan.line.arrivals,
    )
    last, saturated = len(members) - 1, arrivals is None
    levels, changed_h, blocked, queue = s.levels, s.changed_h, s.blocked, s.queue
    cycles = [streams[f"{name}/cycle"] for name in names]

    # Breakpoints of this stretch. Each list opens with the segment in force, at its original time.
    events: list[Event] = []
    phase_t, phase_v = [[m.since_h] for m in machines], [[m.phase] for m in machines]
    parts_t, parts_0 = [[m.finished_h] for m in machines], [m.parts for m in machines]
    wear_t, wear_v = [[m.level_h] for m in machines], [[m.level / plan.levels[m.rank]] for m in machines]
    speed_t, speed_v = [[m.speed_h] for m in machines], [[m.speed] for m in machines]
    rate_t, rate_v = [[m.renewed_h] for m in machines], [[m.rate] for m in machines]
    level_t, level_v = [[t] for t in changed_h], [[n] for n in levels]

    def enter(m: Machine, phase: int, now: float) -> None:
        m.hours[m.phase] += now - m.since_h
        m.phase, m.since_h = phase, now
        i = m.rank
        phase_t[i].append(now)
        phase_v[i].append(phase)

    def change(k: int, by: int, now: float) -> None:
        level = levels[k] = levels[k] + by
        changed_h[k] = now
        level_t[k].append(now)
        level_v[k].append(level)

    def arm(m: Machine) -> None:
        """Set the deadline of a machine that works."""
        m.until_h = until = m.part_h if m.part_h <= m.clock_h else m.clock_h
        deadlines[m.rank].set(until)

    def rest(m: Machine, phase: int, now: float) -> None:
        """Enter a phase that has no end of its own."""
        if m.phase != phase:
            enter(m, phase, now)
        m.until_h = math.inf

    def work(m: Machine, now: float) -> None:
        """Enter WORKING: the operating clocks run again."""
        enter(m, WORKING, now)
        m.clock_h = max(now, now + (m.next_op - m.hours[WORKING]))

    def begin(m: Machine, now: float) -> None:
        """Begin a new part."""
        i = m.rank
        m.cycle_h = cycle_h = cycles[i].draw(cycle_law[i])
        m.part_h = now + cycle_h / m.speed
        m.holds = RAW
        if m.phase != WORKING:
            work(m, now)
        arm(m)

    def take(m: Machine, now: float) -> None:
        """Take a part from before, and let the machine that waited to deliver it do the same, and so on upstream."""
        while True:
            k = station[m.rank]
            if not k and saturated:
                return begin(m, now)
            if blocked[k]:  # its part takes the place of the one that leaves: the level stays
                begin(m, now)
                m = machines[blocked[k].pop(0)]
                continue
            if levels[k]:
                change(k, -1, now)
                return begin(m, now)
            m.holds = NONE
            return rest(m, STARVED, now)

    def deliver(m: Machine, now: float) -> None:
        """Hand on the finished part, if there is room, and take another."""
        k = station[m.rank] + 1
        if k <= last:
            if not levels[k]:
                for i in members[k]:
                    if machines[i].phase == STARVED:
                        begin(machines[i], now)
                        return take(m, now)
            if levels[k] >= capacity[k]:
                m.holds = DONE
                blocked[k].append(m.rank)
                return rest(m, BLOCKED, now)
            change(k, 1, now)
        take(m, now)

    def due(m: Machine, deadline: Deadline) -> None:
        now = deadline.env._now
        if m.phase != WORKING:
            return renew(m, now)
        if m.part_h > now:
            return age(m, now)
        m.parts += 1
        m.finished_h = now
        parts_t[m.rank].append(now)
        deliver(m, now)

    def age(m: Machine, now: float) -> None:
        """An operating clock has run out."""
        i = m.rank
        if m.next_op == m.level_op:
            m.level += 1
            m.level_h = now
            wear_t[i].append(now)
            wear_v[i].append(m.level / plan.levels[i])
            if m.level == plan.levels[i]:
                return fail(m, "wear", now)
            m.entered_op = m.level_op
            m.level_op += streams[f"{names[i]}/wear"].draw(plan.level[i]) / m.pace  # type: ignore[arg-type]
            if m.level == plan.threshold[i] and not m.held:
                return go_down(m, "threshold", now)
            reset(m, now)
        elif m.next_op == m.sudden_op:
            fail(m, "sudden", now)
        else:
            go_down(m, "age", now)

    def reset(m: Machine, now: float) -> None:
        """Set the clocks of a machine that is up, after one of them has moved."""
        m.next_op = min(m.level_op, m.sudden_op, m.age_op)
        if m.phase == WORKING:
            m.clock_h = max(now, m.since_h + (m.next_op - m.hours[WORKING]))
            arm(m)

    def fail(m: Machine, cause: str, now: float) -> None:
        events.append(Event(now, names[m.rank], "failure", cause))
        down(m, False, now)

    def go_down(m: Machine, cause: str, now: float) -> None:
        events.append(Event(now, names[m.rank], "planned", cause))
        down(m, True, now)

    def down(m: Machine, planned: bool, now: float) -> None:
        m.planned = planned
        if m.phase == WORKING:
            m.left_h = m.part_h - now
        elif m.phase == BLOCKED:
            blocked[station[m.rank] + 1].remove(m.rank)
        sudden[m.rank].set(math.inf)
        if s.busy < plan.crew:
            tend(m, now)
        else:
            rest(m, WAITING, now)
            deadlines[m.rank].set(math.inf)
            insort(queue, m.rank, key=lambda i: (machines[i].since_h, i))

    def tend(m: Machine, now: float) -> None:
        """A member of the crew begins to work on the machine."""
        s.busy += 1
        i = m.rank
        kind, law = ("maintenance", plan.maintenance[i]) if m.planned else ("repair", plan.repair[i])
        enter(m, MAINTAINING if m.planned else REPAIRING, now)
        m.until_h = now + streams[f"{names[i]}/{kind}"].draw(law)
        deadlines[i].set(m.until_h)

    def renew(m: Machine, now: float) -> None:
        """Corrective or planned work ends."""
        i = m.rank
        if m.level:
            m.level_h = now
            wear_t[i].append(now)
            wear_v[i].append(0.0)
        plan.renew(m, streams, now)
        rate_t[i].append(now)
        rate_v[i].append(m.rate)
        sudden[i].set(m.sudden_h)
        events.append(Event(now, names[i], "renewal", "maintenance" if m.planned else "repair"))
        s.busy -= 1
        if queue:
            tend(machines[queue.pop(0)], now)
        if m.holds == RAW:
            m.part_h = now + m.left_h
            work(m, now)
            arm(m)
        elif m.holds == DONE:
            deliver(m, now)
        else:
            take(m, now)

    def arrive(deadline: Deadline) -> None:
        now = deadline.env._now
        s.arrived_h, s.arrival_h = now, now + streams["arrivals"].draw(arrivals)  # type: ignore[arg-type]
        deadline.set(s.arrival_h)
        if not levels[0]:
            for i in members[0]:
                if machines[i].phase == STARVED:
                    return begin(machines[i], now)
        if levels[0] < capacity[0]:
            change(0, 1, now)
        else:
            s.lost += 1
            events.append(Event(now, "b0", "lost"))

    def act(action: Action, now: float) -> None:
        m = machines[names.index(action.machine)]
        i, value = m.rank, action.speed if isinstance(action, SetSpeed) else 0.0
        events.append(Event(now, action.machine, "action", type(action).__name__, value))
        if isinstance(action, OrderMaintenance):
            if m.phase in UP:
                go_down(m, "order", now)
        elif isinstance(action, SetSpeed):
            if action.speed != m.speed:
                set_speed(m, action.speed, now)
                speed_t[i].append(now)
                speed_v[i].append(m.speed)
        else:
            m.held, m.age_op = True, math.inf
            if m.phase in UP:
                reset(m, now)

    def set_speed(m: Machine, speed: float, now: float) -> None:
        slower, pace, op = m.speed / speed, m.pace, m.operated_h(now)
        m.speed, m.speed_h = speed, now
        m.pace = plan.pace(m)
        m.level_op = op + (m.level_op - op) * (pace / m.pace)
        m.entered_op = op + (m.entered_op - op) * (pace / m.pace)
        m.left_h *= slower
        if m.phase == WORKING:
            m.part_h = now + (m.part_h - now) * slower
        reset(m, now)

    size = len(machines)
    deadlines = [kernel.deadline(m.rank, partial(due, m), m.until_h) for m in machines]
    sudden = [
        kernel.deadline(
            size + m.rank,
            lambda deadline, m=m: fail(m, "sudden", deadline.env._now),
            m.sudden_h if m.phase in UP else math.inf,
        )
        for m in machines
    ]
    if arrivals is not None:
        kernel.deadline(2 * size, arrive, s.arrival_h)
    if until_h > start_h:
        for action in s.actions:
            act(action, start_h)
        s.actions = []
    kernel.run_to(until_h)
    s.time_h = until_h

    columns: list[tuple[list[float], list[float] | np.ndarray]] = []
    for i in range(size):
        columns.append((phase_t[i], phase_v[i]))
        columns.append((wear_t[i], wear_v[i]))
        columns.append((speed_t[i], speed_v[i]))
        columns.append((parts_t[i], parts_0[i] + np.arange(len(parts_t[i]))))
        columns.append((rate_t[i], rate_v[i]))
    columns += list(zip(level_t, level_v, strict=True))[saturated:]
    signals = {key: Signal.step(t, v) for key, (t, v) in zip(plan.signals, columns, strict=True)}
    return Run(Trace(s.seed, start_h, until_h, signals, tuple(events)), s)


def resample(plan: Plan, s: State, seed: int) -> State:
    """Redraw, in place, what is drawn but not revealed. Uniforms are addressed by rank and kind, not consumed."""
    now = s.time_h
    s.seed, s.streams = seed, s.streams.rekeyed(seed)
    uniforms = iter(Streams.uniforms(seed, "resample", 4 * len(s.machines) + 1))
    if plan.line.arrivals:
        s.arrival_h = now + _redraw(plan.line.arrivals, now - s.arrived_h, s.arrival_h - now, next(uniforms))
    for m in s.machines:
        u_part, u_work, u_level, u_sudden = (next(uniforms) for _ in range(4))
        i, op = m.rank, m.operated_h(now)
        if m.holds == RAW:
            left_h = m.part_h - now if m.phase == WORKING else m.left_h
            left = left_h * m.speed
            redrawn = _redraw(plan.cycle[i], m.cycle_h - left, left, u_part)
            if redrawn != left:
                m.cycle_h, left_h = m.cycle_h - left + redrawn, redrawn / m.speed
                m.part_h, m.left_h = now + left_h, left_h
        if m.phase in (REPAIRING, MAINTAINING):
            law = plan.maintenance[i] if m.planned else plan.repair[i]
            m.until_h = now + _redraw(law, now - m.since_h, m.until_h - now, u_work)
        if m.phase not in UP:
            continue
        if law := plan.level[i]:
            spent = (op - m.entered_op) * m.pace
            m.level_op = op + residual_h(law, spent, u_level) / m.pace
        if law := plan.operation[i]:
            m.sudden_op = op + _redraw(law, op - m.renewed_op, m.sudden_op - op, u_sudden)
        if law := plan.calendar[i]:
            m.sudden_h = now + _redraw(law, now - m.renewed_h, m.sudden_h - now, u_sudden)
        m.next_op = min(m.level_op, m.sudden_op, m.age_op)
        if m.phase == WORKING:
            m.clock_h = max(now, m.since_h + (m.next_op - m.hours[WORKING]))
            m.until_h = min(m.part_h, m.clock_h)
    return s


def _redraw(law: Law, elapsed_h: float, left_h: float, q: float) -> float:
    """What remains of a time of which *elapsed_h* is known; a deterministic time stays as it is, to the last bit."""
    return left_h if isinstance(law, Deterministic) else residual_h(law, max(elapsed_h, 0.0), q)
