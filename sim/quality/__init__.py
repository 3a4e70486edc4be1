"""Wear that shows in the parts: a serial line whose machines mark what they work, an inspection, rework and scrap.

The line itself runs as it always does; its completions say which part each machine has worked, since single machines
in series keep their order. Whoever marks a part, and how it spoils it, is recorded when the work is done.

Signals beside the line's, all steps. Of the inspecting station, with a breakpoint an inspection: "part" (its number,
from 0), "pass" (0 at its first inspection), "scratch", "dent" and "stain" (its severity by kind, 1 being the
tolerance), "defective" (0 or 1), "verdict" (1: rejected), and of each machine that marks parts "<machine> worked" (the
time, in hours, at which it did) and "<machine> wear" (of the tool that left the present marks). Of the "bench" its
"level" (parts there, the one in work included).

Events beside the line's: "defect" of a machine (it has spoiled a part; cause: the kind, value: the part), and of the
inspecting station "passed", "rework" and "scrap" (cause: the machine and kind that spoiled the part, as "m2/scratch",
nothing where it was a false alarm; value: the part).
"""

from sim.quality.flaws import BENCH, KINDS, SEEN, TIME, Bench, Flaw
from sim.quality.inspected import Inspected
from sim.quality.parts import Part, State

__all__ = ["BENCH", "KINDS", "SEEN", "TIME", "Bench", "Flaw", "Inspected", "Part", "State"]
