"""Waveforms: any stretch equals that of the whole; bands carry what the sensors read; blows come at their rate."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.laws import Deterministic, Exponential
from sim.line import Line, Phase, Station, Sudden
from sim.trace import Signal, Trace
from twins.line import LineSensors
from twins.sensors.sound import Vibration, band_energy

VIBRATION = Vibration()
LINE = Line((Station(Deterministic(0.001), sudden=Sudden(Exponential(0.005)), repair=Exponential(0.002)),))
WHOLE = LINE.run(LINE.start(2), 0.02).trace  # 72 seconds with stops
SOUND = VIBRATION.waveform(WHOLE, "m1", 0.0, 72.0)


def steady(wear, speed=1.0, phase=Phase.WORKING):
    values = {"phase": phase, "speed": speed, "wear": wear}
    return Trace(5, 0.0, 1.0, {("m1", name): Signal.step([0.0], [v]) for name, v in values.items()})


@given(st.integers(0, 1_400_000), st.integers(0, 3000))
def test_any_stretch_equals_that_stretch_of_the_whole(first, count):
    assert np.array_equal(VIBRATION.samples(WHOLE, "m1", first, count), SOUND[first : first + count])


@pytest.mark.parametrize("speed", [0.7, 1.3])
@pytest.mark.parametrize("wear", [0.0, 0.5, 0.95])
def test_band_energies_are_those_of_the_sensors(wear, speed):
    """Within 10 % over ten seconds; a machine heard at 1.15 times its speed is told apart."""
    x, s = VIBRATION.waveform(steady(wear, speed), "m1", 0.5, 10.0), LineSensors()
    low, high = band_energy(x, VIBRATION.rate_hz, 10, 1000), band_energy(x, VIBRATION.rate_hz, 1000, 1e9)
    assert low == pytest.approx(s.low(1.0, Phase.WORKING, speed, wear), rel=0.1)
    assert high == pytest.approx(s.high(1.0, Phase.WORKING, speed, wear), rel=0.1)
    assert low != pytest.approx(s.low(1.0, Phase.WORKING, 1.15 * speed, wear), rel=0.1)
    assert high != pytest.approx(s.high(1.0, Phase.WORKING, 1.15 * speed, wear), rel=0.1)


def test_a_machine_at_rest_only_shakes_with_the_hall():
    x = VIBRATION.waveform(steady(0.9, phase=Phase.STARVED), "m1", 0.1, 10.0)
    assert band_energy(x, VIBRATION.rate_hz, 10, 1e9) < 0.01
    assert np.mean(x**2) == pytest.approx(LineSensors().vibration_floor_mm_s ** 2, rel=0.1)


def test_blows_come_at_the_bearing_s_rate_where_it_is_worn():
    """The spectrum of the envelope about the resonance has its line at the rate of the blows, and none when new."""

    def line(wear, rate_hz):
        steadier = replace(VIBRATION, jitter=0.0)
        x = steadier.waveform(steady(wear), "m1", 0.5, 10.0).astype(float)
        spectrum, hz = np.fft.rfft(x), np.fft.rfftfreq(len(x), 1 / steadier.rate_hz)
        ringing = np.fft.irfft(np.where(hz > 2000, spectrum, 0), len(x))
        envelope = np.abs(np.fft.rfft(ringing**2))
        near = np.abs(hz - rate_hz) < 1
        return envelope[near].max() / np.median(envelope[(hz > 20) & (hz < 300)])

    rate_hz = VIBRATION.blows * VIBRATION.shaft_hz
    assert line(0.9, rate_hz) > 40
    assert line(0.0, rate_hz) < 8
    assert line(0.9, 0.9 * rate_hz) < 8


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Vibration(rate_hz=0), "rate_hz is 0; it must be above 0"),
        (lambda: Vibration(split_hz=9000.0), "split_hz"),
        (lambda: Vibration(resonance_hz=1500.0), "resonance_hz"),
        (lambda: Vibration(harmonics=(0.0,)), "harmonics"),
        (lambda: VIBRATION.waveform(WHOLE, "m1", 0.019, 60.0), "the trace owns 0 to 1439999"),
        (lambda: VIBRATION.waveform(WHOLE, "m9", 0.0, 1.0), "no signal m9/phase"),
    ],
)
def test_bad_input_is_one_sentence(make, message):
    with pytest.raises(InputError, match=message):
        make()
