"""How a line runs: phases driven by one deadline per machine, every fact in the state.

Event callbacks, not generators: the line is where this world spends its time.
"""

from __future__ import annotations

import math
from bisect import insort
from functools import partial

from sim.kernel import Deadline, Kernel
from sim.line.config import TINY, Action, Inspection, OrderMaintenance, SetSpeed
from sim.line.plan import (
    BLOCKED,
    INSPECTING,
    LACKING,
    MAINTAINING,
    REPAIRING,
    SHORT,
    STARVED,
    UP,
    WAITING,
    WORKING,
    Plan,
    material_taker,
    spare_taker,
)
from sim.line.state import DONE, NONE, RAW, READY, SHORT_OF, Machine, State
from sim.supply import Action as Order
from sim.supply import process as supplies
from sim.trace import Event, Run, Trace, steps


def run(plan: Plan, s: State, until_h: float) -> Run:
    """Carry *s* on to *until_h*, in place. Its callers hand in a copy."""
    kernel = Kernel(s.time_h)
    start_h, names, machines, streams = s.time_h, plan.names, s.machines, s.streams
    station, members, capacity, cycle_law = plan.station, plan.members, plan.capacity, plan.cycle
    arrivals = plan.line.arrivals
    last, saturated = len(members) - 1, arrivals is None
    levels, changed_h, blocked, queue = s.levels, s.changed_h, s.blocked, s.queue
    draw_cycle = [streams[f"{name}/cycle"].draw for name in names]

    # Breakpoints of this stretch. Each list opens with the segment in force, at its original time.
    events: list[Event] = []
    phase_t, phase_v = [[m.since_h] for m in machines], [[m.phase] for m in machines]
    wear_t, wear_v = [[m.wear_h] for m in machines], [[m.wear] for m in machines]
    parts_t, parts_0 = [[m.finished_h] for m in machines], [m.parts for m in machines]
    speed_t, speed_v = [[m.speed_h] for m in machines], [[m.speed] for m in machines]
    rate_t, rate_v = [[m.renewed_h] for m in machines], [[m.rate] for m in machines]
    level_t, level_v = [[t] for t in changed_h], [[n] for n in levels]

    def enter(m: Machine, phase: int, now: float) -> None:
        m.hours[m.phase] += now - m.since_h
        m.phase, m.since_h = phase, now
        phase_t[m.rank].append(now)
        phase_v[m.rank].append(phase)

    def change(k: int, by: int, now: float) -> None:
        level = levels[k] = levels[k] + by
        changed_h[k] = now
        level_t[k].append(now)
        level_v[k].append(level)

    def rest(m: Machine, phase: int, now: float) -> None:
        """Enter a phase that has no end of its own."""
        if m.phase != phase:
            enter(m, phase, now)
        m.until_h = math.inf

    def work(m: Machine, now: float) -> None:
        """Enter WORKING: the operating clocks run again."""
        enter(m, WORKING, now)
        left_h = m.next_op - m.hours[WORKING]
        m.clock_h = now + left_h if left_h > 0 else now  # rounding may have taken the last of it

    def make(m: Machine, now: float) -> None:
        """Begin a new part for which all is there."""
        i = m.rank
        m.cycle_h = cycle_h = draw_cycle[i](cycle_law[i])
        m.part_h = part_h = now + cycle_h / m.speed
        if m.phase != WORKING:
            m.holds = RAW
            work(m, now)
        m.until_h = until_h = part_h if part_h <= m.clock_h else m.clock_h
        set_deadline[i](until_h)

    def kit(m: Machine, now: float) -> None:
        """Begin a new part with its material, or wait for that."""
        if station[m.rank] or store.take(*plan.material, material_taker(m.rank)):  # type: ignore[union-attr, misc]
            return make(m, now)
        m.holds = SHORT_OF
        rest(m, SHORT, now)

    begin = kit if plan.material else make

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
        now = kernel._now
        if m.phase == INSPECTING:
            return judge(m, now)
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
            set_wear(m, m.next_wear, now)
            if m.wear >= 1:
                return fail(m, "wear", now)
            plan.wear_on(m, m.level_op, streams)
            if m.wear >= plan.threshold[i] and not m.held:
                return go_down(m, "threshold", now)
            reset(m, now)
        elif m.next_op == m.sudden_op:
            fail(m, "sudden", now)
        elif look := plan.inspection[i]:
            if not look.takes:
                return judge(m, now)
            m.left_h = m.part_h - now
            enter(m, INSPECTING, now)
            m.until_h = now + streams[f"{names[i]}/inspection"].draw(look.takes)
            set_deadline[i](m.until_h)
        else:
            go_down(m, "age", now)

    def judge(m: Machine, now: float) -> None:
        """A look at the wear ends: the machine goes on, or down for planned work."""
        look: Inspection = plan.inspection[m.rank]  # type: ignore[assignment]
        events.append(Event(now, names[m.rank], "inspection", "", m.wear))
        if m.wear >= look.fraction - TINY and not m.held:
            return go_down(m, "inspection", now)
        m.age_op = math.inf if m.held else m.age_op + look.every_h
        m.next_op = min(m.level_op, m.sudden_op, m.age_op)
        if m.phase == WORKING:
            reset(m, now)
        else:
            resume(m, now)

    def set_wear(m: Machine, wear: float, now: float) -> None:
        m.wear, m.wear_h = wear, now
        wear_t[m.rank].append(now)
        wear_v[m.rank].append(wear)

    def reset(m: Machine, now: float) -> None:
        """Set the clocks of a machine that is up, after one of them has moved."""
        m.next_op = min(m.level_op, m.sudden_op, m.age_op)
        if m.phase == WORKING:
            m.clock_h = max(now, m.since_h + (m.next_op - m.hours[WORKING]))
            m.until_h = min(m.part_h, m.clock_h)
            set_deadline[m.rank](m.until_h)

    def fail(m: Machine, cause: str, now: float) -> None:
        events.append(Event(now, names[m.rank], "failure", cause))
        down(m, False, now)
        seize(now)

    def go_down(m: Machine, cause: str, now: float) -> None:
        events.append(Event(now, names[m.rank], "planned", cause))
        down(m, True, now)
        seize(now)

    def seize(now: float) -> None:
        """A machine has gone down: those that wait for the opportunity do too."""
        for i, fraction in plan.opportunity:
            other = machines[i]
            if other.wear >= fraction and other.phase in UP and not other.held:
                events.append(Event(now, names[i], "planned", "opportunity"))
                down(other, True, now)

    def down(m: Machine, planned: bool, now: float) -> None:
        m.planned = planned
        m.virtual_h = plan.leaves(m).virtual_h(m.virtual_h, plan.lived_h(m, now))
        if m.phase == WORKING:
            m.left_h = m.part_h - now
        elif m.phase == BLOCKED:
            blocked[station[m.rank] + 1].remove(m.rank)
        if m.rank in sudden:
            sudden[m.rank].set(math.inf)
        spare = plan.spare[m.rank]
        if spare is None or store.take(spare, 1, spare_taker(m.rank)):  # type: ignore[union-attr]
            return call(m, now)
        rest(m, LACKING, now)
        set_deadline[m.rank](math.inf)

    def call(m: Machine, now: float) -> None:
        """Call the crew to a machine that is down."""
        if s.busy < plan.crew:
            tend(m, now)
        else:
            rest(m, WAITING, now)
            set_deadline[m.rank](math.inf)
            insort(queue, m.rank, key=lambda i: (machines[i].since_h, i))

    def given(taker: int) -> None:
        """The supply has given a machine all that it waited for."""
        now, m = kernel._now, machines[taker // 2]
        if taker == spare_taker(m.rank):
            call(m, now)
        elif m.phase == SHORT:
            make(m, now)
        else:  # down since
            m.holds = READY

    def tend(m: Machine, now: float) -> None:
        """A member of the crew begins to work on the machine."""
        s.busy += 1
        i = m.rank
        kind, law = ("maintenance", plan.maintenance[i]) if m.planned else ("repair", plan.repair[i])
        enter(m, MAINTAINING if m.planned else REPAIRING, now)
        m.until_h = now + streams[f"{names[i]}/{kind}"].draw(law)
        set_deadline[i](m.until_h)

    def renew(m: Machine, now: float) -> None:
        """Corrective or planned work ends."""
        i, worn = m.rank, m.wear
        plan.renew(m, streams, now, plan.leaves(m))
        if m.wear != worn:
            set_wear(m, m.wear, now)
        rate_t[i].append(now)
        rate_v[i].append(m.rate)
        if i in sudden:
            sudden[i].set(m.sudden_h)
        events.append(Event(now, names[i], "renewal", "maintenance" if m.planned else "repair"))
        s.busy -= 1
        if queue:
            tend(machines[queue.pop(0)], now)
        if m.holds == RAW:
            resume(m, now)
        elif m.holds == DONE:
            deliver(m, now)
        elif m.holds == SHORT_OF:
            rest(m, SHORT, now)
        elif m.holds == READY:
            make(m, now)
        else:
            take(m, now)

    def resume(m: Machine, now: float) -> None:
        """Go on with the part in work."""
        m.part_h = now + m.left_h
        work(m, now)
        m.until_h = min(m.part_h, m.clock_h)
        set_deadline[m.rank](m.until_h)

    def block_due(m: Machine, deadline: Deadline) -> None:
        now, every_h = kernel._now, plan.block_h[m.rank]
        m.block_h = (round(now / every_h) + 1) * every_h
        deadline.set(m.block_h)
        if m.phase in UP:
            go_down(m, "block", now)

    def arrive(deadline: Deadline) -> None:
        now = kernel._now
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

    def act(action: Action | Order, now: float) -> None:
        if isinstance(action, Order):
            return store.act(action)  # type: ignore[union-attr]
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
            m.held, m.age_op, m.block_h = True, math.inf, math.inf
            if i in block:
                block[i].set(math.inf)
            if m.phase in UP:
                reset(m, now)

    def set_speed(m: Machine, speed: float, now: float) -> None:
        slower = plan.quicken(m, speed, now)
        m.left_h *= slower
        if m.phase == WORKING:
            m.part_h = now + (m.part_h - now) * slower
        reset(m, now)

    size, first, store = len(machines), 0, None
    if supply := plan.line.supply:  # its ranks come first: what is delivered at a time can be taken then
        first = supplies.ranks(supply.points)
        store = supplies.attach(supply.points, supply.suppliers, s.supply, kernel, events, given)  # type: ignore[arg-type]
    set_deadline = [kernel.deadline(first + m.rank, partial(due, m), m.until_h).set for m in machines]
    sudden, block = {}, {}
    for m in machines:
        if plan.block_h[m.rank] < math.inf:
            block[m.rank] = kernel.deadline(first + 2 * size + 1 + m.rank, partial(block_due, m), m.block_h)
        if plan.calendar[m.rank]:
            sudden[m.rank] = kernel.deadline(
                first + size + m.rank,
                lambda deadline, m=m: fail(m, "sudden", kernel._now),
                m.sudden_h if m.phase in UP else math.inf,
            )
    if arrivals is not None:
        kernel.deadline(first + 2 * size, arrive, s.arrival_h)
    if until_h > start_h:
        for action in s.actions:
            act(action, start_h)
        s.actions = []
    kernel.run_to(until_h)
    s.time_h = until_h
    stock = store.close(until_h) if store else {}
    for held in (set_deadline, sudden, block, kernel._queue):
        held.clear()  # breaks the cycles of callbacks and deadlines, which would keep every list until a collection

    columns = []
    for i in range(size):
        parts_v = range(parts_0[i], parts_0[i] + len(parts_t[i]))
        columns += (phase_t[i], phase_v[i]), (wear_t[i], wear_v[i]), (speed_t[i], speed_v[i])
        columns += (parts_t[i], parts_v), (rate_t[i], rate_v[i])
    columns += list(zip(level_t, level_v, strict=True))[saturated:]
    return Run(Trace(s.seed, start_h, until_h, steps(plan.signals, columns) | stock, tuple(events)), s)
