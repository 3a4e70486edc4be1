"""A prediction comes back from disk as it was, and is made once."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.datasets import own_data
from experiments.run.predictions import kept, save
from experiments.source import Observed
from learn.scores.metrics import EventPrediction, ForecastPrediction, StatePrediction
from learn.tasks import Forecast, TimeToEvent
from sim.errors import InputError
from twins.channel import Role
from twins.episode import Episode, Series
from twins.observed import Cuts


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


def test_shares_of_states_come_back_with_how_many_futures_they_are_of(tmp_path):
    found = kept(tmp_path / "a.npz", lambda: StatePrediction(np.full((2, 3, 4), 0.25), members=16))
    assert isinstance(found, StatePrediction)
    assert (found.p_NxHxC.shape, found.members) == ((2, 3, 4), 16)


def test_runs_of_several_hosts_may_write_the_same_file(tmp_path, monkeypatch):
    """While one writes, another with the same process number on its own host does so from first to last."""
    told, path, real = EventPrediction(np.linspace(0, 1, 5)), tmp_path / "a.npz", np.savez

    def meanwhile(file, **fields):
        monkeypatch.setattr(np, "savez", real)
        save(path, told)
        real(file, **fields)

    monkeypatch.setattr(np, "savez", meanwhile)
    save(path, told)
    found = kept(path, lambda: EventPrediction(np.zeros(5)))
    assert isinstance(found, EventPrediction)
    np.testing.assert_array_equal(found.p_N, told.p_N)
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


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


def known():
    """A model that knows a vibration and a temperature, as far as a table is matched with it."""
    scale = SimpleNamespace(names=("vibration", "temperature"), units=("mm/s", "Cel"), mean=(2.0, 45.0), std=(1.0, 5.0))
    return SimpleNamespace(scale=scale, roles=("past", "past"), task=None)


def test_a_column_that_is_named_leaves_the_others_where_they_are(tmp_path):
    path = tmp_path / "my.csv"
    path.write_text("time,vibration,temperature\n0,1,90\n")
    table = Observed(str(path), {"temperature": {"unit": "[degF]"}}, time="time")
    found, lacking = own_data.matched(table, known())
    assert (list(found.columns), lacking) == (["vibration", "temperature"], [])
    assert [found.columns[name].unit for name in found.columns] == ["mm/s", "[degF]"]
    renamed = Observed(str(path), {"temperature": {"quantity": "vibration", "unit": "mm/s"}}, time="time")
    assert list(own_data.matched(renamed, known())[0].columns) == ["temperature"]


def asset(kelvin):
    """Ten readings in degrees Celsius, then so many in kelvin, and a gap."""
    values = np.r_[np.full(10, 45.0), np.full(kelvin, 318.0), np.nan].astype(np.float32)
    return Episode(0, "m", (Series("m", "temperature", "Cel", Role.PAST, values, step_h=1.0),))


def test_readings_far_outside_training_are_told():
    (said,) = own_data.strange([asset(10)], known())
    assert "50 % of its values" in said
    assert "45 to 318 Cel, in training 45 ± 5 Cel" in said
    assert "+source.columns.temperature={unit: …}" in said
    assert own_data.strange([asset(0)], known()) == []


def test_an_asset_with_fewer_samples_than_the_model_looks_back_on_is_named():
    (said,) = own_data.short([asset(0)], SimpleNamespace(context=12))
    assert said == "m: 11 samples, where the model looks back on 12; those before are missing to it"
    assert own_data.short([asset(1)], SimpleNamespace(context=12)) == []


@pytest.mark.parametrize(
    ("task", "message"), [(TimeToEvent(), "tells of no lives.*say task=forecast"), (Forecast(1), "Cuts, train: 2000")]
)
def test_what_a_table_lacks_for_training_is_said(task, message):
    with pytest.raises(InputError, match=message):
        own_data.trainable(Observed("my.csv", time="time"), task)
    own_data.trainable(Observed("my.csv", time="time", ends="wear", splits=Cuts(10.0)), task)
