"""Laws of times: means, inverses, residual lives, and the inverse Gaussian against SciPy in both tails."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from sim.errors import InputError
from sim.laws import (
    Deterministic,
    Exponential,
    Gamma,
    Geometric,
    InverseGaussian,
    Lognormal,
    Scaled,
    Weibull,
    residual_h,
)

LAWS = [
    Exponential(3.0),
    Weibull(3.0, 0.7),
    Weibull(3.0, 3.0),
    Gamma(3.0, 0.2),
    Gamma(3.0, 1.5),
    Lognormal(3.0, 0.1),
    Lognormal(3.0, 1.2),
    InverseGaussian(3.0, 0.5),
    InverseGaussian(3.0, 300.0),
    Scaled(Gamma(3.0, 0.5), 2.5),
]
ids = [repr(law) for law in LAWS]


@pytest.mark.parametrize("law", LAWS, ids=ids)
def test_the_inverse_undoes_the_survival(law):
    q = np.concatenate((np.linspace(0.001, 0.999, 50), 10.0 ** -np.arange(4, 200, 20)))
    assert law.sf(law.isf(q)) == pytest.approx(q, rel=1e-9)
    assert (np.diff(law.isf(np.sort(q))) < 0).all()
    assert float(law.isf(0.3)) == pytest.approx(law.isf(np.array([0.3]))[0], rel=1e-14)
    assert float(law.isf(1.0)) == 0.0
    assert float(law.sf(0.0)) == 1.0


@pytest.mark.parametrize("law", LAWS, ids=ids)
def test_the_mean_is_the_integral_of_the_survival(law):
    assert integrate.quad(law.sf, 0, math.inf, limit=400)[0] == pytest.approx(law.mean_h, rel=1e-4)


@given(st.floats(0.05, 1.0), st.sampled_from([1.0, 0.25]))
def test_a_geometric_time_is_whole_slots_of_its_chance(chance, slot_h):
    law = Geometric(slot_h / chance, slot_h)
    slots = law.isf(1 - np.linspace(0, 1, 997, endpoint=False)) / slot_h
    assert (slots == np.round(slots)).all()
    assert slots.min() == 1
    for k in range(1, 6):
        assert np.mean(slots > k) == pytest.approx((1 - chance) ** k, abs=2e-3)
        assert law.sf(k * slot_h) == pytest.approx((1 - chance) ** k)
    assert law.sf(0.5 * slot_h) == 1.0
    assert residual_h(law, 2 * slot_h, 1.0) in (0.0, slot_h)


def test_a_deterministic_time_is_one_time():
    law = Deterministic(2.0)
    assert law.isf(np.array([0.1, 1.0])).tolist() == [2.0, 2.0]
    assert law.sf(np.array([0.0, 1.999, 2.0])).tolist() == [1.0, 1.0, 0.0]
    assert residual_h(law, 0.5, 0.3) == 1.5
    assert residual_h(law, 2.0, 0.3) == 0.0


@pytest.mark.parametrize("phi", [0.01, 0.22, 1.0, 5.0, 100.0, 1e4])
def test_the_inverse_gaussian_agrees_with_scipy_in_both_tails(phi):
    law, peer = InverseGaussian(3.0, 3.0 * phi), stats.invgauss(1 / phi, scale=3.0 * phi)
    q = np.linspace(0.02, 0.98, 49)
    assert law.isf(q) == pytest.approx(peer.isf(q), rel=1e-9)
    t = law.isf(10.0 ** -np.arange(1.0, 200, 10))
    assert law.sf(t) == pytest.approx(peer.sf(t), rel=2e-8)
    below = 1 - 10.0 ** -np.arange(1.0, 15)
    assert peer.cdf(law.isf(below)) == pytest.approx(1 - below, rel=1e-9)


@settings(max_examples=60)
@given(st.floats(-3, 5), st.floats(1e-300, 1.0, exclude_max=True))
def test_the_inverse_gaussian_inverts_everywhere(exponent, q):
    law = InverseGaussian(1.0, 10.0**exponent)
    t = float(law.isf(q))
    assert 0 < t < math.inf
    assert float(law.sf(t)) == pytest.approx(q, rel=1e-8)


@settings(max_examples=60)
@given(st.sampled_from(LAWS), st.floats(0, 10), st.floats(1e-12, 1))
def test_a_residual_life_has_the_conditional_survival(law, age_h, q):
    if law.sf(age_h) < 1e-250:
        return
    left_h = residual_h(law, age_h, q)
    assert left_h >= 0
    if left_h > 1e-6 * age_h:
        assert float(law.sf(age_h + left_h)) / float(law.sf(age_h)) == pytest.approx(q, rel=1e-6)


def test_a_residual_life_beyond_what_floats_can_tell_ends_at_once():
    assert residual_h(Lognormal(1.0, 0.1), 1e9, 0.5) == 0.0


@pytest.mark.parametrize(
    "make",
    [
        lambda: Deterministic(0.0),
        lambda: Exponential(-1.0),
        lambda: Deterministic(1e-300),  # after the first hour no float would move
        lambda: Weibull(1.0, 0.0),
        lambda: Gamma(1.0, 0.0),
        lambda: Lognormal(0.0, 1.0),
        lambda: InverseGaussian(1.0, 0.0),
        lambda: Exponential(math.inf),  # or never moves
        lambda: Weibull(1.0, math.inf),
        lambda: Lognormal(1.0, math.inf),
        lambda: InverseGaussian(1.0, math.inf),
    ],
)
def test_a_law_that_stands_still_is_refused(make):
    with pytest.raises(InputError, match=r"above 0|at least 1e-09"):
        make()
