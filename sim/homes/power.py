"""What meters count: energy of homes and of the whole street, exact between any times, from the signals of a trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sim.errors import InputError
from sim.homes.plan import WEATHER
from sim.trace import Form, Signal, Trace

if TYPE_CHECKING:
    from sim.homes.process import Homes

PARTS = ("uses", "fridge", "standby", "heating", "panels")


def integral(signal: Signal, at_h: np.ndarray) -> np.ndarray:
    """The integral over hours of a step or linear signal from its first breakpoint to each of *at_h*, not before it."""
    if signal.form is Form.RELAX:
        raise InputError("the integral is of step and linear signals, not of one that relaxes")
    slope = signal.target if signal.form is Form.LINEAR else np.zeros_like(signal.value)
    length_h = np.diff(signal.time_h)
    whole = (signal.value[:-1] + 0.5 * slope[:-1] * length_h) * length_h
    total = np.concatenate(([0.0], np.cumsum(whole)))
    i = np.searchsorted(signal.time_h, at_h, side="right") - 1
    since_h = at_h - signal.time_h[i]
    return total[i] + (signal.value[i] + 0.5 * slope[i] * since_h) * since_h


def begun_h(world: Homes, trace: Trace) -> float:
    """From when on a trace tells all powers."""
    return max(float(signal.time_h[0]) for signal in trace.signals.values())


def part_kwh(world: Homes, trace: Trace, name: str, part: str, at_h: np.ndarray) -> np.ndarray:
    """Energy of one of PARTS of a household up to each of *at_h*, counted from wherever; panels count below 0."""
    kind = world.household(name)
    match part:
        case "uses" | "fridge":
            return integral(trace[name, part], at_h)
        case "standby":
            return kind.standby_kw * at_h
        case "heating":
            return kind.heat_kw_per_k * integral(trace[WEATHER, "heat"], at_h) if kind.heat_kw_per_k else 0.0 * at_h
        case "panels":
            return -kind.pv_kw * integral(trace[WEATHER, "irradiance"], at_h) if kind.pv_kw else 0.0 * at_h
    raise InputError(f"no part {part!r} of a household's power; there are {', '.join(PARTS)}")


def appliance_kwh(world: Homes, trace: Trace, name: str, appliance: str, at_h: np.ndarray) -> np.ndarray:
    """Energy of one appliance of a household up to each of *at_h*, from a trace that begins where the run began."""
    mine = [e for e in trace.events if e.entity == name and e.cause == appliance]
    change_kw = [e.value if e.kind == "use" else -e.value for e in mine]
    running = Signal.step([0.0, *(e.time_h for e in mine)], np.concatenate(([0.0], np.cumsum(change_kw))))
    return integral(running, at_h)


def home_kwh(world: Homes, trace: Trace, name: str, at_h: np.ndarray) -> np.ndarray:
    """What the meter of a household has counted up to each of *at_h*, from wherever; what is fed in counts below 0."""
    total = np.zeros_like(at_h)
    for part in PARTS:
        total += part_kwh(world, trace, name, part, at_h)
    return total


def business_kwh(world: Homes, trace: Trace, name: str, at_h: np.ndarray) -> np.ndarray:
    """What the meter of a business has counted up to each of *at_h*, from wherever."""
    return integral(trace[name, "power"], at_h)


def street_kwh(world: Homes, trace: Trace, at_h: np.ndarray) -> np.ndarray:
    """What households, businesses and chargers have drawn from the feeder up to each of *at_h*, losses left out."""
    total = integral(trace["chargers", "power"], at_h)
    for name in world.business_names:
        total += business_kwh(world, trace, name, at_h)
    loss = sum(world.household(name).heat_kw_per_k for name in world.names)
    panels = sum(world.household(name).pv_kw for name in world.names)
    standby = sum(world.household(name).standby_kw for name in world.names)
    total += loss * integral(trace[WEATHER, "heat"], at_h) - panels * integral(trace[WEATHER, "irradiance"], at_h)
    total += standby * at_h
    for name in world.names:
        total += integral(trace[name, "uses"], at_h) + integral(trace[name, "fridge"], at_h)
    return total
