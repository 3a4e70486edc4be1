import os
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from twins.observed import Assets, Column, Cuts, Table, ensure_observed
from twins.observed.clock import records
from twins.observed.read import read
from twins.windows import WindowReader

TEMPERATURE = {"temperature": {"unit": "Cel"}}


@pytest.fixture
def put(tmp_path):
    """Write lines to a file; returns its path."""

    def write(*lines: str, name: str = "plant.csv", encoding: str = "utf-8") -> str:
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding=encoding)
        return str(tmp_path / name)

    return write


def hourly(*values: str) -> list[str]:
    start = datetime(2024, 3, 1)
    return ["time,temperature", *(f"{start + timedelta(hours=i)},{value}" for i, value in enumerate(values))]


def series(table: Table):
    """The records of a table, without a store."""
    made, step_h, findings = records(table, read(table))
    return made, step_h, findings


def found(findings: list[dict], check: str) -> dict:
    (one,) = [finding for finding in findings if finding["check"] == check]
    return one


# --- into the store ---------------------------------------------------------------------------------------------------


def test_a_table_with_a_header_becomes_one_episode(put, tmp_path):
    path = put(*hourly("1.5", "2.5", "", "NA", "5"))
    dataset = ensure_observed(Table(path, {"temperature": "Cel"}, time="time"), tmp_path / "data")
    (episode,) = dataset.episodes("train")
    assert (episode.run, episode.asset, episode.epoch, episode.end_h) == (0, "plant", "2024-03-01T00:00:00", 5.0)
    (s,) = episode.series
    assert (s.key, s.unit, s.role, s.start_h, s.step_h) == (("plant", "temperature"), "Cel", "target", 0.0, 1.0)
    np.testing.assert_array_equal(s.values, np.float32([1.5, 2.5, np.nan, np.nan, 5]))
    assert found(dataset.manifest["findings"], "missing") | {"did": ""} == {
        "check": "missing", "column": "temperature", "count": 2, "lines": [4, 5], "did": "",
    }  # fmt: skip
    assert (
        "- missing in `temperature`: 2 kept as missing (first in line 4, 5)" in (dataset.path / "README.md").read_text()
    )
    dataset.verify()


def test_the_same_file_is_reused_and_another_content_or_reading_is_not(put, tmp_path):
    path, root = put(*hourly("1", "2")), tmp_path / "data"
    table = Table(path, {"temperature": "Cel"}, time="time")
    first = ensure_observed(table, root).path
    before = os.stat(first / "manifest.json").st_mtime_ns
    assert ensure_observed(table, root).path == first
    assert os.stat(first / "manifest.json").st_mtime_ns == before
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    Path(path).rename(moved / "plant.csv")
    assert ensure_observed(Table(str(moved / "plant.csv"), {"temperature": "Cel"}, time="time"), root).path == first
    put(*hourly("1", "3"))
    assert ensure_observed(table, root).path != first
    assert ensure_observed(Table(path, {"temperature": "K"}, time="time"), root).path != first


def test_a_damaged_shard_of_observed_data_is_named_and_made_anew(put, tmp_path):
    table = Table(put(*hourly("1", "2")), {"temperature": "Cel"}, time="time")
    dataset = ensure_observed(table, tmp_path / "data")
    shard = dataset.path / "series/train-00000.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    with pytest.raises(InputError, match=f"{shard} is damaged"):
        ensure_observed(table, tmp_path / "data")
    shard.unlink()
    ensure_observed(table, tmp_path / "data").verify()
    assert shard.read_bytes() == whole


def test_blank_separated_units_without_header(put, tmp_path):
    lines = [f"{unit} {cycle}  {100 + cycle} {unit}.5  " for unit in (7, 3) for cycle in range(1, 2 + unit)]
    table = Table(
        put(*lines, name="engines.txt"),
        {"t24": {"unit": "[degR]", "to": "K", "quantity": "temperature"}, "size": {"role": "static", "unit": "kg"}},
        header=["unit", "cycle", "t24", "size"],
        delimiter=None,
        time="cycle",
        asset="unit",
        splits=Assets(validation=[3], test=()),
        ends="wear",
    )
    dataset = ensure_observed(table, tmp_path / "data")
    (seven,), (three,) = dataset.episodes("train"), dataset.episodes("validation")
    assert (seven.asset, three.asset, seven.static, three.static) == ("7", "3", {"size": 7.5}, {"size": 3.5})
    np.testing.assert_allclose(seven.series[0].values, (101 + np.arange(8)) * 5 / 9, rtol=1e-6)
    np.testing.assert_array_equal(seven.series[0].clock_h(), np.arange(1, 9))
    assert seven.series[0].unit == "K"
    assert three.spells[0][:4] == (1.0, 5.0, "wear", 4.0)
    assert dataset.splits == ("train", "validation")


def engines(put, lives: str = "5\n0"):
    path = put("1 1 5", "1 2 6", "2 1 5", "2 2 5", "2 3 7", name="train.txt")
    test, left = put("1 1 5", "1 2 5", "2 1 6", name="test.txt"), put(*lives.split("\n"), name="left.txt")
    return Table(
        path, {"t": "1"}, ("unit", "cycle", "t"), None, "cycle", "wk", step_h=168.0, asset="unit", ends="wear",
        test=test, left=left, splits=Assets(validation=("2",), test=()),
    )  # fmt: skip


def test_a_second_file_is_the_test_whose_lives_go_on(put, tmp_path):
    dataset = ensure_observed(engines(put), tmp_path / "data")
    assert dataset.splits == ("train", "validation", "test")
    (whole,), (one, two) = dataset.episodes("train"), dataset.episodes("test")
    assert whole.spells[0][:3] == (168.0, 3 * 168.0, "wear")
    assert [(e.run, e.asset) for e in (one, two)] == [(2, "1"), (3, "2")]
    assert (one.spells[0].cause, two.spells[0].cause) == ("", "")
    assert one.spells[0].end_h + 5 * 168.0 == one.spells[0].start_h + one.spells[0].unmaintained_h
    assert two.spells[0].unmaintained_h == two.spells[0].operating_h == 168.0
    other = ensure_observed(engines(put, "5\n1"), tmp_path / "data")
    assert other.path != dataset.path


@pytest.mark.parametrize(
    ("lives", "message"),
    [
        ("5", r"left.txt has 1 lives, .*test.txt has 2 assets"),
        ("5\n-1", r"left.txt, line 2: '-1'; it must be a life left of at least 0"),
        ("5\nmany", r"left.txt, line 2: 'many'"),
    ],
)
def test_lives_that_do_not_fit_their_assets_are_refused(put, tmp_path, lives, message):
    with pytest.raises(InputError, match=message):
        ensure_observed(engines(put, lives), tmp_path / "data")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"splits": Assets()}, r"Table.test is"),
        ({"test": ""}, r"Table.left is"),
        ({"ends": ""}, r"Table.left is"),
        ({"left": "nowhere.txt"}, r"cannot read nowhere.txt"),
    ],
)
def test_a_second_file_that_makes_no_sense_is_refused(put, tmp_path, more, message):
    with pytest.raises(InputError, match=message):
        ensure_observed(replace(engines(put), **more), tmp_path / "data")


def test_explicit_times_stay_explicit(put, tmp_path):
    table = Table(
        put("id,t,c", "a,0,1", "a,15,2", "a,34.2,3", "b,1,9"), {"c": "mg/L"}, time="t", time_unit="min", asset="id"
    )
    a, b = ensure_observed(table, tmp_path / "data").episodes("train")
    np.testing.assert_allclose(a.series[0].clock_h(), [0, 0.25, 0.57])
    assert a.series[0].step_h is None
    np.testing.assert_array_equal(b.series[0].values, [9])


@pytest.mark.parametrize(
    ("cuts", "regular"), [(Cuts(6, 2, 3, "rows"), True), (Cuts(3, 1, 1.5), True), (Cuts(3, 1, 1.5), False)]
)
def test_cuts_in_time_let_no_split_see_what_comes_after_it(put, tmp_path, cuts, regular):
    times = np.arange(13) * 0.5 + (0 if regular else np.linspace(0, 0.4, 13) ** 2)
    path = put("t,x", *(f"{t:.6f},{i}" for i, t in enumerate(times)))
    dataset = ensure_observed(Table(path, {"x": "1"}, time="t", splits=cuts), tmp_path / "data")
    assert [dataset.span(split) for split in ("train", "validation", "test")] == [(0.0, 3.0), (3.0, 4.0), (4.0, 5.5)]
    for split, end_h in (("train", 3.0), ("validation", 4.0), ("test", 5.5)):
        (s,) = dataset.episodes(split)[0].series
        inside = np.flatnonzero(times < end_h)
        np.testing.assert_array_equal(s.values, inside)  # from the first reading on, up to the end of the split
        np.testing.assert_allclose(s.clock_h(), times[inside], atol=1e-6)
        newest = [int(x_VxT[0, -1]) for x_VxT, *_ in WindowReader(dataset.path, split, 2)]
        first_h, _ = dataset.span(split)
        assert newest == [i for i in inside if i >= 1 and times[i] >= first_h]  # of the whole, one split's each
    stored = [dataset.manifest["splits"][split]["samples"] for split in dataset.splits]
    assert sum(stored) == np.sum(times < 5.5)  # each reading is in one split on disk
    assert found(dataset.manifest["findings"], "cut")["count"] == np.sum(times >= 5.5)


@pytest.mark.parametrize("step_h", [1.0, 0.1])
def test_lives_are_told_as_far_as_a_split_goes(put, tmp_path, step_h):
    """Three assets: one fails at the very end of training, one in validation, one in the test."""
    lengths = {"a": 6, "b": 7, "c": 10}
    rows = [f"{asset},{k * step_h!r},1" for asset, n in lengths.items() for k in range(n)]
    table = Table(put("id,t,x", *rows), time="t", asset="id", ends="wear", splits=Cuts(6, 2, unit="rows"))
    dataset = ensure_observed(table, tmp_path / "data")

    def lives(split):
        return {e.asset: [(round(s.end_h / step_h, 6), s.cause) for s in e.spells] for e in dataset.episodes(split)}

    assert lives("train") == {"a": [(6, "wear")], "b": [(6, "")], "c": [(6, "")]}
    assert lives("validation") == {"a": [(6, "wear")], "b": [(7, "wear")], "c": [(8, "")]}
    assert lives("test") == {"a": [(6, "wear")], "b": [(7, "wear")], "c": [(10, "wear")]}
    for episode in dataset.episodes("train"):
        (life,) = episode.spells
        assert (life.start_h, life.operating_h) == (0, pytest.approx(6 * step_h))


def test_the_last_reading_at_an_explicit_time_belongs_to_the_rest(put, tmp_path):
    table = Table(put("t,x", "0,0", "1,1", "7,2", "7.5,3"), time="t", clock="explicit", splits=Cuts(2))
    dataset = ensure_observed(table, tmp_path / "data")
    np.testing.assert_array_equal(dataset.episodes("test")[0].series[0].values, np.arange(4))


def test_a_table_without_readings_is_refused(put, tmp_path):
    with pytest.raises(InputError, match="has no column of readings among kind"):
        ensure_observed(Table(put("t,kind", "0,a"), {"kind": {"role": "static"}}, time="t"), tmp_path / "data")


def test_the_rest_can_be_the_test(put, tmp_path):
    table = Table(put(*hourly(*"123456")), time="time", splits=Cuts(4))
    dataset = ensure_observed(table, tmp_path / "data")
    assert dataset.splits == ("train", "test")
    assert dataset.span("test") == (4.0, 6.0)
    assert dataset.channels[0]["quantity"] == "temperature"  # no columns named: all of them


def test_fractions_of_assets_are_the_same_whatever_the_order(put, tmp_path):
    rows = [f"{name},{t},1" for name in "abcdefghij" for t in (0, 1)]
    tables = [
        Table(put("id,t,x", *lines), {"x": "1"}, time="t", asset="id", splits=Assets(0.2, 0.3)) for lines in (rows,)
    ]
    one = ensure_observed(tables[0], tmp_path / "one")
    put("id,t,x", *reversed(rows))
    two = ensure_observed(tables[0], tmp_path / "two")
    for split, count in (("train", 5), ("validation", 2), ("test", 3)):
        names = [sorted(episode.asset for episode in d.episodes(split)) for d in (one, two)]
        assert names[0] == names[1]
        assert len(names[0]) == count


# --- checks that report what they changed -----------------------------------------------------------------------------


def test_a_range_makes_readings_missing(put):
    table = Table(
        put(*hourly("20", "-300", "21", "999")), {"temperature": Column("Cel", low=-50, high=90)}, time="time"
    )
    made, _, findings = series(table)
    np.testing.assert_array_equal(made[0].values["temperature"], [20, np.nan, 21, np.nan])
    assert [(f["did"], f["lines"]) for f in findings] == [
        ("made missing: below -50 Cel", [3]),
        ("made missing: above 90 Cel", [5]),
    ]


def test_gaps_become_missing_samples(put):
    lines = hourly(*map(str, range(30)))
    del lines[11:14]
    made, step_h, findings = series(Table(put(*lines), time="time"))
    assert step_h == 1.0
    expected = np.arange(30.0)
    expected[10:13] = np.nan
    np.testing.assert_array_equal(made[0].values["temperature"], expected)
    gap = found(findings, "gap")
    assert (gap["count"], gap["lines"]) == (3, [12])
    assert "longest gap 4 h" in gap["did"]


@pytest.mark.parametrize(("rule", "expected"), [("first", 1.0), ("last", 5.0), ("mean", 3.0)])
def test_duplicates_are_resolved_as_told(put, rule, expected):
    lines = [*hourly("0", "1", "2", "3"), hourly("x", "5")[2]]
    made, _, findings = series(Table(put(*lines), time="time", duplicates=rule))
    np.testing.assert_array_equal(made[0].values["temperature"], [0, expected, 2, 3])
    assert (found(findings, "duplicate")["count"], found(findings, "duplicate")["lines"]) == (1, [6])
    assert found(findings, "order")["lines"] == [6]


def test_duplicates_can_be_refused(put):
    lines = [*hourly("0", "1"), hourly("0", "5")[2]]
    with pytest.raises(InputError, match=r"plant\.csv, line 4: the time of this row is already there"):
        series(Table(put(*lines), time="time", duplicates="refuse"))


def test_jitter_is_moved_to_the_clock_and_more_is_refused(put):
    lines = ["t,x", *(f"{i + (0.002 if i == 5 else 0)},{i}" for i in range(20))]
    made, step_h, findings = series(Table(put(*lines), time="t", step_h=1.0))
    assert step_h == 1.0
    np.testing.assert_array_equal(made[0].values["x"], np.arange(20))
    assert found(findings, "clock")["lines"] == [7]
    lines[7] = "5.2,5"
    with pytest.raises(InputError, match=r"line 8: the time 5.2 h is not on the clock of 1 h steps"):
        series(Table(put(*lines), time="t", step_h=1.0))


def test_a_time_from_another_century_is_refused_not_filled(put):
    lines = hourly(*map(str, range(30)))
    lines[-1] = "2124-03-02 05:00:00,3"
    with pytest.raises(InputError, match=r"line 31: .* h after the reading before it"):
        series(Table(put(*lines), time="time"))


@given(st.sampled_from([1, 10, 60, 300, 600, 900, 3600, 86400]), st.integers(12, 60), st.integers(0, 10))
@settings(max_examples=40)
def test_a_regular_clock_is_found_exactly(tmp_path_factory, step_s, count, gap):
    path = tmp_path_factory.mktemp("clock") / "a.csv"
    start = datetime(2021, 1, 1, 0, 7, 3)
    moments = [start + timedelta(seconds=step_s * (i + (gap if i > count // 2 else 0))) for i in range(count)]
    path.write_text("t,x\n" + "".join(f"{moment.isoformat()},1\n" for moment in moments))
    made, step_h, _ = series(Table(str(path), time="t"))
    assert step_h == step_s / 3600
    assert len(made[0].time_h) == count + gap
    assert np.isnan(made[0].values["x"]).sum() == gap


@pytest.mark.parametrize(
    ("first", "second"),
    [("2024-03-31T01:30:00+01:00", "2024-03-31T03:30:00+02:00"), ("2024-03-31T00:30:00Z", "2024-03-31T01:30:00Z")],
)
def test_zones_become_utc(put, first, second):
    table = Table(put("t,x", f"{first},1", f"{second},2"), time="t")
    rows = read(table)
    np.testing.assert_array_equal(rows.time_h, [0, 1])
    assert rows.epoch == "2024-03-31T00:30:00"


def test_semicolons_decimal_commas_other_dates_and_encodings(put):
    path = put("Zeit;Höhe", "01.03.2024 00:00;1,5", "01.03.2024 00:10;2,5", encoding="latin-1")
    table = Table(
        path, {"Höhe": "m"}, delimiter=";", decimal=",", time="Zeit", time_format="%d.%m.%Y %H:%M", encoding="latin-1"
    )
    made, step_h, _ = series(table)
    assert step_h == 1 / 6
    np.testing.assert_array_equal(made[0].values["Höhe"], [1.5, 2.5])
    with pytest.raises(InputError, match="is not text in utf-8-sig"):
        series(Table(path, {"Höhe": "m"}, delimiter=";", time="Zeit"))


def test_rows_without_times_are_a_step_apart(put):
    made, step_h, _ = series(Table(put("x", "1", "2", "3"), step_h=0.25))
    np.testing.assert_array_equal(made[0].time_h, [0, 0.25, 0.5])
    assert step_h == 0.25


# --- bad input --------------------------------------------------------------------------------------------------------

BAD_FILES = [
    (["time,temperature", "2024-03-01,1", "2024-03-02,warm"], r"line 3: temperature is 'warm'; it must be a number"),
    (["time,temperature", "2024-03-01,1", "2024-03-02,inf"], r"line 3: temperature is 'inf'; it must be a number"),
    (
        ["time,temperature", "2024-03-01,1", "2024-03-02,1e39"],
        r"line 3: temperature is '1e39'; it must be a number that",
    ),
    (["time,temperature", "2024-03-01,1", "yesterday,1"], r"line 3: time is 'yesterday'; it must be a time as YYYY"),
    (["time,temperature", "1,1", ",1"], r"line 3: time is ''; it must be a time in h"),
    (["time,temperature", "2024-03-01,1_000"], r"line 2: temperature is '1_000'; it must be a number"),
    (["time,temperature", "0001-01-01T00:00:00+14:00,1"], r"line 2: time is .* it must be a time from year 1 to 9999"),
    (["time,temperature", "0,1", "1e300,2"], r"line 3: time is '1e300'; it must be a time in h within 1e\+08 h of 0"),
    (
        ["time,temperature", "2024-03-01T00:00:00Z,1", "2024-03-01T01:00:00,2"],
        r"line 3: time is .* it must be a time with a zone, as in the rows before",
    ),
    (
        ["time,temperature", "2024-03-01T00:00:00,1", "2024-03-01T01:00:00+01:00,2"],
        r"line 3: time is .* it must be a time without a zone",
    ),
    (["time,temperature", "2024-03-01,1", "2024-03-02"], r"line 3: 1 cells, but 2 columns"),
    (["time,temperature", "", "2024-03-01,1,2"], r"line 3: 3 cells, but 2 columns"),
    (["time,temperature"], r"has no rows"),
    ([""], r"is empty; its first line must name the columns"),
    (["time,temperatur", "2024-03-01,1"], r"has no column 'temperature'; it has time, temperatur: did you mean"),
    (["time,temperature,time", "1,1,1"], r"line 1: the column 'time' comes twice"),
]


@pytest.mark.parametrize(("lines", "message"), BAD_FILES)
def test_a_malformed_file_is_refused_by_file_and_line(put, tmp_path, lines, message):
    path = put(*lines)
    with pytest.raises(InputError, match=f"{path}.*{message}"):
        ensure_observed(Table(path, TEMPERATURE, time="time"), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none\.csv"):
        ensure_observed(Table(str(tmp_path / "none.csv"), time="t"), tmp_path)


def test_a_static_column_that_changes_is_refused(put, tmp_path):
    table = Table(put("t,kind,x", "0,a,1", "1,b,1"), {"kind": {"role": "static"}, "x": "1"}, time="t")
    with pytest.raises(InputError, match=r"line 3: kind is 'b' but was 'a' for the same asset"):
        ensure_observed(table, tmp_path / "data")


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ({"columns": {"x": "degC"}}, r"columns\['x'\]: unknown unit 'degC'; .* did you mean 'Cel'"),
        ({"columns": {"x": {"unit": "Cel", "to": "m"}}}, r"columns\['x'\]: cannot convert 'Cel' to 'm'"),
        ({"columns": {"x": {"colour": "red"}}}, r"columns\['x'\]: unknown key 'colour'"),
        ({"columns": {"x": {"role": "goal"}}}, r"columns\['x'\]: Column.role is 'goal'; it must be one of target"),
        ({"columns": {"x": {"low": 2, "high": 1}}}, r"Column.low is 2; it must be below high"),
        ({"time": None}, r"Table.step_h is None; it must be given, or time="),
        ({"step_h": -1}, r"Table.step_h is -1"),
        ({"time_unit": "kg"}, r"Table.time_unit is 'kg'; it must be a unit of time"),
        ({"splits": "dev"}, r"Table.splits is 'dev'"),
        ({"duplicates": "drop"}, r"Table.duplicates is 'drop'"),
        ({"delimiter": "::"}, r"Table.delimiter is '::'"),
        ({"header": ["a", "a"]}, r"it repeats a"),
        ({"clock": "explicit", "step_h": 1.0}, r"Table.clock is 'explicit'"),
    ],
)
def test_an_impossible_configuration_is_refused(configuration, message):
    with pytest.raises(InputError, match=message):
        Table(**{"path": "a.csv", "time": "t"} | configuration)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (Cuts(100, 1, 1), r"Cuts ends train after 100 h, but .* has 6 h"),
        (Cuts(4, 1, 9), r"Cuts ends test after 14 h, but"),
        (Assets(validation=["x"]), r"Assets.validation names 'x'; the assets of .* are plant"),
    ],
)
def test_splits_that_do_not_fit_are_refused(put, tmp_path, splits, message):
    with pytest.raises(InputError, match=message):
        ensure_observed(Table(put(*hourly(*"123456")), time="time", splits=splits), tmp_path / "data")


# --- real files, where a folder of them is named ----------------------------------------------------------------------

REAL = {
    "ETTh1.csv": (Table("ETTh1.csv", time="date", splits=Cuts(8640, 2880, 2880, "rows")), 14400 * 7),
    "train_FD001.txt": (
        Table(
            "train_FD001.txt",
            {"s2": {"unit": "[degR]", "to": "K"}},
            header=("unit", "cycle", *(f"setting{i}" for i in range(3)), *(f"s{i}" for i in range(1, 22))),
            delimiter=None,
            time="cycle",
            asset="unit",
            splits=Assets(),
        ),
        20631,
    ),
    "machine_temperature_system_failure.csv": (
        Table("machine_temperature_system_failure.csv", {"value": {"unit": "[degF]", "to": "Cel"}}, time="timestamp"),
        22683,
    ),
    "Theoph.csv": (Table("Theoph.csv", {"conc": "mg/L", "Wt": {"role": "static"}}, time="Time", asset="Subject"), 132),
}


@pytest.mark.skipif("TWINWORLDS_DATA" not in os.environ, reason="TWINWORLDS_DATA names no folder of public data sets")
@pytest.mark.parametrize("name", REAL)
def test_public_data_sets_load(name, tmp_path):
    from dataclasses import replace

    path = Path(os.environ["TWINWORLDS_DATA"]) / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    table, samples = REAL[name]
    dataset = ensure_observed(replace(table, path=str(path)), tmp_path)
    assert sum(split["samples"] for split in dataset.manifest["splits"].values()) == samples


def test_two_assets_without_their_column_are_no_duplicates(put):
    rows = [f"{k},{name},{k + i}" for k in range(40) for i, name in enumerate(("m1", "m2"))]
    path = put("\n".join(["time,machine,load", *rows]))
    with pytest.raises(InputError, match=r"50 % of the rows .* say source\.asset=machine"):
        read(Table(path, columns={"load": "kW"}, time="time"))
    assert len(read(Table(path, columns={"load": "kW"}, time="time", asset="machine")).line) == 80
    assert len(read(Table(path, columns={"load": "kW"}, time="time", duplicates="mean")).line) == 80
