"""What a step is worth agrees with the derivative of the chain, and pairing is what makes it visible."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from sim.errors import InputError
from sim.laws import Deterministic, Exponential
from sim.line import Line, Station, Sudden, theory
from sim.line.bottleneck import Perturbed

RATES = {"rate1": 1.0, "rate2": 1.2, "failure1": 0.02, "repair1": 0.2, "failure2": 0.03, "repair2": 0.15, "buffer": 4}
ALPHA = 1e-3


def two_machines():
    stations = tuple(
        Station(
            Exponential(1 / RATES[f"rate{i}"]),
            sudden=Sudden(Exponential(1 / RATES[f"failure{i}"])),
            repair=Exponential(1 / RATES[f"repair{i}"]),
        )
        for i in (1, 2)
    )
    return Line(stations, (RATES["buffer"],))


def derivative(key, step=1e-4):
    """Of the chain's throughput with respect to the logarithm of a rate, in parts per hour and percent."""
    up, down = (theory.two_machine_unreliable(**RATES | {key: RATES[key] * (1 + s)}) for s in (step, -step))
    return (up - down) / (2 * step) * 0.01


def expected():
    wider, plain = (theory.two_machine_unreliable(**RATES | {"buffer": RATES["buffer"] + b}) for b in (1, 0))
    return {
        ("m1", "1 % more speed"): derivative("rate1"),
        ("m2", "1 % more speed"): derivative("rate2"),
        ("m1", "1 % shorter repairs"): derivative("repair1"),
        ("m2", "1 % shorter repairs"): derivative("repair2"),
        ("b1", "1 more place"): wider - plain,
    }


@pytest.fixture(scope="module")
def samples():
    perturbed = Perturbed(two_machines(), 300.0, 4e3)
    return np.array([perturbed(seed) for seed in range(24)])


@pytest.fixture(scope="module")
def gains(samples):
    return Perturbed(two_machines(), 300.0, 4e3).gains(samples, ALPHA)


def test_every_gain_is_the_derivative_of_the_chain(gains):
    exact = expected()
    assert [(g.place, g.step) for g in gains] == list(exact)
    for gain, value in zip(gains, exact.values(), strict=True):
        assert abs(gain.parts_per_h.value - value) < gain.parts_per_h.half_width, gain
        assert gain.parts_per_h.half_width < 0.6 * value, gain


def test_a_gain_of_the_wrong_machine_is_told_apart(gains):
    """The planted fault: machines exchanged. The second machine's repairs matter more, and the intervals say so."""
    found = {(g.place, g.step): g.parts_per_h for g in gains}
    exact = expected()
    wrong = [
        abs(found[first, step].value - exact[second, step]) > found[first, step].half_width
        for step in ("1 % more speed", "1 % shorter repairs")
        for first, second in (("m1", "m2"), ("m2", "m1"))
    ]
    assert any(wrong)


def test_pairing_takes_most_of_the_variance(gains, samples):
    apart = samples[1:, :, 1] - samples[:-1, :, 0]  # each side on a seed of its own
    together = samples[..., 1] - samples[..., 0]
    measured = apart.var(0, ddof=1) / together.var(0, ddof=1)
    assert measured.min() > 5
    assert [g.pairing for g in gains] == pytest.approx(measured, rel=0.8)


def test_a_machine_that_waits_gains_nothing_and_the_bottleneck_all():
    line = Line(
        (Station(Deterministic(1.0)), Station(Deterministic(2.0), machines=2), Station(Deterministic(1.6))), (5, 5)
    )
    perturbed = Perturbed(line, 100.0, 1600.0, step=0.1)
    gains = {(g.place, g.step): g.parts_per_h.value for g in perturbed.gains([perturbed(0), perturbed(1)], ALPHA)}
    assert gains["m3", "1 % more speed"] == pytest.approx(0.01 / 1.6, rel=1e-3)
    assert all(abs(value) < 1e-5 for (place, _), value in gains.items() if place != "m3")
    assert ("m2.1–m2.2", "1 % more speed") in gains
    assert not any("repairs" in step for _, step in gains)


def test_an_endless_buffer_is_no_lever_and_an_empty_one_only_grows():
    line = replace(two_machines(), buffers=(None,))
    assert len(Perturbed(line, 0.0, 1.0).levers) == 4
    lever = Perturbed(replace(line, buffers=(0,)), 0.0, 1.0).levers[-1]
    assert (lever.worse[0].buffers, lever.better[0].buffers, lever.units) == ((0,), (1,), 1)


def test_it_travels_to_workers_and_refuses_nonsense():
    perturbed = Perturbed(two_machines(), 10.0, 50.0)
    assert np.array_equal(pickle.loads(pickle.dumps(perturbed))(3), perturbed(3))
    with pytest.raises(InputError, match=r"Perturbed\.step is 1\.5"):
        Perturbed(two_machines(), 0.0, 1.0, step=1.5)
