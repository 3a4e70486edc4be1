"""The rival of events, not ticks, for homes: the same households stepped minute by minute, all at once in NumPy.

Occupancy, appliances and refrigerators follow the rates that the world's plan holds; what a household draws is noted
each minute. Draws come in blocks of a day. Weather, panels, heating and cars are left out, which favours the rival.
"""

from __future__ import annotations

import math

import numpy as np

from sim.homes import Homes
from sim.homes.calibration import UNIT_USE
from sim.homes.plan import planned
from sim.homes.state import Phase
from sim.laws import Lognormal

MINUTES = 60
LONGEST = 1440  # minutes, of a use


def run(world: Homes, seed: int, hours: int) -> np.ndarray:
    """What every household draws in each minute, kW, float64[minutes, homes]."""
    plan, rng, count = planned(world), np.random.default_rng(seed), len(world.names)
    while len(plan.clock) < hours:
        plan.extend()
    size = np.array([Lognormal(1.0, k.spread_cv).isf(rng.random()) if k.spread_cv else 1.0 for k in plan.kinds])
    starts = np.array([hourly.values[:hours] for hourly in plan.starts]) * size[:, None] / MINUTES
    wake, back, end = (np.array(hourly.values[:hours]) / MINUTES for hourly in (plan.wake, plan.back, plan.end))
    power_kw, mean_h, attended = np.array(plan.power_kw), np.array(plan.mean_h), np.array(plan.attended)
    which = np.array([plan.which[clock] for clock in plan.clock[:hours]])
    fridge_kw = np.array([k.fridge.power_kw for k in plan.kinds])
    standby_kw = np.array([k.standby_kw for k in plan.kinds])
    laws = [(k.fridge.off, k.fridge.on) for k in plan.kinds]

    phase = rng.choice(3, count, p=plan.chance)
    cold, cold_left = np.zeros(count, bool), np.zeros(count, np.int64)
    off_kw = np.zeros(
        (2, LONGEST, count)
    )  # of uses that nobody attends, and that somebody does, by minute of their end
    drawn_kw = np.zeros((2, count))
    load_kw = np.empty((hours * MINUTES, count))
    for minute in range(hours * MINUTES):
        hour, slot = minute // MINUTES, minute % LONGEST
        if slot == 0:
            u_DxCxM = rng.random((LONGEST, 4, count))
            length = UNIT_USE.isf(rng.random((LONGEST, count)))
        u_moves, u_sleeps, u_starts, u_which = u_DxCxM[slot]
        drawn_kw -= off_kw[:, slot]
        off_kw[:, slot] = 0.0
        rates = np.where(phase == Phase.ACTIVE, end[hour], np.where(phase == Phase.ASLEEP, wake[hour], back[hour]))
        moves = u_moves < rates
        if moves.any():
            leaving = moves & (phase == Phase.ACTIVE)
            drawn_kw[1, leaving] = 0.0
            off_kw[1][:, leaving] = 0.0
            gone = np.where(u_sleeps < plan.sleeps[hour], Phase.ASLEEP, Phase.AWAY)
            phase = np.where(leaving, gone, np.where(moves, Phase.ACTIVE, phase))
        begins = (phase == Phase.ACTIVE) & (u_starts < starts[:, hour])
        for home in np.flatnonzero(begins):
            a = min(int(np.searchsorted(which[hour], u_which[home], side="right")), len(power_kw) - 1)
            lasts = min(max(math.ceil(mean_h[a] * length[slot, home] * MINUTES), 1), LONGEST - 1)
            drawn_kw[int(attended[a]), home] += power_kw[a]
            off_kw[int(attended[a]), (slot + lasts) % LONGEST, home] += power_kw[a]
        turns = cold_left <= 0
        if turns.any():
            cold ^= turns
            for home in np.flatnonzero(turns):
                cold_left[home] = max(round(MINUTES * laws[home][int(cold[home])].isf(rng.random())), 1)
        cold_left -= 1
        load_kw[minute] = drawn_kw.sum(0) + fridge_kw * cold + standby_kw
    return load_kw
