"""A cohort as MEDS: its schema, order, codes, splits; what a record shows and nothing of the truth."""

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sim.errors import InputError
from sim.laws import Exponential
from sim.patient import Care, Risk
from sim.patient.disease import Slow
from twins.dataset import Plan, ensure
from twins.meds import export, rows, subject
from twins.patient import PatientTwin

WORLD = Care(3, risk=Risk(decompensation=4.0, cardiac=2.0), visit=Exponential(200.0), slow=Slow(tolerance=1e-2))
TWIN: Any = PatientTwin(WORLD, step_h=24.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("meds")
    dataset = ensure(TWIN, Plan(2, 1, 1, 1500.0), root, workers=1)
    return dataset, export(dataset, root / "out")


def test_files_have_the_columns_and_types_of_the_standard(made):
    _, folder = made
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*.parquet"))
    assert files == [
        *(f"data/{split}/0.parquet" for split in ("held_out", "train", "tuning")),
        "metadata/codes.parquet",
        "metadata/subject_splits.parquet",
    ]
    table = pq.read_table(folder / "data" / "train" / "0.parquet")
    types = {"subject_id": pa.int64(), "time": pa.timestamp("us"), "code": pa.string(), "numeric_value": pa.float32()}
    assert dict(zip(table.schema.names, table.schema.types, strict=True)) == types
    about = json.loads((folder / "metadata" / "dataset.json").read_text())
    assert about["meds_version"] == "0.4.0"
    assert "not for clinical use" in about["dataset_name"]
    assert "not for clinical use" in (folder / "NOTICE.txt").read_text()


def test_patients_are_whole_in_order_and_in_one_split(made):
    dataset, folder = made
    splits = pq.read_table(folder / "metadata" / "subject_splits.parquet").to_pydict()
    assert sorted(splits["split"]) == ["held_out"] * 3 + ["train"] * 6 + ["tuning"] * 3
    known = set(pq.read_table(folder / "metadata" / "codes.parquet")["code"].to_pylist())
    for split, name in (("train", "train"), ("test", "held_out")):
        table = pq.read_table(folder / "data" / name / "0.parquet")
        ids = np.array(table["subject_id"])
        assert (np.diff(ids) >= 0).all()
        assert set(ids.tolist()) == {subject(e) for e in dataset.episodes(split)}
        assert set(table["code"].to_pylist()) <= known
        times = table["time"].to_pylist()
        for number in set(ids.tolist()):
            mine = [t for t, i in zip(times, ids.tolist(), strict=True) if i == number]
            first = next(k for k, t in enumerate(mine) if t is not None)
            assert all(t is None for t in mine[:first])
            assert mine[first:] == sorted(mine[first:])


def test_what_was_measured_is_there_once_and_the_truth_is_not(made):
    dataset, _ = made
    episode = dataset.episodes("train")[0]
    found = rows(episode)
    series = {s.quantity: s for s in episode.series}
    rates = [row.value for row in found if row.code == "heart_rate///min"]
    values = series["heart_rate"].values
    assert rates == values[np.isfinite(values)].tolist()
    codes = {row.code.partition("//")[0] for row in found}
    assert not codes & {s.quantity for s in episode.series if s.role == "truth"}
    assert {"MEDS_BIRTH", "GENDER", "lab_nt_probnp", "bisoprolol_level", "VISIT"} <= codes
    deaths = [e.time_h for e in episode.events if e.kind == "death"]
    assert sum(row.code == "MEDS_DEATH" for row in found) == len(deaths)
    doses = [row.value for row in found if row.code.startswith("enalapril_level")]
    assert all(a != b for a, b in itertools.pairwise(doses))


def test_a_folder_that_holds_something_is_left_alone(made):
    dataset, folder = made
    with pytest.raises(InputError, match="is not empty"):
        export(dataset, folder)
    assert subject(replace(dataset.episodes("train")[0], asset="p9")) != subject(dataset.episodes("train")[0])
