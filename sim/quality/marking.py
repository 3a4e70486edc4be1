"""Marks on many parts at once, on one that is worked anew, and what an inspection puts down of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sim.laws import UNIT, Exponential
from sim.quality.parts import FIELDS, Part, State, column, listed, table
from sim.trace import Event, Trace

if TYPE_CHECKING:
    from sim.quality.inspected import Inspected

UNIT_EXPONENTIAL = Exponential(1.0)


def marked(world: Inspected, s: State, trace: Trace, events: list[Event]) -> tuple[list[float], np.ndarray]:
    """Mark the parts that each machine has worked in *trace*; returns those that left the line, and when."""
    time_h, parts_NxC = np.empty(0), table([], len(world.flaws))
    for i, machine in enumerate(world.line.machines):
        made = trace[machine, "parts"]
        time_h = made.time_h[1:]
        if i:
            waiting = np.concatenate((table(s.after[i - 1], len(world.flaws)), parts_NxC))
            parts_NxC, s.after[i - 1] = waiting[: len(time_h)], listed(waiting[len(time_h) :])
        else:
            parts_NxC = np.zeros((len(time_h), parts_NxC.shape[1]))
            parts_NxC[:, 0] = made.value[1:] - 1
        wear = trace[machine, "wear"].at(time_h)
        severity, spoiled, worked, worn = (column(parts_NxC, name) for name in FIELDS)
        mine = [f for f, flaw in enumerate(world.flaws) if flaw.machine == machine]
        for f in mine:
            flaw = world.flaws[f]
            severity[:, f] = flaw.mean(wear) * s.streams[flaw.name].take(UNIT_EXPONENTIAL, len(wear))
            chance = s.streams[f"{flaw.name}/spoils"].take(UNIT, len(wear))
            spoiled[:, f] = chance < flaw.spoils(severity[:, f])
            worked[:, f], worn[:, f] = time_h, wear
        for n, k in np.argwhere(spoiled[:, mine]).tolist():
            kind = world.flaws[mine[k]].kind
            events.append(Event(float(time_h[n]), machine, "defect", kind, float(parts_NxC[n, 0])))
    return time_h.tolist(), parts_NxC


def reworked(world: Inspected, s: State, part: Part) -> Part:
    """The part with new marks of all flaws, left by tools at the bench's wear."""
    wear = world.bench.wear if world.bench else 0.0
    severity, spoiled = [], []
    for flaw in world.flaws:
        x = (flaw.base + flaw.gain * wear**flaw.power) * s.streams[f"bench/{flaw.name}"].draw(UNIT_EXPONENTIAL)
        severity.append(x)
        chance = s.streams[f"bench/{flaw.name}/spoils"].draw(UNIT)
        spoiled.append(chance < -math.expm1(-(x**flaw.sharpness)))  # as `spoils`, without arrays
    worn = (wear,) * len(world.flaws)
    return part._replace(passes=part.passes + 1, severity=tuple(severity), spoiled=tuple(spoiled), wear=worn)


def put_down(world: Inspected, parts_NxC: np.ndarray, looks: Sequence[tuple[float, int | Part, bool]]) -> np.ndarray:
    """What each inspection puts down, a row each, with its time first."""
    again = table([seen for _, seen, _ in looks if isinstance(seen, Part)], len(world.flaws))
    reworked, at = itertools.count(len(parts_NxC)), []
    for _, seen, _ in looks:
        at.append(seen if isinstance(seen, int) else next(reworked))
    seen_NxC = np.concatenate((parts_NxC, again))[np.array(at, np.int64)]
    kinds, first = world.layout
    severity, spoiled, worked, wear = (column(seen_NxC, name) for name in FIELDS)
    by_kind = [sum((severity[:, f] for f in mine), np.zeros(len(at))) for mine in kinds]
    time_h, _, rejected = zip(*looks, strict=True) if looks else ((), (), ())
    about = [column[:, f] for f in first for column in (worked, wear)]
    told = (time_h, *seen_NxC[:, :2].T, *by_kind, spoiled.any(1), rejected, *severity.T, *about)
    return np.stack(np.broadcast_arrays(*(np.asarray(column, np.float64) for column in told)), axis=1)
