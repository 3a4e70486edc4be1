"""The weather's own statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from sim.homes.process import WEATHER, Homes
from sim.homes.weather import AHEAD, Weather
from sim.verify import Replicated, Target


@dataclass(frozen=True, kw_only=True)
class Forecasts(Replicated):
    """Variance and memory of the temperature's deviations, the variance of a day-ahead error, the share of clouds.

    The fault is in what a forecast knows of an innovation.
    """

    weather: Weather = Weather()
    hours: int = 4000
    replications: int = 96
    looks: int = 3

    def targets(self):
        w = self.weather
        variance, tau_h = w.deviation_cel**2, w.correlation_h
        why = "few independent days in a run"
        return [
            Target("variance of the deviation (K2)", variance, "stationary autoregression", 0.05, reason=why),
            Target(
                "covariance a day apart (K2)",
                variance * math.exp(-AHEAD / tau_h),
                "stationary autoregression",
                0.08,
                reason=why,
            ),
            Target(
                "variance of the forecast's error (K2)",
                w.forecast_variance,
                "sum of hidden innovations",
                0.03,
                reason=why,
            ),
            Target("share of clear sky", w.clouds.stationary[0], "Markov chain", 0.03, reason=why),
        ]

    def replicate(self, seed):
        known = min(self.weather.known * (1 + self.fault), 1.0)
        world = Homes((), weather=replace(self.weather, known=known))
        trace = world.run(world.start(seed), float(self.hours)).trace
        hours = np.arange(self.hours)
        seen, told = (trace[WEATHER, name].at(hours) for name in ("temperature", "forecast"))
        deviation = seen - [world.weather.course_cel(world.calendar, int(k)) for k in hours]
        cloud = trace[WEATHER, "cloud"]
        length_h = np.diff(cloud.time_h, append=float(self.hours))
        return [
            np.mean(deviation**2),
            np.mean(deviation[:-AHEAD] * deviation[AHEAD:]),
            np.mean((seen - told) ** 2),
            float(length_h[cloud.value == 0].sum()) / self.hours,
        ]
