"""Rivals of the bench make the line that ours makes, and one that makes another is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from bench import rivals
from bench.limits import limits
from bench.measure import MEASURES
from sim.errors import InputError

RESULTS = Path(__file__).parents[2] / "bench" / "RESULTS.json"


def test_another_throughput_is_refused_and_so_is_one_that_is_not_known():
    rng = np.random.default_rng(0)
    mine, theirs = rng.normal(100, 1, 60).tolist(), rng.normal(100, 1, 15).tolist()
    assert 0 < rivals.agree(mine, theirs, "it") < 0.02
    with pytest.raises(InputError, match=r"it makes \+1\.\d+% ± 0\.\d+% more parts"):
        rivals.agree(mine, [1.015 * x for x in theirs], "it")
    with pytest.raises(InputError, match="the same line"):
        rivals.agree(mine, rng.normal(100, 20, 6).tolist(), "it")


@pytest.mark.long
@pytest.mark.parametrize(("rival", "runs"), [("salabim", 30), ("simprocesd", 24), ("ciw", 14)])
def test_a_rival_makes_as_many_parts(rival, runs):
    """In a week from empty."""
    pytest.importorskip(rival)
    mine = [rivals.ours(rivals.LINE, seed, 168.0) for seed in range(300)]
    theirs = [getattr(rivals, rival)(seed, 168.0) for seed in range(runs)]
    apart = np.mean(theirs) - np.mean(mine)
    error = np.sqrt(np.var(mine) / len(mine) + np.var(theirs) / len(theirs))
    assert abs(apart) < 3.5 * error
    assert error < 13


def test_limits_are_told_and_every_result_is_of_a_measure():
    assert all(value > 0 for value in limits().values())
    assert set(json.loads(RESULTS.read_text())["results"]) <= {measure.__name__ for measure in MEASURES}
