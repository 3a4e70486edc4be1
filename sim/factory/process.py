"""How a factory runs: parts go from station to station, operators from machine to machine; every fact in the state."""

from __future__ import annotations

from bisect import insort
from functools import partial

from sim.factory.columns import Columns
from sim.factory.config import Action, Release, SetPriority
from sim.factory.plan import (
    BLOCKED,
    CLOSED,
    DOWN,
    STARVED,
    Plan,
    Step,
)
from sim.factory.staff import Staff
from sim.factory.state import DONE, NOBODY, NONE, NOTHING, RAW, Machine, Part, State
from sim.kernel import Deadline, Kernel
from sim.laws import UNIT
from sim.line.config import OrderMaintenance, SetSpeed
from sim.trace import Event, Run, Trace


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


class Floor(Staff):
    """The shop floor: releases, queues, dispatch and assembly."""

    def __init__(self, plan: Plan, state: State, kernel: Kernel, columns: Columns):
        super().__init__(plan, state, kernel, columns)
        self.steps, self.ranked = plan.routes, any(book.priority for book in state.books)
        self.level, self.parts = columns.by["level"], columns.by["parts"]
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
        self.tell_level(k, now, len(queue))
        return True

    def tell_level(self, k: int, now: float, parts: int) -> None:
        times_h, values = self.level[k]
        times_h.append(now)
        values.append(parts)

    def idle(self, part: Part, k: int) -> Machine | None:
        """An idle machine that can take the part: by the rule of setups one of its family first, then the lowest."""
        first = None
        for i in self.plan.members[k]:
            m = self.machines[i]
            if m.phase == STARVED and self.ready(part):
                if not (self.plan.sorted[k] and self.changes(m, part)):
                    return m
                first = first or m
        return first

    def ready(self, part: Part) -> bool:
        """Whether all components of a part's operation are there."""
        takes = self.steps[part.product][part.step].takes
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
            part, freed = self.pick(m, k, now) if self.s.open[k] else (None, None)
            if part is None:
                self.columns.load(m, now, 0)
                return self.rest(m, STARVED if self.s.open[k] else CLOSED, now)
            self.begin(m, part, now)
            if freed is None:
                return
            m = freed

    def pick(self, m: Machine, k: int, now: float) -> tuple[Part | None, Machine | None]:
        """The part that a free machine takes, out of the queue, and the machine whose part takes its place."""
        s = self.s
        queue, blocked, outside = s.queues[k], s.blocked[k], s.outside[k]
        if not (queue or blocked):
            return self.fetch(k, now), None
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
        self.tell_level(k, now, len(queue))
        return part, None

    def choose(self, m: Machine, k: int, numbers: list[int]) -> Part | None:
        """The first of the parts by priority, by setup where the rule minds it, and by order, that can begin."""
        parts = self.s.parts
        if self.plan.plain[k] and not self.ranked:
            return parts[numbers[0]]
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
        step = self.steps[part.product][part.step]
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
        times_h, values = self.parts[m.rank]
        times_h.append(now)
        values.append(m.parts)
        m.holds, part.step = DONE, self.onward(part)
        if m.operator != NOBODY:
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
                self.ranked = any(book.priority for book in self.s.books)
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
