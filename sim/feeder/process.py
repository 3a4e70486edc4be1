"""How a feeder runs: the homes first, who know nothing of it, then a knot an interval and what happens in between."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from sim.feeder.config import ReplaceTransformer, SetBattery
from sim.feeder.energy import Meter
from sim.feeder.names import BATTERY, FEEDER, TRANSFORMER
from sim.feeder.state import State, Store, Thief, Unit
from sim.homes import WEATHER
from sim.homes.transformer import Heat, ageing_rate, heat_at, warmed
from sim.kernel import Deadline, Kernel
from sim.laws import UNIT, Law, Residual
from sim.streams import Streams
from sim.trace import Event, Key, Run, Signal, Trace, steps

if TYPE_CHECKING:
    from sim.feeder.feeder import Feeder

INF = math.inf
UNIT_STREAMS = ("used", "life", "sudden", "size", "replacement", "planned", "reclose")
LINEAR = ((TRANSFORMER, "aged"), (BATTERY, "held"))


def start(world: Feeder, seed: int) -> State:
    homes, names = world.homes.start(seed), world.homes.names
    own = [f"{TRANSFORMER}/{part}" for part in UNIT_STREAMS]
    if world.theft:
        own += [f"{name}/{part}" for name in names for part in ("theft", "theft share", "honest")]
    streams = Streams(seed, own)
    sky = homes.sky
    ambient_cel = world.homes.weather.course_cel(world.homes.calendar, 0) + sky.deviation_cel
    unit = _installed(world, streams, world.transformer.rated_kva, 0.0, ambient_cel)
    unit.heat = heat_at(world.transformer, world.load_at_start, ambient_cel)
    if world.used:
        unit.aged_h = streams[f"{TRANSFORMER}/used"].draw(world.used)
        unit.life_h = _life_h(world, streams, unit.aged_h)
    unit.rate = _rate(world, unit)
    thieves = [Thief(0.0, 0.0, _onset_h(world, streams, name, 0.0)) for name in names]
    level = {
        (TRANSFORMER, "load"): (world.load_at_start,),
        (TRANSFORMER, "oil"): (unit.heat.oil_cel,),
        (TRANSFORMER, "hot_spot"): (unit.heat.hot_spot_cel,),
        (TRANSFORMER, "aged"): (unit.aged_h, unit.rate),
        (TRANSFORMER, "up"): (1.0,),
        (TRANSFORMER, "rated"): (unit.rated_kva,),
        (FEEDER, "live"): (1.0,),
        (BATTERY, "power"): (0.0,),
        (BATTERY, "held"): (0.0, 0.0),
        **{(name, "theft"): (0.0,) for name in names},
    }
    opened: dict[Key, tuple[float, ...]] = {key: (0.0, *value) for key, value in level.items()}
    return State(homes, streams, unit, Store(0.0), thieves, opened, counted_kwh=[0.0] * len(world.powers))


def run(world: Feeder, state: State, until_h: float) -> Run:
    made = world.homes.run(state.homes, until_h)  # refuses times that lie behind
    street: Trace = made.trace
    start_h, s = street.start_h, state.copy()
    s.homes = made.state
    kernel, streams, unit, store = Kernel(start_h), s.streams, s.unit, s.store
    meter = Meter(world, street, s.interval, s.counted_kwh)
    ambient, names, step_h = street[WEATHER, "temperature"], world.homes.names, world.step_h
    columns = {key: [point] for key, point in s.open.items()}
    events: list[Event] = []

    def put(entity: str, quantity: str, *value: float) -> None:
        columns[entity, quantity].append((kernel._now, *value))

    def note(entity: str, kind: str, cause: str = "", value: float = 0.0) -> None:
        events.append(Event(kernel._now, entity, kind, cause, float(value)))

    def aged() -> None:
        """Life is used up at another rate from now on."""
        unit.rate = _rate(world, unit)
        put(TRANSFORMER, "aged", unit.aged_h, unit.rate if unit.up else 0.0)
        ageing.set(unit.fails_h)

    def knot(deadline: Deadline) -> None:
        """An interval is over: its load warms the transformer."""
        k, now_h = s.interval, kernel._now
        whole_kwh = meter.whole_kwh(k)
        if s.live:
            s.served_kwh += whole_kwh - s.switched_kwh
        else:
            s.lost_kwh += whole_kwh - s.switched_kwh
        stored(now_h)
        power_kw = (s.served_kwh + s.stored_kwh) / step_h
        s.interval, s.served_kwh, s.switched_kwh, s.stored_kwh = k + 1, 0.0, 0.0, 0.0
        load = abs(power_kw) / (world.power_factor * unit.rated_kva)
        unit.heat = warmed(world.transformers[unit.rated_kva], unit.heat, step_h, load, meter.ambient_cel(k))
        unit.aged_h, unit.since_h = unit.at(now_h), now_h
        put(TRANSFORMER, "load", load)
        put(TRANSFORMER, "oil", unit.heat.oil_cel)
        put(TRANSFORMER, "hot_spot", unit.heat.hot_spot_cel)
        aged()
        guard = world.protection
        if guard and s.live and (load >= guard.load or unit.heat.hot_spot_cel >= guard.hot_spot_cel):
            darken("overload", streams[f"{TRANSFORMER}/reclose"].draw(guard.reclose))
        deadline.set((k + 2) * step_h)

    def darken(cause: str, length_h: float) -> None:
        """No voltage from now on, or for another reason than before."""
        now_h = kernel._now
        if s.live:
            here_kwh = meter.until_kwh(s.interval, now_h)
            s.served_kwh += here_kwh - s.switched_kwh
            s.live, s.switched_kwh, s.lost_kwh = False, here_kwh, 0.0
            put(FEEDER, "live", 0.0)
            note(FEEDER, "failure", cause, len(names))
        s.cause, s.dark_h, s.back_h = cause, now_h, now_h + length_h
        back.set(s.back_h)
        work()

    def fail(cause: str) -> None:
        unit.aged_h, unit.since_h, unit.up, unit.sudden_h = unit.at(kernel._now), kernel._now, False, INF
        note(TRANSFORMER, "failure" if cause != "planned" else cause, cause, unit.rated_kva)
        put(TRANSFORMER, "up", 0.0)
        aged()
        sudden.set(INF)
        part, law = ("replacement", world.replacement) if cause != "planned" else ("planned", world.planned)
        darken(cause, streams[f"{TRANSFORMER}/{part}"].draw(law))

    def light(deadline: Deadline) -> None:
        now_h = kernel._now
        if not unit.up:
            cause = "planned" if s.cause == "planned" else "failure"
            renew(now_h, cause)
        here_kwh = meter.until_kwh(s.interval, now_h)
        lost_kwh = s.lost_kwh + here_kwh - s.switched_kwh
        s.live, s.cause, s.back_h, s.switched_kwh, s.lost_kwh = True, "", INF, here_kwh, 0.0
        put(FEEDER, "live", 1.0)
        note(FEEDER, "renewal", cause="", value=lost_kwh)
        work()

    def renew(now_h: float, cause: str) -> None:
        nonlocal unit
        kva = unit.rated_kva
        if world.sizes_kva:
            u = streams[f"{TRANSFORMER}/size"].draw(UNIT)
            kva = world.sizes_kva[int(u * len(world.sizes_kva))]
        ambient_cel = float(ambient.at(now_h))
        unit = s.unit = _installed(world, streams, kva, now_h, ambient_cel)
        note(TRANSFORMER, "renewal", cause, kva)
        put(TRANSFORMER, "up", 1.0)
        put(TRANSFORMER, "rated", kva)
        put(TRANSFORMER, "oil", ambient_cel)
        put(TRANSFORMER, "hot_spot", ambient_cel)
        aged()
        sudden.set(unit.sudden_h)

    def stored(now_h: float) -> None:
        """The battery's account is carried on to now."""
        begun_h = max(store.since_h, s.interval * step_h)
        s.stored_kwh += store.power_kw * (now_h - begun_h)
        if store.power_kw:
            store.held_kwh = _held(world, store, now_h)
        store.since_h = now_h

    def work() -> None:
        """The battery does what it is told, if it can."""
        battery, now_h = world.battery, kernel._now
        if battery is None:
            return
        stored(now_h)
        power_kw = min(max(store.order_kw, -battery.discharge_kw), battery.charge_kw) if s.live else 0.0
        if (power_kw > 0 and store.held_kwh >= battery.capacity_kwh) or (power_kw < 0 and store.held_kwh <= 0):
            power_kw = 0.0
        goal_kwh = battery.capacity_kwh if power_kw > 0 else 0.0
        inflow_kw = _inflow(world, power_kw)
        store.until_h = now_h + (goal_kwh - store.held_kwh) / inflow_kw if inflow_kw else INF
        store.power_kw = power_kw
        put(BATTERY, "power", power_kw)
        put(BATTERY, "held", store.held_kwh, inflow_kw)
        battery_due.set(store.until_h)

    def full(deadline: Deadline) -> None:
        assert world.battery
        charging = store.power_kw > 0
        stored(kernel._now)
        store.held_kwh = world.battery.capacity_kwh if charging else 0.0
        work()

    def turn(deadline: Deadline, i: int) -> None:
        """A household begins to steal, or ends it."""
        assert world.theft
        theft, name, now_h = world.theft, names[i], kernel._now
        if s.thieves[i].share:
            s.thieves[i] = Thief(0.0, now_h, _onset_h(world, streams, name, now_h))
            note(name, "honest")
        else:
            share = theft.least + (theft.most - theft.least) * streams[f"{name}/theft share"].draw(UNIT)
            length_h = streams[f"{name}/honest"].draw(theft.lasts) if theft.lasts else INF
            s.thieves[i] = Thief(share, now_h, now_h + length_h)
            note(name, "theft", value=share)
        put(name, "theft", s.thieves[i].share)
        deadline.set(s.thieves[i].until_h)

    kernel.at((s.interval + 1) * step_h, 0, knot)
    ageing = kernel.at(unit.fails_h, 1, lambda _: fail("ageing"))
    sudden = kernel.at(unit.sudden_h, 2, lambda _: fail("sudden"))
    back = kernel.at(s.back_h, 3, light)
    battery_due = kernel.at(store.until_h, 4, full)
    if world.theft:
        for i, thief in enumerate(s.thieves):
            kernel.at(thief.until_h, 5 + i, lambda deadline, i=i: turn(deadline, i))
    if until_h > start_h:
        for action in s.actions:
            note(FEEDER, "action", type(action).__name__, getattr(action, "order_kw", 0.0))
            if isinstance(action, SetBattery):
                if action.order_kw != store.order_kw:
                    store.order_kw = action.order_kw
                    work()
            elif isinstance(action, ReplaceTransformer) and unit.up:
                fail("planned")
        s.actions.clear()
    kernel.run_to(until_h)
    s.counted_kwh = meter.open_kwh
    s.open = {key: points[-1] for key, points in columns.items()}
    merged = tuple(sorted([*street.events, *events], key=lambda event: event.time_h)) if events else street.events
    signals = {**street.signals, **_signals(columns)}
    return Run(Trace(street.seed, start_h, street.end_h, signals, merged), s)


def resample(world: Feeder, state: State, seed: int) -> State:
    s = state.copy()
    s.homes, s.streams, now_h = world.homes.resample(state.homes, seed), state.streams.rekeyed(seed), state.time_h
    streams, unit = s.streams, s.unit
    if unit.up:
        unit.life_h = _life_h(world, streams, unit.at(now_h))
        unit.sudden_h = now_h + _rest_h(streams, "sudden", world.sudden, now_h - unit.installed_h)
    if not s.live:
        part = {"overload": "reclose", "planned": "planned"}.get(s.cause, "replacement")
        laws = {"reclose": world.protection and world.protection.reclose, "planned": world.planned}
        s.back_h = now_h + _rest_h(streams, part, laws.get(part, world.replacement), now_h - s.dark_h)
    for i, (name, thief) in enumerate(zip(world.homes.names, s.thieves, strict=True)):
        if world.theft:
            law, part = (world.theft.lasts, "honest") if thief.share else (world.theft.onset, "theft")
            rest_h = streams[f"{name}/{part}"].draw(Residual(law, now_h - thief.since_h)) if law else INF
            s.thieves[i] = thief._replace(until_h=now_h + rest_h)
    return s


def _rest_h(streams: Streams, part: str, law: Law | None, age_h: float) -> float:
    return streams[f"{TRANSFORMER}/{part}"].draw(Residual(law, age_h)) if law else INF


def _installed(world: Feeder, streams: Streams, kva: float, now_h: float, ambient_cel: float) -> Unit:
    """A new transformer, cold."""
    sudden_h = now_h + streams[f"{TRANSFORMER}/sudden"].draw(world.sudden) if world.sudden else INF
    return Unit(kva, now_h, Heat(ambient_cel), _life_h(world, streams, 0.0), sudden_h, since_h=now_h)


def _life_h(world: Feeder, streams: Streams, aged_h: float) -> float:
    """How much use a transformer stands that has stood *aged_h*."""
    return aged_h + streams[f"{TRANSFORMER}/life"].draw(Residual(world.life, aged_h)) if world.life else INF


def _onset_h(world: Feeder, streams: Streams, name: str, now_h: float) -> float:
    return now_h + streams[f"{name}/theft"].draw(world.theft.onset) if world.theft else INF


def _rate(world: Feeder, unit: Unit) -> float:
    return float(ageing_rate(world.transformer, unit.heat.hot_spot_cel)) if unit.up else 0.0  # type: ignore[arg-type]


def _inflow(world: Feeder, power_kw: float) -> float:
    """What the battery's cells take of a power at its terminals."""
    battery = world.battery
    if battery is None or not power_kw:
        return 0.0
    return power_kw * battery.charge_efficiency if power_kw > 0 else power_kw / battery.discharge_efficiency


def _held(world: Feeder, store: Store, now_h: float) -> float:
    assert world.battery
    held_kwh = store.held_kwh + _inflow(world, store.power_kw) * (now_h - store.since_h)
    return min(max(held_kwh, 0.0), world.battery.capacity_kwh)


def _signals(columns: dict[Key, list[tuple[float, ...]]]) -> dict[Key, Signal]:
    found = {key: tuple(zip(*points, strict=True)) for key, points in columns.items()}
    levels = {key: column for key, column in found.items() if key not in LINEAR}
    signals = steps(levels, list(levels.values()))  # type: ignore[arg-type]
    for key in LINEAR:
        signals[key] = Signal.linear(*found[key])
    return signals
