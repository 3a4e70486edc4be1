"""Readings are built from a trace at its breakpoints with these: small functions from signals to a signal.

A lag, an integral or a counter remembers: it is right on a trace that begins where the run began. Join a later stretch
to what came before it, then render any window of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from sim.compiled import compiled
from sim.trace import Form, Signal
from twins.sensors.kernels import plain
from twins.sensors.render import samples_before

_STEP = Form.STEP  # looked up once: an enum's members are slow to find


def combine(f: Callable[..., np.ndarray], *steps: Signal) -> Signal:
    """The step signal f(a, b, …) of step signals, from where the last of them begins. *f* takes and gives arrays."""
    if any(signal.form is not _STEP for signal in steps):
        raise ValueError("combine takes step signals; put a lag or an integral after it")
    times_h, *at = plain(steps[0].time_h), np.arange(len(steps[0].time_h))
    for signal in steps[1:]:
        times_h, mine, its = _union(times_h, plain(signal.time_h))
        at = [*(index[mine] for index in at), its]
    values = f(*(signal.value[index] for signal, index in zip(steps, at, strict=True)))
    return Signal.step(times_h, np.full(times_h.shape, values, np.float64))


def lag(step: Signal, tau_h: float, initial: float | None = None) -> Signal:
    """A first-order lag behind a step signal, dx/dt = (step − x) / tau_h, from *initial* (else the first level) on."""
    if step.form is not Form.STEP:
        raise ValueError("lag takes a step signal")
    first = step.value[0] if initial is None else initial
    values = _relaxed(plain(step.time_h), plain(step.value), float(tau_h), float(first))
    return Signal.relax(step.time_h, values, step.value, tau_h)


def integral(rate: Signal, initial: float = 0.0) -> Signal:
    """The running integral over hours of a step signal: an hour counter, an energy meter."""
    if rate.form is not Form.STEP:
        raise ValueError("integral takes a step signal")
    grown = np.concatenate(([initial], initial + np.cumsum(rate.value[:-1] * np.diff(rate.time_h))))
    return Signal.linear(rate.time_h, grown, rate.value)


def since(counter: Signal, times_h: np.ndarray) -> Signal:
    """A linear signal that falls back to zero at each of *times_h* (increasing): a counter that is reset."""
    if counter.form is not Form.LINEAR:
        raise ValueError("since takes a linear signal")
    resets_h = np.asarray(times_h, np.float64)
    at_h = np.union1d(counter.time_h, resets_h)
    last = np.searchsorted(resets_h, at_h, side="right") - 1
    base = np.where(last < 0, 0.0, counter.at(resets_h)[last]) if resets_h.size else 0.0
    slope = counter.target[np.searchsorted(counter.time_h, at_h, side="right") - 1]
    return Signal.linear(at_h, counter.at(at_h) - base, slope)


def grown(counters: Sequence[Signal], step_h: float, end_h: float) -> Signal:
    """By how much counters grow together in each stretch of *step_h* hours, told as it begins; NaN until it is over.

    What happens as a stretch ends is of the next one.
    """
    at_h = _stretches(max(counter.time_h[0] for counter in counters), step_h, end_h)
    return Signal.step(at_h, np.append(np.diff(sum(_just_before(counter, at_h) for counter in counters)), np.nan))


def closing(signal: Signal, step_h: float, end_h: float) -> Signal:
    """A signal as it stands just before the end of each stretch of *step_h* hours, told as `grown`."""
    at_h = _stretches(signal.time_h[0], step_h, end_h)
    return Signal.step(at_h, np.append(_just_before(signal, at_h[1:]), np.nan))


def _stretches(start_h: float, step_h: float, end_h: float) -> np.ndarray:
    """The beginnings of all stretches that lie between two times, and the last one's end."""
    first = samples_before(start_h, step_h)
    over = samples_before(math.nextafter(end_h, math.inf), step_h)  # beginnings up to the end, it included
    return np.arange(first, max(over, first + 1)) * step_h


def _just_before(signal: Signal, time_h: np.ndarray) -> np.ndarray:
    return signal.at(np.maximum(np.nextafter(time_h, -np.inf), signal.time_h[0]))


@compiled()
def _relaxed(time_h, level, tau_h, initial):
    """The value at each breakpoint of a first-order lag that starts at *initial* and tends to *level*."""
    out = np.empty(len(time_h))
    x = initial
    for i in range(len(time_h)):
        if i:
            x = level[i - 1] + (x - level[i - 1]) * math.exp(-(time_h[i] - time_h[i - 1]) / tau_h)
        out[i] = x
    return out


@compiled()
def _union(a_h, b_h):
    """The union of two rising sequences of times, from where both have begun, and the index in force in each."""
    n = len(a_h) + len(b_h)
    times_h, in_a, in_b = np.empty(n), np.empty(n, np.int64), np.empty(n, np.int64)
    now, i, j, k = max(a_h[0], b_h[0]), 0, 0, 0
    while True:
        while i + 1 < len(a_h) and a_h[i + 1] <= now:
            i += 1
        while j + 1 < len(b_h) and b_h[j + 1] <= now:
            j += 1
        times_h[k], in_a[k], in_b[k] = now, i, j
        k += 1
        if i + 1 < len(a_h):
            now = min(a_h[i + 1], b_h[j + 1]) if j + 1 < len(b_h) else a_h[i + 1]
        elif j + 1 < len(b_h):
            now = b_h[j + 1]
        else:
            return times_h[:k], in_a[:k], in_b[:k]
