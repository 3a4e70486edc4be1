"""Homes joined by a low-voltage network behind one transformer."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import ClassVar

from sim.errors import InputError, require
from sim.feeder import process
from sim.feeder.config import Cable, Protection, ReplaceTransformer, SetBattery, Theft, Windings
from sim.feeder.names import BATTERY
from sim.feeder.state import State
from sim.feeder.street import street
from sim.grid.network import Network
from sim.homes import CHARGERS, WEATHER, Call, Homes
from sim.homes.battery import Battery
from sim.homes.transformer import NORMAL_LIFE_H, Transformer
from sim.laws import Law, Lognormal, Uniform, Weibull
from sim.trace import Key, Run


@dataclass(frozen=True)
class Feeder:
    """A street of homes behind one transformer, which warms, ages and fails. Implements World.

    Homes and businesses live as they would without a feeder; while it is dark they draw and give nothing. The
    transformer's load is the mean over each interval of *step_h* of what they, chargers and battery draw together, all
    at one *power_factor*, cable losses left out; its temperatures follow from it interval by interval (IEC 60076-7),
    and life is used up at the rate that the hot spot had at the interval's beginning. It fails when its *life* is used
    up, a law of hours at the rate of 1, or by chance after a *sudden* time. The new one is of any of *sizes_kva* alike.

    Against minutes, quarters of an hour leave the ageing of 7 homes on 15 kVA within 1 %, their hot spot within .4 K in
    the mean and 8 K at its peaks (.2 and 1.5 K with 36 homes on 60 kVA).

    A *network* is a street's cable by default, or any whose load points are named as households and businesses,
    `chargers` (if there are any) and `battery` (if there is one), with one source: the transformer's busbar.
    """

    homes: Homes = Homes()
    transformer: Transformer = Transformer(paper="upgraded")
    sizes_kva: tuple[float, ...] = ()  # of what is in store; empty: the same as at first
    life: Law | None = Weibull(NORMAL_LIFE_H, 4.0)  # None: paper does not matter
    used: Law | None = None  # hours of life used up at the start; None: new
    sudden: Law | None = None
    replacement: Law = Lognormal(24.0, 0.5)  # of a failed one
    planned: Law = Uniform(3.0, 6.0)  # hours without supply where it is replaced by hand
    protection: Protection | None = Protection()
    theft: Theft | None = None
    battery: Battery | None = None
    network: Network | None = None
    cable: Cable = Cable()
    windings: Windings = Windings()
    source_pu: float = 1.03  # voltage behind the transformer, which is what its tap makes of it without a load
    power_factor: float = 0.95
    load_at_start: float = 0.3  # the steady state in which it begins, in parts of what is rated
    step_h: float = 0.25

    revision: ClassVar[int] = 1

    def __post_init__(self):
        object.__setattr__(self, "sizes_kva", tuple(float(x) for x in self.sizes_kva))
        require(all(0 < x < math.inf for x in self.sizes_kva), self, "sizes_kva", "above 0 and finite")
        require(0.1 <= self.power_factor <= 1, self, "power_factor", "between .1 and 1")
        require(0.8 <= self.source_pu <= 1.2, self, "source_pu", "between .8 and 1.2")
        require(0 <= self.load_at_start <= 2, self, "load_at_start", "between 0 and 2")
        per_hour = 1 / self.step_h if self.step_h else 0.0
        whole = 1 <= per_hour <= 3600 and abs(per_hour - round(per_hour)) < 1e-6
        require(whole, self, "step_h", "an hour divided by a whole number of at most 3600")
        lossless = self.battery is None or not self.battery.loss_per_h
        require(lossless, self, "battery", "one that holds what it has: loss_per_h of 0")
        if self.network is not None:
            self._check(self.network)

    def __getstate__(self):
        return {field.name: getattr(self, field.name) for field in fields(self)}  # what is cached is left behind

    def _check(self, network: Network) -> None:
        named = {point.name for point in network.load_points}
        wanted = set(self.points)
        if wanted != named:
            odd = min(wanted ^ named)
            must = "needs one of that name" if odd in wanted else "knows nothing of that name"
            raise InputError(f"Feeder.network: load point {odd!r}: the feeder {must}; it has {', '.join(self.points)}")
        require(len(network.sources) == 1, self, "network", "one with a single source, the transformer's busbar")

    @property
    def points(self) -> tuple[str, ...]:
        """The names of all that draws power, each at a load point of the network."""
        chargers = (CHARGERS,) if self.homes.chargers.count else ()
        return (*self.homes.names, *self.homes.business_names, *chargers, *((BATTERY,) if self.battery else ()))

    @cached_property
    def wires(self) -> Network:
        """The network behind the transformer's busbar."""
        return self.network or street(self.points, self.cable)

    @property
    def sizes(self) -> tuple[float, ...]:
        """Every rating, in kVA, that a transformer here may have, increasing."""
        return tuple(sorted({self.transformer.rated_kva, *self.sizes_kva}))

    @cached_property
    def transformers(self) -> dict[float, Transformer]:
        return {kva: replace(self.transformer, rated_kva=kva) for kva in self.sizes}

    @cached_property
    def powers(self) -> tuple[tuple[Key, float], ...]:
        """The signals of the homes whose weighted sum, with standby, is what all of them draw, in kW."""
        kinds = [self.homes.household(name) for name in self.homes.names]
        common = (
            ((WEATHER, "heat"), sum(kind.heat_kw_per_k for kind in kinds)),
            ((WEATHER, "irradiance"), -sum(kind.pv_kw for kind in kinds)),
        )
        own = [((name, part), 1.0) for name in self.homes.names for part in ("uses", "fridge")]
        own += [((name, "power"), 1.0) for name in self.homes.business_names]
        return (((CHARGERS, "power"), 1.0), *(pair for pair in common if pair[1]), *own)

    @cached_property
    def standby_kw(self) -> float:
        return sum(self.homes.household(name).standby_kw for name in self.homes.names)

    def start(self, seed: int) -> State:
        """Homes as they start, and the transformer in the steady state of *load_at_start*."""
        return process.start(self, seed)

    def run(self, state: State, until_h: float) -> Run:
        """Run to *until_h*; see `sim.world.World`. Signals and events are listed in the package's docstring."""
        return process.run(self, state, until_h)

    def act(self, state: State, action: Call | SetBattery | ReplaceTransformer) -> State:
        """Heating that is called off (Call, passed on to the homes), an order to the battery, or a new transformer."""
        if isinstance(action, Call):
            return replace(state, homes=self.homes.act(state.homes, action))
        if not isinstance(action, SetBattery | ReplaceTransformer):
            raise InputError(f"the action is {action!r}; a feeder takes Call, SetBattery or ReplaceTransformer")
        if isinstance(action, SetBattery) and self.battery is None:
            raise InputError(f"the action is {action!r}, but the feeder has no battery")
        state = state.copy()
        state.actions.append(action)
        return state

    def resample(self, state: State, seed: int) -> State:
        """A copy with another future: lives, repairs, thefts to come and all that homes have not shown are redrawn."""
        return process.resample(self, state, seed)
