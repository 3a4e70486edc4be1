"""Golden traces of devices: their history stays as it is until `Devices.revision` says otherwise.

To rewrite the file after raising the revision: python -m tests.sim.test_devices_golden
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sim.devices import Devices, Service
from sim.trace import Trace
from tests.sim.test_golden import digest

FILE = Path(__file__).parents[1] / "golden" / "devices.json"
KINDS = ("use", "free", "alarm", "failure", "planned", "renewal", "action")
CASES = {
    "default": Devices(),
    "served": Devices(tuple(replace(k, service_every_h=300.0) for k in Devices().kinds), None),
}


def history(world: Devices) -> Trace:
    """Two thousand hours with a service that is ordered."""
    first, state = world.run(world.start(11), 700.0)
    return first + world.run(world.act(state, Service("pump2")), 2000.0).trace


@pytest.mark.parametrize("name", CASES)
def test_behaviour_changes_only_with_the_revision(name):
    golden = json.loads(FILE.read_text())
    advice = "raise Devices.revision and rewrite the file with: python -m tests.sim.test_devices_golden"
    assert golden["revision"] == Devices.revision, f"the golden traces are of revision {golden['revision']}; {advice}"
    now, then = digest(history(CASES[name]), KINDS), golden["traces"][name]
    assert now.keys() == then.keys(), f"other signals than before: {advice}"
    wrong = [key for key in now if now[key] != pytest.approx(then[key], rel=1e-9, abs=1e-9)]
    assert not wrong, f"{', '.join(wrong)} of {name!r} changed: {advice}"


if __name__ == "__main__":
    written = {"revision": Devices.revision, "traces": {n: digest(history(w), KINDS) for n, w in CASES.items()}}
    FILE.write_text(json.dumps(written, indent=1) + "\n")
    print(f"wrote {FILE}", file=sys.stderr)
