"""Datasets kept as traces alone: whatever is read of them is what the whole of them would hold, bit for bit."""

import pickle
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from sim.errors import InputError
from sim.laws import Exponential, Lognormal
from sim.line import Line, Station, Sudden
from sim.wear import Wiener
from tests.plants.ticker import TickerTwin
from twins.dataset import Dataset, Live, Plan, again, ensure, live, open_dataset, shards
from twins.dataset.merge import merge
from twins.executors.workers import Local
from twins.line import LineTwin
from twins.records import Alarm
from twins.sensors.render import Panel, Sensed
from twins.varied import Choices, Varied
from twins.windows import WindowReader

STATION = Station(Lognormal(1 / 6, 0.1), wear=Wiener(0.01, 0.03), sudden=Sudden(Exponential(30.0)))
LINE = LineTwin(Line((STATION,) * 2, (4,)), step_h=0.05, alarms=(Alarm("vibration_rms", 1.5, 1.2),))
VARIED = Varied(LINE, {"world.crew": Choices((1, 2)), "twin.step_h": Choices((0.05,))})
NUMBERS = (3, 0, 1, 48.0)


@pytest.fixture(scope="module", params=[LINE, VARIED], ids=["alike", "varied"])
def both(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("both")
    return tuple(ensure(request.param, plan(*NUMBERS, runs_per_shard=2), root, workers=1) for plan in (Plan, Live))


def same(a, b):
    assert [e.asset for e in a] == [e.asset for e in b]
    assert shards.content(a) == shards.content(b)


def test_the_content_is_the_same_and_the_room_it_takes_is_not(both):
    stored, live = both
    assert live.live
    assert not stored.live
    assert live.manifest["content"] == stored.manifest["content"]
    assert live.identity != stored.identity
    series = [pq.read_table(path) for path in sorted((live.path / "series").glob("*.parquet"))]
    assert all(table.column("values").null_count == len(table) for table in series)
    for split in ("train", "test"):
        same(live.episodes(split), stored.episodes(split))
        assert all(isinstance(s.values, np.ndarray) for e in live.episodes(split) for s in e.series)
        for one, two in zip(live.shard(f"{split}-00000"), stored.shard(f"{split}-00000"), strict=True):
            same(one[1], two[1])


def test_any_window_is_that_of_the_stored_series(both):
    stored, live = both
    for whole, sensed in zip(stored.episodes("train"), live.sensed("train"), strict=True):
        for one, two in zip(whole.series, sensed.series, strict=True):
            assert isinstance(two.values, Sensed)
            assert len(two.values) == len(one.values)
            for part in (slice(0, 7), slice(500, 777), slice(900, None), slice(3, 400, 5), slice(5, 5)):
                np.testing.assert_array_equal(two.values[part], one.values[part])
    one, two = (WindowReader(dataset.path, "train", 50, 37) for dataset in both)
    assert len(one) == len(two) > 100
    for i in range(0, len(one), 17):
        for a, b in zip(one[i], two[i], strict=True):
            np.testing.assert_array_equal(a, b)


def test_what_was_dropped_to_save_room_is_made_again(both, monkeypatch):
    monkeypatch.setattr(live, "KEPT_BYTES", 1)
    stored, lively = both[0], open_dataset(both[1].path)
    assert len(lively._readings._kept) == 0
    same(lively.episodes("train"), stored.episodes("train"))
    assert len(lively._readings._kept) == 1


def test_a_dataset_in_use_pickles_as_its_path(both):
    both[1].episodes("test")
    same(pickle.loads(pickle.dumps(both[1])).episodes("test"), both[0].episodes("test"))


def test_a_thin_panel_drops_only_what_no_sample_tells():
    trace = LINE.world.run(LINE.world.start(3), 60.0).trace
    channels = LINE.channels
    thick, thin = Panel.of(trace, channels), Panel.of(trace, channels, thin=True)
    assert thin.nbytes < 0.9 * thick.nbytes
    np.testing.assert_array_equal(thin.render().view(np.int32), thick.render().view(np.int32))
    np.testing.assert_array_equal(thin.render(301, 99), thick.render(301, 99))


def test_what_no_trace_tells_is_stored(tmp_path):
    stored, lively = (ensure(TickerTwin(), plan(2, 0, 1, 24.0), tmp_path, workers=1) for plan in (Plan, Live))
    assert stored.manifest["content"] == lively.manifest["content"]
    same(lively.episodes("train"), stored.episodes("train"))
    assert not any(isinstance(s.values, Sensed) for e in lively.sensed("train") for s in e.series)


def test_live_data_is_mended_merged_and_seen_otherwise(both, tmp_path):
    lively = both[1]
    other = again.rerender(lively, {"twin.step_h": 0.1}, tmp_path).dataset
    assert other.live
    if both[0].manifest["configuration"]["twin"]["_class"].endswith("LineTwin"):
        assert len(other.episodes("test")[0].series[0].values) == 480
    (other.path / "series" / "train-00000.parquet").unlink()
    assert again.rebuild(other.path).manifest["content"] == other.manifest["content"]
    with pytest.raises(InputError, match="a run counts once"):
        merge([both[0], lively], tmp_path)
    more = ensure(LINE, Live(1, 0, 1, 24.0, seed=5), tmp_path, workers=1)
    merged = merge([lively, more], tmp_path)
    assert not merged.live
    found, expected = merged.episodes("test"), [*lively.episodes("test"), *more.episodes("test")]
    same([replace(e, run=0) for e in found], [replace(e, run=0) for e in expected])


def test_numbers_that_come_out_differently_are_refused(both):
    told = both[1].manifest
    here, names = told["platform"], [name for split in told["splits"].values() for name in split["shards"]]
    other = here | {"probe": "another"}
    for platform, apart in ((other, {}), (here, {names[-1]: other}), (other, {names[0]: here})):
        with pytest.raises(InputError, match="kept as traces alone"):
            Dataset(both[1].path, told | {"platform": platform, "apart": apart}).sensed("train")
    alike = Dataset(both[1].path, told | {"platform": other, "apart": dict.fromkeys(names, here)})
    same(alike.episodes("train"), both[0].episodes("train"))
    with pytest.raises(InputError, match=r"set executor\.mixed=false"):
        ensure(LINE, Live(*NUMBERS), both[1].path.parent, executor=Local(2, mixed=True))
