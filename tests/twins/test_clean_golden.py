"""Golden cleaning: the same readings give the same after each fault and each step, until its revision says otherwise.

To rewrite the file after raising a revision: python tests/twins/test_clean_golden.py
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from twins import faults
from twins.channel import Role
from twins.clean import Clean, ClockJumps, Duplicates, Gaps, Misread, Range, Spikes, Stuck, Units
from twins.episode import Episode, Series, Spell
from twins.faults import Faults

FILE = Path(__file__).parents[1] / "golden" / "clean.json"
ADVICE = "raise its revision and rewrite the file with: python tests/twins/test_clean_golden.py"
OTHER = {"temperature": "[degF]"}
FAULTS = (
    faults.Noise(),
    faults.Spikes(share=0.02),
    faults.Stuck(share=0.1),
    faults.WrongUnit(share=0.1, units=OTHER),
    faults.Drift(share=0.3, mean_h=30.0),
    faults.Gaps(share=0.1),
    faults.Duplicates(share=0.05),
    faults.ClockJumps(share=0.1),
    faults.WrongLabels(share=0.5, causes=("wear", "sudden")),
)
STEPS = (
    Duplicates(),
    Duplicates(keep="mean"),
    ClockJumps(),
    ClockJumps(most_h=2.0),
    Misread(units=OTHER),
    Range(),
    Spikes(),
    Spikes(centred=True, alarms=None),
    Stuck(),
    Stuck(hindsight=True),
    Gaps(),
    Gaps(fill="last"),
    Gaps(fill="linear"),
    Units(to=OTHER),
)


def episode() -> Episode:
    """By hand: waves with a whole number of thousandths on them, and some lives."""
    k = np.arange(600)
    values = 40 + (k % 97) / 10 + ((k * 7919) % 1000) / 1000 - 0.5
    series = Series("m1", "temperature", "Cel", Role.TARGET, values.astype(np.float32), step_h=0.25)
    return Episode(3, "m1", (series,), (), tuple(Spell(i, i + 1.0, "wear", 1.0) for i in range(20)), end_h=150.0)


def found() -> dict[str, dict]:
    """By fault and step: its revision, how many readings (or lives) it changed, and some numbers afterwards."""
    told, one = {}, episode()
    for fault in FAULTS:
        hit = Faults((fault,)).close([one])(one, "train")
        told[repr(fault)] = _told(fault.revision, hit.counts, hit.episode.series[0])
    struck = Faults(FAULTS[1:4] + FAULTS[5:8]).close([one])(one, "train").episode
    timed = replace(one.series[0], step_h=None, times_h=one.series[0].clock_h())
    for step in STEPS:
        cleaned = Clean((step,)).close([replace(one, series=(timed,))])(struck)
        told[repr(step)] = _told(step.revision, cleaned.counts, cleaned.episode.series[0])
    return told


def _told(revision: int, counts, series: Series) -> dict:
    values, clock_h = series.values[::67].astype(float), series.clock_h()[::67]
    numbers = [None if np.isnan(x) else float(x) for x in (*values, *clock_h)]
    return {"revision": revision, "changed": sum(count["changed"] for count in counts), "numbers": numbers}


def test_behaviour_changes_only_with_the_revision():
    then, now = json.loads(FILE.read_text()), found()
    assert now.keys() == then.keys(), f"other faults or steps, or defaults, than before: {ADVICE}"
    for name, told in now.items():
        assert told["revision"] == then[name]["revision"], f"{name}: the golden file is of another revision; {ADVICE}"
        assert told["changed"] == then[name]["changed"], f"{name} changes other readings: {ADVICE}"
        numbers, golden = (np.array(x["numbers"], float) for x in (told, then[name]))  # missing ones are NaN
        assert numbers == pytest.approx(golden, rel=1e-5, abs=1e-6, nan_ok=True), f"{name}: {ADVICE}"
        assert told["changed"] > 0, name


if __name__ == "__main__":
    FILE.write_text(json.dumps(found(), indent=1) + "\n")
    print(f"wrote {FILE}", file=sys.stderr)
