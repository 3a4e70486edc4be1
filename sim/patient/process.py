"""How patients in care run: four deadlines each (midnight, hazard, bed, visit). Research only, not for clinical use."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from scipy.special import ndtri

from sim.errors import InputError
from sim.kernel import Deadline, Kernel
from sim.laws import UNIT
from sim.patient.disease import ACTS, BB, INO, LOOP, Collapse, Heart, day
from sim.patient.medicines import DAY_H, MOVES, conflict
from sim.patient.procedures import Operate, named
from sim.patient.risk import CAUSES, Clock
from sim.patient.state import DAILY, LABS, UNITS, Patient, Phase, State, signals
from sim.trace import Event, Run, Trace

if TYPE_CHECKING:
    from sim.patient.care import Care

ED, WARD, ICU, THEATRE = range(len(UNITS))
EF, PCWP, SBP, CREATININE, PROBNP = (DAILY.index(name) for name in ("ef", "pcwp", "sbp", "creatinine", "nt_probnp"))
INFARCTION = CAUSES.index("infarction")
NONE: Mapping[str, float] = MappingProxyType({})
CONGESTION_ML = 100.0  # into the stressed volume, with which a decompensation begins
PUMP = "pump"  # the death of a heart that keeps no circulation up
SHOCK = ((DAILY.index("map"), 50.0), (DAILY.index("co"), 1.8))  # mmHg and l/min, with less of which nobody lives


def run(world: Care, s: State, until_h: float) -> Run:
    """Carry *s* on to *until_h*, in place."""
    kernel, start_h, names = Kernel(s.time_h), s.time_h, world.names
    events: list[Event] = []
    groups = [([p.body], [p.risk], [p.care]) for p in s.patients]
    units = [[row] for row in s.changed]
    acts = [ACTS.index(m.acts) for m in world.formulary]

    def draw(i: int, kind: str) -> float:
        return s.streams[f"{names[i]}/{kind}"].draw(UNIT)

    def note(i: int, kind: str, cause: str = "", value: float = 0.0) -> None:
        events.append(Event(kernel._now, names[i], kind, cause, float(value)))

    def tell(i: int) -> bool:
        """The heart or its drugs have changed: outputs and hazards follow. False where the circulation collapses."""
        p = s.patients[i]
        try:
            told = world.daily(p)
        except InputError:  # also where no circulation comes of a procedure
            told = (0.0,) * len(DAILY)
        if any(told[k] < least for k, least in SHOCK):
            leave(i, Phase.DEAD, PUMP)
            return False
        p.body = (kernel._now, *told)
        groups[i][0].append(p.body)
        weigh(i)
        return True

    def weigh(i: int) -> None:
        p, told = s.patients[i], s.patients[i].body[1:]
        body = {"ef": told[EF], "pcwp": told[PCWP], "sbp": told[SBP]}
        rates = (0.0,) * len(CAUSES)
        if p.here:
            inside, waiting = (
                p.phase is not Phase.HOME,
                (p.phase is Phase.WAITING and not p.operation) or (p.bed >= 0 and p.due_h == math.inf),
            )
            who, cr = p.person, told[CREATININE]
            drugs = p.effects[BB], p.effects[INO]
            rates = world.risk.rates_per_h(who.age, who.frailty, cr, p.heart.n, body, *drugs, inside, waiting)
            for name in p.had:
                fewer = named(name, world.procedures).infarctions
                rates = (*rates[:INFARCTION], rates[INFARCTION] * fewer, *rates[INFARCTION + 1 :])
        p.clocks = tuple(c.at_rate(kernel._now, rate) for c, rate in zip(p.clocks, rates, strict=True))
        p.risk = (kernel._now, float(p.phase), *rates)
        groups[i][1].append(p.risk)
        hazards[i].set(min(c.due_h for c in p.clocks))

    def midnight(i: int, deadline: Deadline) -> None:
        p = s.patients[i]
        if p.day >= 0:
            try:
                p.heart = day(world.body(p), p.heart, p.effects, world.slow)
            except Collapse:
                return leave(i, Phase.DEAD, PUMP)
        p.day += 1
        deadline.set((p.day + 1) * DAY_H)
        swallow(i)
        tell(i)

    def swallow(i: int) -> None:
        """Today's doses, taken or missed, and what they do all day."""
        p = s.patients[i]
        drugged, effects = list(p.drugged), [0.0] * len(p.effects)
        for k, medicine in enumerate(world.formulary):
            level = p.levels[k]
            if level and p.phase is Phase.HOME and draw(i, f"dose/{medicine.name}") > world.adherence:
                note(i, "missed", medicine.name)
                level = 0
            if p.phase is Phase.ICU and acts[k] == BB:  # no β-blocker beside an inotrope
                level = 0
            if level or drugged[k].modes_mg:
                drugged[k], mean = medicine.take(drugged[k], kernel._now, level)
                effects[acts[k]] = max(effects[acts[k]], medicine.effect(mean))
        if p.bed >= 0:
            effects[LOOP] = max(effects[LOOP], 0.9)  # into the vein
        if p.phase is Phase.ICU:
            effects[INO] = 0.5
        p.drugged, p.effects = tuple(drugged), tuple(effects)

    def happen(i: int, deadline: Deadline) -> None:
        """The hazard of a cause has reached its threshold."""
        p = s.patients[i]
        k = min(range(len(CAUSES)), key=lambda k: p.clocks[k].due_h)
        cause = CAUSES[k]
        if cause in ("cardiac", "other"):
            return leave(i, Phase.DEAD, cause)
        if cause == "lost":
            return leave(i, Phase.LOST)
        p.clocks = (*p.clocks[:k], Clock(-math.log(draw(i, cause)), 0.0, kernel._now, 0.0), *p.clocks[k + 1 :])
        note(i, cause)
        note(i, "failure", cause)  # of a life at home
        n, vs_ml, v0_ml, ees = p.heart
        if cause == "infarction":
            size = 0.05 + 0.2 * draw(i, "infarct")
            p.heart, p.route = Heart(n, vs_ml, v0_ml + 30 * size, ees * (1 - size)), (THEATRE, ICU, WARD)
        else:
            p.heart = Heart(n, vs_ml + CONGESTION_ML, v0_ml, ees)
            p.route = (ICU, WARD) if draw(i, "route") < world.icu else (WARD,)
        p.phase = Phase.WAITING
        note(i, "admission", cause)
        if tell(i):
            seek(i, ED)

    def seek(i: int, unit: int) -> None:
        p, limit = s.patients[i], world.beds[unit]
        if limit is None or s.occupied[unit] < limit:
            return occupy(i, unit)
        s.queues[unit].append(i)
        note(i, "wait", UNITS[unit])
        count(unit)
        if p.bed >= 0:  # its stay is over and its bed is kept
            p.due_h = math.inf
            weigh(i)

    def occupy(i: int, unit: int) -> None:
        p = s.patients[i]
        left, p.bed, p.phase, p.entered_h = p.bed, unit, Phase(Phase.ED + unit), kernel._now
        s.occupied[unit] += 1
        count(unit)
        p.due_h = kernel._now + s.streams[f"{names[i]}/stay"].draw(world.stay[unit])
        beds[i].set(p.due_h)
        note(i, "bed", UNITS[unit])
        weigh(i)
        release(left)

    def release(unit: int) -> None:
        if unit < 0:
            return
        s.occupied[unit] -= 1
        if s.queues[unit]:
            occupy(s.queues[unit].pop(0), unit)
        else:
            count(unit)

    def count(unit: int) -> None:
        s.changed[unit] = (kernel._now, s.occupied[unit], len(s.queues[unit]))
        units[unit].append(s.changed[unit])

    def admit(i: int, procedure: str) -> None:
        """For a procedure: straight to the theatre."""
        p = s.patients[i]
        if p.phase is not Phase.HOME or procedure in p.had:
            return note(i, "cancelled", procedure)
        note(i, "admission", procedure)
        note(i, "planned", procedure)
        p.operation, p.phase, p.route = procedure, Phase.WAITING, (ICU, WARD)
        weigh(i)
        seek(i, THEATRE)

    def operated(i: int) -> bool:
        """The procedure is over. False where the patient has died of it."""
        p, procedure = s.patients[i], named(s.patients[i].operation, world.procedures)
        p.operation = ""
        if draw(i, "operation") < procedure.risk(p.person.age, p.person.frailty):
            leave(i, Phase.DEAD, "operation")
            return False
        p.had = (*p.had, procedure.name)
        p.changed = procedure.change(p.changed or p.person.circulation)
        p.heart = p.heart._replace(ees=p.heart.ees * procedure.at_once)
        note(i, "procedure", procedure.name)
        return tell(i)

    def move(i: int, deadline: Deadline) -> None:
        p = s.patients[i]
        if p.operation and p.bed == THEATRE and not operated(i):
            return None
        if p.route:
            unit, p.route = p.route[0], p.route[1:]
            return seek(i, unit)
        left, p.bed, p.phase, p.due_h = p.bed, -1, Phase.HOME, math.inf
        note(i, "discharge")
        note(i, "renewal", "discharge")
        weigh(i)
        release(left)

    def leave(i: int, phase: Phase, cause: str = "") -> None:
        p = s.patients[i]
        if p.phase is Phase.HOME:
            note(i, *(("failure", "death") if phase is Phase.DEAD else ("planned", "lost")))
        p.phase, left, p.bed, p.route, p.due_h, p.visit_h = phase, p.bed, -1, (), math.inf, math.inf
        p.operation = ""
        note(i, "death" if phase is Phase.DEAD else "lost", cause)
        for deadline in (midnights[i], beds[i], visits[i]):
            deadline.set(math.inf)
        for unit, queue in enumerate(s.queues):
            if i in queue:
                queue.remove(i)
                count(unit)
        weigh(i)
        release(left)

    def visit(i: int, deadline: Deadline) -> None:
        p = s.patients[i]
        p.visit_h = kernel._now + s.streams[f"{names[i]}/visit"].draw(world.visit)
        deadline.set(p.visit_h)
        if p.phase is not Phase.HOME:
            return note(i, "absent")
        told = p.body[1:]
        labs = [told[at] * math.exp(world.lab_cv * share * _normal(draw(i, "lab"))) for at, share in TESTED]
        note(i, "visit")
        chances = decide(i, labs)
        record(i, labs, chances, refer(i, labs))

    def decide(i: int, labs: list[float]) -> dict[int, tuple[float, ...]]:
        """The chances by medicine, after each coin has been thrown."""
        p, policy, chances = s.patients[i], world.policy, {}
        if policy is None:
            return chances
        levels = list(p.levels)
        severity = math.log(labs[2] / 1000)
        for name in policy.medicines:
            k = world.medicines.index(name)
            medicine = world.formulary[k]
            beside = [m for j, m in enumerate(world.formulary) if levels[j] and j != k]
            allowed = levels[k] > 0 or conflict([*beside, medicine]) is None
            possible = (levels[k] > 0, True, levels[k] < len(medicine.doses_mg) and allowed)
            chances[k] = policy.chances(possible, severity, labs[0], p.person.frailty)
            u, at = draw(i, f"decide/{name}"), 0
            while at < 2 and u > sum(chances[k][: at + 1]):
                at += 1
            levels[k] += MOVES[at] * possible[at]
        p.levels = tuple(levels)
        return chances

    def refer(i: int, labs: list[float]) -> dict[str, float]:
        """The chances by procedure, after the coin has been thrown and the patient admitted where it says so."""
        p, policy = s.patients[i], world.policy
        if policy is None or not policy.procedures:
            return {}
        possible = [name not in p.had for name in policy.procedures]
        each = policy.referrals(possible, math.log(labs[2] / 1000), p.person.frailty)
        u = draw(i, "decide/procedure")
        for name, chance in zip(policy.procedures, each, strict=True):
            if 0 <= u < chance:
                admit(i, name)
            u -= chance
        return dict(zip(policy.procedures, each, strict=True))

    def record(
        i: int, labs: Sequence[float], chances: dict[int, tuple[float, ...]], sent: Mapping[str, float] = NONE
    ) -> None:
        p = s.patients[i]
        moved = [x for k, level in enumerate(p.levels) for x in (float(level), *chances.get(k, (0.0, 0.0, 0.0)))]
        done = (*p.had, p.operation)
        ordered = [x for each in world.procedures for x in (float(each.name in done), sent.get(each.name, 0.0))]
        p.care = (kernel._now, *labs, *moved, *ordered)
        groups[i][2].append(p.care)

    def deadlines(rank: int, due: Callable[[int, Deadline], object], time_h: Callable[[Patient], float]):
        return [
            kernel.deadline(4 * i + rank, lambda deadline, i=i: due(i, deadline), time_h(p) if p.here else math.inf)
            for i, p in enumerate(s.patients)
        ]

    midnights = deadlines(0, midnight, lambda p: (p.day + 1) * DAY_H)
    hazards = deadlines(1, happen, lambda p: min(c.due_h for c in p.clocks))
    beds = deadlines(2, move, lambda p: p.due_h)
    visits = deadlines(3, visit, lambda p: p.visit_h)
    if until_h > start_h:
        for action in s.actions:
            i = names.index(action.patient)
            if isinstance(action, Operate):
                note(i, "action", action.procedure)
                admit(i, action.procedure)
                p = s.patients[i]
                record(i, p.care[1 : 1 + len(LABS)], {})
                continue
            note(i, "action", " ".join(f"{name}={level}" for name, level in action.levels))
            p = s.patients[i]
            levels = world.prescribed("Prescribe", p.levels, action.levels)
            if levels != p.levels and p.here:
                p.levels = levels
                record(i, p.care[1 : 1 + len(LABS)], {})
        s.actions.clear()
    kernel.run_to(until_h)
    kernel._queue.clear()
    s.time_h = until_h
    return Run(Trace(s.seed, start_h, until_h, signals(world, groups, units), tuple(events)), s)


TESTED = ((SBP, 0.5), (CREATININE, 1.0), (PROBNP, 2.0), (EF, 0.5))  # LABS, and how noisy, in lab_cv


def _normal(u: float) -> float:
    return float(ndtri(min(max(u, 1e-12), 1 - 1e-12)))
