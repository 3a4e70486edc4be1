"""When to do planned work, and when to order stock: policies that decide from what they observe.

Every policy is a frozen dataclass with `decide(observation) -> actions`. The fixed ones of the textbooks (Barlow &
Hunter 1960; de Jonge & Scarf 2020) are each a number per asset and a limit on it: an age, the hours since the last
block, health as inspected or as monitored, a sensor's reading, a model's chance of failure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np

from sim.errors import InputError, require
from sim.supply import Policy as StockPolicy
from twins.channel import Role
from twins.control.account import Account, Prices
from twins.control.environment import Environment, Inspect, Moment, Observation
from twins.executors.workers import spread

Actions = tuple[Any, ...]
Chances = Callable[[Sequence[Observation]], np.ndarray]  # float[observations, assets]; of one that is down, anything


class Policy:
    """Decides from an observation; `choose` decides for several runs at once, for those with reason to."""

    privileged: ClassVar[bool] = False  # whether it sees, at no price, what nobody can: a mark, not a rival

    def decide(self, seen: Observation) -> Actions:
        raise NotImplementedError

    def choose(self, moments: Sequence[Moment]) -> list[Actions]:
        return [self.decide(now.observation) for now in moments]

    def check(self, environment: Environment) -> None:
        """Refuse, with an InputError, to decide where what the policy asks for is not there or can never be."""

    def play(self, moments: Sequence[Moment]) -> list[Moment]:
        """The end of each run from these moments on; all go in step, so that a model is asked once a decision."""
        moments = list(moments)
        while not all(now.done for now in moments):
            chosen = self.choose(moments)
            moments = [now.environment.step(now, actions) for now, actions in zip(moments, chosen, strict=True)]
        return moments


@dataclass(frozen=True)
class RunToFailure(Policy):
    """No planned work."""

    def decide(self, seen: Observation) -> Actions:
        return ()


@dataclass(frozen=True)
class Limit(Policy):
    """Planned work on each asset that is up and whose `level` has reached *limit*."""

    limit: float

    def __post_init__(self):
        require(0 < self.limit < math.inf, self, "limit", "above 0 and finite")

    def check(self, environment: Environment) -> None:
        if not environment.assets:
            raise InputError(f"{type(self).__name__} plans work, but {type(environment.twin).__name__} names no assets")

    def level(self, seen: Observation, asset: str) -> float:
        raise NotImplementedError

    def decide(self, seen: Observation) -> Actions:
        return tuple(seen.environment.maintain(asset) for asset in seen.free if self.level(seen, asset) >= self.limit)


@dataclass(frozen=True)
class Age(Limit):
    """Planned work at an age of *limit* operating hours, as the asset's hour *counter* last showed."""

    counter: str = "operating_age"

    def check(self, environment: Environment) -> None:
        super().check(environment)
        readable(self, "counter", environment)

    def level(self, seen: Observation, asset: str) -> float:
        return float(seen.read(asset, self.counter, 1)[0])  # NaN before the first reading, which reaches no limit


@dataclass(frozen=True)
class Block(Limit):
    """Planned work on every asset each *limit* hours, whatever its age."""

    def decide(self, seen: Observation) -> Actions:
        return tuple(map(seen.environment.maintain, seen.free)) if due(seen, self.limit) else ()


@dataclass(frozen=True)
class Health(Limit):
    """Planned work at a true health of *limit*, watched without error, at no price: what perfect monitoring gives."""

    truth: str = "wear"
    privileged: ClassVar[bool] = True

    def check(self, environment: Environment) -> None:
        super().check(environment)
        readable(self, "truth", environment, hidden=True)
        if reach := getattr(environment.twin, "reach", None):
            most = max(reach(asset, self.truth) for asset in environment.assets)
            require(self.limit <= most, self, "limit", f"at most {most:g}: no asset is seen beyond it before it fails")

    def level(self, seen: Observation, asset: str) -> float:
        return seen.inspect(asset, self.truth)


@dataclass(frozen=True)
class Inspection(Health):
    """The same, but health is seen only every *every_h* hours, and each look at an asset is an inspection."""

    every_h: float = 168.0
    privileged: ClassVar[bool] = False

    def __post_init__(self):
        super().__post_init__()
        require(0 < self.every_h < math.inf, self, "every_h", "above 0 and finite")

    def decide(self, seen: Observation) -> Actions:
        return (*map(Inspect, seen.free), *super().decide(seen)) if due(seen, self.every_h) else ()


@dataclass(frozen=True)
class Sensor(Limit):
    """Planned work when the median of a sensor's latest readings reaches *limit*, in the sensor's unit."""

    sensor: str = "vibration_high"
    readings: int = 36

    def __post_init__(self):
        super().__post_init__()
        require(self.readings >= 1, self, "readings", "at least 1")

    def check(self, environment: Environment) -> None:
        super().check(environment)
        readable(self, "sensor", environment)

    def level(self, seen: Observation, asset: str) -> float:
        values = seen.read(asset, self.sensor, self.readings)
        values = values[np.isfinite(values)]
        return float(np.median(values)) if len(values) else -math.inf


@dataclass(frozen=True)
class Forecast(Limit):
    """Planned work when the *chances* that a model gives of a failure within its horizon reach *limit*."""

    chances: Chances

    def decide(self, seen: Observation) -> Actions:
        return self._decide(seen, self.chances([seen])[0])

    def choose(self, moments: Sequence[Moment]) -> list[Actions]:
        seen = [now.observation for now in moments]
        return [self._decide(*one) for one in zip(seen, self.chances(seen), strict=True)]

    def _decide(self, seen: Observation, chance: np.ndarray) -> Actions:
        high = {a for a, p in zip(seen.environment.assets, chance, strict=True) if p >= self.limit}
        return tuple(seen.environment.maintain(asset) for asset in seen.free if asset in high)


@dataclass(frozen=True)
class Restock(Policy):
    """Orders for each of the environment's stores by a *policy* of `sim.supply`, (s, S) or another, at every decision.

    The inventory position is the latest *count*, which may be wrong, plus what is on order less backorders. Where there
    is no reading, nothing is ordered.
    """

    policy: StockPolicy
    count: str = "count"

    def check(self, environment: Environment) -> None:
        if not environment.stores:
            raise InputError("Restock orders stock, but Environment.stores names no store for which to decide")
        readable(self, "count", environment, of=environment.stores)
        step_h = max(environment.channels[store, self.count].step_h or 0.0 for store in environment.stores)
        if step_h > environment.every_h:
            raise InputError(
                f"Restock decides every {environment.every_h:g} h by books that are kept every {step_h:g} h, and would "
                "order twice; Environment.every_h must be at least as long"
            )

    def decide(self, seen: Observation) -> Actions:
        orders = []
        for store in seen.environment.stores:
            count, ordered, owed = (float(seen.read(store, q, 1)[0]) for q in (self.count, "on_order", "backorders"))
            if math.isfinite(position := count + ordered - owed) and (units := self.policy.order(round(position))) > 0:
                orders.append(seen.environment.twin.order(store, units))  # type: ignore[attr-defined]
        return tuple(orders)


def due(seen: Observation, every_h: float) -> bool:
    """Whether a multiple of *every_h* has come since the decision before this one."""
    time_h, slack = seen.time_h, 1e-9 * every_h
    before_h = max(time_h - seen.environment.every_h, 0.0)
    return (time_h + slack) // every_h > (before_h + slack) // every_h


def readable(
    policy: Policy, field: str, environment: Environment, hidden: bool = False, of: Sequence[str] | None = None
) -> None:
    """Refuse a policy whose *field* is no quantity of the assets, or *of* others, that can be read, or is *hidden*."""
    quantity, channels = getattr(policy, field), environment.channels
    for asset in environment.assets if of is None else of:
        known = sorted(q for (e, q), c in channels.items() if e == asset and (c.role is Role.TRUTH) == hidden)
        require(quantity in known, policy, field, f"a quantity of {asset}, {', '.join(known)}")


def play(environment: Environment, policy: Policy, seeds: Sequence[int]) -> list[Moment]:
    """The end of each world run, decided by *policy*."""
    policy.check(environment)
    return policy.play([environment.start(seed) for seed in seeds])


def accounts(
    environment: Environment,
    policies: Sequence[Policy],
    seeds: Sequence[int],
    workers: int = 1,
    progress: Callable[[int, int, str], None] | None = None,
) -> list[list[Account]]:
    """What each policy's run of each world comes to: the same worlds for all, so that differences are paired."""
    tasks = [(policy, seed) for policy in policies for seed in seeds]
    found: list[Account | None] = [None] * len(tasks)
    for done, (i, account) in enumerate(spread(partial(_account, environment), tasks, workers), 1):
        found[i] = account
        if progress is not None:
            progress(done, len(tasks), type(tasks[i][0]).__name__)
    return [found[i : i + len(seeds)] for i in range(0, len(tasks), len(seeds))]  # type: ignore[misc]


def _account(environment: Environment, task: tuple[Policy, int]) -> Account:
    policy, seed = task
    return play(environment, policy, [seed])[0].account


def hindsight(prices: Prices, runs: Sequence[Sequence[Account]]) -> list[Account]:
    """Of each world the cheapest of several policies' runs: who knows the future knows which plan to follow."""
    return [min(world, key=prices.cost) for world in zip(*runs, strict=True)]


def cost_rate(prices: Prices, runs: Sequence[Account]) -> float:
    """Cost per hour of all runs together."""
    return sum(map(prices.cost, runs)) / sum(run.hours for run in runs)
