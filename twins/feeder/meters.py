"""The street of a feeder as its smart meters show it, and what the head end makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from sim.errors import require
from sim.feeder import FEEDER
from sim.feeder.power import Behind, behind, bus_of, drawn_kwh, gated_kwh, head_of, stolen_kwh
from sim.homes.power import appliance_kwh
from sim.trace import Run
from twins.channel import Channel, Role
from twins.episode import Episode
from twins.feeder.seen import VOLT, FeederTwin, Seen, Shared, held, mean_kw
from twins.sensors.noise import Noise
from twins.sensors.render import render

METERS = "meters"  # all of them together, as the head end sums them up
LOWEST_PU, HIGHEST_PU = 0.9, 1.1  # EN 50160


@dataclass(frozen=True)
class MeterTwin(FeederTwin):
    """The street through its smart meters; an episode is a household in one world run. Who steals is hidden.

    *clock_h* is the error of the meters' clocks. The head end knows the balance: what the transformer's meter reads
    less the sum of all others and the losses. It computes the network's state as if all meters told what is drawn, and
    how far what is read lies off: the `voltage_gap` of the household, the `strand_excess` of the current that leaves
    the busbar towards it; and the `estimated_loss`.
    """

    meter: Noise = Noise(drift=0.004, drift_knot_h=336.0, quantum=0.001, dropout=0.004)  # kW
    voltmeter: Noise = Noise(white=0.3, drift=0.3, drift_knot_h=336.0, quantum=0.1, dropout=0.004)  # V
    clock_h: float = 0.005  # standard deviation: 18 s
    appliances: bool = False  # whether the power of each appliance is told beside, as truth

    revision: ClassVar[int] = 4

    def __post_init__(self):
        super().__post_init__()
        require(0 <= self.clock_h < 0.05 * self.step_h, self, "clock_h", "at least 0 and below a twentieth of step_h")

    @property
    def channels(self) -> tuple[Channel, ...]:
        shared = Shared(self.world, self.step_h)
        own = [c for name in self.world.homes.names for c in self._own(shared, name)]
        return tuple({c.key: c for c in (*own, *self._rest(shared))}.values())  # a strand's are those of many

    def observe(self, run: Run) -> Iterator[Episode]:
        trace, shared = run.trace, Shared(self.world, self.step_h)
        common = self._series(trace, self._rest(shared))
        unsolved = shared.of(trace).unsolved()
        for name in self.world.homes.names:
            kind = self.world.homes.household(name)
            mine = [e for e in trace.events if e.entity in (name, FEEDER)]
            yield Episode(
                run=trace.seed,
                asset=name,
                series=(*self._series(trace, self._own(shared, name)), *common),
                events=tuple(sorted([*mine, *unsolved], key=lambda event: event.time_h)),
                static={what: float(getattr(kind, what)) for what in ("annual_kwh", "heat_kw_per_k", "pv_kw")},
                truth={"unsolved": float(len(unsolved))},
                epoch=self.epoch,
                end_h=trace.end_h,
            )

    def _meter(self, shared: Shared, name: str, role: Role) -> Channel:
        return self._told(
            shared, name, "load", "kW", role, lambda seen: seen.metered_kw(name, self.clock_h), self.meter
        )

    def _own(self, shared: Shared, name: str) -> tuple[Channel, ...]:
        bus, told = bus_of(self.world, name), partial(self._told, shared, name)
        return (
            self._meter(shared, name, Role.TARGET),
            self._voltage(shared, name, bus),
            told("voltage_gap", "V", Role.PAST, lambda seen: self._gap(shared, seen, name, bus)),
            *self._strand(shared, name),
            *(
                told(f"{a.name}_kw", "kW", Role.TRUTH, partial(_appliance, name, a.name))
                for a in (self.world.homes.appliances if self.appliances else ())
            ),
            told("drawn", "kW", Role.TRUTH, partial(mean_kw, drawn_kwh, name)),
            told("stealing", "1", Role.TRUTH, partial(_stealing, name)),
            told("stolen", "kW", Role.TRUTH, partial(mean_kw, stolen_kwh, name)),
            told("clean_voltage", "V", Role.TRUTH, lambda seen: VOLT * seen.behind.voltage_pu_T(bus)),
            told("violation", "1", Role.TRUTH, lambda seen: _violates(seen.behind.voltage_pu_T(bus))),
        )

    def _strand(self, shared: Shared, name: str) -> tuple[Channel, ...]:
        """Of a household's strand; nothing of one that hangs on the busbar."""
        head = head_of(self.world, name)
        if head is None:
            return ()
        at = head.name
        current = self._told(
            shared, at, "strand_current", "A", Role.PAST, lambda seen: seen.behind.current_a_T(at), self.ammeter
        )

        def excess(seen: Seen) -> np.ndarray:
            return self._read(seen, current) - self._estimate(seen).current_a_T(at)

        return current, self._told(shared, at, "strand_excess", "A", Role.PAST, excess)

    def _voltage(self, shared: Shared, name: str, bus: str) -> Channel:
        return self._told(
            shared, name, "voltage", "V", Role.PAST, lambda seen: VOLT * seen.behind.voltage_pu_T(bus), self.voltmeter
        )

    def _gap(self, shared: Shared, seen: Seen, name: str, bus: str) -> np.ndarray:
        """How far the voltage lies below what it would be if all meters told the truth."""
        return VOLT * self._estimate(seen).voltage_pu_T(bus) - self._read(seen, self._voltage(shared, name, bus))

    def _rest(self, shared: Shared) -> tuple[Channel, ...]:
        return (
            *self._supplied(shared, Role.PAST),
            self._told(shared, METERS, "balance", "kW", Role.PAST, partial(self._balance, shared)),
            self._told(
                shared, METERS, "estimated_loss", "kW", Role.PAST, lambda seen: self._estimate(seen).flows.loss_kw_T
            ),
            self._told(shared, FEEDER, "loss", "kW", Role.TRUTH, lambda seen: seen.behind.flows.loss_kw_T),
            *self._common(),
        )

    def _read(self, seen: Seen, channel: Channel) -> np.ndarray:
        """A channel as its sensor gave it, one value an interval."""
        return render(seen.trace, channel, seen.first, seen.count).astype(np.float64)

    def _estimate(self, seen: Seen) -> Behind:
        """The network's state if meters told all; a gap is what was read before."""
        if seen.estimated is None:
            shared, columns = Shared(self.world, self.step_h), []
            shared.seen = seen
            for name in self.world.points:
                if name in self.world.homes.names:
                    columns.append(held(self._read(seen, self._meter(shared, name, Role.TARGET))))
                else:
                    columns.append(mean_kw(drawn_kwh, name, seen))
            seen.estimated = behind(self.world, seen.trace, seen.at_h, np.stack(columns, 1))
        return seen.estimated

    def _balance(self, shared: Shared, seen: Seen) -> np.ndarray:
        """What the transformer delivers, as read, less all that meters read; missing where one of them is."""
        found = self._read(seen, self._supplied(shared, Role.PAST)[0])
        for name in self.world.points:
            if name in self.world.homes.names:
                found -= self._read(seen, self._meter(shared, name, Role.TARGET))
            else:
                found -= mean_kw(drawn_kwh, name, seen)
        return found - self._estimate(seen).cable_loss_kw_T


def _appliance(name: str, appliance: str, seen: Seen) -> np.ndarray:
    """What one appliance draws, nothing while it is dark, in kW."""
    counted = partial(appliance_kwh, seen.world.homes, seen.trace, name, appliance)
    return gated_kwh(counted, seen.trace[FEEDER, "live"], seen.at_h) / seen.step_h


def _violates(pu: np.ndarray) -> np.ndarray:
    """Outside the limits, while there is voltage; missing where that is not known."""
    outside = (pu > 0) & ((pu < LOWEST_PU) | (pu > HIGHEST_PU))
    return np.where(np.isfinite(pu), outside.astype(np.float64), np.nan)


def _stealing(name: str, seen: Seen) -> np.ndarray:
    """Whether a share passes by the meter in any part of an interval."""
    return (gated_kwh(lambda t: t, seen.trace[name, "theft"], seen.at_h) > 0).astype(np.float64)
