"""Patients in care: beds and queues, decisions and their chances, hazards, doses, refusals, the golden trace.

To rewrite the golden file after raising the revision: python -m tests.sim.test_care
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.errors import InputError
from sim.laws import Deterministic, Exponential
from sim.patient import Care, Policy, Prescribe, Risk
from sim.patient.risk import CAUSES
from sim.patient.state import UNITS
from sim.trace import Trace
from tests.sim.test_golden import digest

FILE = Path(__file__).parents[1] / "golden" / "patient.json"
KINDS = ("visit", "missed", "decompensation", "infarction", "admission", "bed", "wait", "discharge", "death", "lost")
POLICY = Policy(gamma=1.0, hidden=0.5, floor=0.02)
BUSY = Care(
    8,
    risk=Risk(cardiac=0.5, other=0.3, decompensation=16.0, infarction=4.0, lost=4.0),
    policy=POLICY,
    visit=Exponential(100.0),
    beds=(1, 2, 1, 1),
    stay=(Exponential(6.0), Exponential(100.0), Exponential(60.0), Deterministic(4.0)),
)
RUN = BUSY.run(BUSY.start(3), 3000.0)
TRACE = RUN.trace


def events(trace, kind, name=None):
    return [e for e in trace.events if e.kind == kind and name in (None, e.entity)]


def test_everything_that_can_happen_does_in_this_run():
    assert {e.kind for e in TRACE.events} >= set(KINDS)
    assert {e.cause for e in events(TRACE, "bed")} == set(UNITS)


@pytest.mark.parametrize("unit", range(len(UNITS)))
def test_no_unit_holds_more_than_its_beds_and_nobody_waits_beside_a_free_one(unit):
    occupied, waiting = TRACE[UNITS[unit], "occupied"], TRACE[UNITS[unit], "waiting"]
    last = np.append(np.diff(occupied.time_h) > 0, True)  # of what happens at one time, what is left
    assert occupied.value.max() == BUSY.beds[unit]
    assert (occupied.value[last][waiting.value[last] > 0] == BUSY.beds[unit]).all()


def test_a_bed_goes_to_whoever_waited_longest():
    for unit in UNITS:
        queue = []
        for event in TRACE.events:
            if event.kind in ("death", "lost") and event.entity in queue:
                queue.remove(event.entity)
            elif event.cause == unit and event.kind == "wait":
                queue.append(event.entity)
            elif event.cause == unit and event.kind == "bed" and queue:
                assert event.entity == queue.pop(0)


def test_every_decision_shows_the_chances_of_all_that_was_possible():
    moved = 0
    for name in BUSY.names:
        visits = [e.time_h for e in events(TRACE, "visit", name)]
        for medicine in POLICY.medicines:
            level = TRACE[name, f"{medicine}_level"]
            assert len(level.value) == len(visits) + 1
            before, after = level.value[:-1], level.value[1:]
            chances = np.stack([TRACE[name, f"{medicine}_{p}"].value[1:] for p in ("p_down", "p_keep", "p_up")])
            assert chances.sum(0) == pytest.approx(np.ones(len(visits)))
            assert (np.take_along_axis(chances, (after - before + 1).astype(int)[None], 0) >= POLICY.floor).all()
            assert ((chances[0] > 0) == (before > 0)).all()
            assert ((chances[2] > 0) == (before < 3)).all()
            moved += np.count_nonzero(after != before)
    assert moved > 50


def test_confounding_is_by_results_and_frailty_and_none_at_gamma_0():
    policy, all_three = Policy(gamma=0.0, hidden=2.0), (True, True, True)
    assert policy.chances(all_three, 3.0, 80.0, 2.0) == policy.chances(all_three, -1.0, 140.0, -2.0)
    by_results, by_frailty = Policy(gamma=1.0), Policy(gamma=1.0, hidden=1.0)
    assert by_results.chances(all_three, 1.0, 110.0, 2.0) == by_results.chances(all_three, 1.0, 110.0, -2.0)
    assert by_results.chances(all_three, 1.0, 110.0, 0.0)[2] > by_results.chances(all_three, 0.0, 110.0, 0.0)[2] + 0.1
    assert by_frailty.chances(all_three, 0.0, 110.0, 1.0)[2] > by_frailty.chances(all_three, 0.0, 110.0, 0.0)[2] + 0.1


def test_as_much_happens_as_the_hazards_say():
    world = replace(BUSY, patients=60, policy=None, beds=(None,) * 4, formulary=BUSY.formulary[:1])
    trace = world.run(world.start(1), 1200.0).trace
    for cause in CAUSES:
        happened = sum(e.kind == cause or (e.kind == "death" and e.cause == cause) for e in trace.events)
        total = 0.0
        for name in world.names:
            hazard = trace[name, f"hazard_{cause}"]
            total += float(np.sum(hazard.value * np.diff(hazard.time_h, append=trace.end_h)))
        assert abs(happened - total) < 4 * total**0.5 + 1, cause  # a martingale: its variance is the total


def test_patients_with_beds_for_all_do_not_feel_each_other():
    alone = replace(BUSY, patients=2, beds=(None,) * 4)
    few, many = (w.run(w.start(8), 900.0).trace for w in (alone, replace(alone, patients=5)))
    assert [e for e in many.events if e.entity in alone.names] == list(few.events)
    assert all(few[key] == many[key] for key in few.signals if key[0] in alone.names)


def test_doses_are_taken_as_often_as_adherence_says_and_act():
    quiet = Risk(cardiac=0, other=0, decompensation=0, infarction=0, lost=0)
    world = Care(4, risk=quiet, policy=None, at_start=(("bisoprolol", 2),), adherence=0.8)
    trace = world.run(world.start(0), 200 * 24.0).trace
    assert len(events(trace, "missed")) == pytest.approx(800 * 0.2, abs=45)
    full = replace(world, adherence=1.0)
    effect = full.run(full.start(0), 20 * 24.0).trace["p1", "effect_beta_blocker"].value
    assert effect[-1] == pytest.approx(0.5, abs=0.01)  # settled at the middle dose
    assert effect[1] < 0.45


def test_a_prescription_changes_the_dose_of_one_patient():
    state = BUSY.act(BUSY.start(3), Prescribe("p2", (("bisoprolol", 3), ("enalapril", 1))))
    trace = BUSY.run(state, 1.0).trace
    assert trace["p2", "bisoprolol_level"].value[-1] == 3
    assert trace["p1", "bisoprolol_level"].value[-1] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"beds": (0, 8, 2, 1)}, "at least 1 in each unit"),
        ({"policy": Policy(medicines=("aspirin",))}, "names 'aspirin'; it must be among bisoprolol"),
        ({"policy": Policy(medicines=("enalapril", "sacubitril_valsartan"))}, "which contradict"),
        ({"at_start": (("enalapril", 1), ("sacubitril_valsartan", 1))}, "which contradict"),
        ({"at_start": (("bisoprolol", 4),)}, "it must be 0 to 3"),
        ({"adherence": 1.2}, "between 0 and 1"),
        ({"patients": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        replace(BUSY, **change)


def test_a_policy_without_positivity_and_contradictory_orders_are_refused():
    with pytest.raises(InputError, match="so that every possible action has a chance"):
        Policy(floor=0.0)
    state = BUSY.act(BUSY.start(0), Prescribe("p1", (("enalapril", 1),)))
    for wrong, said in (
        (Prescribe("p1", (("sacubitril_valsartan", 1),)), "which contradict"),
        (Prescribe("p1", (("aspirin", 1),)), "must be among"),
        (Prescribe("p99"), "p1 to p8"),
    ):
        with pytest.raises(InputError, match=said):
            BUSY.act(state, wrong)


def history() -> Trace:
    """40 days of three patients, with an order by hand in between."""
    world = replace(BUSY, patients=3)
    first, state = world.run(world.start(11), 500.0)
    return first + world.run(world.act(state, Prescribe("p1", (("furosemide", 2),))), 960.0).trace


def test_behaviour_changes_only_with_the_revision():
    golden = json.loads(FILE.read_text())
    advice = "raise Care.revision and rewrite the file with: python -m tests.sim.test_care"
    assert golden["revision"] == Care.revision, f"the golden trace is of revision {golden['revision']}; {advice}"
    now, then = digest(history(), (*KINDS, "action")), golden["trace"]
    assert now.keys() == then.keys(), f"other signals than before: {advice}"
    wrong = [key for key in now if now[key] != pytest.approx(then[key], rel=1e-7, abs=1e-9)]
    assert not wrong, f"{', '.join(wrong)} changed: {advice}"


if __name__ == "__main__":
    FILE.write_text(
        json.dumps({"revision": Care.revision, "trace": digest(history(), (*KINDS, "action"))}, indent=1) + "\n"
    )
    print(f"wrote {FILE}", file=sys.stderr)
