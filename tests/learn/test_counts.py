"""Counts: likelihood, quantiles and mean of a law against SciPy, a planted law found, and nothing that leaks."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats

from experiments.datasets import own_data
from learn.models import counts
from learn.models.ensemble import Ensemble
from learn.models.linear import Linear
from learn.models.recurrent import Recurrent
from learn.models.twinformer import TwinFormer
from learn.scores.evaluate import forecast_truth
from learn.scores.metrics import forecast_scores
from learn.serving.export import Source
from learn.serving.predict import predict
from learn.serving.stream import Stream
from learn.tasks import LEVELS, Counterfactual, Forecast, Imputation
from learn.training.fit import Budget, fit
from learn.training.joint import build
from learn.training.losses import loss
from learn.training.update import Optim, split
from learn.windows.batch import Windows, anchors, gather
from sim.errors import InputError
from twins.channel import Role
from twins.episode import Episode, Series

TASK = Forecast(3, loss="counts")
GAPS = Imputation(6, longest=3, loss="counts")
SHAPE = TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=6)
CONTEXT = 24
MEANS, DISPERSION = (4.0, 40.0), 0.5


def laws(count=400):
    """Laws of all kinds: about 0 and far from it, in one count and wide, of few parts and many."""
    rng = np.random.default_rng(0)
    location, spread = rng.exponential(30, count), rng.exponential(8, count) * (rng.random(count) < 0.7)
    raw = counts.first_bias() + rng.normal(size=(count, len(counts.first_bias())))
    return counts.law(*(jnp.asarray(x, jnp.float32) for x in (raw, location, spread)))


def exact(law, most=5000):
    """The probability of at most 0, 1 … of each law, in double precision."""
    log_weight, location, scale = np.moveaxis(np.asarray(law, np.float64), -1, 0)[..., None]
    weight = np.exp(log_weight) / np.exp(log_weight).sum(1, keepdims=True)
    return (weight * stats.logistic.cdf((np.arange(most) + 0.5 - location) / scale)).sum(1)


def negative_binomial(rng, mean, size):
    return rng.poisson(mean * rng.gamma(1 / DISPERSION, DISPERSION, size))


def planted(run, n=800):
    """A busy counter and a slow one, each a negative binomial law, hour by hour anew; and noise beside them."""
    rng = np.random.default_rng(run)
    made = [negative_binomial(rng, mean, n) for mean in MEANS]
    values = {"slow": made[0], "busy": made[1], "noise": rng.normal(size=n)}
    values["slow"] = np.where(rng.random(n) < 0.03, np.nan, values["slow"])
    roles = (Role.TARGET, Role.TARGET, Role.PAST)
    series = [
        Series("m1", k, "1", r, v.astype(np.float32), step_h=1.0)
        for (k, v), r in zip(values.items(), roles, strict=True)
    ]
    return Episode(run, "m1", tuple(series), end_h=float(n))


@pytest.fixture(scope="module")
def windows():
    return Windows.of([planted(run) for run in range(6)], context=CONTEXT, task=TASK)


def awake(model, by=0.1):
    """Every parameter moved, so that nothing is zero by its beginning."""
    graphdef, params = nnx.split(model)
    leaves, structure = jax.tree.flatten(params)
    rng = np.random.default_rng(0)
    return nnx.merge(graphdef, jax.tree.unflatten(structure, [x + by * rng.normal(size=x.shape) for x in leaves]))


def test_the_likelihood_is_that_of_scipy_and_no_digit_is_lost_far_out():
    law = laws()
    chance = np.diff(exact(law), prepend=0)
    for y in (0, 1, 5, 30, 100):
        found = np.asarray(counts.surprise(law, jnp.full(len(law), float(y))))
        there = chance[:, y] > 1e-9  # below that differences of SciPy's are rounding
        np.testing.assert_allclose(found[there], -np.log(chance[there, y]), rtol=1e-5, atol=1e-5)
    one = jnp.asarray([[[0.0, 1e5, 3.0]]])
    far = np.asarray([float(counts.surprise(one, jnp.asarray([y]))[0]) for y in (0.0, 1e5, 1e5 + 3e3, 1e7)])
    top = -np.log(np.tanh(0.25 / 3))  # σ(x) − σ(−x) = tanh(x/2)
    np.testing.assert_allclose(far, [1e5 / 3, top, 1e3 - np.log(2 * np.sinh(0.5 / 3)), 9.9e6 / 3], rtol=1e-4)


def test_all_counts_together_have_probability_one():
    whole = np.asarray(counts.surprise(laws(50)[:, None], jnp.arange(3000.0)), np.float64)
    np.testing.assert_allclose(np.exp(-whole).sum(1), 1, atol=1e-4)


def test_the_gradient_of_the_likelihood_is_that_of_finite_differences():
    rng = np.random.default_rng(1)
    raw = counts.first_bias() + rng.normal(size=len(counts.first_bias()))
    for y, location, spread in ((0.0, 2.0, 1.0), (3.0, 2.0, 0.0), (60.0, 50.0, 10.0), (1e4, 9e3, 800.0)):

        def told(raw, y=y, location=location, spread=spread):
            return counts.surprise(counts.law(raw, jnp.asarray(location), jnp.asarray(spread)), jnp.asarray(y))

        with jax.enable_x64():
            at, step = jnp.asarray(raw, jnp.float64), 1e-6
            each = [(told(at + d) - told(at - d)) / (2 * step) for d in step * np.eye(len(raw))]
            want = np.asarray(each)
        found = np.asarray(jax.grad(told)(jnp.asarray(raw, jnp.float32)))
        np.testing.assert_allclose(found, want, rtol=1e-3, atol=2e-4)


def test_quantiles_are_whole_never_cross_and_are_those_of_the_law():
    law = laws()
    found, below = np.asarray(counts.quantiles(law, LEVELS)), exact(law)
    reached = below[:, -1] > 0.999
    want = np.stack([(below < level).sum(1) for level in LEVELS], -1)
    assert reached.mean() > 0.95
    assert (found[reached] == want[reached]).mean() > 0.999  # but where a level is met to the last digit
    assert np.abs(found - want)[reached].max() <= 1
    assert (found == np.rint(found)).all()
    assert (found >= 0).all()
    assert (np.diff(found, axis=-1) >= 0).all()


def test_the_mean_is_that_of_the_law():
    law = laws(100)
    below = exact(law, 20_000)
    there = below[:, -1] > 1 - 1e-9
    assert there.mean() > 0.95
    np.testing.assert_allclose(np.asarray(counts.mean(law))[there], (1 - below).sum(1)[there], rtol=1e-3, atol=1e-3)


def test_a_mixture_of_laws_has_the_mean_of_their_chances():
    law = laws(300).reshape(3, 100, 1 + counts.PARTS, 3)
    np.testing.assert_allclose(exact(counts.mixture(law)), np.mean([exact(each) for each in law], axis=0), atol=1e-6)


def scored(prediction, truth, metric):
    once = np.zeros(len(truth.y_NxVxH), int), np.ones((1, 1))
    return forecast_scores(prediction, truth)[metric](*once)[0]


@pytest.fixture(scope="module")
def fitted(windows):
    budget = Budget(steps=300, batch=64, chunk=50, validate_every=100, validation_windows=64)
    return fit(SHAPE.build(TASK, windows), windows, windows, Optim(learning_rate=1e-2), budget)


def test_a_planted_negative_binomial_is_found(windows, fitted):
    test = Windows.of([planted(run) for run in range(10, 16)], context=CONTEXT, task=TASK, scale=windows.scale)
    asked = anchors(test)[::7]
    found: Any = predict(SHAPE.build(TASK, windows), fitted.params, test, asked)
    truth = forecast_truth(test, asked, windows)
    mean = test.scale.restore(found.mean_NxVxH)
    quantiles = test.scale.restore(found.quantiles_NxVxHxQ, 2)[:, :2]
    np.testing.assert_allclose(quantiles, np.rint(quantiles), atol=1e-3)
    assert quantiles.min() > -1e-3
    for v, expected in enumerate(MEANS):
        assert mean[:, v].mean() == pytest.approx(expected, rel=0.04)
        law = stats.nbinom(1 / DISPERSION, 1 / (1 + DISPERSION * expected))
        for level in (0.1, 0.5, 0.9):
            told = quantiles[:, v, :, LEVELS.index(level)].mean()
            assert told == pytest.approx(law.ppf(level), rel=0.1, abs=0.6)
    # and the same laws with the dispersion of none, as a Poisson head would have them, are caught
    poisson = stats.poisson.ppf(np.asarray(LEVELS), mean[..., None])
    narrow = replace(found, quantiles_NxVxHxQ=test.scale.normalise(poisson, 2))
    assert 0.78 < scored(found, truth, "coverage_80") < 0.86
    assert scored(narrow, truth, "coverage_80") < 0.6
    best = [stats.nbinom(1 / DISPERSION, 1 / (1 + DISPERSION * m)).ppf(LEVELS) for m in (*MEANS, 1.0)]
    known = np.broadcast_to(np.asarray(best)[:, None], found.quantiles_NxVxHxQ.shape)
    known = replace(found, quantiles_NxVxHxQ=test.scale.normalise(known, 2))
    ours, theirs, oracle = (scored(one, truth, "crps") for one in (found, narrow, known))
    assert 0.99 * oracle < ours < 1.02 * oracle
    assert theirs > 1.04 * oracle


def test_a_law_may_be_narrower_than_poisson_and_have_two_humps():
    """A machine makes six an hour, or none."""
    rng = np.random.default_rng(0)
    y = jnp.asarray(np.where(rng.random(2000) < 0.2, 0, rng.choice([5, 6, 6, 6, 7], 2000)), jnp.float32)

    def told(raw):
        return counts.surprise(counts.law(raw, jnp.asarray(4.8), jnp.asarray(2.4)), y).mean()

    step, raw = jax.jit(jax.value_and_grad(told)), jnp.asarray(counts.first_bias())
    for _ in range(1500):
        raw = raw - 0.05 * step(raw)[1]
    share = np.bincount(np.asarray(y, int)) / len(y)
    entropy = -np.sum(share[share > 0] * np.log(share[share > 0]))
    assert told(raw) < entropy + 0.03
    assert -stats.poisson.logpmf(np.asarray(y), np.mean(y)).mean() > entropy + 1


@pytest.mark.parametrize(
    "shape",
    [SHAPE, replace(SHAPE, overlap=3, growth=True), Recurrent(**vars(SHAPE)), Linear()],
    ids=lambda s: str(s)[:9],
)
@pytest.mark.parametrize("task", [TASK, GAPS], ids=["ahead", "gaps"])
def test_nothing_that_is_asked_reaches_a_law_and_the_past_does(windows, shape, task):
    some = Windows.of([planted(run) for run in range(2)], context=CONTEXT, task=task, scale=windows.scale)
    model, at = awake(shape.build(task, some)), jnp.asarray([[0, 100], [1, 77]])
    batch: Any = gather(some, at)

    def told(x, future):
        return jnp.sin(model(batch._replace(x_BxVxT=x, future_BxVxH=future), last=True)).sum()

    past, future = jax.jit(jax.grad(told, (0, 1)))(batch.x_BxVxT, batch.future_BxVxH)
    assert (np.asarray(future) == 0).all()
    assert (np.asarray(past)[np.asarray(batch.mask_BxVxT)] != 0).mean() > 0.8


def test_an_ensemble_tells_the_mean_of_its_members_chances(windows):
    members = [awake(SHAPE.build(TASK, windows, seed)) for seed in range(3)]
    batch, seven = gather(windows, jnp.asarray(anchors(windows)[::301])), jnp.full((1, 1, 1, 3), 7.0)

    @jax.jit
    def told():
        each = [counts.below(model(batch, last=True), seven) for model in members]
        return counts.below(Ensemble(members)(batch, last=True), seven), jnp.stack(each)

    mixed, each = told()
    assert np.asarray(each).std(0).max() > 0.01
    np.testing.assert_allclose(mixed, each.mean(0), atol=1e-5)


def test_a_stream_tells_what_one_pass_does(windows):
    model, asked = awake(SHAPE.build(TASK, windows)), anchors(windows)[::301]
    batch = gather(windows, jnp.asarray(asked))
    stream = Stream(model, len(asked), 3, CONTEXT // 6)
    for k in range(0, CONTEXT, 6):
        of_samples = {name: getattr(batch, name)[..., k : k + 6] for name in ("x_BxVxT", "mask_BxVxT", "gap_BxT")}
        law = stream.push(batch._replace(time_BxTxF=batch.time_BxTxF[:, k : k + 6], **of_samples))
    want: Any = predict(model, None, windows, asked)
    np.testing.assert_allclose(counts.mean(law)[:, :2, 0], windows.scale.restore(want.mean_NxVxH)[:, :2], rtol=1e-4)


def test_a_bundle_tells_means_and_whole_quantiles(windows, tmp_path):
    model, asked = awake(SHAPE.build(TASK, windows)), anchors(windows)[::301]
    bundle = Source(model, TASK, CONTEXT, windows.scale, ("target", "target", "past"), 1.0).write(
        tmp_path / "model.zip", {"name": "counts"}, {}
    )
    batch = gather(windows, jnp.asarray(asked))
    values = windows.scale.restore(np.where(batch.mask_BxVxT, batch.x_BxVxT, np.nan))
    told = bundle.predict(values, np.asarray(windows.hour_ExL)[asked[:, 0], asked[:, 1] + CONTEXT - 1])
    want: Any = predict(model, None, windows, asked)
    np.testing.assert_allclose(told["mean"], windows.scale.restore(want.mean_NxVxH)[:, :2], rtol=1e-4, atol=1e-4)
    ours = windows.scale.restore(want.quantiles_NxVxHxQ, 2)[:, :2]
    np.testing.assert_allclose(told["quantiles"], ours, atol=1.01)  # where a level is met to the last digit
    assert (np.abs(told["quantiles"] - ours) < 0.01).mean() > 0.999
    assert (told["quantiles"] == np.rint(told["quantiles"])).all()


def test_a_table_of_ones_own_is_foretold_in_whole_quantiles(windows):
    module = awake(Linear().build(TASK, windows), 0.02)
    model: Any = SimpleNamespace(
        task=TASK, context=CONTEXT, scale=windows.scale, step_h=1.0, roles=("target", "target", "past")
    )
    model.predict = lambda some, at: predict(module, None, some, at)
    told = own_data.predictions(model, [planted(3)], 10)
    quantiles = np.array([told[f"q{level:g}"] for level in LEVELS])
    assert (quantiles == np.rint(quantiles)).all()
    assert len(np.unique(quantiles)) > 20


def test_counts_are_learned_in_company(windows):
    batch = gather(windows, jnp.asarray(anchors(windows)[::301]))
    nets: Any = build([SHAPE, SHAPE], [TASK, Forecast(3)], [windows, windows]).nets
    for net in nets:
        total, count = jax.jit(lambda net=net: loss(net.task, net(batch), batch))()
        assert np.isfinite(total)
        assert count > 0


@pytest.mark.parametrize("value", [2.5, -1.0])
def test_what_is_no_count_is_refused_when_the_data_are_made_ready(value):
    episode = planted(3)
    wrong = np.array(episode.series[1].values)
    wrong[17] = value
    series = (episode.series[0], replace(episode.series[1], values=wrong), episode.series[2])
    with pytest.raises(InputError, match=rf"m1/busy of run 3 is {value:g} at sample 17; where task\.loss is counts"):
        Windows.of([replace(episode, series=series)], context=CONTEXT, task=TASK)
    Windows.of([replace(episode, series=series)], context=CONTEXT, task=Forecast(3))


def test_counts_are_not_asked_of_plans():
    with pytest.raises(InputError, match=r"loss is 'counts'; it must be 'pinball' or 'mse' where plans are asked"):
        Counterfactual(loss="counts")  # type: ignore[arg-type]


def test_before_training_a_law_lies_where_the_series_did(windows):
    asked = anchors(windows)[::97]
    found: Any = predict(SHAPE.build(TASK, windows), split(SHAPE.build(TASK, windows))[1], windows, asked)
    mean = windows.scale.restore(found.mean_NxVxH)
    for v, expected in enumerate(MEANS):
        assert mean[:, v].mean() == pytest.approx(expected, rel=0.15)
    assert 0.6 < scored(found, forecast_truth(windows, asked, windows), "coverage_80") < 0.95
