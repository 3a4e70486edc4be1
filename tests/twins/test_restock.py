"""Stock ordered from outside: the world's own policy under periodic review, decision by decision, and its cost."""

from dataclasses import replace

import numpy as np
import pytest

from sim.errors import InputError
from sim.laws import Exponential, Gamma
from sim.line import Line, Material, Station
from sim.supply import BaseStock, Demand, FixedQuantity, MinMax, Point, Prices, Supply, costs
from tests.twins.test_policies import LINE
from twins.control.account import Prices as Tariff
from twins.control.environment import Environment
from twins.control.policies import Restock, RunToFailure, accounts, cost_rate, play
from twins.sensors.noise import Noise
from twins.supply import SupplyTwin

PRICES = Prices(holding_per_unit_h=0.02, backorder_per_unit_h=0.5, per_order=4.0, sale_per_unit=1.0)
SHOP = Point("shop", MinMax(3, 12), None, Gamma(5.0, 0.4), Demand(Exponential(2.0), Exponential(1.2)), prices=PRICES)
MOMENT_H = 1e-5  # books that are kept so often miss nothing that comes between the last entry and the decision
FREE = Tariff(failure=0.0, planned=0.0)
POLICIES = [MinMax(3, 12), MinMax(8, 20), BaseStock(10), FixedQuantity(4, 7)]


def exact(*points, **more):
    return SupplyTwin(Supply(points), step_h=MOMENT_H, miscount=Noise(), **more)


def decided(twin, policy, seed=3, **more):
    environment = Environment(twin, FREE, every_h=6.0, duration_h=300.0, stores=more.pop("stores", ("shop",)), **more)
    return play(environment, Restock(policy), [seed])[0]


@pytest.mark.parametrize("policy", POLICIES)
def test_stock_decided_from_outside_is_that_of_the_same_policy_inside_under_periodic_review(policy):
    inside = Supply((replace(SHOP, policy=policy, review_h=6.0, initial=12),))
    run = inside.run(inside.start(3), 300.0)
    outside = decided(exact(replace(SHOP, policy=BaseStock(500), initial=12)), policy)
    at_h = np.arange(1.0, 300.0, 0.5)  # at 0 h there is no reading to decide by, and inside there is nothing to order
    for quantity in ("on_hand", "on_order", "backorders"):
        wanted = run.trace["shop", quantity].at(at_h)
        np.testing.assert_array_equal(outside.trace["shop", quantity].at(at_h), wanted, quantity)
    assert outside.cost == pytest.approx(costs(inside, run.trace)["shop"].total)
    assert outside.account.failures == sum(event.kind == "failure" for event in run.trace.events)


def test_stores_that_are_not_decided_keep_their_own_policy():
    depot = Point("depot", MinMax(6, 20), lead=Gamma(9.0, 0.5), prices=PRICES)
    twin = exact(depot, replace(SHOP, supplier="depot"))
    moment = decided(twin, MinMax(3, 12))
    acted = {event.entity for event in moment.trace.events if event.kind == "action"}
    ordered = {event.entity for event in moment.trace.events if event.kind == "order"}
    assert (acted, ordered) == ({"shop"}, {"depot", "shop"})


def test_a_search_finds_what_a_miscount_costs():
    """The best (s, S) by wrong counts costs more than by right ones, since it has to keep more."""
    pairs = [Restock(MinMax(s, S)) for s in (2, 5, 8, 11) for S in (14, 20, 26)]
    best = []
    for miscount in (Noise(), Noise(white=4.0, quantum=1.0)):
        twin = replace(exact(SHOP), step_h=1.0, miscount=miscount)
        environment = Environment(twin, FREE, every_h=6.0, duration_h=600.0, stores=("shop",))
        best.append(min(cost_rate(FREE, runs) for runs in accounts(environment, pairs, range(4))))
    assert best[0] < best[1] - 0.02


def test_stock_beside_a_line_is_ordered_by_its_books():
    line = Line((Station(Exponential(2.0)),), material=Material("shop"), supply=Supply((replace(SHOP, demand=None),)))
    kept = decided(SupplyTwin(line, step_h=1.0), MinMax(4, 15))
    empty = Environment(kept.environment.twin, FREE, every_h=6.0, duration_h=300.0, stores=("shop",))
    bare = play(empty, RunToFailure(), [3])[0]
    assert kept.trace["m1", "parts"].value[-1] > 100 > bare.trace["m1", "parts"].value[-1]


def test_what_cannot_be_is_refused():
    twin = SupplyTwin(Supply((SHOP,)), step_h=4.0)
    with pytest.raises(InputError, match=r"Environment\.stores is \('bakery',\); it must be among shop"):
        Environment(twin, stores=("bakery",))
    with pytest.raises(InputError, match=r"stores is .* it must be none, as LineTwin keeps no stock"):
        Environment(LINE, stores=("m1",))
    with pytest.raises(InputError, match=r"Environment\.stores is .* it must be each store once"):
        Environment(twin, stores=("shop", "shop"))
    with pytest.raises(InputError, match=r"Environment\.stores names no store"):
        play(Environment(twin), Restock(MinMax(1, 2)), [0])
    with pytest.raises(InputError, match="every 2 h by books that are kept every 4 h, and would order twice"):
        play(Environment(twin, every_h=2.0, stores=("shop",)), Restock(MinMax(1, 2)), [0])
    with pytest.raises(InputError, match=r"Restock\.count is 'on_hand'; it must be a quantity of shop, .*count"):
        play(Environment(twin, stores=("shop",)), Restock(MinMax(1, 2), count="on_hand"), [0])
