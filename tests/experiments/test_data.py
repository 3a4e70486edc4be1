"""Datasets as they lie on disk: listed, read again, mended, merged, seen otherwise, and never half there."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments import data
from experiments.datasets import size, table, values
from sim.errors import InputError
from sim.laws import Exponential, Lognormal
from sim.line import Line, Station, Sudden
from sim.patient import Care
from tests.plants.ticker import Ticker, TickerTwin
from twins.dataset import Plan, describe, ensure, files, health, open_dataset, shards
from twins.dataset.again import rebuild, rerender
from twins.dataset.identity import revive
from twins.dataset.manifest import MANIFEST
from twins.dataset.merge import merge
from twins.line import LineTwin
from twins.patient import PatientTwin
from twins.varied import Between, Varied

PLAN = Plan(3, 1, 2, 48.0, runs_per_shard=2)
STATION = Station(Lognormal(1 / 6, 0.1), sudden=Sudden(Exponential(20.0)))
LINE = LineTwin(Line((STATION,) * 2, (4,)))
FAMILY = Varied(LINE, {"world.stations.*.sudden.life.mean_h": Between(10, 40)})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return ensure(FAMILY, PLAN, tmp_path_factory.mktemp("made"), workers=1)


@pytest.fixture
def copy(made, tmp_path):
    shutil.copytree(made.path, tmp_path / made.path.name)
    return tmp_path / made.path.name


def contents(directory):
    named = [p for p in directory.rglob("*") if p.is_file() and "cache" not in p.parts and p.name != ".lock"]
    return {str(p.relative_to(directory)): p.read_bytes() for p in named}


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        data.main([*map(str, arguments)])
    told = capsys.readouterr()
    return left.value.code, told.out, told.err


def flip(path, at=None):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2 if at is None else at % len(raw)] ^= 1
    path.write_bytes(raw)


# --- what they say ----------------------------------------------------------------------------------------------------


def test_a_folder_is_listed_a_line_a_dataset(copy, capsys):
    root = copy.parent
    plain = ensure(TickerTwin(), PLAN, root, workers=1)
    (plain.path / MANIFEST).unlink()
    hurt = ensure(TickerTwin(Ticker(3.0)), PLAN, root, workers=1)
    flip(hurt.path / "series/test-00000.parquet")
    gone = ensure(TickerTwin(Ticker(4.0)), PLAN, root, workers=1)
    (gone.path / "traces/test-00000.parquet").unlink()
    (root / "else").mkdir()
    code, out, _ = run(capsys, "ls", root)
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert set(lines) == {"dataset", copy.name, plain.path.name, hurt.path.name, gone.path.name}
    assert lines[copy.name].split()[1:6] == ["Line,", "1", "varied", "LineTwin", "3/1/2"]
    assert lines[copy.name].endswith("whole")
    assert lines[plain.path.name].endswith("unfinished, 4 shards so far")
    assert lines[hurt.path.name].endswith("damaged: see verify")
    assert lines[gone.path.name].endswith("damaged: lacks 1 of 17 files")
    assert run(capsys, "ls", root / "else")[0] == 2
    assert "is no folder" in run(capsys, "ls", root / "nowhere")[2]


def test_one_is_told_with_channels_splits_platform_and_revisions(made, capsys):
    code, out, _ = run(capsys, "show", made.path)
    assert code == 0
    for told in (
        ": whole",
        "world Line, twin LineTwin",
        made.identity,
        "revisions world 1, twin 1",
        "varied from run to run: world.stations.*.sudden.life.mean_h",
        "bearing_temperature  Cel",
        "every 0.166667 h  m1, m2",
    ):
        assert told in out
    assert run(capsys, "card", made.path)[1] == (made.path / "README.md").read_text()
    assert run(capsys, "show", made.path.parent)[0] == 2


# --- verify and rebuild ----------------------------------------------------------------------------------------------


def test_every_fault_is_named_with_what_mends_it_and_is_mended(made, copy, capsys):
    assert run(capsys, "verify", copy)[0] == 0
    flip(copy / "series/train-00000.parquet")
    flip(copy / "shards/test-00000.json")
    (copy / "episodes/validation-00000.parquet").unlink()
    (copy / "README.md").unlink()
    (copy / "series/.train-00001.parquet.77.tmp").write_bytes(b"half")
    code, out, _ = run(capsys, "verify", copy)
    assert code == 1
    mend = f"python -m experiments.data rebuild '{copy}'"
    assert sorted(out.splitlines()) == sorted(
        [
            f"damaged {copy}/series/train-00000.parquet: rm '{copy}/series/train-00000.parquet' && {mend}",
            f"damaged {copy}/shards/test-00000.json: rm '{copy}/shards/test-00000.json' && {mend}",
            f"missing {copy}/episodes/validation-00000.parquet: {mend}",
            f"missing {copy}/README.md: {mend}",
            f"extra {copy}/series/.train-00001.parquet.77.tmp: rm '{copy}/series/.train-00001.parquet.77.tmp'",
        ]
    )
    assert run(capsys, "rebuild", copy)[0] == 0
    assert contents(copy) == contents(made.path)
    flip(copy / MANIFEST)
    assert run(capsys, "verify", copy)[1].startswith(f"damaged {copy}/{MANIFEST}: rm ")


@given(st.data())
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bit_of_any_file_is_missed_by_verify_never(copy, data):
    name = data.draw(st.sampled_from(sorted(contents(copy))))
    whole = (copy / name).read_bytes()
    flip(copy / name, data.draw(st.integers(0, len(whole) - 1)))
    assert [fault.path for fault in health.faults(copy)] == [copy / name]
    (copy / name).write_bytes(whole)
    assert not health.faults(copy)


def test_what_other_code_has_made_is_not_rebuilt(copy, monkeypatch):
    monkeypatch.setattr(LineTwin, "revision", 99)
    with pytest.raises(InputError, match="another revision of its world or twin than is here"):
        rebuild(copy)
    monkeypatch.delattr("twins.line.LineTwin")
    with pytest.raises(InputError, match=r"cannot be built by .* there is no twins\.line\.LineTwin"):
        rebuild(copy)


@pytest.mark.parametrize("obj", [LINE, FAMILY, PLAN, TickerTwin(), Between(0.5, 2.0, log=True)])
def test_a_description_comes_back_as_what_it_describes(obj):
    assert revive(json.loads(json.dumps(describe(obj)))) == obj


@pytest.mark.parametrize(
    "told",
    [
        {"_class": "subprocess.Popen", "args": "true"},
        {"_class": "os.nowhere"},
        {"_class": "sim.laws.Exponential", "mean": 2.0},
        {"_class": "sim.laws.Exponential", "mean_h": -2.0},
        {"_class": "sim.laws.Exponential", "mean_h": 2.0, "more": 1},
    ],
)
def test_what_describes_nothing_that_is_here_is_refused(told):
    with pytest.raises(InputError, match=r"it (cannot be built|is of other code)"):
        revive(told)


# --- merge ------------------------------------------------------------------------------------------------------------


def test_merged_runs_are_what_they_were_and_say_where_they_come_from(made, tmp_path, capsys):
    other = ensure(replace(LINE, world=replace(LINE.world, crew=1)), replace(PLAN, seed=5), tmp_path, workers=1)
    code, out, _ = run(capsys, "merge", made.path, other.path, "--root", tmp_path)
    assert code == 0
    merged = open_dataset(out.strip())
    assert [merged.runs(split) for split in merged.splits] == [[*range(6)], [6, 7], [8, 9, 10, 11]]
    sources = {d.path.name: d for d in (made, other)}
    seen = []
    for split in merged.splits:
        for new in merged.runs(split):
            name, old = merged.origin(new)
            seen.append((name, old))
            source = sources[name]
            assert old in source.runs(split)
            assert merged.trace(new) == source.trace(old)
            assert merged.drawn(split)[new] == source.drawn(split)[old]
            here = [replace(e, run=old) for e in merged.episodes(split) if e.run == new]
            there = [e for e in source.episodes(split) if e.run == old]
            assert shards.content(here) == shards.content(there)
    assert len(set(seen)) == 12
    assert not health.faults(merged.path)
    before = contents(merged.path)
    (merged.path / "shards/train-00001.json").unlink()
    again = health.faults(merged.path)[0].mend
    assert again.startswith(f"python -m experiments.data merge '{tmp_path}/{made.path.name}' '{other.path}'")
    assert contents(merge([made, other], tmp_path).path) == before
    with pytest.raises(InputError, match=r"run \d of .* is run \d of"):
        merge([merged, made], tmp_path)
    twice = merge([merged, ensure(LINE, replace(PLAN, seed=9), tmp_path, workers=1)], tmp_path)
    assert twice.origin(0) == merged.origin(0)


def test_what_does_not_belong_together_is_not_merged(made, tmp_path):
    faster = ensure(replace(LINE, step_h=0.5), PLAN, tmp_path, workers=1)
    longer = ensure(LineTwin(Line((STATION,) * 3, (4, 4))), PLAN, tmp_path, workers=1)
    more = ensure(FAMILY, replace(PLAN, train=5, runs_per_shard=1), tmp_path, workers=1)
    for sources, message in (
        ([made], "1 dataset is nothing to merge"),
        ([made, made], r"run (\d) of .* is run \1 of .*; a run counts once"),
        ([made, more], r"run \d of .* is run \d of"),  # a test run of one teaches in the other
        ([made, faster], r"channel m1/vibration_rms has the step_h 0\.1666\d* in .* and 0\.5 in"),
        ([made, longer], r"has no channel m\d/\w+, .* has; merged ones need"),
    ):
        with pytest.raises(InputError, match=message):
            merge(sources, tmp_path)
    assert not list(tmp_path.glob("merged-*"))


# --- rerender ---------------------------------------------------------------------------------------------------------


def test_the_same_worlds_seen_otherwise_are_as_if_generated_so(made, tmp_path, monkeypatch, capsys):
    wanted = ensure(replace(FAMILY, base=replace(LINE, step_h=0.5)), PLAN, tmp_path / "a", workers=1)
    # Planted: a world that cannot run any more, so that only stored traces can have been used.
    with monkeypatch.context() as patch:
        patch.setattr("twins.dataset.generate.simulated", lambda *_: pytest.fail("it was simulated"))
        code, out, err = run(capsys, "rerender", made.path, "twin.step_h=0.5", "--root", tmp_path / "b")
    assert (code, err.strip()) == (0, "rendered from stored traces")
    assert contents(open_dataset(out.strip()).path) == contents(wanted.path)


def test_another_world_is_simulated_and_said_so(made, tmp_path):
    found, how = rerender(made, {"world.crew": 1}, tmp_path)
    assert how == "simulated, since the world changes"
    assert found.manifest["configuration"]["twin"]["base"]["world"]["crew"] == 1
    bare = tmp_path / made.path.name
    shutil.copytree(made.path, bare)
    told = files.read_json(bare / MANIFEST)
    other = told["platform"] | {"probe": "other"}
    for elsewhere in ({"platform": other}, {"apart": {made.manifest["splits"]["test"]["shards"][0]: other}}):
        files.write_json(bare / MANIFEST, told | elsewhere)
        how = rerender(open_dataset(bare), {"twin.step_h": 1.0}, tmp_path).how
        assert how.startswith("simulated, since the traces were")


def test_a_twin_that_looks_beyond_the_trace_is_simulated(tmp_path):
    twin = PatientTwin(Care(2, visit=Exponential(300.0)))  # it looks at the patients themselves
    source = ensure(twin, Plan(1, 0, 0, 480.0), tmp_path, workers=1)
    found, how = rerender(source, {"twin.untested": 0.5}, tmp_path)
    assert how == "simulated, since the twin looks at more than a trace tells"
    assert contents(found.path) == contents(
        ensure(replace(twin, untested=0.5), Plan(1, 0, 0, 480.0), tmp_path / "a").path
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"twin.step_h": 1 / 6}, "is what these values give"),
        ({"twin.stepp_h": 1.0}, "there is no stepp_h in"),
        ({"twin.step_h": "fast"}, "would be 'fast'; it takes float"),
    ],
)
def test_what_is_no_other_view_is_refused(made, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        rerender(made, changes, tmp_path)
    assert not list(tmp_path.iterdir())


# --- text -------------------------------------------------------------------------------------------------------------


def test_values_of_the_command_line_are_yaml():
    assert values(["twin.step_h=0.5", "world.crew=null", "a.b=on the way"]) == {
        "twin.step_h": 0.5,
        "world.crew": None,
        "a.b": "on the way",
    }
    for wrong in ("twin.step_h", "=3", "a=[1", "a={b: 1}"):
        with pytest.raises(InputError, match=r"key=value|it must be a number"):
            values([wrong])


def test_sizes_and_columns_are_readable():
    assert [size(n) for n in (0, 999, 1000, 1.25e6, 2e12)] == ["0 B", "999 B", "1 kB", "1.25 MB", "2 TB"]
    assert table([("name", "n"), ("a", "10"), ("bcdef", "2")]) == "name    n\na      10\nbcdef   2"
    assert np.isfinite(len(table([("x",)])))
