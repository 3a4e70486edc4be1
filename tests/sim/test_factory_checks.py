"""Every check of the factory, shortened: it finds no fault, and it finds the fault of 5 % that is planted."""

from dataclasses import replace
from typing import Any

import pytest

from sim.errors import InputError
from sim.factory import theory
from sim.factory.checks import (
    Changeovers,
    ClosedNetwork,
    EnergyCycle,
    Interference,
    Kitting,
    Little,
    ProductMix,
    Reentrant,
    SameAsLine,
    Serial,
    Shifts,
)
from sim.verify import run_check

FEW: dict[str, Any] = {"replications": 24, "looks": 1}
SHORT = {
    "same_as_line": SameAsLine(length_h=2e3),
    "serial": Serial(length_h=2e3, warm_up_h=1e2, **FEW),
    "reentrant": Reentrant(length_h=6e3, warm_up_h=3e2, **FEW),
    "closed": ClosedNetwork(length_h=1.8e3, warm_up_h=1e2, **FEW),
    "mix": ProductMix(length_h=6e3, warm_up_h=3e2, **FEW),
    "little": Little(length_h=1e3, warm_up_h=2e2, **FEW),
    "changeovers": Changeovers(length_h=1.5e3, **FEW),
    "changeovers_each": Changeovers(run=1, length_h=1.5e3, **FEW),
    "kitting": Kitting(length_h=8e2, warm_up_h=1e2, **FEW),
    "interference": Interference(length_h=2e3, warm_up_h=1e2, **FEW),
    "interference_two": Interference(machines=6, operators=2, alone_h=2.0, length_h=1e3, warm_up_h=1e2, **FEW),
    "shifts": Shifts(),
    "energy": EnergyCycle(),
}


def rows(name, fault=0.0):
    return run_check(name, replace(SHORT[name], fault=fault), 1e-4)


@pytest.mark.parametrize("name", SHORT)
def test_the_factory_shows_no_fault(name):
    assert not [r for r in rows(name) if r.verdict == "fail" and r.decided]


@pytest.mark.parametrize("name", SHORT)
def test_a_planted_fault_is_caught(name):
    assert any(r.verdict == "fail" and r.decided for r in rows(name, 0.05))


@pytest.mark.parametrize("name", ["same_as_line", "shifts", "energy"])
def test_what_needs_no_long_run_passes_already(name):
    assert {r.verdict for r in rows(name)} == {"pass"}


def test_theory_agrees_with_what_is_known_of_small_cases():
    assert theory.closed_network((1.0, 1.0), 3) == pytest.approx(3 / 4)  # n/(n+1) of two equal servers
    assert theory.closed_network((0.5,), 9) == pytest.approx(2.0)
    assert theory.mixed_wait_h((0.5,), (1.0,), (2.0,)) == pytest.approx(1.0)  # M/M/1 at one half
    fast = theory.kitting(1.0, 1e6, 1e6, 1, 1)
    assert fast == pytest.approx(1.0, rel=1e-4)  # only the first machine takes time


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Reentrant(first_h=2.0), r"Reentrant\.first_h is 2\.0"),
        (lambda: ClosedNetwork(again=1.0), r"ClosedNetwork\.again is 1\.0; it must be between 0 and 1"),
        (lambda: Changeovers(run=0), r"Changeovers\.run is 0; it must be at least 1"),
        (lambda: EnergyCycle(work_h=1.5), r"EnergyCycle\.work_h is 1\.5"),
    ],
)
def test_nonsense_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
