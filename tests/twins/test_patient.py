"""A patient's record: noise and clocks, missing the more the sicker, results at visits, lives at home, truth apart."""

from dataclasses import replace

import numpy as np
import pytest

from sim.errors import InputError
from sim.laws import Exponential
from sim.patient import Care, Phase, Risk
from twins.channel import Role
from twins.patient import PatientTwin

WORLD = Care(5, risk=Risk(decompensation=4.0, cardiac=0.5, lost=0.5), visit=Exponential(300.0))
TWIN = PatientTwin(WORLD)
RUN = WORLD.run(WORLD.start(2), 3600.0)
EPISODES = list(TWIN.observe(RUN))


def series(episode, quantity):
    return next(s for s in episode.series if s.quantity == quantity)


def test_one_episode_a_patient_with_what_is_measured_at_home():
    assert [e.asset for e in EPISODES] == list(WORLD.names)
    seen, total = 0, 0.0
    for episode in EPISODES:
        pressure = series(episode, "systolic_pressure")
        at_h = pressure.clock_h()
        true = RUN.trace[episode.asset, "sbp"].at(at_h)
        home = RUN.trace[episode.asset, "phase"].at(at_h) == Phase.HOME
        there = np.isfinite(pressure.values)
        assert not there[~home].any()
        seen += there.sum()
        total += float(np.sum((pressure.values - true)[there] ** 2))
    assert seen > 200
    assert (total / seen) ** 0.5 == pytest.approx(7.0, rel=0.12)


def test_the_sicker_measure_less():
    def share(twin):
        lost = [np.isnan(series(e, "weight").values) for e in twin.observe(RUN)]
        pcwp = [RUN.trace[n, "pcwp"].at(np.arange(150) * 24.0) for n in WORLD.names]
        home = [RUN.trace[n, "phase"].at(np.arange(150) * 24.0) == Phase.HOME for n in WORLD.names]
        lost, pcwp = np.concatenate(lost)[np.concatenate(home)], np.concatenate(pcwp)[np.concatenate(home)]
        sick = pcwp > np.median(pcwp)
        return lost[sick].mean() - lost[~sick].mean()

    assert share(replace(TWIN, illness=3.0)) > 0.15
    assert abs(share(replace(TWIN, illness=0.0))) < 0.1


def test_results_come_at_visits_as_the_laboratory_told_them():
    for episode in EPISODES:
        visits = [e.time_h for e in episode.events if e.kind == "visit"]
        found = series(episode, "lab_nt_probnp")
        assert found.times_h.tolist() == visits
        told = RUN.trace[episode.asset, "lab_nt_probnp"].at(np.array(visits))
        there = np.isfinite(found.values)
        np.testing.assert_allclose(found.values[there], told[there], rtol=1e-6)


def test_a_life_at_home_ends_by_what_happened_and_begins_at_discharge():
    causes = [spell.cause for episode in EPISODES for spell in episode.spells]
    assert "decompensation" in causes
    for episode in EPISODES:
        for spell in episode.spells:
            middle_h = (spell.start_h + spell.end_h) / 2
            assert RUN.trace[episode.asset, "phase"].at(middle_h) == Phase.HOME


def test_any_window_is_the_same_window_of_the_whole_and_of_a_later_trace():
    half = WORLD.run(WORLD.start(2), 1800.0)
    rest = WORLD.run(half.state, 3600.0).trace
    for channel in TWIN.channels:
        if channel.step_h:
            whole = TWIN.render(RUN.trace, channel, 0, 150)
            np.testing.assert_array_equal(TWIN.render(RUN.trace, channel, 90, 20), whole[90:110])
            np.testing.assert_array_equal(TWIN.render(rest, channel, 90, 20), whole[90:110])


def test_what_no_record_shows_is_truth():
    hidden = {c.quantity for c in TWIN.channels if c.role is Role.TRUTH}
    assert {"ef", "pcwp", "hazard_cardiac", "bisoprolol_p_up", "phase"} <= hidden
    assert all("frailty" in episode.truth and "frailty" not in episode.static for episode in EPISODES)


def test_nonsense_is_refused():
    with pytest.raises(InputError, match="missed"):
        PatientTwin(WORLD, missed=1.0)
