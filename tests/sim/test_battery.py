"""Batteries hold what they were given less what they lost, whatever the step; plans are the cheapest there are."""

import itertools
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.homes.battery import Battery, operate, self_consumption
from sim.homes.planner import Terms, carried_out, closed, plan, rolling

RNG = np.random.default_rng(0)
batteries = st.builds(
    Battery,
    st.floats(1, 20),
    st.floats(0.5, 10),
    st.floats(0.5, 10),
    st.floats(0.5, 1),
    st.floats(0.5, 1),
    st.sampled_from([0.0, 1e-4, 0.01, 0.3]),
)


@given(batteries, st.lists(st.floats(-12, 12), min_size=1, max_size=20), st.floats(0, 1))
@settings(max_examples=200)
def test_energy_balances_and_steps_do_not_matter(battery, orders, share):
    held = share * battery.capacity_kwh
    hourly = operate(battery, held, np.arange(len(orders) + 1.0), np.array(orders))
    for per in (4, 60):
        fine = operate(battery, held, np.arange(len(orders) * per + 1) / per, np.repeat(orders, per))
        np.testing.assert_allclose(fine.held_kwh[::per], hourly.held_kwh, atol=1e-9)
        for a, b in zip(fine[1:], hourly[1:], strict=True):
            np.testing.assert_allclose(a.reshape(-1, per).sum(1), b, atol=1e-9)
    balance = np.diff(hourly.held_kwh) - hourly.charged_kwh + hourly.discharged_kwh + hourly.lost_kwh
    assert np.abs(balance).max() < 1e-9
    assert (hourly.lost_kwh > -1e-12).all()
    assert not ((hourly.charged_kwh > 0) & (hourly.discharged_kwh > 0)).any()
    assert ((hourly.held_kwh >= 0) & (hourly.held_kwh <= battery.capacity_kwh)).all()


def test_closed_forms():
    battery = Battery(10.0, 5.0, 5.0, 0.9, 0.8, 0.1)
    charged = operate(battery, 0.0, np.array([0.0, 0.5]), np.array([5.0]))
    assert charged.held_kwh[1] == pytest.approx(45 * (1 - math.exp(-0.05)))
    full = operate(battery, 10.0, np.array([0.0, 2.0]), np.array([5.0]))
    assert (full.held_kwh[1], full.charged_kwh[0]) == (10.0, pytest.approx(2 * 1.0 / 0.9))
    empty = operate(battery, 1.0, np.array([0.0, 10.0]), np.array([-5.0]))
    emptied_h = math.log((62.5 + 1) / 62.5) / 0.1
    assert (empty.held_kwh[1], empty.discharged_kwh[0]) == (0.0, pytest.approx(5 * emptied_h))


def test_bad_orders_are_refused():
    with pytest.raises(InputError, match="held_kwh"):
        operate(Battery(), 11.0, np.array([0.0, 1.0]), np.array([0.0]))
    with pytest.raises(ValueError, match="edges"):
        operate(Battery(), 1.0, np.array([0.0]), np.array([0.0]))
    with pytest.raises(InputError, match="charge_efficiency"):
        Battery(charge_efficiency=1.1)


def dynamic_programme(capacity, power, load, terms, end):
    """Over whole kilowatt-hours, without losses; the state holds the day's peak import as well."""
    days = terms.day.tolist()

    def cheapest(k, held, peak):
        if k == len(load):
            return -terms.worth_eur_per_kwh * held if held >= end else math.inf
        peak = peak if k and days[k] == days[k - 1] else 0
        found = math.inf
        for to in range(max(held - power, 0), min(held + power, capacity) + 1):
            net = int(load[k]) + to - held
            price = terms.buy[k] if net > 0 else terms.sell[k]
            rise = terms.peak_eur_per_kw * max(net - peak, 0)
            found = min(found, price * net + rise + after(k + 1, to, max(peak, net)))
        return found

    after = cache(cheapest)
    return after(0, capacity // 2, 0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("peak", [0.0, 0.4])
def test_the_plan_equals_a_dynamic_programme_where_nothing_is_lost(seed, peak):
    rng = np.random.default_rng(seed)
    battery = Battery(6.0, 2.0, 2.0, 1.0, 1.0)
    load = rng.integers(-3, 5, 30)
    buy = rng.normal(0.1, 0.2, 30)  # often negative
    worth = 0.2 * seed
    terms = Terms.of(
        1.0, buy, buy - rng.uniform(0, 0.1, 30), np.arange(30) // 12, peak_eur_per_kw=peak, worth_eur_per_kwh=worth
    )
    found, exact = plan(battery, 3.0, load, terms, end_kwh=2.0), dynamic_programme(6, 2, load, terms, 2)
    assert found.cost_eur <= exact + 1e-9  # parts of a kilowatt-hour may cut a peak further
    assert found.cost_eur == pytest.approx(exact, abs=1e-9 if peak == 0 else 0.3)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("peak", [0.0, 0.5])
def test_a_plan_costs_what_it_says_and_no_order_of_a_grid_is_cheaper(seed, peak):
    rng = np.random.default_rng(seed)
    battery = Battery(3.0, 2.0, 2.0, 0.9, 0.85)
    load, buy = rng.uniform(-2, 3, 5), rng.normal(0.05, 0.3, 5)
    terms = Terms.of(1.0, buy, buy - 0.05, [0, 0, 0, 1, 1], peak_eur_per_kw=peak, worth_eur_per_kwh=0.1)

    def cost(battery, orders, reached=0.0):
        done = carried_out(battery, 1.0, 1.0, np.array(orders))
        return terms.bill_eur(load + done.grid_kw_h, done.held_kwh[-1], reached)

    found = plan(battery, 1.0, load, terms)
    assert cost(battery, found.order_kw) == pytest.approx(found.cost_eur, abs=1e-7)
    leaky = replace(battery, loss_per_h=0.02)
    lossy = plan(leaky, 1.0, load, terms, peak_kw=1.5)
    assert cost(leaky, lossy.order_kw, 1.5) == pytest.approx(lossy.cost_eur, abs=1e-7)
    grid = min(cost(battery, orders) for orders in itertools.product(np.linspace(-2, 2, 9), repeat=5))
    assert found.cost_eur <= grid + 1e-9


def test_negative_prices_burn_nothing():
    battery = Battery(4.0, 2.0, 2.0, 0.8, 0.8)
    terms = Terms.of(1.0, np.full(6, -0.5), -0.5)
    found = plan(battery, 4.0, np.zeros(6), terms)
    done = carried_out(battery, 4.0, 1.0, found.order_kw)
    assert terms.bill_eur(done.grid_kw_h) == pytest.approx(found.cost_eur, abs=1e-7)
    assert found.cost_eur < 0  # it empties itself, paying, so as to be paid for more


def test_a_bill_is_energy_and_each_days_peak():
    terms = Terms.of(0.5, [0.3, 0.3, 0.2, 0.2], 0.1, [0, 0, 1, 1], peak_eur_per_kw=2.0, worth_eur_per_kwh=0.25)
    assert terms.bill_eur(np.array([1.0, -2.0, 0.5, 1.5])) == pytest.approx(0.3 - 0.2 + 0.1 + 0.3 + 2 * (2.0 + 3.0))
    assert terms.bill_eur(np.array([1.0, -2.0, 0.5, 1.5]), 4.0, 1.5) == pytest.approx(0.5 + 2 * (0.5 + 3.0) - 1.0)


def settled(terms, load, done):
    return terms.bill_eur(load + done.grid_kw_h, done.held_kwh[-1])


def fortnight(peak=0.0):
    hours = np.arange(24 * 14)
    load = 0.5 + 0.3 * np.sin(hours * np.pi / 12) - 2.0 * np.maximum(np.sin((hours % 24 - 6) * np.pi / 12), 0)
    buy = np.where((hours % 24 >= 7) & (hours % 24 < 21), 0.4, 0.24)
    return load, Terms.of(1.0, buy, 0.08, hours // 24, peak_eur_per_kw=peak, worth_eur_per_kwh=0.2)


@pytest.mark.parametrize("peak", [0.0, 0.6])
def test_controllers_close_a_share_of_the_gap(peak):
    battery, (load, terms) = Battery(8.0, 3.0, 3.0, 0.95, 0.95), fortnight(peak)
    best = plan(battery, 0.0, load, terms).cost_eur
    idle = terms.bill_eur(load)
    rule = carried_out(battery, 0.0, 1.0, self_consumption(load))
    foretold = np.array([np.roll(load, -k)[:48] for k in range(0, len(load), 12)])
    ahead = rolling(battery, 0.0, load, foretold, terms, 12)
    shares = [closed(settled(terms, load, done), idle, best) for done in (rule, ahead)]
    assert 0 < shares[0] < shares[1] <= 1 + 1e-9
    assert shares[1] > 0.97
    assert math.isnan(closed(1.0, 1.0, 1.0))


@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 2.0]))
@settings(max_examples=25)
def test_nobody_beats_foresight_and_foresight_of_all_is_foresight(seed, peak):
    """Whatever is foretold, however wrong; and a plan that is foretold the whole run rightly is the best there is."""
    rng = np.random.default_rng(seed)
    battery = Battery(5.0, 2.0, 2.0, 0.9, 0.9)
    load, buy = rng.normal(0.5, 2.0, 36), rng.uniform(-0.1, 0.5, 36)
    terms = Terms.of(1.0, buy, buy - 0.05, np.arange(36) // 24, peak_eur_per_kw=peak, worth_eur_per_kwh=0.2)
    best = plan(battery, 2.0, load, terms).cost_eur
    whole = rolling(battery, 2.0, load, load[None], terms, 36)
    assert settled(terms, load, whole) == pytest.approx(best, abs=1e-7)
    right = np.array([np.concatenate((load[k:], np.zeros(k))) for k in range(0, 36, 6)])
    again = rolling(battery, 2.0, load, right, terms, 6)  # planned anew, and nothing new is known
    assert settled(terms, load, again) == pytest.approx(best, abs=1e-6)
    wrong = rolling(battery, 2.0, load, rng.normal(0.5, 2.0, (6, 12)), terms, 6)
    for done in (wrong, carried_out(battery, 2.0, 1.0, self_consumption(load))):
        assert settled(terms, load, done) >= best - 1e-7


def test_a_plan_that_cannot_be_is_refused():
    with pytest.raises(InputError, match="cannot be reached"):
        plan(Battery(10.0, 1.0), 0.0, np.zeros(3), Terms.of(1.0, np.ones(3)), end_kwh=8.0)
    with pytest.raises(InputError, match="selling"):
        Terms.of(1.0, np.zeros(3), 1.0)
