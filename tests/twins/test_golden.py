"""Golden readings: the same trace gives the same readings until `LineTwin.revision` says otherwise.

To rewrite the file after raising the revision: python tests/twins/test_golden.py
"""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from sim.laws import Deterministic
from sim.line import Line, Phase, Station
from sim.trace import Event, Signal, Trace
from twins.line import LineTwin

FILE = Path(__file__).parents[1] / "golden" / "line_twin.json"
ADVICE = "raise LineTwin.revision and rewrite the file with: python tests/twins/test_golden.py"
TWIN = LineTwin(Line((Station(Deterministic(0.25), load=1.2), Station(Deterministic(0.25))), (5,)))


def trace() -> Trace:
    """Written by hand, so that a change of the line's behaviour is none of the twin's."""
    working, starved, waiting, repairing = Phase.WORKING, Phase.STARVED, Phase.WAITING, Phase.REPAIRING
    signals = {}
    for machine in TWIN.world.machines:
        codes = [working, starved, working, waiting, repairing, working]
        signals[machine, "phase"] = Signal.step([0.0, 9.9, 11.3, 20.1, 21.0, 25.5], codes)
        signals[machine, "wear"] = Signal.step([0.0, 4.0, 13.0, 19.0, 25.5], [0.0, 0.3, 0.6, 0.9, 0.0])
        signals[machine, "speed"] = Signal.step([0.0, 15.0], [1.0, 1.5])
        signals[machine, "parts"] = Signal.step([0.0, 8.0, 18.0], [0, 30, 60])
        signals[machine, "rate"] = Signal.step([0.0, 25.5], [1.1, 0.8])
    signals["b1", "level"] = Signal.step([0.0, 7.0, 11.0], [0, 3, 1])
    events = [Event(25.5, machine, "renewal", "repair") for machine in TWIN.world.machines]
    return Trace(7, 0.0, 200.0, signals, tuple(events))


def readings() -> dict[str, list[float | None]]:
    """Every 31st of the first 200 samples, and one far on; None where missing."""
    at = [*range(0, 200, 31), 1150]
    found = {"/".join(channel.key): TWIN.render(trace(), channel, 0, 1200)[at] for channel in TWIN.channels}
    return {name: [None if np.isnan(x) else float(x) for x in values] for name, values in found.items()}


def test_behaviour_changes_only_with_the_revision():
    golden = json.loads(FILE.read_text())
    assert golden["revision"] == LineTwin.revision, f"the golden readings are of {golden['revision']}; {ADVICE}"
    now, then = readings(), golden["readings"]
    assert now.keys() == then.keys(), f"other channels than before: {ADVICE}"
    # Not bit for bit: logarithms and powers differ in their last bit between processors.
    wrong = [name for name in now if now[name] != pytest.approx(then[name], rel=1e-5, abs=1e-6)]
    assert not wrong, f"{', '.join(wrong)} changed: {ADVICE}"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps({"revision": LineTwin.revision, "readings": readings()}, indent=1) + "\n")
    print(f"wrote {FILE}", file=sys.stderr)
