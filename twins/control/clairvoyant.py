"""Plans made by one who knows how a run goes on: a search through its decisions, with the world itself as the judge.

What is found is a plan that can be carried out, played in the same world as every policy: no bound from below, but
what knowledge of the future is known to be worth. Nobody can compute the best plan of assets that share a crew and
hold one another up; a single asset's can be, and there a search that is wide enough finds it (`reach=None`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

from sim.errors import InputError, require
from twins.control.environment import Environment, Moment, Observation
from twins.control.policies import Actions, Policy, readable


class Way(NamedTuple):
    """How a run may have gone so far, and what is to come if nothing more is ordered."""

    score: float  # what it has cost and will, less what can still be prevented
    now: Moment
    fails_h: dict[str, float]  # when each asset fails that is up, within what is foreseen


@dataclass(frozen=True)
class Clairvoyant(Policy):
    """Knows all that is to come of this very run. It follows the *width* most promising ways at once (a beam).

    At each decision a way parts in two for each asset that would fail before the order after next of those that can
    save it, *reach* of them: work is ordered, or is not. Ways are told apart by their cost up to the decision, what the
    next *ahead* decisions bring without orders, where a failure that can still be prevented counts as planned work, and
    the life that is used up by then, as a share of planned work (*truth*: wear from 0 to 1, or None).
    """

    width: int = 2
    reach: int | None = 1  # None: any asset that is up, at any time
    ahead: int = 4
    truth: str | None = "wear"
    privileged: ClassVar[bool] = True

    def __post_init__(self):
        require(self.width >= 1, self, "width", "at least 1")
        require(self.reach is None or self.reach >= 1, self, "reach", "None or at least 1")
        require(self.ahead >= 1, self, "ahead", "at least 1")

    def check(self, environment: Environment) -> None:
        if not environment.assets:
            raise InputError(f"Clairvoyant plans work, but {type(environment.twin).__name__} names no assets")
        if self.truth is not None:
            readable(self, "truth", environment, hidden=True)

    def decide(self, seen: Observation) -> Actions:
        raise TypeError("an observation does not tell the future; a clairvoyant plans from the moment itself")

    def play(self, moments: Sequence[Moment]) -> list[Moment]:
        return [self.finish(now) for now in moments]

    def finish(self, now: Moment) -> Moment:
        """The end of the cheapest way on from *now* that was found."""
        ways = [self._way(now)]
        while not ways[0].now.done:
            on = [
                self._way(way.now.environment.step(way.now, actions)) for way in ways for actions in self._choices(way)
            ]
            ways = sorted(on, key=lambda way: way.score)[: self.width]
        return ways[0].now

    def _choices(self, way: Way) -> Iterator[Sequence[Any]]:
        now, environment = way.now, way.now.environment
        assets: Sequence[str] = now.observation.free
        if self.reach is not None:
            until_h = now.time_h + environment.lead_h + self.reach * environment.every_h
            from_h = now.time_h + environment.lead_h
            assets = [asset for asset in assets if from_h <= way.fails_h.get(asset, math.inf) < until_h]
        sizes = range(len(assets) + 1) if len(assets) < 4 or self.reach is None else (0, 1, len(assets))
        for size in sizes:
            for chosen in itertools.combinations(assets, size):
                yield tuple(map(environment.maintain, chosen))

    def _way(self, now: Moment) -> Way:
        environment = now.environment
        if now.done:
            return Way(now.cost, now, {})
        prices, from_h = environment.prices, now.time_h + environment.lead_h
        until_h = min(from_h + self.ahead * environment.every_h, environment.duration_h)
        future = environment.run(now, (), until_h)
        fails_h: dict[str, float] = {}
        later = 0
        for event in future.observation.events[len(now.observation.events) :]:
            if event.kind == "failure" and event.entity in environment.assets:
                fails_h.setdefault(event.entity, event.time_h)
                later += event.time_h >= from_h
        score = future.cost - later * max(prices.failure - prices.planned, 0.0)
        if self.truth is not None and until_h < environment.duration_h:
            worn = sum(future.observation.inspect(asset, self.truth) for asset in environment.assets)
            score += prices.planned * worn
        return Way(score, now, fails_h)
