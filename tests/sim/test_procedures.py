"""Procedures: what each does to the loop, theatre, its beds and deaths, and the months after from one patient."""

from dataclasses import replace

import numpy as np
import pytest

from sim.errors import InputError
from sim.laws import Deterministic
from sim.patient import HFREF, PROCEDURES, Care, Operate, Procedure, Risk, steady
from sim.patient.disease import Slow
from sim.patient.population import leaking
from sim.patient.procedures import loops, named

QUIET = Risk(cardiac=0, other=0, decompensation=0, infarction=0, lost=0)
SICK = replace(HFREF, mitral_leak=1.0)
WORLD = Care(
    3,
    leaking(),
    slow=Slow(tolerance=1e-2),
    risk=QUIET,
    policy=None,
    visit=Deterministic(1e6),
    stay=tuple(Deterministic(h) for h in (6.0, 96.0, 48.0, 3.0)),
    procedures=tuple(replace(p, death=0.0) for p in PROCEDURES),
)


def out(circulation):
    return {name: float(value[0]) for name, value in steady([circulation]).outputs.items()}


def test_a_leak_lets_blood_back_and_volumes_still_balance():
    sound, leaking = out(HFREF), out(SICK)
    back_ml = leaking["edv"] - leaking["esv"] - leaking["sv"]
    assert 10 < back_ml < 40
    assert sound["edv"] - sound["esv"] == pytest.approx(sound["sv"], abs=0.2)
    assert leaking["sv"] == pytest.approx(leaking["sv_right"], abs=1e-6)
    assert leaking["co"] < sound["co"]
    assert leaking["pcwp"] > sound["pcwp"] + 1
    assert leaking["ef"] > sound["ef"]


def test_each_procedure_does_to_the_circulation_what_it_is_for():
    before, after = out(SICK), {p.name: out(p.change(SICK)) for p in PROCEDURES}
    assert after["valve_repair"]["pcwp"] < before["pcwp"] - 1
    assert after["valve_repair"]["ef"] < before["ef"]  # what does not leak back no longer counts
    assert after["cabg"]["ef"] > before["ef"] + 3
    assert before["co"] < after["crt"]["co"]
    assert after["lvad"]["pcwp"] < before["pcwp"] - 5
    assert after["lvad"]["co"] > before["co"] + 0.6
    assert after["lvad"]["map"] > before["map"]


def test_loops_of_pressure_and_volume_are_told_before_and_after():
    found = loops(SICK, steps=200)
    assert list(found) == ["before", *(p.name for p in PROCEDURES)]

    def work(loop):
        return -np.trapezoid(loop["lv_mmhg"], loop["lv_ml"]) if hasattr(np, "trapezoid") else 1.0

    assert work(found["crt"]) > work(found["before"]) > 0
    assert found["lvad"]["lv_ml"].mean() < found["before"]["lv_ml"].mean() - 15


def test_a_patient_goes_through_theatre_and_intensive_care_and_the_months_after_differ():
    start = WORLD.run(WORLD.start(3), 1000.0).state
    plain = WORLD.run(start, 3000.0).trace
    for procedure in PROCEDURES:
        trace, state = WORLD.run(WORLD.act(start, Operate("p1", procedure.name)), 3000.0)
        mine = [(e.time_h - 1000.0, e.kind, e.cause) for e in trace.events if e.entity == "p1" and e.kind != "visit"]
        steps = [
            (0.0, "bed", "theatre"),
            (3.0, "procedure", procedure.name),
            (3.0, "bed", "icu"),
            (51.0, "bed", "ward"),
        ]
        assert [e for e in mine if e[1] in ("bed", "procedure", "discharge")] == [*steps, (147.0, "discharge", "")]
        assert state.patients[0].had == (procedure.name,)
        assert trace["p2", "ef"] == plain["p2", "ef"]
        assert trace["p1", "pcwp"].value[-1] < plain["p1", "pcwp"].value[-1]


def test_one_theatre_bed_is_shared_in_order_and_who_is_away_is_cancelled():
    state = WORLD.start(0)
    for name in ("p2", "p1"):
        state = WORLD.act(state, Operate(name, "crt"))
    trace, state = WORLD.run(state, 30.0)
    assert [(e.time_h, e.entity) for e in trace.events if e.kind == "procedure"] == [(3.0, "p2"), (6.0, "p1")]
    trace = WORLD.run(WORLD.act(state, Operate("p1", "lvad")), 31.0).trace
    assert ("p1", "cancelled", "lvad") in [(e.entity, e.kind, e.cause) for e in trace.events]


def test_as_many_die_of_an_operation_as_its_risk_says():
    procedure = Procedure("trial", 0.3)
    world = replace(WORLD, patients=60, procedures=(procedure,), beds=(None,) * 4)
    state = world.start(1)
    risk = np.array([procedure.risk(p.person.age, p.person.frailty) for p in state.patients])
    for name in world.names:
        state = world.act(state, Operate(name, "trial"))
    trace = world.run(state, 5.0).trace
    died = sum(e.cause == "operation" for e in trace.events if e.kind == "death")
    assert abs(died - risk.sum()) < 4 * np.sqrt((risk * (1 - risk)).sum())
    assert procedure.risk(65, 0.0) == pytest.approx(0.3)
    assert procedure.risk(80, 1.0) > 0.5


def test_what_cannot_be_is_refused_and_nothing_is_done_twice():
    state = WORLD.start(0)
    for action, said in (
        (Operate("p2", "transplant"), "among valve_repair, cabg, crt, lvad"),
        (Operate("p9", "crt"), "p1 to p3"),
    ):
        with pytest.raises(InputError, match=said):
            WORLD.act(state, action)
    done = WORLD.run(WORLD.act(state, Operate("p1", "crt")), 2000.0).state
    again = WORLD.run(WORLD.act(done, Operate("p1", "crt")), 2100.0)
    assert [e.kind for e in again.trace.events if e.cause == "crt"] == ["action", "cancelled"]
    assert again.state.patients[0].had == ("crt",)
    with pytest.raises(InputError, match="between 0 and 1"):
        Procedure("x", 0.1, leak=2.0)
    assert named("crt", PROCEDURES).death == 0.005
