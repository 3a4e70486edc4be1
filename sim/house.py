"""A housing market, the smallest world: homes come to market and are sold; price is linear in floor area plus noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from scipy.special import ndtri

from sim.errors import InputError, require
from sim.kernel import Kernel
from sim.laws import UNIT, Exponential, Law, Lognormal, Residual
from sim.streams import Streams
from sim.trace import Event, Run, Signal, Trace

MARKET = "market"
LISTING, AREA, SALE, NOISE, OFFER = (f"{MARKET}/{name}" for name in ("listing", "area", "sale", "noise", "offer"))


class Home(NamedTuple):
    """A home on the market. The sale time is drawn and not yet revealed."""

    number: int
    area_m2: float
    listed_h: float
    sale_h: float


@dataclass(frozen=True)
class Offer:
    """Action: one more home comes to market, now."""

    area_m2: float

    def __post_init__(self):
        require(0 < self.area_m2 < math.inf, self, "area_m2", "above 0")


@dataclass
class State:
    """The market at `time_h`, before what is due at that very time."""

    seed: int
    time_h: float
    streams: Streams
    listing_h: float  # when the next home comes to market
    last_listing_h: float = 0.0
    homes: list[Home] = field(default_factory=list)  # on the market, by number
    numbered: int = 0  # homes that have come to market
    changed_h: float = 0.0  # when the number on the market last changed
    sold_h: float = 0.0  # the last sale, 0 before the first
    area_m2: float = 0.0
    price_keur: float = 0.0
    actions: list[Offer] = field(default_factory=list)  # to be carried out first by the next run that takes any time


@dataclass(frozen=True)
class House:
    """Homes with uniform floor area; sold for intercept + slope · area + normal noise, in thousands of euros.

    Signals of `market`, all steps: `area` (m²) and `price` (thousands of euros) of the last sale, both 0 before the
    first, with a breakpoint a sale; `listed`, the number of homes on the market. Events: `listed` (value: area),
    `sold` (value: price), `action` (value: area).
    """

    intercept_keur: float = 50.0
    slope_keur_per_m2: float = 3.0
    noise_keur: float = 20.0  # standard deviation; 0 makes the price a function of the area
    area_min_m2: float = 40.0
    area_max_m2: float = 200.0
    listing: Law = Exponential(24.0)  # time between homes that come to market
    sale: Law = Lognormal(720.0, 0.8)  # time on the market

    revision = 1

    def __post_init__(self):
        require(math.isfinite(self.intercept_keur), self, "intercept_keur", "finite")
        require(math.isfinite(self.slope_keur_per_m2), self, "slope_keur_per_m2", "finite")
        require(0 <= self.noise_keur < math.inf, self, "noise_keur", "at least 0 and finite")
        require(self.area_min_m2 > 0, self, "area_min_m2", "above 0")
        ok = self.area_min_m2 <= self.area_max_m2 < math.inf
        require(ok, self, "area_max_m2", f"at least {self.area_min_m2} and finite")

    def start(self, seed: int) -> State:
        streams = Streams(seed, (LISTING, AREA, SALE, NOISE, OFFER))
        return State(seed, 0.0, streams, listing_h=streams[LISTING].draw(self.listing))

    def run(self, state: State, until_h: float) -> Run:
        if not state.time_h <= until_h < math.inf:
            raise InputError(f"cannot run to {until_h} h a market that is at {state.time_h} h")
        s = _copy(state)
        kernel = Kernel(s.time_h)
        areas = [(s.sold_h, s.area_m2)]
        prices = [(s.sold_h, s.price_keur)]
        listed = [(s.changed_h, float(len(s.homes)))]
        events: list[Event] = []

        def change() -> None:
            s.changed_h = kernel.now
            listed.append((kernel.now, float(len(s.homes))))

        def put_on_market(area_m2: float, sale_h: float) -> None:
            home = Home(s.numbered, area_m2, kernel.now, kernel.now + sale_h)
            s.numbered += 1
            s.homes.append(home)
            events.append(Event(kernel.now, f"h{home.number}", "listed", value=area_m2))
            change()
            await_sale(home)

        def await_sale(home: Home) -> None:
            kernel.at(home.sale_h, home.number + 1, lambda _: sell(home))

        def sell(home: Home) -> None:
            s.homes.remove(home)
            s.sold_h, s.area_m2, s.price_keur = kernel.now, home.area_m2, self._price_keur(home.area_m2, s.streams)
            areas.append((s.sold_h, s.area_m2))
            prices.append((s.sold_h, s.price_keur))
            events.append(Event(s.sold_h, f"h{home.number}", "sold", value=s.price_keur))
            change()

        def arrive(_: object = None) -> None:
            s.last_listing_h = kernel.now
            s.listing_h = kernel.now + s.streams[LISTING].draw(self.listing)
            put_on_market(self._area_m2(s.streams), s.streams[SALE].draw(self.sale))
            kernel.at(s.listing_h, 0, arrive)

        for home in s.homes:
            await_sale(home)
        kernel.at(s.listing_h, 0, arrive)
        if until_h > s.time_h:
            for offer in s.actions:
                events.append(Event(s.time_h, MARKET, "action", "Offer", offer.area_m2))
                put_on_market(offer.area_m2, s.streams[OFFER].draw(self.sale))
            s.actions.clear()
        kernel.run_to(until_h)
        s.time_h = until_h
        named = {"area": areas, "price": prices, "listed": listed}
        signals = {(MARKET, name): Signal.step(*zip(*points, strict=True)) for name, points in named.items()}
        return Run(Trace(s.seed, state.time_h, until_h, signals, tuple(events)), s)

    def act(self, state: State, action: Offer) -> State:
        if not isinstance(action, Offer):
            raise InputError(f"the action is {action!r}; House takes Offer(area_m2)")
        s = _copy(state)
        s.actions.append(action)
        return s

    def resample(self, state: State, seed: int) -> State:
        """The sales of the homes on the market and the next arrival are redrawn given how long each has taken."""
        s = _copy(state)
        s.seed, s.streams = seed, state.streams.rekeyed(seed)
        now_h = s.time_h
        s.listing_h = now_h + s.streams[LISTING].draw(Residual(self.listing, now_h - s.last_listing_h))
        s.homes = [
            home._replace(sale_h=now_h + s.streams[SALE].draw(Residual(self.sale, now_h - home.listed_h)))
            for home in s.homes
        ]
        return s

    def _area_m2(self, streams: Streams) -> float:
        return float(round(self.area_min_m2 + (self.area_max_m2 - self.area_min_m2) * streams[AREA].draw(UNIT)))

    def _price_keur(self, area_m2: float, streams: Streams) -> float:
        noise_keur = self.noise_keur * float(ndtri(streams[NOISE].draw(UNIT)))
        return self.intercept_keur + self.slope_keur_per_m2 * area_m2 + noise_keur


def _copy(state: State) -> State:
    return replace(state, streams=state.streams.copy(), homes=state.homes[:], actions=state.actions[:])
