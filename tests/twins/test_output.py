"""Hourly output: a part counts once, in the hour in which it was finished, and no hour is told before it is over."""

from dataclasses import replace

import numpy as np
import pytest

from sim.errors import InputError
from sim.laws import Deterministic, Exponential, Lognormal
from sim.line import Line, Phase, Station, Sudden
from sim.trace import Signal, Trace
from twins.channel import Role
from twins.futures.oracle import SeriesAsk, forecasts
from twins.output import OutputTwin
from twins.sensors.render import Panel, clean
from twins.sensors.signals import closing, grown

STATION = Station(Lognormal(1 / 6, 0.3), sudden=Sudden(Exponential(40.0)), repair=Exponential(5.0))
LINE = Line((STATION, replace(STATION, machines=2, cycle=Lognormal(1 / 3, 0.3)), STATION), (5, 5), crew=1)
TWIN = OutputTwin(LINE)
RUN = LINE.run(LINE.start(4), 300.0)


def series(twin=TWIN, run=RUN):
    return {(e.asset, s.quantity): s for e in twin.observe(run) for s in e.series}


def test_what_counters_grow_by_is_told_when_it_is_over_and_an_event_at_an_end_is_of_the_next():
    counter = Signal.step([0.0, 0.5, 1.0, 1.9, 3.0], [0, 1, 2, 4, 9])
    told = grown([counter], 1.0, 3.5)
    assert told.time_h.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(told.value, [1, 3, 0, np.nan])
    np.testing.assert_array_equal(grown([counter, counter], 1.0, 4.0).value, [2, 6, 0, 10, np.nan])
    np.testing.assert_array_equal(closing(counter, 1.0, 3.0).value, [1, 4, 4, np.nan])
    ramp = Signal.linear([0.0, 2.0], [0.0, 0.0], [1.0, 5.0])  # falls back to 0 as the second hour ends
    np.testing.assert_allclose(closing(ramp, 1.0, 3.0).value[:-1], [1, 2, 5])


def test_every_part_is_counted_once_whatever_the_step():
    for step_h in (0.25, 1.0, 8.0):
        found = series(replace(TWIN, step_h=step_h))
        for m in LINE.machines:
            finished_h = RUN.trace[m, "parts"].time_h[1:]
            values = found[m, "parts_made"].values
            whole = np.histogram(finished_h, np.arange(len(values) + 1) * step_h)[0]
            over = (np.arange(len(values)) + 1) * step_h <= 300
            np.testing.assert_array_equal(values[over], whole[over])
            assert np.isnan(values[~over]).all()
    assert len(series()["m1", "parts_made"].values) == 300


def test_neighbours_states_and_stocks_are_those_of_the_line():
    found, k = series(), np.arange(1, 301)
    just_before_h = np.nextafter(k, 0.0)
    middle = found["m2.1", "parts_made"].values + found["m2.2", "parts_made"].values
    np.testing.assert_array_equal(found["m1", "parts_made_after"].values, middle)
    np.testing.assert_array_equal(found["m3", "parts_made_before"].values, middle)
    assert ("m1", "parts_made_before") not in found
    np.testing.assert_array_equal(found["m1", "state"].values, RUN.trace["m1", "phase"].at(just_before_h))
    np.testing.assert_array_equal(found["m3", "buffer_before"].values, RUN.trace["b2", "level"].at(just_before_h))
    down = sum(
        np.isin(RUN.trace[m, "phase"].at(just_before_h), (Phase.WAITING, Phase.REPAIRING)) for m in LINE.machines
    )
    np.testing.assert_array_equal(found["m2.1", "machines_stopped"].values, down)
    roles = {quantity: s.role for (_, quantity), s in found.items()}
    assert [q for q, role in roles.items() if role is Role.TARGET] == ["parts_made"]
    assert [q for q, role in roles.items() if role is Role.TRUTH] == ["wear"]


def test_any_window_equals_that_window_of_the_whole():
    whole = series()
    panel = Panel.of(RUN.trace, TWIN.channels, thin=True)
    for row, channel in enumerate(TWIN.channels):
        values = whole[channel.key].values
        np.testing.assert_array_equal(TWIN.render(RUN.trace, channel, 50, 30), values[50:80])
        np.testing.assert_array_equal(panel.render(250, 50)[row], values[250:])


def test_a_shorter_run_tells_the_same_as_far_as_it_goes():
    whole = series()
    for until_h in (100.0, 100.5):
        for key, s in series(run=LINE.run(LINE.start(4), until_h)).items():
            known = 100 if s.quantity not in ("vibration_high", "wear") else len(s.values)
            np.testing.assert_array_equal(s.values[:known], whole[key].values[:known])
            assert np.isnan(s.values[known:]).all()


def test_a_run_in_parts_tells_the_same():
    first = LINE.run(LINE.start(4), 99.3)
    second = LINE.run(first.state, 300.0)
    for channel in TWIN.channels:
        joined = clean(first.trace + second.trace, channel)
        np.testing.assert_array_equal(joined, clean(RUN.trace, channel))
        if not channel.memory or channel.quantity in ("parts_made", "state"):
            np.testing.assert_array_equal(clean(second.trace, channel, 100, 50), joined[100:150])


def test_hand_written_counts():
    steady = Line((Station(Deterministic(0.25)),), ())
    signals = {
        ("m1", "phase"): Signal.step([0.0, 2.0], [Phase.WORKING, Phase.REPAIRING]),
        ("m1", "wear"): Signal.step([0.0], [0.1]),
        ("m1", "speed"): Signal.step([0.0], [1.0]),
        ("m1", "parts"): Signal.step([0.0, 0.25, 0.5, 0.75, 1.0, 2.75], [0, 1, 2, 3, 4, 5]),
    }
    trace = Trace(7, 0.0, 4.0, signals)
    told = {c.quantity: OutputTwin(steady).render(trace, c, 0, 4).tolist() for c in OutputTwin(steady).channels}
    assert told["parts_made"] == [3, 1, 1, 0]
    assert told["state"] == [Phase.WORKING, Phase.WORKING, Phase.REPAIRING, Phase.REPAIRING]
    assert told["machines_stopped"] == [0, 0, 1, 1]
    assert told["operating_age"] == [1, 2, 2, 2]


def test_the_oracle_counts_what_is_to_come_from_the_true_state():
    keys = tuple((m, "parts_made") for m in LINE.machines)
    members = forecasts(TWIN, [SeriesAsk(4, keys, 72)], 8, 16)
    assert members.shape == (1, 4, 16, 8)
    assert (members == np.rint(members)).all()
    assert members.min() >= 0
    assert members.std(2).max() > 0


def test_a_step_of_nothing_is_refused():
    with pytest.raises(InputError, match=r"step_h is 0"):
        replace(TWIN, step_h=0)
