"""From a trace to a sensor's samples in one compiled sweep; any window equals that window of the whole, bit for bit."""

from __future__ import annotations

import numpy as np

from sim.errors import InputError
from sim.trace import Form, Signal, Trace
from twins import kernels
from twins.channel import Channel
from twins.kernels import plain
from twins.noise import Noise, address, tree

_FORMS = {Form.STEP: kernels.STEP, Form.LINEAR: kernels.LINEAR, Form.RELAX: kernels.RELAX}


def samples_before(time_h: float, step_h: float) -> int:
    """The number of samples k ≥ 0 with k · step_h < time_h: what a run to *time_h* owns."""
    k = int(time_h / step_h)
    while k * step_h < time_h:
        k += 1
    while k > 0 and (k - 1) * step_h >= time_h:
        k -= 1
    return k


def render(trace: Trace, channel: Channel, start: int = 0, count: int | None = None) -> np.ndarray:
    """Samples start … start+count−1 of a channel as its sensor gives them, float32[count], NaN where missing.

    Without *count*, up to the trace's end. Sample k lies at k · step_h, or for a channel without a step at breakpoint
    k of its reading. An InputError refuses samples that the trace does not own.
    """
    return _render(trace, channel, channel.noise, start, count)


def clean(trace: Trace, channel: Channel, start: int = 0, count: int | None = None) -> np.ndarray:
    """The same samples without noise, float32[count]."""
    return _render(trace, channel, Noise(), start, count)


def _render(trace: Trace, channel: Channel, noise: Noise, start: int, count: int | None) -> np.ndarray:
    reading = channel.reading(trace)
    step_h = channel.step_h
    if step_h is None:
        owned = int(np.searchsorted(reading.time_h, trace.end_h))
        reading, step_h, first = Signal.step(np.arange(len(reading.time_h)), reading.value), 1.0, 0
    else:
        owned = samples_before(trace.end_h, step_h)
        first = samples_before(max(trace.start_h, reading.time_h[0]), step_h)
    count = owned - start if count is None else count
    if count < 0 or start < first or start + count > owned:
        raise InputError(
            f"samples {start} to {start + count - 1} of {'/'.join(channel.key)} were asked for; "
            f"the trace owns {first} to {owned - 1}"
        )
    return sweep(reading, step_h, noise, address(trace.seed, *channel.key), start, count)


def sweep(reading: Signal, step_h: float, noise: Noise, address: tuple, start: int, count: int) -> np.ndarray:
    """Samples start … start+count−1 of *reading* with the noise of one address, float32[count]."""
    out = np.empty(count, np.float32)
    if not count:
        return out
    target = reading.target if reading.form is not Form.STEP else reading.value
    pull, spread = tree(noise.correlation_h / step_h)
    first_knot = int(start * step_h / noise.drift_knot_h)
    drift = np.empty(0, np.float32)
    if noise.drift > 0:
        drift = np.empty(int((start + count) * step_h / noise.drift_knot_h) - first_knot + 2, np.float32)
        kernels.knots(first_knot, address, drift)
        drift *= np.float32(noise.drift)
    kernels.render(
        out, start, int(np.searchsorted(reading.time_h, start * step_h, side="right")) - 1,
        _FORMS[reading.form], plain(reading.time_h), plain(reading.value), plain(target),
        reading.tau_h or 1.0, float(step_h),
        address, np.float32(noise.white), np.float32(noise.autocorrelated), pull, spread,
        drift, float(noise.drift_knot_h), first_knot, np.float32(noise.quantum), np.uint32(noise.dropout * 2**32),
    )  # fmt: skip
    return out
