"""What a line puts out: how many parts each machine makes in every hour, and what is seen of the line meanwhile."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np

from sim.errors import require
from sim.line import Line, Phase
from sim.trace import Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series
from twins.line import LineSensors
from twins.machines import operating_age, regime, signal
from twins.sensors.noise import Noise
from twins.sensors.render import render
from twins.sensors.signals import closing, combine, grown

STOPPED = (Phase.WAITING, Phase.REPAIRING, Phase.MAINTAINING, Phase.INSPECTING, Phase.LACKING)


@dataclass(frozen=True)
class OutputTwin:
    """A line seen through its counters, every *step_h* hours. An episode is one machine in one world run.

    Sample k is of the stretch of *step_h* hours that begins at k · step_h, and missing until that is over. Counts of
    parts are of all of it: those of the machine (target) and those of the stations before and after it. States, stocks
    and ages are as it ends. The vibration is read as it begins. Truth: the wear.
    """

    world: Line
    step_h: float = 1.0
    sensors: LineSensors = field(default_factory=LineSensors)
    epoch: str = "2025-01-01T00:00:00"

    revision: ClassVar[int] = 1

    def __post_init__(self):
        require(0 < self.step_h < math.inf, self, "step_h", "above 0")

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(channel for m in self.world.machines for channel in self._machine(m))

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace = run.trace
        for m in self.world.machines:
            station = self.world.station_of(m)
            yield Episode(
                run=trace.seed,
                asset=m,
                series=tuple(
                    Series(*c.key, c.unit, c.role, render(trace, c), step_h=c.step_h) for c in self._machine(m)
                ),
                events=tuple(event for event in trace.events if event.entity == m),
                static={"load": station.load, "cycle_h": station.cycle.mean_h},
                epoch=self.epoch,
                end_h=trace.end_h,
            )

    def _machine(self, m: str) -> tuple[Channel, ...]:
        members, line, s = self.world.plan.members, self.world, self.sensors
        k = self.world.plan.station[line.machines.index(m)]
        beside = {"before": k - 1, "after": k + 1}
        near = {which: [line.machines[i] for i in members[j]] for which, j in beside.items() if 0 <= j < len(members)}
        stocks = {which: f"b{j}" for which, j in (("before", k), ("after", k + 1)) if f"b{j}" in line.buffer_names}

        def channel(quantity: str, unit: str, role: Role, reading, noise: Noise = Noise()) -> Channel:  # noqa: B008
            return Channel(m, quantity, unit, role, reading, self.step_h, noise)

        def made(quantity: str, role: Role, machines: Sequence[str]) -> Channel:
            return channel(quantity, "1", role, partial(_made, self.step_h, tuple(machines)))

        def ends(quantity: str, unit: str, reading) -> Channel:
            return channel(quantity, unit, Role.PAST, partial(_at_the_end, self.step_h, reading))

        high = partial(regime, s.high, line.station_of(m).load, m)
        return (
            made("parts_made", Role.TARGET, (m,)),
            *(made(f"parts_made_{which}", Role.PAST, machines) for which, machines in near.items()),
            ends("state", "1", partial(signal, m, "phase")),
            ends("machines_stopped", "1", partial(_stopped, line.machines)),
            *(ends(f"buffer_{which}", "1", partial(signal, b, "level")) for which, b in stocks.items()),
            ends("operating_age", "h", partial(operating_age, m)),
            channel("vibration_high", "mm2/s2", Role.PAST, high, s.vibration_high),
            channel("wear", "1", Role.TRUTH, partial(signal, m, "wear")),
        )


def _made(step_h: float, machines: tuple[str, ...], trace: Trace) -> Signal:
    return grown([trace[m, "parts"] for m in machines], step_h, trace.end_h)


def _at_the_end(step_h: float, reading, trace: Trace) -> Signal:
    return closing(reading(trace), step_h, trace.end_h)


def _stopped(machines: tuple[str, ...], trace: Trace) -> Signal:
    """How many machines are worked on, or wait for that."""
    return combine(lambda *phases: np.isin(phases, STOPPED).sum(0), *(trace[m, "phase"] for m in machines))
