"""Every check of feeders, shortened: it finds no fault in them, and it finds one that is planted.

The complete checks, which must also be precise, run by `python -m experiments.validate world=feeder`.
"""

import json
from dataclasses import replace

import pytest

from sim.errors import InputError
from sim.feeder.checks import Balance, Lives, Temperatures, TwoBuses
from sim.verify import run_check

SHORT = {
    "temperatures": Temperatures(hours=100),
    "lives": Lives(replications=150, looks=1),
    "balance": Balance(hours=120),
    "two_buses": TwoBuses(),
}
PLANTED = {"lives": 0.4}


def beyond(rows):
    """Quantities whose interval lies outside the tolerance altogether."""
    return {
        r.quantity for r in rows
        if max(r.low - r.reference, r.reference - r.high) > 0 and r.decided and r.verdict == "fail"
    }  # fmt: skip


@pytest.mark.parametrize("name", SHORT)
def test_the_world_shows_no_fault(name):
    rows = run_check(name, SHORT[name], 1e-4)
    assert not beyond(rows)
    assert json.dumps(rows)


@pytest.mark.parametrize("name", SHORT)
def test_a_planted_fault_is_caught(name):
    assert beyond(run_check(name, replace(SHORT[name], fault=PLANTED.get(name, 0.05)), 0.05))


def test_nonsense_is_refused():
    with pytest.raises(InputError, match="hours"):
        Temperatures(hours=1)
    with pytest.raises(InputError, match="shape"):
        Lives(shape=0.0)
