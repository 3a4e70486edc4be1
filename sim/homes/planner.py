"""The cheapest plan of a battery for known prices and loads: a linear programme, and integers where it must be.

A battery that charged while it discharged would burn energy, which pays only where a price is below zero. There a
binary keeps it from both; elsewhere the linear programme does by itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from sim.errors import InputError
from sim.homes.battery import Battery, Operated, operate


class Planned(NamedTuple):
    """Orders for each interval (kW, above 0 to charge), and the bill of the plan in EUR."""

    order_kw: np.ndarray
    cost_eur: float


def bill_eur(net_kwh: np.ndarray, buy: np.ndarray, sell: np.ndarray) -> float:
    """What the grid's energy of each interval costs, at *buy* and *sell* EUR/kWh; energy fed in is below 0."""
    return float(np.sum(np.where(net_kwh > 0, buy, sell) * net_kwh))


def plan(
    battery: Battery,
    held_kwh: float,
    step_h: float,
    load_kw: np.ndarray,
    buy: np.ndarray,
    sell: np.ndarray | float = 0.0,
    end_kwh: float = 0.0,
) -> Planned:
    """The cheapest orders for intervals of *step_h* hours with a net load of *load_kw*, ending with *end_kwh* or more.

    *buy* and *sell* are EUR/kWh; an InputError refuses prices at which selling pays more than buying costs, and an end
    that cannot be reached.
    """
    load_kw, buy = np.asarray(load_kw, np.float64), np.asarray(buy, np.float64)
    sell = np.broadcast_to(np.asarray(sell, np.float64), buy.shape)
    n = len(load_kw)
    if (sell > buy + 1e-12).any():
        raise InputError("plan: a price of selling lies above that of buying; no plan is the best")
    keeps = float(np.exp(-battery.loss_per_h * step_h))
    gains = -np.expm1(-battery.loss_per_h * step_h) / battery.loss_per_h if battery.loss_per_h else step_h
    at = np.flatnonzero(np.minimum(buy, sell) < 0)  # where burning would pay
    m = len(at)
    # columns: charge, discharge, energy after, bought, sold (n each), and m binaries: 1 where it may charge
    eye, none = sparse.identity(n, format="csr"), sparse.csr_matrix((n, m))
    last = sparse.eye(n, k=-1, format="csr")
    in_eff, out_eff = battery.charge_efficiency, battery.discharge_efficiency
    stored = sparse.hstack([-gains * in_eff * eye, gains / out_eff * eye, eye - keeps * last, 0 * eye, 0 * eye, none])
    flows = sparse.hstack([eye, -eye, 0 * eye, -eye, eye, none])
    start = np.zeros(n)
    start[0] = keeps * held_kwh
    bound: Any = LinearConstraint  # whose stubs know single numbers alone
    constraints = [bound(stored, start, start), bound(flows, -load_kw, -load_kw)]
    if m:
        pick = sparse.csr_matrix((np.ones(m), (np.arange(m), at)), shape=(m, n))
        zero, one = sparse.csr_matrix((m, n)), sparse.identity(m, format="csr")
        charge = sparse.hstack([pick, zero, zero, zero, zero, -battery.charge_kw * one])
        discharge = sparse.hstack([zero, pick, zero, zero, zero, battery.discharge_kw * one])
        constraints += [
            bound(charge, -np.inf, 0.0),
            bound(discharge, -np.inf, battery.discharge_kw),
        ]
    least = np.zeros(n)
    least[-1] = end_kwh
    low = np.concatenate([np.zeros(2 * n), least, np.zeros(2 * n + m)])
    most = [battery.charge_kw, battery.discharge_kw, battery.capacity_kwh, np.inf, np.inf]
    high = np.concatenate([*(np.full(n, x) for x in most), np.ones(m)])
    cost = np.concatenate([np.zeros(3 * n), buy * step_h, -sell * step_h, np.zeros(m)])
    whole = np.concatenate([np.zeros(5 * n), np.ones(m)])
    box: Any = Bounds
    limits = box(low, high)
    found = milp(cost, constraints=constraints, bounds=limits, integrality=whole)
    if found.x is None:
        raise InputError(f"plan: from {held_kwh:g} kWh an end of {end_kwh:g} kWh cannot be reached ({found.message})")
    return Planned(found.x[:n] - found.x[n : 2 * n], float(found.fun))


def carried_out(battery: Battery, held_kwh: float, step_h: float, order_kw: np.ndarray) -> Operated:
    return operate(battery, held_kwh, np.arange(len(order_kw) + 1) * step_h, order_kw)


def closed(cost_eur: float, idle_eur: float, best_eur: float) -> float:
    """The share of the gap between doing nothing and perfect foresight that a controller closes; NaN without a gap."""
    gap = idle_eur - best_eur
    return (idle_eur - cost_eur) / gap if abs(gap) > 1e-9 else float("nan")


def rolling(
    battery: Battery,
    held_kwh: float,
    step_h: float,
    load_kw: np.ndarray,
    foretold_kw: np.ndarray,
    buy: np.ndarray,
    sell: np.ndarray,
    ahead: int,
    every: int,
) -> Operated:
    """Planned anew every *every* intervals for the next *ahead* ones, with loads *foretold_kw* then, float64[N, ahead].

    Row k of *foretold_kw* is told at interval k; prices are known. The battery carries the orders out whatever the
    load *load_kw* turns out to be.
    """
    orders: list[float] = []
    held = held_kwh
    for k in range(0, len(load_kw), every):
        n = min(ahead, len(load_kw) - k)
        found = plan(battery, held, step_h, foretold_kw[k, :n], buy[k : k + n], sell[k : k + n]).order_kw[:every]
        orders += found.tolist()
        held = float(carried_out(battery, held, step_h, found).held_kwh[-1])
    return carried_out(battery, held_kwh, step_h, np.array(orders))
