"""How a factory's machines wear, fail and are looked after: the events of `sim.line`, around machines that do more."""

from __future__ import annotations

import math
from bisect import insort
from functools import partial
from typing import TYPE_CHECKING

from sim.factory.plan import (
    BLOCKED,
    DOWN,
    INSPECTING,
    MAINTAINING,
    REPAIRING,
    SETUP,
    UNMANNED,
    WAITING,
    WORKING,
    Plan,
)
from sim.factory.state import Machine, State
from sim.kernel import Deadline, Kernel
from sim.line.config import TINY, Inspection
from sim.trace import Event

if TYPE_CHECKING:
    from sim.factory.columns import Columns


class Shop:
    """The machines of a run, each with its deadlines, and the crew. `Staff` adds people, `Floor` what flows."""

    def __init__(self, plan: Plan, state: State, kernel: Kernel, columns: Columns):
        self.plan, self.s, self.kernel, self.columns = plan, state, kernel, columns
        self.machines, self.events = state.machines, columns.events
        size = len(state.machines)
        self.deadlines = [kernel.deadline(m.rank, partial(self.due, m), m.until_h).set for m in state.machines]
        self.sudden, self.block = {}, {}
        for m in state.machines:
            if plan.calendar[m.rank]:
                due_h = math.inf if m.phase in DOWN else m.sudden_h
                self.sudden[m.rank] = kernel.deadline(size + m.rank, partial(self.sudden_due, m), due_h)
            if plan.block_h[m.rank] < math.inf:
                rank = 2 * size + len(state.books) + m.rank
                self.block[m.rank] = kernel.deadline(rank, partial(self.block_due, m), m.block_h)

    # what `Floor` makes of it
    def finish(self, m: Machine, now: float) -> None: ...
    def go(self, m: Machine, now: float) -> None: ...
    def carry_on(self, m: Machine, now: float) -> None: ...
    def part_with_operator(self, m: Machine, now: float) -> None: ...

    def close(self) -> None:
        """Break the cycles of callbacks and deadlines, which would keep every list until a collection."""
        for held in (self.deadlines, self.sudden, self.block, self.kernel._queue):
            held.clear()

    def note(self, m: Machine, kind: str, cause: str, now: float, value: float = 0.0) -> None:
        self.events.append(Event(now, self.plan.names[m.rank], kind, cause, value))

    def enter(self, m: Machine, phase: int, now: float) -> None:
        m.hours[m.phase] += now - m.since_h
        m.phase, m.since_h = phase, now
        times_h, phases = self.columns.phase[m.rank]
        times_h.append(now)
        phases.append(phase)

    def rest(self, m: Machine, phase: int, now: float) -> None:
        """Enter a phase that has no end of its own."""
        if m.phase != phase:
            self.enter(m, phase, now)
        if m.until_h < math.inf:
            self.until(m, math.inf)

    def until(self, m: Machine, time_h: float) -> None:
        m.until_h = time_h
        self.deadlines[m.rank](time_h)

    def work(self, m: Machine, now: float) -> None:
        """Work on, to `part_h`: the operating clocks run."""
        if m.phase != WORKING:
            self.enter(m, WORKING, now)
            left_h = m.next_op - m.hours[WORKING]
            m.clock_h = now + left_h if left_h > 0 else now  # rounding may have taken the last of it
        m.until_h = until_h = m.part_h if m.part_h <= m.clock_h else m.clock_h
        self.deadlines[m.rank](until_h)

    def halt(self, m: Machine, now: float) -> None:
        """Put down what is in work, so that it can be resumed."""
        if m.phase == WORKING:
            m.left_h = m.part_h - now
        elif m.phase == SETUP:
            m.setup_left_h = m.until_h - now
        elif m.phase == UNMANNED:
            self.s.unmanned.remove(m.rank)

    def due(self, m: Machine, deadline: Deadline) -> None:
        now = self.kernel._now
        if m.phase == WORKING:
            return self.age(m, now) if m.part_h > now else self.finish(m, now)
        if m.phase == SETUP:
            m.setup_left_h, m.family = 0.0, m.setting
            self.columns.put("family", m.rank, now, m.family)
            return self.go(m, now)
        if m.phase == INSPECTING:
            return self.judge(m, now)
        self.renew(m, now)

    def sudden_due(self, m: Machine, deadline: Deadline) -> None:
        self.fail(m, "sudden", self.kernel._now)

    def block_due(self, m: Machine, deadline: Deadline) -> None:
        now, every_h = self.kernel._now, self.plan.block_h[m.rank]
        m.block_h = (round(now / every_h) + 1) * every_h
        deadline.set(m.block_h)
        if m.phase not in DOWN:
            self.go_down(m, "block", now)

    def age(self, m: Machine, now: float) -> None:
        """An operating clock has run out."""
        i, plan = m.rank, self.plan
        if m.next_op == m.level_op:
            self.set_wear(m, m.next_wear, now)
            if m.wear >= 1:
                return self.fail(m, "wear", now)
            plan.wear_on(m, m.level_op, self.s.streams)
            if m.wear >= plan.threshold[i] and not m.held:
                return self.go_down(m, "threshold", now)
            self.reset(m, now)
        elif m.next_op == m.sudden_op:
            self.fail(m, "sudden", now)
        elif look := plan.inspection[i]:
            if not look.takes:
                return self.judge(m, now)
            self.halt(m, now)
            self.enter(m, INSPECTING, now)
            self.until(m, now + self.s.streams[f"{plan.names[i]}/inspection"].draw(look.takes))
            self.part_with_operator(m, now)
        else:
            self.go_down(m, "age", now)

    def judge(self, m: Machine, now: float) -> None:
        """A look at the wear ends: the machine goes on, or down for planned work."""
        look: Inspection = self.plan.inspection[m.rank]  # type: ignore[assignment]
        self.note(m, "inspection", "", now, m.wear)
        if m.wear >= look.fraction - TINY and not m.held:
            return self.go_down(m, "inspection", now)
        m.age_op = math.inf if m.held else m.age_op + look.every_h
        if m.phase == WORKING:
            return self.reset(m, now)
        m.next_op = min(m.level_op, m.sudden_op, m.age_op)
        self.carry_on(m, now)

    def set_wear(self, m: Machine, wear: float, now: float) -> None:
        m.wear, m.wear_h = wear, now
        self.columns.put("wear", m.rank, now, wear)

    def reset(self, m: Machine, now: float) -> None:
        """Set the clocks of a machine that is up, after one of them has moved."""
        m.next_op = min(m.level_op, m.sudden_op, m.age_op)
        if m.phase == WORKING:
            m.clock_h = max(now, m.since_h + (m.next_op - m.hours[WORKING]))
            self.until(m, min(m.part_h, m.clock_h))

    def fail(self, m: Machine, cause: str, now: float) -> None:
        self.note(m, "failure", cause, now)
        self.down(m, False, now)
        self.seize(now)

    def go_down(self, m: Machine, cause: str, now: float) -> None:
        self.note(m, "planned", cause, now)
        self.down(m, True, now)
        self.seize(now)

    def seize(self, now: float) -> None:
        """A machine has gone down: those that wait for the opportunity do too."""
        for i, fraction in self.plan.opportunity:
            other = self.machines[i]
            if other.wear >= fraction and other.phase not in DOWN and not other.held:
                self.note(other, "planned", "opportunity", now)
                self.down(other, True, now)

    def down(self, m: Machine, planned: bool, now: float) -> None:
        m.planned = planned
        m.virtual_h = self.plan.leaves(m).virtual_h(m.virtual_h, self.plan.lived_h(m, now))
        if m.phase == BLOCKED:
            self.s.blocked[self.target(m)].remove(m.rank)
        self.halt(m, now)
        if m.rank in self.sudden:
            self.sudden[m.rank].set(math.inf)
        if self.s.busy < self.plan.crew:
            self.tend(m, now)
        else:
            self.rest(m, WAITING, now)
            insort(self.s.waiting, m.rank, key=lambda i: (self.machines[i].since_h, i))
        self.part_with_operator(m, now)

    def target(self, m: Machine) -> int:
        """The station to which a machine delivers its finished part."""
        part = self.s.parts[m.part]
        return self.plan.routes[part.product][part.step].station

    def tend(self, m: Machine, now: float) -> None:
        """A member of the crew begins to work on the machine."""
        self.s.busy += 1
        i, plan = m.rank, self.plan
        kind, law = ("maintenance", plan.maintenance[i]) if m.planned else ("repair", plan.repair[i])
        self.enter(m, MAINTAINING if m.planned else REPAIRING, now)
        self.until(m, now + self.s.streams[f"{plan.names[i]}/{kind}"].draw(law))

    def renew(self, m: Machine, now: float) -> None:
        """Corrective or planned work ends."""
        i, worn, plan = m.rank, m.wear, self.plan
        plan.renew(m, self.s.streams, now, plan.leaves(m))
        if m.wear != worn:
            self.set_wear(m, m.wear, now)
        self.columns.put("rate", i, now, m.rate)
        if i in self.sudden:
            self.sudden[i].set(m.sudden_h)
        self.note(m, "renewal", "maintenance" if m.planned else "repair", now)
        self.s.busy -= 1
        if self.s.waiting:
            self.tend(self.machines[self.s.waiting.pop(0)], now)
        self.carry_on(m, now)

    def set_speed(self, m: Machine, speed: float, now: float) -> None:
        slower = self.plan.quicken(m, speed, now)
        self.columns.put("speed", m.rank, now, speed)
        m.left_h *= slower
        if m.phase == WORKING:
            m.part_h = now + (m.part_h - now) * slower
        self.reset(m, now)

    def hold(self, m: Machine, now: float) -> None:
        m.held, m.age_op, m.block_h = True, math.inf, math.inf
        if m.rank in self.block:
            self.block[m.rank].set(math.inf)
        if m.phase not in DOWN:
            self.reset(m, now)
