"""A twin as an environment: what is seen equals the offline dataset, and tells nothing of what is to come."""

import pickle
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.pump.sim import Pump
from examples.pump.twin import PumpTwin
from sim.errors import InputError
from sim.house import House
from sim.laws import Exponential, Lognormal
from sim.line import AgeReplacement, Line, OrderMaintenance, Station, Sudden
from sim.trace import Event
from sim.wear import Wiener
from tests.sim.strategies import lines
from twins.channel import Role
from twins.control.account import Account, Prices
from twins.control.environment import RECENT, Environment, Inspect
from twins.house import HouseTwin
from twins.line import LineTwin

STATION = Station(
    Lognormal(1 / 6, 0.1),
    sudden=Sudden(Exponential(90.0)),
    wear=Wiener(1 / 60, 0.02, spread_cv=0.2),
    repair=Exponential(5.0),
    maintenance=Exponential(2.0),
)
TWIN = LineTwin(Line((STATION, STATION), (5,), crew=1))
ENVIRONMENT = Environment(TWIN, Prices(downtime_per_h=0.5, lost_part=0.1), every_h=8.0, duration_h=240.0)


def played(environment, seed, orders=lambda now: ()):
    """Every moment of a run; *orders* gives the actions at each."""
    moments = [environment.start(seed)]
    while not moments[-1].done:
        moments.append(environment.step(moments[-1], orders(moments[-1])))
    return moments


def some_orders(now):
    """Actions of every kind, at times of their own."""
    number = round(now.time_h / 8)
    orders = [TWIN.maintain("m1")] * (number % 5 == 3) + [TWIN.maintain("m2")] * (number % 7 == 2)
    return [*orders, Inspect("m2")] if number % 4 == 1 else orders


def offline(environment, moment):
    """What the twin's own episodes of the whole run hold, by channel."""
    run = moment.trace, moment.state
    episodes = environment.twin.observe(type(environment.twin.world.run(moment.state, moment.time_h))(*run))
    return {series.key: series for episode in episodes for series in episode.series}


@pytest.mark.parametrize("environment", [ENVIRONMENT, Environment(PumpTwin(Pump()), every_h=5.3, duration_h=400.0)])
@pytest.mark.parametrize("count", [1, 50, 144])
def test_what_is_seen_equals_the_offline_episodes_bit_for_bit(environment, count):
    orders = some_orders if environment is ENVIRONMENT else lambda now: ()
    moments = played(environment, 3, orders)
    whole = offline(environment, moments[-1])
    for now in moments:
        for key, channel in environment.channels.items():
            end = int(np.sum(np.arange(len(whole[key].values)) * channel.step_h < now.time_h))
            wanted = np.concatenate((np.full(count, np.nan, np.float32), whole[key].values[:end]))[-count:]
            if channel.role is not Role.TRUTH:
                assert now.observation.read(*key, count).tobytes() == wanted.tobytes(), (key, now.time_h)


def test_without_actions_the_run_is_that_of_a_dataset():
    moment = played(ENVIRONMENT, 5)[-1]
    run = TWIN.world.run(TWIN.world.start(5), 240.0)
    assert moment.trace == run.trace
    assert moment.state == run.state


@settings(max_examples=15, deadline=None)
@given(lines(), st.integers(0, 2**40), st.sampled_from([0.7, 4.0, 11.0]))
def test_steps_come_to_the_same_run_however_they_are_cut(world, seed, every_h):
    """Any line, any interval, past the point where old stretches are joined: the windows stay those of the whole."""
    environment = Environment(LineTwin(world), every_h=every_h, duration_h=60.0)
    moments = played(environment, seed)
    assert len(moments[-1].past) <= 2 * RECENT
    state = world.start(seed)
    for action in filter(None, map(environment.twin.hold, world.machines)):
        state = world.act(state, action)
    assert moments[-1].trace == world.run(state, 60.0).trace
    whole, now = offline(environment, moments[-1]), moments[len(moments) // 2]
    for key, channel in environment.channels.items():
        if channel.role is not Role.TRUTH:
            end = int(np.sum(np.arange(len(whole[key].values)) * channel.step_h < now.time_h))
            assert now.observation.read(*key, end).tobytes() == whole[key].values[:end].tobytes()


def test_an_observation_is_the_same_whatever_is_to_come():
    """Two worlds that part at a moment are seen alike until then; the state, which knows better, is no part of it."""
    now = played(ENVIRONMENT, 4, some_orders)[12]
    other = replace(now, state=TWIN.world.resample(now.state, 99))
    for one, two in ((now, other), (pickle.loads(pickle.dumps(now)), now)):
        assert one.observation == two.observation
        for key, channel in ENVIRONMENT.channels.items():
            if channel.role is not Role.TRUTH:
                assert one.observation.read(*key, 60).tobytes() == two.observation.read(*key, 60).tobytes()
    assert not hasattr(now.observation, "state")
    later = [ENVIRONMENT.step(m) for m in (now, other)]
    assert later[0].past[-1].signals != later[1].past[-1].signals
    assert max(trace.end_h for trace in now.observation.past) == now.time_h


def test_a_moment_is_a_value():
    now = played(ENVIRONMENT, 4)[10]
    before = pickle.dumps(now)
    left, right = ENVIRONMENT.step(now), ENVIRONMENT.step(now, [TWIN.maintain("m1")])
    assert left == ENVIRONMENT.step(pickle.loads(before))
    assert left != right
    assert left.past[:-1] == right.past[:-1]
    now.observation.read("m1", "operating_age", 3)
    assert pickle.dumps(now) == before


def test_truth_is_refused_as_a_reading_and_told_to_an_inspector():
    now = played(ENVIRONMENT, 4)[10]
    with pytest.raises(InputError, match="m1/wear is hidden truth"):
        now.observation.read("m1", "wear", 1)
    with pytest.raises(InputError, match=r"no channel m1/weer; there is .*wear"):
        now.observation.inspect("m1", "weer")
    assert now.observation.inspect("m1", "wear") == now.trace["m1", "wear"].at(now.time_h)


def test_policies_inside_the_world_are_held():
    kept = Station(Lognormal(1 / 6, 0.1), wear=STATION.wear, policy=AgeReplacement(5.0))
    moment = played(Environment(LineTwin(Line((kept,))), every_h=24.0, duration_h=240.0), 1)[-1]
    assert {e.kind for e in moment.trace.events} == {"action", "failure", "renewal"}


def test_the_account_follows_from_the_trace():
    moments = played(ENVIRONMENT, 3, some_orders)
    account, trace = moments[-1].account, moments[-1].trace
    events = [e.kind for e in trace.events]
    assert (account.failures, account.planned) == (events.count("failure"), events.count("planned"))
    assert account.planned > 3
    assert account.inspections == events.count("inspection") == sum(round(m.time_h / 8) % 4 == 1 for m in moments[:-1])
    down_h = 0.0
    for machine in TWIN.assets:
        phase = trace[machine, "phase"]
        down_h += np.diff(np.append(phase.time_h, 240.0))[phase.value >= 3].sum()  # waiting, repairing, maintaining
    assert account.down_h == pytest.approx(down_h, rel=1e-12)
    assert account.availability == pytest.approx(1 - down_h / 480)
    assert account.parts == trace["m2", "parts"].value[-1]
    assert account.throughput == account.parts / 240
    assert account.parts + account.lost == pytest.approx(240 * 6)
    steps = [after.cost - before.cost for before, after in pairwise(moments)]
    assert sum(steps) == pytest.approx(moments[-1].cost)
    cost = 8 * account.failures + 2 * account.planned + 0.05 * account.inspections + 0.5 * down_h + 0.1 * account.lost
    assert moments[-1].cost == pytest.approx(cost)


def test_time_down_goes_on_to_the_end_of_the_account():
    events = [Event(1.0, "a", "failure"), Event(2.0, "b", "planned"), Event(4.0, "a", "renewal")]
    assert Account.of(events, 2, 10.0).down_h == 3 + 8


def test_arrivals_that_find_no_room_are_lost():
    world = Line((STATION,), arrivals=Exponential(0.1), queue=2)
    moment = played(Environment(LineTwin(world), every_h=12.0, duration_h=120.0), 1)[-1]
    assert moment.account.lost == sum(e.kind == "lost" for e in moment.trace.events) > 0


BOOKED = replace(ENVIRONMENT, lead_h=20.0)


def bookings(now):
    """Work on m1 ordered at every decision; what is ordered twice is done once."""
    return [BOOKED.maintain("m1")] * 2


def test_work_is_done_when_its_lead_time_is_over():
    moments = played(BOOKED, 3, bookings)
    trace = moments[-1].trace
    planned_h = [e.time_h for e in trace.events if e.kind == "planned"]
    assert len(planned_h) >= 4
    assert all((time_h - 20.0) % 8.0 == 0 for time_h in planned_h)  # between decisions, too
    free = [now.time_h for now in moments if "m1" in now.observation.free]
    ordered_h = {time_h - 20.0 for time_h in planned_h}
    assert ordered_h <= set(free)
    for now in moments:
        assert [b.asset for b in now.booked] in ([], ["m1"])
        assert all(b.due_h - b.since_h == 20.0 and b.due_h >= now.time_h for b in now.booked)


def test_work_on_what_was_renewed_or_is_down_falls_through():
    moments = played(BOOKED, 3, bookings)
    events = [e for e in moments[-1].trace.events if e.entity == "m1" and e.kind != "action"]
    assert "failure" in {e.kind for e in events}
    renewed_h = 0.0
    for event in events:
        if event.kind == "renewal":
            renewed_h = event.time_h
        if event.kind == "planned":
            assert event.time_h - 20.0 >= renewed_h


def test_what_is_booked_is_part_of_a_moment():
    before = played(BOOKED, 3, bookings)[7]
    assert before.booked
    copy = pickle.loads(pickle.dumps(before))
    assert BOOKED.step(copy, bookings(copy)) == BOOKED.step(before, bookings(before))
    none, some = BOOKED.start(1), BOOKED.run(BOOKED.start(1), bookings(None), 0.0)
    assert BOOKED.run(none, (), 100.0).trace != BOOKED.run(some, (), 100.0).trace


def test_a_twin_without_assets_can_be_watched():
    environment = Environment(HouseTwin(House()), every_h=100.0, duration_h=1000.0)
    moment = played(environment, 2)[-1]
    prices = offline(environment, moment)["market", "price"].values
    np.testing.assert_array_equal(moment.observation.read("market", "price", 5), prices[-5:])
    assert moment.account.failures == 0


def test_nonsense_is_refused():
    with pytest.raises(InputError, match=r"Environment\.every_h"):
        Environment(TWIN, every_h=0.0)
    with pytest.raises(InputError, match=r"Environment\.lead_h"):
        Environment(TWIN, lead_h=-1.0)
    with pytest.raises(InputError, match=r"Prices\.planned"):
        Prices(planned=-1.0)
    with pytest.raises(InputError, match="the run of 240 h is over"):
        ENVIRONMENT.step(played(ENVIRONMENT, 1)[-1])
    with pytest.raises(InputError, match="no machine 'm9'"):
        ENVIRONMENT.step(ENVIRONMENT.start(1), [OrderMaintenance("m9")])
