"""States ahead: what labels are, what reaches no output, scores by hand, exact baselines, and that it is learned."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from experiments.datasets import own_data
from experiments.run.questions import Futures
from learn.baselines import StateMarkov, StateShares, StateStays, StateTrees
from learn.models.ensemble import Ensemble
from learn.models.linear import Linear
from learn.models.recurrent import Recurrent
from learn.models.twinformer import TwinFormer
from learn.scores.evaluate import Row, evaluate
from learn.scores.metrics import Ratio, StatePrediction, StateTruth
from learn.scores.states import state_scores, state_truth
from learn.serving.export import Source
from learn.serving.predict import predict
from learn.tasks import States
from learn.training.fit import Budget, fit
from learn.training.losses import loss
from learn.training.update import Optim
from learn.windows.batch import Windows, anchors, gather, taken
from learn.windows.feed import Feed
from sim.errors import InputError
from sim.laws import Deterministic, Exponential
from sim.line import Line, Station, Sudden
from twins.channel import Role
from twins.episode import Episode, Series
from twins.line import LineTwin

NAMES = ("up", "slow", "down")
STEP_3x3 = np.array([[0.9, 0.08, 0.02], [0.15, 0.75, 0.1], [0.25, 0.0, 0.75]])
TASK = States("state", NAMES, 6)
CONTEXT = 12
SHAPE = TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=3)


def history(rng, n):
    state_L, u_L = np.zeros(n, int), rng.random(n)
    for k in range(1, n):
        state_L[k] = np.searchsorted(np.cumsum(STEP_3x3[state_L[k - 1]]), u_L[k])
    return state_L


def chain(run, n=400, role=Role.PAST):
    """A machine whose state is a Markov chain, logged or hidden, a current that hints at it, and a plan known ahead."""
    rng = np.random.default_rng(run)
    state_L = history(rng, n)
    current_L = np.array([5.0, 3.0, 0.0])[state_L] + rng.normal(size=n)
    parts = {"state": (role, state_L), "current": (Role.TARGET, current_L), "plan": (Role.KNOWN, rng.normal(size=n))}
    series = [Series("m", q, "1", r, x.astype(np.float32), step_h=1.0) for q, (r, x) in parts.items()]
    return Episode(run, "m", tuple(series), end_h=float(n))


def windows_of(*runs, scale=None, task=TASK, **how):
    return Windows.of([chain(run, **how) for run in runs], context=CONTEXT, task=task, scale=scale)


@pytest.fixture(scope="module")
def windows():
    return windows_of(0, 1, 2)


def awake(model):
    """Every parameter moved, so that nothing is zero by its beginning."""
    graphdef, params = nnx.split(model)
    leaves, structure = jax.tree.flatten(params)
    rng = np.random.default_rng(0)
    return nnx.merge(graphdef, jax.tree.unflatten(structure, [x + 0.1 * rng.normal(size=x.shape) for x in leaves]))


def exact(windows, at):
    """What the chain itself tells, from the state now on."""
    now_N = np.asarray(windows.cause_ExL)[at[:, 0], at[:, 1] + windows.context - 1]
    power_HxCxC = np.stack([np.linalg.matrix_power(STEP_3x3, h) for h in range(1, TASK.horizon + 1)])
    return StatePrediction(np.swapaxes(power_HxCxC[:, now_N], 0, 1))


def mean(score):
    assert isinstance(score, Ratio)
    return score.num_N.sum() / score.den_N.sum()


def test_labels_are_the_states_from_now_on_wherever_they_are_told(windows):
    at = anchors(windows)[::37]
    truth = state_truth(windows, at)
    state_L = [history(np.random.default_rng(run), 400) for run in range(3)]
    for n, (e, k) in enumerate(at):
        np.testing.assert_array_equal(truth.state_NxH[n], state_L[e][k : k + 6])
    hidden = windows_of(0, 1, 2, role=Role.TRUTH)
    assert hidden.scale.names == ("current", "plan")
    np.testing.assert_array_equal(state_truth(hidden, at).state_NxH, truth.state_NxH)
    assert at[:, 1].max() + 6 <= 400


def test_a_window_that_is_cut_is_the_one_in_memory_and_counts_at_every_moment(windows):
    feed = Feed.of([chain(run) for run in range(3)], context=CONTEXT, task=TASK)
    at = anchors(windows)[5::91]
    jax.tree.map(np.testing.assert_array_equal, taken(windows, jnp.asarray(at)), feed.cut(at))
    batch = gather(windows, jnp.asarray(at))
    logits = jax.nn.one_hot(jnp.zeros((len(at), 4, 6), int), 3) * 2.0  # the same at all of four moments
    total, count = loss(TASK, logits, batch)
    ends_N, each = (at[:, 1][:, None] - np.arange(9, -1, -3)).ravel(), np.log(np.exp(2) + 2)
    rows = np.stack((np.repeat(at[:, 0], 4), ends_N), axis=1)
    state_NxH = state_truth(windows, rows).state_NxH
    assert count == (state_NxH >= 0).sum() == 24 * len(at)
    np.testing.assert_allclose(total, np.where(state_NxH == 0, each - 2, each).sum(), rtol=1e-5)


def test_samples_of_which_nothing_is_known_do_not_count():
    episode = chain(0)
    episode.series[0].values[100:104] = np.nan
    windows = Windows.of([episode], context=CONTEXT, task=TASK)
    at = np.array([[0, 98], [0, 101]])
    assert state_truth(windows, at).state_NxH[0, 2:].tolist() == [-1] * 4
    assert state_truth(windows, at).state_NxH[1].tolist()[:3] == [-1] * 3
    _, count = loss(TASK, jnp.zeros((2, 1, 6, 3)), gather(windows, jnp.asarray(at)))
    assert count == 2 + 3


@pytest.mark.parametrize(
    ("value", "role", "says"),
    [
        (0.5, Role.PAST, r"state of run 0, m, is 0\.5; task\.states names 3 states, .* from 0 to 2"),
        (3.0, Role.TRUTH, r"state of run 0, m, is 3;"),
        (-1.0, Role.PAST, r"is -1;"),
        (0.0, Role.KNOWN, r"no hidden or measured channel is called 'state', as task\.channel says; there is current"),
    ],
)
def test_labels_that_are_none_are_refused(value, role, says):
    episode = chain(0, role=role)
    episode.series[0].values[7] = value
    with pytest.raises(InputError, match=says):
        Windows.of([episode], context=CONTEXT, task=TASK)


@pytest.mark.parametrize(
    ("given", "field"),
    [({"states": ("a",)}, "states"), ({"states": ("a", "a")}, "states"), ({"horizon": 0}, "horizon")],
)
def test_states_that_cannot_be_are_refused(given, field):
    with pytest.raises(InputError, match=rf"States\.{field}"):
        States(**{"channel": "state", "states": NAMES, "horizon": 6} | given)


@pytest.mark.parametrize("shape", [SHAPE, Recurrent(**vars(SHAPE)), Linear()], ids=lambda s: str(s)[:9])
def test_nothing_that_comes_reaches_an_output_but_what_is_known_ahead_and_what_was_seen(windows, shape):
    model, at = awake(shape.build(TASK, windows)), jnp.asarray([[0, 100], [1, 77], [2, 250]])

    def told(values_ExVxL):
        return jnp.sin(model(gather(replace(windows, values_ExVxL=values_ExVxL), at), last=True)).sum()

    gradient = np.asarray(jax.jit(jax.grad(told))(jnp.nan_to_num(windows.values_ExVxL)))
    for e, k in np.asarray(at):
        seen, comes = gradient[e, :, k : k + CONTEXT], gradient[e, :, CONTEXT + k : CONTEXT + k + 6]
        assert (comes[:2] == 0).all()
        assert (comes[2] != 0).all()
        assert (seen[:, -1] != 0).all()
        assert gradient[e, 0, CONTEXT + k - 1] != 0  # the state now
    other = replace(windows, cause_ExL=(windows.cause_ExL + 1) % 3)
    outputs = jax.jit(lambda windows: model(gather(windows, at)))
    np.testing.assert_array_equal(outputs(other), outputs(windows))


def test_a_hidden_state_reaches_no_output():
    plain, hidden = chain(0, role=Role.TRUTH), chain(0, role=Role.TRUTH)
    hidden.series[0].values[:] = np.random.default_rng(5).permutation(hidden.series[0].values)
    a, b = (Windows.of([episode], context=CONTEXT, task=TASK) for episode in (plain, hidden))
    model, at = awake(SHAPE.build(TASK, a)), anchors(a)[::50]
    outputs = jax.jit(lambda windows: model(gather(windows, jnp.asarray(at))))
    np.testing.assert_array_equal(outputs(a), outputs(b))
    trees = StateTrees(rows=300, leaves=(4,)).fit(a, a, TASK)
    np.testing.assert_array_equal(trees(a, at).p_NxHxC, trees(b, at).p_NxHxC)


def test_a_model_begins_with_the_shares_of_the_states(windows):
    share_C = np.bincount(np.concatenate([history(np.random.default_rng(r), 400) for r in range(3)])) / 1200
    for shape in (SHAPE, Linear()):
        found: Any = predict(shape.build(TASK, windows), None, windows, anchors(windows)[:5])
        np.testing.assert_allclose(found.p_NxHxC, np.broadcast_to(share_C, (5, 6, 3)), atol=2e-3)


def test_scores_by_hand():
    p = np.array([[[0.7, 0.2, 0.1], [0.5, 0.5, 0.0]], [[0.0, 0.0, 1.0], [0.1, 0.3, 0.6]]])
    truth = StateTruth(np.array([[0, 1], [2, -1]]))
    found = state_scores(StatePrediction(p), truth)
    brier = [0.3**2 + 0.2**2 + 0.1**2, 0.5**2 + 0.5**2, 0.0]
    assert mean(found["brier"]) == pytest.approx(np.mean(brier))
    assert mean(found["log_loss"]) == pytest.approx(-np.log([0.7, 0.5, 1.0]).mean())
    assert mean(found["accuracy"]) == pytest.approx(2 / 3)  # of equals the first is taken
    wrong = state_scores(StatePrediction(p), StateTruth(np.array([[2, 2], [0, 0]])))
    assert mean(wrong["log_loss"]) == pytest.approx(-np.log([0.1, 1e-6, 1e-6, 0.1]).mean())
    assert not truth._replace(state_NxH=np.full((1, 2), -1)).known_N.any()


def test_the_brier_score_of_a_share_of_futures_is_that_of_the_law():
    rng, p_C = np.random.default_rng(0), np.array([0.6, 0.3, 0.1])
    share_NxHxC = rng.multinomial(5, p_C, size=(40_000, 1)) / 5
    truth = StateTruth(rng.choice(3, size=(40_000, 1), p=p_C))
    law = mean(state_scores(StatePrediction(np.broadcast_to(p_C, share_NxHxC.shape)), truth)["brier"])
    found = state_scores(StatePrediction(share_NxHxC, members=5), truth)
    assert list(found) == ["brier"]
    assert mean(found["brier"]) == pytest.approx(law, abs=0.005)
    assert mean(state_scores(StatePrediction(share_NxHxC), truth)["brier"]) > law + 0.08


def test_the_oracle_of_a_machine_that_forgets_is_its_law():
    """Up and down for exponential times: P(down) fades by e^(−ch) from what it is now to the share q of time down."""
    fail, mend = 1 / 8, 1 / 3
    machine = Station(Deterministic(0.5), sudden=Sudden(Exponential(1 / fail), "time"), repair=Exponential(1 / mend))
    twin = LineTwin(Line((machine,)), step_h=1.0)
    episodes = [e for seed in range(4) for e in twin.observe(twin.world.run(twin.world.start(seed), 120.0))]
    task = States("state", ("starved", "working", "blocked", "waiting", "repair"), 5)
    windows = Windows.of(episodes, context=2, task=task)
    at = anchors(windows)[::9]
    found = Futures(count=300).predict(task, twin, windows, episodes, at)
    assert isinstance(found, StatePrediction)
    assert found.members == 300
    down_N = state_truth(windows, at).state_NxH[:, 0] == 4  # of the sample now, before which the past has ended
    assert 5 < down_N.sum() < len(at) - 5
    q, fades_H = fail / (fail + mend), np.exp(-(fail + mend) * np.arange(5))
    law_NxH = q + (down_N[:, None] - q) * fades_H
    apart_NxH = found.p_NxHxC[..., 4] - law_NxH
    assert np.abs(apart_NxH[:, 0]).max() == 0
    np.testing.assert_allclose(apart_NxH.mean(0), 0, atol=0.015)
    assert np.abs(apart_NxH).max() < 0.12
    np.testing.assert_allclose(found.p_NxHxC[..., [1, 4]].sum(-1), 1)


def test_rows_are_set_between_their_marks_and_told_apart_from_other_predictions():
    windows = windows_of(0, 1, n=2000)
    at = anchors(windows)[::5]
    truth, p = state_truth(windows, at), exact(windows, at)
    uniform = StatePrediction(np.full_like(p.p_NxHxC, 1 / 3))
    rows = {"flat": Row("naive", uniform), "model": Row("model", p), "oracle": Row("oracle", p)}
    found = evaluate("States", rows, truth, at[:, 0], resamples=50)
    assert (found["primary"], found["scored"], found["naive"]) == ("brier", len(at), "flat")
    assert found["rows"][1]["skill"]["mean"] == 1
    bins = found["calibration"]["model"]
    assert sum(b["count"] for b in bins) == truth.state_NxH.size * 3
    assert max(abs(b["predicted"] - b["observed"]["mean"]) for b in bins) < 0.05
    with pytest.raises(TypeError, match="StateTruth"):
        evaluate("States", {"a": Row("model", SimpleNamespace())}, truth, at[:, 0])  # type: ignore[arg-type]


def test_a_markov_chain_is_recovered():
    train = windows_of(*range(10), n=4000)
    at = anchors(train)[::17]
    found = StateMarkov().fit(train, train, TASK)
    np.testing.assert_allclose(found.p_HxCxC[0], STEP_3x3, atol=0.02)
    np.testing.assert_allclose(found(train, at).p_NxHxC, exact(train, at).p_NxHxC, atol=0.025)
    blind = replace(train, values_ExVxL=train.values_ExVxL.at[:].set(np.nan))
    np.testing.assert_allclose(found(blind, at).p_NxHxC[3, 2], found.share_C)


def test_naive_marks_by_hand():
    told_L = np.array([0, 0, 1, 0, 0, 1, 0, 2] * 40)
    series = Series("m", "state", "1", Role.PAST, told_L.astype(np.float32), step_h=1.0)
    windows = Windows.of([Episode(0, "m", (series,), end_h=320.0)], context=8, task=States("state", NAMES, 3))
    task, at = States("state", NAMES, 3), np.array([[0, 16], [0, 17]])  # in states 2 and 0
    share_C = np.array([5 / 8, 2 / 8, 1 / 8])
    np.testing.assert_allclose(StateShares().fit(windows, windows, task)(windows, at).p_NxHxC[1, 2], share_C, atol=2e-3)
    found = StateStays().fit(windows, windows, task)(windows, at).p_NxHxC
    np.testing.assert_allclose(found[0, 0], [5 / 7, 2 / 7, 0], atol=6e-3)  # the third state is never that again
    np.testing.assert_allclose(found[1, 0], [2 / 5, 2 / 5, 1 / 5], atol=6e-3)  # two in five 0s are followed by a 0
    np.testing.assert_allclose(found[1, 2], [4 / 5, 2 / 15, 1 / 15], atol=6e-3)
    np.testing.assert_allclose(found.sum(-1), 1)


def test_baselines_read_nothing_that_comes(windows):
    at = anchors(windows)[40:41]
    e, k = at[0]
    told = [b.fit(windows, windows, TASK) for b in (StateStays(), StateMarkov(), StateTrees(rows=200, leaves=(4,)))]
    other = replace(windows, values_ExVxL=windows.values_ExVxL.at[e, :, CONTEXT + k :].set(9.0))
    for fitted in told:
        np.testing.assert_array_equal(fitted(windows, at).p_NxHxC, fitted(other, at).p_NxHxC)


@pytest.mark.parametrize("baseline", [StateStays(), StateMarkov()])
def test_a_hidden_state_is_hidden_from_baselines_too(baseline):
    hidden = windows_of(0, role=Role.TRUTH)
    with pytest.raises(InputError, match=r"task\.channel=state is hidden"):
        baseline.fit(hidden, hidden, TASK)


def test_trees_come_between_the_shares_and_the_chain():
    train = windows_of(*range(6), n=1200)
    held, test = (windows_of(run, n=1200, scale=train.scale) for run in (10, 11))
    at = anchors(test)[::3]

    def log_loss(prediction):
        return mean(state_scores(prediction, state_truth(test, at))["log_loss"])

    trees, shares = (b.fit(train, held, TASK)(test, at) for b in (StateTrees(rows=6000), StateShares()))
    np.testing.assert_allclose(trees.p_NxHxC.sum(-1), 1, atol=1e-6)
    assert log_loss(exact(test, at)) - 0.01 < log_loss(trees) < 0.93 * log_loss(shares)


def test_a_small_training_ends_near_the_entropy_of_the_chain():
    train = windows_of(*range(8), n=1000)
    held, test = (windows_of(run, n=4000, scale=train.scale) for run in (20, 21))
    budget = Budget(steps=200, batch=32, chunk=50, validate_every=50, validation_windows=256, stride=2)
    done = fit(SHAPE.build(TASK, train), train, held, Optim(learning_rate=1e-2), budget)
    at = anchors(test)[::3]
    truth = state_truth(test, at)
    model, chain_itself, shares = (
        mean(state_scores(p, truth)["log_loss"])
        for p in (
            predict(SHAPE.build(TASK, train), done.params, test, at),
            exact(test, at),
            StateShares().fit(train, held, TASK)(test, at),
        )
    )
    assert model < 1.03 * chain_itself  # three hundredths above what no prediction can be below
    assert model < 0.9 * shares


def test_several_models_foretell_the_mean_of_their_probabilities(windows):
    members, at = [awake(SHAPE.build(TASK, windows, seed)) for seed in range(3)], anchors(windows)[:9]
    each: Any = [predict(member, None, windows, at) for member in members]
    found: Any = predict(Ensemble(members), None, windows, at)
    assert np.ptp([one.p_NxHxC for one in each], axis=0).max() > 0.05
    np.testing.assert_allclose(found.p_NxHxC, np.mean([one.p_NxHxC for one in each], axis=0), atol=1e-5)


def test_an_exported_model_says_the_same(windows, tmp_path):
    source = Source(awake(SHAPE.build(TASK, windows)), TASK, CONTEXT, windows.scale, ("past", "target", "known"), 1.0)
    bundle = source.write(tmp_path / "states.zip", {"name": "states"}, {})
    at = np.array([[0, 100], [1, 130]])
    values = np.asarray(windows.scale.restore(windows.values_ExVxL))
    given = np.stack([values[e, :, k : k + CONTEXT] for e, k in at])
    ahead = {"plan": np.stack([values[e, 2, k + CONTEXT : k + CONTEXT + 6] for e, k in at])}
    newest_h = np.asarray(windows.hour_ExL)[at[:, 0], CONTEXT + at[:, 1] - 1]
    found: Any = predict(source.module, None, windows, at)
    np.testing.assert_allclose(bundle.predict(given, newest_h, ahead=ahead)["p"], found.p_NxHxC, rtol=1e-3, atol=1e-3)
    assert bundle.manifest["outputs"]["p"]["what"] == "probability of up, slow, down"


@pytest.mark.parametrize("role", [Role.PAST, Role.TRUTH])
def test_a_table_that_tells_no_states_is_foretold(windows, role):
    trained = windows if role is Role.PAST else windows_of(0, role=Role.TRUTH)
    module = awake(SHAPE.build(TASK, trained))
    model: Any = SimpleNamespace(
        task=TASK, context=CONTEXT, scale=trained.scale, step_h=1.0, predict=lambda w, at: predict(module, None, w, at)
    )
    bare = replace(chain(4), series=chain(4).series[1:])
    told = own_data.predictions(model, [bare], None)
    assert list(told) == ["asset", "made_at", "time", "p_up", "p_slow", "p_down"]
    assert len(told["p_up"]) == 6
    np.testing.assert_allclose(np.sum([told[f"p_{name}"] for name in NAMES], axis=0), 1, atol=1e-6)
    assert told["time"][0] == told["made_at"][0]
