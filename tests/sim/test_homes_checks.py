"""Every check of homes, shortened: it finds no fault in them, and it finds a large one that is planted.

The complete checks, which must also be precise, run by `python -m experiments.validate world=homes`.
"""

from dataclasses import replace

import pytest

from sim.errors import InputError
from sim.homes.checks import Blocking, Diversity, Forecasts, Profile, Routine
from sim.homes.theory import erlang_b, rusck
from sim.laws import Lognormal
from sim.verify import run_check

SHORT = {
    "erlang": Blocking(length_h=400.0, replications=8, looks=1),
    "erlang_any_law": Blocking(dwell=Lognormal(1.0, 2.0), length_h=400.0, replications=8, looks=1),
    "forecasts": Forecasts(hours=2000, replications=8, looks=1),
    "routine": Routine(homes=15, weeks=2, replications=4, looks=1),
    "profile": Profile(homes=15, weeks=2, replications=3, looks=1),
    "diversity": Diversity(homes=40, weeks=2, replications=5, looks=1),
}
PLANTED = {"erlang": 0.3, "erlang_any_law": 0.3, "forecasts": 0.1, "routine": 0.8, "profile": 0.4, "diversity": 0.5}


def beyond(rows):
    """Quantities whose interval lies outside the tolerance altogether."""
    return {
        r.quantity
        for r in rows
        if max(r.low - r.reference, r.reference - r.high) > 0 and r.decided and r.verdict == "fail"
    }


@pytest.mark.parametrize("name", SHORT)
def test_the_world_shows_no_fault(name):
    assert not beyond(run_check(name, SHORT[name], 1e-4))


@pytest.mark.parametrize("name", SHORT)
def test_a_large_fault_is_caught(name):
    assert beyond(run_check(name, replace(SHORT[name], fault=PLANTED[name]), 0.05))


def test_erlang_b():
    assert erlang_b(10, 8.0) == pytest.approx(0.12166, abs=5e-6)
    assert erlang_b(1, 2.0) == pytest.approx(2 / 3)
    assert rusck(1, 0.2) == 1.0
    assert rusck(16, 0.2) == pytest.approx(0.4)


def test_nonsense_is_refused():
    with pytest.raises(InputError, match="homes"):
        Routine(homes=1)
    with pytest.raises(InputError, match="clock"):
        Profile(clock=(24,))
