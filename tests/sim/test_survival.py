"""Survival against written references: scipy's curves and log-rank test, published boundaries, closed forms."""

import numpy as np
import pytest
from scipy import stats

from sim.errors import InputError
from sim.survival import boundaries, crossing, events_needed, hazard_ratio, kaplan_meier, log_rank

RNG = np.random.default_rng(0)
TIME = np.concatenate((RNG.exponential(1.0, 150), RNG.exponential(1.7, 170)))
END = RNG.uniform(0.2, 3.0, 320)
EVENT, SECOND = TIME <= END, np.arange(320) >= 150
TIME = np.minimum(TIME, END)


def censored(which):
    return stats.CensoredData(TIME[which & EVENT], right=TIME[which & ~EVENT])


def test_a_curve_is_that_of_scipy_and_its_mean_is_the_area_below():
    curve, reference = kaplan_meier(TIME, EVENT), stats.ecdf(censored(np.ones(320, bool))).sf
    known = np.isin(reference.quantiles, curve.time_K)
    assert curve.survival_K == pytest.approx(reference.probabilities[known])
    whole = reference.confidence_interval(0.95, method="linear").low
    spread = (reference.probabilities - whole.probabilities)[known] / 1.959964
    inside = (curve.survival_K > 0.1) & (curve.survival_K < 0.9)
    assert curve.error_K[inside] == pytest.approx(spread[inside], rel=1e-5)
    grid = np.linspace(0, 2, 200_001)[:-1]
    assert curve.mean(2.0) == pytest.approx(np.mean([curve.at(t) for t in grid[::50]]) * 2, abs=2e-3)


def test_a_curve_tells_who_reaches_a_time_and_who_outlives_it():
    time, event = np.ceil(2 * TIME), EVENT
    curve = kaplan_meier(time, event)
    at = np.array([0.0, 1.0, 1.5, 2.0, 4.0, 99.0])
    for before in (False, True):
        written = []
        for t in at:
            earlier = [u for u in np.unique(time[event]) if u < t or (u == t and not before)]
            written.append(np.prod([1 - np.sum((time == u) & event) / np.sum(time >= u) for u in earlier]))
        np.testing.assert_allclose(curve.at(at, before), written)
        assert [curve.at(float(t), before) for t in at] == curve.at(at, before).tolist()


def test_the_test_is_that_of_scipy_and_small_ties_are_by_hand():
    found = log_rank(TIME, EVENT, SECOND)
    reference = stats.logrank(censored(SECOND), censored(~SECOND))
    assert abs(found.z) == pytest.approx(abs(reference.statistic), rel=1e-9)
    tied = log_rank(np.array([1.0, 1, 2, 3]), np.array([True, True, False, True]), np.array([True, False, True, False]))
    assert tied.excess == pytest.approx(1 - 2 * 0.5)
    assert tied.variance == pytest.approx(2 * 0.25 * 2 / 3)


def test_a_ratio_of_hazards_solves_its_score_equation_and_is_about_the_true_one():
    ratio, error = hazard_ratio(TIME, EVENT, SECOND)
    assert abs(np.log(ratio * 1.7)) < 3 * error
    order = np.argsort(TIME)
    score = 0.0
    for k, i in enumerate(order):
        risk = np.where(SECOND[order[k:]], ratio, 1.0)
        if EVENT[i]:
            score += SECOND[i] - (risk * SECOND[order[k:]]).sum() / risk.sum()
    assert score == pytest.approx(0, abs=1e-6)
    with pytest.raises(InputError, match="needs one in each"):
        hazard_ratio(TIME, EVENT & SECOND, SECOND)


@pytest.mark.parametrize(
    ("looks", "rule", "last"),
    [
        *((1, "pocock", 1.960), (2, "pocock", 2.178), (5, "pocock", 2.413)),
        *((2, "obrien_fleming", 1.977), (4, "obrien_fleming", 2.024), (5, "obrien_fleming", 2.040)),
    ],
)
def test_boundaries_are_the_published_ones(looks, rule, last):
    """Jennison & Turnbull (2000), tables 2.1 and 2.3."""
    found = boundaries(looks, 0.05, rule)
    assert found[-1] == pytest.approx(last, abs=6e-4)
    assert found[0] == pytest.approx(last * np.sqrt(looks) if rule == "obrien_fleming" else last, abs=2e-3)
    assert crossing(found, np.arange(1, looks + 1) / looks).sum() == pytest.approx(0.05, abs=1e-8)


def test_chances_of_stopping_are_those_of_random_walks():
    bounds, t = boundaries(3, 0.05), np.arange(1, 4) / 3
    steps = np.random.default_rng(1).normal(2.5 / 3, np.sqrt(1 / 3), (200_000, 3))
    z = np.cumsum(steps, 1) / np.sqrt(t)
    out = np.abs(z) > bounds
    first = np.where(out.any(1), out.argmax(1), 3)
    assert crossing(bounds, t, 2.5) == pytest.approx(np.bincount(first, minlength=4)[:3] / 2e5, abs=4e-3)
    assert crossing([1.959964], [1.0], 1.959964 + 1.281552)[0] == pytest.approx(0.9, abs=1e-4)


def test_events_needed_are_schoenfelds():
    assert events_needed(0.66, 0.05, 0.9) == 244
    assert events_needed(1 / 0.66, 0.05, 0.9) == 244
    with pytest.raises(InputError, match="not 1"):
        events_needed(1.0)
    with pytest.raises(InputError, match="'obrien_fleming' or 'pocock'"):
        boundaries(3, 0.05, "haybittle")  # type: ignore[arg-type]
