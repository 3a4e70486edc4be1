"""Maintenance orders: written late, with the mistakes that are configured, and nothing in them from the future."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from experiments import load
from sim.errors import InputError
from sim.laws import Exponential, Lognormal
from sim.line import Line, OrderMaintenance, Station, Sudden
from sim.trace import Event, Trace
from sim.wear import Wiener
from tests.sim.strategies import lines
from twins.channel import Role
from twins.dataset import Plan, ensure
from twins.episode import PLANNED
from twins.line import LineTwin
from twins.records import CODES, Alarm, Code, Mistake, Records, notes

STATION = Station(
    Exponential(0.5), wear=Wiener(0.02, 0.03, levels=20), sudden=Sudden(Exponential(70.0)), repair=Exponential(4.0)
)
LINE = Line((STATION, STATION), (3,), crew=1)
RECORDS = Records()
TRUE = {code.cause: code for code in CODES}
MANY = 9000


def worked(count: int = MANY, seed: int = 5) -> Trace:
    """*count* works of four hours each on one machine, of each cause in turn, one every ten hours."""
    events = []
    for k in range(count):
        cause = ("wear", "sudden", "order")[k % 3]
        kind = "planned" if cause == "order" else "failure"
        events += [Event(10.0 * k + 2, "m1", kind, cause), Event(10.0 * k + 6, "m1", "renewal", "repair")]
    return Trace(seed, 0.0, 10.0 * count + 1e6, {}, tuple(events))


ORDERS = RECORDS.of(worked(), "m1")


def share_is(hits: int, of: int, p: float) -> bool:
    """Whether a share agrees with a probability, at one in a thousand."""
    return stats.binomtest(hits, of, p).pvalue > 1e-3


def test_an_order_tells_of_the_work_that_was_done():
    run = LINE.run(LINE.start(3), 2000.0)
    for asset in LINE.machines:
        mine = [e for e in run.trace.events if e.entity == asset]
        opened = [e for e in mine if e.kind in ("failure", "planned")]
        closed = [e for e in mine if e.kind == "renewal"]
        orders = RECORDS.of(run.trace, asset)
        assert len(orders) > 20
        assert [order.written_h for order in orders] == sorted(order.written_h for order in orders)
        for order in orders:
            assert (order.opened_h, order.cause) == (opened[order.number].time_h, opened[order.number].cause)
            assert order.closed_h == closed[order.number].time_h <= order.written_h < run.trace.end_h
            assert abs(order.duration_h - (order.closed_h - order.opened_h)) <= 0.125 or order.duration_h == 0.25
            assert order.kind == "corrective"


@given(lines(), st.integers(0, 99), st.floats(1.0, 60.0))
@settings(max_examples=25, deadline=None)
def test_what_is_written_at_a_time_depends_on_nothing_after_it(line, seed, end_h):
    quick = replace(RECORDS, delay=Exponential(3.0))
    first = line.run(line.start(seed), end_h)
    other = line.run(line.act(line.resample(first.state, seed + 1), OrderMaintenance(line.machines[0])), 60.0).trace
    straight = line.run(first.state, 60.0).trace
    for asset in line.machines:
        early = quick.of(first.trace, asset)
        later = quick.of(first.trace + straight, asset)
        assert early == tuple(order for order in later if order.written_h < end_h)
        branched = quick.of(first.trace + replace(other, seed=first.trace.seed), asset)
        assert early == tuple(order for order in branched if order.written_h < end_h)


def test_a_record_that_is_seen_before_it_is_written_is_caught():
    trace = worked(50)
    end_h = 200.0
    early = replace(trace, end_h=end_h, events=tuple(e for e in trace.events if e.time_h < end_h))
    leaking = [order for order in RECORDS.of(trace, "m1") if order.closed_h < end_h]  # by closing, not by writing
    assert set(RECORDS.of(early, "m1")) < set(leaking)


def test_an_order_has_an_address_and_does_not_hang_on_others():
    trace = worked(60)
    orders = {order.number: order for order in RECORDS.of(trace, "m1")}
    wide = replace(trace, events=(*trace.events, Event(700.0, "m2", "failure", "wear"), Event(701.0, "m2", "renewal")))
    assert {order.number: order for order in RECORDS.of(wide, "m1")} == orders
    assert RECORDS.of(replace(trace, seed=6), "m1") != RECORDS.of(trace, "m1")
    other = Records(wrong=1.0, missing=0.0).of(trace, "m1")  # the codes change, the times and notes do not
    assert [(o.number, o.written_h, o.note) for o in other] == [
        (o.number, o.written_h, o.note) for o in RECORDS.of(trace, "m1")
    ]


@pytest.mark.parametrize(("planted", "agrees"), [(1.0, True), (1.1, False)])
def test_delays_have_their_law(planted, agrees):
    law = Lognormal(12.0 * planted, 1.0)
    delays_h = [order.written_h - order.closed_h for order in ORDERS]
    assert (stats.kstest(delays_h, lambda t: 1 - law.sf(t)).pvalue > 1e-3) == agrees


@pytest.mark.parametrize(("planted", "agrees"), [(1.0, True), (0.8, False)])
def test_codes_are_missing_and_wrong_as_often_as_configured(planted, agrees):
    missing = sum(not order.code for order in ORDERS)
    wrong = sum(
        order.code not in ("", TRUE[PLANNED if o == "order" else o].code) for order in ORDERS for o in [order.cause]
    )
    assert share_is(missing, len(ORDERS), RECORDS.missing * planted) == agrees
    assert share_is(wrong, len(ORDERS) - missing, RECORDS.wrong * planted) == agrees


@pytest.mark.parametrize(("weight", "agrees"), [(3.0, True), (2.0, False)])
def test_wrong_codes_are_confused_as_configured(weight, agrees):
    stated = (Mistake("wear", "sudden", 3.0), Mistake("wear", PLANNED, 1.0))
    orders = Records(wrong=0.9, missing=0.0, mistakes=stated).of(worked(4500), "m1")
    table = Counter((order.cause, order.code) for order in orders)
    as_sudden, as_planned = table["wear", "E20"], table["wear", "P00"]
    assert share_is(as_sudden, as_sudden + as_planned, weight / (weight + 1)) == agrees
    plain = table["sudden", "M10"], table["sudden", "P00"]  # nothing is stated of it: each other code alike
    assert share_is(plain[0], sum(plain), 0.5)
    only = Records(wrong=1.0, missing=0.0, mistakes=(Mistake("wear", "sudden"),)).of(worked(300), "m1")
    assert {order.code for order in only if order.cause == "wear"} == {"E20"}


@pytest.mark.parametrize(("planted", "agrees"), [(1.0, True), (0.95, False)])
def test_notes_tell_the_truth_as_often_as_configured(planted, agrees):
    clean = Records(abbreviated=0.0, typo=0.0).of(worked(4000), "m1")
    told, misled = 0, 0
    for order in clean:
        cause = order.cause
        told += any(phrase in order.note for phrase in TRUE[cause].symptoms)
        misled += any(phrase in order.note for code in CODES if code.cause != cause for phrase in code.symptoms)
    assert share_is(told, len(clean), RECORDS.told * planted) == agrees
    assert share_is(misled, len(clean), RECORDS.misled)


def test_notes_are_typed_in_a_hurry():
    clean = Records(abbreviated=0.0, typo=0.0).of(worked(1500), "m1")
    words = {word for order in clean for word in notes.WORD.findall(order.note)}
    assert len({order.note for order in clean}) > 300
    typed = Counter(word for order in ORDERS for word in notes.WORD.findall(order.note))
    slips = sum(n for word, n in typed.items() if word not in words and word not in "-".join(notes.SHORT.values()))
    long = sum(n for word, n in typed.items() if len(word) > 3)
    assert 0.8 * RECORDS.typo < slips / long < 1.2 * RECORDS.typo
    for word, short in (("bearing", "brg"), ("replaced", "repl"), ("vibration", "vib")):
        assert short not in words
        assert share_is(typed[short], typed[short] + round(typed[word] / (1 - RECORDS.typo)), RECORDS.abbreviated)


def test_the_note_tells_more_than_the_code_where_codes_are_bad():
    """What a bag of words learns from notes and true causes, beside the code as it was written, on other orders."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    def right(records: Records) -> tuple[float, float]:
        orders = records.of(worked(3000), "m1")
        notes_, causes = [o.note for o in orders], [o.cause for o in orders]
        model = make_pipeline(CountVectorizer(), LogisticRegression(max_iter=1000)).fit(notes_[:1500], causes[:1500])
        codes = [o.code == TRUE[cause].code for o, cause in zip(orders, causes, strict=True)]
        return float(np.mean(codes[1500:])), float(model.score(notes_[1500:], causes[1500:]))

    code, note = right(RECORDS)
    assert code == pytest.approx(0.9 * 0.85, abs=0.03)
    assert note == pytest.approx(0.75 + 0.2 / 3, abs=0.05)  # told, and a third of those that tell nothing
    code, note = right(Records(wrong=0.0, missing=0.0, told=0.0, misled=0.0))
    assert code == 1.0
    assert note == pytest.approx(1 / 3, abs=0.06)  # nothing but the truth's own words would tell


def test_orders_and_alarms_are_channels_of_the_past():
    twin = LineTwin(LINE, step_h=1.0, records=RECORDS, alarms=(Alarm("vibration_high", 2.0, 1.5, 2.0, 0.01),))
    run = LINE.run(LINE.start(3), 400.0)
    for episode in twin.observe(run):
        series = {s.quantity: s for s in episode.series}
        assert {series[q].role for q in ("orders_corrective", "orders_planned", "alarm_vibration_high")} == {Role.PAST}
        assert episode.records == RECORDS.of(run.trace, episode.asset)
        written_h = [order.written_h for order in episode.records or ()]
        np.testing.assert_array_equal(
            series["orders_corrective"].values, np.searchsorted(written_h, np.arange(400.0), side="right")
        )
        assert set(series["alarm_vibration_high"].values) == {0.0, 1.0}
    plain = next(iter(LineTwin(LINE, step_h=1.0).observe(run)))
    assert plain.records is None


@given(st.integers(0, 99), st.data())
@settings(max_examples=15, deadline=None)
def test_a_window_of_alarms_and_orders_equals_that_window_of_the_whole(seed, data):
    twin = LineTwin(LINE, step_h=0.5, records=RECORDS, alarms=(Alarm("bearing_temperature", 50.0, 45.0, 1.0, 0.05),))
    trace = LINE.run(LINE.start(seed), 150.0).trace
    short = LINE.run(LINE.start(seed), data.draw(st.floats(5.0, 150.0))).trace
    for channel in twin.channels:
        if channel.quantity.startswith(("alarm", "orders")):
            whole = twin.render(trace, channel, 0, 300)
            start = data.draw(st.integers(0, 250))
            np.testing.assert_array_equal(twin.render(trace, channel, start, 50), whole[start : start + 50])
            early = math.ceil(short.end_h / 0.5) - 1
            np.testing.assert_array_equal(twin.render(short, channel, 0, early), whole[:early])


def test_an_alarm_waits_holds_and_clears():
    alarm = Alarm("x", limit=2.0, clear=1.0, delay_h=0.2)
    read = np.array([0, 2, 2, 1, 2, 2, 2, 1.5, np.nan, 1.2, 1.0, 2, np.nan, 2, 2, 0], np.float32)
    #       two are too few ^      the third ^  held until it reads 1 ^    a gap neither counts nor clears
    stands = [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 0]
    np.testing.assert_array_equal(alarm.states(read, 0.1), np.array(stands, bool))
    low = Alarm("x", limit=-2.0, clear=-1.0, delay_h=0.2)
    np.testing.assert_array_equal(low.states(-read, 0.1), np.array(stands, bool))
    at_once = Alarm("x", 2.0, 1.0).states(np.array([1.9, 2.0, 0.5], np.float32), 0.1)
    np.testing.assert_array_equal(at_once, [False, True, False])


@pytest.mark.parametrize(("planted", "agrees"), [(1.0, True), (1.1, False)])
def test_nuisance_alarms_come_and_stay_as_configured(planted, agrees):
    alarm = Alarm("x", 2.0, 1.0, nuisance_per_h=0.5 * planted, nuisance_mean_h=0.4)
    spans = alarm.nuisances(seed=1, asset="m1", end_h=20_000.0)
    assert (stats.kstest(np.diff([begun for begun, _ in spans]), "expon", args=(0, 2.0)).pvalue > 1e-3) == agrees
    assert stats.kstest([ended - begun for begun, ended in spans], "expon", args=(0, 0.4)).pvalue > 1e-3
    assert alarm.nuisances(1, "m1", 500.0) == [span for span in spans if span[0] < 500.0]
    assert Alarm("x", 2.0, 1.0).nuisances(1, "m1", 500.0) == []


def test_records_are_a_table_of_the_dataset(tmp_path):
    import pandas

    twin = LineTwin(LINE, step_h=4.0, records=RECORDS)
    plan = Plan(train=2, validation=1, test=1, duration_h=300.0, runs_per_shard=1)
    dataset = ensure(twin, plan, tmp_path, workers=1)
    made = [e for seed in dataset.runs("train") for e in twin.observe(LINE.run(LINE.start(seed), 300.0))]
    stored = dataset.episodes("train")
    assert [e.records for e in stored] == [e.records for e in made]
    table = pandas.concat(map(pandas.read_parquet, sorted(dataset.path.glob("records/train-*.parquet"))))
    assert len(table) == sum(len(e.records or ()) for e in made) > 10
    assert set(table["true_cause"]) <= {"wear", "sudden"}
    assert (table["written_h"] >= table["closed_h"]).all()
    card = (dataset.path / "README.md").read_text()
    assert "- config_name: records" in card
    assert "`records/`: one row a maintenance order" in card
    again = ensure(twin, plan, tmp_path / "two", workers=1)
    assert again.manifest["content"] == dataset.manifest["content"]
    without = ensure(LineTwin(LINE, step_h=4.0), plan, tmp_path, workers=1)
    assert not (without.path / "records").exists()
    assert without.episodes("train")[0].records is None


def test_datasets_reads_the_records(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    twin = LineTwin(LINE, step_h=4.0, records=RECORDS)
    made = ensure(twin, Plan(train=1, validation=1, test=1, duration_h=300.0), tmp_path / "data", workers=1)
    table = datasets.load_dataset(str(made.path), "records", cache_dir=str(tmp_path / "cache"))["train"]
    assert {"note", "code", "true_cause"} <= set(table.column_names)
    assert len(table) > 3


def test_the_configured_twin_keeps_records():
    twin = load("line_failure", ["twin=line_records"]).twin
    assert [alarm.sensor for alarm in twin.alarms] == ["vibration_high", "bearing_temperature"]
    assert twin.records == Records()
    trace = twin.world.run(twin.world.start(1), 1440.0).trace
    standing = {c.key: float(twin.render(trace, c, 0, 8640).mean()) for c in twin.channels if "alarm" in c.quantity}
    assert all(0.001 < share < 0.2 for share in standing.values()), standing


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Records(wrong=1.5), r"Records\.wrong is 1\.5; it must be a probability"),
        (lambda: Records(told=0.7, misled=0.4), r"Records\.misled is 0\.4; it must be at most 1 less told"),
        (lambda: Records(codes=CODES[:1]), r"Records\.codes is .*of at least two causes"),
        (
            lambda: Records(mistakes=(Mistake("wear", "rust"),)),
            r"Records\.mistakes is .*between causes that have codes",
        ),
        (lambda: Mistake("wear", "wear"), r"Mistake\.written is 'wear'; it must be another cause"),
        (lambda: Code("wear", "", ("noisy",)), r"Code\.code is ''"),
        (lambda: Alarm("x", 2.0, 2.0), r"Alarm\.clear is 2\.0; it must be below the limit of 2"),
        (
            lambda: LineTwin(LINE, alarms=(Alarm("pressure", 2.0, 1.0),)),
            r"Alarm\.sensor is 'pressure'; it must be a sensor with a clock: vibration_rms",
        ),
        (
            lambda: Records(codes=(CODES[0], CODES[2])).of(LINE.run(LINE.start(3), 2000.0).trace, "m1"),
            r"Records\.codes has none for the cause 'sudden' of m1; it has wear, planned",
        ),
    ],
)
def test_records_that_cannot_be_kept_are_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
