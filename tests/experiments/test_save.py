"""A battery planned by forecasts: rules, measures, marks that nobody passes, refusals, the command to its report."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import load
from experiments.deciding import saving_report
from experiments.deciding.battery import (
    Carbon,
    Clock,
    Setting,
    Site,
    by_orders,
    by_plan,
    cost_eur,
    measured,
    true_day,
)
from experiments.deciding.saving import AHEAD, CLOCK, FORESIGHT, NOTHING, OWN, choose, play, score
from experiments.run.pipeline import MODEL
from sim.errors import InputError
from sim.homes.battery import Battery
from sim.homes.planner import Terms, plan
from sim.homes.tariff import Contract, Flat
from tests.commands import call

SETTING = Setting(
    3, Battery(10.0, 4.0, 4.0), Contract(), Carbon(), (Clock((10, 15), (17, 21), 1.0),), (None,), {"flat": Flat()}, 50
)


def site(seed, days=3, wrong=0.0):
    """Homes with sun at noon and a peak in the evening; the model errs by *wrong* kW, the naive one by three times."""
    rng = np.random.default_rng(seed)
    n = 24 * days
    hour = np.arange(n) % 24
    load = 1 + 4 * np.exp(-((hour - 19) ** 2) / 4) - 5 * np.exp(-((hour - 13) ** 2) / 6) + rng.normal(0, 0.5, n)
    buy = 0.3 + 0.1 * rng.normal(size=n)
    terms = Terms.of(1.0, buy, np.minimum(0.08, buy), np.arange(n) // 24, peak_eur_per_kw=0.3, worth_eur_per_kwh=0.2)
    blank = Site(seed, 0, load, hour, np.full(n, 0.4), terms, {})
    true = true_day(SETTING, blank, 24)
    errors = {MODEL: wrong, "naive": 3 * wrong}
    foretold = {name: {None: true + rng.normal(0, 1, true.shape) * size} for name, size in errors.items()}
    return blank._replace(foretold=foretold)


def test_a_clock_charges_and_gives_back_by_the_hour():
    orders = Clock((1, 3), (2, 5), 0.5).orders_kw(np.arange(6), Battery(10.0, 4.0, 2.0))
    assert orders.tolist() == [0.0, 2.0, 2.0, -1.0, -1.0, 0.0]


def test_the_sun_makes_the_grid_cleaner_and_never_better_than_clean():
    assert Carbon(400.0, 300.0).g_per_kwh(np.array([0.0, 0.5, 2.0])).tolist() == [400.0, 250.0, 0.0]


def test_measures_of_doing_nothing_are_those_of_the_load():
    one = site(1)
    found = measured(SETTING, one, by_orders(SETTING, 0 * one.load_kw))
    assert found["cost_eur"] == pytest.approx(one.terms.bill_eur(one.load_kw) / 3)
    assert found["carbon_kg"] == pytest.approx(0.4 * np.maximum(one.load_kw, 0).sum() / 3)
    assert found["peak_kw"] == pytest.approx(one.load_kw.reshape(3, 24).max(1).mean())
    assert found["ramp_kw"] == pytest.approx(np.abs(np.diff(one.load_kw)).mean())
    assert found["load_factor"] == pytest.approx(one.load_kw.mean() / one.load_kw.max())


@given(st.integers(0, 10**6), st.floats(0, 3))
@settings(max_examples=8)
def test_nobody_passes_foresight_and_a_true_day_comes_near(seed, wrong):
    one = site(seed, wrong=wrong)
    played = play(SETTING, {"clock": 0, "levels": {MODEL: None, "naive": None}}, [one])
    cost = {name: runs[0]["cost_eur"] for name, runs in played.items()}
    assert set(cost) == {NOTHING, CLOCK, OWN, f"plan_{MODEL}", "plan_naive", AHEAD, FORESIGHT}
    assert min(cost.values()) >= cost[FORESIGHT] - 1e-7
    assert cost[AHEAD] - cost[FORESIGHT] < 0.2 * (cost[NOTHING] - cost[FORESIGHT])
    best = plan(SETTING.battery, 5.0, one.load_kw, one.terms)
    assert cost[FORESIGHT] == pytest.approx((best.cost_eur + 0.2 * 5.0) / 3, abs=1e-6)


def test_energy_balances_through_the_loop():
    one = site(3, wrong=1.0)
    done = by_plan(SETTING, one, one.foretold["naive"][None])
    assert np.abs(np.diff(done.held_kwh) - done.charged_kwh + done.discharged_kwh + done.lost_kwh).max() < 1e-9
    assert done.held_kwh.min() >= 0
    assert done.held_kwh.max() <= 10.0


def test_better_forecasts_save_more_and_the_score_says_so():
    runs = [site(seed, wrong=1.0) for seed in range(6)]
    chosen = choose(SETTING, [site(seed, wrong=1.0) for seed in range(10, 13)])
    played = play(SETTING, chosen, runs)
    offered = {"regret_eur": {"by_model": [0.1] * 6}, "taken": {"flat": 9}}
    found = score(played, offered, chosen, 200)
    rows = {row["name"]: row for row in found["rows"]}
    assert found["best_rival"] == min(
        (n for n in chosen["cost_eur"] if n != f"plan_{MODEL}"), key=chosen["cost_eur"].get
    )
    assert rows[f"plan_{MODEL}"]["scores"]["cost_eur"]["mean"] < rows["plan_naive"]["scores"]["cost_eur"]["mean"]
    assert rows[FORESIGHT]["closed"]["mean"] == pytest.approx(1.0)
    assert rows[NOTHING]["closed"]["mean"] == pytest.approx(0.0)
    headline, detail = saving_report.verdict(found)
    assert ("more than the best" in headline) == (rows[found["best_rival"]]["difference"]["low"] > 0)
    assert "of the gap" in detail
    swapped = {**played, f"plan_{MODEL}": played["plan_naive"], "plan_naive": played[f"plan_{MODEL}"]}
    worse = {row["name"]: row for row in score(swapped, offered, chosen, 200)["rows"]}  # a planted fault
    assert worse[f"plan_{MODEL}"]["scores"]["cost_eur"]["mean"] > worse["plan_naive"]["scores"]["cost_eur"]["mean"]


def test_a_loss_is_told_without_a_double_negative():
    rows = [
        {"name": "clock", "kind": "baseline", "difference": {"mean": -0.31, "low": -0.4, "high": -0.2}},
        {"name": "plan", "kind": "model", "closed": "undefined"},
    ]
    headline, detail = saving_report.verdict({"rows": rows, "best_rival": "clock"})
    assert headline == "Planning by the model costs 0.31 EUR a day more than the best without it, clock"
    assert detail == "The difference is +0.310 EUR a day (95 % interval +0.200 to +0.400)."
    rows[0]["difference"] = {"mean": 0.0, "low": None, "high": None}
    assert "+0.000 EUR" in saving_report.verdict({"rows": rows, "best_rival": "clock"}).detail


def test_the_level_that_costs_least_is_chosen():
    """Evenings are dearer than the mean says where a quantile above it is right."""
    runs = [site(seed) for seed in range(2)]
    low = [
        one._replace(foretold={MODEL: {0.5: one.foretold[MODEL][None] - 2, 0.7: one.foretold[MODEL][None]}})
        for one in runs
    ]
    chosen = choose(replace(SETTING, levels=(0.5, 0.7)), low)
    assert chosen["levels"] == {MODEL: 0.7}
    assert chosen["cost_eur"][f"plan_{MODEL}"] == pytest.approx(
        sum(cost_eur(SETTING, one, by_plan(SETTING, one, one.foretold[MODEL][None])) for one in runs)
    )


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("saving.every=30", "saving.every is 30; it must be 1 to"),
        ("saving.levels=[1.5]", "saving.levels holds 1.5"),
        ("saving.levels=[]", "must each hold something"),
        ("saving.clock.charge=[[9,5]]", "Clock.charge"),
        ("saving.battery.capacity_kwh=-1", "capacity_kwh"),
        ("twin.step_h=.25", "step_h of 1"),
        ("saving.resamples=0", "saving.resamples is 0"),
    ],
)
def test_what_cannot_be_is_refused_before_training(override, message):
    from experiments.cli import compose

    with pytest.raises(InputError, match=message):
        Setting.of(compose("save", ["experiment=grid_saving", override]))


def test_another_task_is_refused():
    with pytest.raises((InputError, KeyError)):
        Setting.of(load("line_failure"))


@pytest.mark.long
def test_the_command_ends_in_a_report(tmp_path):
    command = ["-m", "experiments.save", "experiment=grid_saving", "debug=fast", "saving.resamples=50"]
    done = call(tmp_path, *command)
    assert done.returncode == 0, done.stderr
    assert "Planning by the model" in done.stdout
    page = tmp_path / done.stdout.splitlines()[-1]
    assert page.read_text().count("<svg") == 4
    scores = json.loads((page.parent / "metrics.json").read_text())
    assert {row["kind"] for row in scores["rows"]} == {"naive", "baseline", "model", "oracle"}
    assert "done before" in call(tmp_path, *command).stderr
