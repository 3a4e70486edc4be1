"""A factory laid out by rank, and its states: how one starts, and how its hidden draws are made anew."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from sim.factory.calendar import Calendar
from sim.factory.config import Arrivals, Conwip, Phase, Power, Product, Saturated
from sim.factory.state import NOTHING, RAW, Books, Machine, State
from sim.laws import Law, redraw
from sim.line.config import Leaves
from sim.line.units import Units
from sim.streams import Streams
from sim.trace import Key

if TYPE_CHECKING:
    from sim.factory.factory import Factory

(STARVED, WORKING, BLOCKED, WAITING, REPAIRING, MAINTAINING, INSPECTING, SHORT, LACKING, SETUP, UNMANNED, CLOSED) = map(
    int, Phase
)
DOWN = (WAITING, REPAIRING, MAINTAINING, LACKING)
MACHINE = ("phase", "wear", "speed", "parts", "rate", "family", "product", "power")
PRODUCT = ("released", "wip", "finished", "stock", "priority", "lead")


class Step(NamedTuple):
    """An operation, by ranks."""

    station: int
    time: Law
    family: int  # 0: any
    able: tuple[int, ...] | None  # operators who can, the least versatile first; None: it needs none
    takes: tuple[tuple[int, int], ...]  # products and numbers of parts
    branches: tuple[tuple[int, float], ...]  # step and cumulative probability
    draws: dict[int, str]  # by machine, the stream of its times


@dataclass(frozen=True, eq=False)
class Plan(Units):
    """What a run looks up."""

    factory: Factory
    station: list[int]  # of each machine
    members: list[list[int]]  # machines of each station
    room: list[float]
    sorted: list[bool]  # whether a station's rule minds the family
    plain: list[bool]  # whether its machines take whatever is first
    hours: list[Calendar | None]  # of each station
    shifts: list[Calendar | None]  # of each operator
    skills: list[frozenset[tuple[int, int]]]  # the steps that each operator can man, (product, step)
    crew: float
    routes: list[list[Step]]
    families: tuple[str, ...]
    setups: list[dict[tuple[int, int], Law]]  # of each station
    saturated: list[list[tuple[int, float]]]  # products and shares that begin at each station and never run out
    limit: list[int | None]  # of each product
    arrivals: list[Law | None]
    component: list[bool]
    takers: list[list[int]]  # stations that take each product
    kw: list[list[float]]  # power of each machine by phase
    cyclic: bool  # whether machines could block each other
    streams: list[str]
    signals: list[Key]
    rows: dict[str, list[int]]  # of each quantity the numbers of its signals, by rank

    @staticmethod
    def of(factory: Factory) -> Plan:
        stations, products, operators = factory.stations, factory.products, factory.operators
        rank = {s.name: k for k, s in enumerate(stations)}
        number = {p.name: i for i, p in enumerate(products)}
        station = [k for k, s in enumerate(stations) for _ in range(s.machines)]
        members = [[i for i, k in enumerate(station) if k == j] for j in range(len(stations))]
        machines = [stations[k] for k in station]
        names = sorted({o.family for p in products for o in p.route} | {s.family for s in stations} - {""})
        families = ("", *(n for n in names if n))
        family = {name: i for i, name in enumerate(families)}

        def step(product: Product, j: int) -> Step:
            o = product.route[j]
            named = {other.name: i for i, other in enumerate(product.route) if other.name} | {"": len(product.route)}
            able = [i for i, who in enumerate(operators) if o.skill in who.skills]
            sums, total = [], 0.0
            for branch in o.next:
                total += branch.probability
                sums.append((named[branch.to], total))
            return Step(
                rank[o.station],
                o.time,
                family[o.family],
                None if o.skill is None else tuple(sorted(able, key=lambda i: (len(operators[i].skills), i))),
                tuple((number[c.product], c.parts) for c in o.takes),
                tuple(sums),
                {i: f"{factory.machines[i]}/{product.name}.{j}" for i in members[rank[o.station]]},
            )

        routes = [[step(p, j) for j in range(len(p.route))] for p in products]
        steps = [s for route in routes for s in route]
        first = [route[0].station for route in routes]
        streams = [stream for s in steps for stream in s.draws.values()]
        for name, s in zip(factory.machines, machines, strict=True):
            streams += [*Units.streams_of(name, s), f"{name}/setup"]
        streams += [f"{p.name}/{kind}" for p in products for kind in ("arrivals", "branch")]
        signals = [(name, q) for name in factory.machines for q in MACHINE]
        signals += [(s.name, "level") for s in stations] + [(s.name, "open") for s in stations]
        signals += [(p.name, q) for p in products for q in PRODUCT]
        signals += [(o.name, q) for o in operators for q in ("at", "there")]
        kinds = [p.release for p in products]
        return Plan(
            **Units.laid_out(factory.machines, machines),
            factory=factory,
            station=station,
            members=members,
            room=[math.inf if s.room is None else s.room for s in stations],
            sorted=[s.rule == "setup" for s in stations],
            plain=[
                s.rule == "fifo" and not any(x.takes for x in steps if x.station == k) for k, s in enumerate(stations)
            ],
            hours=[s.calendar for s in stations],
            shifts=[o.calendar for o in operators],
            skills=[
                frozenset((p, j) for p, r in enumerate(routes) for j, x in enumerate(r) if x.able and i in x.able)
                for i in range(len(operators))
            ],
            crew=math.inf if factory.crew is None else factory.crew,
            routes=routes,
            families=families,
            setups=[_setups(s, families) for s in stations],
            saturated=[
                [(p, r.share) for p, r in enumerate(kinds) if isinstance(r, Saturated) and first[p] == k]
                for k in range(len(stations))
            ],
            limit=[r.parts if isinstance(r, Conwip) else None for r in kinds],
            arrivals=[r.between if isinstance(r, Arrivals) else None for r in kinds],
            component=[any(p == taken for s in steps for taken, _ in s.takes) for p in range(len(products))],
            takers=[
                sorted({s.station for s in steps if any(p == taken for taken, _ in s.takes)})
                for p in range(len(products))
            ],
            kw=[kw(s.power) for s in machines],
            cyclic=factory.cyclic,
            streams=streams,
            signals=signals,
            rows={q: [i for i, key in enumerate(signals) if key[1] == q] for _, q in signals},
        )


def _setups(station, families: tuple[str, ...]) -> dict[tuple[int, int], Law]:
    pairs = {(a, b): station.setup for a in families for b in families if station.setup and a != b and b}
    pairs |= {(c.before, c.after): c.time for c in station.changeovers}
    rank = {name: i for i, name in enumerate(families)}
    return {(rank[a], rank[b]): law for (a, b), law in pairs.items() if a in rank and b in rank}


def kw(power: Power) -> list[float]:
    """Power by phase."""
    by = dict.fromkeys(Phase, power.idle_kw)
    by |= {Phase.WORKING: power.working_kw, Phase.SETUP: power.setup_kw, Phase.CLOSED: power.closed_kw}
    by |= {Phase(phase): power.down_kw for phase in DOWN}
    return [by[phase] for phase in Phase]


def start(plan: Plan, seed: int) -> State:
    factory = plan.factory
    streams = Streams(seed, plan.streams)
    machines = [Machine(i) for i in range(len(plan.names))]
    count = len(factory.stations)
    opened = [c is None or c.is_open(0.0) for c in plan.hours]
    there = [c is None or c.is_open(0.0) for c in plan.shifts]
    books = [Books() for _ in factory.products]
    queues, outside, blocked = ([[] for _ in range(count)] for _ in range(3))
    nobody = [NOTHING] * len(there)
    state = State(seed, 0.0, machines, books, queues, outside, blocked, there, nobody, streams, opened)
    for m in machines:
        plan.renew(m, streams, 0.0, Leaves())
        m.block_h = plan.block_h[m.rank]
        m.family = plan.families.index(factory.stations[plan.station[m.rank]].family)
        m.phase = STARVED if opened[plan.station[m.rank]] else CLOSED
    for product, book, law in zip(factory.products, books, plan.arrivals, strict=True):
        if law:
            book.arrival_h = streams[f"{product.name}/arrivals"].draw(law)
    state.bell_h = min((c.next_h(0.0) for c in (*plan.hours, *plan.shifts) if c), default=math.inf)
    state.force = [(0.0, _first(plan, state, key)) for key in plan.signals]
    return state


def _first(plan: Plan, s: State, key: Key) -> float:
    name, quantity = key
    if quantity in MACHINE and name in plan.names:
        m = s.machines[plan.names.index(name)]
        if quantity == "power":
            return plan.kw[m.rank][m.phase]
        return float({"product": 0}.get(quantity, getattr(m, quantity, 0)))
    names = {"open": [x.name for x in plan.factory.stations], "there": [x.name for x in plan.factory.operators]}
    if quantity in names:
        return float((s.open if quantity == "open" else s.there)[names[quantity].index(name)])
    return 0.0


def resample(plan: Plan, s: State, seed: int) -> State:
    """Redraw, in place, what is drawn but not revealed. Uniforms are addressed by rank and kind, not consumed."""
    now = s.time_h
    s.seed, s.streams = seed, s.streams.rekeyed(seed)
    uniforms = iter(Streams.uniforms(seed, "resample", 5 * len(s.machines) + len(s.books)))
    for law, book in zip(plan.arrivals, s.books, strict=True):
        u = next(uniforms)
        if law:
            book.arrival_h = now + redraw(law, now - book.arrived_h, book.arrival_h - now, u)
    for m in s.machines:
        u_part, u_setup, u_work, u_level, u_sudden = (next(uniforms) for _ in range(5))
        if m.holds == RAW:
            _redraw_part(plan, s, m, u_part, u_setup)
        plan.redraw_work(m, now, u_work)
        if m.phase not in DOWN:
            plan.redraw_life(m, now, u_level, u_sudden)
        if m.phase == WORKING:
            m.until_h = min(m.part_h, m.clock_h)
    return s


def _redraw_part(plan: Plan, s: State, m: Machine, u_part: float, u_setup: float) -> None:
    part, now = s.parts[m.part], s.time_h
    left_h = m.part_h - now if m.phase == WORKING else m.left_h
    left = left_h * m.speed
    redrawn = redraw(plan.routes[part.product][part.step].time, m.cycle_h - left, left, u_part)
    if redrawn != left:
        m.cycle_h, left_h = m.cycle_h - left + redrawn, redrawn / m.speed
        m.part_h, m.left_h = now + left_h, left_h
    if m.setup_left_h > 0:
        left_h = m.until_h - now if m.phase == SETUP else m.setup_left_h
        law = plan.setups[plan.station[m.rank]][m.family, m.setting]
        redrawn = redraw(law, m.setup_h - left_h, left_h, u_setup)
        if redrawn != left_h:
            m.setup_h, m.setup_left_h = m.setup_h - left_h + redrawn, max(redrawn, 0.0)
            if m.phase == SETUP:
                m.until_h = now + redrawn
