"""A twin whose sensors are fitted, not designed: each follows wear by a power, with the noise of recorded ones.

`calibrate` takes run-to-failure records of one kind of asset and gives the wear law and the sensors of simulated assets
like them. It sees nothing but those records.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from scipy import optimize, stats

from sim.errors import InputError, require
from sim.line import Line
from sim.trace import Run, Signal, Trace
from sim.wear import Cmapss
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.lives import spells
from twins.machines import hours
from twins.sensors.noise import Noise
from twins.sensors.render import render
from twins.sensors.signals import combine

POWERS = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
LAGS = 40  # samples over which the noise's autocorrelation is fitted
QUANTILES = (np.arange(400) + 0.5) / 400


@dataclass(frozen=True)
class Response:
    """A sensor that reads level + gain · wear^power, wear being a fraction of the failure threshold, and its noise.

    What differs from asset to asset is the slow part of the noise.
    """

    quantity: str
    level: float
    gain: float
    power: float = 1.0
    noise: Noise = Noise()
    unit: str = "1"

    def __post_init__(self):
        require(bool(self.quantity), self, "quantity", "the name of a channel")
        require(0 < self.power < math.inf, self, "power", "above 0 and finite")

    def reading(self, machine: str, trace: Trace) -> Signal:
        return combine(lambda wear: self.level + self.gain * wear**self.power, trace[machine, "wear"])


@dataclass(frozen=True)
class FittedTwin:
    """A line's machines seen through fitted sensors every *step_h* hours. One episode is one machine in one run."""

    world: Line
    sensors: tuple[Response, ...]
    step_h: float = 1.0
    counter: str = ""  # name of a channel that counts the operating time in steps; "": there is none
    epoch: str = "2025-01-01T00:00:00"

    revision: ClassVar[int] = 1

    def __post_init__(self):
        object.__setattr__(self, "sensors", tuple(self.sensors))
        require(0 < self.step_h < math.inf, self, "step_h", "above 0")
        names = [sensor.quantity for sensor in self.sensors] + [self.counter] * bool(self.counter)
        require(len(names) == len(set(names)) > 0, self, "sensors", "at least one, each of a name of its own")

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(channel for machine in self.world.machines for channel in self._machine(machine))

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace = run.trace
        for machine in self.world.machines:
            yield Episode(
                run=trace.seed,
                asset=machine,
                series=tuple(
                    Series(*c.key, c.unit, c.role, render(trace, c), step_h=c.step_h) for c in self._machine(machine)
                ),
                events=tuple(event for event in trace.events if event.entity == machine),
                spells=tuple(spells(trace, machine, hours(machine, trace))),
                epoch=self.epoch,
                end_h=trace.end_h,
            )

    def _machine(self, machine: str) -> tuple[Channel, ...]:
        def channel(quantity: str, role: Role, reading: Any, unit: str = "1", noise: Noise = Noise()) -> Channel:  # noqa: B008
            return Channel(machine, quantity, unit, role, reading, self.step_h, noise)

        counted = [channel(self.counter, Role.PAST, partial(_count, self.step_h, machine))] if self.counter else []
        seen = [channel(s.quantity, Role.TARGET, partial(s.reading, machine), s.unit, s.noise) for s in self.sensors]
        return (*seen, *counted, channel("wear", Role.TRUTH, partial(_wear, machine)))


def _wear(machine: str, trace: Trace) -> Signal:
    return trace[machine, "wear"]


def _count(step_h: float, machine: str, trace: Trace) -> Signal:
    """The number of the step that is being worked, counted from 1."""
    worked = hours(machine, trace)
    return Signal.linear(worked.time_h, 1.0 + worked.value / step_h, worked.target / step_h)


class Calibrated(NamedTuple):
    """What records say of assets like theirs, and how far it is from them."""

    wear: Cmapss
    sensors: tuple[Response, ...]
    lives: int  # that it was fitted to
    life_distance: float  # Kolmogorov-Smirnov distance of the simulated lives from the recorded ones
    explained: dict[str, float]  # share of each sensor's variance that wear explains


def calibrate(episodes: Sequence[Episode], levels: int = 200) -> Calibrated:
    """Wear and sensors of assets whose records run from new to failure at a regular clock.

    Lives: C-MAPSS's damage exp(a·tᵇ) − 1 (`sim.wear.Cmapss`) with its published ranges of b and d; the range of a and
    the scale of time bring the quantiles of its lives next to the recorded ones (least squares). Sensors: the wear of
    a record of life T is taken to be that law's at its middle b, 2^((t/T)^1.5) − 1; level, gain and power by least
    squares over all records. Noise: white plus a first-order process, by the autocovariance of what is left.

    Raises InputError where there are fewer than three records that end in a failure.
    """
    whole = [e for e in episodes if e.spells and e.spells[-1].cause and e.series and e.series[0].step_h]
    if len(whole) < 3:
        raise InputError(f"{len(whole)} of {len(episodes)} records run to a failure; a calibration takes three or more")
    lives_h = np.sort([e.spells[-1].end_h - e.spells[-1].start_h for e in whole])
    wear, distance = _fit_lives(lives_h, levels)
    steps = [2.0 ** (np.arange(len(e.series[0].values)) / len(e.series[0].values)) ** 1.5 - 1 for e in whole]
    sensors, explained = [], {}
    for series in whole[0].series:
        if Role(series.role) is not Role.TARGET:
            continue
        records = [next(s for s in e.series if s.quantity == series.quantity) for e in whole]
        fitted, share = _fit_sensor(
            series.quantity, series.unit, [r.values for r in records], steps, series.step_h or 1.0
        )
        sensors.append(fitted)
        explained[series.quantity] = share
    return Calibrated(wear, tuple(sensors), len(whole), distance, explained)


def _fit_lives(lives_h: np.ndarray, levels: int) -> tuple[Cmapss, float]:
    base = Cmapss(levels=levels)
    uniform = stats.qmc.Halton(3, scramble=False).random(4097)[1:]
    b, d = (low + (high - low) * u for (low, high), u in zip((base.b, base.d), uniform.T[1:], strict=True))
    wanted = np.quantile(lives_h, QUANTILES)

    def lives(x: np.ndarray) -> np.ndarray:
        middle, scale_h, half = base.a[0] / 2 + base.a[1] / 2, math.exp(x[0]), 1 / (1 + math.exp(-x[1]))
        a = middle * (1 + half * (2 * uniform[:, 0] - 1))
        return scale_h * (np.log(2 - d) / a) ** (1 / b)

    def misfit(x: np.ndarray) -> float:
        return float(np.mean((np.quantile(lives(x), QUANTILES) / wanted - 1) ** 2))

    first = [math.log(float(np.mean(lives_h)) / 52.0), 0.0]  # the paper's own lives are about 52 long
    found = optimize.minimize(misfit, first, method="Nelder-Mead").x
    middle, half = base.a[0] / 2 + base.a[1] / 2, 1 / (1 + math.exp(-found[1]))
    law = Cmapss(a=(middle * (1 - half), middle * (1 + half)), scale_h=math.exp(found[0]), levels=levels)
    apart: Any = stats.ks_2samp(lives_h, lives(found))
    return law, float(apart.statistic)


def _fit_sensor(
    quantity: str, unit: str, values: Sequence[np.ndarray], wear: Sequence[np.ndarray], step_h: float
) -> tuple[Response, float]:
    """The response of least squared error over POWERS, and the share of variance that it explains."""
    y, w = (np.concatenate(parts).astype(np.float64) for parts in (values, wear))
    seen = np.isfinite(y)
    best: tuple[float, float, float, float] | None = None
    for power in POWERS:
        x = w[seen] ** power
        gain = float(np.cov(x, y[seen])[0, 1] / np.var(x, ddof=1))
        level = float(y[seen].mean() - gain * x.mean())
        error = float(np.mean((y[seen] - level - gain * x) ** 2))
        if best is None or error < best[0]:
            best = error, level, gain, power
    assert best is not None
    error, level, gain, power = best
    residuals = [v - level - gain * u**power for v, u in zip(values, wear, strict=True)]
    noise = _fit_noise(residuals, step_h)
    return Response(quantity, level, gain, power, noise, unit), 1 - error / float(np.var(y[seen]))


def _fit_noise(residuals: Sequence[np.ndarray], step_h: float) -> Noise:
    """White noise and a first-order process whose autocovariance is nearest to that of the residuals."""
    lags = np.arange(1, LAGS + 1)
    total = float(np.nanmean(np.concatenate([r**2 for r in residuals])))
    covariance = np.array([np.nanmean(np.concatenate([r[k:] * r[:-k] for r in residuals if len(r) > k])) for k in lags])

    def misfit(log_steps: float) -> tuple[float, float]:
        shape = np.exp(-lags / math.exp(log_steps))
        variance = min(max(float(shape @ covariance / (shape @ shape)), 0.0), total)
        return float(np.sum((covariance - variance * shape) ** 2)), variance

    grid = np.linspace(0.0, math.log(1000.0), 60)
    best = min(grid, key=lambda g: misfit(g)[0])
    variance = misfit(best)[1]
    slow = {"autocorrelated": math.sqrt(variance), "correlation_h": math.exp(best) * step_h} if variance else {}
    return Noise(white=math.sqrt(max(total - variance, 0.0)), **slow)
