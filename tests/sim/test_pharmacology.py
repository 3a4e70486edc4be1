"""Pharmacokinetics to 1e-8 against textbook formulas and differential equations, splits bit for bit, and refusals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.linalg import expm

from sim.errors import InputError
from sim.patient import Body, Care, Drug, Hill, Prescribe

ONE = Drug(30.0, 4.0, 0.9, 0.7)
TWO = Drug(12.0, 3.0, 1.1, 0.8, exchange_l_per_h=5.0, peripheral_l=25.0)
K = 4.0 / 30.0
TIMES = np.linspace(0.1, 72, 40)
positive = st.floats(0.02, 50.0)


def matrix(drug):
    """d/dt of (gut, central, peripheral, running rate), written from the compartments."""
    out, to = drug.clearance_l_per_h / drug.volume_l, drug.exchange_l_per_h / drug.volume_l
    back, ka = drug.exchange_l_per_h / drug.peripheral_l, drug.absorption_per_h
    return np.array([[-ka, 0, 0, 0], [ka, -out - to, back, 1], [0, to, -back, 0], [0, 0, 0, 0]])


def test_one_compartment_is_the_textbook():
    for t in TIMES:
        assert ONE.bolus(100, t) == pytest.approx(100 / 30 * math.exp(-K * t), rel=1e-12)
        assert ONE.infusion(10, t) == pytest.approx(10 / 4 * (1 - math.exp(-K * t)), rel=1e-12)
        bateman = 0.7 * 100 * 0.9 / (30 * (0.9 - K)) * (math.exp(-K * t) - math.exp(-0.9 * t))
        assert ONE.oral(100, t) == pytest.approx(bateman, rel=1e-11)


@pytest.mark.parametrize("apart", [0.0, 1e-15, 1e-12, 1e-9, 1e-6])
def test_equal_rates_are_a_limit_not_a_division_by_zero(apart):
    drug = Drug(30.0, 4.0, K * (1 + apart), 0.7)
    for t in TIMES:
        want = 0.7 * 100 * K * t * math.exp(-K * t) / 30
        assert drug.oral(100, t) == pytest.approx(want, rel=1e-8 + 10 * apart)
    assert drug.tmax_h == pytest.approx(1 / K, rel=1e-8 + apart)


@given(positive, positive, positive, positive, positive, st.floats(0.01, 100.0))
def test_two_compartments_are_their_differential_equation(volume, clearance, ka, exchange, beside, t):
    drug = Drug(volume, clearance, ka, 0.8, exchange, beside)
    scale = 1 / (drug.modes[1].rate_per_h + ka)  # within some hundred of the fastest time constants
    t *= scale
    flow = expm(matrix(drug) * t)
    body = Body().bolus(drug, 0, 3.0).swallow(drug, 0, 5.0).infuse(drug, 0, 2.0)
    want = flow @ [4.0, 3.0, 0.0, 2.0]
    assert body.central_mg(drug, t) == pytest.approx(want[1], rel=1e-8, abs=1e-10)
    assert body.peripheral_mg(drug, t) == pytest.approx(want[2], rel=1e-8, abs=1e-8)
    assert drug.bolus(3.0, t) == pytest.approx((flow @ [0, 3.0, 0, 0])[1] / volume, rel=1e-8, abs=1e-10)
    assert drug.oral(5.0, t) == pytest.approx((flow @ [4.0, 0, 0, 0])[1] / volume, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("drug", [ONE, TWO])
def test_what_went_in_is_there_or_was_cleared(drug):
    body = Body().swallow(drug, 0, 80.0).infuse(drug, 0, 3.0)
    cleared = quad(lambda t: drug.clearance_l_per_h * body.concentration(drug, t), 0, 9, epsabs=1e-12, epsrel=1e-12)[0]
    later = body.advance(drug, 9)
    inside = later.gut_mg + later.central_mg(drug, 9) + later.peripheral_mg(drug, 9)
    assert inside + cleared == pytest.approx(80 * drug.bioavailability + 27, abs=1e-8)


@pytest.mark.parametrize("drug", [ONE, TWO])
def test_a_course_of_doses_is_the_sum_of_its_doses(drug):
    body = Body()
    for k in range(6):
        body = body.swallow(drug, 8.0 * k, 50).bolus(drug, 8.0 * k, 20)
    body = body.infuse(drug, 41, 4).infuse(drug, 44, 0)
    for t in (44, 50, 60.5, 100):
        single = sum(drug.oral(50, t - 8.0 * k) + drug.bolus(20, t - 8.0 * k) for k in range(6))
        assert body.concentration(drug, t) == pytest.approx(single + drug.infusion(4, t - 41, 3), abs=1e-10)


@pytest.mark.parametrize("drug", [ONE, TWO])
def test_area_average_and_settled_course(drug):
    for oral in (False, True):
        given = (lambda t: drug.oral(100, t)) if oral else (lambda t: drug.bolus(100, t))
        area = quad(given, 0, 30, epsabs=1e-12, epsrel=1e-11, limit=200)[0]
        area += quad(given, 30, np.inf, epsabs=1e-12, epsrel=1e-11, limit=200)[0]
        assert drug.auc_mg_h_per_l(100, oral) == pytest.approx(area, abs=1e-8)
    mean = quad(lambda t: drug.settled(100, 12, t), 0, 12, epsabs=1e-12)[0] / 12
    assert drug.average_mg_per_l(100, 12) == pytest.approx(mean, abs=1e-9)
    many = sum(drug.bolus(100, 5 + 12 * k) for k in range(400))
    assert drug.settled(100, 12, 5) == pytest.approx(many, abs=1e-8)
    assert drug.infusion(10, 1e4) == pytest.approx(10 / drug.clearance_l_per_h, abs=1e-8)


def test_accumulation_and_the_time_of_the_peak():
    assert ONE.settled(100, 6, 0) / ONE.bolus(100, 0) == pytest.approx(ONE.accumulation(6), rel=1e-12)
    assert ONE.tmax_h == pytest.approx(math.log(0.9 / K) / (0.9 - K), rel=1e-12)
    assert ONE.oral(1, ONE.tmax_h) > max(ONE.oral(1, ONE.tmax_h - 1e-3), ONE.oral(1, ONE.tmax_h + 1e-3))


def test_reading_a_body_does_not_change_it_so_that_splits_are_exact():
    def course(reads):
        body = Body()
        for k in range(5):
            body = body.swallow(TWO, 7.3 * k, 50)
            for r in reads:
                body.concentration(TWO, 7.3 * k + r)
        return body

    assert course([]) == course([0.1, 3.0, 7.0])
    assert course([]).concentration(TWO, 90.0) == course([5.0]).concentration(TWO, 90.0)


def test_a_dose_of_nothing_does_nothing_and_effects_grow_with_concentration():
    assert Body().swallow(TWO, 0, 0).concentration(TWO, 5) == 0
    effect = Hill(-0.15, 0.4, 1.7, 1.0)
    for c in (0.01, 0.4, 3.0):
        assert effect.at(c) == pytest.approx(1 - 0.15 * c**1.7 / (0.4**1.7 + c**1.7), rel=1e-12)
    assert effect.at(0) == 1
    assert effect.at(0.4) == pytest.approx(1 - 0.075)
    assert (np.diff([effect.at(c) for c in np.linspace(0, 9, 50)]) < 0).all()


def test_nonsense_is_refused():
    with pytest.raises(InputError, match="volume_l is 0"):
        Drug(0, 1)
    with pytest.raises(InputError, match=r"bioavailability is 1\.2"):
        Drug(1, 1, bioavailability=1.2)
    with pytest.raises(InputError, match="dose_mg is -5"):
        Body().bolus(ONE, 0, -5)
    with pytest.raises(InputError, match="not be before the last dose"):
        Body(time_h=3).concentration(ONE, 2)
    with pytest.raises(InputError, match="ec50_mg_per_l is 0"):
        Hill(1, 0)
    with pytest.raises(InputError, match="one compartment"):
        _ = TWO.tmax_h
    with pytest.raises(InputError, match="every_h is 0"):
        ONE.accumulation(0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: Drug(12.0, 3.0).bolus(-100.0, 1.0), r"dose_mg is -100\.0; it must be at least 0"),
        (lambda: Drug(12.0, 3.0).oral(math.nan, 1.0), r"dose_mg is nan"),
        (lambda: Drug(12.0, 3.0).infusion(5.0, 3.0, -1.0), r"length_h is -1\.0; it must be at least 0"),
        (lambda: Prescribe("p1", (("bisoprolol", 2.7),)), r"Prescribe\.levels is .*; it must be a list of medicines"),
        (lambda: Prescribe("p1", ("bisoprolol", 2)), r"Prescribe\.levels"),
        (lambda: Care(at_start=(("bisoprolol", 1), ("bisoprolol", 2))), r"Care\.at_start is .* each once"),
    ],
)
def test_doses_that_are_none_are_refused(call, said):
    with pytest.raises(InputError, match=said):
        call()


def test_an_effect_far_below_its_middle_is_none():
    assert Hill(1.0, 1.0, 20.0).at(1e-20) == pytest.approx(0.0)
