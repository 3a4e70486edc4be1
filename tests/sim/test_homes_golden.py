"""Golden traces of homes: their history stays as it is until `Homes.revision` says otherwise.

To rewrite the file after raising the revision: python -m tests.sim.test_homes_golden
"""

import json
import sys
from pathlib import Path

import pytest

from sim.homes import Call, Chargers, Group, Homes, Household
from sim.trace import Trace
from tests.sim.test_golden import digest

FILE = Path(__file__).parents[1] / "golden" / "homes.json"
KINDS = ("use", "off", "charge", "blocked", "leave", "rebound", "action")
CASES = {
    "plain": Homes((Group(3),)),
    "electric": Homes(
        (Group(2, Household(heat_kw_per_k=0.15, car=True)), Group(1, Household(pv_kw=5.0, spread_cv=0.0))),
        chargers=Chargers(1, visits_per_h=0.2),
    ),
}


def history(world: Homes) -> Trace:
    """Two hundred hours with a call for less heating."""
    first, state = world.run(world.start(11), 100.0)
    return first + world.run(world.act(state, Call(0.8, 3.0)), 200.0).trace


@pytest.mark.parametrize("name", CASES)
def test_behaviour_changes_only_with_the_revision(name):
    golden = json.loads(FILE.read_text())
    advice = "raise Homes.revision and rewrite the file with: python -m tests.sim.test_homes_golden"
    assert golden["revision"] == Homes.revision, f"the golden traces are of revision {golden['revision']}; {advice}"
    now, then = digest(history(CASES[name]), KINDS), golden["traces"][name]
    assert now.keys() == then.keys(), f"other signals than before: {advice}"
    wrong = [key for key in now if now[key] != pytest.approx(then[key], rel=1e-9, abs=1e-9)]
    assert not wrong, f"{', '.join(wrong)} of {name!r} changed: {advice}"


if __name__ == "__main__":
    written = {"revision": Homes.revision, "traces": {n: digest(history(w), KINDS) for n, w in CASES.items()}}
    FILE.write_text(json.dumps(written, indent=1) + "\n")
    print(f"wrote {FILE}", file=sys.stderr)
