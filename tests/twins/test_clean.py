"""Cleaning finds what was planted, depends on nothing later, and can be undone bit for bit."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.laws import Exponential, Lognormal
from sim.line import Line, Station, Sudden
from twins import faults
from twins.channel import Role
from twins.clean import Clean, ClockJumps, Duplicates, Gaps, Misread, Range, Spikes, Stuck, Units, restored
from twins.clean.pipeline import Closed, before
from twins.clean.scored import scored
from twins.clean.step import record, undone
from twins.dataset import Plan, ensure, manifest
from twins.dataset.derived import configuration, derive, origin
from twins.dataset.identity import identity
from twins.dataset.shards import content
from twins.episode import CENSORED, PLANNED, Episode, Series, Spell
from twins.executors.workers import Local
from twins.faults import Faults
from twins.line import LineTwin
from twins.observed import Cuts, Table, ensure_observed
from twins.sensors.render import clean as noise_free

STEP_H = 0.25
OTHER = {"temperature": "K"}
LABELS = faults.WrongLabels(share=0.5)
FAHRENHEIT = {"temperature": "[degF]"}
ALL = (
    Duplicates(),
    ClockJumps(),
    Misread(units={"temperature": "[degF]"}),
    Range(),
    Spikes(),
    Stuck(),
    Gaps(fill="last", most_h=2.0),
    Units(to={"temperature": "K"}),
)


def reading(seed: int, count: int = 2000, quantity: str = "temperature", unit: str = "Cel") -> Series:
    """A slow wave with noise."""
    rng = np.random.default_rng(seed)
    values = 40 + 5 * np.sin(np.arange(count) / 90) + rng.normal(0, 0.5, count)
    return Series("m1", quantity, unit, Role.TARGET, values.astype(np.float32), 0.0, STEP_H)


def episode(seed: int, *series: Series) -> Episode:
    return Episode(seed, "m1", series or (reading(seed),), end_h=500.0)


TRAIN = [episode(seed) for seed in range(4)]
TIMED = [replace(e, series=tuple(replace(s, step_h=None, times_h=s.clock_h()) for s in e.series)) for e in TRAIN]


def score(fault, step, train=TRAIN, seed=100):
    """Precision and recall of a step on a fault that is planted in a record it has not seen."""
    hit = Faults((fault,)).close(train)(episode(seed), "test")
    closed = Clean((step,)).close([Faults((fault,)).close(train)(e, "train").episode for e in train])
    wrong, found = hit.wrong["m1", "temperature"][0], closed(hit.episode).found["m1", "temperature"][0]
    assert wrong.any()
    both = (wrong & found).sum()
    return both / max(found.sum(), 1), both / wrong.sum()


PLANTED = [
    (faults.Spikes(share=0.005, size=6), Spikes(), 0.5, 0.9),
    (faults.Spikes(share=0.005, size=6), Spikes(centred=True, alarms=None), 0.9, 0.9),
    (faults.Spikes(share=0.005, size=12), Range(), 0.9, 0.9),
    (faults.Stuck(share=0.1, mean_h=10), Stuck(), 0.99, 0.85),
    (faults.Stuck(share=0.1, mean_h=10), Stuck(hindsight=True), 0.9, 0.95),
    (faults.WrongUnit(share=0.05, mean_h=5, units=FAHRENHEIT), Misread(units=FAHRENHEIT), 0.99, 0.95),
    (faults.Gaps(share=0.1, mean_h=5), Gaps(), 1.0, 1.0),
    (faults.Duplicates(share=0.05), Duplicates(), 1.0, 1.0),
    (faults.ClockJumps(share=0.1, mean_h=20, size_h=6), ClockJumps(most_h=1.0), 0.9, 0.99),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "step", "precision", "recall"), PLANTED, ids=lambda x: type(x).__name__)
def test_each_step_finds_its_fault(fault, step, precision, recall):
    found = score(fault, step)
    assert found[0] >= precision, found
    assert found[1] >= recall, found


def test_a_step_that_finds_nothing_or_everything_does_not_pass():
    for limits in ((-1e9, 1e9), (1e8, 1e9)):
        precision, recall = score(faults.Spikes(share=0.005, size=12), Range(limits={"temperature": limits}))
        assert precision < 0.5 or recall < 0.5


def test_a_clean_record_is_left_alone():
    closed = Clean(ALL[:-2]).close(TRAIN)
    changed = {c["step"]: c["changed"] / c["samples"] for c in closed(episode(200)).counts}
    assert changed.pop("4 Spikes") < 0.01
    assert set(changed.values()) == {0.0}


def test_a_quantity_that_mostly_rests_is_left_alone():
    rng = np.random.default_rng(0)
    level = np.repeat(rng.integers(0, 9, 40), 50).astype(np.float32)
    steps = Clean((Spikes(), Stuck())).close([episode(0, replace(reading(0), values=level))])
    assert [count["changed"] for count in steps(episode(1, replace(reading(1), values=level[::-1].copy()))).counts] == [
        0,
        0,
    ]


def test_spikes_are_not_sought_where_the_training_split_has_nothing():
    level = replace(reading(0), quantity="flow", values=np.repeat(np.float32([1, 2, 3]), 50))
    (count,) = Clean((Spikes(alarms=None),)).close(TRAIN)(episode(0, level)).counts
    assert (count["quantity"], count["changed"]) == ("flow", 0)


MESS = (
    faults.Duplicates(share=0.02),
    faults.ClockJumps(share=0.05, mean_h=5.0),
    faults.Spikes(share=0.01, size=8),
    faults.Stuck(share=0.03, mean_h=3.0),
    faults.WrongUnit(share=0.03, mean_h=3.0, units={"temperature": "[degF]"}),
    faults.Gaps(share=0.03, mean_h=2.0),
)


@given(st.integers(0, 2**20), st.permutations(range(len(ALL))), st.permutations(range(len(MESS))), st.integers(1, 400))
def test_what_was_there_can_be_had_again_bit_for_bit(seed, order, mess, count):
    struck = Faults(tuple(MESS[i] for i in mess)).close(TRAIN)(episode(seed, reading(seed, count)), "train").episode
    odd = struck.series[0].values.copy()
    odd.view(np.uint32)[:: max(count // 3, 1)] = 0x7FC01234  # a NaN with a payload
    struck = replace(struck, series=(replace(struck.series[0], values=odd),))
    cleaned = Clean(tuple(ALL[i] for i in order)).close(TIMED)(struck)
    again = before(cleaned.episode, cleaned.rows).series[0]
    assert (again.unit, again.step_h, again.start_h) == ("Cel", struck.series[0].step_h, struck.series[0].start_h)
    assert (again.values.view(np.uint32) == odd.view(np.uint32)).all()
    assert (again.clock_h() == struck.series[0].clock_h()).all()


@pytest.mark.parametrize("step", ALL, ids=lambda step: type(step).__name__)
def test_no_reading_depends_on_a_later_one(step):
    struck = Faults(MESS).close(TRAIN)(episode(7), "test").episode.series[0]
    closed = Clean((step,)).close(TIMED).steps[0]
    assert not closed.looks_ahead
    whole = closed.clean(struck).series
    for count in (1, 17, 500, 1234):
        cut = replace(struck, values=struck.values[:count], times_h=struck.clock_h()[:count], step_h=None)
        part = closed.clean(cut).series
        m = len(part.values)
        assert m
        assert (part.clock_h() == whole.clock_h()[:m]).all()
        assert (part.values.view(np.uint32) == whole.values[:m].view(np.uint32)).all()


def hourly(times_h: np.ndarray) -> Series:
    """Readings that say their own number."""
    return replace(reading(0, 0), values=np.arange(len(times_h), dtype=np.float32), step_h=None, times_h=times_h)


HOURS = np.arange(1200.0)
PHASES = {
    "first at ten past": (np.where(HOURS == 0, 0.0, HOURS - 1 / 6), 1),
    "all at half past": (HOURS + 0.5, 0),
    "a quarter later from row 300 on": (HOURS + 0.25 * (HOURS >= 300), 1),
    "a quarter earlier from row 300 on": (HOURS - 0.25 * (HOURS >= 300), 1),
    "there and back": (HOURS + 0.4 * ((HOURS >= 300) & (HOURS < 700)), 2),
    "after a pause": (HOURS + 1000.3 * (HOURS >= 300), 1),
    "drifting": (HOURS * 1.0002, 2),
    "one reading astray": (HOURS + 0.4 * (HOURS == 300), 1),
}


@pytest.mark.parametrize(("times_h", "lost"), PHASES.values(), ids=PHASES)
def test_a_logger_that_goes_on_at_another_phase_is_kept(times_h, lost):
    series, step = hourly(times_h), Gaps(step_h=1.0)
    done = step.clean(series)
    there = np.flatnonzero(np.isfinite(done.series.values))
    kept = done.series.values[there].astype(int)
    assert len(kept) == len(times_h) - lost
    assert done.found.sum() == lost
    late_h = done.series.clock_h()[there] - times_h[kept]
    assert (late_h > -0.1 - 1e-6).all()  # never told before its time
    assert (late_h < 1.0).all()
    told = record(series, done)
    assert (undone(done.series, told).clock_h() == times_h).all()
    for count in (1, 2, 3, 299, 300, 301, 302, 303, 1000):
        part = step.clean(replace(series, values=series.values[:count], times_h=times_h[:count])).series
        m = len(part.values)
        assert m
        assert (part.clock_h() == done.series.clock_h()[:m]).all()
        assert np.array_equal(part.values, done.series.values[:m], equal_nan=True)


def test_readings_at_random_times_are_not_put_on_a_clock_without_a_word():
    series = hourly(np.cumsum(np.random.default_rng(0).exponential(1.0, 1000)))
    done = Gaps(step_h=1.0).clean(series)
    assert np.isfinite(done.series.values).sum() + done.found.sum() == 1000
    assert done.found.sum() > 500


AHEAD = (Spikes(centred=True), Stuck(hindsight=True), Duplicates(keep="mean"), Gaps(fill="linear"))


@pytest.mark.parametrize("step", AHEAD, ids=lambda step: type(step).__name__)
def test_a_step_that_looks_ahead_breaks_that_law_somewhere(step):
    struck = Faults((*MESS[:1], *MESS[3:])).close(TRAIN)(episode(7), "test").episode.series[0]
    struck = replace(struck, values=struck.values + np.arange(len(struck.values), dtype=np.float32) % 3)
    struck = replace(struck, values=np.where(np.arange(len(struck.values)) % 50 > 40, struck.values[0], struck.values))
    closed = Clean((step,)).close(TIMED).steps[0]
    whole = closed.clean(struck).series.values

    def kept(count):
        cut = replace(struck, values=struck.values[:count], times_h=struck.clock_h()[:count])
        part = closed.clean(cut).series.values
        return np.array_equal(part, whole[: len(part)], equal_nan=True)

    assert not all(kept(count) for count in range(300, 600))


def test_steps_that_look_ahead_say_so():
    ahead = AHEAD
    assert Clean((Range(), *ahead)).looking_ahead == [
        f"clean[{i}] ({type(s).__name__})" for i, s in enumerate(ahead, 1)
    ]
    assert Clean(ALL).looking_ahead == []


def test_faults_of_a_longer_record_begin_alike_and_one_more_leaves_the_others_alone():
    closed = Faults(MESS[1:]).close(TRAIN)
    short, long = (
        closed(episode(5, replace(reading(5), values=reading(5).values[:n])), "").episode for n in (700, 2000)
    )
    assert (short.series[0].clock_h() == long.series[0].clock_h()[:700]).all()
    assert np.array_equal(short.series[0].values, long.series[0].values[:700], equal_nan=True)
    more = replace(closed, faults=Faults((*MESS[1:], faults.Noise(size=1.0))))(episode(5), "").wrong[
        "m1", "temperature"
    ]
    assert all((more[i] == mask).all() for i, mask in closed(episode(5), "").wrong["m1", "temperature"].items())


AFTER_JUMPS = (faults.Stuck(share=0.2), faults.Gaps(share=0.2), faults.Drift(share=0.5, mean_h=9.0), MESS[4])


@pytest.mark.parametrize("fault", AFTER_JUMPS, ids=lambda fault: type(fault).__name__)
def test_that_holds_behind_a_clock_that_jumps_back(fault):
    closed = Faults((faults.ClockJumps(share=0.3, mean_h=20.0, size_h=90.0), fault)).close(TRAIN)
    for seed in range(20):
        long = closed(episode(seed), "").episode.series[0]
        for n in (50, 150, 350, 700):
            short = closed(episode(seed, replace(reading(seed), values=reading(seed).values[:n])), "").episode.series[0]
            assert np.array_equal(short.values, long.values[:n], equal_nan=True)


def lives(*causes: str) -> tuple[Spell, ...]:
    return tuple(Spell(i, i + 1.0, cause, 1.0) for i, cause in enumerate(causes))


def test_planned_lives_without_a_failure_need_causes_to_be_written_down_as_others():
    planned = [replace(TRAIN[0], spells=lives(PLANNED, CENSORED))]
    every = faults.WrongLabels(share=1.0)
    with pytest.raises(InputError, match=r"faults\[0\] \(WrongLabels\) .* no life of the training split ended in one;"):
        Faults((every,)).close(planned)
    named = Faults((replace(every, causes=("wear",)),)).close(planned)
    assert [s.cause for s in named(planned[0], "train").episode.spells] == ["wear", CENSORED]
    later = Faults((every,)).close(TRAIN)(planned[0], "validation")  # of which training knew nothing
    assert (later.episode.spells, later.labels) == (planned[0].spells, 0)
    assert faults.Closed.of(json.loads(json.dumps(named.told()))) == named


def test_limits_come_from_the_training_split_alone_and_steps_revive():
    closed = Clean(ALL).close(TRAIN)
    again = Closed.of(json.loads(json.dumps(closed.told())))
    assert again == closed
    assert closed.steps[3].limits["temperature"][0] < 30
    with pytest.raises(
        InputError, match=r"clean\[2\] \(Misread\) is estimated on the training split, of which there is none"
    ):
        Clean((Range(spread=None), Gaps(step_h=1.0), Misread(units={"temperature": "[degF]"}))).close([])


@pytest.mark.parametrize(
    ("step", "name", "value"),
    [
        (Gaps(steps_h={"b": 2.0}), "steps_h", 2.0),
        (ClockJumps(steps_h={"b": 2.0}), "steps_h", 2.0),
        (Stuck(leasts={"b": 9}), "leasts", 9),
        (Spikes(floors={"b": 0.1}), "floors", 0.1),
        (Spikes(thresholds={"b": 9.0}), "thresholds", 9.0),
        (Range(limits={"b": (0.0, 9.0)}), "limits", (0.0, 9.0)),
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_is_declared_of_one_quantity_stays_and_the_others_are_estimated(step, name, value):
    def closed(step):
        train = [replace(e, series=tuple(replace(e.series[0], quantity=q) for q in "ab")) for e in TIMED]
        return Clean((step,)).close(train).steps[0]

    mine, usual = closed(step), closed(type(step)())
    assert getattr(mine, name)["b"] == value != getattr(usual, name)["b"]
    assert getattr(mine, name)["a"] == getattr(usual, name)["a"]
    assert not mine.open
    assert Closed.of(json.loads(json.dumps(Closed((mine,)).told()))).steps == (mine,)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Range(limits={"a": (2, 1)}), "Range.limits"),
        (lambda: Spikes(window=1), "from 4 to 999"),
        (lambda: Stuck(least=1), "at least 2"),
        (lambda: Units(to={"a": "furlong"}), "unknown unit"),
        (lambda: Units(to={"temperature": "V"}).clean(reading(0)), "Units.to.temperature: cannot convert"),
        (lambda: Gaps(fill="mean"), "'none', 'last' or 'linear'"),
        (lambda: Clean((faults.Gaps(),)), "must be one of twins.clean"),
        (lambda: Faults((Gaps(),)), "must be one of twins.faults"),
    ],
)
def test_nonsense_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (Clean((Units(to=OTHER), Range(limits={"prize": (0, 10)}))), r"clean\[1\] \(Range\): limits names 'prize'"),
        (Clean((Gaps(step_h=1.0, quantities=("temp*", "pres*")),)), r"\(Gaps\): quantities names 'pres\*'"),
        (Clean((Misread(units={"Temperature": "K"}),)), r"\(Misread\): units names 'Temperature'"),
        (Clean((Spikes(thresholds={"temp*": 9.0}),)), r"\(Spikes\): thresholds names 'temp\*'"),
        (Clean((Stuck(quantities=("picture",)),)), r"quantities names 'picture'"),
        (Faults((faults.Spikes(quantities=("nonesuch",)),)), r"faults\[0\] \(Spikes\): quantities names 'nonesuch'"),
        (Faults((LABELS, faults.WrongUnit(units={"pressure": "bar"}))), r"faults\[1\] \(WrongUnit\): units names"),
    ],
)  # fmt: skip
def test_quantities_that_are_not_there_are_refused(steps, said):
    picture = replace(reading(1), quantity="picture", values=np.zeros((3, 2, 2), np.float32))
    train = [episode(1, reading(1, quantity="flow"), picture), *TRAIN]
    with pytest.raises(InputError, match=said + ".* it has flow, temperature$"):
        steps.close(train)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (Clean((Range(limits={"flow": (0, 10)}),)), r"clean\[0\] \(Range\): limits names 'flow', .* temperature,"),
        (Clean((Spikes(floors={"temperature": 1.0}, quantities=("fl*",)),)), "floors names 'temperature', .* flow,"),
        (Clean((Misread(units=FAHRENHEIT, limits={"flow": (0, 10)}),)), "limits names 'flow', .* takes temperature,"),
        (Faults((faults.WrongUnit(units={"flow": "K"}),)), r"faults\[0\] \(WrongUnit\): units names 'flow', .* none,"),
    ],
)  # fmt: skip
def test_what_is_declared_of_a_channel_that_is_not_taken_is_refused(steps, said):
    train = [episode(1, reading(1), replace(reading(2, quantity="flow"), role=Role.PAST))]
    with pytest.raises(InputError, match=f"{said} unless quantities names others$"):
        steps.close(train)


def test_quantities_and_patterns_that_are_there_are_taken():
    train = [episode(1, reading(1), reading(1, quantity="flow"))]
    named = Range(quantities=("temp*", "flow"), limits={"flow": (0, 10)})
    assert Clean((named, *ALL)).close(train).steps[0].takes(train[0].series[1])
    assert Faults((faults.Spikes(quantities=("*",)), LABELS)).close(train).scale.keys() == {"flow", "temperature"}


def test_a_unit_is_converted_and_what_rounding_loses_is_kept():
    series = reading(1)
    done = Units(to={"temperature": "[degF]"}).clean(series)
    assert done.series.unit == "[degF]"
    np.testing.assert_allclose(done.series.values, series.values * 1.8 + 32, rtol=1e-6)
    told = record(series, done)
    assert 0 < len(told["at"]) < len(series.values)  # float32 does not always come back by itself
    assert (undone(done.series, told).values == series.values).all()


LOST = {
    "none": [],
    "the end of train and the beginning of validation": [*range(55, 63)],
    "the beginning of all and of test": [0, 1, 2, 80, 81],
    "all but one of validation": [*range(60, 70), *range(71, 80)],
    "all of validation but two, and some within": [20, 21, *range(60, 66), *range(68, 83)],
}


@pytest.mark.parametrize("writable", [True, False])
@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_stretches_that_lost_their_ends_are_read_on_one_clock(tmp_path, monkeypatch, lost, writable):
    path, hours = tmp_path / "my.csv", [i for i in range(100) if i not in lost]
    path.write_text("t,x\n" + "".join(f"{i},{i}\n" for i in hours))
    table = Table(str(path), {"x": {"unit": "Cel"}}, time="t", clock="explicit", splits=Cuts(60 - hours[0], 20))
    cleaned = derive(ensure_observed(table, tmp_path), Clean((Gaps(),)), tmp_path)
    if not writable:
        access = os.access
        monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    for split, end in (("train", 60), ("validation", 80), ("test", 100)):
        (series,) = cleaned.episodes(split)[0].series
        there, before = np.isfinite(series.values), [i for i in hours if i < end]
        assert series.clock_h()[there].tolist() == series.values[there].tolist() == before
        assert len(series.values) == before[-1] - before[0] + 1


def test_a_sample_that_two_stretches_tell_is_told_by_the_first(tmp_path):
    path = tmp_path / "my.csv"
    path.write_text("t,x\n" + "".join(f"{i + 0.5 * (i < 60)},{i}\n" for i in range(100)))  # 59.5 is told at 60
    table = Table(str(path), {"x": {"unit": "Cel"}}, time="t", clock="explicit", splits=Cuts(59.5, 20))
    (series,) = derive(ensure_observed(table, tmp_path), Clean((Gaps(),)), tmp_path).episodes("test")[0].series
    assert series.values.tolist() == [*range(60), *range(61, 100)]
    assert series.clock_h().tolist() == [*range(1, 100)]


STATION = Station(Lognormal(1 / 6, 0.1), sudden=Sudden(Exponential(20.0)), repair=Exponential(2.0))
TWIN = LineTwin(Line((STATION,) * 2, (4,)), step_h=0.5)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("datasets")
    raw = ensure(TWIN, Plan(2, 1, 1, 96.0, runs_per_shard=1), root, workers=1)
    struck = derive(raw, Faults((faults.Spikes(share=0.01), faults.Stuck(share=0.1), LABELS)), root)
    return root, raw, struck, derive(struck, Clean((Spikes(), Stuck(), Gaps(fill="last"))), root)


def test_a_dataset_goes_through_faults_and_cleaning_and_back(made):
    root, raw, struck, cleaned = made
    for shard in ("train-00000", "test-00000"):
        trace, now = next(restored(cleaned, shard))
        (told,) = cleaned.record(shard)["runs"]
        assert content(now, trace) == told["before"] == struck.record(shard)["runs"][0]["content"] != told["content"]
    assert cleaned.drawn("train") == raw.drawn("train")
    assert origin(cleaned) == raw.path
    assert cleaned.manifest["configuration"]["faults"] == struck.manifest["configuration"]["faults"]
    assert cleaned.trace(raw.runs("test")[0]).signals.keys() == raw.trace(raw.runs("test")[0]).signals.keys()
    again = derive(struck, Clean((Spikes(), Stuck(), Gaps(fill="last"))), root)
    assert (again.path, again.manifest["content"]) == (cleaned.path, cleaned.manifest["content"])
    lost = cleaned.path / "series" / "test-00000.parquet"
    was = lost.read_bytes()
    lost.unlink()
    derive(struck, Clean((Spikes(), Stuck(), Gaps(fill="last"))), root)
    assert lost.read_bytes() == was
    two = derive(raw, Clean((Spikes(),)), root / "two", executor=Local(2))
    one = derive(raw, Clean((Spikes(),)), root / "one")
    assert two.manifest["files"] == one.manifest["files"]


def test_steps_that_are_closed_are_taken_as_they_are(made):
    _, raw, _, _ = made
    limits = {"motor_current": (0.0, 1.0), "nonesuch": (0.0, 1.0)}
    closed = Closed((Range(limits=limits, spread=None),))
    with pytest.raises(InputError, match="limits names 'nonesuch'"):
        derive(raw, Clean(closed.steps), raw.path.parent)
    cleaned = derive(raw, closed, raw.path.parent)
    assert Closed.of(cleaned.manifest["closed"]["clean"]) == closed
    assert {row["quantity"] for row in cleaned.manifest["changed"] if row["changed"]} == {"motor_current"}


def test_truth_is_told_at_the_times_of_a_record_that_starts_late(made):
    _, raw, _, _ = made
    trace, (whole, *_) = next(raw.shard("test-00000"))
    late = replace(
        whole, series=tuple(replace(s, values=s.values[9:], start_h=9 * 0.5) for s in whole.series if s.step_h == 0.5)
    )
    planted, closed = Faults((faults.Noise(size=0.0),)).close([late]), Clean((Range(),)).close([late])
    channels = {channel.key: channel for channel in TWIN.channels}
    for twin in (TWIN, None):
        found = scored([(trace, [late])], planted, closed, twin, "test").errors
        assert found
        for series in (s for s in late.series if s.quantity in found and s.role == Role.TARGET):
            truth = series.values if twin is None else noise_free(trace, channels[series.key])[9:]
            off = (series.values.astype(float) - truth)[np.isfinite(series.values) & np.isfinite(truth)]
            one = found[series.quantity]
            assert one.count["healthy"] == len(off)
            assert one.rmse("healthy") == pytest.approx(np.sqrt(np.mean(off**2)))


def test_wrong_labels_are_never_those_that_are_scored(made):
    _, raw, struck, _ = made

    def causes(dataset, split):
        return [spell.cause for e in dataset.episodes(split) for spell in e.spells]

    assert causes(raw, "train") != causes(struck, "train")
    assert causes(raw, "test") == causes(struck, "test")


def test_the_card_and_the_manifest_tell_what_was_changed(made):
    _, _, struck, cleaned = made
    told = {(row["step"], row["quantity"]): row for row in cleaned.manifest["changed"]}
    assert told["0 Spikes", "motor_current"]["changed"] > 0
    card = (cleaned.path / "README.md").read_text()
    assert f"## Made from `{struck.path.name}`" in card
    assert "| 1 Stuck | acoustic_level |" in card
    assert manifest.check(cleaned.path, thorough=True)


def test_a_step_of_another_revision_names_another_dataset(made, monkeypatch):
    _, _, struck, cleaned = made
    steps = Clean((Spikes(), Stuck(), Gaps(fill="last")))
    of = struck.manifest["configuration"]
    assert identity(configuration(of, steps)) == cleaned.identity
    monkeypatch.setattr(Spikes, "revision", Spikes.revision + 1)
    assert identity(configuration(of, steps)) != cleaned.identity
    with pytest.raises(InputError, match="has been through clean already"):
        configuration(cleaned.manifest["configuration"], steps)
