"""What a supply chain is made of: stock points with their policies, customers and prices, and the actions on them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Protocol

from sim.errors import require
from sim.laws import Law


class Policy(Protocol):
    """When and how much to order, by the inventory position: on hand plus on order less backorders, in units."""

    @property
    def reorder_point(self) -> int:
        """The highest position at which it orders."""
        ...

    @property
    def order_up_to(self) -> int:
        """Where the position stands after the smallest order."""
        ...

    def order(self, position: int) -> int: ...


@dataclass(frozen=True)
class BaseStock:
    """S: whatever is taken is ordered again."""

    order_up_to: int

    def __post_init__(self):
        require(self.order_up_to >= 0, self, "order_up_to", "at least 0 units")

    @property
    def reorder_point(self) -> int:
        return self.order_up_to - 1

    def order(self, position: int) -> int:
        return max(self.order_up_to - position, 0)


@dataclass(frozen=True)
class MinMax:
    """(s, S): at s or below, order up to S."""

    reorder_point: int
    order_up_to: int

    def __post_init__(self):
        ok = self.reorder_point < self.order_up_to
        require(ok, self, "order_up_to", f"above the reorder point of {self.reorder_point}")

    def order(self, position: int) -> int:
        return self.order_up_to - position if position <= self.reorder_point else 0


@dataclass(frozen=True)
class FixedQuantity:
    """(s, Q), also (R, Q): at s or below, order as few lots of Q as lift the position above s."""

    reorder_point: int
    quantity: int

    def __post_init__(self):
        require(self.quantity >= 1, self, "quantity", "at least 1 unit")

    @property
    def order_up_to(self) -> int:
        return self.reorder_point + self.quantity

    def order(self, position: int) -> int:
        return max((self.reorder_point - position) // self.quantity + 1, 0) * self.quantity


@dataclass(frozen=True)
class Demand:
    """Customers come *between* hours apart, and each asks for *size* units, rounded up to whole ones."""

    between: Law
    size: Law | None = None  # None: one unit each

    def units(self, drawn: float) -> int:
        return max(math.ceil(drawn), 1)


@dataclass(frozen=True)
class Prices:
    """What a point pays and earns, in one currency."""

    holding_per_unit_h: float = 0.0  # of what is on hand
    backorder_per_unit_h: float = 0.0
    per_order: float = 0.0  # the fixed cost K
    per_unit: float = 0.0  # of what is received
    sale_per_unit: float = 0.0  # of what customers ask for and do not go without
    salvage_per_unit: float = 0.0  # of what a season leaves over

    def __post_init__(self):
        for field in fields(self):
            require(math.isfinite(getattr(self, field.name)), self, field.name, "finite")


@dataclass(frozen=True)
class Point:
    """A place where stock of one item lies: a warehouse, a shop, a store beside a machine.

    Each shipment to it takes its own lead time, so that shipments may overtake one another. A shipment that is late is
    known to be so when its lead time is over; what it has lost is known when it arrives.
    """

    name: str
    policy: Policy
    supplier: str | None = None  # another point; None is outside, which never runs out
    lead: Law | None = None  # from shipping to arrival; None is no time at all
    demand: Demand | None = None
    lost_sales: bool = False  # a customer who finds too little takes it and goes; otherwise the rest is backordered
    review_h: float | None = None  # the policy looks at 0, review_h, 2 · review_h …; None: at every change
    perishable: bool = False  # what is left at a review is taken away: each review begins a season
    late: float = 0.0  # probability that a shipment is not there when its lead time is over
    delay: Law | None = None  # how long it then still takes
    loss: float = 0.0  # probability of each unit to be missing in its shipment
    initial: int | None = None  # on hand at 0 h; None is the policy's order_up_to, or 0 where it is perishable
    prices: Prices = Prices()

    def __post_init__(self):
        require(bool(self.name) and "/" not in self.name, self, "name", "some text without a slash")
        ok = self.review_h is None or 0 < self.review_h < math.inf
        require(ok, self, "review_h", "None, or above 0 and finite")
        require(not self.perishable or self.review_h is not None, self, "perishable", "false without a review_h")
        require(0 <= self.late <= 1, self, "late", "a probability")
        require(0 <= self.loss < 1, self, "loss", "at least 0 and below 1")
        for field in ("late", "loss"):
            require(not getattr(self, field) or self.lead is not None, self, field, "0 where there is no lead time")
        require(
            (self.delay is not None) == (self.late > 0), self, "delay", "given where late is above 0, and only there"
        )
        require(self.initial is None or self.initial >= 0, self, "initial", "None or at least 0 units")

    @property
    def first_on_hand(self) -> int:
        if self.initial is not None:
            return self.initial
        return 0 if self.perishable else max(self.policy.order_up_to, 0)


@dataclass(frozen=True)
class PlaceOrder:
    """Action: a point orders *units* from its supplier, now, whatever its policy says."""

    point: str
    units: int

    def __post_init__(self):
        require(self.units >= 1, self, "units", "at least 1")


@dataclass(frozen=True)
class SetPolicy:
    """Action: a point orders by *policy* from now on, a held one as well."""

    point: str
    policy: Policy


@dataclass(frozen=True)
class Hold:
    """Action: a point's policy orders nothing until another is set."""

    point: str


Action = PlaceOrder | SetPolicy | Hold
