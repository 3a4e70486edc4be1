"""The cheapest plan of a battery for known prices and loads: a linear programme, and integers where it must be.

A battery that charged while it discharged would burn energy, which pays only where a price is below zero. There a
binary keeps it from both; elsewhere the linear programme does by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from sim.errors import InputError
from sim.homes.battery import Battery, Operated, operate


@dataclass(frozen=True, eq=False)
class Terms:
    """What N intervals of *step_h* hours cost. `terms[a:b]` are those of some of them."""

    step_h: float
    buy: np.ndarray  # EUR/kWh, float64[N]
    sell: np.ndarray  # EUR/kWh of what is fed in, never above *buy*
    day: np.ndarray  # the day of each, int[N], not decreasing
    peak_eur_per_kw: float = 0.0  # of each day's highest mean import of an interval
    worth_eur_per_kwh: float = 0.0  # of what is left in the battery at the end

    @staticmethod
    def of(step_h: float, buy: Any, sell: Any = 0.0, day: Any = 0, **more: float) -> Terms:
        """From numbers or arrays of one length; raises InputError where selling pays more than buying costs."""
        buy = np.asarray(buy, np.float64)
        sell, day = np.broadcast_to(np.asarray(sell, np.float64), buy.shape), np.broadcast_to(day, buy.shape)
        if (sell > buy + 1e-12).any():
            raise InputError("plan: a price of selling lies above that of buying; no plan is the best")
        return Terms(step_h, buy, sell, day, **more)

    def __len__(self) -> int:
        return len(self.buy)

    def __getitem__(self, part: slice) -> Terms:
        return replace(self, buy=self.buy[part], sell=self.sell[part], day=self.day[part])

    def bill_eur(self, net_kwh: np.ndarray, left_kwh: float = 0.0, peak_kw: float = 0.0) -> float:
        """Of the grid's energy in each interval, below 0 where fed in; *peak_kw* has been reached on the first day."""
        energy = float(np.sum(np.where(net_kwh > 0, self.buy, self.sell) * net_kwh))
        peaks = sum(max(float(x) - before, 0.0) for x, before in zip(*self._peaks(net_kwh, peak_kw), strict=True))
        return energy + self.peak_eur_per_kw * peaks - self.worth_eur_per_kwh * left_kwh

    def _peaks(self, net_kwh: np.ndarray, peak_kw: float) -> tuple[np.ndarray, np.ndarray]:
        """The highest import of each day, and what of it had been reached before."""
        days, at = np.unique(self.day, return_inverse=True)
        highest, before = np.zeros(len(days)), np.zeros(len(days))
        np.maximum.at(highest, at, np.asarray(net_kwh) / self.step_h)
        before[:1] = peak_kw
        return highest, before


HELD_KW = 1e-6  # nearer than this the grid's power is held


class Planned(NamedTuple):
    """Orders for each interval (kW, above 0 to charge), what the grid is to see, and the bill of the plan in EUR."""

    order_kw: np.ndarray
    net_kw: np.ndarray
    peak_kw: np.ndarray  # the highest import that is meant for the interval's day; inf where peaks cost nothing
    cost_eur: float

    def order(self, k: int, load_kw: float) -> float:
        """The order in interval *k*, now that the load is seen.

        Where the grid was to see nothing, or the day's peak, the battery holds that; else it does as planned. No
        import rises above the day's peak while the battery can help it.
        """
        order, net, peak = float(self.order_kw[k]), float(self.net_kw[k]), float(self.peak_kw[k])
        if abs(net) < HELD_KW:
            order = -load_kw
        elif abs(net - peak) < HELD_KW:
            order = max(order, 0.0)
        return min(order, peak - load_kw)


def plan(
    battery: Battery, held_kwh: float, load_kw: np.ndarray, terms: Terms, end_kwh: float = 0.0, peak_kw: float = 0.0
) -> Planned:
    """The cheapest orders for a net load of *load_kw*, float64[N], ending with *end_kwh* or more.

    *peak_kw* has been imported on the first day already. Raises InputError where the end cannot be reached.
    """
    load_kw, n = np.asarray(load_kw, np.float64), len(terms)
    step_h, leak = terms.step_h, battery.loss_per_h
    keeps = float(np.exp(-leak * step_h))
    gains = -np.expm1(-leak * step_h) / leak if leak else step_h
    at = np.flatnonzero(np.minimum(terms.buy, terms.sell) < 0)  # where burning would pay
    days, of_day = np.unique(terms.day, return_inverse=True)
    m, d = len(at), len(days) if terms.peak_eur_per_kw else 0
    # columns: charge, discharge, energy after, bought, sold (n each), a peak a day (d), and m binaries: may it charge
    eye, none, last = sparse.identity(n, format="csr"), sparse.csr_matrix((n, d + m)), sparse.eye(n, k=-1, format="csr")
    in_eff, out_eff = battery.charge_efficiency, battery.discharge_efficiency
    stored = sparse.hstack([-gains * in_eff * eye, gains / out_eff * eye, eye - keeps * last, 0 * eye, 0 * eye, none])
    flows = sparse.hstack([eye, -eye, 0 * eye, -eye, eye, none])
    start = np.zeros(n)
    start[0] = keeps * held_kwh
    bound: Any = LinearConstraint  # whose stubs know single numbers alone
    constraints = [bound(stored, start, start), bound(flows, -load_kw, -load_kw)]
    if d:
        on = sparse.csr_matrix((np.ones(n), (np.arange(n), of_day)), shape=(n, d))
        below = sparse.hstack([0 * eye, 0 * eye, 0 * eye, eye, 0 * eye, -on, sparse.csr_matrix((n, m))])
        constraints.append(bound(below, -np.inf, 0.0))
    if m:
        pick = sparse.csr_matrix((np.ones(m), (np.arange(m), at)), shape=(m, n))
        zero, one = sparse.csr_matrix((m, n)), sparse.identity(m, format="csr")
        rest = (zero, zero, zero, sparse.csr_matrix((m, d)))
        charge = sparse.hstack([pick, zero, *rest, -battery.charge_kw * one])
        discharge = sparse.hstack([zero, pick, *rest, battery.discharge_kw * one])
        constraints += [bound(charge, -np.inf, 0.0), bound(discharge, -np.inf, battery.discharge_kw)]
    least, reached = np.zeros(n), np.zeros(d)
    least[-1] = end_kwh
    reached[:1] = peak_kw
    low = np.concatenate([np.zeros(2 * n), least, np.zeros(2 * n), reached, np.zeros(m)])
    most = [battery.charge_kw, battery.discharge_kw, battery.capacity_kwh, np.inf, np.inf]
    high = np.concatenate([*(np.full(n, x) for x in most), np.full(d, np.inf), np.ones(m)])
    left = np.zeros(n)
    left[-1] = -terms.worth_eur_per_kwh
    prices = (terms.buy * step_h, -terms.sell * step_h, np.full(d, terms.peak_eur_per_kw))
    cost = np.concatenate([np.zeros(2 * n), left, *prices, np.zeros(m)])
    whole = np.concatenate([np.zeros(5 * n + d), np.ones(m)])
    box: Any = Bounds
    found = milp(cost, constraints=constraints, bounds=box(low, high), integrality=whole)
    if found.x is None:
        raise InputError(f"plan: from {held_kwh:g} kWh an end of {end_kwh:g} kWh cannot be reached ({found.message})")
    charge, discharge, _, bought, sold = found.x[: 5 * n].reshape(5, n)
    peaks = found.x[5 * n : 5 * n + d][of_day] if d else np.full(n, np.inf)
    cost_eur = float(found.fun) - terms.peak_eur_per_kw * (peak_kw if d else 0.0)
    return Planned(charge - discharge, bought - sold, peaks, cost_eur)


def carried_out(battery: Battery, held_kwh: float, step_h: float, order_kw: np.ndarray) -> Operated:
    return operate(battery, held_kwh, np.arange(len(order_kw) + 1) * step_h, order_kw)


def closed(cost_eur: float, idle_eur: float, best_eur: float) -> float:
    """The share of the gap between doing nothing and perfect foresight that a controller closes; NaN without a gap."""
    gap = idle_eur - best_eur
    return (idle_eur - cost_eur) / gap if abs(gap) > 1e-9 else float("nan")


def rolling(
    battery: Battery, held_kwh: float, load_kw: np.ndarray, foretold_kw: np.ndarray, terms: Terms, every: int
) -> Operated:
    """Planned anew every *every* intervals, by what is foretold then: float64[plans, ahead], a row a plan.

    Prices are known. In between the battery answers to the load *load_kw* that comes (`Planned.order`); what has been
    imported at most that day is metered, and counts in the next plan.
    """
    orders: list[float] = []
    held, peak_kw = held_kwh, 0.0
    for row, first in zip(foretold_kw, range(0, len(load_kw), every), strict=True):
        ahead = terms[first : first + len(row)]
        if first and terms.day[first] != terms.day[first - 1]:
            peak_kw = 0.0
        made = plan(battery, held, row[: len(ahead)], ahead, peak_kw=peak_kw)
        for k in range(first, min(first + every, len(load_kw))):
            if k and terms.day[k] != terms.day[k - 1]:
                peak_kw = 0.0
            orders.append(made.order(k - first, float(load_kw[k])))
            done = carried_out(battery, held, terms.step_h, np.array(orders[-1:]))
            held = float(done.held_kwh[-1])
            peak_kw = max(peak_kw, float(load_kw[k] + done.grid_kw_h[0] / terms.step_h))
    return carried_out(battery, held_kwh, terms.step_h, np.array(orders))
