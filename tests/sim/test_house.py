"""The market keeps the laws of every world and sells by the line it states."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim.errors import InputError
from sim.house import House, Offer
from sim.laws import Deterministic, Exponential, Lognormal
from sim.trace import Run

MARKETS = st.sampled_from(
    [House(), House(listing=Deterministic(10.0), sale=Deterministic(30.0)), House(noise_keur=0.0)]
)


def chain(world, state, cuts):
    trace = None
    for cut in cuts:
        part, state = world.run(state, cut)
        trace = part if trace is None else trace + part
    return Run(trace, state)


@given(MARKETS, st.integers(0, 99), st.lists(st.integers(0, 200).map(lambda c: c * 10.0), max_size=6))
@settings(max_examples=25)
def test_the_whole_is_any_chain_of_splits(world, seed, cuts):
    start = world.start(seed)
    before = pickle.dumps(start)
    whole = world.run(start, 2000.0)
    split = chain(world, pickle.loads(before), [*sorted(cuts), 2000.0])
    assert whole == split
    assert pickle.dumps(start) == before
    assert pickle.loads(pickle.dumps(whole.state)) == whole.state


@given(st.integers(0, 99))
@settings(max_examples=10)
def test_branches_share_what_the_offer_does_not_change(seed):
    world = House()
    state = world.run(world.start(seed), 1000.0).state
    plain = world.run(state, 3000.0)
    offered = world.run(world.act(state, Offer(120.0)), 3000.0)
    assert offered.trace.events[0] == (1000.0, "market", "action", "Offer", 120.0)
    numbers = {e.entity for e in offered.trace.events if e.time_h == 1000.0 and e.kind == "listed"}
    own = numbers | {"market"}
    listed = [(e.time_h, e.value) for e in offered.trace.events if e.kind == "listed" and e.entity not in own]
    assert listed == [(e.time_h, e.value) for e in plain.trace.events if e.kind == "listed"]
    assert not state.actions


def test_resampled_futures_of_a_memoryless_market_have_the_base_rate():
    world = House(listing=Exponential(20.0), sale=Exponential(100.0))
    state = world.run(world.start(1), 500.0).state
    homes = len(state.homes)
    assert homes
    sold = arrived = 0
    for seed in range(400):
        future = world.run(world.resample(state, seed), 550.0).trace
        sold += sum(e.kind == "sold" and int(e.entity[1:]) < state.numbered for e in future.events)
        arrived += sum(e.kind == "listed" for e in future.events)
    share = 1 - np.exp(-0.5)
    assert sold / 400 / homes == pytest.approx(share, abs=4 * np.sqrt(share / 400 / homes))
    assert arrived / 400 == pytest.approx(2.5, abs=4 * np.sqrt(2.5 / 400))


def test_resampling_forgets_the_clocks_that_run_and_keeps_what_was_seen():
    world = House()
    state = world.run(world.start(1), 5000.0).state
    fresh = world.resample(state, 9)
    assert fresh.seed == 9
    assert [h[:3] for h in fresh.homes] == [h[:3] for h in state.homes]
    assert not {h.sale_h for h in fresh.homes} & {h.sale_h for h in state.homes}
    assert fresh.listing_h != state.listing_h
    assert world.resample(state, 9) == fresh


def test_without_noise_the_price_is_the_line():
    world = House(noise_keur=0.0, intercept_keur=12.5, slope_keur_per_m2=2.25)
    trace = world.run(world.start(0), 20000.0).trace
    area, price = (trace["market", name].value[1:] for name in ("area", "price"))
    assert len(area) > 500
    np.testing.assert_allclose(price, 12.5 + 2.25 * area, rtol=1e-14)


def test_the_market_holds_what_little_says():
    world = House(listing=Exponential(5.0), sale=Lognormal(50.0, 0.5))
    trace = world.run(world.start(3), 60000.0).trace
    listed = trace["market", "listed"]
    hours = np.diff(np.append(listed.time_h, trace.end_h))
    assert (listed.value * hours).sum() / trace.end_h == pytest.approx(10.0, rel=0.05)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"noise_keur": -1.0}, "noise_keur is -1.0"),
        ({"area_min_m2": 0.0}, "area_min_m2"),
        ({"area_max_m2": 1.0}, "at least 40"),
        ({"area_max_m2": np.inf}, "finite"),
        ({"noise_keur": np.inf}, "finite"),
        ({"slope_keur_per_m2": np.nan}, "finite"),
    ],
)
def test_nonsense_is_refused(wrong, said):
    with pytest.raises(InputError, match=said):
        House(**wrong)


def test_a_run_that_takes_no_time_leaves_the_offer_waiting():
    world = House()
    state = world.act(world.run(world.start(0), 10.0).state, Offer(99.0))
    still = world.run(state, 10.0)
    assert not still.trace.events
    assert still.state == state
    assert world.run(still.state, 50.0) == world.run(state, 50.0)


def test_a_run_into_the_past_and_an_unknown_action_are_refused():
    world = House()
    state = world.run(world.start(0), 10.0).state
    with pytest.raises(InputError, match="cannot run to 5"):
        world.run(state, 5.0)
    with pytest.raises(InputError, match="Offer"):
        world.act(state, "offer")
