"""Golden traces: the same configuration and seed give the same history until `Line.revision` says otherwise.

To rewrite the file after raising the revision: python tests/sim/test_golden.py
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from sim.laws import Deterministic, Exponential, Gamma, Lognormal, Weibull
from sim.line import AgeReplacement, Hold, Line, OrderMaintenance, SetSpeed, Station, Sudden, WearThreshold
from sim.trace import Trace
from sim.wear import Wiener

FILE = Path(__file__).parents[1] / "golden" / "line.json"
WEAR = Wiener(1 / 40, 0.03, levels=20, spread_cv=0.3, load_exponent=1.5)
AGED = Station(Lognormal(1 / 6, 0.1), wear=WEAR, sudden=Sudden(Exponential(60.0)), repair=Lognormal(6.0, 0.5))
CASES = {
    "failures": Line((AGED,) * 4, (5,) * 3, crew=1),
    "policies": Line(
        (
            Station(Gamma(0.2, 0.5), wear=WEAR, policy=WearThreshold(0.6), maintenance=Lognormal(2.0, 0.3)),
            Station(Gamma(0.4, 0.5), machines=2, policy=AgeReplacement(20.0), maintenance=Lognormal(2.0, 0.3)),
            Station(Gamma(0.2, 0.5), sudden=Sudden(Weibull(50.0, 2.0), "time"), repair=Exponential(3.0)),
        ),
        (0, None),
        arrivals=Exponential(0.3),
        queue=4,
        crew=2,
    ),
    "ties": Line(
        (
            Station(Deterministic(1.0), sudden=Sudden(Deterministic(9.0)), repair=Deterministic(4.0)),
            Station(Deterministic(2.0), machines=2, sudden=Sudden(Deterministic(13.0), "time")),
            Station(Deterministic(1.0)),
        ),
        (1, 0),
        crew=1,
    ),
}


def history(line: Line) -> Trace:
    """300 hours, a third of them with changed speed, an order and a held policy."""
    first, state = line.run(line.start(11), 100.0)
    for action in (SetSpeed("m1", 1.3), OrderMaintenance(line.machines[1]), Hold("m1")):
        state = line.act(state, action)
    second, state = line.run(state, 200.0)
    return first + second + line.run(line.act(state, SetSpeed("m1", 1.0)), 300.0).trace


KINDS = ("failure", "planned", "renewal", "action", "lost")


def digest(trace: Trace, kinds: tuple[str, ...] = KINDS) -> dict[str, list[float]]:
    """Of each signal and kind of event: how many, the sum of the times, a sum that tells their values and order."""
    columns = {"/".join(key): (s.time_h, s.value) for key, s in trace.signals.items()}
    for kind in kinds:
        times = [event.time_h for event in trace.events if event.kind == kind]
        columns[kind] = (
            np.array(times),
            np.array([float(len(e.entity + e.cause)) for e in trace.events if e.kind == kind]),
        )
    return {name: [len(t), math.fsum(t), math.fsum(v * np.cos(np.arange(len(v))))] for name, (t, v) in columns.items()}


@pytest.mark.parametrize("name", CASES)
def test_behaviour_changes_only_with_the_revision(name):
    golden = json.loads(FILE.read_text())
    advice = "raise Line.revision and rewrite the file with: python tests/sim/test_golden.py"
    assert golden["revision"] == Line.revision, f"the golden traces are of revision {golden['revision']}; {advice}"
    now, then = digest(history(CASES[name])), golden["traces"][name]
    assert now.keys() == then.keys(), f"other signals than before: {advice}"
    # Not bit for bit: exponentials differ in their last bit between processors.
    wrong = [key for key in now if now[key] != pytest.approx(then[key], rel=1e-9, abs=1e-9)]
    assert not wrong, f"{', '.join(wrong)} of {name!r} changed: {advice}"


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    written = {"revision": Line.revision, "traces": {name: digest(history(line)) for name, line in CASES.items()}}
    FILE.write_text(json.dumps(written, indent=1) + "\n")
    print(f"wrote {FILE}", file=sys.stderr)
