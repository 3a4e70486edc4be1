"""Other libraries read a dataset's tables as they lie there, with the very code of the README."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from sim.errors import InputError
from tests.plants.ticker import TickerTwin
from twins.channel import Role
from twins.dataset import Plan, ensure
from twins.windows import ROLES, WindowReader

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(
    r"```python\n(.*?)```", README.partition("<!-- readers -->")[2].partition("<!-- /readers -->")[0], re.S
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return ensure(TickerTwin(), Plan(3, 0, 1, 24.0, runs_per_shard=2), tmp_path_factory.mktemp("made"), workers=1)


def shown(library, made):
    """What the README's example of a library comes to on the dataset *made*, of which it asks other channels."""
    pytest.importorskip(library)
    (code,) = [block for block in BLOCKS if block.startswith(f"import {library}\n")]
    assert "datasets/line-…" in code
    code = code.replace("datasets/line-…", str(made.path)).replace("vibration_rms", "level")
    code = code.replace("length=144, stride=12", "length=14, stride=3").replace("num_workers=2", "num_workers=0")
    *body, last = code.rstrip().split("\n")
    found = {}
    if last.startswith(" "):
        body.append(last)
        last = "None"
    exec("\n".join(body), found)
    return found, eval(last, found)


def gauges(made, split="train"):
    return {(e.run, e.asset): s.values for e in made.episodes(split) for s in e.series if s.quantity == "level"}


@pytest.mark.filterwarnings("ignore")
def test_pandas(made):
    found, means = shown("pandas", made)
    expected = gauges(made) | gauges(made, "test")
    assert len(found["series"]) == len(expected) == 8
    for _, row in found["series"].iterrows():
        np.testing.assert_array_equal(np.float32(row["values"]), expected[row["run"], row["asset"]])
    assert list(means.index) == ["left", "right"]


def test_polars(made):
    found, stds = shown("polars", made)
    assert len(stds) == 6
    expected, polars = gauges(made), found["polars"]
    table = found["table"].filter(polars.col("quantity") == "level").collect()
    for row in table.iter_rows(named=True):
        np.testing.assert_array_equal(np.array(row["values"], np.float32), expected[row["run"], row["asset"]])
    events = polars.read_parquet(made.path / "episodes" / "train-*.parquet").explode("events").unnest("events")
    assert events["kind"].drop_nulls().unique().to_list() == ["tick"]
    assert events["kind"].count() == sum(len(e.events) for e in made.episodes("train"))


@pytest.mark.filterwarnings("ignore")
def test_hugging_face(made, tmp_path, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    found, (quantity, values) = shown("datasets", made)
    assert quantity == "level"
    first = found["series"][0]
    np.testing.assert_array_equal(values.numpy(), gauges(made)[int(first["run"]), first["asset"]])


@pytest.mark.filterwarnings("ignore")
def test_torch(made):
    found, _ = shown("torch", made)
    torch, windows = found["torch"], found["windows"]
    x_BxVxT, mask_BxVxT, role_BxV = (found[name] for name in ("x_BxVxT", "mask_BxVxT", "role_BxV"))
    assert x_BxVxT.dtype == torch.float32
    assert mask_BxVxT.dtype == torch.bool
    assert x_BxVxT.shape == mask_BxVxT.shape == (32, len(windows.names), 14)
    assert role_BxV.shape == (32, len(windows.names))
    plain = torch.utils.data.DataLoader(windows, batch_size=7, num_workers=1, multiprocessing_context="spawn")
    read = torch.cat([x for x, _, _ in plain])
    assert len(read) == len(windows)
    for i in range(0, len(windows), 5):
        np.testing.assert_array_equal(read[i].numpy(), windows[i].x_VxT)


def test_windows_are_the_episodes_in_pieces(made):
    windows = pickle.loads(pickle.dumps(WindowReader(made.path, "train", 10, 4)))
    episodes = made.episodes("train")
    assert windows.names == ("level", "tick")
    assert len(windows) == len(list(windows)) == len(episodes) * ((48 - 10) // 4 + 1)
    for i, window in enumerate(windows):
        e, k = windows.place(i)
        level = episodes[e].series[0].values[k : k + 10]
        np.testing.assert_array_equal(window.x_VxT[0], np.nan_to_num(level))
        np.testing.assert_array_equal(window.mask_VxT[0], np.isfinite(level))
        assert [ROLES[r] for r in window.role_V] == [Role.TARGET, Role.PAST]
    np.testing.assert_array_equal(windows[-1].x_VxT, windows[len(windows) - 1].x_VxT)
    with pytest.raises(IndexError):
        windows[len(windows)]
    with pytest.raises(InputError, match="no window of 1000 samples"):
        len(WindowReader(made.path, "train", 1000))
    with pytest.raises(InputError, match=r"WindowReader\.stride is 0"):
        WindowReader(made.path, "train", 10, 0)
