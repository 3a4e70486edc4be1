"""A fitted twin, and the calibration that fits it: what was simulated is found again, and a fault in it is seen."""

import numpy as np
import pytest

from sim.errors import InputError
from sim.laws import Deterministic
from sim.line import Line, Station
from sim.wear import Cmapss
from twins.fitted import FittedTwin, Response, calibrate
from twins.sensors.noise import Noise

STEP_H = 2.0
SENSORS = (
    Response("pressure", 550.0, -2.5, 2.0, Noise(white=0.4, autocorrelated=0.3, correlation_h=300.0), "psi"),
    Response("speed", 9000.0, 45.0, 1.0, Noise(white=5.0)),
)
WEAR = Cmapss(a=(0.0014, 0.0026), scale_h=8.0, levels=200)


def twin(sensors=SENSORS, wear=WEAR):
    line = Line((Station(Deterministic(STEP_H), wear=wear, repair=Deterministic(1e9)),))
    return FittedTwin(line, sensors, STEP_H, counter="cycle")


def lives(twin, count=60, horizon_h=1200.0):
    """Records that end where the machine fails."""
    from dataclasses import replace

    found = []
    for seed in range(count):
        (episode,) = twin.observe(twin.world.run(twin.world.start(seed), horizon_h))
        life = episode.spells[0]
        n = int(life.end_h / STEP_H)
        series = tuple(replace(s, values=s.values[:n]) for s in episode.series)
        found.append(replace(episode, series=series, spells=(life,), end_h=life.end_h))
    return found


@pytest.fixture(scope="module")
def records():
    return lives(twin())


def unlike(found, records):
    """Whether the fit is not that of SENSORS and WEAR: sensors within 6 %, noise within 10 %, lives by their mean."""
    true_h = np.mean([e.spells[0].end_h for e in records])
    again = [e.spells[0].end_h for e in lives(twin(found.sensors, found.wear), 200)]
    apart = [abs(np.mean(again) / true_h - 1) > 0.04]
    for ours, theirs in zip(SENSORS, found.sensors, strict=True):
        apart.append(abs(theirs.gain / ours.gain - 1) > 0.06)
        apart.append(abs(theirs.noise.white / ours.noise.white - 1) > 0.1)
        apart.append(abs(theirs.level - ours.level) > 0.1 * abs(ours.gain))
        apart.append(abs(theirs.power / ours.power - 1) > 0.26)
    return any(apart)


def test_what_was_simulated_is_found_again(records):
    found = calibrate(records)
    assert not unlike(found, records)
    assert found.lives == 60
    assert found.life_distance < 0.12
    assert found.sensors[0].noise.autocorrelated == pytest.approx(0.3, rel=0.25)
    assert found.sensors[1].noise.autocorrelated < 1.0
    assert found.explained["speed"] > 0.8


@pytest.mark.parametrize("fault", ["gain", "noise", "lives"])
def test_a_planted_fault_of_a_sensor_or_of_the_lives_is_seen(records, fault):
    from dataclasses import replace

    first, second = SENSORS
    other = {
        "gain": (twin((replace(first, gain=1.15 * first.gain), second))),
        "noise": (twin((first, replace(second, noise=Noise(white=6.0))))),
        "lives": (twin(wear=replace(WEAR, scale_h=1.15 * WEAR.scale_h))),
    }[fault]
    assert unlike(calibrate(lives(other)), records)


def test_the_counter_counts_and_windows_equal_the_whole():
    world = twin()
    run = world.world.run(world.world.start(3), 400.0)
    (episode,) = world.observe(run)
    counted = next(s for s in episode.series if s.quantity == "cycle").values
    np.testing.assert_allclose(counted[:50], np.arange(1, 51))
    for channel in world.channels:
        whole = world.render(run.trace, channel, 0, 200)
        np.testing.assert_array_equal(world.render(run.trace, channel, 70, 40), whole[70:110])


def test_too_few_lives_and_names_that_clash_are_refused(records):
    with pytest.raises(InputError, match="2 of 2 records run to a failure; a calibration takes three or more"):
        calibrate(records[:2])
    with pytest.raises(InputError, match=r"FittedTwin\.sensors"):
        twin((SENSORS[0], SENSORS[0]))
