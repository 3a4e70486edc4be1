import errno
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.house import House
from sim.laws import Exponential, Lognormal, Weibull
from sim.line import Line, Station, Sudden
from tests.plants.ticker import Ticker, TickerTwin
from twins.dataset import Dataset, Plan, describe, ensure, files, identity, open_dataset, shards
from twins.dataset.__main__ import main
from twins.dataset.manifest import MANIFEST
from twins.house import HouseTwin
from twins.line import LineTwin

ROOT = Path(__file__).parents[2]
PLAN = Plan(5, 1, 2, 60.0, runs_per_shard=2)
TWIN = TickerTwin()
LINE = Line((Station(Lognormal(1 / 6, 0.1), sudden=Sudden(Exponential(20.0))),) * 2, (4,))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One dataset of the module; tests that change files take a copy."""
    dataset = ensure(TWIN, PLAN, tmp_path_factory.mktemp("made"), workers=1)
    for split in dataset.splits:
        dataset.episodes(split)
    return dataset


@pytest.fixture
def copy(made, tmp_path):
    path = tmp_path / made.path.name
    shutil.copytree(made.path, path)
    return path


def contents(directory: Path) -> dict[str, bytes]:
    """Every file that the configuration determines."""
    named = [p for p in directory.rglob("*") if p.is_file() and "cache" not in p.parts and p.name != ".lock"]
    return {str(p.relative_to(directory)): p.read_bytes() for p in named}


# --- identity -------------------------------------------------------------------------------------------------------


class Colour(Enum):
    RED = 1


@dataclass(frozen=True)
class Leaf:
    value: object = None


@dataclass
class Loose:
    value: int = 1


def test_a_description_is_plain_json_of_nested_dataclasses():
    leaf = Leaf((1, 2.5, "x", None, True, Colour.RED, {"b": Leaf(float("inf")), "a": np.float64(2)}, contents))
    told = describe(leaf)
    assert json.loads(json.dumps(told)) == told
    assert told["_class"].endswith("Leaf")
    assert told["value"][:5] == [1, 2.5, "x", None, True]
    assert told["value"][5] == {"_enum": f"{__name__}.Colour.RED"}
    assert list(told["value"][6]) == ["a", "b"]
    assert told["value"][7]["_name"].endswith("contents")


@pytest.mark.parametrize("value", [Loose(), object(), lambda: 1, {1: 2}, {3}, np.ones(2), b"x"])
def test_what_has_no_canonical_form_is_refused_with_its_place(value):
    with pytest.raises(InputError, match=r"twin\.value\[1\] is .* no canonical form"):
        describe(Leaf((0, value)), "twin")


@given(st.floats(0.1, 9), st.floats(0.1, 9))
@settings(max_examples=50)
def test_equal_configurations_and_only_they_share_an_identity(a, b):
    assert (identity(describe(Exponential(a))) == identity(describe(Exponential(b)))) == (a == b)
    assert identity(describe(Weibull(a, b))) != identity(describe(Leaf((a, b))))


def test_revisions_and_every_part_of_the_plan_make_another_dataset(tmp_path):
    small = Plan(1, 0, 0, 5.0)
    twins = [TWIN, replace(TWIN, revision=2), replace(TWIN, world=Ticker(revision=2)), replace(TWIN, world=Ticker(3.0))]
    plans = [replace(small, seed=1), replace(small, duration_h=6.0), replace(small, runs_per_shard=1)]
    paths = [ensure(twin, small, tmp_path).path for twin in twins] + [ensure(TWIN, p, tmp_path).path for p in plans]
    assert len(set(paths)) == len(paths)


# --- the plan -------------------------------------------------------------------------------------------------------


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 9), st.integers(1, 5), st.integers(0, 2**31 - 1))
@settings(max_examples=50)
def test_shards_cover_every_run_once_in_order(train, validation, test, size, seed):
    plan = Plan(train, validation, test, 1.0, seed, size)
    runs = [run for shard in plan.shards() for run in range(*shard.seeds)]
    assert runs == [seed * 2**32 + i for i in range(train + validation + test)]
    assert all(0 < shard.seeds[1] - shard.seeds[0] <= size for shard in plan.shards())
    assert runs[-1] < 2**63


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"train": -1}, "train"),
        ({"train": 0, "validation": 0, "test": 0}, "train"),
        ({"duration_h": 0.0}, "duration_h"),
        ({"seed": 2**31}, "seed"),
        ({"runs_per_shard": 0}, "runs_per_shard"),
    ],
)
def test_an_impossible_plan_is_refused(change, field):
    with pytest.raises(InputError, match=rf"Plan\.{field} is .* must be"):
        replace(PLAN, **change)


# --- what is stored is what was observed ------------------------------------------------------------------------------


def test_episodes_and_traces_come_back_as_they_were(made):
    seed = 0
    for split in ("train", "validation", "test"):
        episodes = made.episodes(split)
        assert made.runs(split) == sorted({episode.run for episode in episodes})
        for run in made.runs(split):
            assert run == seed
            whole = TWIN.world.run(TWIN.world.start(seed), PLAN.duration_h)
            assert made.trace(run) == whole.trace
            expected = list(TWIN.observe(whole))
            stored = [episode for episode in episodes if episode.run == run]
            assert shards.content(stored, whole.trace) == shards.content(expected, whole.trace)
            for a, b in zip(stored, expected, strict=True):
                assert (a.events, a.static, a.truth, a.epoch, a.end_h) == (
                    b.events,
                    b.static,
                    b.truth,
                    b.epoch,
                    b.end_h,
                )
                assert a.spells[0][:4] == b.spells[0][:4]
                for s, t in zip(a.series, b.series, strict=True):
                    assert (s.key, s.unit, s.role, s.start_h, s.step_h) == (t.key, t.unit, t.role, t.start_h, t.step_h)
                    np.testing.assert_array_equal(s.values, t.values)
                    np.testing.assert_array_equal(s.clock_h(), t.clock_h())
            seed += 1


def test_a_trace_is_read_from_the_shard_that_holds_it_and_no_other(made, monkeypatch):
    read, verified = [], Dataset._verified
    monkeypatch.setattr(Dataset, "_verified", lambda self, name: read.append(name) or verified(self, name))
    dataset = open_dataset(made.path)
    for run in range(8):
        assert dataset.trace(run).seed == run
    shards_of = ["train-00000"] * 2 + ["train-00001"] * 2 + ["train-00002", "validation-00000"] + ["test-00000"] * 2
    assert read == [f"traces/{name}.parquet" for name in shards_of]


def test_values_are_read_only_slices_of_one_mapped_file(made):
    series = made.episodes("train")[3].series[0]
    assert series.values.dtype == np.float32
    assert not series.values.flags.writeable
    assert not series.values.flags.owndata


def test_what_a_dataset_says_of_itself(made):
    assert made.splits == ("train", "validation", "test")
    assert {"entity": "counter", "quantity": "tick", "unit": "1", "role": "past", "step_h": None} in made.channels
    assert made.span("train") == (-np.inf, np.inf)
    counts = made.manifest["splits"]["train"]
    assert (len(counts["runs"]), counts["episodes"], counts["series"], len(counts["shards"])) == (5, 10, 30, 3)
    for wrong, message in (
        (lambda: made.episodes("dev"), "no split 'dev'"),
        (lambda: made.trace(99), "no trace of run"),
    ):
        with pytest.raises(InputError, match=message):
            wrong()


def columns_of(file: pq.ParquetFile) -> dict:
    group = file.metadata.row_group(0)
    return {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}


def test_files_are_encoded_as_promised(made):
    file = pq.ParquetFile(made.path / "series/train-00000.parquet")
    assert file.num_row_groups == 1  # two runs of two assets make four episodes
    columns = columns_of(file)
    assert "BYTE_STREAM_SPLIT" in columns["values.list.element"].encodings
    assert not any(column.has_dictionary_page for column in columns.values())
    traces = pq.ParquetFile(made.path / "traces/train-00000.parquet")
    assert traces.num_row_groups == 2
    assert "BYTE_STREAM_SPLIT" in columns_of(traces)["signals.list.element.time_h.list.element"].encodings


def test_pandas_and_datasets_read_it_offline(made, tmp_path):
    code = f"""
import datasets, numpy, pandas
frame = pandas.read_parquet({str(made.path / "series")!r})
assert len(frame) == 48 and frame["values"][0].dtype == numpy.float32
for table in ("series", "episodes", "traces"):
    loaded = datasets.load_dataset({str(made.path)!r}, table)
    assert list(loaded) == ["train", "validation", "test"], loaded
series = datasets.load_dataset({str(made.path)!r})["test"]
assert series.num_rows == 12 and len(series[0]["values"]) == series[0]["samples"] == 120
"""
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=os.environ | offline, check=True, timeout=120)


# --- workers ----------------------------------------------------------------------------------------------------------


def test_two_workers_make_the_bytes_of_one_and_know_no_jax(made, tmp_path):
    two = ensure(TWIN, PLAN, tmp_path, workers=2)
    assert contents(two.path) == contents(made.path)
    flags = [s.values[0] for e in two.episodes("train") for s in e.series if s.key == ("counter", "jax")]
    assert flags == [0.0] * 10


@pytest.mark.parametrize("twin", [LineTwin(LINE), HouseTwin(House())])
def test_the_worlds_of_the_house_do_so_too(twin, tmp_path):
    plan = Plan(2, 0, 1, 72.0 if isinstance(twin, LineTwin) else 2000.0, runs_per_shard=1)
    one, two = (ensure(twin, plan, tmp_path / str(crew), workers=crew).path for crew in (1, 2))
    assert contents(one) == contents(two)


@pytest.mark.parametrize("crew", [1, 2])
def test_a_run_that_a_user_can_mend_ends_at_once_and_is_named(crew, tmp_path):
    with pytest.raises(InputError, match=r"upside down \(run seed 6, shard test-00000\)"):
        ensure(replace(TWIN, bad_seed=6), PLAN, tmp_path, workers=crew)


# --- interruptions ----------------------------------------------------------------------------------------------------

SLOW = replace(TWIN, work_s=0.1)
SCRIPT = """
import sys
from tests.plants.ticker import TickerTwin
from twins.dataset import Dataset, Plan, ensure
if __name__ == "__main__":
    ensure(TickerTwin(work_s=0.1), Plan(5, 1, 2, 60.0, runs_per_shard=2), sys.argv[1], workers=2)
"""


def start(root: Path, script: str = SCRIPT) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", script, str(root)], cwd=ROOT, start_new_session=True, stderr=-1)


def group_is_gone(pid: int) -> bool:
    """Whether the process and all that it started have ended, or do so within some seconds."""
    give_up_s = time.monotonic() + 10
    while time.monotonic() < give_up_s:
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def finish(process: subprocess.Popen) -> tuple[int, bytes]:
    """Return code and what it wrote to stderr."""
    _, told = process.communicate(timeout=120)
    return process.returncode, told


@pytest.mark.slow
def test_killed_at_random_moments_it_resumes_to_the_same_bytes(tmp_path):
    expected = contents(ensure(SLOW, PLAN, tmp_path / "whole", workers=1).path)
    root, moments, process = tmp_path / "killed", random.Random(20250101), None
    for written in sorted(moments.sample(range(1, 18), 3)):
        process = start(root)
        while len(list(root.rglob("*.*"))) < written and process.poll() is None:
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.03))
        process.kill()  # the parent alone: its workers must end by themselves
        process.communicate()
        assert not list(root.glob(f"*/{MANIFEST}"))
    assert finish(start(root)) == (0, b"")
    (path,) = root.iterdir()
    assert contents(path) == expected
    assert process
    assert group_is_gone(process.pid)


def test_ctrl_c_leaves_no_worker_and_a_state_that_resumes(tmp_path):
    process = start(tmp_path)
    while not list(tmp_path.glob("*/shards/*.json")):
        time.sleep(0.01)
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    code, told = finish(process)
    assert code != 0
    assert told.count(b"KeyboardInterrupt") == 1
    assert group_is_gone(process.pid)
    kept = len(list(tmp_path.glob("*/shards/*.json")))
    steps = []
    ensure(SLOW, PLAN, tmp_path, workers=1, progress=lambda done, total, what: steps.append(done))
    assert steps[0] == kept > 0


def test_two_processes_at_once_make_one_whole_dataset(made, tmp_path):
    crew = [start(tmp_path) for _ in range(2)]
    assert [finish(process) for process in crew] == [(0, b"")] * 2
    (path,) = tmp_path.iterdir()
    open_dataset(path).verify()


def fails_once(monkeypatch, error: int, after: int):
    """Let writing fail at the *after*-th flush to the disk."""
    count, real = [0], os.fsync

    def fsync(file):
        count[0] += 1
        if count[0] == after:
            raise OSError(error, os.strerror(error))
        real(file)

    monkeypatch.setattr(files.os, "fsync", fsync)


@pytest.mark.parametrize("after", [1, 2, 7, 22, 23])
def test_a_full_disk_keeps_what_is_finished_and_nothing_half(made, tmp_path, monkeypatch, after):
    fails_once(monkeypatch, errno.ENOSPC, after)
    with pytest.raises(InputError, match=r"no room to write .*No space left .*run the same command again"):
        ensure(TWIN, PLAN, tmp_path, workers=1)
    (path,) = tmp_path.iterdir()
    left = {name: data for name, data in contents(path).items() if not name.endswith(".json")}
    assert left.items() <= contents(made.path).items()
    assert not (path / MANIFEST).exists()
    assert not list(path.rglob("*.tmp"))
    ensure(TWIN, PLAN, tmp_path, workers=1)
    assert contents(path) == contents(made.path)


def test_a_file_size_limit_is_one_sentence_from_a_worker_too(tmp_path):
    limited = SCRIPT.replace(
        "if __name__", "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))\nif __name__"
    )
    code, told = finish(start(tmp_path, limited))
    assert code != 0
    assert b"InputError: no room to write" in told
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        ensure(TWIN, PLAN, tmp_path / "file", workers=1)


# --- damage -----------------------------------------------------------------------------------------------------------


def flip(path: Path, seed: int = 0) -> None:
    """Flip one random bit."""
    data = bytearray(path.read_bytes())
    bit = random.Random(f"{path.name}/{seed}").randrange(8 * len(data))
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


KINDS = [
    "series/train-00001.parquet",
    "episodes/test-00000.parquet",
    "traces/validation-00000.parquet",
    "shards/train-00002.json",
    "README.md",
    MANIFEST,
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", KINDS)
def test_one_flipped_bit_is_found_named_and_mended(made, copy, name, seed):
    dataset = open_dataset(copy)
    dataset.verify()
    stamp = os.stat(copy / name)
    flip(copy / name, seed)
    for look in (lambda: open_dataset(copy), lambda: ensure(TWIN, PLAN, copy.parent, workers=1)):
        with pytest.raises(InputError, match=rf"{copy / name} is damaged .* run `rm '{copy / name}'`"):
            look()
    os.utime(copy / name, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # as decay on the disk would leave it
    with pytest.raises(InputError, match=rf"{copy / name} is damaged"):
        dataset.verify()
    (copy / name).unlink()
    with pytest.raises(InputError, match=f"lacks {name}" if name != MANIFEST else "no finished dataset"):
        open_dataset(copy)
    ensure(TWIN, PLAN, copy.parent, workers=1).verify()
    assert contents(copy) == contents(made.path)


def test_page_checksums_catch_what_a_hash_was_not_asked_about(copy):
    path = copy / "series/train-00000.parquet"
    column = columns_of(pq.ParquetFile(path))["values.list.element"]
    data = bytearray(path.read_bytes())
    data[column.data_page_offset + column.total_compressed_size - 9] ^= 4
    path.write_bytes(data)
    with pytest.raises(OSError, match="CRC"):
        shards.read(path)


def refusal(read) -> str:
    """What the refusal says; empty where there is none, as of a bit that is not read."""
    try:
        read()
    except InputError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", KINDS[:3])
def test_decay_that_only_reading_finds_is_refused_by_name(made, copy, name):
    dataset, whole, stamp = open_dataset(copy), (copy / name).read_bytes(), os.stat(copy / name)
    split = Path(name).name.partition("-")[0]
    for seed in range(20):
        (copy / name).write_bytes(whole)
        flip(copy / name, seed)
        os.utime(copy / name, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        shutil.rmtree(copy / "cache", ignore_errors=True)
        for read in (lambda: dataset.episodes(split), lambda: dataset.trace(dataset.runs(split)[0])):
            told = refusal(read)
            assert not told or f"{copy / name} is damaged" in told


def test_a_damaged_cache_is_built_again(made, copy):
    expected = made.episodes("train")[0].series[0].values
    for damage in (flip, Path.unlink, lambda path: path.write_bytes(b"")):
        damage(copy / "cache/train.f32")
        np.testing.assert_array_equal(open_dataset(copy).episodes("train")[0].series[0].values, expected)
    flip(copy / "cache/train.f32.json")
    np.testing.assert_array_equal(open_dataset(copy).episodes("train")[0].series[0].values, expected)
    flip(copy / "cache/checked.json")
    open_dataset(copy)


def test_a_folder_that_can_only_be_read_is_still_a_dataset(made, copy, monkeypatch):
    shutil.rmtree(copy / "cache")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    monkeypatch.setattr(files, "put", lambda path, chunks: (_ for _ in ()).throw(InputError("read-only")))
    dataset = ensure(TWIN, PLAN, copy.parent, workers=1)
    expected = made.episodes("test")[1].series[0].values
    np.testing.assert_array_equal(dataset.episodes("test")[1].series[0].values, expected)
    assert not (copy / "cache").exists()


def test_a_command_verifies_folders(made, copy, monkeypatch, capsys):
    flip(copy / KINDS[0])
    monkeypatch.setattr(sys, "argv", ["verify", str(made.path), str(copy)])
    assert main() == 2
    told = capsys.readouterr()
    assert "every file is as its manifest says" in told.out
    assert f"{copy / KINDS[0]} is damaged" in told.err


def test_a_dataset_of_another_configuration_is_refused(copy):
    other = replace(PLAN, seed=1)
    path = ensure(TWIN, other, copy.parent, workers=1).path
    shutil.rmtree(path)
    copy.rename(path)
    with pytest.raises(InputError, match="holds a dataset of another configuration"):
        ensure(TWIN, other, copy.parent, workers=1)


def test_another_schema_version_is_refused(copy):
    sealed = files.read_json(copy / MANIFEST)
    files.write_json(copy / MANIFEST, sealed | {"schema": 99})
    with pytest.raises(InputError, match="has schema version 99, this program reads 1 and 2 and 3"):
        open_dataset(copy)


def test_no_dataset_is_refused(tmp_path):
    with pytest.raises(InputError, match="no finished dataset"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("twin", [replace(TWIN, empty=True), replace(TWIN, ticks=False)])
def test_an_empty_dataset_is_refused(twin, tmp_path):
    with pytest.raises(InputError, match=r"no series|would be empty"):
        ensure(twin, PLAN, tmp_path, workers=1)


@pytest.mark.parametrize("step_h", [1e-9, 100.0])
def test_a_clock_that_does_not_suit_the_runs_is_refused_before_any_work(step_h, tmp_path):
    with pytest.raises(InputError, match=rf"is sampled every {step_h:g} h, which is .* samples in runs of 60 h"):
        ensure(replace(TWIN, step_h=step_h), PLAN, tmp_path, workers=1)
    assert not list(tmp_path.iterdir())


def test_an_edited_plant_is_another_one(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    source = "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass Fan:\n    blades: int = {}\n"
    named = []
    for text in (source.format(5), source.format(5), source.format(5) + "    # a remark\n"):
        (tmp_path / "fan_plant.py").write_text(text)
        sys.modules.pop("fan_plant", None)
        importlib.invalidate_caches()
        named.append(identity(describe(importlib.import_module("fan_plant").Fan())))
    assert named[0] == named[1] != named[2]
    assert "_file" not in describe(Exponential(1.0))
