"""The formulas of inventory give the published numbers, agree where they overlap, and find what search finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim.laws import Deterministic, Exponential, Gamma, Lognormal
from sim.supply import theory

ZHENG = {"per_order": 64.0, "holding": 1.0, "backorder": 9.0}
means = st.floats(0.1, 30.0)


@pytest.mark.parametrize(("mean", "s", "S", "cost"), [(10, 6, 40, 35.022), (15, 10, 49, 42.698)])
def test_the_published_policies_cost_what_is_published_and_none_costs_less(mean, s, S, cost):
    demand = theory.demand_pmf(mean)
    assert theory.min_max_cost(s, S, demand, **ZHENG) == pytest.approx(cost, abs=5e-4)
    best = theory.best_min_max(demand, **ZHENG)
    assert (best.reorder_point, best.order_up_to) == (s, S)
    assert best.cost == pytest.approx(cost, abs=5e-4)
    pairs = [(a, b) for a in range(-2, 2 * mean) for b in range(a + 1, 5 * mean)]
    assert min(pairs, key=lambda pair: theory.min_max_cost(*pair, demand, **ZHENG)) == (s, S)


@given(st.floats(0.5, 8.0), st.floats(0.0, 40.0), st.floats(0.2, 3.0), st.floats(0.5, 20.0))
@settings(deadline=None, max_examples=20)
def test_the_best_policy_is_the_best_of_all(mean, per_order, holding, backorder):
    demand = theory.demand_pmf(mean)
    best = theory.best_min_max(demand, per_order, holding, backorder)
    s, S = best.reorder_point, best.order_up_to
    assert best.cost == pytest.approx(theory.min_max_cost(s, S, demand, per_order, holding, backorder))
    for other in [(s + a, S + b) for a in range(-6, 7) for b in range(-6, 7) if s + a < S + b]:
        assert theory.min_max_cost(*other, demand, per_order, holding, backorder) >= best.cost - 1e-9


def test_without_a_fixed_cost_the_best_policy_is_the_newsvendors_base_stock():
    demand = theory.demand_pmf(12.0)
    best = theory.best_min_max(demand, 0.0, 1.0, 4.0)
    assert best.order_up_to == best.reorder_point + 1 == theory.newsvendor(demand, 4.0, 0.0, -1.0)


@given(means, st.sampled_from([Exponential(1.5), Gamma(4.0, 0.4), Lognormal(2.0, 0.7), Deterministic(3.0)]))
@settings(deadline=None, max_examples=30)
def test_compound_poisson_has_its_mean_and_variance_and_transform(customers, size):
    one, pmf = theory.size_pmf(size), theory.demand_pmf(customers, size)
    units = np.arange(len(one))
    assert one.sum() == pytest.approx(1)
    assert pmf.sum() == pytest.approx(1, abs=1e-9)
    mean = customers * (units @ one)
    assert theory.mean(pmf) == pytest.approx(mean)
    assert (np.arange(len(pmf)) - mean) ** 2 @ pmf == pytest.approx(customers * (units**2 @ one))
    assert 0.7 ** np.arange(len(pmf)) @ pmf == pytest.approx(np.exp(customers * (0.7**units @ one - 1)))


def test_whole_units_of_an_exponential_are_geometric():
    one = theory.size_pmf(Exponential(2.0))
    np.testing.assert_allclose(one[1:20], stats.geom.pmf(np.arange(1, 20), 1 - np.exp(-0.5)))


@given(means)
def test_single_units_are_poisson_by_either_way(customers):
    compound = theory.demand_pmf(customers, Deterministic(1.0))
    np.testing.assert_allclose(compound, theory.demand_pmf(customers)[: len(compound)], atol=1e-12)


@given(st.integers(0, 15), st.integers(1, 9), means)
@settings(deadline=None, max_examples=40)
def test_levels_balance_and_policies_agree_where_they_are_the_same(s, more, customers):
    demand = theory.demand_pmf(customers)
    unit = theory.size_pmf(None)
    lot = theory.levels(s + more, theory.fixed_quantity_position(more), demand)
    np.testing.assert_allclose(lot, theory.levels(s + more, theory.min_max_position(s, s + more, unit), demand))
    assert lot.on_hand - lot.backorders == pytest.approx(s + (more + 1) / 2 - customers)
    base = theory.levels(s, np.ones(1), demand)
    backorders = theory.backorder_pmf(s, theory.on_order_pmf(customers))
    assert base.backorders == pytest.approx(theory.mean(backorders), abs=1e-12)
    assert base.ready == pytest.approx(stats.poisson.cdf(s - 1, customers))
    assert backorders.sum() == pytest.approx(1)


@given(means, st.floats(0.1, 5.0))
@settings(deadline=None, max_examples=20)
def test_a_review_looks_back_over_its_lead_time_and_half_a_period_on_average(per_h, review_h):
    pmf = theory.review_pmf(per_h, 2.0, review_h)
    assert pmf.sum() == pytest.approx(1)
    assert theory.mean(pmf) == pytest.approx(per_h * (2.0 + review_h / 2))
    often = theory.review_pmf(per_h, 2.0, 1e-9)
    np.testing.assert_allclose(often, theory.demand_pmf(per_h * 2.0)[: len(often)], atol=1e-8)


@given(st.integers(0, 12), st.integers(0, 8), means, means, st.floats(0.05, 1.0))
@settings(deadline=None, max_examples=30)
def test_a_depot_delays_its_stores_by_littles_law_and_metric_is_too_narrow(depot, stock, customers, own, share):
    upstream = theory.backorder_pmf(depot, theory.on_order_pmf(customers))
    on_order = theory.on_order_pmf(own, share, upstream)
    waiting = share * theory.mean(upstream)
    assert on_order.sum() == pytest.approx(1)
    assert theory.mean(on_order) == pytest.approx(own + waiting)
    metric = theory.metric_pmf(own, share, theory.mean(upstream))
    exact, approximate = (theory.mean(theory.backorder_pmf(stock, law)) for law in (on_order, metric))
    assert exact >= approximate - 1e-9


def test_stages_in_series_with_stock_only_at_the_last_are_one_point_with_the_sum_of_lead_times():
    first = theory.backorder_pmf(0, theory.on_order_pmf(3.0))
    second = theory.on_order_pmf(2.0, 1.0, first)
    np.testing.assert_allclose(second[:40], theory.demand_pmf(5.0)[:40], atol=1e-12)


@given(st.floats(1.0, 40.0), st.floats(0.05, 0.95))
@settings(deadline=None, max_examples=30)
def test_the_newsvendors_quantity_earns_most(mean, ratio):
    demand, sale, salvage = theory.demand_pmf(mean), 10.0, 1.0
    unit = sale - ratio * (sale - salvage)
    best = theory.newsvendor(demand, sale, unit, salvage)
    profits = [theory.newsvendor_profit(q, demand, sale, unit, salvage) for q in range(int(3 * mean) + 20)]
    assert profits[best] == pytest.approx(max(profits), abs=1e-9)


@given(st.floats(0.5, 50.0), st.floats(1.0, 500.0), st.floats(0.01, 5.0))
def test_the_economic_quantity_in_whole_units_costs_half_a_unit_more(per_h, per_order, holding):
    flowing, units = theory.eoq(per_h, per_order, holding), theory.eoq_units(per_h, per_order, holding)
    assert flowing.cost_per_h == pytest.approx(np.sqrt(2 * per_order * per_h * holding))
    assert units.cost_per_h >= flowing.cost_per_h + holding / 2 - 1e-9
    assert abs(units.quantity - flowing.quantity) <= 1
    cost = [per_order * per_h / q + holding * (q + 1) / 2 for q in range(1, int(flowing.quantity) + 3)]
    assert units.cost_per_h == pytest.approx(min(cost))


def test_erlangs_b():
    assert theory.lost_share(10, 8.0) == pytest.approx(0.12166, abs=5e-6)
    assert theory.lost_share(0, 3.0) == 1.0
