"""A battery behind a street's meter: what is set, a run of the street, and what a way to operate it costs.

The load does not mind what the battery does, so a plan that is made anew every few hours from the forecasts of those
hours is the closed loop itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from experiments.build import build, fit
from experiments.experiment import Experiment
from learn.tasks import Forecast
from sim.errors import InputError, require
from sim.homes.battery import Battery, Operated
from sim.homes.planner import Terms, carried_out, rolling
from sim.homes.tariff import Contract, Tariff
from twins.homes import HomesTwin
from twins.varied import Varied


@dataclass(frozen=True)
class Carbon:
    """What a kilowatt-hour from the grid emits: less where the sun shines on it, and never below 0.

    The default base and slope make a mean near that of Germany's mix of 2023, 380 g/kWh (Umweltbundesamt 2024).
    """

    base_g_per_kwh: float = 430.0
    sun_g_per_kwh: float = 250.0  # less at an irradiance of 1 kW/m²

    def __post_init__(self):
        for name in ("base_g_per_kwh", "sun_g_per_kwh"):
            require(0 <= getattr(self, name) <= 2000, self, name, "between 0 and 2000")

    def g_per_kwh(self, irradiance_kw_m2: np.ndarray) -> np.ndarray:
        return np.maximum(self.base_g_per_kwh - self.sun_g_per_kwh * irradiance_kw_m2, 0.0)


@dataclass(frozen=True)
class Clock:
    """A rule by the clock: hours of the day in which it charges and gives back, and the share of the power used."""

    charge: tuple[int, int]
    discharge: tuple[int, int]
    power: float

    def __post_init__(self):
        for name in ("charge", "discharge"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            ok = len(getattr(self, name)) == 2 and 0 <= getattr(self, name)[0] < getattr(self, name)[1] <= 24
            require(ok, self, name, "two hours of the day, the first before the second")
        require(0 < self.power <= 1, self, "power", "above 0 and at most 1")

    def orders_kw(self, hour: np.ndarray, battery: Battery) -> np.ndarray:
        on = (hour >= self.charge[0]) & (hour < self.charge[1])
        off = (hour >= self.discharge[0]) & (hour < self.discharge[1]) & ~on
        return self.power * (on * battery.charge_kw - off * battery.discharge_kw)


@dataclass(frozen=True)
class Setting:
    """What `saving` of the configuration describes."""

    every: int
    battery: Battery
    contract: Contract
    carbon: Carbon
    clocks: tuple[Clock, ...]
    levels: tuple[float | None, ...]
    tariffs: Mapping[str, Tariff]
    resamples: int

    @staticmethod
    def of(experiment: Experiment) -> Setting:
        """Raises InputError for what cannot be, before anything is trained."""
        config, twin, task = experiment.config["saving"], experiment.twin, experiment.task
        if isinstance(twin, Varied):
            raise InputError("vary is not for save, whose battery is that of one street; it must be empty here")
        if not isinstance(twin, HomesTwin) or twin.step_h != 1:
            raise InputError("twin must be a HomesTwin with a step_h of 1, as prices are by the hour")
        if type(task) is not Forecast:
            raise InputError("task must be a Forecast, for a plan to rest on it")

        def part(name: str, kind: Any) -> Any:
            return fit(build(config[name], f"saving.{name}"), kind, f"saving.{name}")

        numbers = {name: fit(config[name], int, f"saving.{name}") for name in ("every", "resamples")}
        if not 1 <= numbers["every"] <= task.horizon:
            raise InputError(f"saving.every is {numbers['every']}; it must be 1 to the task's horizon, {task.horizon}")
        if numbers["resamples"] < 1:
            raise InputError(f"saving.resamples is {numbers['resamples']}; it must be at least 1")
        clock = config["clock"]
        ranges = itertools.product(clock["charge"], clock["discharge"], clock["power"])
        clocks = tuple(Clock(*one) for one in ranges)
        levels = tuple(config["levels"])
        for level in levels:
            if level is not None and not 0 < level < 1:
                raise InputError(f"saving.levels holds {level!r}; it must be null for the mean, or between 0 and 1")
        tariffs = {name: build(node, f"saving.tariffs.{name}") for name, node in config["tariffs"].items()}
        if not clocks or not levels or not tariffs:
            raise InputError("saving.clock, saving.levels and saving.tariffs must each hold something to choose from")
        return Setting(
            numbers["every"], part("battery", Battery), part("contract", Contract), part("carbon", Carbon),
            clocks, levels, tariffs, numbers["resamples"],
        )  # fmt: skip


class Site(NamedTuple):
    """One world run, from the first plan on: N hours, and K plans that look H hours ahead."""

    seed: int
    first: int  # the hour of the run that is the first here
    load_kw: np.ndarray  # float64[N], as it was, without a meter's error
    hour: np.ndarray  # of the clock, int[N]
    carbon_kg_per_kwh: np.ndarray  # float64[N]
    terms: Terms
    foretold: Mapping[str, Mapping[float | None, np.ndarray]]  # forecast, level: kW, float64[K, H]


def start_kwh(setting: Setting) -> float:
    return setting.battery.capacity_kwh / 2


def by_plan(setting: Setting, site: Site, foretold_kw: np.ndarray) -> Operated:
    return rolling(setting.battery, start_kwh(setting), site.load_kw, foretold_kw, site.terms, setting.every)


def by_orders(setting: Setting, order_kw: np.ndarray) -> Operated:
    return carried_out(setting.battery, start_kwh(setting), 1.0, order_kw)


def true_day(setting: Setting, site: Site, horizon: int) -> np.ndarray:
    """What a forecast without error would tell, float64[K, H]; beyond the run's end its last hour stays."""
    at = np.minimum(np.arange(0, len(site.load_kw), setting.every)[:, None] + np.arange(horizon), len(site.load_kw) - 1)
    return site.load_kw[at]


def cost_eur(setting: Setting, site: Site, done: Operated) -> float:
    """The bill, with what the battery holds at the end more than at the start at its worth."""
    return site.terms.bill_eur(site.load_kw + done.grid_kw_h, float(done.held_kwh[-1] - done.held_kwh[0]))


def measured(setting: Setting, site: Site, done: Operated) -> dict[str, float]:
    """Each measure of a run, those of money and carbon a day: peaks are the mean over days of the highest hour."""
    net = site.load_kw + done.grid_kw_h
    days = len(net) / 24
    highest = [net[site.terms.day == day].max() for day in np.unique(site.terms.day)]
    return {
        "cost_eur": cost_eur(setting, site, done) / days,
        "carbon_kg": float(np.maximum(net, 0) @ site.carbon_kg_per_kwh) / days,
        "peak_kw": float(np.mean(highest)),
        "ramp_kw": float(np.abs(np.diff(net)).mean()),
        "load_factor": float(net.mean() / net.max()),
    }
