"""Kinetics fitted to subjects that the model itself has drawn, and tables that cannot be used."""

import math
from dataclasses import replace

import numpy as np
import pytest

from sim.errors import InputError
from twins.dosed import Columns, Kinetics, Subject, curve, fit, predictive_check, read

TRUE = Kinetics(
    np.log([1.6, 0.04, 0.45]),
    np.array([[0.25, 0.05, 0.02], [0.05, 0.0625, 0.02], [0.02, 0.02, 0.0225]]),
    0.5,
    np.empty((0, 3)),
    0,
)
TIMES_H = np.array([0.0, 0.25, 0.5, 1.0, 2.0, 3.5, 5.0, 7.0, 9.0, 12.0, 24.0])


def people(count, seed=0, truth=TRUE):
    blank = [Subject(str(n), 4.0 + 0.1 * (n % 5), TIMES_H, TIMES_H) for n in range(count)]
    drawn = [Kinetics.drawn(truth, [one], 1, seed + n)[0][0] for n, one in enumerate(blank)]
    return [one._replace(mg_l=mg_l) for one, mg_l in zip(blank, drawn, strict=True)]


def test_the_population_is_found_again():
    found = fit(people(120))
    spread = np.sqrt(np.diag(TRUE.covariance))
    np.testing.assert_allclose(found.mean, TRUE.mean, atol=4 * spread.max() / math.sqrt(120))
    np.testing.assert_allclose(np.sqrt(np.diag(found.covariance)), spread, rtol=0.3)
    assert found.scatter_mg_l == pytest.approx(0.5, rel=0.06)
    assert found.half_life_h == pytest.approx(TRUE.half_life_h, rel=0.08)


def test_subjects_that_do_not_differ_are_fitted_as_one():
    """Without spread the population is plain least squares over all measurements."""
    from scipy.optimize import least_squares

    alike = replace(TRUE, covariance=np.zeros((3, 3)))
    subjects = people(30, truth=alike)

    def residuals(log):
        return np.concatenate([s.mg_l - curve(log, s.dose_mg_kg, s.time_h) for s in subjects])

    found = fit(subjects)
    np.testing.assert_allclose(found.mean, least_squares(residuals, TRUE.mean).x, atol=0.02)
    assert np.sqrt(np.diag(found.covariance)).max() < 0.12


def test_the_check_holds_what_the_model_drew_and_shows_what_it_did_not():
    """Measurements of the model's own lie in its bands; twice the clearance is seen at the end."""
    subjects = people(60)
    own = predictive_check(TRUE, subjects, 300)
    assert own.within == pytest.approx(0.9, abs=0.06)
    inside = (own.low <= own.measured) & (own.measured <= own.high)
    assert inside.mean() > 0.85
    faster = replace(TRUE, mean=TRUE.mean + np.log([1.0, 2.0, 1.0]))
    planted = predictive_check(faster, subjects, 300)
    assert (planted.measured > planted.high)[1, -2:].all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Subject,Dose,Time\n1,4,0\n", "line 1: no column conc"),
        ("Subject,Dose,Time,conc\n1,4,0,1\n1,4,x,1\n", "line 3: .*Time 'x'"),
        ("Subject,Dose,Time,conc\n1,4,0,-1\n", "line 2: .*conc '-1'"),
        ("Subject,Dose,Time,conc\n1,4,0,1\n1,5,1,1\n", "it must be one above 0"),
        ("Subject,Dose,Time,conc\n1,4,0,1\n", "at least 4"),
    ],
)
def test_tables_that_cannot_be_used_are_refused(tmp_path, text, message):
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "table.csv", Columns())


def test_a_table_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.csv"):
        read(tmp_path / "nothing.csv", Columns())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: ["\ufeff" + rows[0], *rows[1:]], None),
        (lambda rows: [rows[0], rows[1], *rows[1:]], r"line 3 repeats one above"),
        (lambda rows: [rows[0], "," + rows[1].split(",", 1)[1], *rows[2:]], r"line 2 has no Subject"),
        (lambda rows: [rows[0] + ",conc", *(row + ",1" for row in rows[1:])], r"conc stands there twice"),
        (lambda rows: [rows[0], *(row.rsplit(",", 1)[0] + ",5" for row in rows[1:])], r"conc has 1 different conc"),
        (lambda rows: [rows[0], *rows[1:4]], r"has 1 subjects with 3 measurements; it takes at least 4"),
    ],
)
def test_tables_that_say_less_than_they_seem_to_are_refused(tmp_path, change, said):
    rows = ["Subject,Dose,Time,conc"]
    rows += [f"{s},4,{t},{4 * t * 2.0**-t + 0.1 * s:.2f}" for s in range(1, 6) for t in (1, 2, 3, 5, 8)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(change(rows)) + "\n", encoding="utf-8")
    if said is None:
        assert len(read(path, Columns())) == 5
        return
    with pytest.raises(InputError, match=said):
        read(path, Columns())
