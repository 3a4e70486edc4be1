"""The equivalence test passes the true, fails the false and the noisy, and does not depend on the workers."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from sim.errors import InputError
from sim.steady import Estimate
from sim.verify import Replicated, Target, equivalent, run_suite


@dataclass(frozen=True, kw_only=True)
class Noise(Replicated):
    """Normal replications around 1 + fault."""

    sd: float = 0.005

    def targets(self):
        return [Target("mean", 1.0, "definition"), Target("again", 1.0, "definition", 0.01, absolute=True)]

    def replicate(self, seed):
        return np.random.default_rng(seed).normal(1 + self.fault, self.sd, 2)


def verdicts(check, **options):
    return {r.quantity: r.verdict for r in run_suite({"noise": check}, **options)}


def test_an_equal_mean_passes_and_a_planted_fault_fails():
    assert set(verdicts(Noise()).values()) == {"pass"}
    assert set(verdicts(Noise(fault=0.05)).values()) == {"fail"}
    assert set(verdicts(Noise(fault=0.012)).values()) == {"fail"}


def test_a_short_noisy_run_fails_however_close_its_mean():
    assert set(verdicts(Noise(sd=0.05, replications=8, looks=1)).values()) == {"fail"}
    assert set(verdicts(Noise(replications=1, looks=1)).values()) == {"fail"}


def test_more_looks_settle_what_one_cannot():
    noisy = Noise(sd=0.01, replications=16, looks=1)
    assert "fail" in verdicts(noisy).values()
    assert set(verdicts(replace(noisy, looks=5)).values()) == {"pass"}


def test_workers_change_nothing():
    assert run_suite({"a": Noise(replications=4)}) == run_suite({"a": Noise(replications=4)}, workers=2)


def test_equivalence_asks_for_the_whole_interval():
    target = Target("x", -2.0, "", 0.005)
    assert equivalent(Estimate(-2.004, 0.0059), target)
    assert not equivalent(Estimate(-2.004, 0.0061), target)


def test_nonsense_is_refused():
    with pytest.raises(InputError, match=r"Noise\.looks is 0"):
        Noise(looks=0)
