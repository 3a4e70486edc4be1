"""Trials in silico: both arms of everyone are paired; assignment, looks, power and errors, crossover."""

from dataclasses import replace

import numpy as np
import pytest

from sim.errors import InputError
from sim.patient.trial import (
    COHORT,
    Design,
    Pool,
    _assigned,
    boundaries_of,
    joined,
    patients_needed,
    planned_power,
    pool,
    trial,
    truth,
)
from sim.survival import crossing

SMALL = Design(world=replace(COHORT, patients=6), years=0.5, enrol_years=0.2)


def made(ratio, count=20_000, seed=0):
    """Exponential lives whose hazards stand in *ratio*, followed for 2 years."""
    rng = np.random.default_rng(seed)
    lives = rng.exponential(4.0, count) / np.array([[1.0], [ratio]])
    lived, died = np.minimum(lives, 2.0), lives <= 2.0
    return Pool(lived, died, lived, died)


def many(design, patients, count, null=False, seed=1):
    rng = np.random.default_rng(seed)
    return [trial(design, patients, count, rng, null) for _ in range(400)]


def test_both_arms_are_the_same_patients_and_no_difference_gives_none():
    same = replace(SMALL, treated=SMALL.control)
    found = pool(same, 3)
    assert np.array_equal(found.true_2xN[0], found.true_2xN[1])
    assert np.array_equal(found.assigned_2xN, found.true_2xN)
    assert joined([found, found]).true_2xN.shape == (2, 12)


def test_crossover_changes_what_is_assigned_and_not_what_is_true():
    world = replace(COHORT, patients=6, risk=replace(COHORT.risk, cardiac=1.0))
    plain, crossed = (pool(Design(world=world, crossover=c, years=1.0), 1) for c in (0.0, 2.0))
    assert np.array_equal(crossed.true_2xN, plain.true_2xN)
    assert not np.array_equal(crossed.assigned_2xN, plain.assigned_2xN)
    apart = [np.abs(p.assigned_2xN[1] - p.assigned_2xN[0]).sum() for p in (plain, crossed)]
    assert apart[1] < apart[0]


def test_blocks_balance_and_coins_do_so_on_average():
    rng = np.random.default_rng(0)
    blocks = _assigned(replace(SMALL, block=6), 60, rng).reshape(-1, 6)
    assert (blocks.sum(1) == 3).all()
    assert len({tuple(b) for b in blocks.tolist()}) > 3
    coins = _assigned(replace(SMALL, block=None), 10_000, rng)
    assert coins.mean() == pytest.approx(0.5, abs=0.02)


def test_errors_of_the_first_kind_and_power_are_as_planned():
    design = Design(ratio=0.6, looks=3, enrol_years=0.5)
    patients = made(0.6)
    count = patients_needed(design, patients)
    wrong = np.mean([f.stopped for f in many(design, patients, count, null=True)])
    assert wrong == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 400))
    found = many(design, patients, count)
    right = np.mean([f.stopped for f in found])
    assert right == pytest.approx(planned_power(design, 0.6).sum(), abs=0.06)
    assert all(f.z < 0 for f in found if f.stopped)
    assert {f.look for f in found} >= {2, 3}
    assert np.mean([f.deaths for f in found]) < design.events
    assert np.exp(np.mean(np.log([f.ratio for f in found]))) == pytest.approx(0.6, rel=0.08)


def test_the_true_effect_is_that_of_everyone_under_both():
    told = truth(Design(), made(0.6))
    assert told.ratio == pytest.approx(0.6, rel=0.03)
    assert told.dead == pytest.approx((1 - np.exp(-0.5), 1 - np.exp(-0.3)), abs=0.01)
    assert told.lived[1] > told.lived[0]


def test_boundaries_are_the_rules_and_what_cannot_be_is_refused():
    assert boundaries_of(Design(looks=5))[-1] == pytest.approx(2.040, abs=1e-3)
    for change, said in (
        ({"block": 3}, "even, from 2 to 20"),
        ({"looks": 0}, "from 1 to 20"),
        ({"treated": (("aspirin", 1),)}, "must be among"),
        ({"control": (("enalapril", 1), ("sacubitril_valsartan", 1))}, "which contradict"),
        ({"world": replace(COHORT, beds=(1, 1, 1, 1))}, "beds for all"),
        ({"ratio": 1.0}, "not 1"),
    ):
        with pytest.raises(InputError, match=said):
            replace(Design(), **change)
    for alpha in (1e-9, 0.3, 0.49):
        z = boundaries_of(Design(alpha=alpha, looks=1)).tolist()
        assert crossing(z, [1.0]).sum() == pytest.approx(alpha, rel=1e-2)
    with pytest.raises(InputError, match=r"design\.years is 2 and design\.ratio 0\.9999"):
        patients_needed(Design(ratio=0.9999), made(0.6))


def test_who_is_lost_to_follow_up_is_censored_there():
    world = replace(COHORT, patients=6, risk=replace(COHORT.risk, cardiac=0.0, other=0.0, lost=20.0))
    found = pool(replace(SMALL, world=world), 3)
    assert not found.died_2xN.any()
    assert (found.true_2xN < 0.5).any()


def test_a_look_counts_the_death_that_sets_it():
    design = Design(looks=1, years=2.0, enrol_years=1.0)
    found = many(design, made(0.8), 2 * patients_needed(design, made(0.8)))[:100]
    assert all(f.deaths == design.events for f in found)
