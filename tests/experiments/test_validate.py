"""The command that validates: its table, its file, its exit codes, and what it says of wrong input."""

import json
from functools import partial

import pytest

from tests.commands import call

QUICK = ["world=line", "workers=1", "only=[times_in_states,sample_path]", "checks.sample_path.parts=2000"]


@pytest.fixture
def validate(tmp_path):
    return partial(call, tmp_path, "-m", "experiments.validate")


def test_a_true_world_passes_and_leaves_its_file(validate, tmp_path):
    done = validate(*QUICK, "checks.sample_path.buffers=[3]", "world.crew=1", "checks.times_in_states.length_h=500")
    assert done.returncode == 0, done.stderr
    assert "B = 3, 2000 parts" in done.stdout
    path = tmp_path / done.stdout.splitlines()[-1]
    document = json.loads(path.read_text())
    assert path.name == "validation.json"
    assert document["passed"]
    assert document["checks"]["times_in_states"]["line"]["crew"] == 1
    assert {"processor", "cores"} <= document["machine"].keys()
    assert document["seconds"]["total"] > 0
    assert {r["verdict"] for r in document["results"]} == {"pass"}


def test_a_fault_exits_with_1_and_a_caught_plant_with_0(validate):
    broken = validate(*QUICK, "checks.sample_path.fault=.05")
    assert broken.returncode == 1
    assert "1 of 2 checks pass" in broken.stdout
    assert validate(*QUICK, "plant=.05").returncode == 0
    assert validate(*QUICK, "plant=0").returncode == 1


def test_a_patient_meets_the_table_and_each_check_finds_its_fault(validate):
    told = validate("world=patient", "workers=1")
    assert told.returncode == 0, told.stdout
    assert "9 of 9 checks pass" in told.stdout
    assert "not for clinical use" in told.stdout
    assert "9 of 9 checks catch the planted fault" in validate("world=patient", "workers=1", "plant=.05").stdout
    refused = validate("world=patient", "workers=1", "world.ees=-2")
    assert refused.returncode == 2
    assert "ees is -2.0; it must be between 0.05 and 15" in refused.stderr + refused.stdout


def test_tumours_meet_what_is_known_of_them_and_each_quick_check_finds_its_fault(validate):
    quick = ["world=tumour", "workers=1", "only=[growth,doses,propensities]"]
    told = validate(*quick)
    assert told.returncode == 0, told.stdout
    assert "3 of 3 checks pass" in told.stdout
    assert "not for clinical use" in told.stdout
    assert "3 of 3 checks catch the planted fault" in validate(*quick, "plant=.05").stdout
    refused = validate("world=tumour", "workers=1", "only=[drawn]", "world.gamma=-1")
    assert refused.returncode == 2
    assert "gamma is -1.0; it must be between 0 and 100" in refused.stderr + refused.stdout


def test_the_house_has_checks_of_its_own(validate):
    small = ["checks.prices.length_h=5e3", "checks.prices.replications=3", "world.noise_keur=0", "only=[prices]"]
    done = validate("world=house", "workers=1", "world.slope_keur_per_m2=4", *small)
    assert done.returncode == 0, done.stderr
    assert "slope (kEUR/m²)" in done.stdout


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["only=[mm9]"], "only names 'mm9'; it must be among mm1"),
        (["plant=much"], "plant is 'much'"),
        (["confidence=2.0"], "confidence is 2.0"),
        (["checks.mm1.utilisation=1.5"], "checks.mm1.utilisation is 1.5; it must be between 0 and 1"),
        (["checks.mm1.servces=3"], "servces"),
        (["world=moon"], "moon"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_code_2(validate, args, said):
    done = validate(*args)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
