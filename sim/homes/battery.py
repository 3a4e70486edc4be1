"""A battery integrated exactly: what it does between two changes of its order has a closed form, whatever the step.

dE/dt = a − λE, a = η_c·P while it charges and a = −P/η_d while it discharges; where it is full it takes only what it
loses, and where it is empty it gives nothing. A step that fills or empties it is cut at that very time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sim.compiled import compiled
from sim.errors import require


@dataclass(frozen=True)
class Battery:
    """Power is at the terminals on the grid's side; energy is what the cells hold."""

    capacity_kwh: float = 10.0
    charge_kw: float = 5.0
    discharge_kw: float = 5.0
    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    loss_per_h: float = 0.0  # of what it holds, by itself

    def __post_init__(self):
        for name in ("capacity_kwh", "charge_kw", "discharge_kw"):
            require(0 < getattr(self, name) < math.inf, self, name, "above 0 and finite")
        for name in ("charge_efficiency", "discharge_efficiency"):
            require(0 < getattr(self, name) <= 1, self, name, "above 0 and at most 1")
        require(0 <= self.loss_per_h < 1, self, "loss_per_h", "at least 0 and below 1")


class Operated(NamedTuple):
    """What came of N orders: energy before each and at the end, and what each interval took, gave and lost, in kWh."""

    held_kwh: np.ndarray  # float64[N + 1]
    charged_kwh: np.ndarray  # float64[N], at the terminals
    discharged_kwh: np.ndarray  # float64[N], at the terminals
    lost_kwh: np.ndarray  # float64[N], in conversion and by itself

    @property
    def grid_kw_h(self) -> np.ndarray:
        """Energy drawn in each interval, below 0 where it was given back."""
        return self.charged_kwh - self.discharged_kwh


def operate(battery: Battery, held_kwh: float, edges_h: np.ndarray, order_kw: np.ndarray) -> Operated:
    """Carry out orders, each constant from one of *edges_h* to the next: above 0 to charge, below 0 to discharge.

    An order beyond the battery's power is cut to it.
    """
    edges_h, order_kw = np.asarray(edges_h, np.float64), np.asarray(order_kw, np.float64)
    if len(edges_h) != len(order_kw) + 1 or (np.diff(edges_h) < 0).any():
        raise ValueError(f"{len(order_kw)} orders need {len(order_kw) + 1} edges that do not decrease")
    require(0 <= held_kwh <= battery.capacity_kwh, _Held(held_kwh), "held_kwh", f"from 0 to {battery.capacity_kwh:g}")
    held, out = np.empty(len(edges_h)), np.empty((3, len(order_kw)))
    held[0] = held_kwh
    limits = battery.capacity_kwh, battery.charge_kw, battery.discharge_kw
    _operate(*limits, battery.charge_efficiency, battery.discharge_efficiency, battery.loss_per_h,
             np.diff(edges_h), order_kw, held, out)  # fmt: skip
    return Operated(held, *out)


class _Held(NamedTuple):
    held_kwh: float


@compiled()
def _moved(held, inflow, loss, time_h):
    """Energy after *time_h* of a constant *inflow* into the cells, and what they have lost by themselves."""
    if loss == 0.0:
        return held + inflow * time_h, 0.0
    left = -math.expm1(-loss * time_h)
    by_itself = held * left + inflow * (time_h - left / loss)
    return held + inflow * time_h - by_itself, by_itself


@compiled()
def _reaches(held, inflow, loss, goal):
    """When a constant *inflow* brings the cells to *goal*; inf where it never does."""
    if held == goal:
        return 0.0 if (inflow - loss * goal) * (1.0 if goal > 0.0 else -1.0) >= 0.0 else math.inf
    if loss == 0.0:
        time_h = (goal - held) / inflow if inflow != 0.0 else math.inf
        return time_h if time_h > 0.0 else math.inf
    beyond = inflow / loss - goal
    share = (goal - held) / beyond if beyond != 0.0 else math.inf
    return math.log1p(share) / loss if 0.0 < share < math.inf else math.inf


@compiled()
def _operate(capacity, charge_kw, discharge_kw, in_eff, out_eff, loss, length_h, order_kw, held, out):
    for k in range(len(order_kw)):
        now, left_h = held[k], length_h[k]
        power = min(max(order_kw[k], -discharge_kw), charge_kw)
        charging = power >= 0.0
        inflow = power * in_eff if charging else power / out_eff
        goal = capacity if charging else 0.0
        at_h = _reaches(now, inflow, loss, goal)
        run_h = min(at_h, left_h)
        after, by_itself = _moved(now, inflow, loss, run_h)
        moved = abs(power) * run_h
        if at_h < left_h:  # full: it takes what it loses; empty: nothing moves
            after, rest_h = goal, left_h - run_h
            if charging:
                moved += loss * capacity / in_eff * rest_h
                by_itself += loss * capacity * rest_h
        after = min(max(after, 0.0), capacity)
        held[k + 1] = after
        out[0, k] = moved if charging else 0.0
        out[1, k] = 0.0 if charging else moved
        out[2, k] = by_itself + moved * ((1.0 - in_eff) if charging else (1.0 / out_eff - 1.0))


def self_consumption(net_kw: np.ndarray) -> np.ndarray:
    """The rule that every inverter has: store what is over, give what is wanted."""
    return -np.asarray(net_kw, np.float64)
