"""Sensors rendered on the device, inside a training step: what `twins.sensors.render` draws, by the same written map.

Bits are equal; values are equal to float32 rounding, since a compiler may fuse × with +. What a `Panel` holds is moved
over once, as compact as the trace. Times, which need float64, become sample numbers on the way, so a breakpoint is
crossed at the very sample where it is crossed offline.

    sensors = Sensors.of(Panel.of(trace, channels))
    x_BxCxT = jax.vmap(lambda start: render(sensors, start, 128))(starts_B)
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from sim.errors import InputError
from twins.sensors import kernels
from twins.sensors.kernels import LINEAR, LOG_SPAN, RELAX
from twins.sensors.render import Panel, samples_before

u32, f32 = jnp.uint32, jnp.float32
_M0, _M1, _W0, _W1 = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85
_FAR = 2**31 - 1


class Sensors(NamedTuple):
    """C channels of one clock on the device. In segment s a sample k, i = k − first_CxS after its first, reads
    level + slope · i + gap · exp(−decay · i)."""

    first_CxS: Array  # int32; rows are filled up with numbers that no sample has
    level_CxS: Array
    slope_CxS: Array
    gap_CxS: Array
    decay_C: Array
    address_Cx4: Array  # uint32
    white_C: Array
    correlated_C: Array
    pull_CxL: Array
    spread_CxL: Array
    knots_CxK: Array  # of the drift
    per_knot_C: Array  # samples from one knot of the drift to the next, inverted
    quantum_C: Array
    missing_below_C: Array  # uint32

    @staticmethod
    def of(panel: Panel) -> Sensors:
        """What *panel* renders; an InputError where it owns a sample beyond 2³¹ − 2, which a device does not count."""
        if panel.owned >= _FAR:
            raise InputError(f"the panel owns {panel.owned} samples; a device counts no more than {_FAR - 1}")
        rows, longest = panel.rows, int((panel.rows["end"] - panel.rows["begin"]).max())
        first = np.full((len(rows), longest), _FAR, np.int32)
        level, slope, gap = np.zeros((3, len(rows), longest), np.float32)
        for c, row in enumerate(rows):
            time_h, value, target = (part[row["begin"] : row["end"]] for part in panel.segments)
            starts = np.array([min(samples_before(t, panel.step_h), _FAR) for t in time_h])
            since_h, n = starts * panel.step_h - time_h, len(time_h)
            first[c, :n], level[c, :n] = starts, value
            if row["form"] == LINEAR:
                level[c, :n], slope[c, :n] = value + target * since_h, target * panel.step_h
            elif row["form"] == RELAX:
                level[c, :n], gap[c, :n] = target, (value - target) * np.exp(-since_h / row["tau_h"])
        knots = np.zeros((len(rows), int((panel.owned * panel.step_h / rows["knot_h"]).max()) + 2), np.float32)
        for c in np.flatnonzero(rows["drift"]):
            kernels.knots(0, rows["address"][c], knots[c])
            knots[c] *= rows["drift"][c]
        columns = (
            first, level, slope, gap, np.float32(panel.step_h / rows["tau_h"]), rows["address"].astype(np.uint32),
            rows["white"], rows["correlated"], rows["pull"], rows["spread"],
            knots, np.float32(panel.step_h / rows["knot_h"]), rows["quantum"], rows["missing_below"],
        )  # fmt: skip
        return Sensors(*map(jnp.asarray, columns))


def render(sensors: Sensors, start: Array | int, count: int) -> Array:
    """Samples start … start+count−1 of every sensor, float32[C, count], NaN where missing.

    *start* may be traced, *count* is static. Samples that the panel does not own are the caller's to avoid.
    """
    return jax.vmap(lambda sensor: _row(sensor, jnp.asarray(start, jnp.int32), count))(sensors)


def _row(sensor: Sensors, start: Array, count: int) -> Array:
    k_T = start + jnp.arange(count, dtype=jnp.int32)
    s_T = jnp.searchsorted(sensor.first_CxS, k_T, side="right") - 1
    i_T = (k_T - sensor.first_CxS[s_T]).astype(f32)
    x_T = sensor.level_CxS[s_T] + sensor.slope_CxS[s_T] * i_T + sensor.gap_CxS[s_T] * jnp.exp(-sensor.decay_C * i_T)

    noise_T, chance_T = _noise(sensor, start, count)
    x_T += noise_T + _drift(sensor, k_T)
    quantum = sensor.quantum_C
    x_T = jnp.where(quantum > 0, jnp.round(x_T / jnp.where(quantum > 0, quantum, 1)) * quantum, x_T)
    return jnp.where(chance_T < sensor.missing_below_C, jnp.nan, x_T)


def _noise(sensor: Sensors, start: Array, count: int) -> tuple[Array, Array]:
    """White plus autocorrelated noise, float32[count], and the words that decide on dropout, uint32[count]."""
    level = max((count - 1).bit_length(), 2)
    block = start >> level  # this one and the next hold any window of their size

    def drawn(b: Array) -> tuple[Array, ...]:
        origin = (b << level).astype(u32)
        k = origin + jnp.arange(1 << level, dtype=u32)
        w0, w1, chance, _ = philox((k, jnp.zeros_like(k), *_channel(sensor)), _key(sensor))
        return *normal_pair(w0, w1), chance, *_anchors(sensor, origin, level)

    # A loop, not one array of both: what a loop has drawn is kept, else it may be drawn again for every use.
    white, innovation, chance, left, right = lax.map(drawn, jnp.stack([block, block + 1]))
    at_T = start - (block << level) + jnp.arange(count)
    which_T = at_T >> level
    left_T, right_T, innovation = left[which_T], right[which_T], innovation.reshape(-1)
    for j in reversed(range(level)):  # each sample goes down the tree by itself
        middle_T = sensor.pull_CxL[j] * (left_T + right_T) + sensor.spread_CxL[j] * innovation[((at_T >> j) | 1) << j]
        upper_T = (at_T >> j) & 1 == 1
        left_T, right_T = jnp.where(upper_T, middle_T, left_T), jnp.where(upper_T, right_T, middle_T)
    noise_T = sensor.white_C * white.reshape(-1)[at_T] + sensor.correlated_C * left_T
    return noise_T, chance.reshape(-1)[at_T]


def _anchors(sensor: Sensors, k: Array, level: int) -> tuple[Array, Array]:
    """The autocorrelated values at *k*, a multiple of 2^level, and k + 2^level, down the dyadic tree."""
    j = jnp.arange(LOG_SPAN, dtype=u32)
    root = j < 2  # the places of levels 0 and 1, which are never asked for: samples 0 and 2³²
    at = jnp.where(root, u32(0), ((k >> j) | u32(1)) << j)
    w0, w1, _, _ = philox((at, jnp.where(root, j, u32(0)), *_channel(sensor)), _key(sensor))
    _, drawn = normal_pair(w0, w1)
    left, right = drawn[0], sensor.spread_CxL[LOG_SPAN] * drawn[1] + sensor.pull_CxL[LOG_SPAN] * drawn[0]
    for i in reversed(range(level, LOG_SPAN)):
        middle = sensor.pull_CxL[i] * (left + right) + sensor.spread_CxL[i] * drawn[i]
        upper = (k >> i) & 1 == 1
        left, right = jnp.where(upper, middle, left), jnp.where(upper, right, middle)
    return left, right


def _drift(sensor: Sensors, k_T: Array) -> Array:
    """The line between the knots, float32[T]."""
    p_T = k_T.astype(f32) * sensor.per_knot_C
    j_T = p_T.astype(jnp.int32)
    f_T = p_T - j_T.astype(f32)
    return sensor.knots_CxK[j_T] * (1 - f_T) + sensor.knots_CxK[j_T + 1] * f_T


def _channel(sensor: Sensors) -> tuple[Array, Array]:
    return sensor.address_Cx4[2], sensor.address_Cx4[3]


def _key(sensor: Sensors) -> tuple[Array, Array]:
    return sensor.address_Cx4[0], sensor.address_Cx4[1]


def philox(counter: tuple[Array, ...], key: tuple[Array, ...]) -> tuple[Array, ...]:
    """Philox4x32-10: four uint32 words from four of a counter and two of a key."""
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        (high0, low0), (high1, low1) = _product(c0, _M0), _product(c2, _M1)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = k0 + u32(_W0), k1 + u32(_W1)
    return c0, c1, c2, c3


def _product(a: Array, b: int) -> tuple[Array, Array]:
    """The upper and lower half of a 64-bit product, in 32-bit arithmetic."""
    low, high = a & u32(0xFFFF), a >> 16
    b_low, b_high = u32(b & 0xFFFF), u32(b >> 16)
    cross = low * b_high
    middle = ((low * b_low) >> 16) + (cross & u32(0xFFFF)) + high * b_low
    return high * b_high + (cross >> 16) + (middle >> 16), a * u32(b)


def normal_pair(w0: Array, w1: Array) -> tuple[Array, Array]:
    """Two independent standard normals, float32, from two uint32 words; `twins.sensors.kernels` has the map written."""
    bits = lax.bitcast_convert_type((w0.astype(f32) + f32(0.5)) * f32(2.0**-32), jnp.int32)
    exponent = (bits - 0x3F3504F3) >> 23
    m = lax.bitcast_convert_type(bits - (exponent << 23), f32)
    s = (m - 1) / (m + 1)
    z = s * s
    p = (((f32(2 / 9) * z + f32(2 / 7)) * z + f32(2 / 5)) * z + f32(2 / 3)) * z + 2
    radius = jnp.sqrt(-2 * (exponent.astype(f32) * f32(np.log(2)) + s * p))

    angle = lax.bitcast_convert_type(w1 << 2, jnp.int32).astype(f32) * f32(np.pi / 2 * 2.0**-32)
    z = angle * angle
    p = (f32(-1.9515295891e-4) * z + f32(8.3321608736e-3)) * z + f32(-1.6666654611e-1)
    sine = angle + angle * (z * p)
    p = (f32(2.443315711809948e-5) * z + f32(-1.388731625493765e-3)) * z + f32(4.166664568298827e-2)
    cosine = (z * z * p - f32(0.5) * z) + 1
    odd, upper = (w1 >> 30) & 1 == 1, w1 >> 31 == 1
    x, y = jnp.where(odd, sine, cosine), jnp.where(odd, cosine, sine)
    return radius * jnp.where(odd != upper, -x, x), radius * jnp.where(upper, -y, y)
