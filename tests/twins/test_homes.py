"""The meters of a street: what they count, what is known ahead, and that they tell nothing before it has happened."""

from dataclasses import replace

import numpy as np
import pytest

from sim.homes import WEATHER, Business, Call, Chargers, Group, Homes, Household
from sim.homes.power import PARTS, home_kwh, integral, part_kwh, street_kwh
from sim.homes.tariff import Dynamic, Flat, TimeOfUse
from sim.trace import Signal
from twins.channel import Role
from twins.futures.oracle import SeriesAsk, forecasts
from twins.homes import FEEDER, HomesTwin
from twins.sensors.noise import Noise

STREET = Homes(
    (Group(2, Household(heat_kw_per_k=0.15, car=True)), Group(2, Household(pv_kw=5.0))),
    chargers=Chargers(1),
    businesses=(Business(annual_kwh=9000.0),),
)
TWIN = HomesTwin(STREET)
EXACT = replace(TWIN, meter=Noise(), feeder_meter=Noise(), thermometer=Noise())
RUN = STREET.run(STREET.start(3), 240.0)


def series(twin=EXACT, run=RUN):
    return {(e.asset, s.quantity): s for e in twin.observe(run) for s in e.series}


def test_integrals_are_exact():
    step = Signal.step([0.0, 1.0, 4.0], [2.0, 0.0, 5.0])
    assert integral(step, np.array([0.5, 1.0, 3.0, 6.0])).tolist() == [1.0, 2.0, 2.0, 12.0]
    ramp = Signal.linear([0.0, 2.0], [0.0, 6.0], [3.0, -1.0])
    assert integral(ramp, np.array([1.0, 2.0, 4.0])).tolist() == [1.5, 6.0, 16.0]


def test_a_street_draws_what_its_homes_and_chargers_draw():
    at_h = np.array([7.0, 100.3, 239.9])
    homes = sum(home_kwh(STREET, RUN.trace, name, at_h) for name in STREET.names)
    rest = sum(integral(RUN.trace[name, "power"], at_h) for name in ("b1", "chargers"))
    np.testing.assert_allclose(street_kwh(STREET, RUN.trace, at_h), homes + rest)
    for name in STREET.names:
        parts = sum(part_kwh(STREET, RUN.trace, name, part, at_h) for part in PARTS)
        np.testing.assert_allclose(parts, home_kwh(STREET, RUN.trace, name, at_h))


def test_a_load_is_the_mean_over_the_interval_that_begins_at_its_sample():
    found = series()
    for step_h in (0.25, 1.0):
        fine = series(replace(EXACT, step_h=step_h))
        for name in STREET.names:
            want = np.diff(home_kwh(STREET, RUN.trace, name, np.arange(0, 240 + step_h / 2, step_h))) / step_h
            np.testing.assert_allclose(fine[name, "load"].values, want, rtol=1e-5, atol=1e-5)
            quarters = fine[name, "load"].values.reshape(240, -1).mean(1)
            np.testing.assert_allclose(quarters, found[name, "load"].values, atol=1e-5)
    assert (found["h3", "load"].values < 0).any()  # the sun feeds in
    assert not (found["h1", "load"].values < 0).any()


def test_a_sample_is_missing_until_its_interval_is_over():
    short = STREET.run(STREET.start(3), 100.5)
    values = series(run=short)["h1", "load"].values
    assert len(values) == 101
    assert np.isnan(values[-1])
    np.testing.assert_array_equal(values[:100], series()["h1", "load"].values[:100])


def test_any_window_equals_that_window_of_the_whole():
    whole = series(TWIN)
    for channel in TWIN.channels:
        values = TWIN.render(RUN.trace, channel, 50, 30)
        asset = FEEDER if (FEEDER if channel.entity == "chargers" else channel.entity) == FEEDER else channel.entity
        key = (asset if (asset, channel.quantity) in whole else "h1", channel.quantity)
        np.testing.assert_array_equal(values, whole[key].values[50:80])


def test_roles_and_gaps():
    found = series(TWIN)
    roles = {quantity: s.role for (_, quantity), s in found.items()}
    assert roles["load"] is roles["feeder_load"] is Role.TARGET
    for quantity in ("temperature_forecast", "price", "clear_sky", "free_day"):
        assert roles[quantity] is Role.KNOWN
    assert {roles[f"{part}_kw"] for part in PARTS} == {Role.TRUTH}
    gaps = np.mean([np.isnan(found[name, "load"].values).mean() for name in STREET.names])
    assert 0 < gaps < 0.03
    told = found["h1", "temperature_forecast"].values
    seen = RUN.trace[WEATHER, "temperature"].at(np.arange(240.0))
    assert 0.2 < (told - seen).std() < 3


def test_appliances_add_up():
    found = series(replace(EXACT, appliances=True))
    for name in STREET.names:
        apart = sum(found[name, f"{a.name}_kw"].values for a in STREET.appliances)
        np.testing.assert_allclose(apart, found[name, "uses_kw"].values, atol=1e-5)
        assert found[name, "cooking_kw"].role is Role.TRUTH


def test_a_call_shows_in_the_loads():
    state = STREET.run(STREET.start(3), 48.0).state
    plain = RUN.trace
    called = STREET.run(STREET.start(3), 48.0).trace + STREET.run(STREET.act(state, Call(1.0, 2.0)), 240.0).trace
    a, b = (home_kwh(STREET, t, "h1", np.array([48.0, 50.0, 53.0])) for t in (plain, called))
    assert b[1] - b[0] < a[1] - a[0]
    assert b[2] - b[1] > a[2] - a[1]
    action = next(c for c in TWIN.channels if c.role is Role.ACTION)
    assert TWIN.render(called, action, 46, 6).tolist() == [0, 0, 1, 1, 0, 0]


def test_the_oracle_knows_what_nobody_else_does_and_still_errs():
    asks = [SeriesAsk(5, (("h1", "load"),), 72), SeriesAsk(5, ((FEEDER, "feeder_load"),), 72)]
    members = forecasts(TWIN, asks, 24, 12)
    run = STREET.run(STREET.start(5), 120.0)
    assert members.shape == (2, 1, 12, 24)
    assert np.isfinite(members).all()
    spread = members.std(2)
    assert (spread > 0).any()
    truth = series(run=run)[FEEDER, "feeder_load"].values[72:96]
    assert np.abs(members[1, 0].mean(0) - truth).mean() < 3 * spread[1].mean() + 0.5


@pytest.mark.parametrize("tariff", [Flat(), TimeOfUse(), Dynamic()])
def test_prices_do_not_depend_on_how_many_are_asked_for(tariff):
    calendar = STREET.calendar
    few, many = tariff.prices(calendar, 3, 50), tariff.prices(calendar, 3, 400)
    np.testing.assert_array_equal(few, many[:50])


def test_a_market_may_pay_for_consumption():
    prices = Dynamic(levy_eur_per_kwh=0.0).prices(STREET.calendar, 1, 4000)
    assert prices.min() < 0 < prices.max()
    assert prices.mean() == pytest.approx(0.09, abs=0.01)
    deviation = (
        prices - 0.09 + 0.04 * np.cos(np.pi * (np.array([STREET.calendar.at(k).hour for k in range(4000)]) - 2) / 6)
    )
    assert deviation.std() == pytest.approx(0.05, rel=0.1)
