"""The mark above: what can be known at a moment from the world's true state and the true state of the sensors' noise.

A world is run once to each anchor, and from there into many resampled futures. One future serves every asset asked for
at its anchor, unless an asset's policy has to be held for it. What comes back are the members themselves, so that a
score can remove the sampling error of their mean. Each world run's part is kept on disk by what it depends on.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np

from sim.errors import InputError
from sim.trace import Key, Signal, Trace
from sim.world import World
from twins.channel import Channel
from twins.dataset import files
from twins.dataset.identity import describe, identity
from twins.executors.workers import spread
from twins.sensors.noise import Noise, address
from twins.sensors.render import sweep
from twins.twin import Twin
from twins.varied import Varied, twin_of

Progress = Callable[[int, int, str], None]  # world runs done, world runs in all, what is going on


class Ask(NamedTuple):
    """When does this asset fail, counted from *time_h* of the world run *run*?"""

    run: int
    asset: str
    time_h: float


class SeriesAsk(NamedTuple):
    """What do these channels read from sample *start* on? The past ends with sample start − 1."""

    run: int
    keys: tuple[Key, ...]
    start: int


def futures(world: World, state: Any, count: int, until_h: float, seed: int) -> Iterator[Trace]:
    """*count* resampled futures of *state*, each under a seed drawn from *seed*, the state's seed and its time."""
    for i in range(count):
        name = f"{seed}/{state.seed}/{state.time_h!r}/{i}"
        key = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
        yield world.run(world.resample(state, key), until_h).trace


def failures(
    twin: Twin,
    asks: Sequence[Ask],
    horizon_h: float,
    count: int,
    seed: int = 0,
    workers: int = 1,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Hours to the asset's first failure in each future, float32[asks, count]; inf where none comes within the horizon.

    The share of members below a horizon is the probability of a failure within it, p(1 − p)/(count − 1) the variance
    of that share. An optional `twin.hold(asset)` gives the action that keeps a policy from ending the life.
    """
    _refuse(count, horizon_h)
    work = partial(_failures, twin, float(horizon_h), count, seed)
    held = sorted({ask.asset for ask in asks if _hold(twin, ask.asset) is not None})
    about = [
        "failures",
        describe(twin if isinstance(twin, Varied) else twin.world),
        twin.world.revision,
        held,
        float(horizon_h),
        count,
        seed,
    ]
    return by_run(work, about, asks, cache, workers, progress)


def forecasts(
    twin: Twin,
    asks: Sequence[SeriesAsk],
    horizon: int,
    count: int,
    seed: int = 0,
    workers: int = 1,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """Futures of channels as their sensors would read them, without gaps, float32[asks, keys, count, horizon].

    Autocorrelated noise and drift go on from where they truly stand at the anchor. Each ask has equally many keys, of
    channels with one step.
    """
    _refuse(count, horizon)
    if len({len(ask.keys) for ask in asks}) > 1:
        raise InputError("the asks of one series oracle need equally many channels each")
    work = partial(_forecasts, twin, horizon, count, seed)
    about = ["forecasts", describe(twin), twin.world.revision, twin.revision, horizon, count, seed]
    return by_run(work, about, asks, cache, workers, progress)


def _refuse(count: int, horizon: float) -> None:
    if count < 2 or horizon <= 0:
        raise InputError(f"an oracle needs at least 2 futures and a horizon above 0, not {count} and {horizon}")


def _hold(twin: Twin, asset: str) -> Any:
    hold = getattr(twin, "hold", None)
    return None if hold is None else hold(asset)


def _failures(twin: Twin, horizon_h: float, count: int, seed: int, asks: Sequence[Ask]) -> np.ndarray:
    twin = twin_of(twin, asks[0].run)
    first_h = np.full((len(asks), count), np.inf, np.float32)
    order = sorted(range(len(asks)), key=lambda i: asks[i].time_h)
    world, state = twin.world, twin.world.start(asks[0].run)
    for time_h, at in groupby(order, key=lambda i: asks[i].time_h):
        trace, state = world.run(state, time_h)
        if unknown := {ask.asset for ask in asks} - {entity for entity, _ in trace.signals}:
            raise InputError(f"nothing in the world is called {', '.join(sorted(unknown))}; no oracle can tell its end")
        shared: dict[Any, list[int]] = {}
        for i in at:
            shared.setdefault(_hold(twin, asks[i].asset), []).append(i)
        for action, rows in shared.items():
            start = state if action is None else world.act(state, action)
            for m, trace in enumerate(futures(world, start, count, time_h + horizon_h, seed)):
                due_h = {e.entity: e.time_h - time_h for e in reversed(trace.events) if e.kind == "failure"}
                first_h[rows, m] = [due_h.get(asks[i].asset, np.inf) for i in rows]
    return first_h


def _forecasts(twin: Twin, horizon: int, count: int, seed: int, asks: Sequence[SeriesAsk]) -> np.ndarray:
    twin = twin_of(twin, asks[0].run)
    channels = {channel.key: channel for channel in twin.channels}
    out = np.empty((len(asks), len(asks[0].keys), count, horizon), np.float32)
    order = sorted(range(len(asks)), key=lambda i: asks[i].start)
    past, state = twin.world.run(twin.world.start(asks[0].run), 0.0)
    for start, at in groupby(order, key=lambda i: asks[i].start):
        rows = list(at)
        step_h = _step_h(channels, [asks[i] for i in rows])
        trace, state = twin.world.run(state, start * step_h)
        past = past + trace
        until_h = (start + horizon) * step_h
        for m, future in enumerate(futures(twin.world, state, count, until_h, seed)):
            whole = past + replace(future, seed=past.seed)
            for i in rows:
                for v, key in enumerate(asks[i].keys):
                    out[i, v, m] = _continued(whole, channels[key], future.seed, start, horizon)
    return out


def _step_h(channels: dict[Key, Channel], asks: Sequence[SeriesAsk]) -> float:
    for key in {key for ask in asks for key in ask.keys}:
        if key not in channels:
            raise InputError(f"the twin has no channel {'/'.join(key)} to forecast")
    steps = {channels[key].step_h for ask in asks for key in ask.keys}
    step_h = steps.pop()
    if steps or step_h is None:
        raise InputError("a series oracle needs channels with one and the same step_h")
    return step_h


def _continued(whole: Trace, channel: Channel, seed: int, start: int, count: int) -> np.ndarray:
    """Samples of a future whose noise has *seed*, given that of the past (the trace's seed) up to sample start − 1."""
    noise, step_h = channel.noise, channel.step_h or 1.0
    reading = channel.reading(whole)
    old, new = (address(s, *channel.key) for s in (whole.seed, seed))
    out = sweep(reading, step_h, replace(noise, quantum=0.0, dropout=0.0), new, start, count)
    if start and noise.autocorrelated:
        # The process is Markov: a path from another value differs by what is left of the difference.
        only = Noise(autocorrelated=noise.autocorrelated, correlation_h=noise.correlation_h)
        there, here = (sweep(_ZERO, step_h, only, a, start - 1, 1) for a in (old, new))
        out += (there - here) * np.exp(-np.arange(1, count + 1) * step_h / noise.correlation_h)
    if start and noise.drift:
        # The knots on both sides of the last sample are known, since an offset and its slope are.
        position = np.arange(start - 1, start + count) * step_h / noise.drift_knot_h
        knots = np.arange(int(position[-1]) + 2)
        known = knots <= int(position[0]) + 1
        only = Noise(drift=noise.drift, drift_knot_h=1.0)
        there, here = (sweep(_ZERO, 1.0, only, a, 0, len(knots)) for a in (old, new))
        out += np.interp(position[1:], knots, np.where(known, there - here, 0.0)).astype(np.float32)
    quantum = np.float32(noise.quantum)
    return np.rint(out / quantum) * quantum if quantum else out


_ZERO = Signal.step([0.0], [0.0])


def by_run(
    work: partial,
    about: Any,
    asks: Sequence,
    folder: Path | None,
    workers: int,
    progress: Progress | None,
) -> np.ndarray:
    """The rows of *asks*, computed one world run at a time."""
    if not asks:
        raise InputError("an oracle was asked nothing: there is no anchor to look at")
    runs: dict[int, list[int]] = {}
    for i, ask in enumerate(asks):
        runs.setdefault(ask.run, []).append(i)
    tasks = [[asks[i] for i in rows] for rows in runs.values()]
    tell = progress or (lambda done, total, what: None)
    kept = _Kept(work, about, folder)
    parts: list[Any] = [kept.found(task) if folder else None for task in tasks]
    missing = [i for i, part in enumerate(parts) if part is None]
    done = len(tasks) - len(missing)
    tell(done, len(tasks), "oracle")
    for i, part in spread(kept, [tasks[i] for i in missing], workers):
        parts[missing[i]] = part
        done += 1
        tell(done, len(tasks), "oracle")
    out = np.empty((len(asks), *parts[0].shape[1:]), np.float32)
    for rows, part in zip(runs.values(), parts, strict=True):
        out[rows] = part
    return out


@dataclass(frozen=True)
class _Kept:
    """Work whose results are files of the folder, named by all that they depend on."""

    work: Callable[[Any], np.ndarray]
    about: Any
    folder: Path | None

    def found(self, asks: Sequence) -> np.ndarray | None:
        """What was kept; None where there is nothing that can be read."""
        try:
            with np.load(io.BytesIO(self._path(asks).read_bytes()), allow_pickle=False) as file:
                return file["members"]
        except (OSError, ValueError, KeyError, BadZipFile):
            return None

    def __call__(self, asks: Sequence) -> np.ndarray:
        members = self.work(asks)
        if self.folder is not None:
            buffer = io.BytesIO()
            np.savez(buffer, members=members)
            with suppress(InputError):  # a dataset that others keep may be read alone
                files.write(self._path(asks), [buffer.getvalue()])
        return members

    def _path(self, asks: Sequence) -> Path:
        return Path(self.folder or "") / f"oracle-{identity([self.about, describe(asks)])[:24]}.npz"
