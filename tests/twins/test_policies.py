"""Policies against theory: age replacement in closed form, the ladder of what is known, every plan there is."""

import math
import pickle
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest

from experiments.deciding.maintenance import _search
from sim.errors import InputError
from sim.laws import Deterministic, Exponential, Lognormal, Weibull
from sim.line import Line, Station, Sudden, theory
from sim.streams import Streams
from sim.supply import BaseStock, Point, Supply
from sim.wear import Markov, Wiener
from twins.control.account import Account, Prices
from twins.control.clairvoyant import Clairvoyant
from twins.control.environment import Environment, Inspect
from twins.control.policies import (
    Age,
    Block,
    Forecast,
    Health,
    Inspection,
    Policy,
    RunToFailure,
    Sensor,
    accounts,
    cost_rate,
    hindsight,
    play,
)
from twins.line import LineTwin
from twins.supply import SupplyTwin

ENDLESS = Deterministic(1e12)  # one part for ever: the machine works whenever it is up
BRIEF = Deterministic(1e-4)


def one_machine(**station):
    return LineTwin(Line((Station(ENDLESS, **station),)), step_h=0.5)


class Renewal(NamedTuple):
    """A unit of Weibull life, replaced at an age; work takes no time."""

    scale_h: float
    shape: float
    planned: float
    failure: float

    @property
    def law(self) -> Weibull:
        return Weibull(self.scale_h, self.shape)

    @property
    def best_h(self) -> float:
        return theory.best_age_h(self.law, self.planned, self.failure)

    @property
    def ages_h(self) -> list[float]:
        return [self.best_h * 1.25**k for k in (-2, -1, 0, 1, 2)]

    def environment(self, life: float = 1.0, planned: float = 1.0) -> Environment:
        """In closed loop; *life* and *planned* are factors of a planted fault."""
        law = Weibull(self.scale_h * life, self.shape)
        twin = one_machine(sudden=Sudden(law), repair=BRIEF, maintenance=BRIEF)
        prices = Prices(self.failure, self.planned * planned)
        return Environment(twin, prices, every_h=self.best_h / 10, duration_h=18 * self.best_h)

    def rate(self, age_h: float) -> float:
        """Cost per hour from new to the end of a run: g + (g E[X²] / 2 E[X] − E[X R] / E[X]) / t, for cycles of length
        X and cost R (Brown & Solomon 1975); an order comes at the first decision after the age has shown."""
        environment = self.environment()
        age_h = min(age_h + 0.25 + environment.every_h / 2, 20 * self.scale_h)
        x = np.linspace(0, age_h, 4001)
        alive = np.asarray(self.law.sf(x))
        mean, square = np.trapezoid(alive, x), np.trapezoid(2 * x * alive, x)
        failing = mean - age_h * alive[-1]  # E[L; L < age]
        rate = (self.planned * alive[-1] + self.failure * (1 - alive[-1])) / mean
        weighted = self.failure * failing + self.planned * age_h * alive[-1]
        return rate + (rate * square / 2 - weighted) / mean / environment.duration_h


RELIASOFT = Renewal(150.0, 3.0, 2.0, 8.0)


def age_differs(unit: Renewal, environment: Environment, seeds=range(12)) -> bool:
    """Whether the command's own search ends elsewhere than the closed form, or a cost is not what it should be."""
    family: list[Policy] = [*map(Age, unit.ages_h), RunToFailure()]
    found = _search(environment, {"age": family}, seeds, workers=1)["age"]
    rates = np.array([unit.rate(age_h) for age_h in (*unit.ages_h, math.inf)])
    seen = np.array([row["cost_rate"] for row in found["table"]])
    cycles = len(seeds) * environment.duration_h / np.array([*unit.ages_h, unit.law.mean_h])
    error = 0.35 * unit.failure / np.sqrt(cycles) * cycles / (len(seeds) * environment.duration_h)
    return rates[found["best"]] > 1.05 * rates.min() or bool(np.any(np.abs(seen - rates) > 3.5 * error))


def test_the_closed_form_of_age_replacement():
    assert RELIASOFT.best_h == pytest.approx(83.12, abs=5e-3)
    assert theory.age_cost_rate(RELIASOFT.law, 83.12, 2.0, 8.0) == pytest.approx(0.03685, abs=5e-6)
    assert theory.age_cost_rate(RELIASOFT.law, np.inf, 2.0, 8.0) == pytest.approx(0.05973, abs=5e-6)


@pytest.mark.slow
@pytest.mark.parametrize("unit", [RELIASOFT, Renewal(100.0, 2.0, 1.0, 12.0), Renewal(220.0, 5.0, 3.0, 9.0)])
def test_age_replacement_found_by_search_is_that_of_the_closed_form(unit):
    assert not age_differs(unit, unit.environment())


@pytest.mark.slow
@pytest.mark.parametrize("fault", [{"life": 1 / 1.2}, {"planned": 1.5}])
def test_a_planted_fault_of_age_replacement_is_caught(fault):
    assert age_differs(RELIASOFT, RELIASOFT.environment(**fault))


SIX_STATES = Markov(10.0)  # mean life 50 h
LADDER = [  # a policy, and how often it decides
    (RunToFailure(), 100.0),
    (Age(25.0), 5.0),
    (Inspection(0.4, every_h=20.0), 20.0),
    (Inspection(0.6, every_h=5.0), 5.0),
    (Health(0.8), 1.25),
]


def ladder(wear=SIX_STATES, sudden=None, seeds=range(8)):
    """Availability of each rung in each run; corrective work takes 10 h and planned work 2."""
    twin = one_machine(wear=wear, sudden=sudden, repair=Deterministic(10.0), maintenance=Deterministic(2.0))
    found = []
    for policy, every_h in LADDER:
        environment = Environment(twin, every_h=every_h, duration_h=2000.0)
        found.append([run.availability for run in accounts(environment, [policy], seeds)[0]])
    return np.array(found)


def rises(availability):
    """Whether each rung is above the one before, beyond chance, where runs are paired."""
    steps = np.diff(availability, axis=0)
    return bool(np.all(steps.mean(1) > 2 * steps.std(1, ddof=1) / np.sqrt(steps.shape[1])))


def test_the_more_is_known_of_wear_the_more_a_machine_is_available():
    """Run to failure < age < inspection every 20 h < every 5 h < continuous, each near its closed form."""
    found = ladder()
    assert rises(found)
    known = [0.8333, 0.8947, 0.9114, 0.9349, 0.9524]  # in continuous time; orders come at decisions, somewhat later
    assert found.mean(1) == pytest.approx(known, abs=0.012)


def test_a_ladder_is_not_seen_where_wear_says_nothing():
    """Units fail of something else long before they are worn."""
    assert not rises(ladder(Markov(1e5), Sudden(Exponential(50.0)), range(3)))


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


def plans(environment, seed):
    """The cost of every plan that there is for one machine."""
    ends = [environment.start(seed)]
    while not ends[0].done:
        ends = [environment.step(end, orders) for end in ends for orders in ((), [environment.maintain("m1")])]
    return [end.cost for end in ends]


@pytest.mark.parametrize("lead_h", [0.0, 12.0])
def test_a_wide_search_finds_the_best_of_all_plans_and_a_narrow_one_comes_near(lead_h):
    """Seven decisions on one machine are 128 plans; each is played."""
    twin = one_machine(wear=Wiener(1 / 20, 0.05), repair=Deterministic(3.0), maintenance=Deterministic(1.0))
    environment = Environment(twin, Prices(downtime_per_h=0.5), every_h=6.0, duration_h=42.0, lead_h=lead_h)
    best = [min(plans(environment, seed)) for seed in range(4)]
    wide, narrow = Clairvoyant(width=128, reach=None), Clairvoyant()
    assert [end.cost for end in play(environment, wide, range(4))] == pytest.approx(best, abs=1e-9)
    near = [end.cost for end in play(environment, narrow, range(4))]
    assert all(a >= b - 1e-9 for a, b in zip(near, best, strict=True))
    assert np.mean(near) < 1.15 * np.mean(best)


def best_of_known_lives(lives_h, prices, every_h, until_h, repair_h=3.0, work_h=1.0):
    """The least cost of one machine whose lives are known in order, by dynamic programming over renewals."""

    def down(from_h, hours_h):
        return prices.downtime_per_h * (min(from_h + hours_h, until_h) - from_h)

    @cache
    def least(renewed_h, k):
        if renewed_h >= until_h:
            return 0.0
        fails_h = renewed_h + lives_h[k]
        found = [0.0]  # where the last life outlasts the run
        if fails_h < until_h:
            found = [prices.failure + down(fails_h, repair_h) + least(fails_h + repair_h, k + 1)]
        for n in range(math.ceil(renewed_h / every_h), math.ceil(min(fails_h, until_h) / every_h)):
            at_h = n * every_h
            found.append(prices.planned + down(at_h, work_h) + least(at_h + work_h, k + 1))
        return min(found)

    return least(0.0, 0)


def test_of_known_lives_the_clairvoyant_finds_what_dynamic_programming_does():
    """Forty decisions, far too many to play every plan."""
    law = Weibull(25.0, 2.0)
    twin = one_machine(sudden=Sudden(law), repair=Deterministic(3.0), maintenance=Deterministic(1.0))
    environment = Environment(twin, Prices(downtime_per_h=0.5), every_h=6.0, duration_h=240.0)
    for seed in range(3):
        stream = Streams(seed, ["m1/sudden"])["m1/sudden"]
        lives_h = tuple(stream.draw(law) for _ in range(60))
        best = best_of_known_lives(lives_h, environment.prices, 6.0, 240.0)
        (end,) = play(environment, Clairvoyant(width=16, reach=None, ahead=10, truth=None), [seed])
        assert end.cost == pytest.approx(best, abs=1e-6)


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
        lambda: Clairvoyant(reach=0),
        lambda: Sensor(1, readings=0),
    ):
        with pytest.raises(InputError):
            wrong()
    with pytest.raises(TypeError, match="does not tell the future"):
        Clairvoyant().decide(SHOP.start(1).observation)


WORN = Environment(one_machine(wear=Wiener(0.01, 0.03, levels=10), repair=BRIEF), every_h=10.0, duration_h=100.0)
UNWORN = Environment(one_machine(sudden=Sudden(RELIASOFT.law), repair=BRIEF), every_h=10.0, duration_h=100.0)
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
    environment = Environment(LineTwin(line, step_h=5.0), Prices(8.0, 2.0), every_h=50.0, duration_h=100.0)
    end = play(environment, RunToFailure(), [1])[0]
    assert sum(e.kind == "failure" for e in end.trace.events) == 6  # of the machine, and each empties the shelf
    assert (end.account.failures, end.cost) == (3, 3 * 8.0)
