"""Decisions in closed loop: what a model is asked equals what it was trained on, scores, words, the command."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from experiments import load, report
from experiments.deciding import maintenance_report
from experiments.deciding.maintenance import Chances, Played, Worlds, _names, between, kept, parts, score
from experiments.run.model import Model
from learn.windows.batch import Windows
from sim.errors import InputError
from tests.commands import call
from twins.control.account import Account, Prices
from twins.control.environment import Environment
from twins.control.policies import Age, Inspection

PRICES = Prices(failure=8.0, planned=2.0, inspection=0.5)


def account(failures, planned=0, inspections=0):
    return Account(100.0, 2, failures, planned, inspections, 10.0 * failures + planned, 500.0 - failures)


def played(forecast=((1, 2), (0, 3), (1, 2))):
    return {
        "run_to_failure": Played("naive", {}, [account(4), account(3), account(5)]),
        "age": Played("baseline", {"limit": 9.0}, [account(2, 4), account(2, 3), account(2, 5)]),
        "forecast": Played("model", {"limit": 0.2}, [account(*pair) for pair in forecast]),
        "clairvoyant": Played("oracle", {}, [account(0, 3), account(0, 2), account(0, 3)]),
    }


FOUND = {name: {"best": 0, "table": [{"cost_rate": rate}]} for name, rate in (("run_to_failure", 0.3), ("age", 0.2))}


def test_rates_and_the_gap_follow_from_the_accounts():
    scores = score(PRICES, played(), FOUND, resamples=200)
    rows = {row["name"]: row for row in scores["rows"]}
    cost = {
        "run_to_failure": 8 * 12 / 300,
        "age": (8 * 6 + 2 * 12) / 300,
        "forecast": 30 / 300,
        "clairvoyant": 16 / 300,
    }
    for name, rate in cost.items():
        assert rows[name]["scores"]["cost_rate"]["mean"] == pytest.approx(rate)
        assert sum(rows[name]["spent"].values()) == pytest.approx(rate)
        gap = cost["age"] - cost["clairvoyant"]
        assert rows[name]["closed"]["mean"] == pytest.approx((cost["age"] - rate) / gap)
    assert scores["best_fixed"] == "age"
    assert rows["run_to_failure"]["scores"]["availability"]["mean"] == pytest.approx(1 - 120 / 600)
    assert rows["run_to_failure"]["scores"]["throughput"]["mean"] == pytest.approx((1500 - 12) / 300)
    assert rows["forecast"]["difference"]["high"] < 0


def test_the_best_fixed_policy_is_that_of_the_search_and_not_of_the_test():
    found = {name: {"best": 0, "table": [{"cost_rate": r}]} for name, r in (("run_to_failure", 0.1), ("age", 0.2))}
    assert score(PRICES, played(), found, resamples=20)["best_fixed"] == "run_to_failure"


@pytest.mark.parametrize(
    ("forecast", "said"),
    [
        (((1, 2), (0, 3), (1, 2)), "costs 58 % less than the best fixed policy, age"),
        (((3, 4), (3, 3), (3, 5)), "costs 33 % more than the best fixed policy, age"),
        (((2, 4), (2, 3), (2, 5)), "cannot be told from the best fixed policy, age"),
    ],
)
def test_the_verdict_says_by_how_much_and_why(forecast, said):
    headline, detail = maintenance_report.verdict(score(PRICES, played(forecast), FOUND, resamples=200))
    assert said in headline
    assert ("failures" in detail) == said.startswith("costs")
    assert "chosen on other worlds" not in detail
    other = {name: {"best": 0, "table": [{"cost_rate": r}]} for name, r in (("run_to_failure", 0.1), ("age", 0.2))}
    detail = maintenance_report.verdict(score(PRICES, played(forecast), other, resamples=200)).detail
    assert "on these, age cost less" in detail


def test_the_chance_at_stake_is_that_between_this_order_s_work_and_the_next_one_s():
    edges_h = (4.0, 12.0, 24.0, 48.0, 72.0)
    steady = 1 - np.exp(-np.array([[0.01], [0.2]]) * edges_h)  # constant hazards
    for from_h, to_h in ((0.0, 24.0), (48.0, 72.0), (6.0, 50.0)):
        gone = 1 - np.exp(-np.array([0.01, 0.2]) * (to_h - from_h))
        np.testing.assert_allclose(between(steady, edges_h, from_h, to_h), gone, rtol=1e-6)
    rising = np.array([[0.1, 0.2, 0.3, 0.4, 0.7]])
    np.testing.assert_allclose(between(rising, edges_h, 0.0, 48.0), 0.4)
    np.testing.assert_allclose(between(rising, edges_h, 48.0, 72.0), 0.5)  # .3 of the .6 that are left
    certain = np.array([[0.1, 0.2, 0.3, 0.4, 1.0]], np.float32)
    np.testing.assert_allclose(between(certain, edges_h, 48.0, 72.0), 1.0, atol=1e-6)


def test_worlds_of_decisions_are_their_own():
    worlds = Worlds(3, 2, 4, seed=1)
    seeds = [*worlds.seeds("search"), *worlds.seeds("validation"), *worlds.seeds("test")]
    assert seeds == list(range(2**32 + 2**31, 2**32 + 2**31 + 9))


def decisions(*overrides):
    from experiments import cli

    return cli.compose("decide", ["experiment=line_decisions", *overrides])


def test_lists_are_searched():
    _, _, families, limits = parts(decisions("decisions.policies.inspection.limit=[.5,.6]", "decisions.limits=[.1,.2]"))
    assert families["age"][0] == Age(80.0)
    found = [(p.limit, p.every_h) for p in families["inspection"] if isinstance(p, Inspection)]
    assert found == [(limit, every_h) for limit in (0.5, 0.6) for every_h in (24.0, 48.0, 96.0)]
    assert limits == [0.1, 0.2]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("decisions.limits=[1.5]", "decisions.limits is"),
        ("decisions.lead_h=330", "come to 354 h, but task.edges_h ends at 336 h"),
        ("decisions.every_h=0", r"every_h is 0\.0; it must be above 0"),
        ("decisions.worlds.test=0", r"decisions\.worlds\.test is 0; it must be at least 1"),
        ("decisions.policies.age.limit=[-1]", r"decisions\.policies\.age\.limit is -1\.0"),
        ("decisions.prices.failure=many", r"decisions\.prices\.failure is 'many'; it must be a number"),
        ("decisions.policies.age._target_=twins.control.account.Prices", r"decisions\.policies\.age"),
    ],
)
def test_bad_input_is_refused_by_its_key(override, message):
    with pytest.raises(InputError, match=message):
        parts(decisions(override))


@pytest.mark.slow
def test_a_model_is_asked_in_closed_loop_what_it_was_trained_on(tmp_path):
    """The chances at a decision equal those of the offline dataset's window at the same time."""
    shrunk = ["debug=fast", f"datasets={tmp_path}", "plan.duration_h=96", "context=60", "world.crew=1"]
    experiment = load("line_failure", [*shrunk, "plan.train=1", "plan.validation=1", "plan.test=1"])
    model, test = Model.first(experiment), experiment.windows("test")
    environment = Environment(experiment.twin, every_h=24.0, duration_h=96.0)
    now = environment.start(test.runs[0])
    for k in (144, 288, 432):
        now = environment.step(now)
        anchors = np.array([[e, k] for e in range(5)], np.int32)
        offline = model.predict(test, anchors).p_N  # type: ignore[union-attr]
        np.testing.assert_allclose(Chances(model)([now.observation])[0], offline, rtol=1e-5)
    windows = Windows.of([now.observation.episode("m2", 60)], context=60, task=experiment.task, scale=model.scale)
    here = np.asarray(windows.values_ExVxL[0, :, 60:120])
    np.testing.assert_array_equal(here, np.asarray(test.values_ExVxL[1, :, 60 + 372 : 60 + 432]))
    np.testing.assert_allclose(windows.hour_ExL[0, 60:120], test.hour_ExL[1, 60 + 372 : 60 + 432], atol=1e-3)


@pytest.mark.parametrize("content", ["{}", "[]", '{"limit": null}', "{"])
def test_what_a_run_kept_is_refused_where_it_is_not_what_it_keeps(tmp_path, content):
    path = tmp_path / "choice.json"
    assert kept(path, lambda: {"limit": 1}, lambda kept: _names(kept) == {"limit"}) == {"limit": 1}
    path.write_text(content)
    with pytest.raises(InputError, match=r"choice\.json is damaged"):
        kept(path, dict, lambda kept: _names(kept) == {"limit"} and kept["limit"] is not None)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("decisions.policies.age.limit=[]", r"decisions\.policies\.age\.limit is an empty list"),
        ("decisions.resamples=0", r"decisions\.resamples is 0; it must be at least 1"),
        ("decisions.policies.vibration.sensor=smell", r"decisions\.policies\.vibration: Sensor\.sensor is 'smell'"),
    ],
)
def test_what_cannot_be_played_is_refused_before_a_model_is_trained(override, message):
    with pytest.raises(InputError, match=message):
        parts(decisions(override))


@pytest.mark.long
def test_the_command_ends_with_a_report_and_says_when_it_is_done(tmp_path):
    again = partial(call, tmp_path, "-m", "experiments.decide", "experiment=line_decisions", "debug=fast")
    first = again()
    assert first.returncode == 0, first.stderr
    run = (tmp_path / first.stdout.splitlines()[-1]).parent
    page, metrics = (run / "report.html").read_text(), json.loads((run / "metrics.json").read_text())
    assert "http://" not in page.replace("http://www.w3.org", "")
    cost = {row["name"]: row["scores"]["cost_rate"]["mean"] for row in metrics["rows"]}
    assert cost["clairvoyant"] == min(cost.values())
    played = json.loads((run / "played.json").read_text())
    prices = Prices(8, 2, 0.1, 0.2, 0.02)
    costs = {name: [prices.cost(Account(*a)) for a in runs] for name, (_, _, runs) in played.items()}
    assert all(a <= b for other in costs.values() for a, b in zip(costs["clairvoyant"], other, strict=True))
    assert "done before; fresh=true starts over" in again().stderr
    (run / "report.html").unlink()  # killed before the report: what is kept is not made again
    before = {p.name: p.stat().st_mtime_ns for p in run.glob("*.json")}
    assert again().returncode == 0
    assert (run / "report.html").read_text().count("<h2>") == page.count("<h2>")
    report.job(SimpleNamespace(run=str(run)))
    assert (run / "report.html").read_text().count("<h2>") == page.count("<h2>")
    assert all((run / f"{n}.json").stat().st_mtime_ns == before[f"{n}.json"] for n in ("search", "choice", "played"))
