"""A line laid out by rank, and its states: how one starts, and how its hidden draws are made anew."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.laws import UNIT, Deterministic, Law, residual_h
from sim.line.config import (
    TINY,
    AgeReplacement,
    BlockReplacement,
    Inspection,
    Leaves,
    Opportunistic,
    Phase,
    Policy,
    WearThreshold,
)
from sim.line.state import RAW, SHORT_OF, Machine, State
from sim.streams import Streams
from sim.supply import state as stocks
from sim.trace import Key
from sim.wear import Wear

if TYPE_CHECKING:
    from sim.line.line import Line

STARVED, WORKING, BLOCKED, WAITING, REPAIRING, MAINTAINING, INSPECTING, SHORT, LACKING = map(int, Phase)
UP = (STARVED, WORKING, BLOCKED, INSPECTING, SHORT)  # and lives


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
    streams: list[str]
    signals: list[Key]
    material: tuple[int, int] | None  # rank of the point and units for each part of the first station
    spare: list[int | None]  # rank of the point, for each machine

    @staticmethod
    def of(line: Line) -> Plan:
        station = [k for k, s in enumerate(line.stations) for _ in range(s.machines)]
        machines = [line.stations[k] for k in station]
        streams = ["arrivals"] * (line.arrivals is not None)
        for name, s in zip(line.machines, machines, strict=True):
            wear = ["wear", *s.wear.parameters] if s.wear else []
            kinds = ["cycle", "repair", "maintenance", *wear, *(["sudden"] * (s.sudden is not None))]
            kinds += ["inspection"] * (isinstance(s.policy, Inspection) and s.policy.takes is not None)
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
            repair_leaves=[s.repair_leaves for s in machines],
            maintenance_leaves=[s.maintenance_leaves for s in machines],
            ageing=[max(s.repair_leaves.age, s.maintenance_leaves.age) > 0 for s in machines],
            operation=[s.sudden.life if s.sudden and s.sudden.clock == "operation" else None for s in machines],
            calendar=[s.sudden.life if s.sudden and s.sudden.clock == "time" else None for s in machines],
            wear=[s.wear for s in machines],
            draws=[s.wear.draws if s.wear else None for s in machines],
            parameters=[list(s.wear.parameters.items()) if s.wear else [] for s in machines],
            threshold=[_threshold(s.policy) for s in machines],
            age_h=[_age_h(s.policy) for s in machines],
            inspection=[s.policy if isinstance(s.policy, Inspection) else None for s in machines],
            block_h=[s.policy.every_h if isinstance(s.policy, BlockReplacement) else math.inf for s in machines],
            opportunity=[
                (i, s.policy.fraction - TINY) for i, s in enumerate(machines) if isinstance(s.policy, Opportunistic)
            ],
            streams=streams,
            signals=[(name, q) for name in line.machines for q in ("phase", "wear", "speed", "parts", "rate")]
            + [(name, "level") for name in line.buffer_names],
            material=(line.supply.names.index(line.material.point), line.material.units)
            if line.supply and line.material
            else None,
            spare=[line.supply.names.index(s.spare) if line.supply and s.spare else None for s in machines],
        )

    def pace(self, m: Machine) -> float:
        """Wear hours per operating hour."""
        station = self.line.stations[self.station[m.rank]]
        return station.load * m.speed**station.wear.load_exponent * m.rate if station.wear else 1.0

    def renew(self, m: Machine, streams: Streams, now_h: float, leaves: Leaves) -> None:
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

    def _life_h(self, m: Machine, life: Law, streams: Streams) -> float:
        """A sudden life from the unit's virtual age on."""
        stream = streams[f"{self.names[m.rank]}/sudden"]
        if self.ageing[m.rank]:  # every age has a law of its own, of which no stream could keep a block
            return residual_h(life, m.virtual_h, 1 - stream.draw(UNIT))
        return stream.draw(life)

    def lived_h(self, m: Machine, now_h: float) -> float:
        """How long the sudden life has run, on its own clock."""
        return now_h - m.renewed_h if self.calendar[m.rank] else m.operated_h(now_h) - m.renewed_op

    def leaves(self, m: Machine) -> Leaves:
        """What the present work on a machine leaves behind."""
        return (self.maintenance_leaves if m.planned else self.repair_leaves)[m.rank]

    def wear_on(self, m: Machine, op: float, streams: Streams) -> None:
        """Draw the way to the next breakpoint of wear, from one that was reached at *op*."""
        draw = streams[f"{self.names[m.rank]}/wear"].draw(self.draws[m.rank])  # type: ignore[arg-type]
        took_h, m.next_wear = self.wear[m.rank].step(m.wear, m.unit, draw)  # type: ignore[union-attr]
        m.entered_op, m.level_op = op, op + took_h / m.pace


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


def material_taker(rank: int) -> int:
    """A machine's number among the takers of the supply, where it waits for material."""
    return 2 * rank


def spare_taker(rank: int) -> int:
    """And where it waits for a spare; it may wait for both."""
    return 2 * rank + 1


def start(plan: Plan, seed: int) -> State:
    streams = Streams(seed, plan.streams)
    machines = [Machine(i) for i in range(len(plan.names))]
    count = len(plan.line.stations)
    state = State(seed, 0.0, machines, [0] * count, [0.0] * count, [[] for _ in range(count)], streams)
    if plan.line.supply:
        state.supply = plan.line.supply.start(seed)
    for m in machines:
        plan.renew(m, streams, 0.0, Leaves())
        m.block_h = plan.block_h[m.rank]
    if plan.line.arrivals:
        state.arrival_h = streams["arrivals"].draw(plan.line.arrivals)
        return state
    for i in plan.members[0]:
        m = machines[i]
        if plan.material and not stocks.draw(
            state.supply.stocks[plan.material[0]],  # type: ignore[union-attr]
            plan.material[1],
            material_taker(i),
        ):
            m.phase, m.holds = SHORT, SHORT_OF
            continue
        m.phase, m.holds, m.clock_h = WORKING, RAW, m.next_op
        m.part_h = m.cycle_h = streams[f"{plan.names[i]}/cycle"].draw(plan.cycle[i])
        m.until_h = min(m.part_h, m.clock_h)
    return state


def resample(plan: Plan, s: State, seed: int) -> State:
    """Redraw, in place, what is drawn but not revealed. Uniforms are addressed by rank and kind, not consumed."""
    now = s.time_h
    s.seed, s.streams = seed, s.streams.rekeyed(seed)
    if plan.line.supply:
        stocks.resample(plan.line.supply.points, s.supply, seed, "supply/resample")  # type: ignore[arg-type]
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
        if m.phase == INSPECTING:
            m.until_h = now + _redraw(plan.inspection[i].takes, now - m.since_h, m.until_h - now, u_work)  # type: ignore
        if law := plan.wear[i]:
            spent_h = max((op - m.entered_op) * m.pace, 0.0)
            draw = float(law.draws.isf(u_level * law.sf(m.wear, m.unit, spent_h)))
            took_h, m.next_wear = law.step(m.wear, m.unit, draw)
            m.level_op = max(op, m.entered_op + took_h / m.pace)
        if law := plan.operation[i]:
            m.sudden_op = op + _redraw(law, m.virtual_h + (op - m.renewed_op), m.sudden_op - op, u_sudden)
        if law := plan.calendar[i]:
            m.sudden_h = now + _redraw(law, m.virtual_h + (now - m.renewed_h), m.sudden_h - now, u_sudden)
        m.next_op = min(m.level_op, m.sudden_op, m.age_op)
        if m.phase == WORKING:
            m.clock_h = max(now, m.since_h + (m.next_op - m.hours[WORKING]))
            m.until_h = min(m.part_h, m.clock_h)
    return s


def _redraw(law: Law, elapsed_h: float, left_h: float, q: float) -> float:
    """What remains of a time of which *elapsed_h* is known; a deterministic time stays as it is, to the last bit."""
    return left_h if isinstance(law, Deterministic) else residual_h(law, max(elapsed_h, 0.0), q)
