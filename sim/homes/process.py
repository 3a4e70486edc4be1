"""Homes on one street: occupancy, appliances, heating, panels and cars, event by event, under one sky.

What follows from the weather alone (heating, panels) is no event of a home: the trace holds the weather's signals, and
`sim.homes.power` makes each home's power of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from sim.errors import InputError, require
from sim.homes.calendar import Calendar
from sim.homes.calibration import UNIT_USE
from sim.homes.config import (
    APPLIANCES,
    FREE_DAY,
    WORKDAY,
    Appliance,
    Business,
    Chargers,
    Day,
    Group,
    HeatPump,
    Household,
)
from sim.homes.plan import WEATHER, Plan, first_above, planned
from sim.homes.sky import SKY_STREAMS, count, first_sky, knot, next_hour
from sim.homes.state import Call, Home, Phase, Session, State, Use
from sim.homes.weather import NORMAL, Weather, sunshine
from sim.kernel import Deadline, Kernel
from sim.laws import UNIT, Exponential, Lognormal, Residual
from sim.streams import Streams
from sim.trace import Event, Run, Signal, Trace, steps

CHARGERS = "chargers"
ONE = Exponential(1.0)  # hazard until the next event
HOME_STREAMS = ("body", "phase", "turn", "start", "which", "length", "on", "off")
CAR_STREAMS = ("plug", "dwell", "energy")
ACTIVE, ASLEEP, AWAY = Phase
INF = math.inf


@dataclass(frozen=True)
class Homes:
    """A street of households h1, h2 … and businesses b1, b2 … under one weather, with chargers. Implements World.

    Signals. Of `weather`: `temperature` and `forecast`, the temperature as foretold a day before (°C, linear), `cloud`
    (state, step), `irradiance` on the panels (kW/m², linear), `heat` (K, step): electric power of heating per kW/K of
    loss, `call` (step): the share of it that is called off. Of each household, steps: `phase`, `uses` (kW of
    appliances), `fridge` (kW). Of each business, a step: `power` (kW). Of `chargers`, steps: `busy`, `power` (kW).
    Events: `use` and `off` of a household (cause: the appliance; value: kW), `charge`, `blocked` and `leave` of
    `chargers` (cause: who), `rebound` (value: K), `action`.

    The mean over households of uses, fridge and standby follows the standard profile H25 (`sim.homes.calibration`).
    """

    groups: tuple[Group, ...] = (Group(),)
    calendar: Calendar = Calendar()
    weather: Weather = Weather()
    workday: Day = WORKDAY
    free_day: Day = FREE_DAY
    appliances: tuple[Appliance, ...] = APPLIANCES
    pump: HeatPump = HeatPump()
    chargers: Chargers = Chargers(0)
    businesses: tuple[Business, ...] = ()
    revision: ClassVar[int] = 3

    def __post_init__(self):
        object.__setattr__(self, "groups", tuple(self.groups))
        object.__setattr__(self, "appliances", tuple(self.appliances))
        object.__setattr__(self, "businesses", tuple(self.businesses))
        names = [a.name for a in self.appliances]
        require(len(set(names)) == len(names) and bool(names), self, "appliances", "one or more, of different names")
        dark = [h for h in range(24) if not any(a.weight[h] for a in self.appliances)]
        require(not dark, self, "appliances", f"such that some may start at any hour; none does at {dark}")
        cars = any(g.household.car for g in self.groups)
        require(self.chargers.count > 0 or not cars, self, "chargers", "at least one, for the households' cars")

    @property
    def names(self) -> tuple[str, ...]:
        return planned(self).names

    @property
    def business_names(self) -> tuple[str, ...]:
        return tuple(f"b{i + 1}" for i in range(len(self.businesses)))

    def household(self, name: str) -> Household:
        """The kind that a household is of."""
        plan = planned(self)
        if name not in plan.names:
            raise InputError(f"no household {name!r}; there are h1 to h{len(plan.names)}")
        return plan.kinds[plan.names.index(name)]

    def start(self, seed: int) -> State:
        plan = planned(self)
        own = [(name, HOME_STREAMS + (CAR_STREAMS if k.car else ())) for name, k in zip(plan.names, plan.kinds)]  # noqa: B905
        own += [(WEATHER, SKY_STREAMS), (CHARGERS, ("visit", "dwell", "energy"))]
        own += [(name, ("trade",)) for name in self.business_names]
        streams = Streams(seed, (f"{owner}/{part}" for owner, parts in own for part in parts))
        homes = [self._moves_in(plan, streams, i) for i in range(len(plan.names))]
        state = State(seed, 0.0, streams, first_sky(plan, streams), homes)
        state.trade = [streams[f"{name}/trade"].draw(NORMAL) for name in self.business_names]
        state.visit_h = self._visit_h(streams, 0.0)
        return state

    def act(self, state: State, action: Call) -> State:
        if not isinstance(action, Call):
            raise InputError(f"the action is {action!r}; Homes take Call")
        s = state.copy()
        s.actions.append(action)
        return s

    def resample(self, state: State, seed: int) -> State:
        """All that is drawn and not yet seen is drawn anew; what a forecast has told of the weather stays."""
        plan, s = planned(self), state.copy()
        s.seed, s.streams, now_h = seed, state.streams.rekeyed(seed), state.time_h
        streams, sky, chargers = s.streams, s.sky, self.chargers
        sky.cloud_h = now_h + streams[f"{WEATHER}/sojourn"].draw(ONE) * self.weather.clouds.mean_h[sky.cloud]
        s.visit_h = self._visit_h(streams, now_h)
        for n, one in enumerate(s.sessions):
            owner, age_h = plan.names[one.who] if one.who >= 0 else CHARGERS, now_h - one.since_h
            full_h = now_h + streams[f"{owner}/energy"].draw(Residual(chargers.energy_h, age_h))
            leaves_h = now_h + streams[f"{owner}/dwell"].draw(Residual(chargers.dwell, age_h))
            s.sessions[n] = one._replace(full_h=full_h if one.charging else one.full_h, leaves_h=leaves_h)
        for i, (name, home, kind) in enumerate(zip(plan.names, s.homes, plan.kinds, strict=True)):
            home.phase_h = self._phase_h(plan, streams, name, home.phase, now_h)
            home.start_h = self._start_h(plan, streams, i, home, now_h)
            home.uses = tuple(
                use._replace(until_h=now_h + self._left_h(plan, streams, name, use, now_h)) for use in home.uses
            )
            law, part = (kind.fridge.on, "on") if home.cold else (kind.fridge.off, "off")
            home.cold_h = now_h + streams[f"{name}/{part}"].draw(Residual(law, now_h - home.cold_since_h))
        return s

    def run(self, state: State, until_h: float) -> Run:
        if not state.time_h <= until_h < INF:
            raise InputError(f"cannot run to {until_h} h homes that are at {state.time_h} h")
        plan, s = planned(self), state.copy()
        kernel, streams, sky, events = Kernel(s.time_h), s.streams, s.sky, []
        names, kinds, chargers, attended = plan.names, plan.kinds, self.chargers, plan.attended
        knots = [knot(plan, sky)]
        clouds = [(sky.cloud_since_h, float(sky.cloud))]
        heats = [(sky.heat_h, sky.heat, sky.call)]
        charging = [(s.charging_h, *self._drawn(s.sessions))]
        trades = [[(float(sky.hour), plan.business_kw(i, sky.hour, score))] for i, score in enumerate(s.trade)]
        phases = [[(h.changed_h[0], float(h.phase))] for h in s.homes]
        uses = [[(h.changed_h[1], h.kw)] for h in s.homes]
        colds = [[(h.changed_h[2], k.fridge.power_kw * h.cold)] for h, k in zip(s.homes, kinds, strict=True)]

        def hour(deadline: Deadline) -> None:
            count(sky, kernel.now)
            next_hour(plan, streams, sky)
            knots.append(knot(plan, sky))
            for i, (name, business) in enumerate(zip(self.business_names, self.businesses, strict=True)):
                push = math.sqrt(1 - business.decay**2) * streams[f"{name}/trade"].draw(NORMAL)
                s.trade[i] = business.decay * s.trade[i] + push
                trades[i].append((kernel.now, plan.business_kw(i, sky.hour, s.trade[i])))
            heat()
            deadline.set(sky.hour + 1.0)

        def heat() -> None:
            sky.heat_h = kernel.now
            heats.append((kernel.now, sky.heat, sky.call))

        def turn(deadline: Deadline) -> None:
            sky.cloud = self.weather.clouds.next(sky.cloud, streams[f"{WEATHER}/cloud"].draw(UNIT))
            sky.cloud_since_h = kernel.now
            clouds.append((kernel.now, float(sky.cloud)))
            sky.cloud_h = kernel.now + streams[f"{WEATHER}/sojourn"].draw(ONE) * self.weather.clouds.mean_h[sky.cloud]
            deadline.set(sky.cloud_h)

        def over(deadline: Deadline) -> None:
            """A call ends, or its rebound."""
            count(sky, kernel.now)
            if sky.call:
                sky.call, sky.rebound, sky.owed = 0.0, sky.owed / sky.rebound_h, 0.0
                sky.until_h = kernel.now + sky.rebound_h
                events.append(Event(kernel.now, WEATHER, "rebound", value=sky.rebound))
            else:
                sky.rebound, sky.until_h = 0.0, INF
            heat()
            deadline.set(sky.until_h)

        def plug(who: int) -> None:
            owner = names[who] if who >= 0 else CHARGERS
            free = len(s.sessions) < chargers.count
            events.append(Event(kernel.now, CHARGERS, "charge" if free else "blocked", owner))
            if free:
                full_h = kernel.now + streams[f"{owner}/energy"].draw(chargers.energy_h)
                leaves_h = kernel.now + streams[f"{owner}/dwell"].draw(chargers.dwell)
                s.sessions.append(Session(who, kernel.now, True, full_h, leaves_h))

        def charge(deadline: Deadline) -> None:
            now_h, before = kernel.now, s.sessions[:]
            for one in before:
                if one.leaves_h <= now_h:
                    events.append(Event(now_h, CHARGERS, "leave", names[one.who] if one.who >= 0 else CHARGERS))
            s.sessions[:] = [
                one._replace(charging=False) if one.charging and one.full_h <= now_h else one
                for one in before
                if one.leaves_h > now_h
            ]
            if s.visit_h <= now_h:
                s.visit_h = self._visit_h(streams, now_h)
                plug(-1)
            metered(deadline, s.sessions != before)

        def metered(deadline: Deadline, changed: bool) -> None:
            if changed:
                s.charging_h = kernel.now
                charging.append((kernel.now, *self._drawn(s.sessions)))
            deadline.set(self._charge_h(s))

        def live(deadline: Deadline, i: int) -> None:
            h, now_h, name = s.homes[i], kernel.now, names[i]
            phase, kept = h.phase, h.uses
            if kept:
                kept = tuple(use for use in kept if use.until_h > now_h)
            if h.phase_h <= now_h:
                h.phase = self._turned(plan, streams, name, phase, now_h)
                h.phase_h = self._phase_h(plan, streams, name, h.phase, now_h)
                if phase is ACTIVE:
                    kept = tuple(use for use in kept if not attended[use.appliance])
                h.start_h = self._start_h(plan, streams, i, h, now_h)
                h.changed_h = (now_h, h.changed_h[1], h.changed_h[2])
                phases[i].append((now_h, float(h.phase)))
                if phase is AWAY and kinds[i].car:
                    wants = streams[f"{name}/plug"].draw(UNIT) < chargers.plug
                    if wants and all(one.who != i for one in s.sessions):
                        before = len(s.sessions)
                        plug(i)
                        metered(charger, len(s.sessions) != before)
            elif h.start_h <= now_h:
                a = plan.pick(int(now_h), streams[f"{name}/which"].draw(UNIT))
                length_h = plan.mean_h[a] * streams[f"{name}/length"].draw(UNIT_USE)
                kept = (*kept, Use(a, now_h, now_h + length_h))
                events.append(Event(now_h, name, "use", self.appliances[a].name, plan.power_kw[a]))
                h.start_h = self._start_h(plan, streams, i, h, now_h)
            if kept != h.uses:
                for use in h.uses:
                    if use not in kept:
                        off = self.appliances[use.appliance]
                        events.append(Event(now_h, name, "off", off.name, off.power_kw))
                h.uses, h.kw = kept, sum([plan.power_kw[use.appliance] for use in kept], 0.0)
                h.changed_h = (h.changed_h[0], now_h, h.changed_h[2])
                uses[i].append((now_h, h.kw))
            if h.cold_h <= now_h:
                h.cold, h.cold_since_h = not h.cold, now_h
                fridge = kinds[i].fridge
                law, part = (fridge.on, "on") if h.cold else (fridge.off, "off")
                h.cold_h = now_h + streams[f"{name}/{part}"].draw(law)
                h.changed_h = (h.changed_h[0], h.changed_h[1], now_h)
                colds[i].append((now_h, fridge.power_kw * h.cold))
            deadline.set(h.due_h)

        kernel.at(sky.hour + 1.0, 0, hour)
        kernel.at(sky.cloud_h, 1, turn)
        caller = kernel.at(sky.until_h, 2, over)
        charger = kernel.at(self._charge_h(s), 3, charge)
        for i, home in enumerate(s.homes):
            kernel.at(home.due_h, 4 + i, lambda deadline, i=i: live(deadline, i))
        if until_h > s.time_h:
            for call in s.actions:
                events.append(Event(s.time_h, WEATHER, "action", "Call", call.share))
                if call.share:
                    count(sky, s.time_h)
                    sky.owed += sky.rebound * (sky.until_h - s.time_h) if sky.rebound else 0.0
                    sky.call, sky.rebound, sky.until_h = call.share, 0.0, s.time_h + call.length_h
                    sky.returns, sky.rebound_h = call.returns, call.rebound_h
                    heat()
                    caller.set(sky.until_h)
            s.actions.clear()
        kernel.run_to(until_h)
        s.time_h = until_h
        signals = self._signals(knots, clouds, heats, charging, state.time_h, until_h)
        columns = [
            tuple(zip(*column, strict=True)) for three in zip(phases, uses, colds, strict=True) for column in three
        ]
        if columns:
            keys = [(name, quantity) for name in names for quantity in ("phase", "uses", "fridge")]
            signals |= steps(keys, columns)  # type: ignore[arg-type]
        for name, trade in zip(self.business_names, trades, strict=True):
            signals[name, "power"] = Signal.step(*zip(*trade, strict=True))
        return Run(Trace(s.seed, state.time_h, until_h, signals, tuple(events)), s)

    def _signals(self, knots, clouds, heats, charging, start_h: float, end_h: float) -> dict:
        times, cel, slope, told, told_slope = zip(*knots, strict=True)
        cloud = Signal.step(*zip(*clouds, strict=True))
        heat_h, heat, call = zip(*heats, strict=True)
        charging_h, busy, power_kw = zip(*charging, strict=True)
        return {
            (WEATHER, "temperature"): Signal.linear(times, cel, slope),
            (WEATHER, "forecast"): Signal.linear(times, told, told_slope),
            (WEATHER, "cloud"): cloud,
            (WEATHER, "irradiance"): sunshine(self.weather, self.calendar, cloud, start_h, end_h),
            (WEATHER, "heat"): Signal.step(heat_h, heat),
            (WEATHER, "call"): Signal.step(heat_h, call),
            (CHARGERS, "busy"): Signal.step(charging_h, busy),
            (CHARGERS, "power"): Signal.step(charging_h, power_kw),
        }

    # the chargers
    def _visit_h(self, streams: Streams, now_h: float) -> float:
        rate = self.chargers.visits_per_h if self.chargers.count else 0.0
        return now_h + streams[f"{CHARGERS}/visit"].draw(ONE) / rate if rate else INF

    @staticmethod
    def _charge_h(s: State) -> float:
        return min([s.visit_h, *(one.due_h for one in s.sessions)])

    def _drawn(self, sessions: Sequence[Session]) -> tuple[float, float]:
        """Chargers taken, and their power."""
        return float(len(sessions)), self.chargers.power_kw * sum(one.charging for one in sessions)

    # the households
    def _moves_in(self, plan: Plan, streams: Streams, i: int) -> Home:
        name, kind = plan.names[i], plan.kinds[i]
        of_size, of_phase, of_cold, of_age = (streams[f"{name}/body"].draw(UNIT) for _ in range(4))
        size = float(Lognormal(1.0, kind.spread_cv).isf(of_size)) if kind.spread_cv else 1.0
        total = plan.chance[0], plan.chance[0] + plan.chance[1], 1.0
        phase = Phase(first_above(total, of_phase))
        fridge = kind.fridge
        cold = of_cold < fridge.on.mean_h / (fridge.on.mean_h + fridge.off.mean_h)
        law, part = (fridge.on, "on") if cold else (fridge.off, "off")
        cold_h = max(of_age * streams[f"{name}/{part}"].draw(law), 1e-6)
        home = Home(size, phase, self._phase_h(plan, streams, name, phase, 0.0), INF, (), 0.0, cold, 0.0, cold_h)
        home.start_h = self._start_h(plan, streams, i, home, 0.0)
        return home

    @staticmethod
    def _phase_h(plan: Plan, streams: Streams, name: str, phase: Phase, now_h: float) -> float:
        hazard = plan.end if phase is ACTIVE else plan.wake if phase is ASLEEP else plan.back
        return hazard.crossing_h(now_h, streams[f"{name}/phase"].draw(ONE))

    @staticmethod
    def _turned(plan: Plan, streams: Streams, name: str, phase: Phase, now_h: float) -> Phase:
        if phase is not ACTIVE:
            return ACTIVE
        return ASLEEP if streams[f"{name}/turn"].draw(UNIT) < plan.sleeps[int(now_h)] else AWAY

    @staticmethod
    def _start_h(plan: Plan, streams: Streams, i: int, home: Home, now_h: float) -> float:
        """When the next use begins, if not after the active phase: drawn anew with each phase and use."""
        if home.phase is not ACTIVE:
            return INF
        amount = streams[f"{plan.names[i]}/start"].draw(ONE) / home.size
        return plan.starts[i].crossing_h(now_h, amount, home.phase_h)

    @staticmethod
    def _left_h(plan: Plan, streams: Streams, name: str, use: Use, now_h: float) -> float:
        mean_h = plan.mean_h[use.appliance]
        return mean_h * streams[f"{name}/length"].draw(Residual(UNIT_USE, (now_h - use.since_h) / mean_h))
