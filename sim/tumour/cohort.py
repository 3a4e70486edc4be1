"""All patients of a world run at once, compiled: what the events give, bit for bit, and what other plans would give.

Research only, not for clinical use.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from sim.compiled import compiled
from sim.laws import UNIT
from sim.streams import Streams
from sim.tumour.population import Body
from sim.tumour.process import BODY, COINS, Phase, Tumour, diameter_cm, grown, propensity, recovers

ILL, RECOVERED, DEAD = (int(phase) for phase in Phase)


class Cohort(NamedTuple):
    """N patients over T days, NaN after the day on which a patient ended."""

    bodies: tuple[Body, ...]
    volume_NxT: np.ndarray  # cm³
    chemo_NxT: np.ndarray  # concentration
    chemo_dose_NxT: np.ndarray
    radio_dose_NxT: np.ndarray  # Gy
    propensity_NxT: np.ndarray  # of either treatment
    mean_cm_NxT: np.ndarray  # mean diameter by which was decided; NaN on day 0
    days_N: np.ndarray  # days until the end, that day counted, or T
    phase_N: np.ndarray  # at the end
    tries: int  # draws of alpha and rho, those that were rejected counted


def draws(seed: int, name: str, days: int) -> tuple[np.ndarray, ...]:
    """The uniforms of days 1 … *days* of patient *name*: float64[days] of each of COINS, the noise as normal scores."""
    found = [UNIT.isf(np.asarray(Streams.uniforms(seed, f"{name}/{part}", days))) for part in COINS]
    return (ndtri(found[0]), *found[1:])


def constants(world: Tumour) -> np.ndarray:
    """What the compiled loops know of a world: float64[11]."""
    return np.array(
        [
            world.gamma,
            world.noise_sd,
            world.window,
            world.capacity_cm3,
            world.death_cm3,
            world.death_cm,
            world.chemo_dose,
            world.left_a_day,
            world.radio_dose_gy,
            world.cells_per_cm3,
            -1.0 if world.chance is None else world.chance,
        ]
    )


def inside(body: Body) -> np.ndarray:
    """The numbers of a body, float64[5]: volume, alpha, beta, rho, beta_c."""
    return np.array(body[2:], np.float64)


def follow(world: Tumour, seed: int, days: int = 60) -> Cohort:
    """Days 0 … *days* − 1 of all patients of the world run *seed*, as `Tumour.run` from its start gives them."""
    streams = Streams(seed, (f"{name}/{part}" for name in world.names for part in BODY))
    out = np.full((6, world.patients, days), np.nan)
    phase_N, days_N = np.zeros(world.patients, np.int64), np.zeros(world.patients, np.int64)
    bodies, told = [], constants(world)
    for i, name in enumerate(world.names):
        bodies.append(world.born(streams, name))
        lived = draws(seed, name, max(days - 1, 1))
        days_N[i], phase_N[i] = _lives(inside(bodies[-1]), told, *lived, out[:, i])
    tries = sum(streams[f"{name}/{BODY[0]}"].position for name in world.names) // 2
    volume, chemo, chemo_dose, radio_dose, chance, mean_cm = out
    return Cohort(tuple(bodies), volume, chemo, chemo_dose, radio_dose, chance, mean_cm, days_N, phase_N, tries)


def outcomes(
    world: Tumour, body: Body, volume: float, chemo_before: float, lived: tuple[np.ndarray, ...], plan_SxHx2: np.ndarray
) -> np.ndarray:
    """Volumes of the H days after a day of *volume* on which *plan* begins, float64[S, H]; an end is held.

    *chemo_before* is the concentration of the day before; *lived* are the noise and recovery draws of the H days. They
    are what they are under any plan, so futures are paired with each other and with what happened.
    """
    plan = np.ascontiguousarray(plan_SxHx2, np.float64)
    out = np.empty(plan.shape[:2])
    _outcomes(inside(body), constants(world), volume, chemo_before, lived[0], lived[1], plan, out)
    return out


@compiled()
def _lives(body, told, noise_T, recovery_T, chemo_T, radio_T, out_6xT):
    gamma, noise_sd, window, capacity, death, death_cm, dose, left, gray, cells, fixed = told
    volume, alpha, beta, rho, beta_c = body
    days = out_6xT.shape[1]
    diameters_cm = np.empty(days)
    for q in range(5):
        out_6xT[q, 0] = 0.0
    out_6xT[0, 0] = volume
    concentration, given = 0.0, 0.0
    for t in range(1, days):
        change = grown(volume, alpha, beta, rho, beta_c, capacity, concentration, given)
        diameters_cm[t - 1] = diameter_cm(volume)
        volume = volume * (change + noise_sd * noise_T[t - 1])
        concentration = concentration * left
        dead = volume > death
        if dead or volume <= 0.0 or recovery_T[t - 1] < recovers(volume, cells):
            for q in range(5):
                out_6xT[q, t] = 0.0
            out_6xT[0, t] = death if dead else 0.0
            out_6xT[1, t] = concentration
            return t + 1, DEAD if dead else RECOVERED
        first = max(t - int(window), 0)
        total_cm = 0.0
        for day in range(first, t):
            total_cm += diameters_cm[day]
        chance = fixed if fixed >= 0.0 else propensity(gamma, total_cm, float(t - first), death_cm)
        chemo = dose if chemo_T[t - 1] < chance else 0.0
        given = gray if radio_T[t - 1] < chance else 0.0
        concentration += chemo
        out_6xT[0, t] = volume
        out_6xT[1, t] = concentration
        out_6xT[2, t] = chemo
        out_6xT[3, t] = given
        out_6xT[4, t] = chance
        out_6xT[5, t] = total_cm / (t - first)
    return days, ILL


@compiled()
def _outcomes(body, told, volume, chemo_before, noise_H, recovery_H, plan_SxHx2, out_SxH):
    _, noise_sd, _, capacity, death, _, dose, left, gray, cells, _ = told
    _, alpha, beta, rho, beta_c = body
    for s in range(plan_SxHx2.shape[0]):
        now, concentration = volume, chemo_before
        for h in range(plan_SxHx2.shape[1]):
            concentration = concentration * left + dose * plan_SxHx2[s, h, 0]
            if 0.0 < now < death:
                change = grown(now, alpha, beta, rho, beta_c, capacity, concentration, gray * plan_SxHx2[s, h, 1])
                now = now * (change + noise_sd * noise_H[h])
                if now > death:
                    now = death
                elif now <= 0.0 or recovery_H[h] < recovers(now, cells):
                    now = 0.0
            out_SxH[s, h] = now
