"""Streams: addressed by name, one integer of position, and no trace of how they were read."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.laws import UNIT, Exponential, Gamma, Geometric, InverseGaussian, Lognormal, Weibull
from sim.streams import BLOCK, Stream, Streams, stream_key

MEAN = Exponential(1.0)


def draws(stream: Stream, count: int, law=MEAN) -> list[float]:
    return [stream.draw(law) for _ in range(count)]


@settings(max_examples=30)
@given(st.integers(0, 3 * BLOCK), st.integers(1, 20))
def test_a_draw_depends_on_its_position_alone(position, count):
    key = stream_key(7, "m1/cycle")
    whole = draws(Stream(key), position + count)
    assert draws(Stream(key, position), count) == whole[position:]
    fresh = Stream(key)
    draws(fresh, position)
    assert draws(pickle.loads(pickle.dumps(fresh)), count) == whole[position:]
    other = fresh.copy()
    assert draws(other, count) == whole[position:] == draws(fresh, count)


@settings(max_examples=30)
@given(st.integers(0, 2 * BLOCK), st.lists(st.integers(0, 2 * BLOCK), max_size=4))
def test_what_is_taken_at_once_is_what_so_many_draws_give(position, counts):
    key = stream_key(7, "m1/cycle")
    taken, drawn = Stream(key, position), Stream(key, position)
    for count in counts:
        assert taken.take(MEAN, count).tolist() == draws(drawn, count)
        assert taken == drawn
        assert taken.draw(MEAN) == drawn.draw(MEAN)


LAWS = [MEAN, Lognormal(2.0, 0.5), Weibull(3.0, 1.7), Gamma(2.0, 0.4), InverseGaussian(1.0, 2.0), Geometric(3.0), UNIT]


@settings(max_examples=60)
@given(st.sampled_from(LAWS), st.integers(0, 2 * BLOCK), st.lists(st.integers(0, 3 * BLOCK), max_size=4))
def test_what_is_seen_ahead_is_what_is_drawn(law, position, counts):
    """However many at once: a law's inverse must not depend on where in an array a number lies."""
    key = stream_key(7, "m1/cycle")
    ahead, drawn = Stream(key, position), Stream(key, position)
    for count in counts:
        seen = ahead.ahead(law, count)
        assert seen.tolist() == ahead.ahead(law, count).tolist() == draws(drawn, count, law)
        ahead.skip(count)
        assert ahead == drawn
        assert ahead.draw(law) == drawn.draw(law)


def test_another_law_reads_the_same_uniforms():
    law, key = Lognormal(2.0, 0.5), stream_key(7, "m1/cycle")
    mixed, plain, other = Stream(key), draws(Stream(key), 40), draws(Stream(key), 40, law)
    assert [mixed.draw(law if k % 3 else MEAN) for k in range(40)] == [
        (other if k % 3 else plain)[k] for k in range(40)
    ]


def test_names_and_seeds_give_independent_streams():
    streams = Streams(3, ("a", "b"))
    a, b, c = draws(streams["a"], 4000), draws(streams["b"], 4000), draws(Streams(4, ("a",))["a"], 4000)
    assert np.abs(np.corrcoef([a, b, c])[np.triu_indices(3, 1)]).max() < 0.06
    assert np.mean(a) == pytest.approx(1.0, abs=0.06)
    with pytest.raises(KeyError):
        streams["c"]


def test_streams_copy_compare_and_pickle():
    streams = Streams(3, ("a", "b"))
    draws(streams["a"], 5)
    other = streams.copy()
    assert other == streams == pickle.loads(pickle.dumps(streams))
    draws(other["a"], 1)
    assert other != streams
    assert streams["a"].position == 5
    again = streams.rekeyed(9)
    assert again == Streams(9, ("a", "b"))
    assert again != streams


def test_the_name_of_a_key_is_fixed_forever():
    key = stream_key(0, "m1/cycle")
    assert key == 0x1EE7B0B6BF846333F6E2D87B0C57E856
    assert draws(Stream(key), 3) == pytest.approx([2.2624610547208914, 1.8941545364836638, 0.9552609050567051])
