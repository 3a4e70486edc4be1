"""Each world run is another plant, told by the run and the key alone."""

import json
import math
import pickle
from dataclasses import dataclass, replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sim.errors import InputError
from sim.laws import Exponential, Lognormal, Uniform
from sim.line import Line, Station, Sudden
from tests.plants.ticker import Ticker, TickerTwin
from twins.control.account import Prices
from twins.control.environment import Environment
from twins.control.policies import RunToFailure, play
from twins.dataset import Plan, configuration, describe, ensure, identity, open_dataset
from twins.dataset.manifest import MANIFEST
from twins.futures import oracle
from twins.futures.oracle import Ask, SeriesAsk
from twins.line import LineTwin
from twins.varied import Between, Choices, Normal, Varied, changed, drawn, twin_of

STATION = Station(Lognormal(1 / 6, 0.1), sudden=Sudden(Exponential(40.0)), repair=Uniform(1.0, 4.0))
TWIN = LineTwin(Line((STATION,) * 3, (4, 4), crew=2))
VARY = {
    "world.crew": Choices((1, 2, None)),
    "world.stations.*.sudden.life.mean_h": Between(20, 80, log=True),
    "world.buffers.*": Between(0, 9, whole=True),
    "twin.sensors.vibration_rms.white": Normal(1, 0.3, low=0, relative=True),
}
FAMILY = Varied(TWIN, VARY)
PLAN = Plan(5, 1, 2, 60.0, runs_per_shard=2)


def contents(directory):
    named = [p for p in directory.rglob("*") if p.is_file() and "cache" not in p.parts and p.name != ".lock"]
    return {str(p.relative_to(directory)): p.read_bytes() for p in named}


# --- what is drawn ----------------------------------------------------------------------------------------------------

UNIFORM = st.floats(0, 1, exclude_min=True)


@given(st.floats(-1e6, 1e6), st.floats(0, 1e6), UNIFORM)
def test_a_number_lies_between_its_ends(low, width, u):
    assert low <= Between(low, low + width).at(u) <= low + width


@given(st.floats(1e-9, 1e9), st.floats(1, 1e6), UNIFORM)
def test_so_does_one_whose_logarithm_is_drawn(low, factor, u):
    assert low <= Between(low, low * factor, log=True).at(u) <= low * factor


@given(st.integers(-1000, 1000), st.integers(0, 1000), UNIFORM)
def test_whole_numbers_are_whole_and_between(low, width, u):
    found = Between(low, low + width, whole=True).at(u)
    assert type(found) is int
    assert low <= found <= low + width


@given(st.lists(st.floats(0, 10), min_size=1, max_size=5), UNIFORM)
def test_a_choice_without_weight_is_never_taken(weights, u):
    if sum(weights) <= 0:
        return
    assert weights[Choices(range(len(weights)), weights).at(u)] > 0


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        (Between(2, 5), stats.uniform(2, 3)),
        (Between(2, 50, log=True), stats.loguniform(2, 50)),
        (Normal(3, 2, low=0), stats.truncnorm(-1.5, np.inf, 3, 2)),
        (Normal(3, 2), stats.norm(3, 2)),
    ],
)
def test_laws_are_what_they_are_called(law, expected):
    u = (np.arange(4000) + 0.5) / 4000
    assert stats.kstest([law.at(x) for x in u], expected.cdf).statistic < 1e-3


def test_whole_numbers_and_choices_come_equally_often():
    u = (np.arange(3000) + 0.5) / 3000
    for law in (Between(1, 3, whole=True), Choices((1, 2, 3))):
        assert np.bincount([law.at(x) for x in u]).tolist() == [0, 1000, 1000, 1000]
    assert np.bincount([Choices((1, 2), (3, 1)).at(x) for x in u]).tolist() == [0, 2250, 750]


@given(st.integers(0, 2**40), st.sets(st.sampled_from(sorted(VARY)), min_size=1))
@settings(max_examples=40)
def test_run_and_key_alone_say_what_is_drawn(run, keys):
    some = Varied(TWIN, {key: VARY[key] for key in keys})
    whole = FAMILY.drawn(run)
    assert some.drawn(run).items() <= whole.items()
    assert Varied(replace(TWIN, epoch="2030-01-01T00:00:00"), VARY).drawn(run) == whole
    assert pickle.loads(pickle.dumps(FAMILY)).drawn(run) == whole
    own, rebuilt = FAMILY.of(run), changed(TWIN, whole)
    assert own == rebuilt
    assert describe(own) == describe(rebuilt)
    assert own.world.crew == whole["world.crew"]
    for i, station in enumerate(own.world.stations):
        assert station.sudden.life.mean_h == whole[f"world.stations.{i}.sudden.life.mean_h"]
        assert replace(station, sudden=STATION.sudden) == STATION


def test_each_item_has_its_own_draw_unless_one_is_for_all():
    key = "world.stations.*.load"
    each, one = (Varied(TWIN, {key: Between(0.5, 2, each=each)}) for each in (True, False))
    assert len(set(each.drawn(3).values())) == 3
    assert len(set(one.drawn(3).values())) == 1
    alone = Varied(TWIN, {"world.stations.1.load": Between(0.5, 2)})
    assert alone.drawn(3).items() <= each.drawn(3).items()


def test_numbers_that_belong_together_are_changed_at_once():
    law = {"world.stations.*.repair.low_h": Between(5, 6), "world.stations.*.repair.high_h": Between(7, 8)}
    assert all(5 <= s.repair.low_h <= 6 < 7 <= s.repair.high_h <= 8 for s in Varied(TWIN, law).of(1).world.stations)


@dataclass(frozen=True)
class Kind:
    name: str
    share: float = 1.0


@dataclass(frozen=True)
class Hall(Ticker):
    kinds: tuple[Kind, ...] = (Kind("mill"), Kind("press"))
    rates: dict[str, float] | None = None


def test_items_are_named_by_number_or_by_name_and_mappings_by_key():
    twin = TickerTwin(Hall(rates={"day": 1.0}))
    family = Varied(twin, {"world.kinds.press.share": Between(2, 3), "world.rates.day": Between(4, 5)})
    world = family.of(0).world
    assert world.kinds[0].share == 1.0 < 2 <= world.kinds[1].share <= 3
    assert 4 <= world.rates["day"] <= 5
    assert list(family.drawn(0)) == ["world.kinds.1.share", "world.rates.day"]


@pytest.mark.parametrize(
    ("key", "law", "message"),
    [
        ("crew", Choices((1,)), "crew must begin with world. or twin., as in world.crew"),
        ("world.crews", Choices((1,)), "there is no crews in world; it has stations, buffers"),
        ("world.stations.3.load", Between(1, 2), "no 3 in world.stations; it has the items 0 to 2"),
        ("world.stations", Between(1, 2), "world.stations is a tuple; name a number in it"),
        ("world.stations.0.sudden", Between(1, 2), "is a Sudden; name a number in it: it has life, clock"),
        ("world.crew", Between(1, 2), "world.crew would be 1.* it takes int or NoneType; draw whole numbers"),
        ("world.crew", Choices(("two",)), "world.crew would be 'two'; it takes int"),
        ("world.stations.0.load", Choices((None,)), "would be None; it takes float"),
        ("world.stations.0.load", Choices((True,)), "would be True; it takes float"),
        ("twin.epoch", Between(1, 2, relative=True), "a relative draw cannot multiply"),
    ],
)
def test_what_cannot_be_varied_is_refused_by_its_key(key, law, message):
    with pytest.raises(InputError, match=message):
        Varied(TWIN, {key: law})


def test_a_world_that_cannot_be_is_refused_with_its_run_and_keys():
    family = Varied(TWIN, {"world.crew": Choices((0, 1)), "world.stations.0.load": Between(1, 2)})
    bad = next(run for run in range(99) if family.drawn(run)["world.crew"] == 0)
    with pytest.raises(
        InputError, match=rf"run {bad} would be .* world\.crew=0, .*load=1\.\d+: Line\.crew is 0; it must"
    ):
        family.of(bad)
    more = {"world.stations.*.load": Between(1, 2), "world.buffers.*": Between(3, 9, whole=True)}
    many = Varied(TWIN, more | {"world.crew": Choices((0, 1))})
    with pytest.raises(InputError, match=r"cannot be, with world\.crew=0, .*, …: Line\.crew is 0"):
        many.of(bad)
    with pytest.raises(InputError, match=r"world\.stations\.\* and .* both vary|both vary world\.stations\.1\.load"):
        Varied(TWIN, {"world.stations.*.load": Between(1, 2), "world.stations.1.load": Between(1, 2)})


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Between(2, 1), "Between.high"),
        (lambda: Between(0, 1, log=True), "Between.low"),
        (lambda: Between(0.5, 2, whole=True), "Between.whole"),
        (lambda: Between(1, math.inf), "Between.high"),
        (lambda: Normal(0, 0), "Normal.sd"),
        (lambda: Normal(0, 1, low=50), "Normal.low"),
        (lambda: Choices(()), "Choices.choices"),
        (lambda: Choices((Exponential(1.0),)), "Choices.choices"),
        (lambda: Choices((1, 2), (1,)), "Choices.weights"),
        (lambda: Choices((1, 2), (0, 0)), "Choices.weights"),
        (lambda: Varied(TWIN, {}), "Varied.vary"),
    ],
)
def test_a_law_that_cannot_be_is_refused(make, field):
    with pytest.raises(InputError, match=rf"{field} is .* must be"):
        make()


# --- datasets ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return ensure(FAMILY, PLAN, tmp_path_factory.mktemp("made"), workers=1)


def test_the_identity_covers_what_is_varied_and_an_unvaried_twin_keeps_its_own():
    ids = [identity(configuration(twin, PLAN)) for twin in (TWIN, FAMILY, Varied(TWIN, VARY))]
    assert ids[0] != ids[1] == ids[2]
    others = [VARY | {"world.crew": Choices((1, 2))}, {k: v for k, v in VARY.items() if k != "world.crew"}]
    assert len({ids[1], *(identity(configuration(Varied(TWIN, other), PLAN)) for other in others)}) == 3
    # The whole of what names an unvaried dataset.
    plain = TickerTwin(Ticker(3.0))
    assert identity(configuration(plain, PLAN)) == identity(
        {
            "twin": describe(plain, "twin"),
            "plan": {
                "_class": "twins.dataset.generate.Plan",
                **{"train": 5, "validation": 1, "test": 2, "duration_h": 60.0, "seed": 0, "runs_per_shard": 2},
            },
            "revisions": {"world": 1, "twin": 1},
            "schema": 3,
        }
    )


def test_each_run_is_what_its_own_twin_gives_and_says_what_was_drawn(made):
    for split in made.splits:
        told = made.drawn(split)
        for run in made.runs(split):
            assert told[run] == FAMILY.drawn(run)
            own = changed(TWIN, told[run])  # the world rebuilt from the manifest's record alone
            whole = own.world.run(own.world.start(run), PLAN.duration_h)
            assert made.trace(run) == whole.trace
            stored = [e for e in made.episodes(split) if e.run == run]
            for a, b in zip(stored, own.observe(whole), strict=True):
                assert [s.values.tobytes() for s in a.series] == [s.values.tobytes() for s in b.series]
                assert a.truth == {k: v for k, v in told[run].items() if v is not None}
    row = pq.read_table(made.path / "episodes/train-00000.parquet").to_pylist()[0]
    assert "world.buffers.0" in {fact["name"] for fact in row["truth"]}


def test_workers_and_an_interruption_change_no_byte(made, tmp_path):
    again = ensure(FAMILY, PLAN, tmp_path, workers=2)
    (again.path / MANIFEST).unlink()
    (again.path / "shards/train-00001.json").unlink()
    assert contents(ensure(FAMILY, PLAN, tmp_path, workers=1).path) == contents(made.path)
    assert again.path.name == made.path.name


def test_the_manifest_of_an_unvaried_dataset_says_nothing_of_it(tmp_path):
    plain = ensure(TickerTwin(), PLAN, tmp_path)
    record = json.loads((plain.path / "shards/train-00000.json").read_text())
    assert set(record["runs"][0]) == {"run", "content"}
    assert open_dataset(plain.path).drawn("train") == {run: {} for run in plain.runs("train")}


def test_a_run_that_cannot_be_is_named_with_its_shard(tmp_path):
    family = Varied(TickerTwin(), {"world.mean_h": Choices((2.0, 3.0)), "twin.step_h": Choices((0.5, 1e-9))})
    with pytest.raises(InputError, match=r"sampled every 1e-09 h.*run seed \d+, shard train-0000\d"):
        ensure(family, PLAN, tmp_path)


# --- whoever runs the world again runs that of the run ----------------------------------------------------------------


def test_the_oracle_looks_into_the_world_of_each_run():
    asks = [Ask(run, "m1", 20.0) for run in range(4)]
    together = oracle.failures(FAMILY, asks, 30.0, 8)
    apart = [oracle.failures(FAMILY.of(ask.run), [ask], 30.0, 8)[0] for ask in asks]
    np.testing.assert_array_equal(together, apart)
    assert (together != oracle.failures(TWIN, asks, 30.0, 8)).any()
    asks = [SeriesAsk(run, (("m1", "vibration_rms"),), 60) for run in range(3)]
    together = oracle.forecasts(FAMILY, asks, 6, 4)
    apart = [oracle.forecasts(FAMILY.of(ask.run), [ask], 6, 4)[0] for ask in asks]
    np.testing.assert_array_equal(together, apart)


def test_what_is_kept_of_an_oracle_knows_what_is_varied(tmp_path):
    asks = [Ask(run, "m1", 20.0) for run in range(2)]
    first = oracle.failures(FAMILY, asks, 30.0, 8, cache=tmp_path)
    other = Varied(TWIN, {"world.stations.*.sudden.life.mean_h": Between(5, 6)})
    assert (oracle.failures(other, asks, 30.0, 8, cache=tmp_path) != first).any()
    np.testing.assert_array_equal(oracle.failures(FAMILY, asks, 30.0, 8, cache=tmp_path), first)


def test_decisions_are_made_in_the_world_of_each_run():
    family = Varied(TWIN, {"world.stations.*.sudden.life.mean_h": Between(10, 90), "world.crew": Choices((1, 2))})
    ends = play(Environment(family, Prices(), 24.0, 96.0), RunToFailure(), range(4))
    apart = [play(Environment(family.of(run), Prices(), 24.0, 96.0), RunToFailure(), [run])[0] for run in range(4)]
    assert [end.account for end in ends] == [end.account for end in apart]
    assert [end.environment.twin for end in ends] == [family.of(run) for run in range(4)]
    grown = Varied(TWIN, {"world.stations.0.machines": Choices((2,))})
    with pytest.raises(InputError, match=r"run 7 has the assets m1.1, .* others m1, m2, m3"):
        Environment(grown).start(7)


def test_twins_without_variation_are_themselves():
    assert twin_of(TWIN, 3) is TWIN
    assert drawn(TWIN, 3) == {}
    assert changed(TWIN, {}) is TWIN
