"""A prediction comes back from disk as it was, and is made once."""

import numpy as np
import pytest

from experiments import own_data
from experiments.predictions import kept
from learn.metrics import EventPrediction, ForecastPrediction
from sim.errors import InputError


def test_a_prediction_is_made_once_and_comes_back(tmp_path):
    made = []

    def make():
        made.append(1)
        return EventPrediction(np.linspace(0, 1, 5), members=32)

    for _ in range(2):
        found = kept(tmp_path / "rows" / "oracle.npz", make)
    assert len(made) == 1
    assert isinstance(found, EventPrediction)
    assert found.members == 32
    assert found.cif_NxCxK is None
    np.testing.assert_array_equal(found.p_N, np.linspace(0, 1, 5))
    assert [p.name for p in (tmp_path / "rows").iterdir()] == ["oracle.npz"]


def test_forecasts_keep_their_arrays(tmp_path):
    mean = np.random.default_rng(0).normal(size=(3, 2, 4)).astype(np.float32)
    found = kept(tmp_path / "a.npz", lambda: ForecastPrediction.point(mean))
    assert isinstance(found, ForecastPrediction)
    np.testing.assert_array_equal(found.mean_NxVxH, mean)
    assert found.mean_NxVxH.dtype == np.float32
    assert found.samples_NxVxHxS is None


@pytest.mark.parametrize("damage", [b"", b"PK", None])
def test_a_damaged_prediction_is_refused_by_name(tmp_path, damage):
    path = tmp_path / "a.npz"
    kept(path, lambda: EventPrediction(np.linspace(0, 1, 500)))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 4
    path.write_bytes(bytes(whole) if damage is None else damage)
    with pytest.raises(InputError, match=r"a\.npz is damaged .* remove it and run the command"):
        kept(path, lambda: EventPrediction(np.zeros(5)))


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_an_answer_that_cannot_be_moved_into_place_leaves_nothing(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(OSError, match="directory"):
        own_data.write({"asset": ["m1"]}, tmp_path / name)
    assert [p.name for p in tmp_path.iterdir()] == [name]
