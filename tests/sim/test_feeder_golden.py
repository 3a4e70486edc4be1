"""Golden trace of a feeder: its history stays as it is until `Feeder.revision` says otherwise.

To rewrite the file after raising the revision: python -m tests.sim.test_feeder_golden
"""

import json
import sys
from pathlib import Path

import pytest

from sim.feeder import Feeder, Protection, ReplaceTransformer, SetBattery, Theft
from sim.homes import Group, Homes, Household
from sim.homes.battery import Battery
from sim.homes.transformer import Transformer
from sim.laws import Exponential, Weibull
from sim.trace import Trace
from tests.sim.test_golden import digest

FILE = Path(__file__).parents[1] / "golden" / "feeder.json"
KINDS = ("failure", "planned", "renewal", "theft", "honest", "action")
FEEDER = Feeder(
    Homes((Group(3, Household(heat_kw_per_k=0.15)), Group(1, Household(pv_kw=5.0)))),
    Transformer(8.0),
    (8.0, 12.0),
    life=Weibull(1.0, 2.0),
    sudden=Exponential(100.0),
    protection=Protection(120.0, 1.5),
    theft=Theft(Exponential(50.0), Exponential(20.0)),
    battery=Battery(5.0, 3.0, 3.0),
)


def history() -> Trace:
    """Three hundred hours with orders to the battery and a new transformer."""
    first, state = FEEDER.run(FEEDER.start(11), 100.0)
    for action in (SetBattery(1.0), ReplaceTransformer()):
        state = FEEDER.act(state, action)
    second, state = FEEDER.run(state, 200.0)
    return first + second + FEEDER.run(FEEDER.act(state, SetBattery(-2.0)), 300.0).trace


def test_behaviour_changes_only_with_the_revision():
    golden = json.loads(FILE.read_text())
    advice = "raise Feeder.revision and rewrite the file with: python -m tests.sim.test_feeder_golden"
    assert golden["revision"] == Feeder.revision, f"the golden trace is of revision {golden['revision']}; {advice}"
    now, then = digest(history(), KINDS), golden["trace"]
    assert now.keys() == then.keys(), f"other signals than before: {advice}"
    wrong = [key for key in now if now[key] != pytest.approx(then[key], rel=1e-9, abs=1e-9)]
    assert not wrong, f"{', '.join(wrong)} changed: {advice}"


if __name__ == "__main__":
    FILE.write_text(json.dumps({"revision": Feeder.revision, "trace": digest(history(), KINDS)}, indent=1) + "\n")
    print(f"wrote {FILE}", file=sys.stderr)
