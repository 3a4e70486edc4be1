"""A low-voltage feeder: the homes of a street behind one ageing transformer, its protection, a battery, and theft.

Signals beside those of the homes. Of "transformer": "load" (mean of the interval that has just ended, in parts of what
is rated; step), "oil" and "hot_spot" (°C at the last knot, step), "aged" (hours of life that are used up, linear),
"up" (step) and "rated" (kVA, step). Of "feeder": "live" (step). Of "battery": "power" (kW, above 0 while it charges,
step) and "held" (kWh, linear). Of each household "theft" (share of its use that passes by the meter, step).

Events beside those of the homes: of "transformer" "failure" (cause "ageing" or "sudden"; value: its rating, kVA),
"planned" (it is taken out by hand) and "renewal" (cause "failure" or "planned"; value: the new one's rating); of
"feeder" "failure" (it goes dark; cause "overload", "ageing", "sudden" or "planned"; value: households) and "renewal"
(value: kWh that were not supplied, less what was not fed in); of a household "theft" (value: share) and "honest"; of
"feeder" "action" (cause: the action's name).
"""

from sim.feeder.config import Cable, Protection, ReplaceTransformer, SetBattery, Theft, Windings
from sim.feeder.feeder import Feeder
from sim.feeder.names import BATTERY, FEEDER, TRANSFORMER
from sim.feeder.state import State, Unit

__all__ = [
    "BATTERY",
    "FEEDER",
    "TRANSFORMER",
    "Cable",
    "Feeder",
    "Protection",
    "ReplaceTransformer",
    "SetBattery",
    "State",
    "Theft",
    "Unit",
    "Windings",
]
