"""Layers, crowding and races by their definitions, and optima that closed forms know."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.laws import Deterministic, Exponential, Weibull
from sim.line import AgeReplacement, Line, RunToFailure, Station, Sudden, theory
from sim.line.design import Levers, Opening, Prices, Trial
from sim.steady import mser5
from twins.control.search import Search, crowding, front, latin, layers, neighbours, standing
from twins.executors.workers import crew

tables = st.lists(st.tuples(*[st.integers(0, 5)] * 2), min_size=1, max_size=25).map(lambda rows: np.array(rows, float))


def dominates(a, b):
    return all(x >= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)


@given(tables)
def test_layers_peel_off_what_nothing_left_dominates(values):
    found = layers(values)
    for i, own in enumerate(found):
        above = [j for j in range(len(values)) if dominates(values[j], values[i])]
        assert own == (1 + max(found[j] for j in above) if above else 0)


@given(tables)
def test_a_better_layer_stands_before_and_an_end_before_the_middle(values):
    place, layer = standing(values), layers(values)
    assert sorted(place) == list(range(len(values)))
    assert all(layer[i] <= layer[j] for i in range(len(values)) for j in range(len(values)) if place[i] < place[j])


def test_crowding_is_the_distance_of_the_neighbours():
    assert crowding(np.array([[0.0, 4], [1, 3], [4, 0]])).tolist() == [math.inf, 2.0, math.inf]


def test_a_latin_start_is_spread_in_every_number():
    points = latin((8, 4, 1), 8, np.random.default_rng(0))
    assert sorted(p[0] for p in points) == list(range(8))
    assert np.bincount([p[1] for p in points]).tolist() == [2] * 4
    assert {p[2] for p in points} == {0}


def test_neighbours_stay_on_the_lattice():
    assert neighbours((0, 1), (1, 3)) == [(0, 0), (0, 2)]


def noisy(tasks):
    """Two aims that trade off along (x, 30 − x), worsened by y; noise is common to the points and their own."""
    answers = []
    for (x, y), k in tasks:
        shared, own = (np.random.default_rng(seed).normal() for seed in ([k], [k, x, y]))
        gain = 2 * math.sqrt(x) - y + shared + 0.05 * own
        answers.append((gain, -x - y, gain - 0.25 * x))
    return answers


def test_the_front_of_a_noisy_lattice_is_found_and_the_race_saves_work():
    played = []

    def play(tasks):
        played.extend(tasks)
        return noisy(tasks)

    search = Search(population=16, generations=10, first=3, replications=10)
    kept = search.run((31, 12), play)
    best = max(kept, key=lambda p: kept[p][:, -1].mean())
    assert best[1] == 0
    assert 2 * math.sqrt(best[0]) - 0.25 * best[0] > 3.9  # of 4, at 16
    assert all(y == 0 for _, y in front(kept))
    assert len(played) == len(set(played))
    assert len(played) < 0.8 * search.replications * len({p for p, _ in played})


def test_the_same_settings_take_the_same_way():
    search = Search(population=8, generations=3)
    one, other = (search.run((31, 12), noisy) for _ in range(2))
    assert list(one) == list(other)
    assert list(replace(search, seed=1).run((31, 12), noisy)) != list(one)


def explore(trial, search):
    """The best point of a search over *trial* in this process, and every kept one."""
    tasks_of = trial.levers.sizes(trial.line)
    kept = search.run(
        tasks_of, lambda tasks: [(y.parts_per_h, -y.cost_per_h, y.profit_per_h) for y in map(trial, tasks)]
    )
    return max(kept, key=lambda p: kept[p][:, -1].mean()), kept


def ageing(failure):
    """ReliaSoft's unit, with nothing to sell: all that counts is what its work costs in an operating hour."""
    brief = Deterministic(1e-4)
    station = Station(Deterministic(1e12), sudden=Sudden(Weibull(150.0, 3.0)), repair=brief, maintenance=brief)
    levers = Levers(buffers=None, age_h=(40.0, 300.0), ages=24)
    return Trial(Line((station,)), levers, Prices(0.0, 0.0, 0.0, failure, 2.0), 0.0, 2e4)


@pytest.mark.parametrize("failure", [8.0, 40.0])
def test_the_age_that_renewal_theory_finds_is_found(failure):
    trial = ageing(failure)
    (index,), _ = explore(trial, Search(population=8, generations=2))
    law, found_h = Weibull(150.0, 3.0), trial.levers.ladder_h[index]
    best_h = theory.best_age_h(law, 2.0, failure)  # 83.12 h at 8; 44.7 h at 40
    assert found_h == pytest.approx(best_h, rel=0.2)
    lowest = theory.age_cost_rate(law, best_h, 2.0, failure)
    assert theory.age_cost_rate(law, found_h, 2.0, failure) < 1.02 * lowest


def test_a_memoryless_unit_is_never_replaced_by_age():
    trial = ageing(8.0)
    memoryless = replace(trial.line.stations[0], sudden=Sudden(Exponential(100.0)))
    (index,), _ = explore(replace(trial, line=Line((memoryless,))), Search(population=8, generations=2))
    assert trial.levers.ladder_h[index] == math.inf


def test_the_buffer_that_the_chain_finds_is_found():
    station = Station(Exponential(1.0), sudden=Sudden(Exponential(100.0)), repair=Exponential(10.0))
    prices = Prices(part=10.0, place_per_h=0.05, crew_per_h=0.0, failure=0.0, planned=0.0)
    trial = Trial(Line((station, station), (5,)), Levers(buffers=(0, 40)), prices, 300.0, 2500.0)
    profit = [10 * theory.two_machine_unreliable(1, 1, 0.01, 0.1, 0.01, 0.1, b) - 0.05 * b for b in range(41)]
    (found,), kept = explore(trial, Search(population=12, generations=2, replications=10))
    assert profit[found] > max(profit) - 0.05
    assert abs(found - int(np.argmax(profit))) <= 6
    assert max(profit) - profit[5] > 0.15  # what a search that stays where it is would lose
    assert kept[(found,)].shape == (10, 3)


def test_a_point_becomes_the_line_it_says():
    station = Station(Exponential(1.0), sudden=Sudden(Exponential(100.0)))
    line = Line((station, Station(Exponential(1.0)), station), (5, None))
    levers = Levers(buffers=(2, 9), crew=(1, 3), age_h=(10.0, 1000.0), ages=3)
    assert levers.sizes(line) == (8, 8, 3, 4, 4)
    made = levers.line(line, (0, 7, 2, 1, 3))
    assert (made.buffers, made.crew) == ((2, 9), 3)
    assert isinstance(made.stations[0].policy, AgeReplacement)
    assert made.stations[0].policy.age_h == pytest.approx(100.0)
    assert [s.policy for s in made.stations[1:]] == [RunToFailure()] * 2
    assert Levers(buffers=None).sizes(line) == ()


def test_a_yield_is_the_books_of_the_line():
    brief = Deterministic(1.0)
    station = Station(Deterministic(1.0), sudden=Sudden(Deterministic(9.0)), repair=brief, maintenance=brief)
    line = Line((station,), crew=2)
    prices = Prices(part=10.0, place_per_h=1.0, crew_per_h=3.0, failure=20.0, planned=5.0)
    trial = Trial(line, Levers(buffers=None, age_h=(4.0, 8.0), ages=2), prices, 0.0, 1000.0)
    assert trial((None, 0)) == pytest.approx((0.9, 6 + 2.0, 9 - 8.0))
    assert trial(((0,), 0)) == pytest.approx((0.8, 6 + 1.0, 8 - 7.0))
    assert mser5(Opening(line, 1000.0, 100)(0)) == 0


def test_a_crew_stays_for_one_set_of_tasks_after_another():
    trial = ageing(8.0)
    tasks = [((i,), 0) for i in range(5)]
    with crew(trial, 2) as each:
        for some in (tasks, [], tasks[:1], tasks[1:]):
            assert dict(each(some)) == {i: trial(task) for i, task in enumerate(some)}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Search(population=2), r"Search\.population is 2"),
        (
            lambda: Search(first=9, replications=8),
            r"Search\.first is 9; it must be at least 2 and at most replications",
        ),
        (lambda: Levers(buffers=(3, 2)), r"Levers\.buffers is \(3, 2\)"),
        (lambda: Levers(crew=(0, 2)), r"Levers\.crew"),
        (lambda: Levers(age_h=(0.0, 2.0)), r"Levers\.age_h"),
        (lambda: Prices(part=-1.0), r"Prices\.part is -1\.0; it must be at least 0 and finite"),
    ],
)
def test_nonsense_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()
