"""Signals and traces: values between breakpoints, and how consecutive pieces join."""

import math

import numpy as np
import pytest

from sim.errors import InputError
from sim.trace import Event, Signal, Trace

KEY = ("m1", "level")


def piece(start_h: float, end_h: float, times, values, events=(), seed: int = 1) -> Trace:
    return Trace(seed, start_h, end_h, {KEY: Signal.step(times, values)}, tuple(events))


def test_a_breakpoint_counts_at_its_own_time_and_the_last_of_equals_is_in_force():
    signal = Signal.step([0.0, 1.0, 1.0, 2.0], [5.0, 6.0, 7.0, 8.0])
    assert signal.at([0.0, 0.999, 1.0, 1.5, 2.0, 9.0]).tolist() == [5.0, 5.0, 7.0, 7.0, 8.0, 8.0]
    with pytest.raises(ValueError, match="begins at 0"):
        signal.at([-0.1])
    assert signal.at([]).size == 0


def test_linear_and_relaxing_segments():
    linear = Signal.linear([0.0, 2.0], [1.0, 0.0], [0.5, -1.0])
    assert linear.at([0.0, 1.0, 2.0, 3.0]).tolist() == [1.0, 1.5, 0.0, -1.0]
    relaxing = Signal.relax([0.0], [1.0], [3.0], 2.0)
    assert relaxing.at(2.0) == pytest.approx(3.0 - 2.0 * math.exp(-1.0))


def test_joined_pieces_are_the_whole():
    events = [Event(0.5, "m1", "failure", "wear"), Event(1.0, "m1", "renewal", "repair")]
    whole = piece(0.0, 3.0, [0.0, 1.0, 2.0], [0, 1, 2], events)
    a = piece(0.0, 1.0, [0.0], [0], events[:1])
    b = piece(1.0, 1.0, [0.0], [0])
    c = piece(1.0, 3.0, [0.0, 1.0, 2.0], [0, 1, 2], events[1:])
    for joined in (a + b + c, a + (b + c), a.then(b, c)):
        assert (joined.seed, joined.start_h, joined.end_h) == (1, 0.0, 3.0)
        assert joined[KEY] == whole[KEY]
        assert joined.events == whole.events


def test_what_does_not_follow_is_refused():
    a = piece(0.0, 1.0, [0.0], [0])
    for other in (piece(2.0, 3.0, [0.0], [0]), piece(1.0, 3.0, [0.0], [0], seed=2)):
        with pytest.raises(ValueError, match="cannot be continued"):
            a + other


def test_an_unknown_signal_is_named_with_those_there_are():
    with pytest.raises(InputError, match="no signal m2/level in the trace; it has m1/level"):
        piece(0.0, 1.0, [0.0], [0])["m2", "level"]


def test_signals_compare_by_value():
    assert Signal.step([0.0], [1.0]) == Signal.step(np.zeros(1), [1])
    assert Signal.step([0.0], [1.0]) != Signal.step([0.0], [2.0])
    assert Signal.relax([0.0], [1.0], [2.0], 1.0) != Signal.relax([0.0], [1.0], [2.0], 2.0)
