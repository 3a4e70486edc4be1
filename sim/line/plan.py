"""A line laid out by rank, and its states: how one starts, and how its hidden draws are made anew."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sim.laws import Law, redraw
from sim.line.config import Leaves
from sim.line.state import RAW, SHORT_OF, Machine, State
from sim.line.units import (
    BLOCKED,
    INSPECTING,
    LACKING,
    MAINTAINING,
    REPAIRING,
    SHORT,
    STARVED,
    WAITING,
    WORKING,
    Units,
)
from sim.streams import Streams
from sim.supply import state as stocks
from sim.trace import Key

if TYPE_CHECKING:
    from sim.line.line import Line

__all__ = [
    "BLOCKED",
    "INSPECTING",
    "LACKING",
    "MAINTAINING",
    "REPAIRING",
    "SHORT",
    "STARVED",
    "UP",
    "WAITING",
    "WORKING",
    "Plan",
]

UP = (STARVED, WORKING, BLOCKED, INSPECTING, SHORT)  # and lives


@dataclass(frozen=True, eq=False)
class Plan(Units):
    """A line laid out by rank, so that a run looks things up by index. Buffer k lies before station k."""

    line: Line
    station: list[int]  # of each machine
    members: list[list[int]]  # machines of each station
    capacity: list[float]  # of each buffer
    crew: float
    cycle: list[Law]
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
            streams += [f"{name}/cycle", *Units.streams_of(name, s)]
        return Plan(
            **Units.laid_out(line.machines, machines),
            line=line,
            station=station,
            members=[[i for i, k in enumerate(station) if k == j] for j in range(len(line.stations))],
            capacity=[math.inf if room is None else room for room in (line.queue, *line.buffers)],
            crew=math.inf if line.crew is None else line.crew,
            cycle=[s.cycle for s in machines],
            streams=streams,
            signals=[(name, q) for name in line.machines for q in ("phase", "wear", "speed", "parts", "rate")]
            + [(name, "level") for name in line.buffer_names],
            material=(line.supply.names.index(line.material.point), line.material.units)
            if line.supply and line.material
            else None,
            spare=[line.supply.names.index(s.spare) if line.supply and s.spare else None for s in machines],
        )


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
        s.arrival_h = now + redraw(plan.line.arrivals, now - s.arrived_h, s.arrival_h - now, next(uniforms))
    for m in s.machines:
        u_part, u_work, u_level, u_sudden = (next(uniforms) for _ in range(4))
        if m.holds == RAW:
            left_h = m.part_h - now if m.phase == WORKING else m.left_h
            left = left_h * m.speed
            redrawn = redraw(plan.cycle[m.rank], m.cycle_h - left, left, u_part)
            if redrawn != left:
                m.cycle_h, left_h = m.cycle_h - left + redrawn, redrawn / m.speed
                m.part_h, m.left_h = now + left_h, left_h
        plan.redraw_work(m, now, u_work)
        if m.phase in UP:
            plan.redraw_life(m, now, u_level, u_sudden)
        if m.phase == WORKING:
            m.until_h = min(m.part_h, m.clock_h)
    return s
