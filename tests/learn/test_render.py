"""Sensors rendered on the device: the same words as offline, and values equal to float32 rounding, in any window."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from learn.windows.render import Sensors, normal_pair, philox, render
from sim.errors import InputError
from sim.laws import Exponential, Lognormal
from sim.line import Line, Station, Sudden
from sim.wear import Wiener
from twins.channel import Role
from twins.line import LineTwin
from twins.sensors import kernels
from twins.sensors.noise import address
from twins.sensors.render import Panel

COUNT = 100
STATION = Station(
    Lognormal(0.5, 0.2), wear=Wiener(1 / 40, 0.03, levels=20), sudden=Sudden(Exponential(60.0)), repair=Exponential(4.0)
)
TWIN = LineTwin(Line((STATION,) * 2, (4,)), step_h=0.05)
TRACE = TWIN.world.run(TWIN.world.start(3), 400.0).trace
CHANNELS = tuple(c for c in TWIN.channels if c.role is not Role.TRUTH)
device = jax.jit(render, static_argnums=2)


def smooth(channel):
    return replace(channel, noise=replace(channel.noise, quantum=0.0, dropout=0.0))


def test_words_are_those_drawn_offline():
    whose, k = address(3, "m1", "v"), np.r_[np.arange(100), 2**32 - 1, 2**31].astype(np.uint32)
    key_0, key_1, c2, c3 = (jnp.uint32(int(word)) for word in whose)
    for c1 in (0, 1, 1 << 31):
        found = philox((jnp.asarray(k), jnp.full(len(k), c1, jnp.uint32), c2, c3), (key_0, key_1))
        for i in range(len(k)):
            words = kernels.philox(np.uint64(k[i]), np.uint64(c1), whose[2], whose[3], whose[0], whose[1])
            assert [int(word[i]) for word in found] == [int(word) & 0xFFFFFFFF for word in words]


def test_normals_are_those_drawn_offline():
    rng = np.random.default_rng(0)
    corners = np.array([0, 1, 2, 2**30, 2**31, 2**32 - 1, 2**32 - 2**8, 3037000500], np.uint32)
    w0, w1 = (x.ravel() for x in np.meshgrid(corners, corners))
    w0, w1 = np.r_[w0, rng.integers(0, 2**32, 2000, np.uint32)], np.r_[w1, rng.integers(0, 2**32, 2000, np.uint32)]
    wanted = np.array([kernels.normal_pair(a, b) for a, b in zip(w0, w1, strict=True)])
    found = np.stack(jax.jit(normal_pair)(w0, w1), 1)
    assert np.allclose(found, wanted, rtol=1e-6, atol=1e-6)
    assert not np.allclose(found, wanted[:, ::-1], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("start", [0, 28, 100, 1000, 4090, 8000 - COUNT])
def test_any_window_is_that_of_the_whole(start):
    panel = Panel.of(TRACE, map(smooth, CHANNELS))
    found, wanted = np.asarray(device(Sensors.of(panel), start, COUNT)), panel.render()[:, start : start + COUNT]
    assert found.shape == wanted.shape == (len(CHANNELS), COUNT)
    assert np.allclose(found, wanted, rtol=1e-6, atol=2e-6)
    other = panel.render()[:, start + 1 : start + 1 + COUNT]
    assert not np.allclose(found[:, : other.shape[1]], other, rtol=1e-6, atol=2e-6), "a sample late must not pass"


def test_gaps_and_rounding_are_those_of_the_whole():
    panel = Panel.of(TRACE, CHANNELS)
    sensors, wanted = Sensors.of(panel), panel.render()
    found = np.concatenate([np.asarray(device(sensors, k, COUNT)) for k in range(0, 8000, COUNT)], 1)
    assert np.array_equal(np.isnan(found), np.isnan(wanted))
    assert np.isnan(wanted).sum() > 100
    quanta = np.array([c.noise.quantum for c in CHANNELS], np.float32)[:, None]
    apart = np.nan_to_num(abs(found - wanted))
    assert (apart <= quanta * 1.01 + 2e-6 * abs(np.nan_to_num(wanted)) + 2e-6).all()
    assert (apart > 1e-4).mean() < 1e-3, "beyond a reading on the very edge of a quantum"


def test_a_training_step_renders_its_own_batch():
    """A line through each sensor's last reading, learnt from windows that no memory on the host has held."""
    sensors = Sensors.of(Panel.of(TRACE, [smooth(c) for c in CHANNELS if c.quantity == "bearing_temperature"]))

    @jax.jit
    def update(weights, starts_B):
        def loss(weights):
            x_BxCxT = jax.vmap(lambda start: render(sensors, start, COUNT))(starts_B) / 40
            return jnp.mean((weights[0] + weights[1] * x_BxCxT[..., -2] - x_BxCxT[..., -1]) ** 2)

        value, slope = jax.value_and_grad(loss)(weights)
        return weights - 0.2 * slope, value

    weights, rng, losses = jnp.zeros(2), np.random.default_rng(0), []
    for _ in range(60):
        weights, loss = update(weights, rng.integers(0, 8000 - COUNT, 16))
        losses.append(float(loss))
    assert np.mean(losses[-10:]) < 0.1 * losses[0]


def test_more_samples_than_a_device_counts_are_refused():
    panel = replace(Panel.of(TRACE, CHANNELS[:1]), owned=2**31)
    with pytest.raises(InputError, match="a device counts no more than"):
        Sensors.of(panel)
