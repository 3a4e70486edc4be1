"""How a factory runs: parts go from station to station, operators from machine to machine; every fact in the state."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Sequence
from functools import partial

from sim.factory.calendar import Calendar
from sim.factory.config import Action, Release, SetPriority
from sim.factory.plan import (
    BLOCKED,
    CLOSED,
    DOWN,
    MACHINE,
    PRODUCT,
    SETUP,
    STARVED,
    UNMANNED,
    WORKING,
    Plan,
    Step,
    kw,
)
from sim.factory.state import DONE, NOBODY, NONE, NOTHING, RAW, Machine, Part, State
from sim.factory.upkeep import Shop
from sim.kernel import Deadline, Kernel
from sim.laws import UNIT
from sim.line.config import OrderMaintenance, SetSpeed
from sim.trace import Event, Run, Signal, Trace


class Columns:
    """Breakpoints of one stretch. Each list opens with the segment in force, at its original time."""

    def __init__(self, plan: Plan, state: State):
        self.plan, self.events = plan, []
        self.all = [([time_h], [value]) for time_h, value in state.force]
        of = {"level": plan.factory.stations, "open": plan.factory.stations}
        of |= {"at": plan.factory.operators, "there": plan.factory.operators}
        names = {q: [x.name for x in owners] for q, owners in of.items()}
        names |= dict.fromkeys(MACHINE, plan.names)
        names |= {q: [p.name for p in plan.factory.products] for q in PRODUCT}
        self.product_in = [self.all[plan.column[name, "product"]] for name in plan.names]
        names.pop("product")
        self.by = {q: [self.all[plan.column[name, q]] for name in owners] for q, owners in names.items()}
        self.phase = self.by["phase"]

    def put(self, quantity: str, rank: int, now: float, value: float) -> None:
        times_h, values = self.by[quantity][rank]
        times_h.append(now)
        values.append(value)

    def load(self, m: Machine, now: float, product: int) -> None:
        """The product in a machine, counted from 1."""
        times_h, values = self.product_in[m.rank]
        if values[-1] != product:
            times_h.append(now)
            values.append(product)

    def signals(self, state: State) -> dict:
        """The signals of the stretch; the state keeps what is in force at its end."""
        for i, k in enumerate(self.plan.station):  # power follows from the phase
            table, (times_h, phases) = kw(self.plan.factory.stations[k].power), self.phase[i]
            self.all[self.plan.column[self.plan.names[i], "power"]] = times_h, [table[int(p)] for p in phases]
        state.force = [(times_h[-1], values[-1]) for times_h, values in self.all]
        return {key: Signal.step(*column) for key, column in zip(self.plan.signals, self.all, strict=True)}


def run(plan: Plan, s: State, until_h: float) -> Run:
    """Carry *s* on to *until_h*, in place. Its callers hand in a copy."""
    kernel, start_h, columns = Kernel(s.time_h), s.time_h, Columns(plan, s)
    floor = Floor(plan, s, kernel, columns)
    if until_h > start_h:
        if not s.begun:
            floor.open_up(start_h)
        for action in s.actions:
            floor.act(action, start_h)
        s.actions = []
    kernel.run_to(until_h)
    s.time_h = until_h
    floor.close()
    return Run(Trace(s.seed, start_h, until_h, columns.signals(s), tuple(columns.events)), s)


class Floor(Shop):
    """The shop floor: releases, queues, dispatch, operators and calendars."""

    def __init__(self, plan: Plan, state: State, kernel: Kernel, columns: Columns):
        super().__init__(plan, state, kernel, columns)
        first = 2 * len(state.machines)
        for p, law in enumerate(plan.arrivals):
            if law:
                kernel.deadline(first + p, partial(self.arrive, p), state.books[p].arrival_h)
        last = 3 * len(state.machines) + len(state.books)  # what ends with a shift ends before it
        kernel.deadline(last, self.ring, state.bell_h)

    # parts come in

    def open_up(self, now: float) -> None:
        """The first moment: what runs dry never begins, and what is kept at a number is filled up to it."""
        self.s.begun = True
        for p, limit in enumerate(self.plan.limit):
            for _ in range(limit or 0):
                self.release(p, now)
        for m in self.machines:
            if m.phase == STARVED:
                self.take(m, now)

    def arrive(self, p: int, deadline: Deadline) -> None:
        now, book, law = self.kernel._now, self.s.books[p], self.plan.arrivals[p]
        name = self.plan.factory.products[p].name
        book.arrived_h, book.arrival_h = now, now + self.s.streams[f"{name}/arrivals"].draw(law)  # type: ignore[arg-type]
        deadline.set(book.arrival_h)
        self.admit(p, now)

    def admit(self, p: int, now: float) -> None:
        """A part of product *p* comes from outside: in, or lost."""
        k, part = self.plan.routes[p][0].station, Part(self.s.came, p, 0, now, now)
        if self.hand_over(part, k, now, new=True):
            return
        self.s.books[p].lost += 1
        self.events.append(Event(now, self.plan.factory.products[p].name, "lost"))

    def release(self, p: int, now: float) -> None:
        """A part of a product whose number is kept: in, or first in line outside."""
        k, part = self.plan.routes[p][0].station, Part(self.s.came, p, 0, now, now)
        if not self.hand_over(part, k, now, new=True):
            self.s.outside[k].append(p)

    def enrol(self, part: Part, now: float) -> None:
        """A new part is in the plant."""
        p, s = part.product, self.s
        s.parts[part.number] = part
        s.came += 1
        self.count(p, "released", 1, now)
        self.count(p, "wip", 1, now)

    def count(self, p: int, quantity: str, by: int, now: float) -> None:
        book = self.s.books[p]
        value = getattr(book, quantity) + by
        setattr(book, quantity, value)
        self.columns.put(quantity, p, now, value)

    # parts go on

    def hand_over(self, part: Part, k: int, now: float, new: bool = False) -> bool:
        """Give a part to an idle machine of station *k*, or put it into the queue; False where there is no room."""
        if m := self.idle(part, k):
            if new:
                self.enrol(part, now)
            self.begin(m, part, now)
            return True
        queue = self.s.queues[k]
        if len(queue) >= self.plan.room[k]:
            return False
        if new:
            self.enrol(part, now)
        part.since_h = now
        queue.append(part.number)
        self.columns.put("level", k, now, len(queue))
        return True

    def idle(self, part: Part, k: int) -> Machine | None:
        """An idle machine that can take the part: by the rule of setups one of its family first, then the lowest."""
        found = [m for i in self.plan.members[k] if (m := self.machines[i]).phase == STARVED]
        if not found or not self.ready(part):
            return None
        if self.plan.sorted[k]:
            return min(found, key=lambda m: self.changes(m, part))
        return found[0]

    def ready(self, part: Part) -> bool:
        """Whether all components of a part's operation are there."""
        takes = self.step(part).takes
        return not takes or all(len(self.s.books[p].stock) >= n for p, n in takes)

    def step(self, part: Part) -> Step:
        return self.plan.routes[part.product][part.step]

    def changes(self, m: Machine, part: Part) -> bool:
        """Whether a machine must change over for a part."""
        family = self.step(part).family
        return family not in (0, m.family)

    def take(self, m: Machine, now: float) -> None:
        """Take a part, and let the machine that waited to deliver do the same, and so on upstream."""
        while True:
            k = self.plan.station[m.rank]
            m.holds, m.part = NONE, NOTHING
            self.columns.load(m, now, 0)
            if not self.s.open[k]:
                return self.rest(m, CLOSED, now)
            part, freed = self.pick(m, k, now)
            if part is None:
                return self.rest(m, STARVED, now)
            self.begin(m, part, now)
            if freed is None:
                return
            m = freed

    def pick(self, m: Machine, k: int, now: float) -> tuple[Part | None, Machine | None]:
        """The part that a free machine takes, out of the queue, and the machine whose part takes its place."""
        s = self.s
        queue, blocked, outside = s.queues[k], s.blocked[k], s.outside[k]
        part = self.choose(m, k, [*queue, *(self.machines[i].part for i in blocked)] if blocked else queue)
        if part is None:
            return self.fetch(k, now), None
        if part.number not in queue:
            rank = next(i for i in blocked if self.machines[i].part == part.number)
            blocked.remove(rank)
            return part, self.machines[rank]
        queue.remove(part.number)
        if blocked:
            freed = self.machines[blocked.pop(0)]
            s.parts[freed.part].since_h = now
            queue.append(freed.part)
            return part, freed
        if outside:
            new = Part(s.came, outside.pop(0), 0, now, now)
            self.enrol(new, now)
            queue.append(new.number)
            return part, None
        self.columns.put("level", k, now, len(queue))
        return part, None

    def choose(self, m: Machine, k: int, numbers: Iterable[int]) -> Part | None:
        """The first of the parts by priority, by setup where the rule minds it, and by order, that can begin."""
        parts = self.s.parts
        if self.plan.plain[k] and not any(book.priority for book in self.s.books):
            number = next(iter(numbers), None)
            return None if number is None else parts[number]
        best, least = None, None
        for number in numbers:
            part = parts[number]
            key = -self.s.books[part.product].priority, self.plan.sorted[k] and self.changes(m, part)
            if (least is None or key < least) and self.ready(part):
                best, least = part, key
        return best

    def fetch(self, k: int, now: float) -> Part | None:
        """A new part from outside, where no part in the plant can be taken."""
        s, outside = self.s, self.s.outside[k]
        if outside and self.ready(part := Part(s.came, outside[0], 0, now, now)):
            outside.pop(0)
            self.enrol(part, now)
            return part
        for p, _ in sorted(self.plan.saturated[k], key=lambda each: (s.books[each[0]].released + 1) / each[1]):
            part = Part(s.came, p, 0, now, now)
            if self.ready(part):
                self.enrol(part, now)
                return part
        return None

    def begin(self, m: Machine, part: Part, now: float) -> None:
        """A part comes into a machine, its components with it."""
        step = self.step(part)
        m.part, m.holds, part.since_h = part.number, RAW, now
        m.cycle_h = self.s.streams[step.draws[m.rank]].draw(step.time)
        m.left_h = m.cycle_h / m.speed
        self.columns.load(m, now, part.product + 1)
        if step.family not in (0, m.family):
            self.change_over(m, step.family, now)
        taken = self.assemble(part, step, now) if step.takes else ()
        self.carry_on(m, now)
        for p in taken:
            self.replenish(p, now)

    def change_over(self, m: Machine, family: int, now: float) -> None:
        law = self.plan.setups[self.plan.station[m.rank]].get((m.family, family))
        m.setting = family
        if law:
            m.setup_h = m.setup_left_h = self.s.streams[f"{self.plan.names[m.rank]}/setup"].draw(law)
        else:
            m.family = family
            self.columns.put("family", m.rank, now, family)

    def assemble(self, part: Part, step: Step, now: float) -> list[int]:
        """Take the components of an operation; their products, one for each part."""
        gone: list[Part] = []
        for p, n in step.takes:
            stock = self.s.books[p].stock
            gone += [self.s.parts.pop(number) for number in stock[:n]]
            del stock[:n]
            self.columns.put("stock", p, now, len(stock))
            self.count(p, "wip", -n, now)
        part.made_of += tuple(gone)
        return [other.product for other in gone]

    def replenish(self, p: int, now: float) -> None:
        """A part of the product has left: another is released where their number is kept."""
        if self.plan.limit[p]:
            self.release(p, now)

    def finish(self, m: Machine, now: float) -> None:
        """An operation ends."""
        part = self.s.parts[m.part]
        m.parts += 1
        self.columns.put("parts", m.rank, now, m.parts)
        m.holds, part.step = DONE, self.onward(part)
        self.part_with_operator(m, now)
        self.deliver(m, part, now)

    def onward(self, part: Part) -> int:
        """The next step of a part whose operation has ended."""
        branches = self.step(part).branches
        if not branches:
            return part.step + 1
        name = self.plan.factory.products[part.product].name
        u = self.s.streams[f"{name}/branch"].draw(UNIT)
        return next((step for step, up_to in branches if u < up_to), branches[-1][0])

    def deliver(self, m: Machine, part: Part, now: float) -> None:
        """Hand the finished part on, if there is room, and take another."""
        if part.step == len(self.plan.routes[part.product]):
            m.holds, m.part = NONE, NOTHING
            self.complete(part, now)
            return self.take(m, now)
        k = self.step(part).station
        if k == self.plan.station[m.rank] and self.come_again(m, part, k, now):
            return
        if self.hand_over(part, k, now):
            return self.take(m, now)
        self.s.blocked[k].append(m.rank)
        self.rest(m, BLOCKED, now)
        self.watch(now)

    def come_again(self, m: Machine, part: Part, k: int, now: float) -> bool:
        """A part comes again to the station where it is, whose queue is full: it stands last, and the first goes in."""
        queue = self.s.queues[k]
        if len(queue) < self.plan.room[k] or not self.s.open[k] or self.idle(part, k):
            return False
        first = self.choose(m, k, [*queue, part.number])
        if first is None:
            return False
        if first is not part:
            queue.remove(first.number)
            queue.append(part.number)
            part.since_h = now
        self.begin(m, first, now)
        return True

    def complete(self, part: Part, now: float) -> None:
        """A part has come to the end of its route: it leaves the plant, or lies in stock."""
        p = part.product
        self.count(p, "finished", 1, now)
        self.columns.put("lead", p, now, now - part.released_h)
        if self.plan.component[p]:
            part.since_h = now
            stock = self.s.books[p].stock
            stock.append(part.number)
            self.columns.put("stock", p, now, len(stock))
            for k in self.plan.takers[p]:
                self.stir(k, now)
            return
        del self.s.parts[part.number]
        self.count(p, "wip", -1, now)
        self.replenish(p, now)

    def stir(self, k: int, now: float) -> None:
        """Something has come for which the machines of a station may have waited."""
        for i in self.plan.members[k]:
            m = self.machines[i]
            if m.phase == STARVED:
                self.take(m, now)
            elif m.phase == BLOCKED and i in self.s.blocked[k]:
                self.s.blocked[k].remove(i)
                self.deliver(m, self.s.parts[m.part], now)

    def watch(self, now: float) -> None:
        """Tell of machines that block each other for ever: all machines of each one's next station are among them."""
        if not self.plan.cyclic:
            return
        at = self.plan.station
        held = {i: k for k, ranks in enumerate(self.s.blocked) for i in ranks if at[i] != k}
        while free := [i for i, k in held.items() if any(j not in held for j in self.plan.members[k])]:
            for i in free:
                del held[i]
        for i in sorted(held.keys() - set(self.s.stuck)):
            self.note(self.machines[i], "deadlock", self.plan.factory.stations[held[i]].name, now)
            insort(self.s.stuck, i)

    # operators

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

    # calendars

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

    # orders

    def act(self, action: Action, now: float) -> None:
        name = type(action).__name__
        if isinstance(action, Release | SetPriority):
            p = [product.name for product in self.plan.factory.products].index(action.product)
            value = action.parts if isinstance(action, Release) else action.priority
            self.events.append(Event(now, action.product, "action", name, float(value)))
            if isinstance(action, Release):
                for _ in range(action.parts):
                    self.admit(p, now)
            elif action.priority != self.s.books[p].priority:
                self.s.books[p].priority = action.priority
                self.columns.put("priority", p, now, action.priority)
            return
        m = self.machines[self.plan.names.index(action.machine)]
        self.note(m, "action", name, now, action.speed if isinstance(action, SetSpeed) else 0.0)
        if isinstance(action, OrderMaintenance):
            if m.phase not in DOWN:
                self.go_down(m, "order", now)
        elif isinstance(action, SetSpeed):
            if action.speed != m.speed:
                self.set_speed(m, action.speed, now)
        else:
            self.hold(m, now)
