"""Every check of supply chains, shortened: it finds no fault in them, and it finds the fault of 5 % that is planted.

The complete checks, which must also be precise, run by `python -m experiments.validate world=supply`.
"""

from dataclasses import replace

import numpy as np
import pytest

from sim.errors import InputError
from sim.laws import Deterministic, Exponential, Gamma
from sim.supply import BaseStock, Demand, FixedQuantity, MinMax, Point, Supply
from sim.supply.checks import (
    ContinuousReview,
    Echelons,
    EconomicOrderQuantity,
    Little,
    LostSales,
    MinMaxCost,
    Newsvendor,
    PeriodicReview,
    Unreliable,
)
from sim.supply.checks.measure import controlled
from sim.verify import run_check

FEW = {"replications": 12, "looks": 1}
SERIAL = Supply(
    (
        Point("far", BaseStock(3), lead=Deterministic(4.0)),
        Point("middle", BaseStock(1), "far", Deterministic(1.0)),
        Point("near", BaseStock(2), "middle", Deterministic(0.5), Demand(Exponential(1.0))),
    )
)
SHORT = {
    "base_stock": ContinuousReview(length_h=6e3, **FEW),
    "base_stock_random": ContinuousReview(lead=Gamma(2.0, 1.0), length_h=8e3, **FEW),
    "fixed_quantity": ContinuousReview(policy=FixedQuantity(2, 6), lead=Deterministic(4.0), length_h=8e3, **FEW),
    "compound": ContinuousReview(
        policy=MinMax(1, 7), size=Exponential(1.5), lead=Deterministic(3.0), length_h=1.2e4, **FEW
    ),
    "periodic": PeriodicReview(order_up_to=4, length_h=1e4, **FEW),
    "min_max": MinMaxCost(periods=2000, **FEW),
    "newsvendor": Newsvendor(seasons=500, around=1, **FEW),
    "eoq": EconomicOrderQuantity(orders=2, replications=2, looks=1),
    "lost_sales": LostSales(lead=Gamma(3.0, 0.5), length_h=1.5e4, **FEW),
    "depot": Echelons(length_h=4e3, **FEW),
    "serial": Echelons(world=SERIAL, length_h=4e3, **FEW),
    "unreliable": Unreliable(length_h=6e3, **FEW),
    "little": Little(length_h=1e3, **FEW),
}


def rows(name, fault=0.0):
    return run_check(name, replace(SHORT[name], fault=fault), 1e-4)


@pytest.mark.parametrize("name", SHORT)
def test_the_world_shows_no_fault(name):
    wrong = [r for r in rows(name) if r.verdict == "fail" and r.decided]
    assert not wrong


@pytest.mark.parametrize("name", SHORT)
def test_a_planted_fault_is_caught(name):
    assert any(r.verdict == "fail" and r.decided for r in rows(name, 0.05))


@pytest.mark.parametrize("name", ["eoq"])
def test_what_needs_no_long_run_passes_already(name):
    assert {r.verdict for r in rows(name)} == {"pass"}


def test_a_control_variate_narrows_the_interval_and_keeps_its_level():
    rng, alpha, missed, narrower = np.random.default_rng(0), 0.05, 0, 0
    for _ in range(2000):
        excess = rng.normal(size=20)
        estimate = controlled(3.0 + 2.0 * excess + rng.normal(size=20), excess, alpha)
        missed += abs(estimate.value - 3.0) > estimate.half_width
        narrower += estimate.half_width < 0.75  # 1.05 without
    assert 0.035 < missed / 2000 < 0.065
    assert narrower / 2000 > 0.95


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: ContinuousReview(policy=MinMax(1, 3), lead=Gamma(2.0, 1.0)),
            r"ContinuousReview\.lead .* must be Deterministic, unless",
        ),
        (lambda: Newsvendor(unit=11.0), r"Newsvendor\.unit is 11\.0"),
        (lambda: Echelons(world=Supply((Point("p", MinMax(1, 3)),))), r"of points with base stock"),
        (lambda: Echelons(world=Supply((Point("p", BaseStock(1)),))), r"of points with a lead time"),
    ],
)
def test_inputs_outside_a_formula_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
