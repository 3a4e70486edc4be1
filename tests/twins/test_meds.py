"""A cohort as MEDS: its schemas as the standard's own package checks them, nothing hidden, nothing half written."""

import json
import subprocess
import sys
from datetime import datetime, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest

from sim.errors import InputError
from sim.laws import Exponential
from sim.patient import Care, Risk
from twins import meds
from twins.channel import Role
from twins.dataset import Plan, ensure
from twins.patient import PatientTwin

TWIN = PatientTwin(Care(3, risk=Risk(decompensation=4.0, cardiac=0.7), visit=Exponential(300.0)))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A dataset, and its MEDS by the command that a user types."""
    root = tmp_path_factory.mktemp("cohort")
    dataset = ensure(TWIN, Plan(train=2, validation=1, test=1, duration_h=4000.0), root, workers=1)
    made = subprocess.run(
        [sys.executable, "-m", "twins.meds", str(dataset.path), str(root / "meds")], capture_output=True
    )
    assert made.returncode == 0, made.stderr
    return dataset, root / "meds"


def test_the_standards_own_package_accepts_every_file(cohort):
    standard = pytest.importorskip("meds")
    _, folder = cohort
    tables = {split: pq.read_table(folder / "data" / split / "0.parquet") for split in ("train", "tuning", "held_out")}
    for table in tables.values():
        standard.DataSchema.validate(table)
        ids, times = (table.column(name).to_numpy() for name in ("subject_id", "time"))
        assert (np.diff(ids) >= 0).all()
        for one in np.unique(ids):
            mine = times[ids == one]
            static = np.isnat(mine).sum()
            assert np.isnat(mine[:static]).all()  # what holds always comes first
            assert (np.diff(mine[static:]) >= np.timedelta64(0)).all()
    codes = pq.read_table(folder / standard.code_metadata_filepath)
    standard.CodeMetadataSchema.validate(codes)
    seen = {code for table in tables.values() for code in table.column("code").to_pylist()}
    assert seen == set(codes.column("code").to_pylist())
    splits = pq.read_table(folder / standard.subject_splits_filepath)
    standard.SubjectSplitSchema.validate(splits)
    assert splits.to_pylist() == [
        {"subject_id": n + 1, "split": name} for n, name in enumerate(["train"] * 6 + ["tuning"] * 3 + ["held_out"] * 3)
    ]
    standard.DatasetMetadataSchema.validate(json.loads((folder / standard.dataset_metadata_filepath).read_text()))


def test_what_was_observed_is_there_and_what_is_hidden_is_not(cohort):
    dataset, folder = cohort
    told = pq.read_table(folder / "data" / "train" / "0.parquet").to_pylist()
    hidden = {f"{c['quantity'].upper()}//{c['unit']}" for c in dataset.channels if c["role"] == Role.TRUTH}
    assert not hidden & {row["code"] for row in told}
    for number, episode in enumerate(dataset.episodes("train"), 1):
        mine = [row for row in told if row["subject_id"] == number]
        epoch = datetime.fromisoformat(episode.epoch)
        weight = next(s for s in episode.series if s.quantity == "weight")
        there = np.isfinite(weight.values)
        rows = [row for row in mine if row["code"] == "WEIGHT//kg"]
        assert [row["numeric_value"] for row in rows] == weight.values[there].tolist()
        assert [row["time"] for row in rows] == [epoch + timedelta(hours=t) for t in weight.clock_h()[there].tolist()]
        dead = [e for e in episode.events if e.kind == "death"]
        assert [(row["time"], row["text_value"]) for row in mine if row["code"] == "MEDS_DEATH"] == [
            (epoch + timedelta(hours=e.time_h), e.cause) for e in dead
        ]
        born = next(row["time"] for row in mine if row["code"] == "MEDS_BIRTH")
        assert (epoch - born) / timedelta(hours=meds.YEAR_H) == pytest.approx(episode.static["age"])
        assert not [row for row in mine if row["code"].startswith(("MISSED", "FAILURE"))]


def test_a_folder_that_is_there_is_left_alone(cohort):
    dataset, folder = cohort
    with pytest.raises(InputError, match="is there already"):
        meds.export(dataset.path, folder)
    with pytest.raises(InputError):
        meds.export(dataset.path.parent / "nothing", folder.with_name("other"))
    assert sorted(p.name for p in folder.parent.iterdir()) == sorted([dataset.path.name, "meds"])
