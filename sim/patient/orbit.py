"""The circulation compiled: one beat of the closed loop, and its steady state. Research only, not for clinical use.

Volumes in ml, pressures in mmHg, time in s, in the order lv, sa, sv, rv, pa, pv. A steady state is a root of
"one beat later, less now" in five volumes and the reflex; the sixth volume (sv) is what the total leaves, so that no
blood is lost to the solver. The root is found by Broyden's method from a finite-difference Jacobian.
"""

from __future__ import annotations

import math

import numpy as np

from sim.compiled import compiled

# Columns of the parameters; `sim.patient.circulation.Circulation` has a field for each, in this order.
COLUMNS = (
    *("hr_per_min", "ees", "v0_ml", "alpha", "beta", "ra", "vs_ml", "eer", "rap", "pset"),
    *("cas", "cvs", "cap", "cvp", "rv_v0_ml", "rv_alpha", "rv_beta"),
    *("r_aortic", "r_mitral", "r_tricuspid", "r_pulmonic"),
    *("reflex_hr", "reflex_ees", "reflex_ra", "reflex_vs", "reflex_width"),
    *("mitral_leak", "pump"),
)
HR, EES, V0, ALPHA, BETA, RA, VS, EER, RAP, PSET = range(10)
CAS, CVS, CAP, CVP, RV_V0, RV_ALPHA, RV_BETA, R_AO, R_MI, R_TR, R_PU = range(10, 21)
K_HR, K_EES, K_RA, K_VS, WIDTH, LEAK, PUMP = range(21, 28)
OUTPUTS = ("hr", "edv", "esv", "sv", "ef", "co", "map", "lvsp", "pcwp", "mpap")
SUMS = ("map", "mpap", "pcwp", "out of lv", "out of rv")  # of a beat: three mean pressures, two volumes
STEPS = 100  # Runge-Kutta steps a beat
ROOT_ML = 1e-8  # a beat returns to its start to this
TM_S, T_REF_S, TAU_S = 0.30, 0.833, 0.03
PUMP_HEAD = 120.0  # mmHg against which an assist device pumps nothing
SUCTION_ML = 20.0  # below which, over V0, a ventricle is too small for it to draw all it could
AORTA, PULMONARY = 0.030, 0.020  # the part of a valve's resistance beyond the point where pressure is measured


@compiled()
def activation(t, tm):
    """The share of the ventricle's contraction, *t* s after its start: a raised cosine, then an exponential."""
    return 0.5 * (1 - math.cos(math.pi * t / tm)) if t < 1.5 * tm else 0.5 * math.exp(-(t - 1.5 * tm) / TAU_S)


@compiled()
def scaled(p, s):
    """A patient's parameters under the reflex *s*: heart rate, Ees and Ra follow it."""
    q = np.empty(len(p))
    for i in range(len(p)):
        q[i] = p[i]
    q[HR] *= 1 + p[K_HR] * (s - 0.5)
    q[EES] *= 1 + p[K_EES] * (s - 0.5)
    q[RA] *= 1 + p[K_RA] * (s - 0.5)
    return q


@compiled()
def stressed(p, s):
    """The volume in the six compartments under the reflex *s*, in ml; the reservoir holds the rest of the blood."""
    return p[VS] * (1 + p[K_VS] * (s - 0.5)) + p[V0] + p[RV_V0]


@compiled()
def flows(q, v, e, out):
    """Pressures (lv, sa, sv, rv, pa, pv) and then flows (lv-sa, sa-sv, sv-rv, rv-pa, pa-pv, pv-lv) into *out*.

    A mitral valve that leaks lets blood back into pv, an assist device takes it from lv to sa beside the aortic valve.
    """
    lv, rv = v[0] - q[V0], v[3] - q[RV_V0]
    out[0] = e * q[EES] * lv + (1 - e) * q[BETA] * (math.exp(q[ALPHA] * lv) - 1)
    out[3] = e * q[EER] * rv + (1 - e) * q[RV_BETA] * (math.exp(q[RV_ALPHA] * rv) - 1)
    out[1], out[2], out[4], out[5] = v[1] / q[CAS], v[2] / q[CVS], v[4] / q[CAP], v[5] / q[CVP]
    out[6] = max(out[0] - out[1], 0.0) / q[R_AO]
    if q[PUMP] > 0:  # from the ventricle to the aorta, less against a higher head
        head = min(max(1 - (out[1] - out[0]) / PUMP_HEAD, 0.0), 1.0)
        out[6] += q[PUMP] * head * min(max(lv / SUCTION_ML, 0.0), 1.0)
    out[7] = (out[1] - out[2]) / q[RA]
    out[8] = max(out[2] - out[3], 0.0) / q[R_TR]
    out[9] = max(out[3] - out[4], 0.0) / q[R_PU]
    out[10] = (out[4] - out[5]) / q[RAP]
    out[11] = max(out[5] - out[0], 0.0) / q[R_MI] - q[LEAK] * max(out[0] - out[5], 0.0)


@compiled()
def beat(p, s, start, steps, end, sums, ends, wave):
    """One beat under the reflex *s* by classical Runge-Kutta.

    Fills *end* (volumes after it), *sums* (see SUMS), *ends* (largest and smallest lv volume, largest lv pressure) and,
    where *wave* has rows, a row a step: time, six volumes, six pressures, six flows.
    """
    q = scaled(p, s)
    period = 60 / q[HR]
    h, tm = period / steps, TM_S * math.sqrt(period / T_REF_S)
    v, w = np.empty(6), np.empty(6)
    for i in range(6):
        v[i] = start[i]
    f1, f2, f3, f4 = np.empty(12), np.empty(12), np.empty(12), np.empty(12)
    for i in range(5):
        sums[i] = 0.0
    ends[0], ends[1], ends[2] = v[0], v[0], 0.0
    e0 = activation(0.0, tm)
    for k in range(steps):
        em, e1 = activation((k + 0.5) * h, tm), activation((k + 1) * h, tm)
        flows(q, v, e0, f1)
        for i in range(6):
            w[i] = v[i] + 0.5 * h * (f1[6 + (i + 5) % 6] - f1[6 + i])
        flows(q, w, em, f2)
        for i in range(6):
            w[i] = v[i] + 0.5 * h * (f2[6 + (i + 5) % 6] - f2[6 + i])
        flows(q, w, em, f3)
        for i in range(6):
            w[i] = v[i] + h * (f3[6 + (i + 5) % 6] - f3[6 + i])
        flows(q, w, e1, f4)
        if len(wave):
            wave[k, 0] = k * h
            for i in range(6):
                wave[k, 1 + i], wave[k, 7 + i], wave[k, 13 + i] = v[i], f1[i], f1[6 + i]
        for i in range(6, 12):
            w[i - 6] = (f1[i] + 2 * f2[i] + 2 * f3[i] + f4[i]) / 6
        sums[0] += f1[1] + AORTA * f1[6]
        sums[1] += f1[4] + PULMONARY * f1[9]
        sums[2] += f1[5]
        sums[3] += w[0] * h
        sums[4] += w[3] * h
        for i in range(6):
            v[i] += h * (w[(i + 5) % 6] - w[i])
        ends[0], ends[1], ends[2] = max(ends[0], v[0]), min(ends[1], v[0]), max(ends[2], f1[0])
        e0 = e1
    sums[0] /= steps
    sums[1] /= steps
    sums[2] /= steps
    for i in range(6):
        end[i] = v[i]


@compiled()
def reflex(p, map_mmhg):
    """Where the baroreflex settles at a mean arterial pressure: 1 at none, ½ at its set point."""
    return 1 / (1 + math.exp((map_mmhg - p[PSET]) / p[WIDTH]))


@compiled()
def volumes(p, u, v):
    """Six volumes from the unknowns (lv, sa, rv, pa, pv, 100 s): sv is what the stressed volume leaves."""
    v[0], v[1], v[3], v[4], v[5] = u[0], u[1], u[2], u[3], u[4]
    v[2] = stressed(p, u[5] / 100) - (u[0] + u[1] + u[2] + u[3] + u[4])


@compiled()
def residual(p, u, steps, out, v, end, sums, ends, wave):
    """One beat later less now, for each unknown; returns the largest."""
    volumes(p, u, v)
    beat(p, u[5] / 100, v, steps, end, sums, ends, wave)
    out[0], out[1], out[2], out[3], out[4] = end[0] - v[0], end[1] - v[1], end[3] - v[3], end[4] - v[4], end[5] - v[5]
    out[5] = 100 * reflex(p, sums[0]) - u[5]
    size = 0.0
    for x in out:
        if not abs(x) <= size:  # what is not a number is the largest
            size = abs(x)
    return size


@compiled()
def invert(a, out):
    """The inverse of a 6 × 6 matrix by Gauss and Jordan with pivots; *a* is spent. False: it has none."""
    for i in range(6):
        for j in range(6):
            out[i, j] = 1.0 if i == j else 0.0
    for c in range(6):
        best = c
        for i in range(c + 1, 6):
            if abs(a[i, c]) > abs(a[best, c]):
                best = i
        if not abs(a[best, c]) > 1e-12:
            return False
        for j in range(6):
            a[c, j], a[best, j] = a[best, j], a[c, j]
            out[c, j], out[best, j] = out[best, j], out[c, j]
        pivot = a[c, c]
        for j in range(6):
            a[c, j] /= pivot
            out[c, j] /= pivot
        for i in range(6):
            factor = a[i, c]
            if i != c and factor != 0:
                for j in range(6):
                    a[i, j] -= factor * a[c, j]
                    out[i, j] -= factor * out[c, j]
    return True


@compiled()
def learn(inverse, step, change):
    """Broyden's update of the Jacobian's inverse: *step* in the unknowns brought *change* in the residual."""
    told, along, below = np.zeros(6), np.zeros(6), 0.0
    for i in range(6):
        for j in range(6):
            told[i] += inverse[i, j] * change[j]
            along[j] += step[i] * inverse[i, j]
    for i in range(6):
        below += along[i] * change[i]
    if abs(below) > 1e-14:
        for i in range(6):
            for j in range(6):
                inverse[i, j] += (step[i] - told[i]) * along[j] / below


@compiled()
def solve(p, u, inverse, known, steps, v, sums, ends):
    """The periodic orbit from the guess *u*, which becomes the root; returns the beats taken, or -1.

    *inverse* is the Jacobian's inverse where it is *known*, as of a root near by; it is made anew where that one leads
    nowhere.
    """
    wave, end = np.empty((0, 19)), np.empty(6)
    r, r2, u2, step = np.empty(6), np.empty(6), np.empty(6), np.empty(6)
    jacobian, beats = np.empty((6, 6)), 0
    for attempt in range(8):
        size = residual(p, u, steps, r, v, end, sums, ends, wave)
        beats += 1
        if attempt or not known:
            for _ in range(4 + 4 * attempt):  # plain beats bring a poor guess into the basin
                if size < 2:
                    break
                for i in range(6):
                    u[i] += r[i] if i < 5 else 0.3 * r[i]
                size = residual(p, u, steps, r, v, end, sums, ends, wave)
                beats += 1
            if not size < 1e6:
                return -1
            for j in range(6):
                for i in range(6):
                    u2[i] = u[i] + (1e-4 if i == j else 0.0)
                residual(p, u2, steps, r2, v, end, sums, ends, wave)
                for i in range(6):
                    jacobian[i, j] = (r2[i] - r[i]) / 1e-4
            beats += 6
            if not invert(jacobian, inverse):
                return -1
        for _ in range(25):
            if size < ROOT_ML:
                residual(p, u, steps, r, v, end, sums, ends, wave)
                return beats
            longest = 60.0
            for i in range(6):
                step[i] = 0.0
                for j in range(6):
                    step[i] -= inverse[i, j] * r[j]
                longest = max(longest, abs(step[i]))
            for i in range(6):
                u2[i] = u[i] + step[i] * 60 / longest
            u2[5] = min(max(u2[5], 0.0), 100.0)
            size2 = residual(p, u2, steps, r2, v, end, sums, ends, wave)
            beats += 1
            if not size2 < 1e6 or (size2 > 4 * size and size2 > 20):
                break
            for i in range(6):
                step[i], u[i], r[i], r2[i] = u2[i] - u[i], u2[i], r2[i], r2[i] - r[i]
            learn(inverse, step, r2)
            size = size2
    return -1


@compiled()
def steady(patients, guesses, inverses, known, steps, orbits, sums, ends, beats):
    """A steady state for each row of *patients*, each from its own guess, so that a batch never changes a patient.

    *guesses* and *orbits* are six volumes and the reflex; *orbits* is not a number where none was found.
    """
    u, v = np.empty(6), np.empty(6)
    for n in range(len(patients)):
        g = guesses[n]
        u[0], u[1], u[2], u[3], u[4], u[5] = g[0], g[1], g[3], g[4], g[5], 100 * g[6]
        beats[n] = solve(patients[n], u, inverses[n], known, steps, v, sums[n], ends[n])
        for i in range(7):
            orbits[n, i] = np.nan if beats[n] < 0 else (v[i] if i < 6 else u[5] / 100)


@compiled()
def follow(p, orbit, reservoir_ml, gain, steps, record):
    """Beat after beat from *orbit*: after each, the reflex goes the share *gain* of its way and blood changes sides.

    A row of *record* a beat: six volumes at its end, the reflex and the reservoir then, the lv's largest and smallest
    volume and largest pressure, and the sums of SUMS.
    """
    wave, v, end, sums, ends = np.empty((0, 19)), np.empty(6), np.empty(6), np.empty(5), np.empty(3)
    s = orbit[6]
    for i in range(6):
        v[i] = orbit[i]
    for k in range(len(record)):
        beat(p, s, v, steps, end, sums, ends, wave)
        new = s + gain * (reflex(p, sums[0]) - s)
        moved = stressed(p, new) - stressed(p, s)
        s = new
        end[2] += moved
        reservoir_ml -= moved
        for i in range(6):
            v[i] = end[i]
            record[k, i] = end[i]
        record[k, 6], record[k, 7] = s, reservoir_ml
        for i in range(3):
            record[k, 8 + i] = ends[i]
        for i in range(5):
            record[k, 11 + i] = sums[i]
