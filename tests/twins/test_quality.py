"""The twin of an inspected line: windows alone, pictures through the store, and chances that are what they say."""

import math
from dataclasses import replace

import numpy as np
import pytest

from sim.errors import InputError
from sim.laws import Lognormal
from sim.line import Line, Station
from sim.quality import Flaw, Inspected
from sim.wear import Wiener
from twins.dataset import Plan, ensure
from twins.quality import CHANCE, WEAR_CHANCE, QualityTwin
from twins.sensors.camera import Camera
from twins.sensors.render import render
from twins.sensors.sound import Pickup

WORN = Station(Lognormal(0.5, 0.2), wear=Wiener(1 / 60, 0.02), repair=Lognormal(3.0, 0.5))
WORLD = Inspected(Line((WORN, WORN), (3,)), (Flaw("m1", "scratch"), Flaw("m2", "stain")), misses=0.3)
TWIN = QualityTwin(WORLD)
RUN = WORLD.run(WORLD.start(5), 1200.0)
(EPISODE,) = TWIN.observe(RUN)
SERIES = {s.key: s for s in EPISODE.series}


def test_any_window_equals_that_window_of_the_whole():
    for channel in TWIN.channels:
        whole = SERIES[channel.key].values
        for start, count in ((0, 5), (100, 40), (len(whole) - 1, 1)):
            assert np.array_equal(TWIN.render(RUN.trace, channel, start, count), whole[start : start + count], True)


def test_a_longer_run_never_changes_what_was_seen():
    early = next(iter(TWIN.observe(WORLD.run(WORLD.start(5), 300.0))))
    for series in early.series:
        assert np.array_equal(series.values, SERIES[series.key].values[: len(series.values)], True), series.key


def test_pictures_come_back_from_the_store_bit_for_bit_whoever_makes_them(tmp_path):
    plan = Plan(train=2, validation=1, test=0, duration_h=40.0, runs_per_shard=1)
    one, two = (ensure(TWIN, plan, tmp_path / str(n), workers=n) for n in (1, 2))
    assert one.manifest["content"] == two.manifest["content"]
    made = next(iter(TWIN.observe(WORLD.run(WORLD.start(1), 40.0))))
    (stored,) = (e for e in one.episodes("train") if e.run == 1)
    for a, b in zip(made.series, stored.series, strict=True):
        assert (a.key, a.shape, a.role) == (b.key, b.shape, b.role)
        assert np.array_equal(a.values, b.values, True)
        assert np.array_equal(a.clock_h(), b.clock_h())
    shown = {c["quantity"]: c.get("shape") for c in one.channels}
    assert shown["picture"] == shown["marks"] == [32, 32]
    assert shown["verdict"] is None
    assert "frames of 32 × 32" in (one.path / "README.md").read_text()


def test_who_knows_more_of_the_truth_scores_better():
    bad, verdict = SERIES["q1", "defective"].values, SERIES["q1", "verdict"].values
    rate = np.where(verdict == 1, bad[verdict == 1].mean(), bad[verdict == 0].mean())
    known, worn = SERIES["q1", CHANCE].values, SERIES["q1", WEAR_CHANCE].values
    brier = [float(np.mean((p - bad) ** 2)) for p in (known, worn, rate)]
    assert brier[0] < 0.8 * brier[1] < 0.8 * brier[2]
    for p in (known, worn):  # calibrated: what is left over has the mean and the spread that the chances say
        assert abs((bad - p).sum()) < 4 * np.sqrt((p * (1 - p)).sum())
        assert np.mean((p - bad) ** 2) == pytest.approx(np.mean(p * (1 - p)), rel=0.15)


def test_the_planted_oracle_that_forgets_the_verdict_is_worse():
    bad = SERIES["q1", "defective"].values
    severity = np.stack([RUN.trace["q1", f"{f.machine} {f.kind}"].value[1:] for f in WORLD.flaws], axis=1)
    without = WORLD.chance(severity)
    assert np.mean((without - bad) ** 2) > 1.1 * np.mean((SERIES["q1", CHANCE].values - bad) ** 2)


def test_sensors_are_read_while_the_part_is_worked():
    channel = next(c for c in TWIN.channels if c.key == ("m2", "vibration_high"))
    clean = render(RUN.trace, replace(channel, noise=type(channel.noise)()))
    wear = RUN.trace["m2", "wear"].at(RUN.trace["q1", "m2 worked"].value[1:])
    want = TWIN.sensors.high(1.0, np.ones(len(wear)), np.ones(len(wear)), wear)
    assert np.allclose(clean, want, rtol=1e-6)


def test_without_pictures_there_are_none():
    (plain,) = replace(TWIN, pictures=False).observe(RUN)
    assert all(not s.shape for s in plain.series)


def test_a_pickup_records_the_end_of_each_operation_as_the_machine_sounds_then():
    pickup = Pickup("m1", samples=400)
    (heard,) = QualityTwin(WORLD, pictures=False, pickups=(pickup,)).observe(RUN)
    wave = next(s for s in heard.series if s.quantity == "waveform")
    done_h = RUN.trace["q1", "m1 worked"].value[1:]
    assert (wave.entity, wave.unit, wave.shape, len(wave.values)) == ("m1", "mm/s", (400,), len(done_h))
    rate_hz = pickup.vibration.rate_hz
    for n in (0, 7, len(done_h) - 1):
        first = math.ceil(done_h[n] * 3600 * rate_hz) - 400
        assert np.array_equal(wave.values[n], pickup.vibration.samples(RUN.trace, "m1", first, 400))
    worn = RUN.trace["q1", "m1 wear"].value[1:]
    loud = (wave.values**2).mean(1)
    assert loud[worn > 0.8].mean() > 1.2 * loud[worn < 0.4].mean()
    early = next(iter(QualityTwin(WORLD, pictures=False, pickups=(pickup,)).observe(WORLD.run(WORLD.start(5), 300.0))))
    assert np.array_equal(early.series[-1].values, wave.values[: len(early.series[-1].values)])


def test_pickups_on_what_marks_nothing_are_refused():
    for pickups in ((Pickup("m9"),), (Pickup("m1"), Pickup("m1", 64))):
        with pytest.raises(InputError, match="each on another machine that marks parts, m1, m2"):
            QualityTwin(WORLD, pickups=pickups)


def test_a_camera_over_another_station_is_refused():
    with pytest.raises(InputError, match="one over the station that inspects, q1"):
        QualityTwin(WORLD, Camera("m1"))
