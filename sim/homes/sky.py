"""The weather's own steps: hour by hour, with what is known of the day to come, and what heating is called off."""

from __future__ import annotations

import math

from sim.homes.plan import WEATHER, Plan
from sim.homes.state import Sky
from sim.homes.weather import AHEAD, NORMAL
from sim.laws import UNIT, Exponential
from sim.streams import Streams

SKY_STREAMS = ("surprise", "hint", "cloud", "sojourn")
ONE = Exponential(1.0)  # hazard until the next event


def first_sky(plan: Plan, streams: Streams) -> Sky:
    """The sky at hour 0 after a day of forecasts."""
    clouds, w = plan.world.weather.clouds, plan.world.weather
    first = w.deviation_cel * streams[f"{WEATHER}/surprise"].draw(NORMAL)
    hints = (0.0, *(streams[f"{WEATHER}/hint"].draw(NORMAL) for _ in range(AHEAD - 1)))
    sky = Sky(-AHEAD - 1, 0.0, first, hints, (0.0,) * (AHEAD + 1))
    for _ in range(AHEAD + 1):
        _step(plan, streams, sky)
    sky.cloud = clouds.start(streams[f"{WEATHER}/cloud"].draw(UNIT))
    sky.cloud_h = streams[f"{WEATHER}/sojourn"].draw(ONE) * clouds.mean_h[sky.cloud]
    sky.kelvin = _kelvin(plan, sky)
    return sky


def next_hour(plan: Plan, streams: Streams, sky: Sky) -> None:
    """An hour on: what was hidden of the innovation shows, and the same hour of tomorrow is foretold."""
    _step(plan, streams, sky)
    sky.kelvin = _kelvin(plan, sky)


def knot(plan: Plan, sky: Sky) -> tuple[float, ...]:
    """Time, temperature and its slope, and the same of the forecast."""
    now, then = plan.course_cel(sky.hour), plan.course_cel(sky.hour + 1)
    values = now + sky.deviation_cel, now + sky.forecasts_cel[0]
    after = then + sky.next_cel, then + sky.forecasts_cel[1]
    return float(sky.hour), values[0], after[0] - values[0], values[1], after[1] - values[1]


def count(sky: Sky, now_h: float) -> None:
    """What has been called off up to now will come back."""
    if sky.call:
        sky.owed += sky.returns * sky.call * sky.kelvin * (now_h - sky.counted_h)
    sky.counted_h = now_h


def _step(plan: Plan, streams: Streams, sky: Sky) -> None:
    w = plan.world.weather
    new = streams[f"{WEATHER}/hint"].draw(NORMAL)
    sky.hour, sky.deviation_cel, sky.hints = sky.hour + 1, sky.next_cel, (*sky.hints[1:], new)
    told, seen = w.innovation_cel * math.sqrt(w.known), w.innovation_cel * math.sqrt(1 - w.known)
    foretold = sky.deviation_cel
    for score in sky.hints:
        foretold = w.decay * foretold + told * score
    sky.forecasts_cel = (*sky.forecasts_cel[1:], foretold)
    surprise = seen * streams[f"{WEATHER}/surprise"].draw(NORMAL)
    sky.next_cel = w.decay * sky.deviation_cel + told * sky.hints[0] + surprise


def _kelvin(plan: Plan, sky: Sky) -> float:
    _, cel, slope, _, _ = knot(plan, sky)
    return plan.world.pump.kelvin(cel + 0.5 * slope)
