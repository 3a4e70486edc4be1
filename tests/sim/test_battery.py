"""Batteries hold what they were given less what they lost, whatever the step; plans are the cheapest there are."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.homes.battery import Battery, operate, self_consumption
from sim.homes.planner import bill_eur, carried_out, closed, plan, rolling

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


def dynamic_programme(capacity, power, load, buy, sell, end):
    """Over whole kilowatt-hours, without losses."""
    value = {e: 0.0 for e in range(end, capacity + 1)}
    for k in reversed(range(len(load))):
        value = {
            e: min(
                bill_eur(np.array([load[k] + to - e]), buy[k : k + 1], sell[k : k + 1]) + value[to]
                for to in value
                if abs(to - e) <= power
            )
            for e in range(capacity + 1)
            if any(abs(to - e) <= power for to in value)
        }
    return value[capacity // 2]


@pytest.mark.parametrize("seed", range(6))
def test_the_plan_equals_a_dynamic_programme_where_nothing_is_lost(seed):
    rng = np.random.default_rng(seed)
    battery = Battery(6.0, 2.0, 2.0, 1.0, 1.0)
    load = rng.integers(-3, 5, 30)
    buy = rng.normal(0.1, 0.2, 30)  # often negative
    sell = buy - rng.uniform(0, 0.1, 30)
    found = plan(battery, 3.0, 1.0, load, buy, sell, end_kwh=2.0)
    assert found.cost_eur == pytest.approx(dynamic_programme(6, 2, load, buy, sell, 2), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_plan_costs_what_it_says_and_no_order_of_a_grid_is_cheaper(seed):
    rng = np.random.default_rng(seed)
    battery = Battery(3.0, 2.0, 2.0, 0.9, 0.85)
    load, buy = rng.uniform(-2, 3, 5), rng.normal(0.05, 0.3, 5)
    sell = buy - 0.05

    def cost(orders):
        done = carried_out(battery, 1.0, 1.0, np.array(orders))
        return bill_eur(load + done.grid_kw_h, buy, sell)

    found = plan(battery, 1.0, 1.0, load, buy, sell)
    assert cost(found.order_kw) == pytest.approx(found.cost_eur, abs=1e-7)
    leaky = replace(battery, loss_per_h=0.02)
    lossy = plan(leaky, 1.0, 1.0, load, buy, sell)
    done = carried_out(leaky, 1.0, 1.0, lossy.order_kw)
    assert bill_eur(load + done.grid_kw_h, buy, sell) == pytest.approx(lossy.cost_eur, abs=1e-7)
    grid = min(cost(orders) for orders in itertools.product(np.linspace(-2, 2, 9), repeat=5))
    assert found.cost_eur <= grid + 1e-9


def test_negative_prices_burn_nothing():
    battery = Battery(4.0, 2.0, 2.0, 0.8, 0.8)
    buy = np.full(6, -0.5)
    found = plan(battery, 4.0, 1.0, np.zeros(6), buy, buy)
    done = carried_out(battery, 4.0, 1.0, found.order_kw)
    assert bill_eur(done.grid_kw_h, buy, buy) == pytest.approx(found.cost_eur, abs=1e-7)
    assert found.cost_eur < 0  # it empties itself, paying, so as to be paid for more


def test_controllers_close_a_share_of_the_gap():
    battery = Battery(8.0, 3.0, 3.0, 0.95, 0.95)
    hours = np.arange(24 * 14)
    load = 0.5 + 0.3 * np.sin(hours * np.pi / 12) - 2.0 * np.maximum(np.sin((hours % 24 - 6) * np.pi / 12), 0)
    buy = np.where((hours % 24 >= 7) & (hours % 24 < 21), 0.4, 0.24)
    sell = np.full(len(hours), 0.08)
    best = plan(battery, 0.0, 1.0, load, buy, sell).cost_eur
    idle = bill_eur(load, buy, sell)
    rule = carried_out(battery, 0.0, 1.0, self_consumption(load))
    foretold = np.array([np.roll(load, -k)[:48] for k in range(len(load))])
    ahead = rolling(battery, 0.0, 1.0, load, foretold, buy, sell, 48, 24)
    shares = [closed(bill_eur(load + done.grid_kw_h, buy, sell), idle, best) for done in (rule, ahead)]
    assert 0 < shares[0] < shares[1] <= 1 + 1e-9
    assert shares[1] > 0.99
    assert math.isnan(closed(1.0, 1.0, 1.0))


def test_a_plan_that_cannot_be_is_refused():
    with pytest.raises(InputError, match="cannot be reached"):
        plan(Battery(10.0, 1.0), 0.0, 1.0, np.zeros(3), np.ones(3), 0.0, end_kwh=8.0)
    with pytest.raises(InputError, match="selling"):
        plan(Battery(), 0.0, 1.0, np.zeros(3), np.zeros(3), 1.0)
