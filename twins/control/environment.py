"""Any twin as an environment: run, observe, act, again and again; what can be seen then, and what has been spent.

    environment = Environment(twin, Prices(failure=8, planned=2), every_h=12)
    now = environment.start(seed=1)
    while not now.done:
        now = environment.step(now, policy.decide(now.observation))

A `Moment` is a value: step twice from the same one and there are two futures, paired by common random numbers. An
`Observation` holds what has happened and never the state, so nothing in it can tell the future.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from sim.errors import InputError, require
from sim.trace import Event, Key, Signal, Trace
from twins.channel import Channel, Role
from twins.control.account import Account, Prices
from twins.episode import Episode, Series
from twins.sensors.render import samples_before
from twins.twin import Twin
from twins.varied import twin_of

RECENT = 32  # stretches that are kept apart, so that a reading of the latest samples need not look at all of the past


@dataclass(frozen=True)
class Inspect:
    """An action of the environment's own: someone has looked at an asset's true health. It is logged and priced."""

    asset: str


@dataclass(frozen=True)
class Book:
    """An action of the environment's own: planned work on an asset, to be done when the lead time is over.

    It falls through, at no price, where the asset is down by then or has been renewed in the meantime.
    """

    asset: str


class Booking(NamedTuple):
    """Planned work that is ordered and not yet done."""

    due_h: float
    asset: str
    since_h: float


class _Value:
    """Pickles without what is cached."""

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]


@dataclass(frozen=True)
class Environment(_Value):
    """A twin whose world is run to its next decision, every *every_h* hours, until *duration_h*.

    Policies inside the world are held from the start (`twin.hold`), so that decisions are made here alone; those of
    stock points only where they are among *stores*. Planned work is done *lead_h* after it was ordered: a crew and
    parts have to be booked. What is ordered for a store takes the lead time of the world's own.
    """

    twin: Twin
    prices: Prices = Prices()
    every_h: float = 24.0
    duration_h: float = 1440.0
    lead_h: float = 0.0
    stores: tuple[str, ...] = ()

    def __post_init__(self):
        require(0 < self.every_h < math.inf, self, "every_h", "above 0 and finite")
        require(0 < self.duration_h < math.inf, self, "duration_h", "above 0 and finite")
        require(0 <= self.lead_h < math.inf, self, "lead_h", "at least 0 and finite")
        object.__setattr__(self, "stores", tuple(self.stores))
        kept = tuple(getattr(self.twin, "stores", ()))
        has = f"among {', '.join(kept)}" if kept else f"none, as {type(self.twin).__name__} keeps no stock"
        require(set(self.stores) <= set(kept), self, "stores", has)
        require(len(set(self.stores)) == len(self.stores), self, "stores", "each store once")

    @cached_property
    def assets(self) -> tuple[str, ...]:
        """What can be maintained; nothing where the twin names none."""
        return tuple(getattr(self.twin, "assets", ()))

    @cached_property
    def channels(self) -> dict[Key, Channel]:
        return {channel.key: channel for channel in self.twin.channels}

    def maintain(self, asset: str) -> Any:
        """The action that orders planned work on an asset."""
        return Book(asset) if self.lead_h else self.twin.maintain(asset)  # type: ignore[attr-defined]

    def named(self, asset: str) -> str:
        """The asset itself; one that is not there is an InputError."""
        if asset not in self.assets:
            raise InputError(f"no asset {asset!r} to look after; there is {', '.join(self.assets) or 'none'}")
        return asset

    def start(self, seed: int) -> Moment:
        """0 h of the world run *seed*: nothing has been seen yet."""
        if (twin := twin_of(self.twin, seed)) is not self.twin:
            own = replace(self, twin=twin)
            if own.assets != self.assets:
                raise InputError(
                    f"run {seed} has the assets {', '.join(own.assets)}, others {', '.join(self.assets)}; where "
                    "decisions are made, runs may vary in all but what is to be maintained"
                )
            return own.start(seed)
        world, state = self.twin.world, self.twin.world.start(seed)
        hold = getattr(self.twin, "hold", lambda asset: None)
        held = [*filter(None, map(hold, self.assets)), *(self.twin.suspend(store) for store in self.stores)]  # type: ignore[attr-defined]
        for action in held:
            state = world.act(state, action)
        trace, state = world.run(state, 0.0)
        return Moment(self, state, (trace,))

    def step(self, now: Moment, actions: Sequence[Any] = ()) -> Moment:
        """The moment of the next decision, after *actions* of the world's or `Inspect`."""
        if now.done:
            raise InputError(f"the run of {self.duration_h:g} h is over; start another one")
        number = math.floor(now.time_h / self.every_h + 1e-9) + 1
        return self.run(now, actions, min(number * self.every_h, self.duration_h))

    def run(self, now: Moment, actions: Sequence[Any], until_h: float) -> Moment:
        """What *actions* lead to by *until_h*, which need not be the time of a decision."""
        for action in actions:
            if isinstance(action, Book) and self.named(action.asset) not in (b.asset for b in now.booked):
                booking = Booking(now.time_h + self.lead_h, action.asset, now.time_h)
                now = replace(now, booked=(*now.booked, booking))
        actions = [action for action in actions if not isinstance(action, Book)]
        while now.booked and now.booked[0].due_h < until_h:
            due_h = now.booked[0].due_h
            if due_h > now.time_h:
                now, actions = self._run(now, actions, due_h), []
            up, renewed_h = now.observation.up, now.observation.renewed_h
            due = [b for b in now.booked if b.due_h == due_h]
            ready = [b.asset for b in due if b.asset in up and renewed_h.get(b.asset, 0.0) <= b.since_h]
            actions = [*actions, *(self.twin.maintain(asset) for asset in ready)]  # type: ignore[attr-defined]
            now = replace(now, booked=now.booked[len(due) :])
        return self._run(now, actions, until_h)

    def _run(self, now: Moment, actions: Sequence[Any], until_h: float) -> Moment:
        world, state, seen = self.twin.world, now.state, []
        for action in actions:
            if isinstance(action, Inspect):
                seen.append(Event(now.time_h, self.named(action.asset), "inspection"))
            else:
                state = world.act(state, action)
        trace, state = world.run(state, until_h)
        if seen:
            trace = Trace(trace.seed, trace.start_h, trace.end_h, trace.signals, (*seen, *trace.events))
        past = (*now.past, trace)
        if len(past) > 2 * RECENT:
            past = (past[0].then(*past[1:RECENT]), *past[RECENT:])
        made = getattr(self.twin, "made", lambda trace: (0.0, 0.0))(trace)
        spent = self.twin.spent(trace) if self.stores else 0.0  # type: ignore[attr-defined]
        total = (now.made[0] + made[0], now.made[1] + made[1], now.made[2] + spent)
        return Moment(self, state, past, total, now.booked)


@dataclass(frozen=True)
class Moment(_Value):
    """The truth at the time of a decision: the world's state, and consecutive traces of all that led to it."""

    environment: Environment
    state: Any
    past: tuple[Trace, ...]
    made: tuple[float, float, float] = (0.0, 0.0, 0.0)  # parts, parts lost, and what stock has cost
    booked: tuple[Booking, ...] = ()  # by the time at which they are due

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Moment of run {self.past[0].seed} at {self.time_h:g} h of {self.environment.duration_h:g} h>"

    @property
    def time_h(self) -> float:
        return self.past[-1].end_h

    @property
    def done(self) -> bool:
        return self.time_h >= self.environment.duration_h

    @cached_property
    def observation(self) -> Observation:
        return Observation(self.environment, self.past, self.booked)

    @property
    def trace(self) -> Trace:
        """All of the past as one trace."""
        return self.past[0].then(*self.past[1:])

    @cached_property
    def account(self) -> Account:
        """What has happened so far."""
        kept = (*self.environment.assets, *self.environment.stores)
        events = [event for event in self.observation.events if event.entity in kept]
        return Account.of(events, len(kept), self.time_h, *self.made)

    @property
    def cost(self) -> float:
        """What has been spent so far."""
        return self.environment.prices.cost(self.account)


@dataclass(frozen=True)
class Observation(_Value):
    """What can be seen at a decision: sensors and events before it, and for those who inspect, the truth at it."""

    environment: Environment
    past: tuple[Trace, ...]
    booked: tuple[Booking, ...] = ()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Observation of run {self.run} at {self.time_h:g} h>"

    @property
    def run(self) -> int:
        """The world run's seed."""
        return self.past[0].seed

    @property
    def time_h(self) -> float:
        return self.past[-1].end_h

    @cached_property
    def events(self) -> tuple[Event, ...]:
        return tuple(chain.from_iterable(trace.events for trace in self.past))

    @cached_property
    def up(self) -> tuple[str, ...]:
        """The assets that are not down, for repair or planned work."""
        last = {e.entity: e.kind for e in self.events if e.kind in ("failure", "planned", "renewal")}
        return tuple(a for a in self.environment.assets if last.get(a, "renewal") == "renewal")

    @cached_property
    def free(self) -> tuple[str, ...]:
        """The assets that are up and for which no work is booked."""
        booked = {booking.asset for booking in self.booked}
        return tuple(asset for asset in self.up if asset not in booked)

    @cached_property
    def renewed_h(self) -> dict[str, float]:
        """When the last work on each asset ended, of those on which there was any."""
        return {e.entity: e.time_h for e in self.events if e.kind == "renewal"}

    def read(self, entity: str, quantity: str, count: int) -> np.ndarray:
        """The latest *count* readings of a sensor, float32[count], NaN where missing or before 0 h.

        They are, bit for bit, those of the offline dataset of the same run. Hidden truth is refused.
        """
        channel = self._channel(entity, quantity)
        if channel.role is Role.TRUTH:
            raise InputError(f"{entity}/{quantity} is hidden truth, which no sensor reads; a policy may inspect it")
        step_h, out = channel.step_h, np.full(count, np.nan, np.float32)
        if step_h is None:
            values = self.environment.twin.render(self._whole, channel, 0, self._owned(channel))[-count:]
        else:
            end = samples_before(self.time_h, step_h)
            start = max(end - count, 0)
            trace = self._whole if channel.memory else self._since(start * step_h)
            values = self.environment.twin.render(trace, channel, start, end - start) if end else out[:0]
        out[count - len(values) :] = values
        return out

    def inspect(self, entity: str, quantity: str) -> float:
        """The truth at this very time. A policy that pays for it hands `Inspect` in among its actions."""
        channel = self._channel(entity, quantity)
        return float(channel.reading(self._whole if channel.memory else self.past[-1]).at(self.time_h))

    def episode(self, asset: str, count: int) -> Episode:
        """The latest *count* readings of every sensor of an asset, as an episode that begins with the first of them."""
        channels = [c for c in self.environment.channels.values() if c.entity == asset and c.role is not Role.TRUTH]
        series = tuple(
            Series(*c.key, c.unit, c.role, self.read(*c.key, count), step_h=c.step_h) for c in channels if c.step_h
        )
        start_h = max((samples_before(self.time_h, s.step_h or 1.0) - count) * (s.step_h or 1.0) for s in series)
        epoch = getattr(self.environment.twin, "epoch", Episode.epoch)
        shifted = datetime.fromisoformat(epoch) + timedelta(seconds=round(start_h * 3600))
        return Episode(self.run, asset, series, epoch=shifted.isoformat(), end_h=self.time_h - start_h)

    def _channel(self, entity: str, quantity: str) -> Channel:
        channels = self.environment.channels
        if (entity, quantity) not in channels:
            known = sorted({q for e, q in channels if e == entity}) or sorted({e for e, _ in channels})
            raise InputError(f"no channel {entity}/{quantity}; there is {', '.join(known)}")
        return channels[entity, quantity]

    def _owned(self, channel: Channel) -> int:
        return int(np.searchsorted(channel.reading(self._whole).time_h, self.time_h))

    @cached_property
    def _whole(self) -> Trace:
        return self._since(0.0)

    def _since(self, start_h: float) -> Trace:
        """The past from *start_h* or somewhat earlier on."""
        first = next(i for i in reversed(range(len(self.past))) if self.past[i].start_h <= start_h)
        kept = self.past[first:]
        return Trace(kept[0].seed, kept[0].start_h, kept[-1].end_h, _Joined(kept), self.events)


class _Joined(Mapping[Key, Signal]):
    """The signals of consecutive traces, each joined when it is first looked at: few are, and joining copies."""

    def __init__(self, traces: Sequence[Trace]):
        self._traces, self._found = traces, {}

    def __getitem__(self, key: Key) -> Signal:
        if key not in self._found:
            first, *later = (trace.signals[key] for trace in self._traces)
            self._found[key] = first.then(*later)
        return self._found[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._traces[0].signals)

    def __len__(self) -> int:
        return len(self._traces[0].signals)
