"""Plans and what came of them: rows of windows, what models and baselines see of them, and how they are scored."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from learn.baselines import LinearPlan, MarginalStructural, RepeatLast
from learn.models.twinformer import TwinFormer
from learn.scores.evaluate import forecast_truth
from learn.scores.metrics import ForecastPrediction, ForecastTruth, forecast_scores
from learn.tasks import Counterfactual
from learn.training.fit import Budget, _spread, fit
from learn.training.losses import effects, loss
from learn.training.update import Optim
from learn.windows.batch import Windows, anchors, gather
from learn.windows.counterfactual import planned, told
from learn.windows.feed import Order
from sim.errors import InputError
from sim.tumour import DAY_H, Tumour
from twins.aligned import hidden
from twins.channel import Role
from twins.episode import Episode, Series
from twins.tumour import TumourTwin

MODEL = TwinFormer(16, 1, 2, 16, patch=1, join=True, overlap=1, growth=True)


def made(gamma=4.0, horizon=1, patients=60, seeds=(0, 1), **more):
    plans = "all" if horizon == 1 else "random"
    twin = TumourTwin(Tumour(patients, gamma=gamma), horizon=horizon, plans=plans)
    runs = [twin.world.run(twin.world.start(seed), 60 * DAY_H) for seed in seeds]
    episodes = [episode for run in runs for episode in twin.observe(run)]
    full, doses = twin.world.death_cm3, ("chemo_dose", "radio_dose")
    task = Counterfactual(horizon, quantiles=(0.5,), full=full, actions=doses, **more)
    return episodes, task, Windows.of(episodes, context=12, task=task)


@pytest.fixture(scope="module")
def one():
    return made()


@pytest.fixture(scope="module")
def three():
    return made(gamma=1.0, horizon=3)


def test_a_row_is_the_patients_past_with_the_plan_in_it_and_the_outcome_after_it(three):
    episodes, task, windows = three
    found = planned(windows, episodes, task, 5)
    names, rows = windows.scale.names, found.rows_Nx3
    assert set(rows[:, 1] % 5) == {0}
    assert (rows[:, 1] == 0).any()
    value = windows.scale.restore(np.asarray(found.windows.values_ExVxL))
    before = windows.scale.restore(np.asarray(windows.values_ExVxL))
    doses = [names.index(name) for name in task.actions]
    for n in range(0, len(rows), 41):
        e, at, s = rows[n]
        plan, outcome = (hidden(episodes[e], name).values[at, s] for name in ("plan", "outcome"))
        np.testing.assert_allclose(value[n][doses, 11:14].T, plan, atol=1e-5)
        np.testing.assert_allclose(value[n, 0, 12:], outcome, rtol=1e-4, atol=1e-3)
        np.testing.assert_array_equal(value[n, :, :11], before[e, :, at + 1 : at + 12])
        assert value[n, 0, 11] == before[e, 0, at + 12]
        assert np.isnan(value[n][doses, 14]).all()


def test_the_row_of_what_was_done_is_the_window_of_what_happened(one):
    episodes, task, windows = one
    found, seen = planned(windows, episodes, task), 0
    asked, window = anchors(found.windows), jax.jit(gather)
    assert asked.tolist() == [[n, 0] for n in range(len(found.rows_Nx3))]
    assert anchors(windows)[:, 1].min() == 1
    for n in range(0, len(asked), 211):
        e, at, _ = found.rows_Nx3[n]
        theirs = window(windows, np.array([[e, at + 1]]))
        ours = window(found.windows, asked[n : n + 1])
        if np.allclose(theirs.x_BxVxT, ours.x_BxVxT, atol=1e-5):
            np.testing.assert_allclose(theirs.future_BxVxH[:, 0], ours.future_BxVxH[:, 0], atol=1e-5)
            np.testing.assert_array_equal(theirs.time_BxTxF, ours.time_BxTxF)
            seen += 1
    assert seen > 10


def test_a_model_sees_the_plan_up_to_the_last_step_and_nothing_of_what_comes_of_it(three):
    _, task, windows = three
    net: Any = MODEL.build(task, windows)
    batch = gather(windows, anchors(windows)[::50][:4])
    net.head.out.kernel[...] = jnp.full(net.head.out.kernel.shape, 0.1)

    def total(future):
        return net(batch._replace(future_BxVxH=future), last=True)[:, 0].sum()

    seen = np.abs(np.asarray(jax.jit(jax.grad(total))(batch.future_BxVxH))).max(0)
    volume, chemo, radio, kind = (windows.scale.names.index(n) for n in ("volume", *task.actions, "kind"))
    assert (seen[[volume, kind]] == 0).all()
    assert (seen[[chemo, radio], :2] > 0).all()
    assert (seen[[chemo, radio], 2] == 0).all()


def test_before_training_a_grown_model_repeats_the_newest_value_and_learns_the_past_of_it_alone(one):
    _, task, windows = one
    net: Any = MODEL.build(task, windows)
    batch = gather(windows, anchors(windows)[::37][:8])
    told = jax.jit(lambda batch: net(batch)[:, 0])
    newest = jax.jit(lambda batch: net(batch, last=True))(batch)[:, 0, 0, 0, 0]
    np.testing.assert_allclose(newest, batch.x_BxVxT[:, 0, -1], atol=1e-6)
    later = batch._replace(x_BxVxT=batch.x_BxVxT.at[:, :, -1].add(1.0))
    np.testing.assert_array_equal(told(later)[:, :-1], told(batch)[:, :-1])


def test_joined_channels_are_for_forecasts_of_one_target(one):
    _, task, windows = one
    both = replace(windows, role_ExV=jnp.zeros_like(windows.role_ExV))
    with pytest.raises(InputError, match=r"model\.join is true; it takes one target and no frames"):
        MODEL.build(task, both)


def test_the_chances_behind_the_weights_are_near_those_on_record():
    episodes, _, windows = made(gamma=4.0, patients=300)
    method = MarginalStructural()
    found = method.chances(windows)[1][:, 1, windows.context + 1 :]
    fitted, true = [], []
    for e, episode in enumerate(episodes):
        chance = hidden(episode, "radio_propensity").values[1:-1]
        given = next(s for s in episode.series if s.quantity == "radio_dose").values[1:-1] > 0
        true.append(np.where(given, chance, 1 - chance))
        fitted.append(found[e, : len(chance)])
    fitted, true = np.concatenate(fitted), np.concatenate(true)
    assert np.corrcoef(fitted, true)[0, 1] > 0.9
    ratio = method.ratios(windows)
    assert ratio.mean() == pytest.approx(1.0, abs=0.05)
    _, _, fair = made(gamma=0.0, patients=300)
    assert np.abs(np.log(method.ratios(fair))).mean() < 0.2 * np.abs(np.log(ratio)).mean()


@pytest.mark.parametrize("every", [1, 3])
def test_nothing_is_decided_for_who_is_dead(every):
    """After ten visits a target goes on alone, with what was done last: weights are 1 there, and not before."""
    rng, lived, visits = np.random.default_rng(3), 10, 13
    alive = np.arange(visits) < lived
    episodes = []
    for run in range(40):
        x = rng.normal(size=visits)
        dose = (rng.random(visits) < 1 / (1 + np.exp(-2 * x)))[np.minimum(np.arange(visits), lived - 1)]
        told = {
            "x": (Role.TARGET, np.where(alive, x, 5.0)),
            "rate": (Role.PAST, np.where(alive & (np.arange(visits) % every == 0), 70.0, np.nan)),
            "dose": (Role.ACTION, dose),
        }
        series = (Series("p", q, "1", role, v.astype(np.float32), step_h=1.0) for q, (role, v) in told.items())
        episodes.append(Episode(run, "p", tuple(series), end_h=float(visits)))
    task = Counterfactual(2, quantiles=(0.5,), full=1.0, actions=("dose",))
    windows = Windows.of(episodes, context=4, task=task)
    ratio_ExL = MarginalStructural().ratios(windows)[:, windows.context :]
    assert (ratio_ExL[:, lived:] == 1).all()
    assert (ratio_ExL[:, 1:lived] != 1).all()


@pytest.mark.parametrize("baseline", [LinearPlan(4), MarginalStructural()])
def test_what_is_linear_is_found(baseline, three):
    _, task, windows = three
    values = np.asarray(windows.values_ExVxL).copy()
    v, chemo = windows.scale.names.index("volume"), windows.scale.names.index("chemo_dose")
    taken = np.nan_to_num(values[:, chemo]) > 0
    there = np.isfinite(values[:, v])
    fallen = np.cumsum(np.where(there, 0.5 - taken, 0.0), axis=1)
    values[:, v] = np.where(there, np.roll(fallen, 1, axis=1), np.nan)
    line = replace(windows, values_ExVxL=jnp.asarray(values))
    asked = anchors(line)[::29]
    told = baseline.fit(line, line, task)(line, asked).mean_NxVxH[:, v]
    np.testing.assert_allclose(told, forecast_truth(line, asked, line).y_NxVxH[:, v], atol=0.02)


def test_treatment_is_worth_something_to_those_who_know_of_it(one):
    episodes, task, windows = one
    found = planned(windows, episodes, task, 2)
    asked = anchors(found.windows)
    percent_V = 100 * np.asarray(windows.scale.std) / task.full
    truth = forecast_truth(found.windows, asked, windows)._replace(percent_V=percent_V)
    floor = ForecastPrediction.point(told(found.windows, episodes, found.rows_Nx3, "expected"))
    rows = {
        name: baseline.fit(windows, windows, task)(found.windows, asked)
        for name, baseline in (("last", RepeatLast()), ("linear", LinearPlan()), ("msm", MarginalStructural()))
    }
    cluster, once = np.zeros(len(asked), int), np.ones((1, 1))
    score = {
        name: forecast_scores(p, truth)["nrmse"](cluster, once)[0] for name, p in (rows | {"floor": floor}).items()
    }
    assert score["floor"] < 0.3 * min(score["linear"], score["msm"])
    assert max(score["linear"], score["msm"]) < score["last"]
    volume = np.concatenate(
        [hidden(e, "outcome").values[r[1], r[2]] for e, r in ((episodes[r[0]], r) for r in found.rows_Nx3)]
    )
    told_cm3 = windows.scale.restore(rows["last"].mean_NxVxH)[:, 0, 0]
    assert score["last"] == pytest.approx(100 * np.sqrt(np.mean((told_cm3 - volume) ** 2)) / task.full, rel=1e-4)


def test_the_error_in_percent_is_of_the_last_step():
    y = np.zeros((2, 1, 3))
    mean = np.array([[[5.0, 5.0, 1.0]], [[5.0, 5.0, 7.0]]])
    truth = ForecastTruth(y, np.ones(y.shape, bool), None, np.array([10.0]))
    score = forecast_scores(ForecastPrediction.point(mean), truth)["nrmse"](np.zeros(2, int), np.ones((1, 1)))
    assert score[0] == pytest.approx(10 * np.sqrt((1 + 49) / 2))


def test_what_the_task_cannot_ask_is_refused(three):
    episodes, task, windows = three
    with pytest.raises(InputError, match="task asks for 2 steps of 2 actions"):
        planned(windows, episodes, replace(task, horizon=2))
    with pytest.raises(InputError, match=r"task\.actions names 'surgery'"):
        planned(windows, episodes, replace(task, actions=("surgery",)))
    with pytest.raises(InputError, match="full is 0"):
        Counterfactual(full=0)


def test_pairs_of_plans_stay_together_in_batches_and_in_validation(one):
    episodes, task, windows = one
    found = planned(windows, episodes, task, 5, pairs=True)
    rows = found.rows_Nx3
    assert (rows[::2, 2] == 0).all()
    assert set(rows[1::2, 2]) == {1, 2, 3}
    np.testing.assert_array_equal(rows[::2, :2], rows[1::2, :2])
    order = Order(anchors(found.windows), 8, 3, together=found.windows.together)
    seen = []
    for step in range(len(rows) // 8):
        n = order(step)[:, 0]
        assert (n[::2] % 2 == 0).all()
        np.testing.assert_array_equal(n[1::2], n[::2] + 1)
        seen.append(n)
    assert len(np.unique(np.concatenate(seen))) == len(rows) // 8 * 8
    judged = _spread(found.windows, 33)[1].reshape(-1, 2, 2)[..., 0]
    np.testing.assert_array_equal(judged[:, 1], judged[:, 0] + 1)


def test_the_error_of_differences_is_added_and_knows_no_error_that_arms_share():
    task = Counterfactual(1, quantiles=(0.5,), paired=1, difference_weight=3.0)
    came = jnp.asarray([1.0, 4.0, 2.0, 2.0, 0.0, 9.0])[:, None, None]
    there = jnp.asarray([True, True, True, True, True, False])[:, None, None]
    _, _, windows = made(patients=5, seeds=(0,))
    batch = gather(windows, anchors(windows)[:6])._replace(future_BxVxH=came, future_mask_BxVxH=there)

    def lost(said, weight=3.0):
        said = jnp.asarray(said)[:, None, None, None, None]
        total, count = loss(replace(task, difference_weight=weight), said, batch)
        return float(total / count)

    came_n = came[:, 0, 0]
    assert lost(came_n) == 0
    assert lost(came_n + 2.0) == pytest.approx(4.0)  # both arms wrong alike: the outcomes' error alone
    wrong = came_n + jnp.asarray([1.0, -1.0, 0.0, 0.0, 0.0, 0.0])
    assert lost(wrong, 0.0) == pytest.approx(2 / 5)
    assert lost(wrong) == pytest.approx(2 / 5 + 3 * 4 / 2)  # the third pair has an outcome that is not known


def test_a_weight_on_differences_improves_what_is_said_of_them(one):
    episodes, _, windows = one
    error = {}
    for weight in (0.0, 30.0):
        doses = ("chemo_dose", "radio_dose")
        task = Counterfactual(1, actions=doses, quantiles=(0.5,), paired=3, difference_weight=weight)
        found = planned(windows, episodes, task, 3, pairs=True).windows
        net: Any = MODEL.build(task, windows)
        fitted = fit(net, found, None, Optim(3e-3), Budget(steps=60, batch=32, chunk=20))
        model, batch = nnx.merge(nnx.split(net)[0], fitted.params), jax.jit(gather)(found, anchors(found)[:400])
        error[weight] = float(jax.jit(lambda b, task=task, model=model: effects(task, model(b), b))(batch))
    assert error[30.0] < 0.9 * error[0.0]


@pytest.mark.parametrize("weight", [-1.0, 2.0])
def test_a_weight_on_differences_takes_pairs(weight):
    with pytest.raises(InputError, match=r"Counterfactual\.difference_weight"):
        Counterfactual(difference_weight=weight, paired=1 if weight < 0 else None)
