"""The twin of a grid: windows alone, lives of load points, the wind that tells of storms, loads that balance."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from experiments import load
from sim.errors import InputError
from sim.grid import Grid, Storms, rbts_bus2
from sim.laws import Exponential
from twins.channel import Role
from twins.grid import GridTwin
from twins.sensors.noise import Noise

WORLD = Grid(rbts_bus2().scaled(60.0), crews=2, storms=Storms(60.0, Exponential(18.0), 20.0))
TWIN = GridTwin(WORLD)
RUN = WORLD.run(WORLD.start(3), 2000.0)
EPISODES = {episode.asset: episode for episode in TWIN.observe(RUN)}


def values(asset, quantity, twin=EPISODES):
    return next(s.values for s in twin[asset].series if s.quantity == quantity)


def test_any_window_equals_that_window_of_the_whole():
    whole = {s.key: s.values for episode in EPISODES.values() for s in episode.series}
    for channel in TWIN.channels:
        for start, count in ((0, 5), (700, 90), (1999, 1)):
            window = TWIN.render(RUN.trace, channel, start, count)
            assert np.array_equal(window, whole[channel.key][start : start + count], True), channel.key


def test_a_longer_run_never_changes_what_was_seen():
    early = next(iter(TWIN.observe(WORLD.run(WORLD.start(3), 600.0))))
    for series in early.series:
        whole = next(s for s in EPISODES[early.asset].series if s.key == series.key)
        assert np.array_equal(series.values, whole.values[: len(series.values)], True), series.key


def test_a_life_is_a_time_in_which_a_load_point_is_fed():
    for episode in EPISODES.values():
        fed = RUN.trace[episode.asset, "fed"]
        falls = fed.time_h[1:][np.diff(fed.value) < 0]
        ended = [spell.end_h for spell in episode.spells if spell.cause in ("section", "transformer")]
        assert ended == falls.tolist()
    assert {s.cause for e in EPISODES.values() for s in e.spells} >= {"section", "transformer"}


def test_the_wind_tells_of_storms_and_truth_is_kept_apart():
    storm, wind = values("LP1", "storm") > 0, values("LP1", "wind")
    assert np.nanmean(wind[storm]) > np.nanmean(wind[~storm]) + 8
    roles = {s.quantity: s.role for s in EPISODES["LP1"].series}
    assert [name for name, role in roles.items() if role is Role.TRUTH] == ["storm"]


def test_what_feeders_carry_is_what_their_load_points_draw():
    exact = {e.asset: e for e in replace(TWIN, feeder_meter=Noise()).observe(RUN)}
    fed = {p.name: values(p.name, "fed", exact) * p.load_kw for p in WORLD.network.load_points}
    np.testing.assert_allclose(values("LP1", "load", exact), sum(fed[f"LP{n}"] for n in range(1, 8)), rtol=1e-6)
    np.testing.assert_allclose(values("LP9", "load", exact), fed["LP8"] + fed["LP9"], rtol=1e-6)


def test_the_twin_pickles_and_the_preset_asks_of_half_a_day():
    assert pickle.loads(pickle.dumps(TWIN)) == TWIN
    outage = load("outage")
    assert outage.task.horizon_h == 12.0
    assert isinstance(outage.twin, GridTwin)
    with pytest.raises(InputError, match=r"storm_m_s is 3\.0; it must be at least calm_m_s"):
        GridTwin(WORLD, storm_m_s=3.0)
