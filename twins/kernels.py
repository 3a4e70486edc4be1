"""All compiled code of twins: addressed bits and normals, autocorrelated noise, signals at samples, lags.

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

import math
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
    k0, k1, c2, c3 = address
    n = len(white)
    w0, w1 = np.empty(n, u32), np.empty(n, u32)
    for i in range(n):
        k = u64(first) + u64(i)
        a, b, c, _ = philox(k, (k >> _32) + c1, c2, c3, k0, k1)
        w0[i], w1[i], chance[i] = u32(a), u32(b), u32(c)
    for i in range(n):
        white[i], innovation[i] = normal_pair(w0[i], w1[i])


@compiled()
def innovation_at(k, c1, address):
    """The second normal of one counter: what `draw` puts into *innovation*."""
    k0, k1, c2, c3 = address
    a, b, _, _ = philox(u64(k), (u64(k) >> _32) + c1, c2, c3, k0, k1)
    return normal_pair(u32(a), u32(b))[1]


LOG_SPAN = 32  # samples 0 … 2³² are the tree of autocorrelated noise; its root is the pair of ends
LOG_BLOCK = 10
BLOCK = 1 << LOG_BLOCK  # samples made at once; aligned, so that a sample never depends on the window


@compiled()
def _anchor(k, address, pull, spread, nodes, values):
    """The autocorrelated value at sample *k*, down the tree; *nodes* and *values* keep the path last taken.

    Level j holds the samples of which 2ʲ is the largest power of two that divides them. Each is drawn given its two
    neighbours at distance 2ʲ, by the innovation of its own counter.
    """
    left = right = f32(0)
    at = u64(0)
    for end in range(2):
        if nodes[LOG_SPAN + end] == u64(0):
            nodes[LOG_SPAN + end] = u64(1)
            values[LOG_SPAN + end] = innovation_at(u64(end) << u64(LOG_SPAN), u64(0), address)
    left = values[LOG_SPAN]
    right = spread[LOG_SPAN] * values[LOG_SPAN + 1] + pull[LOG_SPAN] * left
    if k == u64(0):
        return left
    for j in range(LOG_SPAN - 1, -1, -1):
        middle = at + (u64(1) << u64(j))
        if nodes[j] != middle:
            nodes[j] = middle
            values[j] = pull[j] * (left + right) + spread[j] * innovation_at(middle, u64(0), address)
        if k == middle:
            return values[j]
        if k < middle:
            right = values[j]
        else:
            at, left = middle, values[j]
    return right


@compiled()
def _bridge(x, pull, spread):
    """Turn innovations x[1 … BLOCK−1] into a path between the anchors x[0] and x[BLOCK], level by level, in place."""
    for j in range(LOG_BLOCK - 1, -1, -1):
        a, s, d = pull[j], spread[j], u64(1) << u64(j)
        for n in range(BLOCK >> (j + 1)):
            i = (u64(2) * u64(n) + u64(1)) * d
            x[i] = a * (x[i - d] + x[i + d]) + s * x[i]


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
def sample(out, first, count, segment, form, time_h, value, target, tau_h, step_h, indices):
    """Write the signal at samples first … first+count−1 to *out* (float32); returns the segment of the last.

    *segment* is one in force at or before the first sample. *indices* is scratch, int64[count].
    """
    i, last, steps_per_h = 0, len(time_h) - 1, 1 / step_h
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
        for n in range(i, end):
            indices[n] = u64(segment)
        i = end
    if form == STEP:
        for n in range(count):
            out[n] = value[indices[n]]
    elif form == LINEAR:
        for n in range(count):
            s = indices[n]
            out[n] = value[s] + target[s] * ((first + n) * step_h - time_h[s])
    else:
        for n in range(count):
            out[n] = (time_h[indices[n]] - (first + n) * step_h) / tau_h
        for n in range(count):  # alone in its loop, so that it runs in vector registers
            out[n] = _exp(out[n])
        for n in range(count):
            s = indices[n]
            out[n] = target[s] + (value[s] - target[s]) * out[n]
    return segment


@compiled()
def knots(first, address, out):
    """Standard normals at the drift's knots first, first+1, …; counters of their own beside those of the samples."""
    for i in range(len(out)):
        out[i] = innovation_at(first + i, u64(1 << 31), address)


@compiled()
def render(
    out, start, segment, form, time_h, value, target, tau_h, step_h,
    address, white, correlated, pull, spread, drift, knot_h, first_knot, quantum, missing_below,
):  # fmt: skip
    """Write samples start … start+len(out)−1 to *out*: the signal, plus noise, rounded to the quantum, with gaps.

    White and correlated are standard deviations; *drift* holds the knots from first_knot on; a sample whose third
    word lies below missing_below is NaN. Whole blocks are drawn, whatever part of them the window wants.
    """
    w, x, chance = np.empty(BLOCK, f32), np.empty(BLOCK + 1, f32), np.empty(BLOCK, u32)
    nodes, values = np.zeros(LOG_SPAN + 2, u64), np.empty(LOG_SPAN + 2, f32)
    indices = np.empty(BLOCK, u64)
    noisy = white > 0 or correlated > 0 or missing_below > 0
    stop = start + len(out)
    block = start >> LOG_BLOCK
    while block << LOG_BLOCK < stop:
        origin = block << LOG_BLOCK
        low, high = max(start, origin), min(stop, origin + BLOCK)
        y = out[low - start : high - start]
        n = len(y)
        segment = sample(y, low, n, segment, form, time_h, value, target, tau_h, step_h, indices)
        if noisy:
            draw(origin, u64(0), address, w, x[:BLOCK], chance)
        shift = low - origin
        if correlated > 0:
            x[0] = _anchor(u64(origin), address, pull, spread, nodes, values)
            x[BLOCK] = _anchor(u64(origin + BLOCK), address, pull, spread, nodes, values)
            _bridge(x, pull, spread)
            for i in range(n):
                y[i] += white * w[shift + i] + correlated * x[shift + i]
        elif white > 0:
            for i in range(n):
                y[i] += white * w[shift + i]
        if len(drift):
            for i in range(n):
                p = (low + i) * step_h / knot_h
                j = i64(p)
                f = f32(p - j)
                y[i] += drift[j - first_knot] * (f32(1) - f) + drift[j - first_knot + 1] * f
        if quantum > 0:
            for i in range(n):
                y[i] = np.rint(y[i] / quantum) * quantum
        if missing_below > 0:
            for i in range(n):
                y[i] = f32(np.nan) if chance[shift + i] < missing_below else y[i]
        block += 1


@compiled()
def relaxed(time_h, level, tau_h, initial):
    """The value at each breakpoint of a first-order lag that starts at *initial* and tends to *level*."""
    out = np.empty(len(time_h))
    x = initial
    for i in range(len(time_h)):
        if i:
            x = level[i - 1] + (x - level[i - 1]) * math.exp(-(time_h[i] - time_h[i - 1]) / tau_h)
        out[i] = x
    return out


@compiled()
def union(a_h, b_h):
    """The union of two rising sequences of times, from where both have begun, and the index in force in each."""
    n = len(a_h) + len(b_h)
    times_h, in_a, in_b = np.empty(n), np.empty(n, np.int64), np.empty(n, np.int64)
    now, i, j, k = max(a_h[0], b_h[0]), 0, 0, 0
    while True:
        while i + 1 < len(a_h) and a_h[i + 1] <= now:
            i += 1
        while j + 1 < len(b_h) and b_h[j + 1] <= now:
            j += 1
        times_h[k], in_a[k], in_b[k] = now, i, j
        k += 1
        if i + 1 < len(a_h):
            now = min(a_h[i + 1], b_h[j + 1]) if j + 1 < len(b_h) else a_h[i + 1]
        elif j + 1 < len(b_h):
            now = b_h[j + 1]
        else:
            return times_h[:k], in_a[:k], in_b[:k]


@compiled()
def alarmed(values, limit, clear, readings):
    """Whether an alarm stands at each reading: from the last of so many in a row at *limit* or above, until one below
    *clear* or at it. A reading that is NaN changes nothing."""
    out = np.zeros(len(values), np.bool_)
    standing, above = False, 0
    for k in range(len(values)):
        value = values[k]
        if value == value:
            above = above + 1 if value >= limit else 0
            standing = value > clear if standing else above >= readings
        out[k] = standing
    return out
