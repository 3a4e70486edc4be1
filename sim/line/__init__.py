"""The production line.

Signals of a trace, all steps: of a machine its "phase" (code of `Phase`), "wear" (running maximum as a fraction of the
threshold; 0 where there is no law of wear), "speed", "parts" (finished so far) and "rate" (the unit's own multiplier
of wear); of a buffer its "level". A supply adds the signals and events of its points (`sim.supply`).

Events: "failure" (cause "wear" or "sudden"), "planned" (the machine goes down for planned work; cause "age",
"threshold", "block", "inspection", "opportunity" or "order"), "inspection" (a look ends; value the wear seen),
"renewal" (that work ends: the unit is as good as new, or what the work leaves of it goes on; cause "repair" or
"maintenance"), "action" (cause the action's name, value the speed) and "lost" (of b0: an arrival that found no room).
"""

from sim.line.config import (
    Action,
    AgeReplacement,
    BlockReplacement,
    Hold,
    Inspection,
    Leaves,
    Material,
    Opportunistic,
    OrderMaintenance,
    Phase,
    Policy,
    RunToFailure,
    SetSpeed,
    Station,
    Sudden,
    WearThreshold,
)
from sim.line.line import Line
from sim.line.state import Machine, State

__all__ = [
    "Action",
    "AgeReplacement",
    "BlockReplacement",
    "Hold",
    "Inspection",
    "Leaves",
    "Line",
    "Machine",
    "Material",
    "Opportunistic",
    "OrderMaintenance",
    "Phase",
    "Policy",
    "RunToFailure",
    "SetSpeed",
    "State",
    "Station",
    "Sudden",
    "WearThreshold",
]
