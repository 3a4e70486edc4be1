"""A patient's visits as samples; plans tried from the moment of a visit, paired, and what they come to."""

from copy import copy
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from experiments.run.branches import Branches
from learn.tasks import Counterfactual
from sim.errors import InputError
from sim.laws import Deterministic
from sim.patient import PROCEDURES, Care, Policy, Risk
from sim.patient.disease import Slow
from sim.patient.population import leaking
from sim.trace import Event
from twins import meds
from twins.channel import Role
from twins.futures import plans
from twins.futures.oracle import Ask
from twins.treatment import TARGET, TreatmentTwin

QUIET = Risk(cardiac=0, other=0, decompensation=0, infarction=0, lost=0)
WORLD = Care(
    1,
    policy=Policy(("bisoprolol", "enalapril"), up=-0.5, down=-1.0),
    visit=Deterministic(240.0),
    beds=(None,) * 4,
    slow=Slow(tolerance=1e-2),
    risk=QUIET,
)
TWIN = TreatmentTwin(WORLD, horizon=2)
RUN = WORLD.run(WORLD.start(5), 2000.0)
(EPISODE,) = TWIN.observe(RUN)
VISITS = [e.time_h for e in RUN.trace.events if e.kind == "visit"]
SERIES = {s.quantity: s for s in EPISODE.series}


def test_a_sample_is_a_visit_with_the_doses_decided_at_it():
    assert len(VISITS) > 6
    assert all(s.clock_h().tolist() == VISITS for s in EPISODE.series)
    level = RUN.trace["p1", "bisoprolol_level"]
    assert SERIES["bisoprolol_level"].values.tolist() == level.at(np.array(VISITS)).tolist()
    assert len(set(SERIES["bisoprolol_level"].values.tolist())) > 1
    assert SERIES[TARGET].role == Role.TARGET
    told = np.exp(SERIES[TARGET].values)
    true = RUN.trace["p1", "nt_probnp"].at(np.array(VISITS))
    assert 0 < np.abs(np.log(told / true)).max() < 1


def test_the_plan_that_was_followed_comes_to_what_came_and_others_differ_by_their_effect():
    times_h = VISITS[3] + 240.0 * np.arange(1, 3)
    plan = plans.outcomes(TWIN, [Ask(5, "p1", VISITS[3])], 2)[0][0]
    before = [RUN.trace["p1", f"{m}_level"].at(VISITS[3] - 1) for m in TWIN.medicines]
    assert plan.shape == (3, 2, 2)
    assert plan[0].tolist() == [before, before]
    assert plan[1, :, 0].tolist() == [3, 3]
    assert plan[2, :, 1].tolist() == [3, 3]
    sure = replace(TWIN, world=replace(WORLD, adherence=1.0))  # nothing is left to chance but what no longer comes
    one, other = (plans.outcomes(sure, [Ask(5, "p1", VISITS[3])], 2, seed)[1][0] for seed in (0, 1))
    assert one.tolist() == other.tolist()
    before = sure.world.run(sure.world.start(5), VISITS[3]).state
    decided = sure.held.run(before, np.nextafter(VISITS[3], np.inf)).state
    (order,) = sure.options(before, "p1").actions[0]
    kept = sure.held.act(decided, order)
    trace = sure.held.run(kept, times_h[-1] + 1).trace
    assert one[0] == pytest.approx(np.log(trace["p1", "nt_probnp"].at(times_h)), rel=1e-6)


def test_an_ace_inhibitor_lowers_what_the_heart_is_stressed_by_and_more_with_time():
    outcome = plans.outcomes(TWIN, [Ask(5, "p1", VISITS[0])], 2)[1][0]
    assert outcome[2, 1] - outcome[0, 1] < outcome[2, 0] - outcome[0, 0] < -0.02


def test_a_procedure_is_a_plan_and_a_death_of_it_counts():
    world = replace(
        WORLD,
        population=leaking(),
        policy=Policy((), procedures=("valve_repair", "crt"), refer=-2.0),
        procedures=(replace(PROCEDURES[0], death=0.999), PROCEDURES[2]),
        adherence=1.0,
    )
    twin = TreatmentTwin(world, horizon=2, dead=30000.0)
    run = world.run(world.start(2), 2000.0)
    (episode,) = twin.observe(run)
    series = {s.quantity: s for s in episode.series}
    chance = series["valve_repair_p"].values
    assert (chance[np.isfinite(chance)] >= 0.002).all()
    assert any(e.kind == "admission" for e in run.trace.events)
    first_h = series[TARGET].clock_h()[0]
    plan, outcome = (x[0] for x in plans.outcomes(twin, [Ask(2, "p1", first_h)], 2))
    assert plan.tolist() == [[[0, 0]] * 2, [[1, 0]] * 2, [[0, 1]] * 2]
    assert outcome[1] == pytest.approx(np.log(30000), rel=1e-6)
    assert outcome[2, 1] < outcome[0, 1]
    died = [e.time_h for e in run.trace.events if e.kind == "death"]
    after = series[TARGET].clock_h() > (died[0] if died else np.inf)
    assert (series[TARGET].values[after] == np.float32(np.log(30000))).all()
    assert after.sum() == (2 if died and died[0] < 1500 else after.sum())


def test_who_is_never_seen_is_a_record_of_nothing():
    lost = replace(WORLD, risk=replace(QUIET, lost=1e6))
    (episode,) = TreatmentTwin(lost).observe(lost.run(lost.start(0), 500.0))
    assert {len(s.values) for s in episode.series} == {1}
    assert np.isnan(next(s.values for s in episode.series if s.quantity == TARGET)).all()


def test_the_dead_are_left_out_of_a_mean():
    mortal = replace(TWIN, world=replace(WORLD, risk=replace(QUIET, cardiac=1e5)))
    assert np.isnan(plans.outcomes(mortal, [Ask(5, "p1", 1e-3)], 2)[1]).all()


@pytest.mark.parametrize("dead", [None, 30000.0])
def test_nobody_is_asked_what_would_help_the_dead(dead):
    twin = replace(TWIN, world=replace(WORLD, risk=replace(QUIET, cardiac=20.0)), dead=dead)
    run = twin.world.run(twin.world.start(1), 2000.0)
    (died_h,) = [e.time_h for e in run.trace.events if e.kind == "death"]
    (episode,) = twin.observe(run)
    task = Counterfactual(2, actions=("bisoprolol_level", "enalapril_level"), choose="low")
    (found,) = Branches(2).tried(task, twin, [episode], 1)
    outcome = next(s for s in found.series if s.quantity == "outcome")
    asked = np.isfinite(outcome.values).all((1, 2))
    after = outcome.clock_h() > died_h
    assert after.sum() == (2 if dead else 0)
    assert not asked[after].any()
    assert asked[~after].any()


def test_branches_become_frames_at_the_samples_that_are_asked():
    task = Counterfactual(2, actions=("bisoprolol_level", "enalapril_level"), history=2, choose="low")
    (found,) = Branches(1).tried(task, TWIN, [EPISODE], 3)
    frames = {s.quantity: s for s in found.series if s.shape}
    assert {q: s.shape for q, s in frames.items()} == {"plan": (3, 2, 2), "outcome": (3, 2), "expected": (3, 2)}
    at = np.flatnonzero(np.isfinite(frames["outcome"].values).all((1, 2)))
    assert at.tolist() == [k for k in range(2, len(VISITS)) if k % 3 == 0]
    assert not np.array_equal(frames["outcome"].values[at], frames["expected"].values[at])
    with pytest.raises(InputError, match="must be null here"):
        Branches().tried(task, object(), [EPISODE], 3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"horizon": 0}, "from 1 to 24 visits"),
        ({"world": replace(WORLD, beds=(1, 1, 1, 1))}, "beds for all"),
        ({"world": replace(WORLD, policy=None)}, "decide by a policy"),
        ({"world": replace(WORLD, visit=Care().visit)}, "equally far apart"),
    ],
)
def test_what_cannot_be_is_refused(change, said):
    with pytest.raises(InputError, match=said):
        replace(TWIN, **change)


def test_who_misses_a_visit_in_hospital_and_dies_later_is_not_labelled_dead_while_alive():
    last_h = VISITS[3]
    died_h = last_h + 600.0  # two visits missed in life
    kept = tuple(e for e in RUN.trace.events if e.time_h <= last_h)
    trace = copy(RUN.trace)
    object.__setattr__(trace, "events", (*kept, Event(died_h, "p1", "death", "cardiac")))
    twin = replace(TWIN, dead=30000.0)
    assert twin._after_h(trace, "p1", last_h).tolist() == pytest.approx([last_h + 720, last_h + 960])
    (episode,) = twin.observe(RUN._replace(trace=trace))
    target = next(s for s in episode.series if s.role == Role.TARGET)
    counted = target.clock_h()[target.values == np.float32(np.log(30000))]
    assert len(counted) == 2
    assert (counted > died_h).all()
    told = list(meds.rows(episode))
    (death,) = [row.time for row in told if row.code == meds.DEATH]
    assert death == datetime.fromisoformat(twin.epoch) + timedelta(hours=died_h)
    assert max(row.time for row in told if row.time) == death
    assert [row.code for row in told if row.code.startswith(("AGE", "MALE"))] == ["AGE", "MALE"]


def test_a_plan_that_contradicts_what_patients_start_with_is_refused():
    world = Care(policy=Policy(medicines=("enalapril",)), beds=(None,) * 4, at_start=(("sacubitril_valsartan", 1),))
    with pytest.raises(InputError, match=r"world\.at_start asks for .* which contradict"):
        TreatmentTwin(replace(world, visit=Deterministic(720.0)))
