"""What a stretch of a factory's run leaves behind, while it is written."""

from __future__ import annotations

from sim.factory.plan import Plan
from sim.factory.state import Machine, State
from sim.trace import Event, Key, Signal, steps


class Columns:
    """Breakpoints of one stretch. Each list opens with the segment in force, at its original time."""

    def __init__(self, plan: Plan, state: State):
        self.plan = plan
        self.events: list[Event] = []
        self.all = [([time_h], [value]) for time_h, value in state.force]
        self.by = {quantity: [self.all[i] for i in rows] for quantity, rows in plan.rows.items()}
        self.phase = self.by["phase"]

    def put(self, quantity: str, rank: int, now: float, value: float) -> None:
        times_h, values = self.by[quantity][rank]
        times_h.append(now)
        values.append(value)

    def load(self, m: Machine, now: float, product: int) -> None:
        """The product in a machine, counted from 1."""
        times_h, values = self.by["product"][m.rank]
        if values[-1] != product:
            times_h.append(now)
            values.append(product)

    def signals(self, state: State) -> dict[Key, Signal]:
        """The signals of the stretch; the state keeps what is in force at its end."""
        for row, kw, (times_h, phases) in zip(self.plan.rows["power"], self.plan.kw, self.phase, strict=True):
            self.all[row] = times_h, [kw[int(phase)] for phase in phases]  # power follows the phase
        state.force = [(times_h[-1], values[-1]) for times_h, values in self.all]
        return steps(self.plan.signals, self.all)
