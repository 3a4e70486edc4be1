"""Distribution grids: sections and transformers that fail, protection, switching, ties, crews and storms.

Signals of a trace, all steps: "up" of each section and transformer ("LP1.transformer"), "live" of each section (under
voltage at both ends; a tie, while it is closed), "fed" of each load point, of "grid" the "customers_out" and the faults
"waiting" for a crew, of "weather" whether there is a "storm".

Events: of an element "failure" (cause "chance" or "storm"; value: customers that it cut off), "isolated" (value:
customers that are fed again), "planned" (it is taken out to be replaced) and "renewal" (cause "repair" or
"replacement"; value: kWh that were not supplied because of it); of a load point "failure" (it is no longer fed; cause:
a "section", a "transformer", or a "switch" opened by hand; value: customers) and "renewal" (cause: the element; value:
kWh not supplied); of "weather" "storm" and "calm"; "action" (cause: the action's name).
"""

from sim.grid.cases import case33bw, rbts_bus2
from sim.grid.config import Action, Replace, Storms, SwitchSection
from sim.grid.grid import Grid
from sim.grid.network import LoadPoint, Network, Section, Transformer
from sim.grid.reliability import Indices, Reliability, indices, measured
from sim.grid.state import State

__all__ = [
    "Action",
    "Grid",
    "Indices",
    "LoadPoint",
    "Network",
    "Reliability",
    "Replace",
    "Section",
    "State",
    "Storms",
    "SwitchSection",
    "Transformer",
    "case33bw",
    "indices",
    "measured",
    "rbts_bus2",
]
