"""The factory: routes, parallel machines, assembly, re-entrance, setups, shifts, operators, and energy.

Hour 0 is Monday, 0 o'clock. Signals of a trace, all steps. Of a machine (named as its station, or `mill.1`, `mill.2`
where that has several): "phase" (code of `Phase`), "wear", "speed", "parts" (operations finished) and "rate" as in
`sim.line`; "family" (index among the families, in alphabetical order from 1; 0 is none), "product" (in the machine,
counted from 1; 0 is none) and "power" in kW. Of a station its "level" (parts in the queue) and whether it is "open". Of
a product "released", "wip" (parts in the plant, the stock included), "finished" and "stock" (finished parts that wait
for an assembly), "priority", and "lead" (hours in the plant of the last part finished). Of an operator "at" (the
machine, counted from 1; 0 is none) and whether the shift has him or her "there".

Events: those of `sim.line` of machines ("failure", "planned", "inspection", "renewal", "action"); of a product "action"
(value the parts released, or the priority) and "lost" (a part from outside that found no room); of a machine "deadlock"
(cause the station to which it will never deliver).
"""

from sim.factory.calendar import Calendar, Shift
from sim.factory.config import (
    Action,
    Arrivals,
    Band,
    Branch,
    Changeover,
    Component,
    Conwip,
    Operation,
    Operator,
    Phase,
    Power,
    Product,
    Release,
    Saturated,
    SetPriority,
    Station,
    Tariff,
)
from sim.factory.factory import Factory
from sim.factory.state import Machine, Part, State

__all__ = [
    "Action",
    "Arrivals",
    "Band",
    "Branch",
    "Calendar",
    "Changeover",
    "Component",
    "Conwip",
    "Factory",
    "Machine",
    "Operation",
    "Operator",
    "Part",
    "Phase",
    "Power",
    "Product",
    "Release",
    "Saturated",
    "SetPriority",
    "Shift",
    "State",
    "Station",
    "Tariff",
]
