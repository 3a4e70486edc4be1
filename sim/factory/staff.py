"""Who works when, and at which machine: operators, and the calendars of operators and stations."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Sequence

from sim.factory.calendar import Calendar
from sim.factory.plan import CLOSED, SETUP, STARVED, UNMANNED, WORKING, Step
from sim.factory.state import DONE, NOBODY, NONE, NOTHING, Machine, Part
from sim.factory.upkeep import Shop
from sim.kernel import Deadline


class Staff(Shop):
    """The shop with its people. `Floor` adds what flows."""

    # what `Floor` makes of it
    def deliver(self, m: Machine, part: Part, now: float) -> None: ...
    def take(self, m: Machine, now: float) -> None: ...
    def stir(self, k: int, now: float) -> None: ...
    def step(self, part: Part) -> Step: ...

    def carry_on(self, m: Machine, now: float) -> None:
        """Go on with whatever a machine that is up holds."""
        if m.holds == DONE:
            return self.deliver(m, self.s.parts[m.part], now)
        if not self.s.open[self.plan.station[m.rank]]:
            return self.rest(m, CLOSED, now)
        if m.holds == NONE:
            return self.take(m, now)
        able = self.step(self.s.parts[m.part]).able
        if able is None or m.operator != NOBODY or self.join(m, able, now):
            return self.go(m, now)
        self.rest(m, UNMANNED, now)
        insort(self.s.unmanned, m.rank, key=lambda i: (self.machines[i].since_h, i))

    def go(self, m: Machine, now: float) -> None:
        """Set up or work: all is there."""
        if m.setup_left_h > 0:
            self.enter(m, SETUP, now)
            return self.until(m, now + m.setup_left_h)
        m.part_h = now + m.left_h
        self.work(m, now)

    def join(self, m: Machine, able: tuple[int, ...], now: float) -> bool:
        """An operator who is free, on shift and able goes to the machine, the least versatile first."""
        s = self.s
        who = next((o for o in able if s.there[o] and s.at[o] == NOTHING), None)
        if who is None:
            return False
        s.at[who], m.operator = m.rank, who
        self.columns.put("at", who, now, m.rank + 1)
        return True

    def leave(self, m: Machine, now: float) -> int:
        """The operator leaves the machine."""
        who, m.operator = m.operator, NOBODY
        self.s.at[who] = NOTHING
        self.columns.put("at", who, now, 0)
        return who

    def part_with_operator(self, m: Machine, now: float) -> None:
        """A machine needs its operator no more: another one may."""
        if m.operator != NOBODY:
            self.serve(self.leave(m, now), now)

    def serve(self, who: int, now: float) -> None:
        """A free operator goes to the machine that has waited longest for somebody of such skill."""
        if not self.s.there[who] or self.s.at[who] != NOTHING:
            return
        for i in self.s.unmanned:
            m = self.machines[i]
            part = self.s.parts[m.part]
            if (part.product, part.step) in self.plan.skills[who]:
                self.s.unmanned.remove(i)
                self.join(m, (who,), now)
                return self.go(m, now)

    def ring(self, deadline: Deadline) -> None:
        """Stations and operators come and go. Who goes puts down the work first; who comes takes it up."""
        now, s, plan = self.kernel._now, self.s, self.plan
        opened = self.turn("open", s.open, plan.hours, now)
        came = self.turn("there", s.there, plan.shifts, now)
        for k, opens in opened:
            if not opens:
                self.shut(k, now)
        for who, comes in came:
            if not comes and s.at[who] != NOTHING:
                m = self.machines[s.at[who]]
                self.halt(m, now)
                self.leave(m, now)
                self.carry_on(m, now)
        for who in range(len(s.there)):
            self.serve(who, now)
        for k, opens in opened:
            if opens:
                self.reopen(k, now)
        s.bell_h = min((c.next_h(now) for c in (*plan.hours, *plan.shifts) if c), default=math.inf)
        deadline.set(s.bell_h)

    def turn(self, quantity: str, flags: list[bool], calendars: Sequence[Calendar | None], now: float) -> list:
        """Set the flags by their calendars; which have changed, and to what."""
        changed = [(i, c.is_open(now)) for i, c in enumerate(calendars) if c and c.is_open(now) != flags[i]]
        for i, value in changed:
            flags[i] = value
            self.columns.put(quantity, i, now, value)
        return changed

    def shut(self, k: int, now: float) -> None:
        """A station closes: its machines put down what they work at; what is down or looked at goes on."""
        for i in self.plan.members[k]:
            m = self.machines[i]
            if m.phase in (STARVED, WORKING, SETUP, UNMANNED):
                self.halt(m, now)
                self.rest(m, CLOSED, now)
                self.part_with_operator(m, now)

    def reopen(self, k: int, now: float) -> None:
        for i in self.plan.members[k]:
            m = self.machines[i]
            if m.phase == CLOSED:
                self.carry_on(m, now)
        self.stir(k, now)
