"""Supply chains: stock points that order from one another or from outside, and customers who take from them.

Signals of a trace, all steps, of each point, in units: "on_hand", "on_order" (ordered by the point and not received),
"backorders" (asked of it and not yet given, by customers and by points that it supplies), "demanded" by customers and
"received" so far, and the policy's "reorder_point" and "order_up_to".

Events, value in units: "demand" (of customers), "order", "delivery", "late" (a shipment was not there when its lead
time was over), "missing" (units that a shipment had lost), "lost" (sales), "salvage" (what a season left over),
"failure" of cause "stockout" (the shelf is empty) and "renewal" (it no longer is), "action" (cause the action's name).
"""

from sim.supply.config import (
    Action,
    BaseStock,
    Demand,
    FixedQuantity,
    Hold,
    MinMax,
    PlaceOrder,
    Point,
    Policy,
    Prices,
    SetPolicy,
)
from sim.supply.costs import Costs, costs
from sim.supply.state import State, Stock
from sim.supply.supply import Supply

__all__ = [
    "Action",
    "BaseStock",
    "Costs",
    "Demand",
    "FixedQuantity",
    "Hold",
    "MinMax",
    "PlaceOrder",
    "Point",
    "Policy",
    "Prices",
    "SetPolicy",
    "State",
    "Stock",
    "Supply",
    "costs",
]
