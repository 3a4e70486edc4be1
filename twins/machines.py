"""What the twins of all plants of machines share: the sensors of a machine, its lives as labels, its maintenance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sim.factory import Phase
from sim.line import Hold, OrderMaintenance, RunToFailure
from sim.trace import Event, Run, Signal, Trace
from twins.channel import Channel, Role
from twins.episode import Episode, Series, Spell
from twins.lives import spells
from twins.records import Alarm, Records, alarm_channels, order_channels
from twins.sensors.noise import Noise
from twins.sensors.render import render
from twins.sensors.signals import combine, integral, lag, since

if TYPE_CHECKING:
    from twins.line import LineSensors


WORKING = float(Phase.WORKING)  # phases as a signal holds them
_UP = (Phase.STARVED, Phase.WORKING, Phase.BLOCKED, Phase.SHORT, Phase.SETUP, Phase.UNMANNED)
_OFF = ~np.isin(np.arange(len(Phase)), _UP)


def by_phase(phase, down, idle, working):
    """A level for a machine that is off, up and idle, or working; one that is closed is off."""
    return np.where(phase == WORKING, working, np.where(_OFF[phase.astype(np.intp)], down, idle))


def signal(entity: str, quantity: str, trace: Trace) -> Signal:
    return trace[entity, quantity]


def operating_age(machine: str, trace: Trace) -> Signal:
    renewals_h = [e.time_h for e in trace.events if e.entity == machine and e.kind == "renewal"]
    return since(hours(machine, trace), np.array(renewals_h))


def hours(machine: str, trace: Trace) -> Signal:
    """Operating hours."""
    return integral(combine(lambda phase: phase == WORKING, trace[machine, "phase"]))


def regime(f, load: float, machine: str, trace: Trace) -> Signal:
    return combine(partial(f, load), *(trace[machine, quantity] for quantity in ("phase", "speed", "wear")))


def temperature(sensors: LineSensors, load: float, machine: str, trace: Trace) -> Signal:
    steady = regime(sensors.temperature, load, machine, trace)
    return lag(steady, sensors.temperature_tau_h, sensors.ambient_cel)


class MachineTwin:
    """A plant whose assets are machines, each an episode: what `LineTwin` and `FactoryTwin` have in common."""

    world: Any
    step_h: float
    sensors: LineSensors
    epoch: str
    unmaintained_limit_h: float
    records: Records | None
    alarms: tuple[Alarm, ...]

    # what is each plant's own
    def _machine(self, m: str) -> tuple[Channel, ...]:
        raise NotImplementedError

    def _static(self, asset: str) -> dict[str, float | str]:
        raise NotImplementedError

    def _action(self, event: Event) -> Any | None:
        """The action that an event tells of; None where it does not tell enough."""
        raise NotImplementedError

    @property
    def channels(self) -> tuple[Channel, ...]:
        return tuple(channel for asset in self.world.machines for channel in self._machine(asset))

    def render(self, trace: Trace, channel: Channel, start: int, count: int) -> np.ndarray:
        return render(trace, channel, start, count)

    @property
    def assets(self) -> tuple[str, ...]:
        return self.world.machines

    def maintain(self, asset: str) -> OrderMaintenance:
        """The action that orders planned work."""
        return OrderMaintenance(asset)

    def reach(self, asset: str, truth: str) -> float:
        """The highest level of a hidden truth that is seen of a unit that has not failed."""
        wear = self.world.station_of(asset).wear
        return math.inf if truth != "wear" else wear.last if wear else 0.0

    def hold(self, asset: str) -> Hold | None:
        """The action that leaves a machine to run to failure; None where no policy would stop it."""
        return None if isinstance(self.world.station_of(asset).policy, RunToFailure) else Hold(asset)

    def observe(self, run: Run) -> Iterator[Episode]:
        trace = run.trace
        if trace.start_h != 0:
            raise ValueError(f"an episode begins at 0 h; the trace begins at {trace.start_h} h")
        lives = self._lives(trace)
        for asset in self.world.machines:
            yield Episode(
                run=trace.seed,
                asset=asset,
                series=tuple(
                    Series(*c.key, c.unit, c.role, render(trace, c), step_h=c.step_h) for c in self._machine(asset)
                ),
                events=tuple(event for event in trace.events if event.entity == asset),
                spells=tuple(lives[asset]),
                static=self._static(asset),
                epoch=self.epoch,
                end_h=trace.end_h,
                records=self.records.of(trace, asset) if self.records else None,
            )

    def _channel(
        self,
        m: str,
        quantity: str,
        unit: str,
        role: Role,
        reading: Callable[[Trace], Signal],
        noise: Noise | None = None,
        memory: bool = False,
    ) -> Channel:
        return Channel(m, quantity, unit, role, reading, self.step_h, noise or Noise(), memory)

    def _signal(self, m: str, quantity: str, unit: str, role: Role, entity: str = "", name: str = "") -> Channel:
        """A signal of the trace as it is."""
        return self._channel(m, quantity, unit, role, partial(signal, entity or m, name or quantity))

    def _common(self, m: str, load: float) -> tuple[Channel, ...]:
        """What every machine shows: its sensors with their alarms, its orders, its counters and its speed."""
        s = self.sensors

        def sensed(quantity: str, unit: str, f, noise: Noise) -> Channel:
            return self._channel(m, quantity, unit, Role.TARGET, partial(regime, f, load, m), noise)

        warm = partial(temperature, s, load, m)
        sensors = (
            sensed("vibration_rms", "mm/s", s.rms, s.vibration_rms),
            sensed("vibration_low", "mm2/s2", s.low, s.vibration_low),
            sensed("vibration_high", "mm2/s2", s.high, s.vibration_high),
            self._channel(m, "bearing_temperature", "Cel", Role.TARGET, warm, s.bearing_temperature, memory=True),
            sensed("motor_current", "A", s.current, s.motor_current),
            sensed("acoustic_level", "dB", s.level, s.acoustic_level),
        )
        return (
            *sensors,
            *alarm_channels(self.alarms, sensors),
            *(order_channels(self.records, m, self.step_h) if self.records else ()),
            self._signal(m, "parts", "1", Role.PAST),
            self._signal(m, "state", "1", Role.PAST, name="phase"),
            self._channel(m, "operating_age", "h", Role.PAST, partial(operating_age, m), memory=True),
            self._signal(m, "speed", "1", Role.ACTION),
        )

    def _truth(self, m: str) -> tuple[Channel, ...]:
        return self._signal(m, "wear", "1", Role.TRUTH), self._signal(m, "rate", "1", Role.TRUTH)

    def _lives(self, trace: Trace) -> dict[str, list[Spell]]:
        """The spells of each machine; a failed life is its own length without maintenance, a planned end is re-run."""
        lives = {asset: spells(trace, asset, hours(asset, trace)) for asset in self.world.machines}
        at = {(asset, spell.end_h): i for asset in lives for i, spell in enumerate(lives[asset])}
        state, queued = self.world.start(trace.seed), []
        for event in trace.events:
            if event.kind not in ("action", "planned"):
                continue
            if event.time_h > state.time_h:
                state, queued = self.world.run(self._act(state, queued), event.time_h).state, []
            if event.kind == "action":
                if (action := self._action(event)) is None:
                    return lives  # what was done cannot be done again, so the rest of the lives stays unknown
                queued.append(action)
                continue
            asset, just_after_h = event.entity, math.nextafter(event.time_h, math.inf)
            if event not in self.world.run(self._act(state, queued), just_after_h).trace.events:
                continue  # a resampled future, which the seed alone does not tell again
            held = [action for action in queued if action != OrderMaintenance(asset)]
            beyond = self._beyond(self._act(state, [Hold(asset), *held]), asset)  # before an order takes it down too
            if beyond:
                i = at[asset, event.time_h]
                whole_h, operating_h = event.time_h - lives[asset][i].start_h, lives[asset][i].operating_h
                lives[asset][i] = lives[asset][i]._replace(
                    unmaintained_h=whole_h + beyond[0], unmaintained_operating_h=operating_h + beyond[1]
                )
        return lives

    def _act(self, state: Any, actions: Iterable[Any]) -> Any:
        for action in actions:
            state = self.world.act(state, action)
        return state

    def _beyond(self, state: Any, machine: str) -> tuple[float, float] | None:
        """Calendar and operating hours from *state* to the next failure of a machine; None past the limit."""
        origin_h, limit_h = state.time_h, state.time_h + self.unmaintained_limit_h
        operating_h = 0.0
        while state.time_h < limit_h:
            trace, state = self.world.run(state, min(state.time_h + 100.0, limit_h))
            failure_h = next((e.time_h for e in trace.events if e.entity == machine and e.kind == "failure"), None)
            ends_h = [trace.start_h, trace.end_h if failure_h is None else failure_h]
            operating_h += float(np.diff(hours(machine, trace).at(ends_h))[0])
            if failure_h is not None:
                return failure_h - origin_h, operating_h
        return None
