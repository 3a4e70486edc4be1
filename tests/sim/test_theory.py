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
ROUNDED = 1 + 1e-9  # very unlike machines come within rounding of their bounds


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
    assert forth < theory.two_machine_unreliable(mu1, mu2, p1, r1, p2, r2, buffer + 1) * ROUNDED
    slower = min(theory.isolated_throughput(mu, 1 / p, 1 / r) for mu, p, r in ((mu1, p1, r1), (mu2, p2, r2)))
    assert forth < slower * ROUNDED


small = st.lists(st.integers(0, 3), min_size=1, max_size=2)


@given(small, st.data())
@settings(max_examples=30)
def test_longer_lines_are_reversible_monotone_and_bounded(buffers, data):
    count = len(buffers) + 1
    mu, p, r = (data.draw(st.lists(rates, min_size=count, max_size=count)) for _ in range(3))
    forth = theory.serial_line(mu, buffers, p, r)
    back = theory.serial_line(mu[::-1], buffers[::-1], p[::-1], r[::-1])
    assert forth == pytest.approx(back, rel=1e-8)
    assert forth < theory.serial_line(mu, [b + 1 for b in buffers], p, r) * ROUNDED
    assert forth < theory.serial_line(mu[1:], buffers[1:], p[1:], r[1:]) * ROUNDED
    slowest = min(theory.isolated_throughput(m, 1 / f, 1 / g) for m, f, g in zip(mu, p, r, strict=True))
    assert forth < slowest * ROUNDED


chances = st.floats(0.1, 0.99)


@given(st.lists(chances, min_size=2, max_size=3), st.integers(0, 2))
@settings(max_examples=30)
def test_lines_in_slots_are_reversible_and_short_slots_make_them_exponential(p, buffer):
    buffers = [buffer] * (len(p) - 1)
    assert theory.slotted_line(p, buffers) == pytest.approx(theory.slotted_line(p[::-1], buffers), rel=1e-9)
    per_slot = theory.slotted_line([x * 1e-5 for x in p], buffers)
    assert per_slot == pytest.approx(1e-5 * theory.serial_line(p, buffers), rel=1e-4)


def bernoulli_by_chain(p1, p2, places):
    """Li and Meerkov's conventions slot by slot: both look at the buffer first, and the first sees the second take."""
    step = np.zeros((places + 1, places + 1))
    for held in range(places + 1):
        for up1, chance1 in ((1, p1), (0, 1 - p1)):
            for up2, chance2 in ((1, p2), (0, 1 - p2)):
                takes = up2 and held > 0
                puts = up1 and (held < places or takes)
                step[held, held + puts - takes] += chance1 * chance2
    share = np.linalg.lstsq(np.vstack((step.T - np.eye(places + 1), np.ones(places + 1))), np.eye(places + 2)[-1])[0]
    return p2 * (1 - share[0])


@given(chances, chances, st.integers(1, 8))
@settings(max_examples=40)
def test_the_bernoulli_formula_is_its_chain(p1, p2, places):
    assert theory.bernoulli_line(p1, p2, places) == pytest.approx(bernoulli_by_chain(p1, p2, places), rel=1e-7)
    assert theory.bernoulli_line(p1, p1, places) == pytest.approx(bernoulli_by_chain(p1, p1, places), rel=1e-9)


@given(chances, st.integers(0, 6))
def test_a_finished_part_that_is_kept_is_worth_a_fraction_of_a_place(p, buffer):
    """Blocking after service in slots is no Bernoulli line of a whole number of places, but one of B + 2 − p."""
    kept = theory.slotted_line((p, p), (buffer,))
    assert kept == pytest.approx(p * (1 - (1 - p) / (buffer + 3 - 2 * p)))
    assert theory.bernoulli_line(p, p, buffer + 1) < kept < theory.bernoulli_line(p, p, buffer + 2)


def test_a_line_without_buffers_differs_from_buzacotts_by_repairs_that_overlap():
    """The recursion with repairs in the work: the gap shrinks as failures become rare at the same p/r."""

    def gap(failure, repair, parts=60_000):
        rng = np.random.default_rng(0)
        work = 1 + rng.poisson(failure, (parts, 3)) / repair
        _, left = theory.departures_h(work, (0, 0))
        return parts / left[-1, -1] * (1 + (work - 1).sum() / parts) - 1  # to the realised downtime

    coarse, fine = gap(0.05, 0.5), gap(0.005, 0.05)
    assert 0 < fine < 0.2 * coarse < 0.02


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
