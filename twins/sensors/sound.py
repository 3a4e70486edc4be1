"""The vibration of a machine as a waveform, on demand, rendered from the trace at tens of thousands of samples a
second.

Velocity in mm/s: harmonics of the shaft, which turns as the speed says; blows of a worn bearing that ring at its
resonance, their energy that which wear adds to the high band; broadband noise in both bands; and below them the slow
shaking of the hall. Its band energies are those of the sensors `vibration_low` and `vibration_high` of the same moment,
within a tenth where a stretch lasts ten seconds: a band's edge lets a little through, and noise scatters. Sample k lies
at k / rate_hz seconds since 0 h and depends on the run, the machine and k alone: any stretch equals that stretch of a
longer one, bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sim.errors import InputError, require
from sim.line import Phase
from sim.trace import Trace
from twins.line import LineSensors
from twins.sensors import drawing
from twins.sensors.noise import address
from twins.sensors.signals import combine, integral

SECONDS = 3600.0  # in an hour
TAPS = 63  # of the filter that parts the broadband noise into the two bands
RINGING = 8.0  # time constants after which a blow is no longer heard
MOST_SAMPLES = 2**28  # of one waveform


@dataclass(frozen=True)
class Vibration:
    """How a machine vibrates. Bands: rumble below 10 Hz, low up to *split_hz*, high above."""

    sensors: LineSensors = field(default_factory=LineSensors)
    rate_hz: float = 20_000.0
    split_hz: float = 1_000.0
    shaft_hz: float = 24.7  # at speed 1
    harmonics: tuple[float, ...] = (1.0, 0.5, 0.3, 0.15)  # relative amplitudes of orders 1, 2, …
    hum: float = 0.2  # share of the low band's energy that is broadband
    blows: float = 3.585  # a turn: balls rolling over a flaw of the outer race
    jitter: float = 0.02  # of a gap between blows, early or late: balls slip
    resonance_hz: float = 3_400.0
    damping: float = 0.04  # of the resonance, as a share of critical

    def __post_init__(self):
        object.__setattr__(self, "harmonics", tuple(self.harmonics))
        for name in ("rate_hz", "split_hz", "shaft_hz", "blows", "resonance_hz"):
            require(0 < getattr(self, name) < math.inf, self, name, "above 0")
        require(self.split_hz < self.rate_hz / 4, self, "split_hz", "below a quarter of rate_hz")
        inside = 2 * self.split_hz < self.resonance_hz < self.rate_hz / 2.5
        require(inside, self, "resonance_hz", "between twice split_hz and rate_hz / 2.5, well inside the high band")
        top_hz = self.shaft_hz * len(self.harmonics)
        require(top_hz < self.split_hz / 2, self, "harmonics", "few enough to lie below half of split_hz at speed 1")
        ok = bool(self.harmonics) and all(h >= 0 for h in self.harmonics) and sum(self.harmonics) > 0
        require(ok, self, "harmonics", "amplitudes of at least 0, one of them above it")
        require(0 <= self.hum <= 1, self, "hum", "between 0 and 1")
        require(0 <= self.jitter < 0.5, self, "jitter", "at least 0 and below 0.5")
        require(0.005 <= self.damping <= 0.2, self, "damping", "between 0.005 and 0.2")

    def waveform(self, trace: Trace, machine: str, start_h: float, duration_s: float, load: float = 1.0) -> np.ndarray:
        """Velocity in mm/s over *duration_s* from the first sample at or after *start_h* on, float32.

        *trace* begins at 0 h, since the shaft's angle is counted from there; *load* is the station's. Raises InputError
        for a stretch that the trace does not hold.
        """
        first = math.ceil(start_h * SECONDS * self.rate_hz)
        return self.samples(trace, machine, first, round(duration_s * self.rate_hz), load)

    def samples(self, trace: Trace, machine: str, first: int, count: int, load: float = 1.0) -> np.ndarray:
        """Samples first … first+count−1, float32; that stretch of any longer one, bit for bit."""
        return self.stretches(trace, machine, [first], count, load)[0]

    def stretches(
        self, trace: Trace, machine: str, first_N: Sequence[int], count: int, load: float = 1.0
    ) -> np.ndarray:
        """Several stretches of *count* samples, each from its own first one on, float32[N, count]."""
        if trace.start_h != 0:
            raise InputError(f"a waveform needs a trace that begins at 0 h; this one begins at {trace.start_h} h")
        owned = math.ceil(trace.end_h * SECONDS * self.rate_hz)
        for first in first_N:
            if not 0 <= first <= first + count <= owned:
                raise InputError(
                    f"samples {first} to {first + count - 1} of the vibration of {machine} were asked for; "
                    f"the trace owns 0 to {owned - 1}"
                )
        if count > MOST_SAMPLES:
            raise InputError(f"a waveform of {count} samples was asked for; ask for at most {MOST_SAMPLES} at once")
        steps = [trace[machine, quantity] for quantity in ("phase", "speed", "wear")]
        turning = combine(lambda phase, speed: np.where(phase == Phase.WORKING, speed, 0.0), *steps[:2])
        revolved = integral(turning)  # hours at speed 1
        low = combine(lambda *at: self.sensors.low(load, *at), *steps)
        high = combine(lambda *at: self.sensors.high(load, *at), *steps)
        unworn = combine(lambda phase, speed: self.sensors.high(load, phase, speed, 0.0), *steps[:2])
        at_h = np.unique(np.concatenate([s.time_h for s in (low, high, unworn, revolved)]))
        turns = revolved.at(at_h) * (SECONDS * self.shaft_hz)
        turns_per_s = turning.at(at_h) * self.shaft_hz
        low_E, high_E, unworn_E = low.at(at_h), high.at(at_h), unworn.at(at_h)
        tone = np.sqrt(low_E * (1 - self.hum))
        shares = np.asarray(self.harmonics) / math.sqrt(sum(h * h for h in self.harmonics) / 2)  # together RMS 1
        filtered = lowpass(self.split_hz / self.rate_hz)
        kept = float(filtered @ filtered)  # share of white noise's energy that is low
        hum = np.sqrt(low_E * self.hum / kept)
        passed = 1 - 2 * float(filtered[TAPS // 2]) + kept
        rush = np.sqrt(unworn_E / passed)
        decay_per_s, angular = 2 * math.pi * self.resonance_hz * self.damping, 2 * math.pi * self.resonance_hz
        one = angular**2 / (4 * decay_per_s * (decay_per_s**2 + angular**2))  # energy of a blow of height 1
        with np.errstate(divide="ignore", invalid="ignore"):
            ring = np.sqrt((high_E - unworn_E) / (one * turns_per_s * self.blows))
        ring = np.where(turns_per_s > 0, np.nan_to_num(ring), 0.0)

        where = address(trace.seed, machine, "waveform")
        rumble_hz = np.array([3.1, 4.7, 7.3])
        draws = np.empty(len(rumble_hz), np.float32)
        drawing.normals(0, np.uint64(1 << 30), where, draws)
        rumble = np.stack([draws, np.full(3, self.sensors.vibration_floor_mm_s * math.sqrt(2 / 3))], axis=1)
        noise = np.empty(count + TAPS - 1, np.float32)
        out_NxS = np.empty((len(first_N), count), np.float32)
        loud = [a.astype(np.float32) for a in (tone, ring, rush, hum)]
        for out, first in zip(out_NxS, first_N, strict=True):
            begin = int(np.searchsorted(at_h, max(first / self.rate_hz - 1.0, 0.0) / SECONDS, side="right")) - 1
            end = int(np.searchsorted(at_h, (first + count) / self.rate_hz / SECONDS))
            near = slice(max(begin, 0), max(end, begin + 1, 1))
            # Normal k + i belongs to tap i of sample k, so that no number lies below 0.
            drawing.normals(first, np.uint64(0), where, noise)
            drawing.sound(
                out, first, self.rate_hz, at_h[near] * SECONDS, turns[near], turns_per_s[near],
                *(a[near] for a in loud),
                np.arange(1.0, 1.0 + len(shares)), shares.astype(np.float32),
                rumble_hz, rumble.astype(np.float32), filtered.astype(np.float32), noise,
                self.blows, self.jitter, self.resonance_hz, decay_per_s, RINGING / decay_per_s, where,
            )  # fmt: skip
        return out_NxS


@dataclass(frozen=True)
class Pickup:
    """A vibration pickup on a machine: it keeps the last *samples* of each operation, as a waveform."""

    machine: str
    samples: int = 1024
    vibration: Vibration = field(default_factory=Vibration)

    def __post_init__(self):
        require(1 <= self.samples <= 2**16, self, "samples", "from 1 to 65536")

    def record(self, trace: Trace, done_h: np.ndarray, load: float = 1.0) -> np.ndarray:
        """Velocity in mm/s before each time of *done_h*, float32[N, samples]; NaN where it would begin before 0 h."""
        rate_hz = self.vibration.rate_hz
        last_N = np.ceil(np.asarray(done_h) * SECONDS * rate_hz).astype(np.int64)
        heard = last_N >= self.samples
        found = np.full((len(last_N), self.samples), np.nan, np.float32)
        first = (last_N[heard] - self.samples).tolist()
        found[heard] = self.vibration.stretches(trace, self.machine, first, self.samples, load)
        return found


def lowpass(cut: float) -> np.ndarray:
    """A windowed sinc of TAPS taps that passes what lies below *cut* (a share of the sampling rate), float64."""
    k = np.arange(TAPS) - TAPS // 2
    taps = 2 * cut * np.sinc(2 * cut * k) * np.hamming(TAPS)
    return taps / taps.sum()


def band_energy(waveform: np.ndarray, rate_hz: float, low_hz: float, high_hz: float) -> float:
    """Mean square of what lies from *low_hz* to below *high_hz*, in the waveform's unit squared (Parseval)."""
    power = np.abs(np.fft.rfft(np.asarray(waveform, np.float64))) ** 2
    power[1:] *= 2.0
    if len(waveform) % 2 == 0:
        power[-1] /= 2.0
    hz = np.fft.rfftfreq(len(waveform), 1 / rate_hz)
    return float(power[(hz >= low_hz) & (hz < high_hz)].sum() / len(waveform) ** 2)
