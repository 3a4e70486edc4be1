"""Golden traces of a supply chain: its history stays as it is until `Supply.revision` says otherwise.

To rewrite the file after raising the revision: python -m tests.sim.test_supply_golden
"""

import json
import sys
from pathlib import Path

import pytest

from sim.laws import Deterministic, Exponential
from sim.supply import BaseStock, Demand, Hold, MinMax, PlaceOrder, Point, SetPolicy, Supply
from sim.supply.checks.chains import NETWORK
from sim.trace import Trace
from tests.sim.test_golden import digest

FILE = Path(__file__).parents[1] / "golden" / "supply.json"
KINDS = ("demand", "order", "delivery", "late", "missing", "lost", "salvage", "failure", "renewal", "action")
TIES = Supply(
    (
        Point("depot", MinMax(2, 9), lead=Deterministic(4.0), late=0.5, delay=Deterministic(2.0)),
        Point("shop", BaseStock(4), "depot", Deterministic(1.0), Demand(Deterministic(1.0), Deterministic(2.0))),
        Point("kiosk", BaseStock(3), "depot", None, Demand(Exponential(2.0)), lost_sales=True, review_h=5.0),
        Point("stall", BaseStock(6), "shop", None, Demand(Deterministic(2.0)), review_h=6.0, perishable=True),
    )
)
CASES = {"network": NETWORK, "ties": TIES}


def history(world: Supply) -> Trace:
    """300 hours, with orders by hand, a held policy and a new one."""
    first, state = world.run(world.start(11), 100.0)
    for action in (PlaceOrder(world.names[0], 3), Hold(world.names[1])):
        state = world.act(state, action)
    second, state = world.run(state, 200.0)
    return first + second + world.run(world.act(state, SetPolicy(world.names[1], MinMax(3, 8))), 300.0).trace


@pytest.mark.parametrize("name", CASES)
def test_behaviour_changes_only_with_the_revision(name):
    golden = json.loads(FILE.read_text())
    advice = "raise Supply.revision and rewrite the file with: python -m tests.sim.test_supply_golden"
    assert golden["revision"] == Supply.revision, f"the golden traces are of revision {golden['revision']}; {advice}"
    now, then = digest(history(CASES[name]), KINDS), golden["traces"][name]
    assert now.keys() == then.keys(), f"other signals than before: {advice}"
    wrong = [key for key in now if now[key] != pytest.approx(then[key], rel=1e-9, abs=1e-9)]
    assert not wrong, f"{', '.join(wrong)} of {name!r} changed: {advice}"


if __name__ == "__main__":
    written = {"revision": Supply.revision, "traces": {n: digest(history(w), KINDS) for n, w in CASES.items()}}
    FILE.write_text(json.dumps(written, indent=1) + "\n")
    print(f"wrote {FILE}", file=sys.stderr)
