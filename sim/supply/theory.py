"""What supply chains must reproduce, as functions of their parameters; all of it exact unless its docstring says not.

A law of whole units is an array: entry k is the probability of k units. The net inventory of a point whose lead time is
L, on hand less backorders at t + L, is its position at t less the demand in (t, t + L] (Scarf 1960); so its levels come
from the law of its position and that of its lead-time demand.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from sim.laws import Law

TAIL = 1e-13  # probability that may be left beyond the end of an array


class Levels(NamedTuple):
    """Means over time, in units, and the share of time in which the shelf is not empty.

    That share is also the fill rate of single-unit demand, because Poisson arrivals see time averages (Wolff 1982).
    """

    on_hand: float
    backorders: float
    ready: float


def size_pmf(size: Law | None) -> np.ndarray:
    """The law of a customer's units: of ⌈X⌉ for X of law *size*, or one unit."""
    if size is None:
        return np.array([0.0, 1.0])
    largest = max(math.ceil(float(size.isf(TAIL))), 1)
    beyond = np.asarray(size.sf(np.arange(largest + 1.0)))
    beyond[-1] = 0.0
    return np.concatenate(([0.0], -np.diff(np.concatenate(([1.0], beyond[1:])))))


def demand_pmf(customers: float, size: Law | None = None) -> np.ndarray:
    """The law of the demand of a Poisson number of customers: compound Poisson, by Panjer's recursion (1981)."""
    one = size_pmf(size)
    units = np.arange(len(one))
    mean, variance = customers * (units @ one), customers * (units**2 @ one)
    length = int(mean + 12 * math.sqrt(variance) + 3 * len(one)) + 25
    if size is None:
        return stats.poisson.pmf(np.arange(length), customers)
    pmf = np.zeros(length)
    pmf[0] = math.exp(-customers)
    weighted = customers * units * one
    for n in range(1, length):
        k = min(n, len(one) - 1)
        pmf[n] = weighted[1 : k + 1] @ pmf[n - k : n][::-1] / n
    return pmf


def review_pmf(customers_per_h: float, lead_h: float, review_h: float, size: Law | None = None) -> np.ndarray:
    """The law of the demand over a span uniform on [lead_h, lead_h + review_h].

    At a random moment under periodic review, that is what has gone since the last review whose orders are all here.
    """
    node, weight = np.polynomial.legendre.leggauss(32)
    laws = [demand_pmf(customers_per_h * (lead_h + review_h * (x + 1) / 2), size) for x in node]
    return weight / 2 @ np.array([np.pad(pmf, (0, len(laws[-1]) - len(pmf))) for pmf in laws])


def visits(pmf: np.ndarray, count: int) -> np.ndarray:
    """How often the sum of draws of *pmf* is expected to stand at 0 … count−1: its renewal function's steps."""
    pmf = np.pad(pmf, (0, max(count - len(pmf), 0)))
    found = np.zeros(count)
    for n in range(count):
        found[n] = ((n == 0) + pmf[1 : n + 1] @ found[:n][::-1]) / (1 - pmf[0])
    return found


def levels(highest: int, position: np.ndarray, lead_demand: np.ndarray) -> Levels:
    """Levels of a point; entry j of *position* is the probability that the position is *highest* − j."""
    net = np.convolve(position, lead_demand)
    units = highest - np.arange(len(net))
    on_hand, backorders, ready = (float(net @ of) for of in (np.maximum(units, 0), np.maximum(-units, 0), units > 0))
    return Levels(on_hand, backorders, ready)


def min_max_position(reorder_point: int, order_up_to: int, size: np.ndarray) -> np.ndarray:
    """The law of the position under continuous (s, S): entry j is S − j (Zipkin 2000, sec. 6.5)."""
    found = visits(size, order_up_to - reorder_point)
    return found / found.sum()


def fixed_quantity_position(quantity: int) -> np.ndarray:
    """Uniform on s+1 … s+Q, whatever the sizes, if they have no divisor in common (Hadley & Whitin 1963, sec. 4.7)."""
    return np.full(quantity, 1 / quantity)


def min_max_cost(
    reorder_point: int,
    order_up_to: int,
    demand: np.ndarray,
    per_order: float,
    holding: float,
    backorder: float,
) -> float:
    """Cost per period of (s, S) in discrete time: [K + Σ m(j) G(S − j)] / Σ m(j), j < S − s (Zheng & Federgruen 1991).

    The paper's convention: each period begins with a review, an order is there at once, demand of law *demand* comes,
    and *holding* and *backorder* are charged on what the period ends with. An order is placed at s or below.
    """
    weight = visits(demand, order_up_to - reorder_point)
    charged = period_cost(order_up_to - np.arange(len(weight)), demand, holding, backorder)
    return float((per_order + weight @ charged) / weight.sum())


def period_cost(position: np.ndarray, demand: np.ndarray, holding: float, backorder: float) -> np.ndarray:
    """G(y) = E[h (y − D)⁺ + b (D − y)⁺], of each position y after ordering."""
    net = position[:, None] - np.arange(len(demand))
    return (holding * np.maximum(net, 0) + backorder * np.maximum(-net, 0)) @ demand


class BestMinMax(NamedTuple):
    reorder_point: int
    order_up_to: int
    cost: float


def best_min_max(demand: np.ndarray, per_order: float, holding: float, backorder: float) -> BestMinMax:
    """The (s, S) of least `min_max_cost`, by looking at every pair that can be optimal.

    At an optimum of cost c, G(S) ≤ c and G(s + 1) ≤ c (Zheng & Federgruen 1991, lemmas 1 and 2), and G is convex: so
    both lie where G is at most the cost of any policy, S at its minimum or above, s below it.
    """
    y = np.arange(-int(per_order / backorder) - 2, len(demand) + int(per_order / holding) + 2)
    cost = period_cost(y, demand, holding, backorder)
    lowest = int(cost.argmin())
    bound = (per_order + cost[lowest] * (m := visits(demand, 1)[0])) / m
    near = np.flatnonzero(cost <= bound)
    weight = visits(demand, near[-1] - near[0] + 1)
    best = BestMinMax(0, 0, math.inf)
    for top in range(lowest, near[-1] + 1):
        j = np.arange(top - near[0] + 1)  # S − s − 1
        each = (per_order + np.cumsum(weight[j] * cost[top - j])) / np.cumsum(weight[j])
        each = np.where(top - j <= lowest, each, math.inf)
        if each.min() < best.cost:
            at = int(each.argmin())
            best = BestMinMax(int(y[top]) - at - 1, int(y[top]), float(each[at]))
    return best


def newsvendor(demand: np.ndarray, sale: float, unit: float, salvage: float) -> int:
    """Q* = F⁻¹((p − c)/(p − s)), the smallest whole Q with F(Q) at or above it (Arrow, Harris & Marschak 1951)."""
    return int(np.searchsorted(np.cumsum(demand), (sale - unit) / (sale - salvage)))


def newsvendor_profit(quantity: int, demand: np.ndarray, sale: float, unit: float, salvage: float) -> float:
    """Expected profit of a season: p E min(Q, D) + s E(Q − D)⁺ − c Q."""
    sold = demand @ np.minimum(np.arange(len(demand)), quantity)
    return float(sale * sold + salvage * (quantity - sold) - unit * quantity)


def lost_share(stock: int, load: float) -> float:
    """Erlang's B: the share of Poisson single-unit demand that base stock S with lost sales turns away.

    *load* is the demand in a mean lead time; the law of the lead time does not matter (Karush 1957).
    """
    blocked = 1.0
    for k in range(1, stock + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked


class Lot(NamedTuple):
    quantity: float
    cost_per_h: float


def eoq(demand_per_h: float, per_order: float, holding_per_unit_h: float) -> Lot:
    """The economic order quantity √(2Kλ/h) of stock that flows, and its cost √(2Kλh) (Harris 1913)."""
    root = math.sqrt(2 * per_order * demand_per_h / holding_per_unit_h)
    return Lot(root, root * holding_per_unit_h)


def eoq_units(demand_per_h: float, per_order: float, holding_per_unit_h: float) -> Lot:
    """The same of stock that goes unit by unit: Kλ/Q + h(Q + 1)/2, and the whole Q of least cost."""

    def cost(quantity: float) -> float:
        return per_order * demand_per_h / quantity + holding_per_unit_h * (quantity + 1) / 2

    root = eoq(demand_per_h, per_order, holding_per_unit_h).quantity
    best = min((q for q in (math.floor(root), math.ceil(root)) if q), key=cost)
    return Lot(best, cost(best))


def on_order_pmf(customers: float, share: float = 1.0, upstream: np.ndarray | None = None) -> np.ndarray:
    """The law of what a base-stock point has on order under Poisson demand, *customers* in its lead time.

    With a supplier outside it is Poisson, whatever the law of the lead time (Palm 1938). Else *upstream* is the law of
    its supplier's backorders and *share* the point's part of the supplier's demand: served first come first, the
    point's part of them is binomial given their number, and the demand of a deterministic lead time adds to it
    (Graves 1985). With a random lead time from a supplier that may be short this is an approximation.
    """
    own = demand_pmf(customers)
    if upstream is None:
        return own
    waiting = np.arange(len(upstream))
    return np.convolve(upstream @ stats.binom.pmf(waiting[None, :], waiting[:, None], share), own)


def backorder_pmf(stock: int, on_order: np.ndarray) -> np.ndarray:
    """The law of the backorders of base stock *stock*: what is on order beyond it."""
    return np.concatenate(([on_order[: stock + 1].sum()], on_order[stock + 1 :]))


def metric_pmf(customers: float, customers_per_h: float, upstream_delay_h: float) -> np.ndarray:
    """METRIC's approximation of `on_order_pmf`: Poisson, the supplier's mean delay added to the lead time.

    The mean is right (Little), the law too narrow, for delays of successive orders hang together (Sherbrooke 1968).
    """
    return demand_pmf(customers + customers_per_h * upstream_delay_h)


def mean(pmf: np.ndarray) -> float:
    return float(np.arange(len(pmf)) @ pmf)
