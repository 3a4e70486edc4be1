"""The units in machines, whatever the machines stand in: how they fail, wear, are renewed, and are drawn anew."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sim.laws import UNIT, Law, redraw, residual_h
from sim.line.config import (
    TINY,
    AgeReplacement,
    BlockReplacement,
    Inspection,
    Leaves,
    Opportunistic,
    Phase,
    Policy,
    Upkeep,
    WearThreshold,
)
from sim.streams import Streams
from sim.wear import Wear

STARVED, WORKING, BLOCKED, WAITING, REPAIRING, MAINTAINING, INSPECTING, SHORT, LACKING = map(int, Phase)


@dataclass(slots=True)
class Asset:
    """One machine and the unit in it. Deadlines are absolute; amounts and `hours` are as of `since_h`.

    The clocks that run with operation (`*_op`) are deadlines on the machine's own operating time, `hours[WORKING]`.
    """

    rank: int
    phase: int = STARVED
    since_h: float = 0.0  # when the phase began
    until_h: float = math.inf  # what happens next by itself: the earlier of part_h and clock_h, or the end of a repair
    hours: list[float] = field(default_factory=lambda: [0.0] * len(Phase))  # in each phase, without the present one
    # the unit
    clock_h: float = math.inf  # when the earliest operating clock runs out, while WORKING
    next_op: float = math.inf  # that clock: the least of level_op, sudden_op and age_op
    level_op: float = math.inf  # next breakpoint of wear
    sudden_op: float = math.inf
    age_op: float = math.inf  # the policy's: planned work by age, or the next look
    block_h: float = math.inf  # next planned work by the calendar
    sudden_h: float = math.inf  # sudden failure of a clock that runs with time
    virtual_h: float = 0.0  # virtual age at which the sudden life began, or will after the work under way
    entered_op: float = 0.0  # when the present wear was reached
    renewed_op: float = 0.0  # when the last work on the unit ended, or it was new
    renewed_h: float = 0.0
    wear: float = 0.0  # at the last breakpoint, as a fraction of the failure threshold
    next_wear: float = 0.0  # at the next
    wear_h: float = 0.0  # when it last changed
    unit: Mapping[str, float] = field(default_factory=dict)  # what the unit has drawn for itself; never changed
    rate: float = 1.0
    pace: float = 1.0  # wear hours per operating hour
    # orders
    speed: float = 1.0
    speed_h: float = 0.0  # when it was set
    held: bool = False  # the policy is suspended
    planned: bool = False  # the present or last work on the machine

    def operated_h(self, now_h: float) -> float:
        """Operating hours of the machine up to *now_h*, a time of the present phase."""
        return self.hours[WORKING] + (now_h - self.since_h if self.phase == WORKING else 0.0)

    def hours_at(self, now_h: float) -> list[float]:
        """Hours in each phase up to *now_h*, a time of the present phase."""
        hours = self.hours[:]
        hours[self.phase] += now_h - self.since_h
        return hours


@dataclass(frozen=True, eq=False)
class Units:
    """The upkeep of machines laid out by rank, so that a run looks things up by index."""

    names: tuple[str, ...]
    upkeep: list[Upkeep]
    repair: list[Law]
    maintenance: list[Law]
    repair_leaves: list[Leaves]
    maintenance_leaves: list[Leaves]
    ageing: list[bool]  # whether some work leaves virtual age
    operation: list[Law | None]  # sudden failures by operating time
    calendar: list[Law | None]  # sudden failures by time
    wear: list[Wear | None]
    draws: list[Law | None]  # what each step of wear draws
    parameters: list[list[tuple[str, Law]]]  # what each unit draws for itself
    threshold: list[float]  # wear at which the policy asks for planned work
    age_h: list[float]  # age at which it does, or looks
    inspection: list[Inspection | None]
    block_h: list[float]  # time between planned works by the calendar
    opportunity: list[tuple[int, float]]  # machines that go down with another, and their wear from which they do

    @staticmethod
    def laid_out(names: tuple[str, ...], machines: Sequence[Upkeep]) -> dict[str, Any]:
        """The fields of `Units` for machines of these names and this upkeep."""
        return {
            "names": names,
            "upkeep": list(machines),
            "repair": [s.repair for s in machines],
            "maintenance": [s.maintenance for s in machines],
            "repair_leaves": [s.repair_leaves for s in machines],
            "maintenance_leaves": [s.maintenance_leaves for s in machines],
            "ageing": [max(s.repair_leaves.age, s.maintenance_leaves.age) > 0 for s in machines],
            "operation": [s.sudden.life if s.sudden and s.sudden.clock == "operation" else None for s in machines],
            "calendar": [s.sudden.life if s.sudden and s.sudden.clock == "time" else None for s in machines],
            "wear": [s.wear for s in machines],
            "draws": [s.wear.draws if s.wear else None for s in machines],
            "parameters": [list(s.wear.parameters.items()) if s.wear else [] for s in machines],
            "threshold": [_threshold(s.policy) for s in machines],
            "age_h": [_age_h(s.policy) for s in machines],
            "inspection": [s.policy if isinstance(s.policy, Inspection) else None for s in machines],
            "block_h": [s.policy.every_h if isinstance(s.policy, BlockReplacement) else math.inf for s in machines],
            "opportunity": [
                (i, s.policy.fraction - TINY) for i, s in enumerate(machines) if isinstance(s.policy, Opportunistic)
            ],
        }

    @staticmethod
    def streams_of(name: str, upkeep: Upkeep) -> list[str]:
        """The streams from which the unit of machine *name* draws."""
        wear = ["wear", *upkeep.wear.parameters] if upkeep.wear else []
        kinds = ["repair", "maintenance", *wear, *(["sudden"] * (upkeep.sudden is not None))]
        kinds += ["inspection"] * (isinstance(upkeep.policy, Inspection) and upkeep.policy.takes is not None)
        return [f"{name}/{kind}" for kind in kinds]

    def pace(self, m: Asset) -> float:
        """Wear hours per operating hour."""
        upkeep = self.upkeep[m.rank]
        return upkeep.load * m.speed**upkeep.wear.load_exponent * m.rate if upkeep.wear else 1.0

    def renew(self, m: Asset, streams: Streams, now_h: float, leaves: Leaves) -> None:
        """Put a new unit into *m*, which does not work at *now_h*, or go on with what is left of the old one."""
        i, name, op = m.rank, self.names[m.rank], m.hours[WORKING]
        m.renewed_op, m.renewed_h = op, now_h
        if law := self.wear[i]:
            if leaves.new:
                m.unit = {p: streams[f"{name}/{p}"].draw(each) for p, each in self.parameters[i]}
                m.rate, m.wear = m.unit.get("rate", 1.0), law.begin(m.unit)
            else:
                m.wear = law.leave(m.wear, m.unit, leaves.wear)
            m.pace = self.pace(m)
            self.wear_on(m, op, streams)
        if life := self.operation[i]:
            m.sudden_op = op + self._life_h(m, life, streams)
        if life := self.calendar[i]:
            m.sudden_h = now_h + self._life_h(m, life, streams)
        m.age_op = math.inf if m.held else op + self.age_h[i]
        m.next_op = min(m.level_op, m.sudden_op, m.age_op)

    def _life_h(self, m: Asset, life: Law, streams: Streams) -> float:
        """A sudden life from the unit's virtual age on."""
        stream = streams[f"{self.names[m.rank]}/sudden"]
        if self.ageing[m.rank]:  # every age has a law of its own, of which no stream could keep a block
            return residual_h(life, m.virtual_h, 1 - stream.draw(UNIT))
        return stream.draw(life)

    def lived_h(self, m: Asset, now_h: float) -> float:
        """How long the sudden life has run, on its own clock."""
        return now_h - m.renewed_h if self.calendar[m.rank] else m.operated_h(now_h) - m.renewed_op

    def leaves(self, m: Asset) -> Leaves:
        """What the present work on a machine leaves behind."""
        return (self.maintenance_leaves if m.planned else self.repair_leaves)[m.rank]

    def wear_on(self, m: Asset, op: float, streams: Streams) -> None:
        """Draw the way to the next breakpoint of wear, from one that was reached at *op*."""
        draw = streams[f"{self.names[m.rank]}/wear"].draw(self.draws[m.rank])  # type: ignore[arg-type]
        took_h, m.next_wear = self.wear[m.rank].step(m.wear, m.unit, draw)  # type: ignore[union-attr]
        m.entered_op, m.level_op = op, op + took_h / m.pace

    def quicken(self, m: Asset, speed: float, now_h: float) -> float:
        """Set the speed of a machine and with it the pace of its wear; returns how much longer work takes now."""
        slower, pace, op = m.speed / speed, m.pace, m.operated_h(now_h)
        m.speed, m.speed_h = speed, now_h
        m.pace = self.pace(m)
        m.level_op = op + (m.level_op - op) * (pace / m.pace)
        m.entered_op = op + (m.entered_op - op) * (pace / m.pace)
        return slower

    def redraw_work(self, m: Asset, now_h: float, u_work: float) -> None:
        """Redraw the end of the repair, planned work or look that is under way, if one is."""
        if m.phase in (REPAIRING, MAINTAINING):
            law: Any = self.maintenance[m.rank] if m.planned else self.repair[m.rank]
        elif m.phase == INSPECTING:
            law = self.inspection[m.rank].takes  # type: ignore[union-attr]
        else:
            return
        m.until_h = now_h + redraw(law, now_h - m.since_h, m.until_h - now_h, u_work)

    def redraw_life(self, m: Asset, now_h: float, u_level: float, u_sudden: float) -> None:
        """Redraw the clocks of a unit that is up, given how long each has run."""
        i, op = m.rank, m.operated_h(now_h)
        if law := self.wear[i]:
            spent_h = max((op - m.entered_op) * m.pace, 0.0)
            draw = float(law.draws.isf(u_level * law.sf(m.wear, m.unit, spent_h)))
            took_h, m.next_wear = law.step(m.wear, m.unit, draw)
            m.level_op = max(op, m.entered_op + took_h / m.pace)
        if law := self.operation[i]:
            m.sudden_op = op + redraw(law, m.virtual_h + (op - m.renewed_op), m.sudden_op - op, u_sudden)
        if law := self.calendar[i]:
            m.sudden_h = now_h + redraw(law, m.virtual_h + (now_h - m.renewed_h), m.sudden_h - now_h, u_sudden)
        m.next_op = min(m.level_op, m.sudden_op, m.age_op)
        if m.phase == WORKING:
            m.clock_h = max(now_h, m.since_h + (m.next_op - m.hours[WORKING]))


def _threshold(policy: Policy) -> float:
    match policy:
        case WearThreshold(fraction=level) | Opportunistic(limit=level) if level < 1:
            return level - TINY
    return math.inf


def _age_h(policy: Policy) -> float:
    match policy:
        case AgeReplacement(age_h=age_h) | Inspection(every_h=age_h):
            return age_h
    return math.inf
