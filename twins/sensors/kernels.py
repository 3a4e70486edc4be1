"""The compiled code that renders: addressed bits and normals, autocorrelated noise, signals at samples.

One file, because numba's cache on disk looks at the file of the function called and not at those it calls.

Bits are Philox4x32-10, counter-based (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"): four
32-bit words for each 128-bit counter under a 64-bit key. The map to normals uses only integer operations and IEEE
float32 + − × ÷ √, each rounded on its own, so every platform draws the same bits; so does any other array language, to
the last bit unless it fuses × with +:

    u = (float32(w0) + ½) · 2⁻³²             in (0, 1]; the tail ends at √(66 ln 2) = 6.76
    r = √(−2 ln u)                            ln by exponent and a polynomial in (m − 1) / (m + 1), m in [√½, √2)
    φ = (quadrant + int32(w1 << 2) · 2⁻³²) · π/2     quadrant: the two leading bits of w1
    (r cos φ, r sin φ)                        polynomials on [−π/4, π/4], swapped and signed by the quadrant

Coefficients of sin and cos are those of Cephes' sinf and cosf.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, types

from sim.compiled import compiled

u32, u64, i32, i64, f32 = np.uint32, np.uint64, np.int32, np.int64, np.float32

_M0, _M1 = u64(0xD2511F53), u64(0xCD9E8D57)  # multipliers and Weyl constants of Philox4x32
_W0, _W1 = u64(0x9E3779B9), u64(0xBB67AE85)
_LOW, _32 = u64(0xFFFFFFFF), u64(32)


_intrinsic: Callable[..., Any] = extending.intrinsic


@compiled(inline="always")
def philox(c0, c1, c2, c3, k0, k1):
    """Four words from a counter and a key, all in lower halves of uint64; the upper halves of the result are refuse."""
    for _ in range(10):
        # Only the lower halves enter the products, so carries above them are harmless and lanes never change width.
        p0, p1 = (c0 & _LOW) * _M0, (c2 & _LOW) * _M1
        c0, c1, c2, c3 = (p1 >> _32) ^ c1 ^ k0, p1, (p0 >> _32) ^ c3 ^ k1, p0
        k0, k1 = k0 + _W0, k1 + _W1
    return c0, c1, c2, c3


def plain(array: np.ndarray) -> np.ndarray:
    """float64, contiguous and writable, so that compiled code meets one type; a copy only where it is not so yet."""
    if array.dtype == np.float64 and array.flags.carray:
        return array
    return np.require(array, np.float64, ["C", "W"])


@_intrinsic
def _float_of(typingctx, bits):  # the float32 with these bits
    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], ir.FloatType())

    return types.float32(types.int32), generate


@_intrinsic
def _bits_of(typingctx, value):  # the int32 with the bits of a float32
    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(32))

    return types.int32(types.float32), generate


@compiled(inline="always")
def normal_pair(w0, w1):
    """Two independent standard normals, float32, from two uint32 words."""
    bits = _bits_of((f32(w0) + f32(0.5)) * f32(2.0**-32))
    exponent = i32(i32(bits - i32(0x3F3504F3)) >> i32(23))  # 0x3F3504F3 is √½
    m = _float_of(i32(bits - i32(exponent << i32(23))))
    s = (m - f32(1)) / (m + f32(1))
    z = s * s
    p = (((f32(2 / 9) * z + f32(2 / 7)) * z + f32(2 / 5)) * z + f32(2 / 3)) * z + f32(2)
    radius = np.sqrt(f32(-2) * (f32(exponent) * f32(0.6931471805599453) + s * p))

    angle = f32(i32(u32(w1 << u32(2)))) * f32(1.5707963267948966 * 2.0**-32)
    z = angle * angle
    p = (f32(-1.9515295891e-4) * z + f32(8.3321608736e-3)) * z + f32(-1.6666654611e-1)
    sine = angle + angle * (z * p)
    p = (f32(2.443315711809948e-5) * z + f32(-1.388731625493765e-3)) * z + f32(4.166664568298827e-2)
    cosine = (z * z * p - f32(0.5) * z) + f32(1)
    odd = (w1 & u32(1 << 30)) != u32(0)
    upper = (w1 & u32(1 << 31)) != u32(0)
    x = sine if odd else cosine
    y = cosine if odd else sine
    return radius * (-x if odd != upper else x), radius * (-y if upper else y)


@compiled()
def draw(first, c1, address, white, innovation, chance):
    """Fill three arrays of equal length from counters (first + i, c1): two normals (float32) and a word (uint32).

    Counters beyond 2³² carry into c1.
    """
    k0, k1, c2, c3 = address[0], address[1], address[2], address[3]
    w0, w1 = white.view(u32), innovation.view(u32)  # words lie where their normals will
    for i in range(len(white)):
        k = u64(first) + u64(i)
        a, b, c, _ = philox(k, (k >> _32) + c1, c2, c3, k0, k1)
        w0[i], w1[i], chance[i] = u32(a), u32(b), u32(c)
    for i in range(len(white)):
        white[i], innovation[i] = normal_pair(w0[i], w1[i])


@compiled()
def innovation_at(k, c1, address):
    """The second normal of one counter: what `draw` puts into *innovation*."""
    k0, k1, c2, c3 = address[0], address[1], address[2], address[3]
    a, b, _, _ = philox(u64(k), (u64(k) >> _32) + c1, c2, c3, k0, k1)
    return normal_pair(u32(a), u32(b))[1]


LOG_SPAN = 32  # samples 0 … 2³² are the tree of autocorrelated noise; its root is the pair of ends
LOG_BLOCK = 11
BLOCK = 1 << LOG_BLOCK  # samples made at once, if so many are wanted: what the nearest cache holds


@compiled()
def _anchors(k, level, address, pull, spread, words, path):
    """The autocorrelated values at samples *k*, a multiple of 2^level, and k + 2^level, down the tree.

    Level j holds the samples of which 2ʲ is the largest power of two that divides them. Each is drawn given its two
    neighbours at distance 2ʲ, by the innovation of its own counter. Those on the way to *k* are known beforehand and
    drawn side by side. *level* is at least 2: the places of levels 0 and 1 are the root's, samples 0 and 2³².
    *words*, uint32[2, LOG_SPAN], and *path*, float32[LOG_SPAN], are scratch.
    """
    k0, k1, c2, c3 = address[0], address[1], address[2], address[3]
    for j in range(u64(LOG_SPAN)):
        at = j << u64(LOG_SPAN) if j < u64(2) else ((u64(k) >> j) | u64(1)) << j
        a, b, _, _ = philox(at, at >> _32, c2, c3, k0, k1)
        words[0, j], words[1, j] = u32(a), u32(b)
    for j in range(u64(LOG_SPAN)):
        path[j] = normal_pair(words[0, j], words[1, j])[1]
    left = path[0]
    right = spread[LOG_SPAN] * path[1] + pull[LOG_SPAN] * left
    for i in range(LOG_SPAN - level):
        j = LOG_SPAN - 1 - i
        middle = pull[j] * (left + right) + spread[j] * path[j]
        if (u64(k) >> u64(j)) & u64(1):
            left = middle
        else:
            right = middle
    return left, right


@compiled()
def _bridge(x, level, pull, spread):
    """Turn innovations x[1 … 2^level − 1] into a path between the anchors x[0] and x[2^level], in place."""
    for i in range(level):
        j = level - 1 - i
        a, s, d = pull[j], spread[j], u64(1) << u64(j)
        for n in range(1 << i):
            m = (u64(2) * u64(n) + u64(1)) * d
            x[m] = a * (x[m - d] + x[m + d]) + s * x[m]


@compiled(inline="always")
def _exp(x):
    """exp of a float32 that is not above 0, by IEEE arithmetic alone (coefficients of Cephes' expf)."""
    x = x if x > f32(-86) else f32(-86)
    n = (x * f32(1.44269504088896341) + f32(12582912)) - f32(12582912)  # 1.5 · 2²³ rounds to the nearest integer
    r = (x - n * f32(0.693359375)) - n * f32(-2.12194440e-4)
    p = ((f32(1.9875691500e-4) * r + f32(1.3981999507e-3)) * r + f32(8.3334519073e-3)) * r + f32(4.1665795894e-2)
    p = ((p * r + f32(1.6666665459e-1)) * r + f32(5.0000001201e-1)) * (r * r) + r + f32(1)
    return p * _float_of(i32((i32(n) + i32(127)) << i32(23)))


STEP, LINEAR, RELAX = 0, 1, 2


@compiled()
def sample(out, first, segment, form, time_h, value, target, tau_h, step_h, level, gap):
    """Write the signal at samples first … first+len(out)−1 to *out* (float32); returns the segment of the last.

    *segment* is one in force at or before the first sample. *level* and *gap*, float64 as long as *out*, are scratch.
    """
    count, i, last, steps_per_h = len(out), 0, len(time_h) - 1, 1 / step_h
    while i < count:
        end = count
        while segment < last:
            due = time_h[segment + 1]
            # The first sample at or after the breakpoint, exactly: the product may be off by one.
            k = i64(due * steps_per_h)
            if k * step_h < due:
                k += 1
            elif (k - 1) * step_h >= due:
                k -= 1
            end = min(k - first, count)
            if end > i:
                break
            segment += 1
            end = count
        t, v, to = time_h[segment], value[segment], target[segment]
        if form == STEP:
            for n in range(u64(i), u64(end)):
                out[n] = v
        elif form == LINEAR:
            for n in range(u64(i), u64(end)):
                out[n] = v + to * ((first + i64(n)) * step_h - t)
        else:
            for n in range(u64(i), u64(end)):
                out[n] = (t - (first + i64(n)) * step_h) / tau_h
                level[n], gap[n] = to, v - to
        i = end
    if form == RELAX:
        for n in range(u64(count)):  # alone in its loop, so that it runs in vector registers
            out[n] = _exp(out[n])
        for n in range(u64(count)):
            out[n] = level[n] + gap[n] * out[n]
    return segment


_KNOTS = u64(1 << 31)  # counters of their own beside those of the samples


@compiled()
def knots(first, address, out):
    """Standard normals at the drift's knots first, first+1, …"""
    for i in range(len(out)):
        out[i] = innovation_at(first + i, _KNOTS, address)


@compiled()
def _drift(y, first, step_h, scale, knot_h, address):
    """Add a line between the knots, which are *scale* times standard normals."""
    i, count, c1 = 0, len(y), _KNOTS
    while i < count:
        j = i64((first + i) * step_h / knot_h)
        due = (j + 1) * knot_h / step_h - first
        end = max(i64(due), i + 1) if due < count else count
        while end < count and i64((first + end) * step_h / knot_h) == j:
            end += 1
        while i64((first + end - 1) * step_h / knot_h) > j:
            end -= 1
        here, there = scale * innovation_at(j, c1, address), scale * innovation_at(j + 1, c1, address)
        for n in range(u64(i), u64(end)):
            f = f32((first + i64(n)) * step_h / knot_h - j)
            y[n] += here * (f32(1) - f) + there * f
        i = end


# A channel as `render` takes it: its reading's form and stretch of the segments, and its noise.
ROW = np.dtype(
    [
        *((name, np.int64) for name in ("form", "begin", "end")),
        *((name, np.float64) for name in ("tau_h", "knot_h")),
        *((name, f32) for name in ("white", "correlated", "drift", "quantum")),
        *((name, f32, LOG_SPAN + 1) for name in ("pull", "spread")),
        ("address", u64, 4),
        ("missing_below", u32),
    ],
    align=True,
)


@compiled()
def _row(y, start, segment, step_h, row, time_h, value, target, w, x, chance, level, gap, words, path):
    """Write samples start … start+len(y)−1 of one channel to *y*; everything behind *target* is scratch."""
    white, correlated, quantum, missing_below = row.white, row.correlated, row.quantum, row.missing_below
    pull, spread, address = row.pull, row.spread, row.address
    noisy = white > 0 or correlated > 0 or missing_below > 0
    size = LOG_BLOCK
    while size > 4 and (1 << (size - 1)) >= len(y):
        size -= 1
    stop, low = start + len(y), start
    while low < stop:
        origin = low >> size << size
        high = min(stop, origin + (1 << size))
        out = y[low - start : high - start]
        count, shift = u64(high - low), u64(low - origin)
        segment = sample(
            out, low, segment, row.form, time_h, value, target, row.tau_h, step_h, level[: len(out)], gap[: len(out)]
        )
        if correlated > 0:
            draw(origin, u64(0), address, w[: 1 << size], x[: 1 << size], chance[: 1 << size])
            x[0], x[1 << size] = _anchors(origin, size, address, pull, spread, words, path)
            _bridge(x, size, pull, spread)
            for i in range(count):
                out[i] += white * w[shift + i] + correlated * x[shift + i]
        elif noisy:
            shift = u64(0)
            draw(low, u64(0), address, w[: len(out)], x[: len(out)], chance[: len(out)])
            for i in range(count):
                out[i] += white * w[i]
        if row.drift > 0:
            _drift(out, low, step_h, row.drift, row.knot_h, address)
        if quantum > 0:
            for i in range(count):
                out[i] = np.rint(out[i] / quantum) * quantum
        if missing_below > 0:
            for i in range(count):
                out[i] = f32(np.nan) if chance[shift + i] < missing_below else out[i]
        low = high


@compiled(nogil=True)
def render(out, start, step_h, rows, time_h, value, target):
    """Write samples start … start+n−1 of every channel of *rows* (ROW[C]) to *out*, float32[C, n].

    A sample is the signal, plus noise, rounded to the quantum; one whose third word lies below missing_below is NaN.
    White and correlated are standard deviations. Whole blocks are drawn where neighbours depend on one another: as
    long as the window, up to BLOCK, and aligned, so that a sample never depends on the window.
    """
    w, x, chance = np.empty(BLOCK, f32), np.empty(BLOCK + 1, f32), np.empty(BLOCK, u32)
    level, gap = np.empty(BLOCK), np.empty(BLOCK)
    words, path = np.empty((2, LOG_SPAN), u32), np.empty(LOG_SPAN, f32)
    for c in range(len(rows)):
        row = rows[c]
        a, b = row.begin, row.end
        segment = np.searchsorted(time_h[a:b], start * step_h, side="right") - 1
        _row(
            out[c], start, segment, step_h, row, time_h[a:b], value[a:b], target[a:b],
            w, x, chance, level, gap, words, path,
        )  # fmt: skip
