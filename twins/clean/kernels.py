"""The compiled loops of cleaning: local levels, readings that repeat, clocks that jump."""

from __future__ import annotations

import numpy as np

from sim.compiled import compiled

OLD = 4  # readings further off than so many windows do not tell of a level
NORMAL = 1.4826  # standard deviations in a median absolute deviation of a normal law


@compiled()
def deviations(values, behind, ahead, floor):
    """How far each reading lies from the median of its neighbours, in their deviations, and such a deviation's size.

    Neighbours are the *behind* readings before and the *ahead* after that are there (not NaN); a deviation is at least
    *floor*. Two float64[n]; NaN where there is no reading, or fewer than half of the neighbours.
    """
    n, width = len(values), behind + ahead
    score, size = np.full(n, np.nan), np.full(n, np.nan)
    near, apart = np.empty(width), np.empty(width)
    for i in range(n):
        if np.isnan(values[i]):
            continue
        count = 0
        for side in range(2):
            step, wanted = (-1, behind) if side == 0 else (1, ahead)
            k, got = i + step, 0
            while got < wanted and 0 <= k < n and abs(k - i) <= OLD * wanted:
                if not np.isnan(values[k]):
                    near[count] = values[k]
                    count += 1
                    got += 1
                k += step
        if 2 * count < width or count < 3:
            continue
        level = _median(near, count)
        for k in range(count):
            apart[k] = abs(near[k] - level)
        size[i] = max(NORMAL * _median(apart, count), floor)
        if size[i] > 0:
            score[i] = abs(values[i] - level) / size[i]
        else:
            score[i] = 0.0 if values[i] == level else np.inf
    return score, size


@compiled()
def _median(x, count):
    """Of the first *count* of *x*, which are put in order."""
    for i in range(1, count):
        value, k = x[i], i - 1
        while k >= 0 and x[k] > value:
            x[k + 1] = x[k]
            k -= 1
        x[k + 1] = value
    middle = count // 2
    return x[middle] if count % 2 else 0.5 * (x[middle - 1] + x[middle])


@compiled()
def spikes(values, score, size, threshold):
    """Readings beyond *threshold* deviations, but for one near a reading just before that is too: a new level."""
    found = np.zeros(len(values), np.bool_)
    last = -1
    for i in range(len(values)):
        if np.isnan(values[i]):
            continue
        if score[i] > threshold:
            stays = last >= 0 and score[last] > threshold and abs(values[i] - values[last]) <= threshold * size[i]
            found[i] = not stays
        last = i
    return found


@compiled()
def stuck(values, least, hindsight):
    """Readings that are the *least*-th or a later one of equal ones in a row; with *hindsight* all of the row."""
    found = np.zeros(len(values), np.bool_)
    begin, last, count = 0, np.nan, 0
    for i in range(len(values)):
        if np.isnan(values[i]):
            continue
        if values[i] == last:
            count += 1
        else:
            begin, last, count = i, values[i], 1
        if count >= least:
            found[i] = True
            if hindsight and count == least:
                for k in range(begin, i):
                    found[k] = not np.isnan(values[k])
    return found


@compiled()
def on_clock(time_h, step_h, slack_h):
    """The number of the step of a clock that each reading is put on, int64[n], and whether it has a place, bool[n].

    Steps lie at whole multiples of *step_h*. A reading comes at its step or before, never after by more than *slack_h*,
    at a phase that the first reading sets. A reading further than *slack_h* from that phase has no place, nor has one
    whose step is taken or past; but the second in a row, a whole number of steps after the one before, sets the phase
    anew: the logger has been started again, or its clock has drifted.
    """
    step, on = np.zeros(len(time_h), np.int64), np.zeros(len(time_h), np.bool_)
    phase, highest, strayed = 0.0, 0, False
    for i in range(len(time_h)):
        off = i == 0 or abs(_beside(time_h[i] - phase, step_h)) > slack_h
        run = time_h[i] - time_h[i - 1] if strayed else 0.0
        if i == 0 or (off and run >= step_h - slack_h and abs(_beside(run, step_h)) <= slack_h):
            phase, off = time_h[i] - np.ceil((time_h[i] - slack_h) / step_h) * step_h, False
            phase = 0.0 if abs(phase) <= slack_h else phase
        step[i] = int(np.rint((time_h[i] - phase) / step_h))
        on[i] = not off and (i == 0 or step[i] > highest)
        if on[i]:
            highest = step[i]
        strayed = off
    return step, on


@compiled()
def _beside(span_h, step_h):
    """How far a span lies from the next whole number of steps."""
    return span_h - np.rint(span_h / step_h) * step_h


@compiled()
def set_right(time_h, step_h, most_h):
    """Times of a logger whose clock jumps, set right by what has come before: float64[n], and whether each is kept.

    Time that runs back, or further on than *most_h*, is a jump: from there on readings follow on the last by one step,
    until time jumps again and is taken to be right. Time that runs back by as much as it ran on before was wrong in
    between, and is right now. Readings whose time is taken when it is right again are not kept.
    """
    out, kept = time_h.copy(), np.ones(len(time_h), np.bool_)
    shift, ahead, last = 0.0, 0.0, 0
    slack = 0.25 * step_h
    for i in range(1, len(time_h)):
        run, own = time_h[i] - time_h[i - 1], time_h[i] - out[last]
        if abs(run) <= 1e-9:  # of one time, whatever that is
            out[i], kept[i] = out[i - 1], kept[i - 1]
            continue
        jumped = abs(run - step_h) > slack
        right = jumped and (shift != 0.0 or abs(step_h - run - ahead) <= slack)
        if right:
            shift, ahead = 0.0, 0.0
        if own <= slack and (right or (not jumped and not kept[i - 1])):
            kept[i] = False
            continue
        if slack < own + shift <= most_h:
            if jumped and not right:
                ahead = run - step_h
        else:
            shift = out[last] + step_h - time_h[i]
        out[i] = time_h[i] + shift if shift else time_h[i]
        last = i
    return out, kept
