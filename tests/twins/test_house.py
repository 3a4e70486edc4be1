"""The twin gives each sale once, with its area, price and time."""

import numpy as np
import pytest

from sim.house import House
from twins.channel import Role
from twins.house import HouseTwin


@pytest.fixture(scope="module")
def observed():
    twin = HouseTwin(House())
    run = twin.world.run(twin.world.start(5), 8000.0)
    return twin, run, *twin.observe(run)


def test_one_episode_a_run_with_every_sale(observed):
    _, run, episode = observed
    sales = [e for e in run.trace.events if e.kind == "sold"]
    area, price = episode.series
    assert (episode.run, episode.asset, episode.end_h) == (5, "market", 8000.0)
    assert (area.role, price.role) == (Role.KNOWN, Role.TARGET)
    assert len(sales) > 100
    assert price.times_h.tolist() == [e.time_h for e in sales] == area.times_h.tolist()
    np.testing.assert_array_equal(price.values, np.float32([e.value for e in sales]))


def test_any_window_is_the_same_window_of_the_whole(observed):
    twin, run, episode = observed
    for channel, series in zip(twin.channels, episode.series, strict=True):
        np.testing.assert_array_equal(twin.render(run.trace, channel, 7, 20), series.values[7:27])


def test_a_later_trace_brings_only_its_own_sales(observed):
    twin, _, episode = observed
    half = twin.world.run(twin.world.start(5), 4000.0)
    rest = twin.world.run(half.state, 8000.0)
    parts = [next(iter(twin.observe(r))).series[1].values for r in (half, rest)]
    np.testing.assert_array_equal(np.concatenate(parts), episode.series[1].values)


def test_a_run_too_short_for_a_sale_gives_empty_series():
    twin = HouseTwin(House())
    (episode,) = twin.observe(twin.world.run(twin.world.start(0), 1e-6))
    assert [len(s.values) for s in episode.series] == [0, 0]
