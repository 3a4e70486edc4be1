"""Datasets kept as traces alone: what a trace tells is not stored, but rendered when it is read.

A series is left out where its twin has a channel of that name whose rendering is the series, bit for bit; every other
one is stored. So the content of a dataset, and its hash, are the same however it is kept.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from sim.trace import Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.sensors.render import Panel, Sensed
from twins.twin import Twin

KEPT_BYTES = 1_000_000_000  # of readings, until those that were read longest ago are dropped and made again when asked


def kept_as_traces(manifest: dict) -> bool:
    """Whether a dataset is live: its plan is a `twins.dataset.Live`."""
    made = "made_from" not in manifest  # what is made from a live dataset is stored
    return made and manifest["configuration"].get("plan", {}).get("_class") == "twins.dataset.generate.Live"


def left_out(twin: Twin, trace: Trace, episodes: Sequence[Episode]) -> list[Episode]:
    """*episodes* of one run, with `Sensed` in place of values that *trace* tells."""
    channels = {channel.key: channel for channel in twin.channels}
    return [replace(episode, series=_left_out(channels, trace, episode.series)) for episode in episodes]


def _left_out(channels: dict, trace: Trace, series: Sequence[Series]) -> tuple[Series, ...]:
    kept = list(series)
    for at in _panels(series, [i for i, s in enumerate(series) if _sampled(s, channels.get(s.key))]):
        panel = Panel.of(trace, [channels[series[i].key] for i in at], thin=True)
        rendered = panel.render() if panel.first == 0 else None
        for row, i in enumerate(at):
            values = np.ascontiguousarray(series[i].values)
            if rendered is not None and rendered[row].tobytes() == values.tobytes():
                kept[i] = replace(series[i], values=Sensed(partial(_itself, panel), row, panel.owned))  # type: ignore[arg-type]
    return tuple(kept)


def _sampled(series: Series, channel: Channel | None) -> bool:
    """Whether a channel may be what a series was rendered from."""
    return (
        channel is not None
        and channel.step_h is not None
        and (channel.step_h, channel.role, 0.0) == (series.step_h, series.role, series.start_h)
        and not series.shape
    )


def _panels(series: Sequence[Series], at: Sequence[int]) -> list[list[int]]:
    """Which of the series *at* are read together: those of one clock, what is hidden apart from what a model sees."""
    found: dict[Any, list[int]] = {}
    for i in at:
        found.setdefault((series[i].step_h, series[i].role == Role.TRUTH), []).append(i)
    return list(found.values())


def _itself(panel: Panel) -> Panel:
    return panel


@dataclass(eq=False)
class Readings:
    """What the sensors of a live dataset's runs read, kept while it is asked for, up to KEPT_BYTES."""

    twin: Callable[[int], Twin]  # of a run
    trace: Callable[[int], Trace]

    def __post_init__(self):
        self._kept: OrderedDict[Any, Panel] = OrderedDict()
        self._last: tuple[int, Trace, dict] | None = None
        self._lock = threading.RLock()

    def filled(self, run: int, series: Sequence[Series], missing: Sequence[int]) -> tuple[Series, ...]:
        """The *series* of an episode with `Sensed` in place of the values that are *missing*, so many as they have."""
        whole = list(series)
        for at in _panels(series, missing):
            keys = tuple(series[i].key for i in at)
            panel = partial(self._panel, run, keys)
            for row, i in enumerate(at):
                whole[i] = replace(series[i], values=Sensed(panel, row, len(series[i].values)))  # type: ignore[arg-type]
        return tuple(whole)

    def _panel(self, run: int, keys: tuple) -> Panel:
        with self._lock:
            if (run, keys) not in self._kept:
                if self._last is None or self._last[0] != run:
                    self._last = run, self.trace(run), {channel.key: channel for channel in self.twin(run).channels}
                _, trace, channels = self._last
                self._kept[run, keys] = Panel.of(trace, [channels[key] for key in keys], thin=True)
                while len(self._kept) > 1 and sum(panel.nbytes for panel in self._kept.values()) > KEPT_BYTES:
                    self._kept.popitem(last=False)
            self._kept.move_to_end((run, keys))
            return self._kept[run, keys]
