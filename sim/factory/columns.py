"""What a stretch of a factory's run leaves behind, while it is written."""

from __future__ import annotations

from sim.factory.plan import MACHINE, PRODUCT, Plan
from sim.factory.state import Machine, State
from sim.trace import Signal


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
        for name, kw, (times_h, phases) in zip(self.plan.names, self.plan.kw, self.phase, strict=True):
            self.all[self.plan.column[name, "power"]] = times_h, [kw[int(p)] for p in phases]  # it follows the phase
        state.force = [(times_h[-1], values[-1]) for times_h, values in self.all]
        return {key: Signal.step(*column) for key, column in zip(self.plan.signals, self.all, strict=True)}
