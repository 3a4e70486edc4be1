"""Homes against what is known of them: the calendar, the sky, the calibrated mean, and who is independent of whom."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from sim.errors import InputError
from sim.homes import (
    AHEAD,
    WEATHER,
    Business,
    Calendar,
    Call,
    Chargers,
    Clouds,
    Group,
    Homes,
    Household,
    Weather,
    calibration,
)
from sim.homes.calendar import SATURDAY, SUNDAY, WORKDAY, easter
from sim.homes.config import APPLIANCES, FREE_DAY, Fridge, HeatPump
from sim.homes.config import WORKDAY as WORK
from sim.laws import Uniform
from sim.trace import Form

FOUR = Homes((Group(4),))


def mean(signal, start_h, end_h):
    """The mean of a step signal."""
    inside = signal.time_h[(signal.time_h > start_h) & (signal.time_h < end_h)]
    edges = np.concatenate(([start_h], inside, [end_h]))
    return float(np.dot(signal.at(edges[:-1]), np.diff(edges)) / (end_h - start_h))


def test_an_epoch_says_its_time_zone():
    for epoch in ("2025-01-06T00:00:00", "yesterday", "2025-01-06T00:30:00+01:00"):
        with pytest.raises(InputError, match=r"epoch|ISO"):
            Calendar(epoch)
    assert Calendar("2025-01-05T23:00:00+00:00").at(0) == Calendar().at(0)


def test_the_clock_is_put_forward_and_back():
    spring = Calendar("2025-03-30T00:00:00+01:00")
    assert [spring.at(k).hour for k in range(4)] == [0, 1, 3, 4]
    autumn = Calendar("2025-10-26T00:00:00+02:00")
    assert [autumn.at(k).hour for k in range(5)] == [0, 1, 2, 2, 3]


@pytest.mark.parametrize(("year", "day"), [(2019, (4, 21)), (2024, (3, 31)), (2025, (4, 20)), (2038, (4, 25))])
def test_easter(year, day):
    assert easter(year) == date(year, *day)


def test_days_are_of_three_kinds():
    days = Calendar("2025-04-16T00:00:00+02:00", holidays=("2025-04-17",))  # the week before Easter
    kinds = [days.at(24 * d).kind for d in range(8)]
    assert kinds == [WORKDAY, SUNDAY, SUNDAY, SATURDAY, SUNDAY, SUNDAY, WORKDAY, WORKDAY]


def test_a_forecast_errs_as_much_as_is_said_and_never_more_with_more_known():
    world = Homes((), weather=replace(Weather(), known=0.5))
    errors, deviations = [], []
    for seed in range(6):
        trace = world.run(world.start(seed), 2000.0).trace
        hours = np.arange(2000.0)
        errors.append(trace[WEATHER, "temperature"].at(hours) - trace[WEATHER, "forecast"].at(hours))
        course = [world.weather.course_cel(world.calendar, k) for k in range(2000)]
        deviations.append(trace[WEATHER, "temperature"].at(hours) - course)
    assert np.sqrt(np.mean(np.square(deviations))) == pytest.approx(world.weather.deviation_cel, rel=0.2)
    assert np.var(errors) == pytest.approx(world.weather.forecast_variance, rel=0.1)
    certain = Homes((), weather=replace(Weather(), known=1.0))
    trace = certain.run(certain.start(0), 100.0).trace
    hours = np.arange(100.0)
    told, seen = (trace[WEATHER, name].at(hours) for name in ("forecast", "temperature"))
    np.testing.assert_allclose(told, seen, atol=1e-9)


def test_futures_agree_with_the_forecast_in_the_mean():
    world = Homes((), weather=replace(Weather(), known=0.6, correlation_h=20.0))
    state = world.run(world.start(3), 50.0).state
    futures = [world.run(world.resample(state, seed), 50.0 + AHEAD).trace for seed in range(400)]
    at_h = 50.0 + AHEAD - 1
    seen = np.array([f[WEATHER, "temperature"].at(at_h) for f in futures])
    told = {float(f[WEATHER, "forecast"].at(at_h)) for f in futures}
    assert len(told) == 1  # known beforehand, whatever comes
    assert abs(seen.mean() - told.pop()) < 4 * seen.std() / 20 + 0.3


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_clear_skies_are_those_of_pvlib():
    pd = pytest.importorskip("pandas")
    import pvlib

    w, calendar = Weather(), Calendar("2025-06-20T00:00:00+02:00")
    times = pd.date_range(calendar.start, periods=96, freq="15min")
    place = pvlib.location.Location(w.latitude, w.longitude, altitude=w.altitude_m)
    sun = place.get_solarposition(times, temperature=w.mean_cel)
    sky = place.get_clearsky(times, linke_turbidity=w.linke, solar_position=sun)
    plane = pvlib.irradiance.get_total_irradiance(
        w.tilt_deg, w.azimuth_deg, sun.apparent_zenith, sun.azimuth, sky.dni, sky.ghi, sky.dhi
    )
    np.testing.assert_allclose(w.clear_kw_m2(calendar, 0, 96), plane.poa_global / 1000, atol=1e-3)


def test_irradiance_is_the_clear_sky_times_the_clouds():
    world = Homes((), weather=replace(Weather(), clouds=Clouds((1.0, 0.5, 0.2), (1.0, 1.0, 1.0))))
    trace = world.run(world.start(1), 24.0).trace
    at_h = np.linspace(0, 24, 997, endpoint=False)
    clear = np.interp(at_h, np.arange(97) / 4, world.weather.clear_kw_m2(world.calendar, 0, 97))
    share = np.array(world.weather.clouds.share)[trace[WEATHER, "cloud"].at(at_h).astype(int)]
    assert trace[WEATHER, "irradiance"].form is Form.LINEAR
    np.testing.assert_allclose(trace[WEATHER, "irradiance"].at(at_h), clear * share, atol=1e-12)


def test_the_chain_of_clouds_stays_as_long_as_it_says():
    clouds = Clouds((1.0, 0.6, 0.3, 0.1), (2.0, 1.0, 3.0, 4.0))
    flow = np.diag([-1 / m for m in clouds.mean_h])
    for i in range(4):
        for u in (0.25, 0.75):
            flow[i, clouds.next(i, u)] += 0.5 / clouds.mean_h[i]
    np.testing.assert_allclose(np.array(clouds.stationary) @ flow, 0, atol=1e-12)


def test_the_expected_mean_follows_the_standard_profile():
    kind = Household()
    follow, constant = calibration.rate(WORK, FREE_DAY, APPLIANCES, kind.annual_kwh, kind.base_kw)
    response = calibration.response(WORK, FREE_DAY, APPLIANCES)
    for month in range(12):
        scale = calibration.yearly(15 + 30 * month)
        rate = scale * follow[month] - constant
        assert rate.min() > 0
        got = response @ calibration.of_week(rate) + kind.base_kw
        want = scale * kind.annual_kwh * calibration.of_week(calibration.profile()[month])
        assert np.abs(got.reshape(7, 24)[1:4].mean(0) / want.reshape(7, 24)[1:4].mean(0) - 1).max() < 0.02
        assert got.mean() == pytest.approx(want.mean(), rel=1e-3)


def test_the_profile_is_that_of_demandlib():
    pd = pytest.importorskip("pandas")
    import warnings

    from demandlib import bdew

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        year = np.asarray(bdew.H25(pd.date_range("2025-01-01", "2026-01-01", freq="15min", inclusive="left")))
    calendar = Calendar("2025-01-01T00:00:00+01:00", "Etc/GMT-1")
    for day in (1, 45, 100, 200, 363):  # no holidays but for the first
        hour = calendar.at(day * 24)
        kind = max(date(2025, 1, 1).weekday() + day, 0) % 7
        profile = calibration.profile()[hour.month - 1, max(kind - 4, 0)] * calibration.yearly(hour.day)
        np.testing.assert_allclose(profile, year[day * 96 : day * 96 + 96].reshape(24, 4).mean(1) / 1e6, rtol=1e-9)


def test_a_further_household_leaves_the_others_as_they_were():
    few, more = FOUR, Homes((Group(4), Group(1, Household(heat_kw_per_k=0.2, annual_kwh=6000.0))))
    a, b = (world.run(world.start(5), 100.0).trace for world in (few, more))
    assert all(a[key] == b[key] for key in a.signals)
    assert [e for e in b.events if e.entity != "h5"] == list(a.events)


def test_a_business_follows_its_profile_in_the_mean_and_hangs_on():
    shop = Business("g25", 40_000.0, spread_cv=0.3, correlation_h=5.0)
    world = Homes((), businesses=(shop, replace(shop, profile="l25")))
    hours, calendar = 8760, world.calendar
    trace = world.run(world.start(1), float(hours)).trace
    for name, profile, year_kwh in (("b1", "g25", 40_000.0), ("b2", "l25", 40_000.0)):
        power = trace[name, "power"]
        np.testing.assert_array_equal(power.time_h, np.arange(hours))
        at = [calendar.at(k) for k in range(hours)]
        want = year_kwh * np.array([calibration.profile(profile)[h.month - 1, h.kind, h.hour] for h in at])
        assert want.sum() == pytest.approx(year_kwh, rel=0.01)  # as the profile says, whichever days are holidays
        factor = power.value / want
        assert factor.mean() == pytest.approx(1.0, abs=0.05)
        assert factor.std() == pytest.approx(0.3, abs=0.04)
        log = np.log(factor) - np.log(factor).mean()
        assert np.mean(log[5:] * log[:-5]) / log.var() == pytest.approx(np.exp(-1), abs=0.07)


def test_a_further_business_leaves_all_others_as_they_were():
    few, more = (replace(FOUR, businesses=(Business(),) * n) for n in (1, 2))
    a, b = (world.run(world.start(5), 100.0).trace for world in (few, more))
    assert all(a[key] == b[key] for key in a.signals)
    assert a.events == b.events


def test_attended_uses_end_with_the_activity():
    trace = FOUR.run(FOUR.start(2), 400.0).trace
    attended = {a.name for a in APPLIANCES if a.attended}
    for name in FOUR.names:
        phase, uses = trace[name, "phase"], trace[name, "uses"]
        for event in trace.events:
            assert event.entity != name or event.kind != "use" or phase.at(event.time_h) == 0
        sleeping = uses.value[phase.at(uses.time_h) != 0]
        others = [a.power_kw for a in APPLIANCES if a.name not in attended]
        sums = {round(i * others[0] + j * others[1], 9) for i in range(4) for j in range(4)}
        assert {round(v, 9) for v in sleeping} <= sums
        assert len(sleeping)


def test_the_fridge_runs_its_share_of_the_time():
    fridge = Fridge(0.2, Uniform(0.2, 0.4), Uniform(0.3, 0.9))
    world = Homes((Group(3, Household(fridge=fridge)),))
    trace = world.run(world.start(0), 500.0).trace
    assert np.mean([mean(trace[n, "fridge"], 0, 500) for n in world.names]) == pytest.approx(fridge.mean_kw, rel=0.02)


def test_what_a_call_saves_comes_back():
    world = Homes((), pump=HeatPump(indoor_cel=25.0))
    state = world.run(world.start(4), 30.3).state
    plain = world.run(state, 60.0).trace[WEATHER, "heat"]
    called = world.run(world.act(state, Call(0.6, 2.0, 0.9, 3.0)), 60.0).trace
    heat = called[WEATHER, "heat"]
    saved = 2 * (mean(plain, 30.3, 32.3) - mean(heat, 30.3, 32.3))
    back = 3 * (mean(heat, 32.3, 35.3) - mean(plain, 32.3, 35.3))
    assert saved == pytest.approx(0.6 * 2 * mean(plain, 30.3, 32.3))
    assert back == pytest.approx(0.9 * saved, rel=1e-9)
    assert mean(heat, 35.3, 60.0) == pytest.approx(mean(plain, 35.3, 60.0))
    assert [e.kind for e in called.events] == ["action", "rebound"]


def test_cars_charge_when_they_come_home_and_drive_on_where_nothing_is_free():
    world = Homes((Group(12, Household(car=True)),), chargers=Chargers(2, plug=1.0))
    trace = world.run(world.start(0), 300.0).trace
    busy = trace["chargers", "busy"]
    assert busy.value.max() == 2
    kinds = {event.kind for event in trace.events}
    assert {"charge", "blocked", "leave"} <= kinds
    for event in trace.events:
        if event.kind in ("charge", "blocked"):
            before = busy.at(np.nextafter(event.time_h, 0))
            assert (before == 2) == (event.kind == "blocked")
    assert trace["chargers", "power"].value.max() <= 22


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Homes((Group(1, Household(car=True)),)), "chargers"),
        (lambda: Household(annual_kwh=1500.0), "annual_kwh"),
        (lambda: Clouds((1.0, 2.0)), "share"),
        (lambda: Homes(appliances=()), "appliances"),
        (lambda: Call(2.0), "share"),
        (lambda: Business("h0"), "profile"),  # type: ignore[arg-type]
        (lambda: Business(annual_kwh=-1.0), "annual_kwh"),
        (lambda: FOUR.household("h9"), "h9"),
        (lambda: FOUR.act(FOUR.start(0), 3), "Call"),  # type: ignore[arg-type]
    ],
)
def test_nonsense_is_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
