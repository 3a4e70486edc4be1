"""Tumours: the compiled cohort is the events, plans are honoured and paired, chances recorded, wrong input refused."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sim.errors import InputError
from sim.tumour import DAY_H, Phase, Population, Stage, Treat, Tumour, follow
from sim.tumour.checks import alike
from sim.tumour.cohort import draws, outcomes
from tests.sim.test_golden import digest

FILE = Path(__file__).parents[1] / "golden" / "tumour.json"
KINDS = ("recovered", "dead", "action")
CASES = {"fair": Tumour(6), "confounded": Tumour(6, gamma=4.0)}
SERIES = {
    "volume": "volume_NxT",
    "chemo": "chemo_NxT",
    "chemo_dose": "chemo_dose_NxT",
    "radio_dose": "radio_dose_NxT",
    "chemo_propensity": "propensity_NxT",
    "radio_propensity": "propensity_NxT",
}


def history(world: Tumour):
    """Sixty days, from the twentieth on with a plan for one patient."""
    first, state = world.run(world.start(11), 20 * DAY_H)
    state = world.act(state, Treat("p1", ((True, True), (False, False), (False, True))))
    return first + world.run(state, 60 * DAY_H).trace


@pytest.mark.parametrize(("gamma", "chance"), [(0.0, None), (2.0, None), (4.0, None), (4.0, 0.6)])
def test_the_compiled_cohort_is_what_the_events_give_bit_for_bit(gamma, chance):
    world = Tumour(60, gamma=gamma, chance=chance)
    trace, found = world.run(world.start(5), 60 * DAY_H).trace, follow(world, 5)
    ends = {event.entity: event for event in trace.events}
    assert {1, 0} <= set(found.phase_N.tolist())
    assert chance is None or set(found.propensity_NxT[:, 1].tolist()) == {chance}
    for i, name in enumerate(world.names):
        days = found.days_N[i]
        for quantity, field in SERIES.items():
            assert trace[name, quantity].value.tolist() == getattr(found, field)[i, :days].tolist(), (name, quantity)
            assert np.isnan(getattr(found, field)[i, days:]).all()
        assert (name in ends) == (found.phase_N[i] != Phase.ILL)
        assert trace[name, "phase"].value[-1] == found.phase_N[i]


def test_another_plan_gives_the_same_outcome_in_the_world_and_compiled_and_shares_the_noise():
    world, day, length = Tumour(60, gamma=2.0), 36, 12
    rng = np.random.default_rng(0)
    plans = rng.integers(0, 2, (3, length, 2)).astype(bool)
    trunk = world.run(world.start(3), day * DAY_H)
    later = world.run(trunk.state, (day + length + 1) * DAY_H)
    seen, ended = 0, 0
    for name, patient in zip(world.names, trunk.state.patients, strict=True):
        now = (trunk.trace + later.trace)[name, "volume"].at(day * DAY_H).item()
        if patient.phase is not Phase.ILL or now == 0:
            continue
        lived = tuple(a[day : day + length] for a in draws(3, name, day + length))
        told = outcomes(world, patient.body, now, patient.chemo, lived, plans)
        for plan, expected in zip(plans.tolist(), told, strict=True):
            state = world.act(trunk.state, Treat(name, tuple(map(tuple, plan))))
            future = world.run(state, (day + length + 1) * DAY_H).trace
            days = np.arange(day + 1, day + length + 1) * DAY_H
            assert future[name, "volume"].at(days).tolist() == expected.tolist()
        factual = [
            (c > 0, r > 0)
            for c, r in zip(
                *(later.trace[name, q].at(np.arange(day, day + length) * DAY_H) for q in ("chemo_dose", "radio_dose")),
                strict=True,
            )
        ]
        again = outcomes(world, patient.body, now, patient.chemo, lived, np.array([factual]))
        assert again[0].tolist() == later.trace[name, "volume"].at(days).tolist()
        seen, ended = seen + 1, ended + (again[0, -1] == 0)
    assert seen > 20
    assert ended


def test_another_patient_leaves_the_lives_of_the_others_untouched():
    few, more = (Tumour(n, gamma=1.0) for n in (3, 4))
    a, b = (world.run(world.start(9), 30 * DAY_H).trace for world in (few, more))
    assert all(a[key] == b[key] for key in a.signals)


def test_a_plan_is_given_as_told_and_recorded_beside_the_chance_that_there_was():
    world = Tumour(1, gamma=3.0)
    plan = ((True, False), (False, True), (True, True), (False, False))
    run = world.run(world.act(world.run(world.start(2), 1.0).state, Treat("p1", plan)), 5.5 * DAY_H)
    days = np.arange(1, 5) * DAY_H
    given = [(run.trace["p1", q].at(days) > 0).tolist() for q in ("chemo_dose", "radio_dose")]
    assert list(zip(*given, strict=True)) == list(plan)
    volume = run.trace["p1", "volume"].at(np.arange(0, 4) * DAY_H)
    for t in range(1, 5):
        mean_cm = np.mean((6 / np.pi * volume[:t]) ** (1 / 3))
        chance = 1 / (1 + np.exp(-3 / 13 * (mean_cm - 6.5)))
        assert run.trace["p1", "chemo_propensity"].at(t * DAY_H) == pytest.approx(chance, rel=1e-12)
    begun = world.run(world.start(2), 1.0).state
    released = world.act(world.act(begun, Treat("p1", plan)), Treat("p1"))
    assert world.run(released, 200.0).trace.signals == world.run(begun, 200.0).trace.signals


def test_a_plan_at_the_start_begins_on_day_0():
    world = Tumour(1)
    trace = world.run(world.act(world.start(2), Treat("p1", ((True, True), (False, True)))), 3 * DAY_H).trace
    days = np.arange(2) * DAY_H
    assert trace["p1", "chemo_dose"].at(days).tolist() == [5.0, 0.0]
    assert trace["p1", "radio_dose"].at(days).tolist() == [2.0, 2.0]
    assert trace["p1", "chemo_propensity"].at(0.0) == 0


def test_only_days_before_the_decision_decide_and_no_more_than_the_window():
    found = follow(Tumour(30, gamma=2.0), 4)
    diameters = (6 / np.pi * found.volume_NxT) ** (1 / 3)
    for i, t in ((i, t) for i in range(30) for t in (1, 7, 15, 16, 40) if np.isfinite(found.mean_cm_NxT[i, t])):
        assert found.mean_cm_NxT[i, t] == pytest.approx(diameters[i, max(t - 15, 0) : t].mean(), rel=1e-12)
    assert (found.propensity_NxT[:, 0] == 0).all()


def test_a_tumour_beyond_the_limit_kills_and_one_without_a_cell_is_gone():
    doomed = Tumour(1, population=alike(0.05, 12.99), noise_sd=0.0, chemo_dose=0, radio_dose_gy=0)
    trace = doomed.run(doomed.start(0), 100.0).trace
    assert [(e.kind, e.time_h) for e in trace.events] == [("dead", 24.0)]
    assert trace["p1", "volume"].value[-1] == doomed.death_cm3
    cured = Tumour(1, population=alike(1e-9, 3.0, alpha=0.6), noise_sd=0.0)
    trace = cured.run(cured.act(cured.start(0), Treat("p1", ((False, True),))), 100.0).trace  # 1 − 1.2 − 0.24 < 0
    assert [(e.kind, e.time_h) for e in trace.events if e.kind != "action"] == [("recovered", 24.0)]
    assert trace["p1", "volume"].value[-1] == 0


def test_the_kinds_differ_as_published():
    found = follow(Tumour(4000), 1, 2)
    kind = np.array([body.kind for body in found.bodies])
    beta_c = np.array([body.beta_c for body in found.bodies])
    assert np.bincount(kind, minlength=4)[1:].min() > 1200
    assert beta_c[kind == 3].mean() == pytest.approx(0.0308, rel=2e-3)
    assert beta_c[kind < 3].mean() == pytest.approx(0.028, rel=2e-3)
    assert min(body.alpha for body in found.bodies if body.kind == 1) > 0.00398
    assert all(body.beta == body.alpha / 10 for body in found.bodies)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Tumour(0), "Tumour.patients is 0; it must be at least 1"),
        (lambda: Tumour(gamma=-1), "Tumour.gamma is -1"),
        (lambda: Tumour(noise_sd=0.5), "noise_sd"),
        (lambda: Tumour(chance=1.5), "chance"),
        (lambda: Tumour(death_cm=12.0), "at least 13, the largest diameter"),
        (lambda: replace(Population(), correlation=1.0), "correlation"),
        (lambda: replace(Population(), alpha_mean=-1.0), "alpha_mean"),
        (lambda: Stage("I", 1, 0.0, 1.0, 2.0, 1.0), "most_cm"),
        (lambda: Tumour().act(Tumour().start(0), Treat("p2")), "Tumour takes Treat of p1 to p1"),
    ],
)
def test_what_cannot_be_is_refused(make, said):
    with pytest.raises(InputError, match=said):
        make()


@pytest.mark.parametrize("name", CASES)
def test_behaviour_changes_only_with_the_revision(name):
    golden = json.loads(FILE.read_text())
    advice = "raise Tumour.revision and rewrite the file with: python -m tests.sim.test_tumour"
    assert golden["revision"] == Tumour.revision, f"the golden traces are of revision {golden['revision']}; {advice}"
    now, then = digest(history(CASES[name]), KINDS), golden["traces"][name]
    assert now.keys() == then.keys(), f"other signals than before: {advice}"
    wrong = [key for key in now if now[key] != pytest.approx(then[key], rel=1e-9, abs=1e-9)]
    assert not wrong, f"{', '.join(wrong)} of {name!r} changed: {advice}"


if __name__ == "__main__":
    written = {"revision": Tumour.revision, "traces": {n: digest(history(w), KINDS) for n, w in CASES.items()}}
    FILE.write_text(json.dumps(written, indent=1) + "\n")
    print(f"wrote {FILE}", file=sys.stderr)
