"""Slow heart failure: the fast path's error, an independent integrator, days in a chain, drugs, refusals."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from sim.errors import InputError
from sim.patient import HEALTHY, HFPEF, HFREF, NORMAL, PRESERVED, REDUCED, solve
from sim.patient.disease import ACTS, FAST_ERROR, Heart, Slow, day, fast_error, outputs, prepare, rows
from sim.patient.orbit import COLUMNS, OUTPUTS

NONE, STANDARD = (0.0,) * 6, Slow()
SOME = (0.6, 0.5, 0.4, 0.5, 0.5, 0.0)


def after(body, effects, days, slow=STANDARD):
    heart = body.heart
    for _ in range(days):
        heart = day(body, heart, effects, slow)
    return heart


def test_the_fast_path_is_within_its_stated_error_over_the_populations():
    rng, bodies, hearts, effects = np.random.default_rng(0), [], [], []
    for population in (HEALTHY, REDUCED, PRESERVED):
        for row in population.sample(0, 60).rows:
            body = prepare(replace(population.reference, **dict(zip(COLUMNS, row.tolist(), strict=True))))
            n, vs_ml, v0_ml, ees = body.heart
            a, b, c = rng.uniform((0.8, 0.6, 0.7), (1.2, 1.5, 1.5))
            bodies.append(body)
            hearts.append(Heart(n, a * vs_ml, b * v0_ml, c * ees))
            effects.append(tuple(rng.uniform(0, 0.8, len(ACTS))))
    worst = fast_error(bodies, hearts, effects)
    assert max(worst.values()) < FAST_ERROR, worst
    effects[0] = (0.5, 0.5, 0.0, 0.0, 0.0, 0.0)
    wrong = solve(np.concatenate([rows(*one) for one in zip(bodies, hearts, effects, strict=True)]) * 1.05).outputs
    assert abs(wrong["ef"][0] / outputs(bodies[0], hearts[0], effects[0])["ef"] - 1) > FAST_ERROR  # it can be seen


@pytest.mark.parametrize("patient", [NORMAL, HFREF, HFPEF])
def test_a_month_equals_an_independent_solution_of_the_stated_equations(patient):
    slow, body, e = Slow(), prepare(patient), dict(zip(ACTS, SOME, strict=True))
    first = outputs(body, body.heart, NONE)
    n0, healthy = body.heart.n, outputs(prepare(NORMAL), prepare(NORMAL).heart, NONE)["stress"]
    ref = first["stress"] * (healthy / first["stress"]) ** slow.lost

    def slopes(_, y):
        full = {k: float(v[0]) for k, v in solve(rows(body, Heart(*y), SOME)).outputs.items()}
        blocked = (1 - 0.13 * e["ace_inhibitor"]) * (1 - 0.15 * e["mra"]) * (1 - 0.1 * e["beta_blocker"])
        wanted = (93 / full["map"]) ** 3 * (5.2 / full["co"]) ** 2 * blocked
        lost_ml = slow.intake_ml * (full["map"] / first["map"]) ** 3 * (n0 / y[0]) ** 0.7
        lost_ml *= min(full["pcwp"] / 7, 1) ** 2
        taken = 45 * e["loop_diuretic"] + 8 * e["mra"] + 10 * e["sglt2_inhibitor"]
        taken += slow.leak_ml * max(full["pcwp"] - 28, 0)
        edv = full["edv"]
        stress = patient.beta * np.expm1(patient.alpha * (edv - y[2])) * edv ** (1 / 3)
        less = 0.4 * e["beta_blocker"] + 0.13 * e["ace_inhibitor"] + 0.15 * (e["mra"] + e["sglt2_inhibitor"])
        wider = slow.k1_ml * max(stress / ref - 1, 0) - slow.k2_ml * less * max(y[2] - 5, 0) / max(patient.v0_ml, 5)
        ees_max = patient.ees * (1 + slow.k3 * n0 * (1 - slow.lost))
        harm = 2 * y[0] / (1 + y[0] / n0)
        stronger = -slow.k3 * patient.ees * harm * (1 - 0.6 * e["beta_blocker"]) + ees_max - y[3]
        return [(wanted - y[0]) / 2, slow.intake_ml - lost_ml - taken, wider / 120, stronger / 150]

    told = solve_ivp(slopes, (0, 30), body.heart, method="LSODA", rtol=1e-8, atol=1e-8).y[:, -1]
    assert list(after(body, SOME, 30)) == pytest.approx(told, rel=2e-3)
    assert list(after(body, (0.63, *SOME[1:]), 30)) != pytest.approx(told, rel=2e-3)


def test_a_tighter_tolerance_changes_no_more_than_the_tolerance():
    body = prepare(HFREF)
    tight = after(body, SOME, 60, Slow(tolerance=1e-8))
    assert list(after(body, SOME, 60)) == pytest.approx(tight, rel=1e-3)


def test_untreated_hearts_worsen_and_drugs_help_as_they_should():
    body = prepare(HFREF)
    plain, treated = after(body, NONE, 365), after(body, SOME, 365)
    worse, better = outputs(body, plain, NONE), outputs(body, treated, SOME)
    first = outputs(body, body.heart, NONE)
    assert first["ef"] - 8 < worse["ef"] < first["ef"] - 0.5
    assert first["ef"] + 1 < better["ef"] < first["ef"] + 15
    assert better["pcwp"] < first["pcwp"] < worse["pcwp"]
    blocked = after(body, (0.0, 0.5, 0.0, 0.0, 0.0, 0.0), 365)
    assert blocked.n < plain.n
    assert blocked.vs_ml < plain.vs_ml
    healthy = prepare(NORMAL)
    still = outputs(healthy, after(healthy, NONE, 365), NONE)
    assert still["ef"] == pytest.approx(outputs(healthy, healthy.heart, NONE)["ef"], abs=1)


def test_what_cannot_be_is_refused():
    body = prepare(HFREF)
    with pytest.raises(InputError, match="out of the range of the fast path"):
        outputs(body, body.heart._replace(ees=0.1), NONE)
    with pytest.raises(InputError, match="out of the range of the fast path"):
        day(body, body.heart._replace(vs_ml=5000.0), NONE)
    with pytest.raises(InputError, match="between 0 and 1"):
        day(body, body.heart, (1.2, 0, 0, 0, 0, 0))
    with pytest.raises(InputError, match="tolerance"):
        Slow(tolerance=1.0)
    assert set(OUTPUTS) < outputs(body, body.heart, NONE).keys()
