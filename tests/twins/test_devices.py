"""The twin of devices: windows alone, lives as labels, alarms that add up, sensors that tell of wear."""

from dataclasses import replace

import numpy as np
import pytest

from sim.devices import PUMP, VENTILATOR, Devices, Service
from sim.errors import InputError
from sim.wear import Wiener
from twins.channel import Role
from twins.devices import DevicesTwin, Reading
from twins.episode import Episode
from twins.sensors.noise import Noise

WORLD = Devices((replace(PUMP, wear=Wiener(1 / 120, 0.02, levels=20)), VENTILATOR))
TWIN = DevicesTwin(WORLD)
EXACT = replace(TWIN, readings=tuple(replace(reading, noise=Noise()) for reading in TWIN.readings))
RUN = WORLD.run(WORLD.start(2), 1500.0)
EPISODES = {episode.asset: episode for episode in EXACT.observe(RUN)}


def values(asset, quantity):
    return next(s.values for s in EPISODES[asset].series if s.quantity == quantity)


def test_any_window_equals_that_window_of_the_whole():
    whole = {s.key: s.values for episode in TWIN.observe(RUN) for s in episode.series}
    for channel in TWIN.channels:
        for start, count in ((0, 5), (300, 90), (749, 1)):
            window = TWIN.render(RUN.trace, channel, start, count)
            assert np.array_equal(window, whole[channel.key][start : start + count], True), channel.key


def test_a_life_ends_with_its_failure_or_is_cut_by_a_service():
    first = WORLD.run(WORLD.start(2), 40.0)
    served = first.trace + WORLD.run(WORLD.act(first.state, Service("ventilator1")), 1500.0).trace
    causes = {}
    for trace in (RUN.trace, served):
        for episode in TWIN.observe(RUN._replace(trace=trace)):
            failures = [(e.time_h, e.cause) for e in trace.events if (e.entity, e.kind) == (episode.asset, "failure")]
            assert [(s.end_h, s.cause) for s in episode.spells if s.cause in ("wear", "sudden")] == failures
            causes[episode.asset] = {s.cause for s in episode.spells}
    assert "planned" in causes["ventilator1"]
    assert "wear" in causes["pump1"]


def test_alarms_add_up_and_come_more_often_as_a_device_wears():
    for name in WORLD.names:
        happened = [e.time_h for e in RUN.trace.events if (e.entity, e.kind) == (name, "alarm")]
        assert values(name, "alarms").sum() == sum(time_h <= 1498.0 for time_h in happened)
    pumps = [name for name in WORLD.names if name.startswith("pump")]
    alarms, wear, used = (np.concatenate([values(n, q) for n in pumps]) for q in ("alarms", "wear", "in_use"))
    worn, new = (used > 0) & (wear > 0.7), (used > 0) & (wear < 0.3)
    assert alarms[worn].mean() > 2 * alarms[new].mean()


def test_sensors_tell_of_wear_where_the_device_is_used():
    current, wear, load = (values("pump1", q) for q in ("motor_current", "wear", "load"))
    assert np.allclose(current, np.where(load > 0, 0.10 + 0.06 * load + 0.05 * wear**2, 0.02), atol=1e-6)
    age = values("pump1", "operating_age")
    assert age.max() < 400
    assert (np.diff(age) >= 0).mean() > 0.9
    assert {s.quantity for s in EPISODES["pump1"].series if s.role is Role.TRUTH} == {"wear", "load", "phase"}


def test_a_kind_without_a_sensor_is_refused():
    with pytest.raises(InputError, match="ventilator"):
        DevicesTwin(WORLD, readings=(Reading("pump", "current", "A", 0.0, 1.0),))


def test_readings_of_an_unknown_kind_and_an_epoch_that_is_no_time_are_refused():
    with pytest.raises(InputError, match=r"DevicesTwin\.readings"):
        DevicesTwin(Devices(), readings=(*DevicesTwin.readings, replace(DevicesTwin.readings[0], kind="pmup")))
    with pytest.raises(InputError, match=r"epoch is 'yesterday'; it must be ISO 8601"):
        Episode(0, "p1", (), epoch="yesterday")
