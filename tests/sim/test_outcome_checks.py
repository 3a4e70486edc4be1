"""Deaths against published ones: the score's points, what a hazard adds up to, a trial that passes and its fault."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sim.patient import maggic
from sim.patient.outcome_checks import FOLLOWED, Maggic, Trial, lived, observed_over_expected, spent
from sim.trace import Event, Signal, Trace
from sim.verify import run_check

SMALL = Trial(beside=(("furosemide", 2),), years=0.3, patients=12, replications=3, tolerance=0.3, looks=1)


def test_points_are_those_of_the_published_table():
    # EF 22 %: 6; 72 years: 6; SBP 115 mmHg: 4; 1.2 mg/dl = 106 µmol/l: 1; male: 1; no medicines: 3 + 1; fixed: 6
    assert maggic.score(72, True, 22, 115, 1.2, False, False) == 28
    assert maggic.score(72, True, 22, 115, 1.2, True, True) == 24
    assert maggic.score(54, False, 45, 155, 0.9, True, True) == maggic.FIXED
    assert maggic.score(82, False, 36, 105, 3.0, True, True) == maggic.FIXED + 2 + 13 + 3 + 8
    assert [maggic.score(60, False, ef, 150, 0.9, True, True) - maggic.FIXED for ef in (19, 30, 39, 40)] == [9, 7, 6, 5]


def test_the_chance_goes_through_the_published_points_and_rises():
    assert [maggic.three_year_death(s) for s, _ in maggic.THREE_YEARS] == pytest.approx([0.1, 0.25, 0.52, 0.84])
    chances = [maggic.three_year_death(s) for s in range(51)]
    assert chances == sorted(chances)
    assert chances[0] == pytest.approx(0.039, abs=0.005)  # Pocock 2013
    assert chances[25] == pytest.approx(0.373, abs=0.01)


def test_hazards_add_up_while_a_patient_lives_and_a_collapse_is_a_death():
    steps = {"cardiac": ([0.0, 4.0], [0.1, 0.0]), "other": ([0.0, 2.0], [0.0, 0.05])}
    signals = {(p, f"hazard_{c}"): Signal.step(t, v) for p in ("p1", "p2") for c, (t, v) in steps.items()}
    trace = Trace(0, 0.0, 10.0, signals, (Event(5.0, "p2", "death", "pump"), Event(6.0, "p1", "visit")))
    assert spent(trace, ("p1", "p2"), np.array([1.0, 10.0])).tolist() == pytest.approx(
        np.array([[0.1, 0.8], [0.1, 1.8]])
    )
    assert lived(trace, ("p1", "p2")).tolist() == [10.0, 5.0]


def test_observed_over_expected_counts_those_alive():
    months = np.zeros((2, 3))
    months[0], months[1, 0] = 0.1, 0.3  # the second dies in the first month
    rows = np.column_stack(([20, 20], [0.5, 0.3], [1e5, 300.0], months))
    assert observed_over_expected(rows) == pytest.approx((1 - np.exp(-0.2 - 0.1 - 0.1)) / 0.4)


def test_a_small_trial_is_paired_and_its_fault_moves_it():
    with pytest.raises(Exception, match="above 0 and at most 20"):
        replace(SMALL, years=0.0)
    same = replace(SMALL, medicine="furosemide", level=2)
    assert run_check("null", replace(same, ratio=1.0, tolerance=1e-9), 0.01)[0].verdict == "pass"
    assert run_check("null", replace(same, ratio=1.0, tolerance=0.03, fault=0.05), 0.01)[0].verdict == "fail"
    right = run_check("right", SMALL, 0.05)[0]
    assert json.dumps(right._asdict())
    assert 0.5 < right.measured < 0.85


def test_maggic_has_scores_in_every_band_that_it_asks_for():
    rows = replace(Maggic(), patients=2).replicate(0)
    assert rows.shape == (12, 3 + 36)
    assert rows[:2, 0].max() < rows[-2:, 0].min()
    assert FOLLOWED.risk.lost == 0
