"""The formulas give the published numbers, agree with one another where they overlap, and keep their limits."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.laws import Exponential, Weibull
from sim.line import theory
from sim.line.references import REFERENCES
from sim.wear import Wiener

rates = st.floats(0.05, 5.0)


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda r: r.name)
def test_the_formula_gives_the_published_number(reference):
    assert reference.function(**reference.inputs) == pytest.approx(reference.value, abs=reference.tolerance)


@given(st.floats(0.05, 0.95))
def test_erlang_c_with_one_server_is_mm1(utilisation):
    queue = theory.mmc(utilisation, 1.0, 1)
    assert queue.wait_probability == pytest.approx(utilisation)
    assert queue.number == pytest.approx(theory.mm1_number(utilisation))
    assert theory.little_number(utilisation, queue.wait_h + 1.0) == pytest.approx(queue.number)


@given(rates, st.integers(0, 30))
@settings(max_examples=20)
def test_machines_that_hardly_fail_follow_the_reliable_formula(rate, buffer):
    chain = theory.two_machine_unreliable(rate, rate, 1e-9, 0.1, 1e-9, 0.1, buffer)
    assert chain == pytest.approx(theory.two_machine_reliable(rate, buffer), rel=1e-6)


@given(rates, rates, rates, rates, rates, rates, st.integers(0, 12))
@settings(max_examples=20)
def test_the_two_machine_line_is_reversible_monotone_and_bounded(mu1, mu2, p1, r1, p2, r2, buffer):
    forth = theory.two_machine_unreliable(mu1, mu2, p1, r1, p2, r2, buffer)
    back = theory.two_machine_unreliable(mu2, mu1, p2, r2, p1, r1, buffer)
    assert forth == pytest.approx(back, rel=1e-9)
    roomier = theory.two_machine_unreliable(mu1, mu2, p1, r1, p2, r2, buffer + 1)
    slower = min(theory.isolated_throughput(mu, 1 / p, 1 / r) for mu, p, r in ((mu1, p1, r1), (mu2, p2, r2)))
    assert forth <= roomier * (1 + 1e-12)  # unequal machines come within rounding of the slower one
    assert roomier <= slower * (1 + 1e-12)


def test_a_large_buffer_approaches_the_isolated_machine():
    assert theory.two_machine_unreliable(1, 1, 0.01, 0.1, 0.01, 0.1, 3000) == pytest.approx(1 / 1.1, rel=2e-3)


@given(st.integers(1, 8), rates, rates)
def test_a_repairer_each_leaves_the_isolated_availability(machines, mttf_h, mttr_h):
    assert theory.interference(machines, machines, mttf_h, mttr_h) == pytest.approx(theory.availability(mttf_h, mttr_h))
    assert theory.interference(machines, 1, mttf_h, mttr_h) <= theory.availability(mttf_h, mttr_h) + 1e-12


def test_first_passage_agrees_with_the_wear_law():
    wear = Wiener(drift_per_h=0.01, diffusion_per_sqrt_h=0.03, threshold=1.5, levels=7)
    step = wear.level_time
    mean, variance = theory.first_passage(1.5, 0.01, 0.03)
    assert (mean, variance) == pytest.approx(wear.remaining_h(0.0))
    assert (7 * step.mean_h, 7 * step.mean_h**3 / step.shape_h) == pytest.approx((mean, variance))


def test_age_replacement_is_lowest_at_its_optimum_and_pays_only_for_wear():
    law = Weibull(150.0, 3.0)
    best = theory.best_age_h(law, 2, 8)
    lowest = theory.age_cost_rate(law, best, 2, 8)
    assert all(theory.age_cost_rate(law, f * best, 2, 8) > lowest for f in (0.8, 0.99, 1.01, 1.25))
    assert theory.age_cost_rate(law, math.inf, 2, 8) == pytest.approx(theory.age_cost_rate(law, 2000.0, 2, 8))
    memoryless = Exponential(100.0)
    assert theory.age_cost_rate(memoryless, 50.0, 2, 8) > theory.age_cost_rate(memoryless, math.inf, 2, 8)


def test_the_recursion_blocks_and_starves():
    work = np.array([[1.0, 5.0], [1.0, 1.0], [1.0, 1.0]])
    done, left = theory.departures_h(work, (0,))
    assert done.tolist() == [[1.0, 6.0], [2.0, 7.0], [7.0, 8.0]]
    assert left[:, 0].tolist() == [1.0, 6.0, 7.0]
    assert np.array_equal(theory.departures_h(work, (9,))[1][:, 0], [1.0, 2.0, 3.0])
