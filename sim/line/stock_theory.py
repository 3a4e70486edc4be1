"""Lines that wait for stock, exactly: Markov chains where all times are exponential, a renewal argument where not."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from sim.line.theory import stationary


class Spared(NamedTuple):
    """Shares of the machines' time."""

    availability: float
    lacking: float  # down, without a spare


def spared_machines(machines: int, crew: float, spares: int, mttf_h: float, mttr_h: float, lead_h: float) -> Spared:
    """Machines that run all the time they are up, with base stock of *spares*; every time is exponential.

    Machine repair with spares: the chain of (units on order, machines at the crew or in its queue). A failure orders
    one unit, so that what is on order beyond the base stock is what machines wait for. With spares enough what is on
    order is nearly Palm's Poisson (1938), slowed down as machines stand still.
    """

    def up(state: tuple[int, int]) -> int:
        on_order, mending = state
        return machines - max(on_order - spares, 0) - mending

    def moves(state: tuple[int, int]) -> Iterable[tuple[tuple[int, int], float]]:
        on_order, mending = state
        if up(state):
            yield (on_order + 1, mending + (on_order < spares)), up(state) / mttf_h
        if on_order:
            yield (on_order - 1, mending + (on_order > spares)), on_order / lead_h
        if mending:
            yield (on_order, mending - 1), min(mending, crew) / mttr_h

    chance = stationary((0, 0), moves)
    lacking = sum(p * max(on_order - spares, 0) for (on_order, _), p in chance.items())
    return Spared(sum(p * up(state) for state, p in chance.items()) / machines, lacking / machines)


def unspared_availability(mttf_h: float, mttr_h: float, lead_h: float) -> float:
    """One machine, and each spare ordered when it fails: a renewal argument that holds for times of any laws."""
    return mttf_h / (mttf_h + lead_h + mttr_h)


class Stocked(NamedTuple):
    throughput_per_h: float
    short: float  # share of the machines' time


def stocked_machines(
    machines: int, rate_per_h: float, units: int, reorder_point: int, order_up_to: int, lead_h: float
) -> Stocked:
    """Parallel machines that never fail and draw *units* for each part from an (s, S) point; all times exponential.

    The chain of (on hand less backorders, sizes of the orders under way). Those who wait stand in line, so that of the
    units that are owed every *units*, begun or whole, hold one machine up.
    """

    def short(net: int) -> int:
        return math.ceil(max(-net, 0) / units)

    def moves(state: tuple[int, tuple[int, ...]]):
        net, orders = state
        if working := machines - short(net):
            position = net - units + sum(orders)
            more = (order_up_to - position,) if position <= reorder_point else ()
            yield (net - units, tuple(sorted(orders + more))), working * rate_per_h
        for i, order in enumerate(orders):
            yield (net + order, orders[:i] + orders[i + 1 :]), 1 / lead_h

    chance = stationary((order_up_to, ()), moves)
    idle = sum(p * short(net) for (net, _), p in chance.items()) / machines
    return Stocked(machines * rate_per_h * (1 - idle), idle)
