"""Other libraries read a dataset's tables as they lie there."""

import numpy as np
import pytest

from tests.plants.ticker import TickerTwin
from twins.dataset import Plan, ensure


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return ensure(TickerTwin(), Plan(3, 0, 1, 24.0, runs_per_shard=2), tmp_path_factory.mktemp("made"), workers=1)


def test_polars_scans_all_shards_of_a_split(made):
    polars = pytest.importorskip("polars")
    table = polars.scan_parquet(made.path / "series" / "train-*.parquet")
    gauges = table.filter(polars.col("quantity") == "level").collect()
    expected = {(e.run, e.asset): s.values for e in made.episodes("train") for s in e.series if s.quantity == "level"}
    assert len(gauges) == len(expected) == 6
    for row in gauges.iter_rows(named=True):
        np.testing.assert_array_equal(np.array(row["values"], np.float32), expected[row["run"], row["asset"]])
    events = polars.read_parquet(made.path / "episodes" / "train-*.parquet").explode("events").unnest("events")
    assert events["kind"].drop_nulls().unique().to_list() == ["tick"]
    assert events["kind"].count() == sum(len(e.events) for e in made.episodes("train"))
