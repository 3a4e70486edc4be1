"""The twins of a feeder: windows alone, the balance of meters, gaps where a flow fails, the transformer's lives."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from experiments import load
from sim.errors import InputError
from sim.feeder import Cable, Feeder, Protection, SetBattery, Theft
from sim.homes import Chargers, Group, Homes, Household
from sim.homes.battery import Battery
from sim.homes.transformer import Transformer
from sim.laws import Exponential, Uniform, Weibull
from twins.channel import Role
from twins.control.account import Prices
from twins.control.environment import Environment
from twins.control.policies import Age, RunToFailure
from twins.feeder import MeterTwin, TransformerTwin
from twins.sensors.noise import Noise

WORLD = Feeder(
    Homes((Group(2, Household(heat_kw_per_k=0.15)), Group(1, Household(pv_kw=5.0, car=True))), chargers=Chargers(1)),
    Transformer(8.0),
    (8.0, 10.0),
    life=Weibull(1.0, 2.0),
    sudden=Exponential(150.0),
    replacement=Uniform(3.0, 9.0),
    protection=Protection(120.0, 1.5),
    theft=Theft(Exponential(60.0), Exponential(60.0)),
)
END_H = 300.0
RUN = WORLD.run(WORLD.start(2), END_H)
TWINS = {"transformer": TransformerTwin(WORLD), "meters": MeterTwin(WORLD)}
EPISODES = {name: list(twin.observe(RUN)) for name, twin in TWINS.items()}
EXACT = MeterTwin(WORLD, transformer_meter=Noise(), ammeter=Noise(), meter=Noise(), voltmeter=Noise(), clock_h=0.0)


def values(episode, quantity):
    return next(s.values for s in episode.series if s.quantity == quantity)


@pytest.mark.parametrize("name", TWINS)
def test_any_window_equals_that_window_of_the_whole(name):
    whole = {s.key: s.values for episode in EPISODES[name] for s in episode.series}
    assert {c.key for c in TWINS[name].channels} == set(whole)
    for channel in TWINS[name].channels:
        for start, count in ((0, 5), (100, 90), (int(END_H) - 1, 1)):
            window = TWINS[name].render(RUN.trace, channel, start, count)
            assert np.array_equal(window, whole[channel.key][start : start + count], True), channel.key


@pytest.mark.parametrize("name", TWINS)
def test_a_longer_run_never_changes_what_was_seen(name):
    for early, late in zip(TWINS[name].observe(WORLD.run(WORLD.start(2), 120.0)), EPISODES[name], strict=True):
        for series in early.series:
            whole = next(s.values for s in late.series if s.key == series.key)
            seen = series.values[:-1]  # a clock that is late has not finished its last hour yet
            assert np.array_equal(seen, whole[: len(seen)], True), series.key


def test_pieces_joined_are_seen_as_the_whole():
    first = WORLD.run(WORLD.start(2), 77.7)
    joined = first.trace + WORLD.run(first.state, END_H).trace
    for one, other in zip(TWINS["meters"].observe(RUN._replace(trace=joined)), EPISODES["meters"], strict=True):
        for a, b in zip(one.series, other.series, strict=True):
            assert np.array_equal(a.values, b.values, True), a.key


def test_the_balance_of_honest_exact_meters_is_nothing_and_of_others_what_is_stolen():
    episodes = list(EXACT.observe(RUN))
    stolen = np.sum([values(e, "stolen") for e in episodes], 0)
    balance = values(episodes[0], "balance")
    loss = values(episodes[0], "loss") - values(episodes[0], "estimated_loss")
    assert stolen.max() > 0.1
    np.testing.assert_allclose(balance, stolen, atol=float(loss.max()) + 1e-5)
    quiet = stolen == 0
    assert np.abs(balance[quiet]).max() < 1e-5
    told = next(iter(replace(EXACT, appliances=True).observe(RUN)))
    uses = np.sum([values(told, f"{a.name}_kw") for a in WORLD.homes.appliances], 0)
    assert (uses <= values(told, "drawn") + 1e-6).all()
    assert uses.max() > 1
    for episode in episodes:
        for quantity in ("voltage_gap", "strand_excess"):
            off = np.abs(values(episode, quantity))
            assert off[quiet].max() < 1e-3, quantity
            assert off[~quiet].max() > 0.1, quantity
        on = values(episode, "stealing") > 0
        assert (values(episode, "stolen")[~on] == 0).all()


def test_gaps_clocks_and_the_monitor():
    own, exact = EPISODES["meters"][0], next(iter(EXACT.observe(RUN)))
    read, true = values(own, "load"), values(exact, "load")
    assert 0 < np.isnan(read).sum() < 15
    assert 0 < np.nanmean(np.abs(read - true)) < 0.03
    (episode,) = EPISODES["transformer"]
    aged, told = values(episode, "aged"), values(episode, "loss_of_life")
    since = values(episode, "operating_age")
    assert np.corrcoef(aged, told)[0, 1] > 0.7  # hours hide what quarters show
    assert (told[np.flatnonzero(np.diff(since) < 0) + 1] < 0.05).all()


def test_lives_are_the_transformers_and_truth_is_kept_apart():
    (episode,) = EPISODES["transformer"]
    failed = [e for e in RUN.trace.events if (e.entity, e.kind) == ("transformer", "failure")]
    assert [s.end_h for s in episode.spells if s.cause] == [e.time_h for e in failed]
    assert len(failed) > 2
    hidden = {s.quantity for e in (episode, EPISODES["meters"][0]) for s in e.series if s.role is Role.TRUTH}
    assert hidden == {
        "load_factor", "hot_spot", "aged", "cable_loss", "cloud", "drawn", "stealing", "stolen",
        "clean_voltage", "violation", "loss",
    }  # fmt: skip


def test_a_flow_that_does_not_converge_is_a_gap_and_an_event_that_names_it():
    world = Feeder(
        Homes((Group(2),)), protection=None, cable=Cable(1, 3000.0), battery=Battery(50.0, 60.0, 60.0), life=None
    )
    world = replace(world, network=replace(world.wires, load_points=tuple(
        replace(p, bus="1.2") if p.name == "battery" else p for p in world.wires.load_points)))  # fmt: skip
    state = world.act(world.run(world.start(0), 20.0).state, SetBattery(60.0))
    run = world.run(state, 40.0)
    trace = world.run(world.start(0), 20.0).trace + run.trace
    episode = next(iter(MeterTwin(world).observe(run._replace(trace=trace))))
    unsolved = [e for e in episode.events if e.kind == "unsolved"]
    assert unsolved
    assert {e.entity for e in unsolved} == {"1.2"}
    assert episode.truth["unsolved"] == len(unsolved)
    at = [int(e.time_h) for e in unsolved]
    for quantity in ("voltage", "clean_voltage", "loss", "balance", "violation"):
        assert np.isnan(values(episode, quantity)[at]).all(), quantity
    assert np.isfinite(values(episode, "clean_voltage")[:20]).all()


def test_a_transformer_is_replaced_from_outside():
    environment = Environment(TWINS["transformer"], Prices(failure=9.0, planned=1.0), every_h=12.0, duration_h=END_H)
    ended = {}
    for name, policy in {"never": RunToFailure(), "daily": Age(24.0)}.items():
        now = environment.start(2)
        while not now.done:
            now = environment.step(now, policy.decide(now.observation))
        ended[name] = now
    kinds = [e.kind for e in ended["daily"].observation.events if e.entity == "transformer"]
    assert kinds.count("planned") > 5
    assert [e.kind for e in ended["never"].observation.events if e.entity == "transformer"] == [
        e.kind for e in EPISODES["transformer"][0].events if e.entity == "transformer"
    ]


def test_the_twins_pickle_and_the_presets_ask_for_them():
    assert pickle.loads(pickle.dumps(TWINS)) == TWINS
    assert isinstance(load("transformer_failure").twin, TransformerTwin)
    assert isinstance(load("grid_monitor").twin, MeterTwin)
    with pytest.raises(InputError, match=r"clock_h is 0\.2"):
        MeterTwin(WORLD, clock_h=0.2)
