"""What a household is made of: a daily routine, appliances, a refrigerator, heating, panels and a car."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from sim.errors import require
from sim.laws import Law, Lognormal, Uniform

HOURS = 24


def _rates(owner: object, *fields: str) -> None:
    for field in fields:
        object.__setattr__(owner, field, tuple(float(x) for x in getattr(owner, field)))
        value = getattr(owner, field)
        ok = len(value) == HOURS and all(0 <= x < 60 for x in value)
        require(ok, owner, field, "24 numbers, one an hour of the day, at least 0 and below 60")


@dataclass(frozen=True)
class Day:
    """Rates per hour, by hour of the day, at which a household moves between active, asleep and away."""

    wake: tuple[float, ...]
    sleep: tuple[float, ...]
    leave: tuple[float, ...]
    back: tuple[float, ...]

    def __post_init__(self):
        _rates(self, "wake", "sleep", "leave", "back")
        for name in ("wake", "back"):
            require(max(getattr(self, name)) >= 0.01, self, name, "at least .01 at some hour: nobody is gone for ever")


# Chosen so that the shares asleep, away and active over the day look like those of time-use surveys.
WORKDAY = Day(
    wake=(*[0.12] * 4, 0.25, 0.6, 1.2, 1.5, 1.2, 1.0, *[0.8] * 11, 0.3, 0.1, 0.05),
    sleep=(1.2, 1.2, 1.1, 1.0, 0.8, 0.3, 0.05, *[0.01] * 6, 0.03, 0.03, *[0.01] * 5, 0.05, 0.25, 0.7, 1.2),
    leave=(*[0.01] * 5, 0.1, 0.35, 0.6, 0.45, *[0.2] * 10, 0.15, 0.08, 0.04, 0.02, 0.01),
    back=(*[0.3] * 6, 0.1, *[0.08] * 4, 0.15, 0.25, 0.2, 0.2, 0.3, 0.5, 0.6, 0.5, 0.4, 0.4, 0.5, 0.6, 0.5),
)
FREE_DAY = Day(
    wake=(*[0.12] * 5, 0.14, 0.25, 0.5, 0.9, 1.3, *[1.0] * 11, 0.3, 0.1, 0.05),
    sleep=(1.0, 1.2, 1.1, 1.0, 0.8, 0.4, 0.1, *[0.01] * 6, 0.04, 0.04, *[0.01] * 5, 0.04, 0.2, 0.5, 1.0),
    leave=(*[0.01] * 8, 0.06, 0.14, *[0.2] * 8, 0.15, 0.12, 0.08, 0.05, 0.04, 0.02),
    back=(*[0.4] * 9, 0.25, 0.25, *[0.35] * 9, 0.4, 0.5, 0.6, 0.6),
)


@dataclass(frozen=True)
class Appliance:
    """Something that is switched on while somebody is active. Uses may overlap: a second ring, a second lamp."""

    name: str
    power_kw: float
    mean_h: float  # of one use, if nothing cuts it short
    attended: bool  # whether it is off when nobody is active
    weight: tuple[float, ...]  # by hour of the day: of its starts among those of all

    def __post_init__(self):
        require(bool(self.name), self, "name", "not empty")
        require(0 < self.power_kw < 100, self, "power_kw", "above 0 and below 100")
        require(0.01 <= self.mean_h <= 12, self, "mean_h", "between .01 and 12")
        _rates(self, "weight")


APPLIANCES = (
    Appliance("light", 0.12, 2.0, True, (*[1] * 6, 1.6, 1.6, 1.2, *[0.8] * 7, 1.2, 2, 2.4, 2.6, 2.6, 2.6, 2.4, 1.6)),
    Appliance("media", 0.15, 2.0, True, (*[1] * 6, *[0.8] * 10, 1.2, 1.6, 2, 2.4, 2.6, 2.4, 2, 1.4)),
    Appliance(
        "cooking",
        1.6,
        0.5,
        True,
        (*[0.1] * 6, 0.4, 0.5, 0.4, 0.4, 0.6, 1.2, 1.2, 0.6, 0.4, 0.4, 0.6, 1.4, 1.4, 1, 0.5, 0.3, 0.2, 0.1),
    ),
    Appliance(
        "kettle",
        2.0,
        0.07,
        True,
        (*[0.3] * 5, 1, 2, 2.4, 2, 1.6, 1.4, 1, 1, 1.2, 1.6, 1.8, 1.6, 1.2, 1, 1, 0.8, 0.6, 0.5, 0.4),
    ),
    Appliance("laundry", 0.6, 1.6, False, (*[0.02] * 6, 0.1, 0.2, *[0.3] * 10, 0.25, 0.2, 0.1, 0.05, 0.02, 0.02)),
    Appliance(
        "dishes",
        0.75,
        1.3,
        False,
        (*[0.02] * 7, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.2, 0.1, 0.1, 0.1, 0.3, 0.4, 0.4, 0.3, 0.2, 0.1),
    ),
    Appliance("cleaning", 1.0, 0.2, True, (*[0.02] * 6, 0.4, 0.5, 0.4, *[0.3] * 11, 0.2, 0.1, 0.05, 0.02)),
)


@dataclass(frozen=True)
class Fridge:
    """A compressor that runs and rests in turn, whoever is at home."""

    power_kw: float = 0.12  # of refrigerator and freezer together
    on: Law = Uniform(0.25, 0.45)
    off: Law = Uniform(0.5, 0.9)

    def __post_init__(self):
        require(0 <= self.power_kw < 10, self, "power_kw", "at least 0 and below 10")
        for name in ("on", "off"):
            require(getattr(self, name).mean_h >= 0.02, self, name, "a law of a mean of at least .02 h")

    @property
    def mean_kw(self) -> float:
        return self.power_kw * self.on.mean_h / (self.on.mean_h + self.off.mean_h)


@dataclass(frozen=True)
class Household:
    """One kind of household. `heat_kw_per_k` is the heat lost per kelvin; 0 where heat is not made of electricity."""

    annual_kwh: float = 3500.0  # of appliances, refrigerator and standby in the mean over households; never of the rest
    spread_cv: float = 0.4  # of how much is used, from household to household
    standby_kw: float = 0.12
    fridge: Fridge = Fridge()
    heat_kw_per_k: float = 0.0
    pv_kw: float = 0.0  # at 1 kW/m²
    car: bool = False  # is charged at the street's chargers when its household comes home

    def __post_init__(self):
        require(500 <= self.annual_kwh <= 50_000, self, "annual_kwh", "between 500 and 50000")
        require(0 <= self.spread_cv <= 1, self, "spread_cv", "between 0 and 1")
        for name in ("standby_kw", "heat_kw_per_k", "pv_kw"):
            require(0 <= getattr(self, name) < 100, self, name, "at least 0 and below 100")
        least = 8766 * self.base_kw
        require(self.annual_kwh > 1.5 * least, self, "annual_kwh", f"above {1.5 * least:.0f}, for standby and fridge")

    @property
    def base_kw(self) -> float:
        """The mean power that no activity changes."""
        return self.standby_kw + self.fridge.mean_kw


@dataclass(frozen=True)
class Group:
    """So many households of one kind."""

    count: int = 10
    household: Household = Household()

    def __post_init__(self):
        require(1 <= self.count <= 100_000, self, "count", "between 1 and 100000")


@dataclass(frozen=True)
class Business:
    """A shop or workshop ("g25") or a farm ("l25"): its standard profile, times a factor of mean 1 that hangs on.

    The factor is lognormal, its logarithm a first-order autoregression over hours.
    """

    profile: Literal["g25", "l25"] = "g25"
    annual_kwh: float = 20_000.0
    spread_cv: float = 0.2  # of the factor
    correlation_h: float = 8.0

    def __post_init__(self):
        require(self.profile in ("g25", "l25"), self, "profile", "'g25' or 'l25'")
        require(0 < self.annual_kwh < 1e9, self, "annual_kwh", "above 0 and below 1e9")
        require(0 <= self.spread_cv <= 1, self, "spread_cv", "between 0 and 1")
        require(0.1 <= self.correlation_h < math.inf, self, "correlation_h", "at least .1 and finite")

    @property
    def decay(self) -> float:
        """What is left after an hour of the factor's logarithm."""
        return math.exp(-1 / self.correlation_h)

    def factor(self, score: float) -> float:
        """Of a normal score."""
        sigma = math.sqrt(math.log1p(self.spread_cv**2))
        return math.exp(sigma * score - sigma**2 / 2)


@dataclass(frozen=True)
class HeatPump:
    """What electricity makes of a kelvin to be held: (indoor − outdoor) / COP, the COP linear in the temperature.

    The line is that of air-source pumps at 35 °C (Staffell et al. 2012, Energy Environ. Sci. 5:9291, give a COP that
    falls with the lift). A resistive heater has a `cop` of 1 and a `cop_per_k` of 0.
    """

    indoor_cel: float = 18.0  # below which heat is wanted: the room's temperature less what sun and people give
    cop: float = 3.2  # at 0 °C
    cop_per_k: float = 0.07
    least_cop: float = 1.5

    def __post_init__(self):
        require(0 <= self.indoor_cel <= 30, self, "indoor_cel", "between 0 and 30")
        require(1 <= self.cop <= 10, self, "cop", "between 1 and 10")
        require(0 <= self.cop_per_k < 1, self, "cop_per_k", "at least 0 and below 1")
        require(1 <= self.least_cop <= self.cop, self, "least_cop", "between 1 and cop")

    def kelvin(self, outdoor_cel: float) -> float:
        """Electric power per kW/K of loss, in K."""
        cop = max(self.cop + self.cop_per_k * outdoor_cel, self.least_cop)
        return max(self.indoor_cel - outdoor_cel, 0.0) / cop


@dataclass(frozen=True)
class Chargers:
    """The street's chargers. A car that finds none free drives on. Visitors come as a Poisson process."""

    count: int = 4
    power_kw: float = 11.0
    dwell: Law = Lognormal(6.0, 0.6)
    energy_h: Law = Lognormal(1.5, 0.6)  # hours at full power until the battery is full
    visits_per_h: float = 0.0
    plug: float = 0.4  # probability that a car which comes home wants to charge

    def __post_init__(self):
        require(0 <= self.count <= 10_000, self, "count", "between 0 and 10000")
        require(0 < self.power_kw < 1000, self, "power_kw", "above 0 and below 1000")
        require(0 <= self.visits_per_h < math.inf, self, "visits_per_h", "at least 0 and finite")
        require(0 <= self.plug <= 1, self, "plug", "between 0 and 1")
