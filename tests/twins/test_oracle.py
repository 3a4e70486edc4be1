"""The oracle knows the state and nothing of the future."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from sim.errors import InputError
from sim.laws import Deterministic, Exponential, Lognormal
from sim.line import AgeReplacement, Line, Phase, Station, Sudden
from sim.trace import Signal
from sim.wear import Wiener
from twins.channel import Channel, Role
from twins.futures import oracle
from twins.futures.oracle import Ask, SeriesAsk, failures, forecasts, futures
from twins.line import LineTwin
from twins.sensors.noise import Noise
from twins.sensors.render import clean, render

HORIZON_H, MEAN_H = 12.0, 30.0
FLAKY = Station(Deterministic(0.5), sudden=Sudden(Exponential(MEAN_H), "time"), repair=Exponential(3.0))
TWIN = LineTwin(Line((FLAKY, FLAKY), (2,)))


def asked(twin, runs=range(6), times_h=(20.0, 45.5, 80.0)):
    """Each machine that is up, at each time of each run."""
    asks = []
    for run in runs:
        trace = twin.world.run(twin.world.start(run), max(times_h) + 1).trace
        up = {(m, t): trace[m, "phase"].at(t) < Phase.WAITING for m in twin.world.machines for t in times_h}
        asks += [Ask(run, m, t) for (m, t), is_up in up.items() if is_up]
    return asks


def test_with_memoryless_failures_the_oracle_is_the_base_rate(monkeypatch):
    count, asks = 200, asked(TWIN)
    p = (failures(TWIN, asks, HORIZON_H, count) < HORIZON_H).mean(1)
    base = 1 - np.exp(-HORIZON_H / MEAN_H)
    deviation = (p - base) / np.sqrt(base * (1 - base) / count)
    assert abs(deviation.mean()) < 3.3 / np.sqrt(len(p))
    assert stats.chi2.cdf((deviation**2).sum(), len(p)) < 0.999
    # Planted: futures under new streams, in which what was drawn but not yet revealed is left as it was.
    world = type(TWIN.world)
    stale = lambda self, state, seed: replace(state.copy(), seed=seed, streams=state.streams.rekeyed(seed))  # noqa: E731
    monkeypatch.setattr(world, "resample", stale)
    p = (failures(TWIN, asks, HORIZON_H, count) < HORIZON_H).mean(1)
    assert (((p - base) / np.sqrt(base * (1 - base) / count)) ** 2).mean() > 10


def test_what_cannot_be_kept_is_told_all_the_same(tmp_path):
    asks = asked(TWIN, range(1))
    (tmp_path / "file").touch()
    told = failures(TWIN, asks, HORIZON_H, 4, cache=tmp_path / "file" / "cache")
    assert np.array_equal(told, failures(TWIN, asks, HORIZON_H, 4))


def test_members_are_times_to_failure():
    first_h = failures(TWIN, asked(TWIN, range(4)), HORIZON_H, 100).ravel()
    early = first_h[first_h < np.inf]
    assert 0 <= early.min() <= early.max() < HORIZON_H
    law = stats.truncexpon(HORIZON_H / MEAN_H, scale=MEAN_H)
    assert stats.kstest(early, law.cdf).pvalue > 1e-3


def test_a_worn_machine_is_nearer_to_its_end():
    wear = Wiener(1 / 60, 0.02)
    twin = LineTwin(Line((Station(Lognormal(0.25, 0.1), wear=wear, repair=Deterministic(5.0)),)))
    trace = twin.world.run(twin.world.start(1), 120.0).trace
    due_h = next(e.time_h for e in trace.events if e.kind == "failure")
    p = (failures(twin, [Ask(1, "m1", t) for t in (5.0, due_h - 1.0)], 10.0, 50) < 10).mean(1)
    assert p[0] == 0.0
    assert p[1] > 0.6


def test_a_policy_is_held_for_the_asset_asked_for():
    """Without its maintenance at 12 h the machine fails at 31 h; the other one is asked for in futures of its own."""
    kept = Station(Deterministic(0.25), sudden=Sudden(Deterministic(31.0)), policy=AgeReplacement(12.0))
    twin = LineTwin(Line((kept, replace(kept, sudden=Sudden(Deterministic(100.0)))), (None,)))
    first_h = failures(twin, [Ask(1, "m1", 10.0), Ask(1, "m2", 10.0)], 40.0, 3)
    assert first_h[0] == pytest.approx(21.0)
    assert np.isinf(first_h[1]).all()


def test_futures_differ_and_keep_their_count():
    first = TWIN.world.run(TWIN.world.start(1), 20.0)
    traces = list(futures(TWIN.world, first.state, 5, 60.0, 0))
    assert len({trace.events for trace in traces}) == 5
    assert len({trace.seed for trace in traces} | {1}) == 6
    assert [t.events for t in futures(TWIN.world, first.state, 3, 60.0, 0)] == [t.events for t in traces[:3]]


def test_the_order_of_asks_the_workers_and_the_cache_change_nothing(tmp_path):
    asks = asked(TWIN, range(3))
    told = []
    alone = failures(TWIN, asks, HORIZON_H, 8, cache=tmp_path, progress=lambda *step: told.append(step))
    assert told[0][:2] == (0, 3)
    assert told[-1][:2] == (3, 3)
    turned = failures(TWIN, asks[::-1], HORIZON_H, 8)[::-1]
    assert np.array_equal(alone, turned)
    assert np.array_equal(alone, failures(TWIN, asks, HORIZON_H, 8, workers=2))
    assert not np.array_equal(alone, failures(TWIN, asks, HORIZON_H, 8, seed=1))


def test_what_is_kept_is_not_computed_again_and_what_is_damaged_is(tmp_path, monkeypatch):
    asks = asked(TWIN, range(2))
    first = failures(TWIN, asks, HORIZON_H, 8, cache=tmp_path)
    kept = sorted(tmp_path.iterdir())
    assert len(kept) == 2
    kept[0].write_bytes(kept[0].read_bytes()[:-100])
    calls = []
    compute = oracle._failures
    monkeypatch.setattr(oracle, "_failures", lambda *a: calls.append(a) or compute(*a))
    assert np.array_equal(first, failures(TWIN, asks, HORIZON_H, 8, cache=tmp_path))
    assert len(calls) == 1
    assert sorted(tmp_path.iterdir()) == kept


def test_impossible_questions_are_refused():
    with pytest.raises(InputError, match="at least 2 futures"):
        failures(TWIN, [Ask(1, "m1", 1.0)], 1.0, 1)
    with pytest.raises(InputError, match="asked nothing"):
        failures(TWIN, [], 1.0, 2)
    with pytest.raises(InputError, match="no machine 'm9'"):
        failures(TWIN, [Ask(1, "m9", 1.0)], 1.0, 2)
    with pytest.raises(InputError, match="no channel m9/x"):
        forecasts(TWIN, [SeriesAsk(1, (("m9", "x"),), 3)], 4, 2)


# series


class Still(LineTwin):
    """A twin with one sensor of a signal that stands still, so that all its future is noise."""

    noise = Noise(white=0.1, autocorrelated=1.0, correlation_h=4.0, drift=2.0, drift_knot_h=6.0, dropout=0.1)

    @property
    def channels(self):
        return (Channel("m1", "x", "1", Role.TARGET, lambda trace: Signal.step([0.0], [5.0]), 0.5, self.noise),)


def test_noise_goes_on_from_its_true_state():
    twin, key, start, horizon, count = Still(TWIN.world), ("m1", "x"), 30, 40, 1500
    (samples,) = forecasts(twin, [SeriesAsk(3, (key,), start)], horizon, count)[:, 0].astype(np.float64)
    assert not np.isnan(samples).any()
    trace = twin.world.run(twin.world.start(3), 100.0).trace

    def true(k, count=1, **parts):
        quiet = {"white": 0.0, "autocorrelated": 0.0, "drift": 0.0, "dropout": 0.0}
        return render(trace, replace(twin.channels[0], noise=replace(twin.noise, **quiet | parts)), k, count) - 5.0

    lead_h = np.arange(1, horizon + 1) * 0.5
    fade = np.exp(-lead_h / 4.0)
    # The last sample lies at 14.5 h: the knots at 12 and 18 h are known, those at 24, 30 and 36 h are not.
    at_h = (start + np.arange(horizon)) * 0.5
    weights = np.array([np.maximum(1 - abs(at_h / 6.0 - knot), 0) for knot in range(7)])
    knot_values = true(0, 80, drift=2.0)[::12][:4]
    mean = 5.0 + fade * true(start - 1, autocorrelated=1.0) + weights[:4].T @ knot_values
    variance = 0.1**2 + 1 - fade**2 + 4.0 * (weights[4:] ** 2).sum(0)
    z = (samples.mean(0) - mean) / np.sqrt(variance / count)
    assert abs(z).max() < 4.5
    assert samples.var(0) == pytest.approx(variance, rel=4.5 * np.sqrt(2 / count))
    assert abs(z - (5.0 - mean) / np.sqrt(variance / count)).max() > 4.5, "noise that forgets its state must not pass"


def test_a_certain_line_has_certain_futures():
    station = Station(Deterministic(0.25), sudden=Sudden(Deterministic(31.0)), repair=Deterministic(2.0))
    twin = LineTwin(Line((station,)))
    keys = (("m1", "bearing_temperature"), ("m1", "parts"))
    members = forecasts(twin, [SeriesAsk(1, keys, k) for k in (170, 0)], 40, 2)
    trace = twin.world.run(twin.world.start(1), 40.0).trace
    parts = next(c for c in twin.channels if c.quantity == "parts")
    for n, k in enumerate((170, 0)):
        assert np.array_equal(members[n, 1], np.tile(clean(trace, parts, k, 40), (2, 1)))
    celsius = next(c for c in twin.channels if c.quantity == "bearing_temperature")
    assert members[:, 0].mean(1) == pytest.approx(np.array([clean(trace, celsius, k, 40) for k in (170, 0)]), abs=12.0)
    quantum = celsius.noise.quantum
    assert members[:, 0] / quantum == pytest.approx(np.rint(members[:, 0] / quantum), abs=1e-3)


def test_the_oracles_error_of_a_life_is_the_floor_of_wiener_wear(monkeypatch):
    """Of a machine that works without end, what is left at wear x has the variance (D − x)σ²/μ³ (inverse Gaussian)."""
    wear, now_h, count = Wiener(0.01, 0.03, levels=50), 20.0, 12
    twin = LineTwin(Line((Station(Deterministic(1e12), wear=wear, repair=Deterministic(1.0)),)))
    asks, left_h, floor = [], [], []
    for run in range(400):
        trace = twin.world.run(twin.world.start(run), 400.0).trace
        due_h = next(e.time_h for e in trace.events if e.kind == "failure")
        if due_h > now_h:
            asks.append(Ask(run, "m1", now_h))
            left_h.append(due_h - now_h)
            floor.append(wear.remaining_h(float(trace["m1", "wear"].at(now_h)))[1])

    def error():
        members = failures(twin, asks, 1000.0, count)
        return np.mean((members.mean(1) - left_h) ** 2 - members.var(1, ddof=1) / count) / np.mean(floor)

    assert abs(np.sqrt(error()) - 1) < 0.1  # 400 lives leave 3.5 % of sampling error
    # Planted: futures in which what was drawn but not yet revealed is left as it was, so that they know the end.
    stale = lambda self, state, seed: replace(state.copy(), seed=seed, streams=state.streams.rekeyed(seed))  # noqa: E731
    monkeypatch.setattr(type(twin.world), "resample", stale)
    assert np.sqrt(max(error(), 0.0)) < 0.99
