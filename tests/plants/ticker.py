"""A small world and twin for tests of what carries worlds and twins; an importable module, so that workers find it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sim.errors import InputError
from sim.laws import Exponential
from sim.streams import Streams
from sim.trace import Event, Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import CENSORED, Episode, Series, Spell


@dataclass(frozen=True)
class TickState:
    seed: int
    time_h: float
    next_h: float
    level: float
    streams: Streams


@dataclass(frozen=True)
class Ticker:
    """A counter that ticks at exponential times."""

    mean_h: float = 2.0
    revision: int = 1

    def start(self, seed):
        streams = Streams(seed, ["tick"])
        return TickState(seed, 0.0, streams["tick"].draw(Exponential(self.mean_h)), 0.0, streams)

    def run(self, state, until_h):
        streams, next_h, level = state.streams.copy(), state.next_h, state.level
        times, values, events = [state.time_h], [level], []
        while next_h < until_h:
            level += 1.0
            times.append(next_h)
            values.append(level)
            events.append(Event(next_h, "counter", "tick", "", level))
            next_h += streams["tick"].draw(Exponential(self.mean_h))
        trace = Trace(
            state.seed, state.time_h, until_h, {("counter", "level"): Signal.step(times, values)}, tuple(events)
        )
        return Run(trace, replace(state, time_h=until_h, next_h=next_h, level=level, streams=streams))

    def act(self, state, action):
        return state

    def resample(self, state, seed):
        return replace(state, seed=seed, streams=state.streams.rekeyed(seed))


@dataclass(frozen=True)
class TickerTwin:
    """Two assets of one counter: a gauge every half hour, and the ticks themselves at their own times."""

    world: Ticker = Ticker()
    step_h: float = 0.5
    empty: bool = False  # no series
    bad_seed: int | None = None  # this run fails
    broken: bool = False  # … and not by the user's fault
    deadly_seed: int | None = None  # this run ends its process
    ticks: bool = True  # False: no samples at all
    work_s: float = 0.0  # processor time that a run takes
    revision: int = 1

    @property
    def channels(self):
        return (Channel("counter", "level", "1", Role.TARGET, lambda trace: trace["counter", "level"], self.step_h),)

    def observe(self, run):
        trace = run.trace
        mishap(trace.seed)
        if trace.seed == self.bad_seed:
            raise (
                ZeroDivisionError("the gauge divides by zero")
                if self.broken
                else InputError("the gauge is upside down")
            )
        if trace.seed == self.deadly_seed:
            os._exit(7)
        end_s = time.process_time() + self.work_s
        while time.process_time() < end_s:
            pass
        level = trace["counter", "level"]
        for asset, gain in (("left", 1.0), ("right", 2.0)):
            count = int(np.ceil(trace.end_h / self.step_h)) if self.ticks else 0
            noise = np.random.default_rng([trace.seed, int(gain)]).normal(size=count)
            values = (gain * level.at(np.arange(count) * self.step_h) + noise).astype(np.float32)
            values[::17] = np.nan
            gauge = Series("counter", "level", "1", Role.TARGET, values, 0.0, self.step_h)
            ticks = Series(
                "counter", "tick", "1", Role.PAST, level.value[1:].astype(np.float32), times_h=level.time_h[1:]
            )
            if not self.ticks:
                yield Episode(trace.seed, asset, (gauge,))
                continue
            spawned = multiprocessing.parent_process() is not None  # this process may have it from other tests
            flag = np.float32([spawned and "jax" in sys.modules])
            jax = Series("counter", "jax", "1", Role.TRUTH, flag, 0.0, self.step_h)
            yield Episode(
                trace.seed,
                asset,
                () if self.empty else (gauge, ticks, jax),
                trace.events,
                (Spell(0.0, trace.end_h, CENSORED, trace.end_h),),
                {"gain": gain, "side": asset},
                {"ticks": float(len(trace.events))},
                "2025-03-01T00:00:00",
                trace.end_h,
            )

    def render(self, trace, channel, start, count):
        clock_h = np.arange(start, start + count) * self.step_h
        return trace[channel.key].at(clock_h).astype(np.float32)


def mishap(seed: int) -> None:
    """Take a file `<seed>-kill-…` or `<seed>-raise-…` from the folder TICKER_MISHAPS, and do what it says."""
    for path in sorted(Path(os.environ.get("TICKER_MISHAPS", os.devnull)).glob(f"{seed}-*")):
        path.unlink()
        if "-kill-" in path.name:
            os.kill(os.getpid(), signal.SIGKILL)
        raise OSError("the disk is elsewhere")
