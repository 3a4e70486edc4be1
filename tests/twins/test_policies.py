"""Policies against theory: age replacement in closed form, the ladder of what is known, every plan there is."""

import pickle

import numpy as np
import pytest

from sim.errors import InputError
from sim.laws import Deterministic, Exponential, Lognormal, Weibull
from sim.line import Line, Station, Sudden, theory
from sim.supply import BaseStock, Point, Supply
from sim.wear import Wiener
from twins.account import Account, Prices
from twins.environment import Environment, Inspect
from twins.line import LineTwin
from twins.policies import (
    Age,
    Block,
    Clairvoyant,
    Forecast,
    Health,
    Inspection,
    RunToFailure,
    Sensor,
    accounts,
    cost_rate,
    hindsight,
    play,
)
from twins.supply import SupplyTwin

ENDLESS = Deterministic(1e12)  # one part for ever: the machine works whenever it is up
BRIEF = Deterministic(1e-4)
LIFE = Weibull(150.0, 3.0)
PLANNED, FAILURE = 2.0, 8.0
AGES_H = [45.0, 60.0, 83.12, 115.0, 160.0]


def one_machine(**station):
    return LineTwin(Line((Station(ENDLESS, **station),)), step_h=0.5)


def renewed(life=LIFE, prices=Prices(FAILURE, PLANNED), duration_h=6000.0):  # noqa: B008
    twin = one_machine(sudden=Sudden(life), repair=BRIEF, maintenance=BRIEF)
    return Environment(twin, prices, every_h=4.0, duration_h=duration_h)


def age_rates(environment, seeds=range(8)):
    """Cost per hour at each of AGES_H, and never, with the standard error of each."""
    policies = [*map(Age, AGES_H), RunToFailure()]
    found = [
        [environment.prices.cost(run) / run.hours for run in runs] for runs in accounts(environment, policies, seeds)
    ]
    return np.mean(found, 1), np.std(found, 1, ddof=1) / np.sqrt(len(seeds))


def theory_rates():
    """The same in closed form; an order comes at the first decision after the age has shown, 2.5 h later on average."""
    ages_h = [*(age_h + 2.5 for age_h in AGES_H), np.inf]
    return np.array([theory.age_cost_rate(LIFE, age_h, PLANNED, FAILURE) for age_h in ages_h])


def unlike(environment, seeds=range(8)):
    """Whether the search ends elsewhere than the closed form, or a cost is not what it should be."""
    rate, error = age_rates(environment, seeds)
    wrong_age = np.argmin(rate) != np.argmin(theory_rates())
    return wrong_age or bool(np.any(np.abs(rate - theory_rates()) > 3.5 * error))


@pytest.mark.slow
def test_age_replacement_found_by_search_is_that_of_the_closed_form():
    assert theory.best_age_h(LIFE, PLANNED, FAILURE) == pytest.approx(83.12, abs=5e-3)
    assert theory.age_cost_rate(LIFE, 83.12, PLANNED, FAILURE) == pytest.approx(0.03685, abs=5e-6)
    assert theory.age_cost_rate(LIFE, np.inf, PLANNED, FAILURE) == pytest.approx(0.05973, abs=5e-6)
    assert not unlike(renewed())


@pytest.mark.slow
@pytest.mark.parametrize("fault", [{"life": Weibull(150.0 / 1.15, 3.0)}, {"prices": Prices(FAILURE, 1.5 * PLANNED)}])
def test_a_planted_fault_of_age_replacement_is_caught(fault):
    assert unlike(renewed(**fault), range(4))  # half the worlds see it


WEARING = Wiener(1 / 60, 0.03, levels=40)
LADDER = {
    "run to failure": RunToFailure(),
    "age": Age(36.0),
    "inspection": Inspection(0.6, every_h=8.0),
    "continuous": Health(0.85),
}


def ladder(wear=WEARING, seeds=range(8), **station):
    """Availability of each rung in each run; corrective work takes 10 h and planned work 2."""
    twin = one_machine(wear=wear, repair=Deterministic(10.0), maintenance=Deterministic(2.0), **station)
    environment = Environment(twin, every_h=2.0, duration_h=800.0)
    return np.array(
        [[run.availability for run in runs] for runs in accounts(environment, list(LADDER.values()), seeds)]
    )


def rises(availability):
    """Whether each rung is above the one before, beyond chance, where runs are paired."""
    steps = np.diff(availability, axis=0)
    return bool(np.all(steps.mean(1) > 3 * steps.std(1, ddof=1) / np.sqrt(steps.shape[1])))


def test_the_more_is_known_of_wear_the_more_a_machine_is_available():
    assert rises(ladder())


def test_a_ladder_is_not_seen_where_wear_says_nothing():
    """Failures come from elsewhere, at any age: wear stays low, and to watch it is of no use."""
    assert not rises(ladder(Wiener(1 / 6000, 0.001, levels=40), sudden=Sudden(Exponential(60.0))))


LINE = LineTwin(
    Line(
        (
            Station(
                Lognormal(0.5, 0.1),
                sudden=Sudden(Exponential(150.0)),
                wear=Wiener(1 / 60, 0.03, spread_cv=0.2),
                repair=Exponential(6.0),
                maintenance=Exponential(2.0),
            ),
        )
        * 3,
        (4, 4),
        crew=1,
    )
)
SHOP = Environment(LINE, Prices(downtime_per_h=0.2), every_h=6.0, duration_h=360.0)
OTHERS = [RunToFailure(), Age(40.0), Block(72.0), Inspection(0.6, every_h=24.0), Health(0.8), Sensor(1.2)]


def test_the_clairvoyant_costs_less_than_any_policy():
    *others, best = [cost_rate(SHOP.prices, runs) for runs in accounts(SHOP, [*OTHERS, Clairvoyant()], range(8))]
    assert best < 0.7 * min(others)


def test_hindsight_is_beaten_in_no_world():
    runs = accounts(SHOP, [*OTHERS, Clairvoyant()], range(3))
    best = list(map(SHOP.prices.cost, hindsight(SHOP.prices, runs)))
    assert best == [min(costs) for costs in np.array([[*map(SHOP.prices.cost, each)] for each in runs]).T]


def test_the_clairvoyant_lets_no_machine_fail_that_it_could_have_saved():
    (end,) = play(SHOP, Clairvoyant(), [3])
    (kept,) = play(SHOP, RunToFailure(), [3])
    assert end.account.failures <= 1 < kept.account.failures
    for event in end.trace.events:
        if event.kind == "planned":  # left alone, the machine would have failed before the next decision
            now = next(m for m in moments(SHOP, Clairvoyant(), 3) if m.time_h == event.time_h)
            orders = [a for a in Clairvoyant().foresee(now) if a.machine != event.entity]
            future = SHOP.step(now, orders).past[-1].events
            assert any(e.kind == "failure" and e.entity == event.entity for e in future)


def moments(environment, policy, seed):
    now = environment.start(seed)
    while not now.done:
        yield now
        now = environment.step(now, policy.choose([now])[0])


def test_the_clairvoyant_is_near_the_best_of_all_plans():
    """Nine decisions on one machine are 512 plans; each is played. No plan is cheaper than the best of them."""
    twin = one_machine(wear=Wiener(1 / 20, 0.05), repair=Deterministic(3.0), maintenance=Deterministic(1.0))
    environment = Environment(twin, Prices(downtime_per_h=0.5), every_h=6.0, duration_h=54.0)
    found, best = [], []
    for seed in range(4):
        ends = [environment.start(seed)]
        while not ends[0].done:
            ends = [environment.step(end, orders) for end in ends for orders in ((), [twin.maintain("m1")])]
        best.append(min(end.cost for end in ends))
        found.append(play(environment, Clairvoyant(), [seed])[0].cost)
    assert len(ends) == 2**9
    assert all(a >= b - 1e-9 for a, b in zip(found, best, strict=True))
    assert np.mean(found) < 1.15 * np.mean(best)


def test_a_clairvoyant_orders_nothing_where_that_is_not_cheaper():
    dear = Environment(LINE, Prices(failure=2.0, planned=9.0), every_h=6.0, duration_h=240.0)
    assert play(dear, Clairvoyant(), [1])[0].account.planned == 0


def test_blocks_and_inspections_come_when_they_are_due():
    (end,) = play(SHOP, Block(70.0), [1])
    planned = {e.time_h for e in end.trace.events if e.kind == "planned"}
    assert planned <= {72.0, 144.0, 210.0, 282.0, 354.0}  # the first decision at or after each multiple of 70 h
    assert len(planned) == 5
    (end,) = play(SHOP, Inspection(0.6, every_h=24.0), [1])
    assert {e.time_h % 24 for e in end.trace.events if e.kind == "inspection"} == {0.0}
    assert end.account.inspections > 20


def test_a_forecast_is_asked_once_a_decision_for_all_runs_and_only_those_that_are_up_are_maintained():
    asked = []

    def chances(seen):
        asked.append([one.run for one in seen])
        return np.array([[0.9, 0.1, 0.5]] * len(seen))

    ends = play(SHOP, Forecast(0.5, chances), [1, 2])
    assert asked == [[1, 2]] * 60
    for end in ends:
        assert {e.entity for e in end.trace.events if e.kind == "planned"} == {"m1", "m3"}
        assert {e.entity for e in end.trace.events if e.kind == "action"} == {"m1", "m3"}
        assert sum(e.kind == "action" for e in end.trace.events) == end.account.planned
    alone = Forecast(0.5, chances).decide(SHOP.start(1).observation)
    assert alone == (LINE.maintain("m1"), LINE.maintain("m3"))


def test_a_sensor_that_says_nothing_moves_nobody():
    assert Sensor(0.1).decide(SHOP.start(1).observation) == ()
    assert Age(0.1).decide(SHOP.start(1).observation) == ()


def test_workers_change_nothing():
    policies = [Age(40.0), Inspection(0.5, every_h=24.0)]
    here = accounts(SHOP, policies, [1, 2])
    assert accounts(SHOP, policies, [1, 2], workers=2) == here
    assert pickle.loads(pickle.dumps(SHOP)) == SHOP


def test_a_cost_rate_is_of_all_runs_together():
    runs = [Account(100.0, 1, failures=1), Account(300.0, 1, planned=2, inspections=1)]
    assert cost_rate(Prices(8.0, 2.0, 0.5), runs) == (8 + 4 + 0.5) / 400


def test_nonsense_is_refused():
    for wrong in (
        lambda: Age(0.0),
        lambda: Inspection(0.5, every_h=-1.0),
        lambda: Clairvoyant(0),
        lambda: Sensor(1, readings=0),
    ):
        with pytest.raises(InputError):
            wrong()
    with pytest.raises(TypeError, match="does not tell the future"):
        Clairvoyant().decide(SHOP.start(1).observation)


WORN = Environment(one_machine(wear=Wiener(0.01, 0.03, levels=10), repair=BRIEF), every_h=10.0, duration_h=100.0)
UNWORN = Environment(one_machine(sudden=Sudden(LIFE), repair=BRIEF), every_h=10.0, duration_h=100.0)
STORE = Environment(SupplyTwin(Supply((Point("store", BaseStock(2)),))), every_h=10.0, duration_h=100.0)


@pytest.mark.parametrize(
    ("environment", "policy", "said"),
    [
        (WORN, Health(0.95), r"Health\.limit is 0\.95; it must be at most 0\.9: no asset is seen beyond it"),
        (UNWORN, Inspection(0.5), r"Inspection\.limit is 0\.5; it must be at most 0: no asset"),
        (WORN, Health(0.5, truth="weer"), r"Health\.truth is 'weer'; it must be a quantity of m1, rate, wear"),
        (WORN, Age(50.0, counter="hours"), r"Age\.counter is 'hours'; it must be a quantity of m1, .*operating_age"),
        (WORN, Sensor(1.0, sensor="wear"), r"Sensor\.sensor is 'wear'; it must be a quantity of m1, acoustic_level"),
        (STORE, Age(50.0), r"Age plans work, but SupplyTwin names no assets"),
    ],
)
def test_a_policy_that_asks_for_what_cannot_be_is_refused_before_any_work(environment, policy, said):
    with pytest.raises(InputError, match=said):
        play(environment, policy, [1])


def test_looking_after_what_is_not_there_is_refused():
    with pytest.raises(InputError, match="no asset 'm9' to look after; there is m1"):
        WORN.step(WORN.start(1), [Inspect("m9")])


def test_an_empty_shelf_is_no_failure_of_an_asset():
    supply = Supply((Point("bearings", BaseStock(1), lead=Deterministic(15.0)),))
    line = Line((Station(ENDLESS, sudden=Sudden(Deterministic(30.0)), repair=BRIEF, spare="bearings"),), supply=supply)
    environment = Environment(LineTwin(line, step_h=5.0), Prices(FAILURE, PLANNED), every_h=50.0, duration_h=100.0)
    end = play(environment, RunToFailure(), [1])[0]
    assert sum(e.kind == "failure" for e in end.trace.events) == 6  # of the machine, and each empties the shelf
    assert (end.account.failures, end.cost) == (3, 3 * FAILURE)
