"""Readings are built from a trace at its breakpoints with these: small functions from signals to a signal.

A lag, an integral or a counter remembers: it is right on a trace that begins where the run began. Join a later stretch
to what came before it, then render any window of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sim.trace import Form, Signal
from twins import kernels
from twins.kernels import plain


def combine(f: Callable[..., np.ndarray], *steps: Signal) -> Signal:
    """The step signal f(a, b, …) of step signals, from where the last of them begins. *f* takes and gives arrays."""
    if any(signal.form is not Form.STEP for signal in steps):
        raise ValueError("combine takes step signals; put a lag or an integral after it")
    times_h, *at = plain(steps[0].time_h), np.arange(len(steps[0].time_h))
    for signal in steps[1:]:
        times_h, mine, its = kernels.union(times_h, plain(signal.time_h))
        at = [*(index[mine] for index in at), its]
    values = f(*(signal.value[index] for signal, index in zip(steps, at, strict=True)))
    return Signal.step(times_h, np.full(times_h.shape, values, np.float64))


def lag(step: Signal, tau_h: float, initial: float | None = None) -> Signal:
    """A first-order lag behind a step signal, dx/dt = (step − x) / tau_h, from *initial* (else the first level) on."""
    if step.form is not Form.STEP:
        raise ValueError("lag takes a step signal")
    first = step.value[0] if initial is None else initial
    values = kernels.relaxed(plain(step.time_h), plain(step.value), float(tau_h), float(first))
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
