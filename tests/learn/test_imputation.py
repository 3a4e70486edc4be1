"""Gaps: what is hidden reaches no output, which samples are hidden, what they are told from, and that it is learned."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from learn.baselines import GapRidge, Interpolated, LastSeen, RepeatLast, SameHourBetween
from learn.models.linear import Linear
from learn.models.recurrent import Recurrent
from learn.models.twinformer import TwinFormer
from learn.scores.evaluate import forecast_truth
from learn.serving.export import Source
from learn.serving.predict import predict
from learn.tasks import Forecast, Imputation
from learn.training.fit import Budget, fit
from learn.training.losses import loss
from learn.training.update import Optim
from learn.windows.batch import Windows, anchors, gather
from learn.windows.gaps import addresses, blocks, hidden_of
from sim.errors import InputError
from twins.channel import Role
from twins.episode import Episode, Series

TASK = Imputation(12, longest=8)
SHAPE = TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=6)
CONTEXT = 24


def signals(run, n=300):
    """A meter, its neighbour and what both follow; some of it missing."""
    rng = np.random.default_rng(run)
    swing = np.cumsum(rng.normal(size=n))
    swing -= np.convolve(swing, np.ones(24) / 24, mode="same")
    x = {"meter": 2 * swing + 0.1 * rng.normal(size=n), "other": rng.normal(size=n), "swing": swing}
    x["meter"][rng.random(n) < 0.05] = np.nan
    roles = (Role.TARGET, Role.TARGET, Role.KNOWN)
    series = [
        Series("m", k, "1", r, v.astype(np.float32), step_h=1.0) for (k, v), r in zip(x.items(), roles, strict=True)
    ]
    return Episode(run, "m", tuple(series), end_h=float(n))


@pytest.fixture(scope="module")
def windows():
    return Windows.of([signals(run) for run in range(3)], context=CONTEXT, task=TASK)


def awake(model):
    """Every parameter moved, so that nothing is zero by its beginning."""
    graphdef, params = nnx.split(model)
    leaves, structure = jax.tree.flatten(params)
    rng = np.random.default_rng(0)
    return nnx.merge(graphdef, jax.tree.unflatten(structure, [x + 0.1 * rng.normal(size=x.shape) for x in leaves]))


@pytest.mark.parametrize(
    "shape",
    [SHAPE, replace(SHAPE, overlap=3, growth=True), Recurrent(**vars(SHAPE)), Linear()],
    ids=lambda s: str(s)[:9],
)
def test_nothing_hidden_reaches_an_output_and_both_sides_do(windows, shape):
    model, at = awake(shape.build(TASK, windows)), jnp.asarray([[0, 100], [1, 77], [2, 250]])
    values = jnp.nan_to_num(windows.values_ExVxL, nan=0.0)

    def told(values_ExVxL):
        out = jnp.sin(model(gather(replace(windows, values_ExVxL=values_ExVxL), at)))
        return jnp.stack((out[:, :, -1].sum(), out.sum()))

    gradient = np.asarray(jax.jit(jax.jacrev(told))(values))  # of the newest outputs, and of all
    hide_NxVxH = hidden_of(windows, at)
    for n, (e, k) in enumerate(np.asarray(at)):
        asked = [g[e, :, CONTEXT + k : CONTEXT + k + 12] for g in gradient]
        for v in (0, 1):
            gap_H = hide_NxVxH[n, v]
            first, last = np.flatnonzero(gap_H)[[0, -1]]
            for each in asked:
                assert (each[v][gap_H] == 0).all()
            if not getattr(shape, "growth", False):  # which sees nothing below 0
                assert asked[0][v, last + 1] != 0
                assert gradient[0][e, v, CONTEXT + k + first - 1] != 0
        assert (asked[0][2] != 0).all()  # what is no target is seen throughout


def test_hidden_samples_that_were_read_are_what_counts_and_the_rest_of_the_window_is_seen(windows):
    at = anchors(windows)[::41]
    batch, hide = gather(windows, jnp.asarray(at)), hidden_of(windows, at)
    truth = forecast_truth(windows, at, windows)
    np.testing.assert_array_equal(batch.future_mask_BxVxH, truth.mask_NxVxH)
    assert not truth.mask_NxVxH[~hide].any()
    assert not truth.mask_NxVxH[:, 2].any()
    for n, (e, k) in enumerate(at):
        real = np.asarray(windows.values_ExVxL)[e, :, k + 12 : k + 12 + CONTEXT]
        seen = np.isfinite(real)
        seen[:2, -12:] &= ~hide[n, :2]
        np.testing.assert_array_equal(batch.mask_BxVxT[n], seen)
        np.testing.assert_array_equal(batch.x_BxVxT[n], np.where(seen, real, 0))
        np.testing.assert_array_equal(truth.y_NxVxH[n], np.asarray(windows.values_ExVxL)[e, :, k + CONTEXT :][:, :12])
    noon = np.asarray(gather(windows, jnp.asarray([[0, 36]])).time_BxTxF)[0, :, 0]  # of samples 24 … 47
    hour = np.asarray(windows.hour_ExL)[0, CONTEXT + 24 : CONTEXT + 48]
    np.testing.assert_allclose(noon, np.sin(2 * np.pi * hour / 24), atol=1e-5)


def test_blocks_are_told_by_seed_episode_anchor_and_target_alone(windows):
    at = anchors(windows)
    all_of_them = hidden_of(windows, at)
    jitted = jax.jit(lambda a, k: blocks(TASK, a, k, 3))
    np.testing.assert_array_equal(jitted(addresses(windows.runs, windows.assets)[at[:, 0]], at[:, 1]), all_of_them)
    np.testing.assert_array_equal(hidden_of(windows, at[5:9]), all_of_them[5:9])  # whatever else is in the batch
    alone = Windows.of([signals(2)], context=CONTEXT, task=TASK)  # wherever the episode lies
    there = at[at[:, 0] == 2]
    np.testing.assert_array_equal(hidden_of(alone, there * [0, 1]), all_of_them[at[:, 0] == 2])
    assert (hidden_of(replace(windows, hides=replace(TASK, seed=1)), at) != all_of_them).any((1, 2)).mean() > 0.9
    length_NxV = all_of_them.sum(-1)
    assert (np.diff(all_of_them.astype(int), prepend=0, append=0) == 1).sum(-1).max() == 1  # one block each
    assert not all_of_them[..., -1].any()
    share = np.bincount(length_NxV.ravel(), minlength=9)[1:] / length_NxV.size
    np.testing.assert_allclose(share, 1 / 8, atol=0.03)
    first_N = all_of_them[:, 0][length_NxV[:, 0] == 4].argmax(-1)
    np.testing.assert_allclose(np.bincount(first_N, minlength=8) / len(first_N), 1 / 8, atol=0.1)
    assert abs(np.corrcoef(length_NxV[:, 0], length_NxV[:, 1])[0, 1]) < 0.1


@pytest.mark.parametrize(
    ("given", "field"), [({"shortest": 0}, "shortest"), ({"shortest": 9}, "shortest"), ({"longest": 12}, "longest")]
)
def test_blocks_that_cannot_be_are_refused(given, field):
    with pytest.raises(InputError, match=rf"Imputation\.{field}"):
        Imputation(12, **{"longest": 8} | given)


def test_baselines_that_read_both_sides_are_exact_where_they_ought_to_be():
    hours, day = np.arange(400.0), np.tile([0.0, 3, 1, 4, 1, 5], 67)[:400]
    parts = {"line": 5 + 0.25 * hours, "steps": day + 0.25 * hours, "follows": 3 * np.sin(hours**2) + hours}
    series = [Series("m", k, "1", Role.TARGET, v.astype(np.float32), step_h=1.0) for k, v in parts.items()]
    shown = Series("m", "shown", "1", Role.PAST, np.sin(hours**2).astype(np.float32), step_h=1.0)
    one = Windows.of([Episode(0, "m", (*series, shown), end_h=400.0)], context=24, task=TASK)
    asked = anchors(one)[::7]
    truth = forecast_truth(one, asked, one)

    def error(baseline, v):
        told = baseline.fit(one, one, TASK)(one, asked)
        mask = truth.mask_NxVxH[:, v]
        np.testing.assert_allclose(told.quantiles_NxVxHxQ[..., 10], told.mean_NxVxH, atol=1e-6)
        return np.abs(told.mean_NxVxH - truth.y_NxVxH)[:, v][mask].max()

    assert error(Interpolated(), 0) < 1e-5
    assert error(LastSeen(), 0) == pytest.approx(8 * 0.25 / one.scale.std[0], rel=1e-3)  # the end of the longest gap
    assert error(SameHourBetween(12.0), 1) < 1e-5
    assert error(Interpolated(), 1) > 0.01
    assert error(GapRidge(), 2) < 0.05 * error(Interpolated(), 2)
    with pytest.raises(InputError, match="task=imputation"):
        Interpolated().fit(replace(one, hides=None), replace(one, hides=None), TASK)


def test_a_baseline_reads_nothing_that_is_hidden(windows):
    at = anchors(windows)[40:41]
    (e, k), hide = at[0], hidden_of(windows, at)[0] & np.array([[True], [True], [False]])
    told = [b.fit(windows, windows, TASK) for b in (LastSeen(), Interpolated(), SameHourBetween(6.0), GapRidge())]
    values = np.array(windows.values_ExVxL)
    values[e, :, CONTEXT + k : CONTEXT + k + 12][hide] = 1e3
    other = replace(windows, values_ExVxL=values)
    for fitted in told:
        np.testing.assert_array_equal(fitted(windows, at).quantiles_NxVxHxQ, fitted(other, at).quantiles_NxVxHxQ)


def test_a_small_training_ends_below_interpolation():
    train = Windows.of([signals(run) for run in range(6)], context=CONTEXT, task=TASK)
    held, test = (Windows.of([signals(run)], context=CONTEXT, task=TASK, scale=train.scale) for run in (8, 9))
    model = SHAPE.build(TASK, train)
    asked = anchors(test)[::3]

    def crps(prediction):
        batch = gather(test, jnp.asarray(asked))
        total, count = loss(TASK, jnp.asarray(prediction.quantiles_NxVxHxQ)[:, :, None], batch)
        return float(total / count)

    budget = Budget(steps=120, batch=16, chunk=40, validate_every=40, validation_windows=64, stride=2)
    done = fit(model, train, held, Optim(learning_rate=5e-3), budget)
    line = Interpolated().fit(train, held, TASK)(test, asked)
    assert crps(predict(model, done.params, test, asked)) < 0.95 * crps(line)


def test_an_exported_model_fills_what_is_missing_among_the_newest_samples(windows, tmp_path):
    roles = ("target", "target", "known")
    source = Source(awake(SHAPE.build(TASK, windows)), TASK, CONTEXT, windows.scale, roles, windows.step_h)
    bundle = source.write(tmp_path / "gaps.zip", {"name": "gaps"}, {})
    at = np.array([[0, 100], [1, 130]])
    given = np.stack([np.array(windows.values_ExVxL)[e, :, k + 12 : k + 12 + CONTEXT] for e, k in at])
    given[:, :2, -12:][hidden_of(windows, at)[:, :2]] = np.nan
    newest_h = np.asarray(windows.hour_ExL)[at[:, 0], CONTEXT + at[:, 1] + 11]
    told = bundle.predict(np.asarray(windows.scale.restore(given)), newest_h)
    found: Any = predict(source.module, None, windows, at)
    expected = found.quantiles_NxVxHxQ[:, :2]
    ours = windows.scale.restore(np.pad(expected, ((0, 0), (0, 1), (0, 0), (0, 0))), 2)[:, :2]
    np.testing.assert_allclose(told["quantiles"], ours, rtol=1e-3, atol=1e-3)
    assert "newest 12 samples" in bundle.manifest["outputs"]["mean"]["what"]


def test_a_forecast_is_as_it_was(windows):
    plain = Windows.of([signals(0)], context=CONTEXT, task=Forecast(12))
    assert plain.hides is None
    assert hidden_of(plain, [[0, 50]]) is None
    RepeatLast().fit(plain, plain, Forecast(12))
