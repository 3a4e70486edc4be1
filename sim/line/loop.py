"""The compiled loop of `sim.line.compiled`: its machines as it sees them, and the functions of `process.run` in one."""

from __future__ import annotations

import math

import numpy as np

from sim.compiled import compiled
from sim.line.config import Phase
from sim.line.state import DONE, NONE, RAW

_STARVED, _WORKING, _BLOCKED, _WAITING, _REPAIRING, _MAINTAINING, *_ = map(int, Phase)
KINDS = ("cycle", "wear", "rate", "sudden", "repair", "maintenance")  # of draws; each is a stream of each machine
CYCLE, WEAR, RATE, SUDDEN, REPAIR, MAINTENANCE = range(len(KINDS))
EVENTS = (
    *(("failure", "wear"), ("failure", "sudden"), ("planned", "threshold"), ("planned", "age")),
    *(("renewal", "repair"), ("renewal", "maintenance")),
)
_BY_WEAR, _BY_CHANCE, _BY_THRESHOLD, _BY_AGE, _RENEWED = range(5)

# What of a `state.Machine` changes in the loop, under its name there, and what the loop needs beside it.
FLOATS = ("since_h", "until_h", "clock_h", "next_op", "level_op", "sudden_op", "age_op", "entered_op", "renewed_op")
FLOATS += ("renewed_h", "wear", "next_wear", "wear_h", "rate", "pace", "cycle_h", "part_h", "left_h", "finished_h")
INTS = ("phase", "planned", "holds", "parts")
MACHINE = np.dtype(
    [(name, np.float64) for name in (*FLOATS, "speed", "age_h", "threshold", "strain", "rungs", "room", "changed_h")]
    + [(name, np.int64) for name in (*INTS, "level", "waits", "renewals")]
    + [("hours", np.float64, len(Phase)), *((name, np.int64, len(KINDS)) for name in ("begin", "at", "end"))],
    align=True,
)
# What is recorded of each machine, and the fields that open its record; the level is of the buffer before it.
OPENS = (
    *(("since_h", "phase"), ("wear_h", "wear"), ("renewed_h", "rate")),
    *(("finished_h", "parts"), ("changed_h", "level")),
)
PHASE, WEARS, RATES, PARTS, LEVEL = range(len(OPENS))


@compiled()
def run(machines, crew, queue, draws, time_h, value, places, event_h, event, until_h):
    """Process every event before *until_h*, as the functions of `process.run` do; False where the draws ran out."""
    while True:
        now, i = np.inf, 0
        for k in range(len(machines)):  # of equals the lowest rank
            if machines[k].until_h < now:
                now, i = machines[k].until_h, k
        if now >= until_h or crew[3]:
            return crew[3] == 0
        m, tended, delivers, begins, takes = machines[i], -1, -1, -1, -1
        if m.phase == _WORKING and m.part_h <= now:  # a part is finished
            m.parts += 1
            m.finished_h = now
            _put(time_h, value, places, PARTS, i, now, m.parts)
            delivers = i
        elif m.phase == _WORKING:  # an operating clock has run out
            which = _BY_AGE
            if m.next_op == m.level_op:
                m.wear, m.wear_h = m.next_wear, now
                _put(time_h, value, places, WEARS, i, now, m.wear)
                which = _BY_WEAR
                if m.wear < 1:
                    _wear_on(m, m.level_op, _draw(m, crew, draws, WEAR))
                    which = _BY_THRESHOLD
                    if m.wear < m.threshold:
                        m.next_op = min(m.level_op, m.sudden_op, m.age_op)
                        m.clock_h = max(now, m.since_h + (m.next_op - m.hours[_WORKING]))
                        m.until_h = min(m.part_h, m.clock_h)
                        continue
            elif m.next_op == m.sudden_op:
                which = _BY_CHANCE
            _tell(crew, event_h, event, i, now, which)
            m.planned, m.left_h = which in (_BY_THRESHOLD, _BY_AGE), m.part_h - now
            if crew[0] < crew[1]:
                tended = i
            else:
                _enter(m, time_h, value, places, i, _WAITING, now)
                m.until_h = np.inf
                n = crew[2]
                while n and (machines[queue[n - 1]].since_h, queue[n - 1]) > (now, i):
                    queue[n] = queue[n - 1]
                    n -= 1
                queue[n] = i
                crew[2] += 1
        else:  # repair or planned work ends
            worn, op = m.wear, m.hours[_WORKING]
            m.renewed_op, m.renewed_h = op, now
            m.renewals += 1
            if m.rungs:
                m.rate = _draw(m, crew, draws, RATE) if m.end[RATE] else 1.0
                m.pace, m.wear = m.strain * m.rate, 0.0
                _wear_on(m, op, _draw(m, crew, draws, WEAR))
            if m.end[SUDDEN]:
                m.sudden_op = op + _draw(m, crew, draws, SUDDEN)
            m.age_op = op + m.age_h
            m.next_op = min(m.level_op, m.sudden_op, m.age_op)
            if m.wear != worn:
                m.wear_h = now
                _put(time_h, value, places, WEARS, i, now, m.wear)
            _put(time_h, value, places, RATES, i, now, m.rate)
            _tell(crew, event_h, event, i, now, _RENEWED + m.planned)
            crew[0] -= 1
            if crew[2]:
                tended = queue[0]
                crew[2] -= 1
                for n in range(crew[2]):
                    queue[n] = queue[n + 1]
            if m.holds == RAW:
                m.part_h = now + m.left_h
                _enter(m, time_h, value, places, i, _WORKING, now)
                _work(m, now)
                m.until_h = min(m.part_h, m.clock_h)
            elif m.holds == DONE:
                delivers = i
            else:
                takes = i
        if tended >= 0:  # a member of the crew begins to work on a machine
            m = machines[tended]
            crew[0] += 1
            _enter(m, time_h, value, places, tended, _MAINTAINING if m.planned else _REPAIRING, now)
            m.until_h = now + _draw(m, crew, draws, MAINTENANCE if m.planned else REPAIR)
        if delivers >= 0:  # hand the part on, if there is room, and take another
            m, k, takes = machines[delivers], delivers + 1, delivers
            if k < len(machines):
                after = machines[k]
                if after.level == 0 and after.phase == _STARVED:
                    begins = k
                elif after.level >= after.room:
                    m.holds, m.until_h, after.waits, takes = DONE, np.inf, 1, -1
                    _enter(m, time_h, value, places, delivers, _BLOCKED, now)
                else:
                    after.level += 1
                    after.changed_h = now
                    _put(time_h, value, places, LEVEL, k, now, after.level)
        while begins >= 0 or takes >= 0:  # and so on upstream
            if begins >= 0:
                k, begins = begins, -1
                m = machines[k]
            else:
                k, takes = takes, -1
                m = machines[k]
                if k and m.waits:
                    m.waits, takes = 0, k - 1
                elif k and m.level:
                    m.level -= 1
                    m.changed_h = now
                    _put(time_h, value, places, LEVEL, k, now, m.level)
                elif k:
                    m.holds, m.until_h = NONE, np.inf
                    if m.phase != _STARVED:
                        _enter(m, time_h, value, places, k, _STARVED, now)
                    continue
            m.cycle_h = _draw(m, crew, draws, CYCLE)
            m.part_h = now + m.cycle_h / m.speed
            if m.phase != _WORKING:
                m.holds = RAW
                _enter(m, time_h, value, places, k, _WORKING, now)
                _work(m, now)
            m.until_h = min(m.part_h, m.clock_h)


@compiled(inline="always")
def _put(time_h, value, places, what, i, now, x):
    n = places[what, i]
    time_h[n], value[n] = now, x
    places[what, i] = n + 1


@compiled(inline="always")
def _enter(m, time_h, value, places, i, phase, now):
    m.hours[m.phase] += now - m.since_h
    m.phase, m.since_h = phase, now
    _put(time_h, value, places, PHASE, i, now, phase)


@compiled(inline="always")
def _tell(crew, event_h, event, i, now, which):
    n = crew[4]
    event_h[n], event[n, 0], event[n, 1] = now, i, which
    crew[4] = n + 1


@compiled()
def _draw(m, crew, draws, kind):
    at = m.at[kind]
    if at == m.end[kind]:
        crew[3] = 1
        return 1.0
    m.at[kind] = at + 1
    return draws[at]


@compiled()
def _work(m, now):
    """The operating clocks run again."""
    left_h = m.next_op - m.hours[_WORKING]
    m.clock_h = now + left_h if left_h > 0 else now


@compiled()
def _wear_on(m, op, draw):
    m.entered_op, m.level_op = op, op + draw / m.pace
    m.next_wear = (math.floor(m.wear * m.rungs + 1e-9) + 1) / m.rungs
