"""The compiled line is the line: trace, events and state bit for bit, wherever the two engines take turns."""

import pickle
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.laws import Deterministic, Exponential, Lognormal
from sim.line import (
    BlockReplacement,
    Inspection,
    Leaves,
    Line,
    Material,
    Opportunistic,
    OrderMaintenance,
    Station,
    Sudden,
    compiled,
)
from sim.supply import MinMax, Point, Supply
from sim.wear import Markov, Wiener
from tests.sim.strategies import compiled_lines, line_actions

WEAR = Wiener(0.05, 0.04, levels=8, spread_cv=0.3)
STATION = Station(Lognormal(0.5, 0.2), sudden=Sudden(Exponential(20.0)), wear=WEAR, repair=Exponential(3.0))
LINE = Line((STATION,) * 3, (1, 2), crew=1)
FAST = replace(LINE, engine="compiled")


def same(a, b):
    (one, at), (other, there) = a, b
    assert list(one.signals) == list(other.signals)
    assert [key for key in one.signals if one.signals[key] != other.signals[key]] == []
    assert one.events == other.events
    assert at == there
    assert pickle.dumps(at.machines) == pickle.dumps(there.machines)  # of the same types, too
    assert repr((at.blocked, at.levels, at.changed_h, at.queue)) == repr(
        (there.blocked, there.levels, there.changed_h, there.queue)
    )


@settings(max_examples=150, deadline=None)
@given(compiled_lines(), st.integers(0, 2**63), st.floats(0, 150), st.floats(0, 150), st.data())
def test_either_engine_gives_the_same_line(fast, seed, first_h, then_h, data):
    slow = replace(fast, engine="simpy")
    ours, theirs = (line.run(line.start(seed), first_h) for line in (fast, slow))
    same(ours, theirs)
    same(fast.run(theirs.state, first_h + then_h), slow.run(ours.state, first_h + then_h))
    state = ours.state
    for action in data.draw(st.lists(line_actions(slow), min_size=1, max_size=3)):  # orders, taken by the other engine
        state = slow.run(slow.act(state, action), state.time_h + 0.5).state
    until_h = state.time_h + then_h
    same(fast.run(state, until_h), slow.run(state, until_h))
    same(fast.run(fast.resample(state, 5), until_h), slow.run(slow.resample(state, 5), until_h))


def test_a_fault_in_either_is_seen():
    run = LINE.run(LINE.start(1), 200.0)
    same(FAST.run(FAST.start(1), 200.0), run)
    for other in (replace(FAST, crew=2), replace(FAST, buffers=(1, 3))):
        with pytest.raises(AssertionError):
            same(other.run(other.start(1), 200.0), run)


def test_draws_that_do_not_last_are_made_again(monkeypatch):
    wanted = compiled._wanted
    monkeypatch.setattr(compiled, "_wanted", lambda *args: [(law, 0.1 * count) for law, count in wanted(*args)])
    short = Line((Station(Exponential(0.5), sudden=Sudden(Exponential(0.05)), repair=Exponential(0.05)),))
    runs = [line.run(line.start(4), 100.0) for line in (short, replace(short, engine="compiled"))]
    assert len(runs[0].trace.events) > 1000
    same(*runs)


def test_orders_given_to_the_other_engine_are_kept():
    state = LINE.run(LINE.start(2), 50.0).state
    slow = LINE.run(LINE.act(state, OrderMaintenance("m2")), 51.0)
    same(FAST.run(slow.state, 120.0), LINE.run(slow.state, 120.0))


def test_engines_are_one_line():
    assert FAST == LINE
    assert hash(FAST) == hash(LINE)


@pytest.mark.parametrize(
    ("line", "lacks"),
    [
        (replace(LINE, arrivals=Exponential(1.0)), "a source that never runs dry"),
        (
            replace(LINE, supply=Supply((Point("p", MinMax(1, 2)),)), material=Material("p")),
            "a source that never runs dry, and no supply",
        ),
        (Line((STATION, replace(STATION, machines=2)), (1,)), "one machine at each station, which station 2"),
        (Line((replace(STATION, sudden=Sudden(Exponential(9.0), "time")),)), "sudden failures by operation"),
        (Line((replace(STATION, wear=Markov(4.0, period_h=1.0)),)), "wear by Wiener"),
        (Line((replace(STATION, repair_leaves=Leaves(0.5)),)), "as good as new"),
        *(
            (Line((replace(STATION, policy=policy),)), "a policy of its own age or wear")
            for policy in (BlockReplacement(9.0), Inspection(4.0, 0.5), Opportunistic(0.3))
        ),
    ],
)
def test_what_it_cannot_run_is_refused_in_one_sentence(line, lacks):
    with pytest.raises(InputError, match=rf"Line\.engine is 'compiled', which asks for .*{lacks}.*'simpy'"):
        replace(line, engine="compiled")


def test_actions_and_other_engines_are_refused():
    with pytest.raises(InputError, match="no actions"):
        FAST.act(FAST.start(1), OrderMaintenance("m1"))
    with pytest.raises(InputError, match="no actions"):
        FAST.run(LINE.act(LINE.start(1), OrderMaintenance("m1")), 5.0)
    with pytest.raises(InputError, match=r"Line\.engine"):
        Line((Station(Deterministic(1.0)),), engine="maxplus")  # type: ignore[arg-type]
