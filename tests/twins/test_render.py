"""Rendering: any window alone, any split of the run, the clock's edges, and the signals that readings are made of."""

import math
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.house import House
from sim.trace import Form, Signal, Trace
from tests.sim.strategies import lines
from twins.channel import Channel, Role
from twins.house import HouseTwin
from twins.line import LineTwin
from twins.sensors.noise import Noise
from twins.sensors.render import Panel, clean, render, samples_before
from twins.sensors.signals import combine, integral, lag, since

ROOT = Path(__file__).parents[2]
few = settings(max_examples=int(os.environ.get("TWINWORLDS_EXAMPLES", "40")))
FULL = Noise(0.1, 0.2, 1.0, drift=0.3, drift_knot_h=2.5, quantum=0.01, dropout=0.02)
TWINS = {"line": (lines().map(lambda line: LineTwin(line)), 60.0), "house": (st.just(HouseTwin(House())), 300.0)}


def channel(reading, step_h=0.1, noise=FULL):
    return Channel("m1", "x", "1", Role.PAST, reading, step_h, noise)


def trace_of(signal, end_h=400.0, seed=1):
    return Trace(seed, 0.0, end_h, {("m1", "x"): signal})


def read(trace):
    return trace["m1", "x"]


@st.composite
def signals(draw):
    times_h = draw(st.lists(st.floats(0, 400) | st.integers(0, 4000).map(lambda k: k * 0.1), max_size=30))
    times_h = np.array([0.0, *sorted(times_h)])
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    value, target = rng.normal(size=(2, len(times_h)))
    form = draw(st.sampled_from(Form))
    if form is Form.STEP:
        return Signal.step(times_h, value)
    return Signal.linear(times_h, value, target) if form is Form.LINEAR else Signal.relax(times_h, value, target, 0.7)


@few
@given(st.lists(signals(), min_size=1, max_size=4), st.integers(0, 3999), st.integers(1, 3000), st.booleans())
def test_a_panel_renders_what_each_channel_renders_alone(readings, start, count, gaps):
    count = min(count, 4000 - start)
    trace = Trace(3, 0.0, 400.0, {(f"m{i}", "x"): signal for i, signal in enumerate(readings)})
    noises = (FULL, Noise(white=1.0), Noise(), Noise(autocorrelated=0.4, dropout=0.1 * gaps))
    channels = [
        Channel(f"m{i}", "x", "1", Role.PAST, lambda trace, i=i: trace[f"m{i}", "x"], 0.1, noise)
        for i, noise in zip(range(len(readings)), noises, strict=False)
    ]
    panel = Panel.of(trace, channels)
    whole, out = panel.render(), np.empty((len(channels), count), np.float32)
    assert panel.render(start, count, out) is out
    assert out.tobytes() == np.ascontiguousarray(whole[:, start : start + count]).tobytes()
    assert whole.tobytes() == b"".join(render(trace, channel).tobytes() for channel in channels)


def test_a_panel_refuses_what_it_cannot_render():
    trace = trace_of(Signal.step([0.0], [1.0]))
    with pytest.raises(InputError, match="one and the same step_h"):
        Panel.of(trace, [channel(read), channel(read, 0.2)])
    with pytest.raises(InputError, match="one and the same step_h"):
        Panel.of(trace, [channel(read, None, Noise())])
    panel = Panel.of(trace, [channel(read)])
    with pytest.raises(InputError, match="the trace owns 0 to 3999"):
        panel.render(3990, 11)
    for bad in (np.empty((1, 4)), np.empty((2, 4), np.float32), np.empty((1, 8), np.float32)[:, ::2]):
        with pytest.raises(ValueError, match="contiguous float32"):
            panel.render(0, 4, bad)


@few
@given(signals(), st.integers(0, 4000), st.integers(0, 4000), st.integers(0, 2**63))
def test_any_window_alone_is_that_window_of_the_whole(signal, a, b, seed):
    trace, sensor = trace_of(signal, seed=seed), channel(read)
    start, end = sorted((a, b))
    whole = render(trace, sensor)
    assert len(whole) == 4000
    assert whole[start:end].tobytes() == render(trace, sensor, start, end - start).tobytes()


@pytest.mark.parametrize("name", TWINS)
@few
@given(data=st.data())
def test_every_twin_renders_windows_and_joined_traces_alike(name, data):
    make, horizon_h = TWINS[name]
    twin = data.draw(make)
    state = twin.world.start(data.draw(st.integers(0, 2**40)))
    whole = twin.world.run(state, horizon_h).trace
    cut_h = data.draw(st.floats(0, horizon_h))
    first = twin.world.run(state, cut_h)
    joined = first.trace + twin.world.run(first.state, horizon_h).trace
    for sensor in twin.channels:
        values = render(whole, sensor)
        assert values.tobytes() == render(joined, sensor).tobytes(), sensor.key
        start = data.draw(st.integers(0, len(values)))
        count = data.draw(st.integers(0, len(values) - start))
        assert values[start : start + count].tobytes() == twin.render(whole, sensor, start, count).tobytes(), sensor.key


@few
@given(signals())
def test_the_clean_reading_is_the_signal_at_the_samples(signal):
    x = clean(trace_of(signal), channel(read))
    exact = signal.at(np.arange(4000) * 0.1)
    if signal.form is Form.RELAX:
        assert x == pytest.approx(exact, abs=2e-6)
    else:
        assert np.array_equal(x, exact.astype(np.float32))


steps = st.sampled_from([1 / 6, 1 / 60, 0.1, 1 / 3, 1e-3, 1.0, math.pi]) | st.floats(1e-4, 10)


@few
@given(steps, st.integers(0, 10**6))
@example(1 / 6, 144)
def test_a_run_owns_the_samples_before_its_end(step_h, k):
    at_h = k * step_h
    assert samples_before(at_h, step_h) == k
    assert samples_before(math.nextafter(at_h, math.inf), step_h) == k + 1


@few
@given(steps, st.integers(1, 10**4))
def test_an_event_at_a_samples_very_time_counts_before_it(step_h, k):
    at_h = k * step_h
    for due_h, first in ((at_h, k), (math.nextafter(at_h, math.inf), k + 1), (math.nextafter(at_h, 0), k)):
        trace = trace_of(Signal.step([0.0, due_h], [0.0, 1.0]), (k + 2) * step_h)
        wanted = [float(j >= first) for j in range(k - 1, k + 2)]
        assert clean(trace, channel(read, step_h), k - 1, 3).tolist() == wanted


@pytest.mark.parametrize(("start", "count"), [(-1, 5), (3990, 11), (0, 4001), (5, -1)])
def test_samples_that_the_trace_does_not_own_are_refused(start, count):
    with pytest.raises(InputError, match="the trace owns 0 to 3999"):
        render(trace_of(Signal.step([0.0], [1.0])), channel(read), start, count)


def test_a_channel_without_a_step_is_read_at_its_breakpoints():
    signal = Signal.step([0.5, 2.0, 2.0, 7.0, 500.0], [1, 2, 3, 4, 5])
    trace = trace_of(signal)
    assert clean(trace, channel(read, None, Noise(white=1))).tolist() == [1, 2, 3, 4]
    noisy = render(trace, channel(read, None, Noise(white=1)))
    assert noisy[2:].tobytes() == render(trace, channel(read, None, Noise(white=1)), 2, 2).tobytes()
    with pytest.raises(InputError, match=r"Channel\.noise"):
        channel(read, None, FULL)


def test_noise_depends_on_run_and_channel_and_not_on_the_reading():
    a, b = trace_of(Signal.step([0.0], [0.0])), trace_of(Signal.step([0.0, 33.0], [0.0, 4.0]))
    sensor = channel(read, noise=Noise(1.0, 1.0))
    noise = render(a, sensor)
    assert render(b, sensor) - clean(b, sensor) == pytest.approx(noise, abs=1e-5)
    assert abs(np.corrcoef(noise, render(replace(a, seed=2), sensor))[0, 1]) < 0.3
    assert abs(np.corrcoef(noise, render(a, replace(sensor, entity="m2"), 0))[0, 1]) < 0.3


def test_read_only_and_integer_signals_are_rendered():
    values = np.arange(3)
    values.flags.writeable = False
    trace = trace_of(Signal(Form.STEP, np.array([0, 1, 2]), values), 3.0)
    assert clean(trace, channel(read, 1.0)).tolist() == [0, 1, 2]


# signals


@few
@given(st.lists(signals().filter(lambda s: s.form is Form.STEP), min_size=1, max_size=3))
def test_combine_is_the_function_of_the_values_at_every_time(parts):
    whole = combine(lambda *values: sum(values), *parts)
    times_h = np.r_[np.random.default_rng(0).uniform(0, 400, 50), *(part.time_h for part in parts)]
    assert whole.at(times_h) == pytest.approx(sum(part.at(times_h) for part in parts), abs=1e-12)
    assert whole.time_h[0] == 0


def test_combine_begins_where_all_have_begun():
    whole = combine(np.add, Signal.step([0.0, 2.0], [1, 2]), Signal.step([1.0], [10]))
    assert (whole.time_h.tolist(), whole.value.tolist()) == ([1.0, 2.0], [11.0, 12.0])
    assert combine(lambda a: 3.0, Signal.step([0.0, 2.0], [1, 2])).value.tolist() == [3.0, 3.0]


def test_lag_solves_its_equation():
    step = Signal.step([0.0, 1.0, 1.5, 4.0], [1.0, 5.0, -2.0, 0.0])
    fine_h = 1e-4
    times_h = np.arange(0, 6, fine_h)
    x, solved = 3.0, []
    for level in step.at(times_h + fine_h / 2):
        solved.append(x)
        x += (level - x) * -math.expm1(-fine_h / 0.7)
    assert lag(step, 0.7, 3.0).at(times_h) == pytest.approx(solved, abs=1e-8)
    assert lag(step, 0.7).at(0.5) == 1.0


def test_integral_and_since_count_hours():
    hours = integral(Signal.step([0.0, 2.0, 5.0], [1.0, 0.0, 1.0]))
    assert hours.at([1.0, 3.0, 7.0]).tolist() == [1.0, 2.0, 4.0]
    age = since(hours, np.array([1.0, 6.0]))
    assert age.at([0.5, 1.0, 1.5, 4.0, 6.0, 7.0]).tolist() == [0.5, 0.0, 0.5, 1.0, 0.0, 1.0]
    assert since(hours, np.array([])).at(7.0) == 4.0


@pytest.mark.parametrize("f", [lambda s: combine(np.abs, s), lambda s: lag(s, 1.0), integral])
def test_helpers_refuse_signals_of_another_form(f):
    with pytest.raises(ValueError, match="step signal"):
        f(Signal.linear([0.0], [0.0], [1.0]))


# cost


def test_a_fresh_process_finds_what_another_has_compiled(tmp_path):
    code = (
        "from sim.trace import Signal; from twins.sensors import kernels; from twins.sensors.render import sweep;"
        "from twins.sensors.noise import Noise, address;"
        "sweep(Signal.step([0.0], [0.0]), 1.0, Noise(white=1.0), address(1, 'a', 'b'), 0, 3);"
        "print(sum(kernels.render.stats.cache_misses.values()))"
    )
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    misses = [
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True).stdout
        for _ in range(2)
    ]
    assert misses == [b"1\n", b"0\n"]


def best(f, times=7):
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        f()
        taken.append(time.perf_counter() - start)
    return min(taken)


def test_a_sensor_is_rendered_at_the_rate_of_numpys_normals_or_faster():
    n = 1 << 18
    rng, out = np.random.default_rng(0), np.empty(n, np.float32)
    times_h = np.arange(0, n * 0.1, 1.0)
    trace = trace_of(Signal.step(times_h, rng.normal(size=len(times_h))), n * 0.1)
    sensor = channel(read)
    render(trace, sensor)
    assert best(lambda: render(trace, sensor)) < best(lambda: rng.standard_normal(dtype=np.float32, out=out))
