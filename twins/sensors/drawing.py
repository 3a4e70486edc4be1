"""Compiled code of the camera and of the vibration waveform: addressed normals, surfaces with marks, ringing bearings.

Beside `kernels`, whose Philox, normals and exp it uses; those are pinned by published vectors, so that the cache
on disk, which looks at this file alone, cannot go stale by them. All arithmetic is IEEE float32 but for angles and
times, which are float64: a picture, and a stretch of sound, has the same bits whatever is drawn beside it.
"""

from __future__ import annotations

import math

import numpy as np

from twins.sensors.kernels import _exp, compiled, f32, i64, normal_pair, philox, u32, u64

KINDS = 3  # scratch, dent, stain
MOST = 4  # marks of one kind on one surface; what is more severe than that looks no worse
_FIRST_MARK = 1 << 20  # counters below are for pixels and texture
_PASS = 24  # the pass of a part lies above these bits of the first counter word


@compiled()
def normals(first, c1, address, out):
    """Standard normals first … first+len(out)−1 of one address, four a counter."""
    k0, k1, c2, c3 = address
    low = u64(first) >> u64(2)
    count = i64(((u64(first) + u64(len(out)) + u64(3)) >> u64(2)) - low)
    w = np.empty((4, count), u32)
    for i in range(count):
        k = low + u64(i)
        a, b, c, d = philox(k, (k >> u64(32)) + c1, c2, c3, k0, k1)
        w[0, i], w[1, i], w[2, i], w[3, i] = u32(a), u32(b), u32(c), u32(d)
    x = np.empty((4, count), f32)
    for half in range(0, 4, 2):
        for i in range(count):
            x[half, i], x[half + 1, i] = normal_pair(w[half, i], w[half + 1, i])
    shift = i64(u64(first) & u64(3))
    for n in range(len(out)):
        at = n + shift
        out[n] = x[at & 3, at >> 2]


@compiled(inline="always")
def _uniform(word):
    """A float32 in [0, 1) from the lower half of a word."""
    return f32(u32(word) >> u32(8)) * f32(2.0**-24)


@compiled()
def surfaces(pictures, marks, number, passes, severity_NxK, look, address):
    """Draw parts into *pictures* (float32[N, P, P]) and the places of their marks into *marks* (uint8, bit a kind).

    *look* is (grey, light, bend, texture, noise, seen, levels, and the contrast of each kind), float32.
    """
    k0, k1, c2, c3 = address
    size = pictures.shape[1]
    scale = f32(size) / f32(32)
    grey, light, bend, texture, noise, seen, levels = look[0], look[1], look[2], look[3], look[4], look[5], look[6]
    grain = np.empty(size * size + 2 * size + 4, f32)
    change = np.empty((size, size), f32)
    for n in range(len(pictures)):
        y, where = pictures[n], marks[n]
        c1, base = u64(number[n]), u64(passes[n]) << u64(_PASS)
        normals(base << u64(2), c1, address, grain)
        # Light falls from one side, a little otherwise on each part, and fades towards the rim; brushed rows lie below.
        over = light * (f32(1) + f32(0.3) * grain[0])
        down = light * (f32(0.5) + f32(0.3) * grain[1])
        left = right = f32(0)
        for r in range(size):
            left = f32(0.6) * left + f32(0.8) * grain[4 + 2 * r]
            right = f32(0.6) * right + f32(0.8) * grain[5 + 2 * r]
            v = (f32(2) * f32(r) + f32(1)) / f32(size) - f32(1)
            for c in range(size):
                u = (f32(2) * f32(c) + f32(1)) / f32(size) - f32(1)
                share = f32(0.5) + f32(0.5) * u
                brushed = texture * (left + (right - left) * share)
                y[r, c] = grey + over * u + down * v - bend * (u * u + v * v) + brushed
                where[r, c] = 0
        for kind in range(KINDS):
            left_over = f32(severity_NxK[n, kind])
            if left_over <= f32(0):
                continue
            for r in range(size):
                for c in range(size):
                    change[r, c] = f32(0)
            for i in range(MOST):
                if left_over <= f32(0):
                    break
                strength = min(left_over, f32(1))
                left_over -= f32(1)
                counter = base + u64(_FIRST_MARK + 4 * (MOST * kind + i))
                a, b, c_, d = philox(counter, c1, c2, c3, k0, k1)
                e, f, _, _ = philox(counter + u64(1), c1, c2, c3, k0, k1)
                x0 = f32(size) * (f32(0.15) + f32(0.7) * _uniform(a))
                y0 = f32(size) * (f32(0.15) + f32(0.7) * _uniform(b))
                du, dv = normal_pair(u32(c_), u32(d))
                length = np.sqrt(du * du + dv * dv) + f32(1e-6)
                du, dv = du / length, dv / length
                if kind == 0:
                    _scratch(change, x0, y0, du, dv, strength * look[7], strength, _uniform(e), _uniform(f), scale)
                elif kind == 1:
                    _dent(change, x0, y0, strength * look[8], strength, _uniform(e), scale)
                else:
                    _stain(change, x0, y0, du, dv, strength * look[9], strength, _uniform(e), _uniform(f), scale)
            bit = np.uint8(1 << kind)
            for r in range(size):
                for c in range(size):
                    y[r, c] += change[r, c]
                    if abs(change[r, c]) >= seen:
                        where[r, c] |= bit
        at = 4 + 2 * size
        for r in range(size):
            for c in range(size):
                value = min(max(y[r, c] + noise * grain[at + r * size + c], f32(0)), f32(1))
                y[r, c] = np.rint(value * levels) / levels


@compiled(inline="always")
def _span(centre, reach, size):
    """The pixels of one axis within *reach* of *centre*."""
    return max(i64(math.floor(centre - reach)), 0), min(i64(math.ceil(centre + reach)), size)


@compiled()
def _scratch(change, x0, y0, du, dv, depth, strength, longer, wider, scale):
    """A dark stroke with anti-aliased edges."""
    half = scale * (f32(4) + f32(6) * longer) * (f32(0.5) + f32(0.5) * strength)
    width = scale * (f32(0.35) + f32(0.4) * wider)
    top, bottom = _span(y0, half + width + f32(1), change.shape[0])
    left, right = _span(x0, half + width + f32(1), change.shape[1])
    for r in range(top, bottom):
        for c in range(left, right):
            x, y = f32(c) + f32(0.5) - x0, f32(r) + f32(0.5) - y0
            along = min(max(x * du + y * dv, -half), half)
            x, y = x - along * du, y - along * dv
            cover = min(max(width + f32(0.5) - np.sqrt(x * x + y * y), f32(0)), f32(1))
            change[r, c] -= depth * cover


@compiled()
def _dent(change, x0, y0, depth, strength, wider, scale):
    """A bump whose slope towards the light is bright and whose other side is dark."""
    radius = scale * (f32(1.6) + f32(1.4) * wider) * (f32(0.6) + f32(0.4) * strength)
    top, bottom = _span(y0, f32(3) * radius, change.shape[0])
    left, right = _span(x0, f32(3) * radius, change.shape[1])
    for r in range(top, bottom):
        for c in range(left, right):
            x, y = (f32(c) + f32(0.5) - x0) / radius, (f32(r) + f32(0.5) - y0) / radius
            slope = f32(0.894427191) * x + f32(0.4472135955) * y  # the lamp stands at 2 : 1
            change[r, c] -= depth * f32(1.6487212707) * slope * _exp(f32(-0.5) * (x * x + y * y))


@compiled()
def _stain(change, x0, y0, du, dv, depth, strength, wider, longer, scale):
    """A dark blob of three lobes in a row, with soft edges."""
    radius = scale * (f32(1.8) + f32(1.6) * wider) * (f32(0.6) + f32(0.4) * strength)
    step = radius * (f32(0.6) + f32(0.6) * longer)
    top, bottom = _span(y0, step + f32(2.5) * radius, change.shape[0])
    left, right = _span(x0, step + f32(2.5) * radius, change.shape[1])
    for r in range(top, bottom):
        for c in range(left, right):
            x, y = f32(c) + f32(0.5) - x0, f32(r) + f32(0.5) - y0
            field = f32(0)
            for lobe in range(-1, 2):
                u, v = (x - f32(lobe) * step * du) / radius, (y - f32(lobe) * step * dv) / radius
                field += _exp(f32(-0.5) * (u * u + v * v))
            change[r, c] -= depth * min(max((field - f32(0.25)) * f32(1.6), f32(0)), f32(1))


@compiled(inline="always")
def sine(turns):
    """sin(2π · *turns*) as float32, from a float64 number of turns, by IEEE arithmetic alone (Cephes' polynomials)."""
    quarter = f32(4.0 * (turns - np.rint(turns)))  # in [−2, 2]
    nearest = np.rint(quarter)
    angle = (quarter - nearest) * f32(1.5707963267948966)
    z = angle * angle
    p = (f32(-1.9515295891e-4) * z + f32(8.3321608736e-3)) * z + f32(-1.6666654611e-1)
    s = angle + angle * (z * p)
    p = (f32(2.443315711809948e-5) * z + f32(-1.388731625493765e-3)) * z + f32(4.166664568298827e-2)
    c = (z * z * p - f32(0.5) * z) + f32(1)
    # by quadrant: −2 and 2: −sin, −1: −cos, 0: sin, 1: cos
    if abs(nearest) > f32(1.5):
        return -s
    if nearest > f32(0.5):
        return c
    if nearest < f32(-0.5):
        return -c
    return s


@compiled()
def sound(
    out, first, rate_hz, time_s, turns, turns_per_s, tone, ring, rush, hum,
    orders, order_share, rumble_hz, rumble_phase, lowpass, noise,
    pulses, jitter, resonance_hz, decay_per_s, ringing_s, address,
):  # fmt: skip
    """Write samples first … first+len(out)−1 of a waveform to *out*, float32.

    Segments begin at *time_s* with *turns* of the shaft behind them and *turns_per_s*; of each, *tone*, *ring*, *rush*
    and *hum* are the RMS of the harmonics, of the ringing, of the high and of the low broadband noise. *noise* holds
    normals from sample first − len(lowpass) // 2 on. *pulses* a turn strike, each *jitter* of a gap early or late.
    """
    count, taps, last = len(out), len(lowpass), len(time_s) - 1
    middle = taps // 2
    out[:] = f32(0)
    for block in range(0, count, 1024):  # which stays in the cache while the taps pass over it
        y = out[block : block + 1024]
        for i in range(taps):
            x = noise[block + i : block + i + len(y)]
            for n in range(len(y)):
                y[n] += lowpass[i] * x[n]
    segment = max(np.searchsorted(time_s, first / rate_hz, side="right") - 1, 0)
    for n in range(count):
        t = (first + n) / rate_hz
        while segment < last and time_s[segment + 1] <= t:
            segment += 1
        low = out[n]
        value = hum[segment] * low + rush[segment] * (noise[n + middle] - low)
        if tone[segment] > f32(0):
            angle = turns[segment] + turns_per_s[segment] * (t - time_s[segment])
            for i in range(len(orders)):
                value += tone[segment] * order_share[i] * sine(orders[i] * angle)
        for i in range(len(rumble_hz)):
            value += rumble_phase[i, 1] * sine(rumble_hz[i] * t + rumble_phase[i, 0])
        out[n] = value

    # Blows of the bearing: number i strikes when the shaft has made (i + ½ + jitter) / pulses turns, and rings.
    begin_s, end_s = first / rate_hz - ringing_s, (first + count) / rate_hz
    k0, k1, c2, c3 = address
    s = max(np.searchsorted(time_s, begin_s, side="right") - 1, 0)
    while s <= last and time_s[s] < end_s:
        if ring[s] > f32(0) and turns_per_s[s] > 0:
            start_turns = turns[s] + turns_per_s[s] * max(begin_s - time_s[s], 0.0)
            until_s = min(end_s, time_s[s + 1]) if s < last else end_s
            until_turns = turns[s] + turns_per_s[s] * (until_s - time_s[s])
            i = i64(math.floor(start_turns * pulses)) - 1
            while (i - 1) / pulses < until_turns:
                a, b, _, _ = philox(u64(i & 0xFFFFFFFF), u64(1 << 31), c2, c3, k0, k1)
                early = f32(2) * _uniform(a) - f32(1)
                at = (i + 0.5 + jitter * early) / pulses
                if start_turns <= at < until_turns:
                    struck_s = time_s[s] + (at - turns[s]) / turns_per_s[s]
                    height = ring[s] * (f32(0.5) + _uniform(b)) / np.sqrt(f32(13 / 12))  # of mean square 1
                    k = max(i64(math.ceil(struck_s * rate_hz)), first)
                    while k < first + count and k / rate_hz - struck_s < ringing_s:
                        since_s = k / rate_hz - struck_s
                        out[k - first] += height * _exp(f32(-decay_per_s * since_s)) * sine(resonance_hz * since_s)
                        k += 1
                i += 1
        s += 1
