"""Ensembles and passes with dropout: each member as it would be alone, their mixture as the law says."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats

from learn.models.ensemble import Ensemble, Sampled, mixed, mixture
from learn.models.heads import Told, incidence
from learn.models.linear import Linear
from learn.models.twinformer import TwinFormer
from learn.serving.predict import predict
from learn.tasks import LEVELS, Classify, Forecast, TimeToEvent
from learn.training.fit import Budget, fit
from learn.training.update import Optim, split
from learn.windows.batch import anchors, gather
from sim.errors import InputError

OPTIM = Optim(learning_rate=3e-3)
BUDGET = Budget(steps=20, batch=16, chunk=5, validate_every=10, validation_windows=64, members=3, seed=4)
SHAPE = TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=6, dropout=0.2)


def ensemble(windows, shape=SHAPE, task=None, members=3):
    return Ensemble([shape.build(task or TimeToEvent(), windows, 4 + m) for m in range(members)])


@pytest.mark.parametrize(("shape", "vectorised"), [(SHAPE, False), (Linear(), True)])
def test_each_member_ends_as_the_run_of_its_own_seed(event_windows, shape, vectorised):
    one = replace(BUDGET, members=1)
    together = fit(
        ensemble(event_windows, shape), event_windows, event_windows, OPTIM, replace(BUDGET, vectorised=vectorised)
    )
    assert [row["step"] for row in together.rows] == [5, 10, 15, 20]
    losses = []
    for member in range(3):
        model = shape.build(TimeToEvent(), event_windows, 4 + member)
        alone = fit(model, event_windows, event_windows, OPTIM, replace(one, seed=4 + member))
        for a, b in zip(jax.tree.leaves(alone.params), jax.tree.leaves(together.params), strict=True):
            np.testing.assert_allclose(b[member], a, atol=2e-3)
        assert int(together.best.step[member]) == int(alone.best.step)
        losses.append([row["loss"] for row in alone.rows])
    np.testing.assert_allclose(np.mean(losses, axis=0), [row["loss"] for row in together.rows], rtol=1e-3)


def test_an_ensemble_that_was_stopped_ends_as_one_that_was_not(event_windows, tmp_path):
    class Killed(Exception):
        pass

    def interrupt(row):
        if row["step"] >= 15:
            raise Killed

    straight = fit(ensemble(event_windows), event_windows, event_windows, OPTIM, BUDGET)
    with pytest.raises(Killed):
        fit(ensemble(event_windows), event_windows, event_windows, OPTIM, BUDGET, tmp_path, interrupt)
    again = fit(ensemble(event_windows), event_windows, event_windows, OPTIM, BUDGET, tmp_path)
    jax.tree.map(np.testing.assert_array_equal, again.state, straight.state)
    jax.tree.map(np.testing.assert_array_equal, again.best, straight.best)
    assert again.rows == straight.rows


def test_members_that_the_model_has_not_are_refused(event_windows):
    with pytest.raises(InputError, match=r"fit\.members is 3"):
        fit(Linear().build(TimeToEvent(), event_windows), event_windows, None, OPTIM, BUDGET)


def test_an_ensemble_foretells_the_mean_of_its_members_probabilities(event_windows):
    model, picked = ensemble(event_windows), anchors(event_windows)[:12]
    kernel = model.net.head.out.kernel
    kernel[...] = 0.3 * jax.random.normal(jax.random.PRNGKey(1), kernel.shape)
    params = split(model.net)[1]
    each: Any = [
        predict(model.net, jax.tree.map(lambda leaf, m=m: leaf[m], params), event_windows, picked) for m in range(3)
    ]
    found: Any = predict(model, None, event_windows, picked)
    assert np.ptp([one.p_N for one in each], axis=0).max() > 0.05
    np.testing.assert_allclose(found.p_N, np.mean([one.p_N for one in each], axis=0), atol=1e-5)
    np.testing.assert_allclose(found.cif_NxCxK, np.mean([one.cif_NxCxK for one in each], axis=0), atol=1e-5)


def test_a_mixture_of_hazards_has_the_mean_incidence():
    logits = 2 * jax.random.normal(jax.random.PRNGKey(0), (4, 5, 10, 3))
    found, each = incidence(mixed(TimeToEvent(), logits)), incidence(logits)
    for one, many in zip(found, each, strict=True):
        np.testing.assert_allclose(one, many.mean(0), atol=1e-5)
    plain = incidence(jax.nn.log_softmax(logits).mean(0))  # a mean of logits is another law
    assert np.abs(plain[0] - each[0].mean(0)).max() > 0.02


def test_a_mixture_of_classes_has_the_mean_of_probabilities():
    logits, marks = (3 * jax.random.normal(jax.random.PRNGKey(k), (4, 6, 1, 2)) for k in (0, 1))
    found = mixed(Classify(), Told(logits, marks))
    np.testing.assert_allclose(jax.nn.softmax(found.logits_BxPxC), jax.nn.softmax(logits).mean(0), atol=1e-6)
    np.testing.assert_allclose(jax.nn.sigmoid(found.marks_BxPxHxWxK), jax.nn.sigmoid(marks).mean(0), atol=1e-6)


def test_quantiles_of_a_mixture_are_those_of_the_law():
    mean, sd, levels = np.array([-1.0, 0.2, 1.5]), np.array([0.5, 1.0, 0.8]), np.array(LEVELS)
    laws = jnp.asarray(stats.norm.ppf(levels, mean[:, None], sd[:, None]), jnp.float32)
    true: Any = [optimize.brentq(lambda x, q=q: stats.norm.cdf(x, mean, sd).mean() - q, -9, 9) for q in levels]
    found = np.asarray(mixture(laws, levels))
    np.testing.assert_allclose(found, true, atol=2e-4)
    assert np.all(np.diff(found) > 0)
    assert found[-3] - found[2] > 1.2 * np.asarray(laws[:, -3] - laws[:, 2]).mean()  # where they disagree it is wider
    np.testing.assert_allclose(mixture(jnp.stack([laws] * 5), levels), laws, atol=1e-5)  # and where alike, the same


def test_outer_quantiles_cover_what_they_say_of_members_a_deviation_apart():
    levels = np.array(LEVELS)
    for law, off in ((stats.norm, 2e-5), (stats.logistic, 2e-3), (stats.laplace, 4e-3), (stats.gumbel_r, 4e-3)):
        mean = law.std() * np.array([-0.5, 0.5])[:, None]
        found = np.asarray(mixture(jnp.asarray(law.ppf(levels, mean), jnp.float32), levels))
        np.testing.assert_allclose(law.cdf(found, mean).mean(0), levels, atol=off)
        assert law.cdf(found, mean).mean(0)[0] == pytest.approx(levels[0], rel=0.1)


def test_laws_that_jump_and_single_levels_are_mixed_too():
    levels, jumps = np.array([0.1, 0.3, 0.5, 0.7, 0.9]), np.float32([[0, 0, 0, 1, 2], [4, 4, 4, 4, 4]])
    np.testing.assert_allclose(mixture(jnp.asarray(jumps), levels), [0, 0.483, 4, 4, 4], atol=1e-3)
    np.testing.assert_array_equal(mixture(jnp.float32([[1], [2], [6]]), np.array([0.5])), [2])


def test_quantiles_of_a_mixture_never_cross():
    rng, levels = np.random.default_rng(0), np.array(LEVELS)
    whole = np.sort(np.rint(rng.normal(2 * rng.normal(size=(3, 200, 1)), 2, (3, 200, len(levels)))), axis=-1)
    assert np.diff(mixture(jnp.asarray(whole, jnp.float32), levels)).min() >= 0  # of members with ties and jumps


def test_passes_with_dropout_mix_what_each_would_say(series_windows):
    task, picked = Forecast(4, loss="mse"), anchors(series_windows)[:6]
    model = SHAPE.build(task, series_windows)
    told: Any = model
    model.head.out.kernel[...] = jax.random.normal(jax.random.PRNGKey(1), model.head.out.kernel.shape)
    batch = gather(series_windows, jnp.asarray(picked))
    keys = jax.random.split(jax.random.PRNGKey(7), 5)
    outputs = jax.jit(lambda key: told(batch, key, last=True))
    each: Any = jnp.stack([outputs(key) for key in keys])
    assert float(each.std(0).max()) > 0.01
    mixed = jax.jit(lambda batch: Sampled(model, 5, 7)(batch, last=True))(batch)
    np.testing.assert_allclose(mixed, each.mean(0), atol=1e-5)
    found: Any = predict(Sampled(model, 5, 7), None, series_windows, picked)
    np.testing.assert_allclose(found.mean_NxVxH, each.mean(0)[:, :, -1, :, 0], atol=1e-5)
