"""The line's twin: what sensors see of regime and wear, what the labels say, and what stays in the drawer."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from sim.errors import InputError
from sim.laws import Deterministic, Exponential, Lognormal
from sim.line import (
    AgeReplacement,
    BlockReplacement,
    Hold,
    Inspection,
    Leaves,
    Line,
    Opportunistic,
    OrderMaintenance,
    Phase,
    RunToFailure,
    SetSpeed,
    Station,
    Sudden,
    WearThreshold,
)
from sim.wear import Wiener
from tests.sim.strategies import lines
from twins.channel import Role
from twins.episode import CENSORED, PLANNED
from twins.line import LineSensors, LineTwin
from twins.sensors.render import clean

WEAR = Wiener(drift_per_h=1 / 60, diffusion_per_sqrt_h=0.02, spread_cv=0.2)


def line(policy=RunToFailure(), stations=2, **other) -> Line:  # noqa: B008
    station = Station(Lognormal(1 / 6, 0.1), wear=WEAR, repair=Exponential(5.0), policy=policy, **other)
    return Line((station,) * stations, (10,) * (stations - 1))


def observed(twin, until_h=400.0, seed=1):
    run = twin.world.run(twin.world.start(seed), until_h)
    return run.trace, {episode.asset: episode for episode in twin.observe(run)}


def test_each_machine_is_an_episode_with_its_sensors_and_the_buffers_beside_it():
    _, episodes = observed(LineTwin(line(stations=3)))
    assert list(episodes) == ["m1", "m2", "m3"]
    beside = {m: [s.quantity for s in e.series if s.quantity.startswith("buffer")] for m, e in episodes.items()}
    assert beside == {"m1": ["buffer_after"], "m2": ["buffer_before", "buffer_after"], "m3": ["buffer_before"]}
    for episode in episodes.values():
        assert (episode.run, episode.end_h) == (1, 400.0)
        assert {len(s.values) for s in episode.series} == {2400}
        assert {s.values.dtype for s in episode.series} == {np.dtype(np.float32)}
        assert [s.quantity for s in episode.series if s.role is Role.TRUTH] == ["wear", "rate"]
        assert {e.entity for e in episode.events} == {episode.asset}


@settings(max_examples=10)
@given(lines())
def test_channels_are_unique_and_are_what_the_episodes_hold(world):
    twin = LineTwin(world)
    keys = [channel.key for channel in twin.channels]
    assert len(set(keys)) == len(keys)
    _, episodes = observed(twin, 30.0)
    assert {s.key for e in episodes.values() for s in e.series} == set(keys)
    for episode in episodes.values():
        assert {s.entity for s in episode.series} == {episode.asset}


def test_a_twin_and_its_channels_travel_to_workers():
    twin = LineTwin(line())
    assert pickle.loads(pickle.dumps(twin)) == twin
    trace, _ = observed(twin, 30.0)
    for channel in pickle.loads(pickle.dumps(twin.channels)):
        assert len(twin.render(trace, channel, 0, 180)) == 180


def reading(twin, trace, quantity, machine="m1"):
    channel = next(c for c in twin.channels if c.key == (machine, quantity))
    return clean(trace, channel).astype(np.float64)


def test_sensors_follow_regime_speed_and_wear():
    twin = LineTwin(line(stations=1))
    trace, _ = observed(twin)
    phase, wear = reading(twin, trace, "state"), reading(twin, trace, "wear")
    new, worn, down = (phase == Phase.WORKING) & (wear < 0.1), (phase == Phase.WORKING) & (wear > 0.8), phase > 2
    rises = {}
    for quantity in ("vibration_rms", "vibration_low", "vibration_high", "motor_current", "acoustic_level"):
        x = reading(twin, trace, quantity)
        assert x[down].max() < x[new].min() <= x[new].max() < x[worn].min(), quantity
        half = x[(phase == Phase.WORKING) & (abs(wear - 0.4) < 0.05)].mean()
        rises[quantity] = (half - x[new].min()) / (x[worn].max() - x[new].min())
    assert rises["vibration_high"] > 4 * rises["vibration_low"], "the high band answers to wear earlier"
    rms, low, high = (reading(twin, trace, f"vibration_{part}") for part in ("rms", "low", "high"))
    assert rms**2 == pytest.approx(twin.sensors.vibration_floor_mm_s**2 + low + high, rel=1e-5)
    state = twin.world.act(twin.world.start(1), SetSpeed("m1", 2.0))
    fast = twin.world.run(state, 1.0).trace
    assert reading(twin, fast, "vibration_low")[0] == pytest.approx(4 * reading(twin, trace, "vibration_low")[0])


def test_the_bearing_lags_behind_and_the_hour_counter_starts_anew():
    twin = LineTwin(line(stations=1))
    trace, _ = observed(twin)
    celsius, age = reading(twin, trace, "bearing_temperature"), reading(twin, trace, "operating_age")
    s, step_h = twin.sensors, twin.step_h
    steady = s.ambient_cel + s.idle_rise_k + s.working_rise_k  # plus what wear adds
    assert celsius[0] == s.ambient_cel
    assert celsius[3] - s.ambient_cel == pytest.approx((1 - np.exp(-1.0)) * (steady - s.ambient_cel), rel=0.01)
    failure_h, renewal_h = (next(e.time_h for e in trace.events if e.kind == kind) for kind in ("failure", "renewal"))
    k = int(renewal_h / step_h)
    assert age[: int(failure_h / step_h)] == pytest.approx(np.arange(int(failure_h / step_h)) * step_h, abs=1e-3)
    assert age[k] == pytest.approx(failure_h, rel=1e-6)
    assert age[k + 1] == pytest.approx((k + 1) * step_h - renewal_h, abs=1e-4)


def test_default_noise_shows_wear_and_leaves_doubt():
    twin = LineTwin(line(stations=1))
    trace, _ = observed(twin)
    wear, phase = reading(twin, trace, "wear"), reading(twin, trace, "state")
    channel = next(c for c in twin.channels if c.quantity == "vibration_rms")
    x = twin.render(trace, channel, 0, 2400)
    seen = (phase == Phase.WORKING) & ~np.isnan(x)
    assert 0.6 < np.corrcoef(x[seen], wear[seen])[0, 1] < 0.97


def test_spells_tell_each_life_once():
    sudden = Sudden(Exponential(80.0))
    trace, episodes = observed(LineTwin(line(sudden=sudden)), 1000.0)
    for asset, episode in episodes.items():
        ends = [(e.time_h, e.cause) for e in trace.events if (e.entity, e.kind) == (asset, "failure")]
        assert [(s.end_h, s.cause) for s in episode.spells if s.cause] == ends
        assert {cause for _, cause in ends} == {"wear", "sudden"}
        renewals = [e.time_h for e in trace.events if (e.entity, e.kind) == (asset, "renewal")]
        assert [s.start_h for s in episode.spells] == [0.0, *renewals]
        for spell in episode.spells:
            assert 0 < spell.operating_h <= spell.end_h - spell.start_h + 1e-9
            if spell.cause:
                assert (spell.unmaintained_h, spell.unmaintained_operating_h) == (
                    spell.end_h - spell.start_h,
                    spell.operating_h,
                )
    last = episodes["m1"].spells[-1]
    assert last.cause != CENSORED or (last.end_h == 1000.0 and np.isnan(last.unmaintained_h))


def test_unmaintained_lives_are_those_of_a_line_that_runs_to_failure():
    """A saturated machine that works parts of a fixed time: only its own life decides."""
    for policy in (WearThreshold(0.7), AgeReplacement(20.0)):
        kept, failed = (
            observed(LineTwin(Line((Station(Deterministic(0.25), wear=WEAR, policy=p),))), 300.0)[1]["m1"].spells
            for p in (policy, RunToFailure())
        )
        first = kept[0]
        assert first.cause == PLANNED
        assert first.end_h < failed[0].end_h
        assert first.unmaintained_h == pytest.approx(failed[0].end_h, abs=1e-9)
        assert first.unmaintained_operating_h == pytest.approx(failed[0].operating_h, abs=1e-9)


@pytest.mark.parametrize(
    "policy",
    [BlockReplacement(20.0), Inspection(9.0, 0.2), Inspection(9.0, 0.2, Deterministic(0.5)), Opportunistic(0.2, 0.5)],
    ids=str,
)
def test_unmaintained_lives_are_right_for_every_policy_and_what_work_leaves(policy):
    """What the unit would have lived in operation, against the same unit held from the start of its life."""
    station = Station(Deterministic(0.25), wear=WEAR, maintenance=Deterministic(1.5), policy=policy)
    left = Leaves(wear=0.5)
    for each in (station, replace(station, maintenance_leaves=left, repair_leaves=left)):
        world = Line((each, replace(each, sudden=Sudden(Exponential(30.0)))), (3,))
        trace, episodes = observed(LineTwin(world), 300.0)
        kinds = {s.cause for s in episodes["m1"].spells}
        assert PLANNED in kinds
        for asset, episode in episodes.items():
            for spell in [s for s in episode.spells if s.cause == PLANNED][:3]:
                state = world.run(world.start(trace.seed), spell.start_h).state
                held = Hold(asset)
                just = world.run(state, np.nextafter(spell.end_h, 0.0)).state
                future = world.run(world.act(just, held), 3000.0).trace
                fails_h = next(e.time_h for e in future.events if (e.entity, e.kind) == (asset, "failure"))
                assert spell.unmaintained_h == pytest.approx(fails_h - spell.start_h, rel=1e-9)


def test_an_order_on_one_machine_is_an_opportunity_that_another_could_have_gone_without():
    sure = Wiener(1 / 60, 1e-4)
    world = Line(
        tuple(Station(Deterministic(0.25), wear=sure, policy=p) for p in (RunToFailure(), Opportunistic(0.1))), (9,)
    )
    first, state = world.run(world.start(3), 20.0)
    rest = world.run(world.act(state, OrderMaintenance("m1")), 40.0)
    episodes = {e.asset: e for e in LineTwin(world).observe(rest._replace(trace=first + rest.trace))}
    spell = episodes["m2"].spells[0]
    assert (spell.end_h, spell.cause) == (20.0, PLANNED)
    assert spell.unmaintained_operating_h == pytest.approx(60.0, rel=0.01)


def test_every_unmaintained_life_of_a_certain_unit_is_certain():
    station = Station(
        Deterministic(0.25),
        sudden=Sudden(Deterministic(31.0)),
        maintenance=Deterministic(2.0),
        policy=AgeReplacement(12.0),
    )
    _, episodes = observed(LineTwin(Line((station, station), (1,))), 200.0)
    for episode in episodes.values():
        planned = [s for s in episode.spells if s.cause == PLANNED]
        assert len(planned) > 8
        assert [s.unmaintained_operating_h for s in planned] == pytest.approx([31.0] * len(planned))
        # The neighbour goes on being maintained every 12 h, and each time this machine starves or is blocked.
        assert all(s.unmaintained_h > 33.0 for s in planned)


def test_unmaintained_lives_survive_actions():
    twin = LineTwin(Line((Station(Deterministic(0.25), sudden=Sudden(Deterministic(31.0))),)))
    first, state = twin.world.run(twin.world.start(3), 5.0)
    for action in (SetSpeed("m1", 2.0), OrderMaintenance("m1")):
        state = twin.world.act(state, action)
    rest = twin.world.run(state, 20.0)
    (episode,) = twin.observe(rest._replace(trace=first + rest.trace))
    ordered = episode.spells[0]
    assert (ordered.end_h, ordered.cause, ordered.unmaintained_operating_h) == (5.0, PLANNED, pytest.approx(31.0))


def test_a_unit_that_never_fails_has_no_unmaintained_life():
    twin = LineTwin(Line((Station(Deterministic(0.25), policy=AgeReplacement(12.0)),)), unmaintained_limit_h=250.0)
    _, episodes = observed(twin, 30.0)
    assert np.isnan(episodes["m1"].spells[0].unmaintained_h)


def test_only_a_machine_with_a_policy_is_held():
    twin = LineTwin(replace(line(), stations=(line().stations[0], line(WearThreshold(0.5)).stations[0])))
    assert (twin.hold("m1"), twin.hold("m2")) == (None, Hold("m2"))


def test_nonsense_is_refused_by_name():
    with pytest.raises(InputError, match=r"LineTwin\.step_h"):
        LineTwin(line(), step_h=0.0)
    with pytest.raises(InputError, match=r"LineSensors\.temperature_tau_h"):
        LineSensors(temperature_tau_h=-1.0)


def test_a_future_that_the_seed_does_not_tell_has_no_unmaintained_lives():
    twin = LineTwin(Line((Station(Deterministic(0.25), wear=WEAR, policy=WearThreshold(0.7)),)))
    first, state = twin.world.run(twin.world.start(3), 20.0)
    rest = twin.world.run(twin.world.resample(state, 4), 300.0)
    (episode,) = twin.observe(rest._replace(trace=first + replace(rest.trace, seed=3)))
    assert episode.spells[0].cause == PLANNED
    assert np.isnan(episode.spells[0].unmaintained_h)
