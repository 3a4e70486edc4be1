"""A prediction comes back from disk as it was, and is made once."""

import numpy as np

from experiments.predictions import kept
from learn.metrics import EventPrediction, ForecastPrediction


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
