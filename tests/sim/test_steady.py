"""Warm-up, batches and intervals against processes whose means and variances are known."""

import math
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from sim.errors import InputError
from sim.steady import (
    batch_means,
    independence,
    mean_interval,
    mser5,
    precise_mean,
    rates,
    settled_mean,
    time_means,
)
from sim.trace import Signal

ALPHA = 0.1
times = st.lists(st.floats(0.01, 5.0), min_size=1, max_size=12).map(lambda gaps: np.append(0.0, np.cumsum(gaps)))


def ar1(rng, count, phi=0.8, mean=5.0, start=None):
    """x_t − μ = φ(x_{t−1} − μ) + ε, from its stationary law or from *start*."""
    noise = rng.normal(size=count)
    x = noise[0] / math.sqrt(1 - phi**2) if start is None else start - mean
    values = np.empty(count)
    for t in range(count):
        x = values[t] = x if not t else phi * x + noise[t]
    return mean + values


def mm1_waits(rng, count, utilisation=0.5):
    """Lindley's recursion from an empty queue; the mean wait is ρ²/λ(1−ρ)."""
    step = rng.exponential(1, count) - rng.exponential(1 / utilisation, count)
    walk = np.append(0.0, np.cumsum(step)[:-1])
    return walk - np.minimum.accumulate(walk)


def settled(run):
    return settled_mean(run, ALPHA).estimate


def covered(draws, mean, estimate):
    """Share of the intervals that hold the mean; one that is refused does not."""
    hits = 0
    for run in draws:
        with suppress(InputError):
            value, half_width = estimate(run)
            hits += abs(value - mean) <= half_width
    return hits / len(draws)


@given(times, st.sampled_from(["step", "linear", "relax"]), st.data())
@settings(deadline=None, max_examples=60)
def test_a_time_mean_is_the_integral_of_the_signal(time_h, form, data):
    value, target = (
        np.array(data.draw(st.lists(st.floats(-9, 9), min_size=len(time_h), max_size=len(time_h)))) for _ in range(2)
    )
    signal = {
        "step": lambda: Signal.step(time_h, value),
        "linear": lambda: Signal.linear(time_h, value, target),
        "relax": lambda: Signal.relax(time_h, value, target, 0.7),
    }[form]()
    start_h, end_h = sorted(data.draw(st.tuples(*[st.floats(0, float(time_h[-1]) + 3)] * 2)))
    if end_h - start_h < 1e-3:
        return
    inside = time_h[(time_h > start_h) & (time_h < end_h)]
    cuts = [start_h, *inside, end_h]
    middle = [np.nextafter(a, math.inf) for a in cuts[:-1]]
    pieces = [
        integrate.fixed_quad(lambda t, a=a, b=b: signal.at(np.clip(t, a, np.nextafter(b, 0))), a, b, n=12)[0]
        for a, b in zip(middle, cuts[1:], strict=True)
    ]
    assert time_means(signal, [start_h, end_h])[0] == pytest.approx(sum(pieces) / (end_h - start_h), abs=1e-6)
    edges = np.linspace(start_h, end_h, 8)
    assert time_means(signal, edges).mean() == pytest.approx(time_means(signal, edges[[0, -1]])[0], abs=1e-9)


def test_counts_belong_to_the_stretch_they_open():
    assert rates([0.0, 1.0, 1.5, 4.0], [0, 1, 3, 4]).tolist() == [1.0, 1.0, 0.0]


def test_a_signal_is_not_asked_before_its_beginning():
    with pytest.raises(ValueError, match="begins at 1"):
        time_means(Signal.step([1.0], [2.0]), [0.0, 2.0])


def test_batch_means():
    assert batch_means(np.arange(11.0), 2).tolist() == [3.0, 8.0]
    with pytest.raises(ValueError, match="cannot make"):
        batch_means([1.0], 2)


def mser5_by_definition(values):
    means = [np.mean(values[i : i + 5]) for i in range(0, len(values) // 5 * 5, 5)]
    n = len(means)
    error = [sum((z - np.mean(means[d:])) ** 2 for z in means[d:]) / (n - d) ** 2 for d in range(n // 2 + 1)]
    return 5 * int(np.argmin(error))


@given(st.integers(50, 140), st.floats(0, 30), st.integers(0, 10**6))
@settings(deadline=None, max_examples=40)
def test_mser5_is_its_definition(count, bias, seed):
    values = np.random.default_rng(seed).normal(1e3, 1.0, count) + bias * np.exp(-np.arange(count) / 8)
    expected = mser5_by_definition(values)
    if expected // 5 == count // 5 // 2:
        with pytest.raises(InputError, match="not over in the first half"):
            mser5(values)
    else:
        assert mser5(values) == expected


def test_mser5_drops_a_transient_and_keeps_a_stationary_run():
    noise = np.random.default_rng(0).normal(size=4000)
    transient = 20 * np.exp(-np.arange(4000) / 50)
    assert 150 <= mser5(noise + transient) <= 500
    assert mser5(noise) < 1000
    assert mser5(np.ones(60)) == 0


def test_mser5_refuses_what_cannot_tell():
    with pytest.raises(InputError, match="49 values are too few"):
        mser5(np.ones(49))
    with pytest.raises(InputError, match="not over in the first half of 500 values; run longer"):
        mser5(np.append(np.linspace(50, 0, 400), np.zeros(100)))


def test_students_interval_covers_at_its_level():
    values = np.random.default_rng(3).normal(size=(2000, 6))
    missed = sum(abs(e.value) > e.half_width for e in (mean_interval(v, 0.05) for v in values))
    assert 60 < missed < 145  # 100 expected, sd 9.7


def test_independence_is_uniform_without_correlation_and_low_with_it():
    rng = np.random.default_rng(5)
    p = np.array([independence(v) for v in rng.normal(size=(2000, 32))])
    assert np.quantile(p, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.04)
    assert np.mean([independence(ar1(rng, 32)) < 0.01 for _ in range(200)]) > 0.75
    assert independence(np.ones(9)) == 1.0


def test_the_mean_of_batches_of_ar1_has_the_known_variance():
    """n·Var(x̄) tends to σ²/(1−φ)², nine times the variance of a value at φ = .8: what a naive interval leaves out."""
    rng, count, phi = np.random.default_rng(7), 4000, 0.8
    means = [batch_means(ar1(rng, count, phi), 20) for _ in range(40)]
    assert count / 20 * np.mean([m.var(ddof=1) for m in means]) == pytest.approx(1 / (1 - phi) ** 2, rel=0.12)
    assert np.mean(means) == pytest.approx(5.0, abs=4 / (1 - phi) / math.sqrt(40 * count))


def test_the_settled_mean_of_ar1_is_covered_at_its_level():
    rng = np.random.default_rng(11)
    runs = [ar1(rng, 3000) for _ in range(400)]
    assert covered(runs, 5.0, settled) == pytest.approx(1 - ALPHA, abs=0.05)
    naive = covered(runs, 5.0, lambda run: mean_interval(run, ALPHA))
    assert naive < 0.6  # values taken for independent


def test_the_settled_wait_of_mm1_is_covered_from_an_empty_start():
    rng = np.random.default_rng(13)
    runs = [mm1_waits(rng, 20_000) for _ in range(300)]
    assert covered(runs, 1.0, settled) == pytest.approx(1 - ALPHA, abs=0.06)


def test_a_biased_start_is_covered_only_when_it_is_dropped():
    """A start 25 deviations off fades over many values; replications that keep it miss, those that drop it cover."""
    rng = np.random.default_rng(17)
    studies = [[ar1(rng, 500, start=50.0) for _ in range(10)] for _ in range(150)]

    def kept(study):
        return mean_interval([run.mean() for run in study], ALPHA)

    def dropped(study):
        first = mser5(np.mean(study, 0))
        return mean_interval([run[first:].mean() for run in study], ALPHA)

    assert covered(studies, 5.0, dropped) == pytest.approx(1 - ALPHA, abs=0.06)
    assert covered(studies, 5.0, kept) < 0.4
    long = [ar1(rng, 3000, start=200.0) for _ in range(200)]
    assert covered(long, 5.0, settled) == pytest.approx(1 - ALPHA, abs=0.06)


def test_what_never_settles_is_refused():
    walk = np.cumsum(np.random.default_rng(1).normal(size=400))
    with pytest.raises(InputError, match="run longer"):
        settled_mean(walk, ALPHA)


def test_sequential_replications_stop_when_precise_and_cover():
    rng, taken, hits = np.random.default_rng(19), [], 0
    for _ in range(300):
        estimate, n = precise_mean(iter(lambda: float(rng.normal(10, 3)), None), 0.05, ALPHA)
        assert estimate.half_width <= 0.05 / 1.05 * estimate.value
        taken.append(n)
        hits += abs(estimate.value - 10) <= 0.05 * 10
    assert np.mean(taken) == pytest.approx((1.645 * 3 / (0.05 / 1.05 * 10)) ** 2, rel=0.15)
    assert hits / 300 > 1 - ALPHA - 0.05
    with pytest.raises(InputError, match="5 replications give"):
        precise_mean(rng.normal(10, 3, 5), 0.001, ALPHA, first=2)
