import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sim.errors import InputError
from sim.trace import Event, Signal, Trace
from twins.channel import Role
from twins.dataset import shards
from twins.episode import Episode, Series, Spell

NAMES = st.text(max_size=6)
HOURS = st.floats(0, 1e6)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def series(draw):
    frame = draw(st.sampled_from([(), (), (2, 3)]))
    values = draw(arrays(np.float32, st.integers(0, 12).map(lambda n: (n, *frame))))
    if draw(st.booleans()):
        clock = {"step_h": draw(st.floats(1e-3, 100)), "start_h": draw(HOURS)}
    else:
        clock = {"times_h": draw(arrays(np.float64, len(values), elements=HOURS))}
    return Series(draw(NAMES), draw(NAMES), "mm/s", draw(st.sampled_from(list(Role))), values, **clock)


EVENTS = st.lists(st.builds(Event, HOURS, NAMES, NAMES, NAMES, NUMBERS), max_size=3).map(tuple)
EPISODES = st.builds(
    Episode,
    run=st.integers(0, 2**63 - 1),
    asset=NAMES,
    series=st.lists(series(), min_size=1, max_size=3).map(tuple),
    events=EVENTS,
    spells=st.lists(st.builds(Spell, HOURS, HOURS, NAMES, HOURS, NUMBERS, NUMBERS), max_size=2).map(tuple),
    static=st.dictionaries(NAMES, st.one_of(NAMES, NUMBERS), max_size=3),
    truth=st.dictionaries(NAMES, NUMBERS, max_size=2),
    end_h=HOURS,
)
SIGNALS = arrays(np.float64, st.tuples(st.just(3), st.integers(0, 8)), elements=st.floats(allow_nan=False)).map(
    lambda a: Signal.linear(*a)
)
TRACES = st.builds(
    Trace, st.integers(0, 2**62), HOURS, HOURS, st.dictionaries(st.tuples(NAMES, NAMES), SIGNALS), EVENTS
)


def stored(buffer: pa.Buffer) -> pa.Table:
    return shards.read(pa.BufferReader(buffer))


@given(st.lists(EPISODES, min_size=1, max_size=6))
@settings(max_examples=60)
def test_any_episode_comes_back_bit_for_bit(episodes):
    table = stored(shards.series_bytes(episodes))
    times, values = (shards.floats(table.column(name)) for name in ("times_h", "values"))
    rows = table.drop_columns(["times_h", "values"]).to_pylist()
    read = iter([shards.series_of(row, v, t) for row, v, t in zip(rows, values, times, strict=True)])
    back = [
        shards.episode_of(row, tuple(next(read) for _ in episode.series))
        for row, episode in zip(stored(shards.episodes_bytes(episodes)).to_pylist(), episodes, strict=True)
    ]
    assert shards.content(back) == shards.content(episodes)


@given(st.lists(TRACES, min_size=1, max_size=3))
@settings(max_examples=40)
def test_any_trace_comes_back_bit_for_bit(traces):
    back = [*shards.traces_of(pa.BufferReader(shards.traces_bytes(traces)))]
    for one, two in zip(back, traces, strict=True):
        assert shards.content([], one) == shards.content([], two)


@given(EPISODES, st.integers(0, 2))
@settings(max_examples=30)
def test_the_content_hash_sees_any_change_of_a_value(episode, which):
    s = episode.series[0]
    values = np.append(s.values, np.float32(1))
    times_h = None if s.times_h is None else np.append(s.times_h, 1.0)
    longer = Series(*s.key, s.unit, s.role, values, s.start_h, s.step_h, times_h)
    changed = Episode(episode.run, episode.asset, (longer, *episode.series[1:]), episode.events, episode.spells)
    same = Episode(episode.run, episode.asset, episode.series, episode.events, episode.spells)
    assert shards.content([same]) != shards.content([changed])
    nudged = values.copy()
    nudged[-1] = math.nextafter(1, 2) + 2**-23
    last = Series(*s.key, s.unit, s.role, nudged, s.start_h, s.step_h, times_h)
    other = Episode(episode.run, episode.asset, (last, *episode.series[1:]), episode.events, episode.spells)
    assert shards.content([other]) != shards.content([changed])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Series("m1", "x", "1", Role.PAST, np.zeros(3), step_h=1.0), r"m1/x of asset 'a' of run 7 has float64 values"),
        (Series("m1", "x", "C*", Role.PAST, np.zeros(3, np.float32), step_h=1.0), r"unknown unit 'C\*'"),
        (
            Series("m1", "x", "1", Role.PAST, np.zeros(3, np.float32), times_h=np.zeros(2)),
            r"m1/x of asset 'a' of run 7 has 3 values at 2 times",
        ),
    ],
)
def test_a_series_that_cannot_be_stored_is_refused_by_name(wrong, message):
    with pytest.raises(InputError, match=message):
        shards.check([Episode(7, "a", (wrong,))])


def test_what_would_be_taken_for_another_is_refused():
    one = Series("m1", "x", "1", Role.PAST, np.zeros(3, np.float32), step_h=1.0)
    with pytest.raises(InputError, match="asset 'a' of run 7 has two series m1/x"):
        shards.check([Episode(7, "a", (one, one))])
    with pytest.raises(InputError, match="two episodes of run 7 are of the asset 'a'"):
        shards.check([Episode(7, "a", (one,))] * 2)
