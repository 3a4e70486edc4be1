"""The lives of an asset, read from a trace: the labels of every twin of things that fail and are renewed."""

from __future__ import annotations

from sim.trace import Signal, Trace
from twins.episode import CENSORED, PLANNED, Spell


def spells(trace: Trace, asset: str, operating: Signal) -> list[Spell]:
    """From new or renewed to "failure", "planned" or the trace's end; *operating* is the asset's hour counter.

    Events of kind "failure" carry the mode as their cause; "renewal" begins a life. A life that failed is its own
    length without maintenance; of others that length is not known here.
    """
    found: list[Spell] = []
    start_h: float | None = 0.0
    events = [(e.time_h, e.kind, e.cause) for e in trace.events if e.entity == asset]
    for time_h, kind, cause in [*events, (trace.end_h, "end", CENSORED)]:
        if kind == "renewal":
            start_h = time_h
        elif start_h is not None and kind in ("failure", "planned", "end"):
            first, last = operating.at([start_h, time_h])
            spell = Spell(start_h, time_h, PLANNED if kind == "planned" else cause, float(last - first))
            if kind == "failure":
                spell = spell._replace(unmaintained_h=time_h - start_h, unmaintained_operating_h=spell.operating_h)
            found.append(spell)
            start_h = None
    return found
