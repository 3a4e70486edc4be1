"""The record of a patient, and the outcomes behind it: those of the world under other plans, with the same noise."""

import numpy as np
import pytest

from sim.errors import InputError
from sim.tumour import DAY_H, Phase, Treat, Tumour
from twins.channel import Role
from twins.tumour import TumourTwin

DAYS = 60


def observed(twin, seed=5, days=DAYS):
    run = twin.world.run(twin.world.start(seed), days * DAY_H)
    return run, list(twin.observe(run))


def by_name(episode):
    return {series.quantity: series for series in episode.series}


@pytest.fixture(scope="module")
def one_day():
    twin = TumourTwin(Tumour(12, gamma=3.0))
    return twin, *observed(twin)


def test_a_model_sees_volumes_doses_and_the_kind_alone(one_day):
    _, run, episodes = one_day
    for episode in episodes:
        seen = {s.quantity: s.role for s in episode.series if s.role is not Role.TRUTH}
        roles = {"volume": Role.TARGET, "chemo_dose": Role.ACTION, "radio_dose": Role.ACTION, "kind": Role.STATIC}
        assert seen == roles
        volume = by_name(episode)["volume"].values
        assert volume.tolist() == np.float32(run.trace[episode.asset, "volume"].value).tolist()
        assert len(volume) == run.state.patients[int(episode.asset[1:]) - 1].day + 1


def test_the_option_that_was_taken_came_out_as_it_did(one_day):
    _, _, episodes = one_day
    taken = 0
    for episode in episodes:
        s = {name: series.values for name, series in by_name(episode).items()}
        begun = np.flatnonzero(np.isfinite(s["plan"][:, 0, 0, 0]))
        assert begun.tolist() == list(range(len(s["volume"]) - 1))
        for day in begun:
            given = [s["chemo_dose"][day] > 0, s["radio_dose"][day] > 0]
            (option,) = [i for i, plan in enumerate(s["plan"][day, :, 0] > 0) if plan.tolist() == given]
            assert s["outcome"][day, option, 0] == s["volume"][day + 1]
            assert (np.abs(s["outcome"][day] - s["expected"][day]) <= 0.06 * s["volume"][day]).all() or 0 in s[
                "outcome"
            ][day]
            taken += 1
        assert s["chemo_propensity"][0] == 0
    assert taken > 200


@pytest.mark.parametrize("plans", ["random", "sliding"])
def test_a_plan_of_days_comes_to_what_the_world_comes_to_under_it(plans):
    twin = TumourTwin(Tumour(4, gamma=2.0), horizon=4, plans=plans, count=3)
    run, episodes = observed(twin)
    for day in (0, 3, 30):
        trunk = twin.world.run(twin.world.start(run.trace.seed), day * DAY_H).state
        for episode in episodes:
            s = {name: series.values for name, series in by_name(episode).items()}
            if day >= len(s["plan"]) or np.isnan(s["plan"][day]).any():
                continue
            assert s["plan"].shape[1:] == ((3, 4, 2) if plans == "random" else (8, 4, 2))
            for plan, outcome in zip(s["plan"][day] > 0, s["outcome"][day], strict=True):
                state = twin.world.act(trunk, Treat(episode.asset, tuple(map(tuple, plan.tolist()))))
                future = twin.world.run(state, (day + 5) * DAY_H).trace[episode.asset, "volume"]
                assert outcome.tolist() == np.float32(future.at(np.arange(day + 1, day + 5) * DAY_H)).tolist()


def test_after_the_end_nothing_changes_for_as_long_as_a_plan_would_last():
    twin = TumourTwin(Tumour(40), horizon=5, plans="sliding")
    run, episodes = observed(twin)
    ends = [(e, p.day) for e, p in zip(episodes, run.state.patients, strict=True) if p.phase is Phase.RECOVERED]
    assert any(day < DAYS - 5 for _, day in ends)
    for episode, day in ends:
        volume = by_name(episode)["volume"].values
        assert len(volume) == min(day + 5, DAYS)
        assert (volume[day:] == 0).all()
        assert volume[day - 1] > 0


def test_any_window_is_the_same_window_of_the_whole(one_day):
    twin, run, episodes = one_day
    for channel, series in zip(twin.channels[:6], episodes[0].series, strict=False):
        assert twin.render(run.trace, channel, 7, 20).tolist() == series.values[7:27].tolist()


def test_random_plans_are_as_good_as_coins_and_addressed():
    twin = TumourTwin(Tumour(3), horizon=6, plans="random", count=4)
    short, long = (observed(twin, days=days)[1][1] for days in (20, 40))
    plan = by_name(long)["plan"].values
    assert np.array_equal(by_name(short)["plan"].values[:19], plan[:19])
    assert (plan[np.isfinite(plan)] > 0).mean() == pytest.approx(0.5, abs=0.05)


def test_plans_that_cannot_be_are_refused():
    with pytest.raises(InputError, match="from 1 to 3 days where plans are all"):
        TumourTwin(Tumour(), horizon=4)
    with pytest.raises(InputError, match="'all', 'random' or 'sliding'"):
        TumourTwin(Tumour(), plans="some")  # type: ignore[arg-type]
