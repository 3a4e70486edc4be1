"""Checks of patients in care: each quick one passes and finds its fault; formulas against exact numbers."""

from dataclasses import replace

import numpy as np
import pytest

from sim.patient.care_checks import Beds, Hearts, Placebo, in_ward, kaplan_meier
from sim.trace import Event, Trace
from sim.verify import run_check


@pytest.mark.parametrize("check", [Hearts(), Placebo()], ids=lambda check: type(check).__name__)
def test_a_check_passes_and_finds_its_fault(check):
    assert {r.verdict for r in run_check("right", check, 0.002)} == {"pass"}
    assert "fail" in {r.verdict for r in run_check("wrong", replace(check, fault=0.05), 0.002)}


def test_what_beds_may_be_off_is_told_with_its_reason():
    assert all(target.reason for target in Beds().targets())


def test_beds_for_all_are_binomial_and_one_bed_is_the_repairman():
    assert in_ward(3, 6.0, 2.0, None) == pytest.approx([27 / 64, 27 / 64, 9 / 64, 1 / 64])
    one = np.array([1, 3 / 3, 6 / 9, 6 / 27])  # N!/(N − k)! (S/Z)^k
    assert in_ward(3, 6.0, 2.0, 1) == pytest.approx(one / one.sum())


def test_kaplan_and_meier_count_the_lost_as_long_as_they_were_seen():
    kinds = ("death", "lost", "death", "visit", "death")
    events = tuple(Event(float(t), f"p{t}", kind) for t, kind in enumerate(kinds, 1))
    found = kaplan_meier(Trace(0, 0.0, 9.0, {}, events), 5, (0.5, 1.0, 2.5, 3.0, 8.0))
    assert found == pytest.approx([1, 4 / 5, 4 / 5, 4 / 5 * 2 / 3, 4 / 5 * 2 / 3 * 1 / 2])
