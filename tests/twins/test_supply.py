"""The books of a supply chain: what they record, how they are miscounted, and the labels of stock-outs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import load
from sim.errors import InputError
from sim.laws import Deterministic, Exponential, Gamma
from sim.line import Line, OrderMaintenance, Phase, Station, Sudden
from sim.supply import BaseStock, Demand, Hold, MinMax, PlaceOrder, Point, SetPolicy, Supply
from tests.sim.supplies import supplies
from twins.channel import Role
from twins.episode import CENSORED, PLANNED
from twins.futures.oracle import Ask, SeriesAsk, failures, forecasts
from twins.line import LineTwin
from twins.sensors.render import clean
from twins.supply import SupplyTwin

WORLD = Supply(
    (
        Point("depot", MinMax(6, 20), lead=Gamma(9.0, 0.5), late=0.2, delay=Exponential(12.0), loss=0.05),
        Point("shop", MinMax(2, 8), "depot", Gamma(3.0, 0.5), Demand(Exponential(2.0), Exponential(1.2))),
    )
)
TWIN = SupplyTwin(WORLD, step_h=1.5)
RUN = WORLD.run(WORLD.start(4), 600.0)
EPISODES = {episode.asset: episode for episode in TWIN.observe(RUN)}


def values(asset: str, quantity: str) -> np.ndarray:
    return next(s.values for s in EPISODES[asset].series if s.quantity == quantity)


def test_each_point_is_an_episode_with_its_own_books_and_its_suppliers_stock():
    assert list(EPISODES) == ["depot", "shop"]
    books = {asset: [s.quantity for s in episode.series] for asset, episode in EPISODES.items()}
    both = {"count", "receipts", "on_order", "backorders", "reorder_point", "order_up_to", "on_hand"}
    assert set(books["depot"]) == both
    assert set(books["shop"]) == both | {"demand", "supplier_stock", "supplier_on_order"}
    for episode in EPISODES.values():
        assert {len(s.values) for s in episode.series} == {400}
        assert [s.quantity for s in episode.series if s.role is Role.TRUTH] == ["on_hand"]
        assert {event.entity for event in episode.events} == {episode.asset}


@given(supplies(), st.integers(0, 99), st.data())
@settings(max_examples=25, deadline=None)
def test_any_window_rendered_alone_equals_that_window_of_the_whole(world, seed, data):
    twin = SupplyTwin(world, step_h=0.7)
    first = world.run(world.start(seed), data.draw(st.floats(0.0, 60.0)))
    trace = first.trace + world.run(first.state, 90.0).trace
    whole = {s.key: s.values for episode in twin.observe(first._replace(trace=trace)) for s in episode.series}
    assert list(whole) == [channel.key for channel in twin.channels]
    for channel in twin.channels:
        start = data.draw(st.integers(0, 120))
        count = data.draw(st.integers(0, 128 - start))
        np.testing.assert_array_equal(twin.render(trace, channel, start, count), whole[channel.key][start:][:count])


def test_a_later_trace_tells_the_demand_from_where_it_knows_it():
    first = WORLD.run(WORLD.start(4), 301.0)
    later = WORLD.run(first.state, 600.0).trace
    (demand,) = (channel for channel in TWIN.channels if channel.quantity == "demand")
    np.testing.assert_array_equal(TWIN.render(later, demand, 250, 100), values("shop", "demand")[250:350])
    with pytest.raises(InputError, match="the trace owns"):
        TWIN.render(later, demand, 100, 10)


@pytest.mark.parametrize(("quantity", "kinds"), [("demand", ("demand",)), ("receipts", ("delivery",))])
def test_what_moved_in_a_step_is_what_events_tell(quantity, kinds):
    (channel,) = (c for c in TWIN.channels if c.key == ("shop", quantity))
    found = clean(RUN.trace, channel)
    moved = [(e.time_h, e.value) for e in RUN.trace.events if e.entity == "shop" and e.kind in kinds]
    times_h, units = np.array(moved).T
    inside = times_h <= 399 * 1.5
    expected = np.zeros(400)
    np.add.at(expected, np.ceil(times_h[inside] / 1.5).astype(int), units[inside])
    np.testing.assert_array_equal(found, expected)
    assert found.sum() > 100


def test_counts_are_whole_and_miscounted_and_the_truth_is_not():
    error = values("shop", "count") - values("shop", "on_hand")
    assert (error == np.round(error)).all()
    assert 0.3 < error.std() < 5
    assert np.corrcoef(values("shop", "count"), values("shop", "on_hand"))[0, 1] > 0.5
    exact = {e.asset: e for e in SupplyTwin(WORLD, 1.5, miscount=TWIN.miscount.__class__()).observe(RUN)}
    counts = next(s.values for s in exact["shop"].series if s.quantity == "count")
    np.testing.assert_array_equal(counts, values("shop", "on_hand"))


def test_a_life_is_a_time_in_stock_and_ends_when_the_shelf_is_empty():
    spells, on_hand = EPISODES["shop"].spells, RUN.trace["shop", "on_hand"]
    out_h = [e.time_h for e in EPISODES["shop"].events if e.kind == "failure"]
    assert len(out_h) > 5
    assert [s.end_h for s in spells if s.cause == "stockout"] == out_h
    assert {s.cause for s in spells} <= {"stockout", CENSORED}
    hours = np.diff(np.append(on_hand.time_h, 600.0))
    assert sum(s.operating_h for s in spells) == pytest.approx(hours[on_hand.value > 0].sum())
    assert all(on_hand.at(s.start_h) > 0 for s in spells)


def test_the_oracle_knows_when_a_shelf_must_empty_and_what_customers_will_ask():
    steady = Supply((Point("p", BaseStock(5), lead=Deterministic(100.0), demand=Demand(Deterministic(1.0))),))
    hours = failures(SupplyTwin(steady), [Ask(0, "p", 2.5)], horizon_h=24.0, count=4)
    np.testing.assert_allclose(hours, np.full((1, 4), 2.5))
    keys = (("shop", "demand"),)
    members = forecasts(TWIN, [SeriesAsk(3, keys, 100 + 20 * k) for k in range(20)], 16, 16)
    per_step = 1.5 / 2.0 / (1 - np.exp(-1 / 1.2))
    assert members.shape == (20, 1, 16, 16)
    assert members.mean() == pytest.approx(per_step, rel=0.1)


def test_a_held_policy_runs_out_in_the_books_as_well():
    first = WORLD.run(WORLD.start(1), 60.0)
    rest = WORLD.run(WORLD.act(first.state, Hold("shop")), 300.0)
    episodes = {e.asset: e for e in TWIN.observe(first._replace(trace=first.trace + rest.trace))}
    on_hand = next(s.values for s in episodes["shop"].series if s.quantity == "on_hand")
    assert not on_hand[-100:].any()
    assert episodes["shop"].spells[-1].end_h < 120


def test_the_preset_asks_of_a_week():
    preset = load("line_supply")
    assert preset.twin.world == preset.world
    assert (preset.task.causes, preset.task.horizon_h) == (("stockout",), 168.0)


def test_in_the_preset_stockouts_stop_machines():
    """The first station stands short of material only while its shelf is empty, and any machine lacks a spare then."""
    line = load("line_supply").world
    trace = line.run(line.start(2), 3000.0).trace
    stopped = 0
    for machine, phase, point in [("m1", Phase.SHORT, "s1")] + [(m, Phase.LACKING, "bearings") for m in line.machines]:
        at_h = trace[machine, "phase"].time_h[trace[machine, "phase"].value == phase]
        stopped += len(at_h)
        assert (trace[point, "on_hand"].at(at_h) == 0).all()
        assert (trace[point, "backorders"].at(at_h) > 0).all()
    assert stopped > 5


def test_the_books_of_a_line_tell_what_its_machines_draw():
    line = load("line_supply").world
    twin = SupplyTwin(line, step_h=2.0)
    run = line.run(line.start(2), 200.0)
    episodes = {e.asset: e for e in twin.observe(run)}
    drawn = next(s.values for s in episodes["s1"].series if s.quantity == "demand")
    read = np.isfinite(drawn)
    moved = np.diff(run.trace["s1", "demanded"].at(np.arange(100) * 2.0), prepend=0.0)
    np.testing.assert_array_equal(drawn[read], moved[read])
    assert 40 < np.nansum(drawn) < 200
    assert "demand" not in {s.quantity for s in episodes["warehouse"].series}
    with pytest.raises(InputError, match=r"SupplyTwin\.world is a line without a supply"):
        SupplyTwin(Line((Station(Exponential(1.0)),)))


def test_a_machine_sees_the_stock_that_it_may_wait_for():
    line = load("line_supply").world
    twin = LineTwin(line, step_h=1.0)
    run = line.run(line.start(2), 300.0)
    stock = {e.asset: {s.quantity: s for s in e.series if s.quantity.endswith("on_hand")} for e in twin.observe(run)}
    assert {m: set(found) for m, found in stock.items()} == {
        "m1": {"material_on_hand", "spare_on_hand"},
        "m2": {"spare_on_hand"},
        "m3": {"spare_on_hand"},
    }
    level = run.trace["s1", "on_hand"].at(np.arange(300.0))
    np.testing.assert_array_equal(stock["m1"]["material_on_hand"].values, level)
    assert {s.role for found in stock.values() for s in found.values()} == {Role.PAST}


def test_lives_are_followed_past_orders_by_hand_and_left_unknown_past_a_new_policy():
    station = Station(Deterministic(1.0), sudden=Sudden(Exponential(30.0)), spare="bearings")
    line = Line((station,), supply=Supply((Point("bearings", BaseStock(1), lead=Exponential(9.0)),)))
    twin = LineTwin(line, step_h=1.0)
    for action, known in ((PlaceOrder("bearings", 2), True), (SetPolicy("bearings", BaseStock(2)), False)):
        first = line.run(line.start(3), 5.0)
        state = line.act(line.run(line.act(first.state, action), 6.0).state, OrderMaintenance("m1"))
        before = line.run(line.act(first.state, action), 6.0).trace
        trace = first.trace + before + line.run(state, 60.0).trace
        planned = [s for s in next(iter(twin.observe(first._replace(trace=trace)))).spells if s.cause == PLANNED]
        assert len(planned) == 1
        assert np.isfinite(planned[0].unmaintained_h) == known


def test_nonsense_is_refused():
    with pytest.raises(InputError, match=r"SupplyTwin\.step_h is 0"):
        SupplyTwin(WORLD, step_h=0.0)
    with pytest.raises(InputError, match=r"SupplyTwin\.unread is 1"):
        SupplyTwin(WORLD, unread=1.0)
