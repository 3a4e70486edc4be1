"""Golden trace of a grid: its history stays as it is until `Grid.revision` says otherwise.

To rewrite the file after raising the revision: python -m tests.sim.test_grid_golden
"""

import json
import sys
from pathlib import Path

import pytest

from sim.grid import Grid, Replace, Storms, SwitchSection, rbts_bus2
from sim.laws import Exponential
from sim.trace import Trace
from tests.sim.test_golden import digest

FILE = Path(__file__).parents[1] / "golden" / "grid.json"
KINDS = ("failure", "isolated", "planned", "renewal", "storm", "calm", "action")
GRID = Grid(rbts_bus2(repair=Exponential(5.0)).scaled(100.0), crews=2, storms=Storms(50.0, Exponential(12.0), 5.0))


def history() -> Trace:
    """3,000 hours, with a switch by hand and a replacement."""
    first, state = GRID.run(GRID.start(11), 1000.0)
    for action in (SwitchSection("s18"), Replace("LP4.transformer")):
        state = GRID.act(state, action)
    second, state = GRID.run(state, 2000.0)
    return first + second + GRID.run(GRID.act(state, SwitchSection("s18", open=False)), 3000.0).trace


def test_behaviour_changes_only_with_the_revision():
    golden = json.loads(FILE.read_text())
    advice = "raise Grid.revision and rewrite the file with: python -m tests.sim.test_grid_golden"
    assert golden["revision"] == Grid.revision, f"the golden trace is of revision {golden['revision']}; {advice}"
    now, then = digest(history(), KINDS), golden["trace"]
    assert now.keys() == then.keys(), f"other signals than before: {advice}"
    wrong = [key for key in now if now[key] != pytest.approx(then[key], rel=1e-9, abs=1e-9)]
    assert not wrong, f"{', '.join(wrong)} changed: {advice}"


if __name__ == "__main__":
    FILE.write_text(json.dumps({"revision": Grid.revision, "trace": digest(history(), KINDS)}, indent=1) + "\n")
    print(f"wrote {FILE}", file=sys.stderr)
