"""The command of trials: a small one to its table and trial.json, and what it refuses."""

import json

import pytest

from experiments.medicine import trials
from sim.errors import InputError
from tests.commands import ROOT, call
from tests.experiments.test_tables import tables

SMALL = {
    "seed": 0,
    "runs": 2,
    "trials": 20,
    "workers": 1,
    "design": {
        "_target_": "sim.patient.trial.Design",
        "patients": 60,
        "years": 0.6,
        "enrol_years": 0.1,
        "world": {
            "_target_": "sim.patient.Care",
            "patients": 12,
            "policy": None,
            "beds": [None] * 4,
            "risk": {"cardiac": 1.0, "lost": 0.0},
            "slow": {"tolerance": 0.01},
        },
    },
}


def test_a_small_trial_has_all_that_is_asked_for(tmp_path):
    found = trials.run(SMALL)
    assert (found["pool"], found["patients"], found["events"]) == (24, 60, 244)
    assert found["true"]["ratio"] < 1
    assert found["by_assignment"] == found["true"]
    assert 0 <= found["type_1_error"]["low"] <= found["type_1_error"]["mean"] <= found["type_1_error"]["high"] < 0.4
    survival = found["survival"]["arms"]
    assert survival[0][0] == survival[1][0] == 1.0
    assert survival[1][-1] >= survival[0][-1]
    path = trials.write(SMALL | {"outputs": str(tmp_path), "name": "trial"}, found)
    kept = json.loads(path.read_text())
    assert kept["notice"] == "Research only, not for clinical use."
    assert kept["power"] == found["power"]
    assert list(tables.tabulated([path.parent])) == ["trial"]
    assert "type-I error" in tables.tabulated([path.parent])["trial"]
    assert all(isinstance(cell, str) for row in trials.rows(kept) for cell in row)


def test_the_share_of_trials_has_wilsons_interval():
    found = trials.share([True] * 5 + [False] * 95)
    assert (found["low"], found["high"]) == pytest.approx((0.0215, 0.1118), abs=2e-4)


def test_what_cannot_be_is_refused():
    with pytest.raises(InputError, match="at least 1, 10 and 0"):
        trials.run(SMALL | {"trials": 1})
    told = call(ROOT, "-m", "experiments.trial", "design.block=3")
    assert told.returncode == 2
    assert "design.block is 3; it must be even, from 2 to 20, or null" in told.stderr
