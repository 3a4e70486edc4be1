"""The factory's twin: what machines show beside their sensors, and what is known ahead."""

import pickle

import numpy as np
import pytest

from sim.factory import Phase, Release, SetPriority
from sim.line import AgeReplacement, OrderMaintenance, SetSpeed
from tests.sim.factories import plant
from twins.channel import Role
from twins.episode import PLANNED
from twins.factory import FactoryTwin
from twins.sensors.render import clean

PLANT = plant()


def observed(twin, until_h=150.0, seed=1, *actions):
    state = twin.world.start(seed)
    for action in actions:
        state = twin.world.act(state, action)
    run = twin.world.run(state, until_h)
    return run.trace, {episode.asset: episode for episode in twin.observe(run)}


def reading(twin, trace, quantity, machine):
    channel = next(c for c in twin.channels if c.key == (machine, quantity))
    return clean(trace, channel).astype(np.float64)


def test_each_machine_is_an_episode_with_its_meter_and_what_it_works_at():
    twin = FactoryTwin(PLANT)
    trace, episodes = observed(twin)
    assert list(episodes) == ["mill.1", "mill.2", "bench"]
    keys = [channel.key for channel in twin.channels]
    assert len(set(keys)) == len(keys)
    assert {s.key for e in episodes.values() for s in e.series} == set(keys)
    for episode in episodes.values():
        assert {len(s.values) for s in episode.series} == {900}
        assert [s.quantity for s in episode.series if s.role is Role.TRUTH] == ["wear", "rate"]
        assert [s.quantity for s in episode.series if s.role is Role.KNOWN] == ["schedule", "tariff"]
        m = episode.asset
        phase, power = (reading(twin, trace, q, m) for q in ("state", "power"))
        assert np.unique(power[phase == Phase.WORKING]).tolist() == [twin.world.station_of(m).power.working_kw]
        assert (reading(twin, trace, "product", m)[phase == Phase.WORKING] > 0).all()
        assert (reading(twin, trace, "vibration_low", m)[phase != Phase.WORKING] == 0).all()
    assert (reading(twin, trace, "queue", "mill.1") == reading(twin, trace, "queue", "mill.2")).all()
    assert (
        reading(twin, trace, "motor_current", "mill.1")[reading(twin, trace, "state", "mill.1") == Phase.CLOSED] == 0
    ).all()


def test_what_is_known_ahead_is_the_same_in_every_future():
    twin = FactoryTwin(PLANT)
    (trace, _), (other, _) = observed(twin), observed(twin, 150.0, 2, Release("cog", 3))
    for quantity in ("schedule", "tariff"):
        assert (reading(twin, trace, quantity, "mill.1") == reading(twin, other, quantity, "mill.1")).all()
    schedule, state = (reading(twin, trace, q, "mill.2") for q in ("schedule", "state"))
    running = np.isin(state, (Phase.WORKING, Phase.SETUP))
    assert running.any()
    assert (schedule[running] > 0).all()
    hour = np.arange(900) / 6
    assert (schedule == np.where((hour < 120) & (hour % 24 >= 6) & (hour % 24 < 14), 1.0, 0.0)).all()
    manned = reading(twin, trace, "manned", "mill.2")
    assert (manned[running] == 1).all()
    assert (manned[~running] == 0).all()


def test_a_window_is_the_window_of_the_whole_and_travels():
    twin = pickle.loads(pickle.dumps(FactoryTwin(PLANT)))
    state = twin.world.start(3)
    first, state = twin.world.run(state, 70.0)
    whole = first + twin.world.run(state, 150.0).trace
    later = twin.world.run(state, 150.0).trace
    for channel in twin.channels:
        if not channel.memory:
            alone = twin.render(later, channel, 421, 400)
            np.testing.assert_array_equal(alone, twin.render(whole, channel, 0, 900)[421:821])


def test_planned_work_tells_the_life_without_it_and_actions_are_told_again():
    world = plant(policy=AgeReplacement(9.0))
    twin = FactoryTwin(world)
    actions = (SetPriority("cog", 1), SetSpeed("mill.1", 1.2), Release("cog", 2), OrderMaintenance("mill.2"))
    _, episodes = observed(twin, 150.0, 4, *actions)
    planned = [spell for e in episodes.values() for spell in e.spells if spell.cause == PLANNED]
    assert len(planned) > 2
    assert all(spell.unmaintained_h >= spell.end_h - spell.start_h for spell in planned)
    assert twin.maintain("mill.1") == OrderMaintenance("mill.1")
    assert twin.hold("mill.1")
    assert FactoryTwin(PLANT).hold("mill.1") is None


def test_what_was_made_is_counted_where_it_leaves_the_plant():
    twin = FactoryTwin(PLANT)
    trace, _ = observed(twin)
    made, lost = twin.made(trace)
    assert made == trace["box", "finished"].value[-1] > 5
    assert lost == sum(e.kind == "lost" for e in trace.events)


@pytest.mark.parametrize("wrong", [{"step_h": 0.0}, {"unmaintained_limit_h": -1.0}])
def test_nonsense_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FactoryTwin(PLANT, **wrong)
