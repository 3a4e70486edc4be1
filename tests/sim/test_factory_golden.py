"""Golden traces of a factory: its history stays as it is until `Factory.revision` says otherwise.

To rewrite the file after raising the revision: python -m tests.sim.test_factory_golden
"""

import json
import sys
from pathlib import Path

import pytest

from sim.factory import Factory, Release, SetPriority
from sim.line import AgeReplacement, Hold, Opportunistic, OrderMaintenance, SetSpeed
from sim.trace import Trace
from tests.sim.factories import CLOCKWORK, plant
from tests.sim.test_golden import digest

FILE = Path(__file__).parents[1] / "golden" / "factory.json"
KINDS = ("failure", "planned", "renewal", "action", "lost", "deadlock")
CASES = {"plant": plant(), "aged": plant(AgeReplacement(9.0)), "together": plant(Opportunistic(0.3)), "ties": CLOCKWORK}


def history(factory: Factory) -> Trace:
    """300 hours, a third of them with changed speed, an order, a held policy, releases and a priority."""
    machine, product = factory.machines[0], factory.products[0].name
    first, state = factory.run(factory.start(11), 100.0)
    for action in (SetSpeed(machine, 1.3), OrderMaintenance(factory.machines[1]), Hold(machine), Release(product, 3)):
        state = factory.act(state, action)
    second, state = factory.run(state, 200.0)
    state = factory.act(state, SetPriority(factory.products[1].name, 2))
    return first + second + factory.run(factory.act(state, SetSpeed(machine, 1.0)), 300.0).trace


@pytest.mark.parametrize("name", CASES)
def test_behaviour_changes_only_with_the_revision(name):
    golden = json.loads(FILE.read_text())
    advice = "raise Factory.revision and rewrite the file with: python -m tests.sim.test_factory_golden"
    assert golden["revision"] == Factory.revision, f"the golden traces are of revision {golden['revision']}; {advice}"
    now, then = digest(history(CASES[name]), KINDS), golden["traces"][name]
    assert now.keys() == then.keys(), f"other signals than before: {advice}"
    wrong = [key for key in now if now[key] != pytest.approx(then[key], rel=1e-9, abs=1e-9)]
    assert not wrong, f"{', '.join(wrong)} of {name!r} changed: {advice}"


if __name__ == "__main__":
    written = {"revision": Factory.revision, "traces": {n: digest(history(w), KINDS) for n, w in CASES.items()}}
    FILE.write_text(json.dumps(written, indent=1) + "\n")
    print(f"wrote {FILE}", file=sys.stderr)
