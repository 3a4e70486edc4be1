"""From a trace to a sensor's samples in one compiled sweep; any window equals that window of the whole, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sim.errors import InputError
from sim.trace import Form, Signal, Trace
from twins.channel import Channel
from twins.sensors import kernels
from twins.sensors.kernels import plain
from twins.sensors.noise import Noise, address, tree

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
    reading, step_h, first, owned = _clocked(trace, channel)
    count = owned - start if count is None else count
    _require_owned(start, count, first, owned, f" of {'/'.join(channel.key)}")
    return sweep(reading, step_h, noise, address(trace.seed, *channel.key), start, count)


def _clocked(trace: Trace, channel: Channel) -> tuple[Signal, float, int, int]:
    """What a channel reads, the step of its samples, and the first that *trace* owns and the first that it does not."""
    reading, step_h = channel.reading(trace), channel.step_h
    if step_h is None:
        owned = int(np.searchsorted(reading.time_h, trace.end_h))
        return Signal.step(np.arange(len(reading.time_h)), reading.value), 1.0, 0, owned
    first = samples_before(max(trace.start_h, reading.time_h[0]), step_h)
    return reading, step_h, first, samples_before(trace.end_h, step_h)


def _require_owned(start: int, count: int, first: int, owned: int, of: str = "") -> None:
    if count < 0 or start < first or start + count > owned:
        raise InputError(
            f"samples {start} to {start + count - 1}{of} were asked for; the trace owns {first} to {owned - 1}"
        )


def sweep(reading: Signal, step_h: float, noise: Noise, address: tuple, start: int, count: int) -> np.ndarray:
    """Samples start … start+count−1 of *reading* with the noise of one address, float32[count]."""
    out = np.empty((1, count), np.float32)
    if count:
        kernels.render(out, start, float(step_h), _rows([(reading, noise, address)], step_h), *_segments([reading]))
    return out[0]


@dataclass(frozen=True, eq=False)
class Panel:
    """Channels of one clock, read from a trace once, so that any window of all of them is a single compiled sweep."""

    channels: tuple[Channel, ...]
    step_h: float
    first: int  # the trace owns samples first … owned − 1
    owned: int
    rows: np.ndarray  # kernels.ROW[channels]
    segments: tuple[np.ndarray, np.ndarray, np.ndarray]  # times, values and targets of all readings, end to end

    @staticmethod
    def of(trace: Trace, channels: Iterable[Channel], thin: bool = False) -> Panel:
        """The panel of *channels*, which have one and the same step_h; else an InputError.

        A *thin* one drops the breakpoints that no sample can tell, to keep for long what is read again and again.
        """
        channels = tuple(channels)
        steps = {channel.step_h for channel in channels}
        if len(steps) != 1 or (step_h := steps.pop()) is None:
            raise InputError("a panel takes channels with one and the same step_h; render others one by one")
        readings, _, first, owned = zip(*(_clocked(trace, channel) for channel in channels), strict=True)
        readings = [_thinned(r, step_h) for r in readings] if thin else readings
        parts = [
            (reading, channel.noise, address(trace.seed, *channel.key))
            for reading, channel in zip(readings, channels, strict=True)
        ]
        return Panel(channels, step_h, max(first), owned[0], _rows(parts, step_h), _segments(readings))

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + sum(part.nbytes for part in self.segments)

    def render(self, start: int = 0, count: int | None = None, out: np.ndarray | None = None) -> np.ndarray:
        """Samples start … start+count−1 of every channel, float32[channels, count]; what `render` gives of each.

        They are written to *out* where it is given. Without *count*, up to the trace's end. An InputError refuses
        samples that the trace does not own.
        """
        count = self.owned - start if count is None else count
        _require_owned(start, count, self.first, self.owned)
        shape = (len(self.channels), count)
        out = np.empty(shape, np.float32) if out is None else out
        if out.shape != shape or out.dtype != np.float32 or not out.flags.c_contiguous:
            raise ValueError(f"out has to be a contiguous float32 array of shape {shape}; it is {out.dtype}{out.shape}")
        if count:
            kernels.render(out, start, self.step_h, self.rows, *self.segments)
        return out


@dataclass(frozen=True, eq=False)
class Sensed:
    """The samples of one channel, rendered when they are read: a slice of them, or all as an array."""

    panel: Callable[[], Panel]  # which owns samples 0 … count − 1
    row: int
    count: int

    ndim = 1
    dtype = np.dtype(np.float32)

    def __len__(self) -> int:
        return self.count

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.count,)

    def reshape(self, *shape: int) -> Sensed:
        """Itself, which has one axis."""
        if shape != (-1,):
            raise ValueError(f"sensed samples have one axis; asked for {shape}")
        return self

    def __getitem__(self, samples: slice) -> np.ndarray:
        start, stop, step = samples.indices(self.count)
        out, panel = np.empty((1, max(stop - start, 0)), np.float32), self.panel()
        if out.size:
            kernels.render(out, start, panel.step_h, panel.rows[self.row : self.row + 1], *panel.segments)
        return out[0, ::step]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.float32, copy=False)


def _thinned(reading: Signal, step_h: float) -> Signal:
    """The segments in force at some sample, and of equal steps in a row the first: the same samples, bit for bit."""
    k = np.ceil(reading.time_h / step_h)
    k += k * step_h < reading.time_h
    k -= (k > 0) & ((k - 1) * step_h >= reading.time_h)  # samples before each breakpoint
    kept = np.append(k[:-1] < k[1:], True)
    kept[0] = True
    at = np.flatnonzero(kept)
    if reading.form is Form.STEP:
        bits = plain(reading.value)[at].view(np.int64)
        at = at[np.append(True, bits[1:] != bits[:-1])]
        return Signal.step(reading.time_h[at], reading.value[at])
    return Signal(reading.form, reading.time_h[at], reading.value[at], reading.target[at], reading.tau_h)


def _rows(parts: Sequence[tuple[Signal, Noise, tuple]], step_h: float) -> np.ndarray:
    """Signals with their noise and its address as the compiled sweep takes them, kernels.ROW[len(parts)]."""
    rows, end = np.empty(len(parts), kernels.ROW), 0
    for c, (reading, noise, whose) in enumerate(parts):
        begin, end = end, end + len(reading.time_h)
        rows[c] = (
            _FORMS[reading.form], begin, end, reading.tau_h or 1.0, noise.drift_knot_h,
            noise.white, noise.autocorrelated, noise.drift, noise.quantum, *tree(noise.correlation_h / step_h),
            whose, int(noise.dropout * 2**32),
        )  # fmt: skip
    return rows


def _segments(readings: Sequence[Signal]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times, values and targets of signals, end to end."""
    columns = [(r.time_h, r.value, r.value if r.form is Form.STEP else r.target) for r in readings]
    if len(columns) == 1:
        time_h, value, target = map(plain, columns[0])
    else:
        time_h, value, target = (plain(np.concatenate(column)) for column in zip(*columns, strict=True))
    return time_h, value, target
