"""Remaining life: what is known of it, what is scored, and baselines and models that tell it."""

from dataclasses import replace
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st

from learn.baselines import AgeLife, FeatureRidge, LifeTrees
from learn.baselines.lives import left
from learn.models.linear import Linear
from learn.models.twinformer import TwinFormer
from learn.scores.evaluate import Row, evaluate, event_anchors, event_truth, life_anchors, life_truth
from learn.scores.metrics import LifePrediction, LifeTruth, life_scores
from learn.serving.predict import predict
from learn.tasks import LEVELS, RemainingLife, TimeToEvent
from learn.training.fit import Budget, fit
from learn.training.losses import loss, remaining
from learn.training.update import Optim
from learn.windows.batch import Windows, anchors, gather
from sim.errors import InputError
from twins.channel import Role
from twins.episode import CENSORED, PLANNED, Episode, Series, Spell
from twins.observed import Cuts, Table, ensure_observed

TASK = RemainingLife(cap=20.0)
NANO = TwinFormer(width=16, layers=1, heads=2, hidden=16, patch=6)


def record(spells, hours=100, run=0, values=None):
    values = np.zeros(hours) if values is None else values
    series = Series("m1", "hint", "1", Role.PAST, values.astype(np.float32), step_h=1.0)
    return Episode(run, "m1", (series,), spells=tuple(spells), end_h=float(hours))


def told(spells, task=TASK, at=None):
    """Life left and whether it is known at the moments *at*, and the last moment that can be asked for."""
    windows = Windows.of([record(spells)], context=4, task=task)
    y, known = left(windows, np.array([[0, k] for k in at]), task)
    return y.tolist(), known.tolist(), windows.last[0]


def test_a_life_is_known_where_it_failed_or_outlived_the_cap():
    spells = [Spell(0, 50, "wear", 50), Spell(55, 90, PLANNED, 35), Spell(92, 100, CENSORED, 8)]
    y, known, last = told(spells, at=[10, 35, 49, 52, 60, 75])
    assert y == [20, 15, 1, 0, 20, 0]
    assert known == [True, True, True, False, True, False]
    assert last == 80  # of what begins later, only failures would be known


def test_a_planned_end_counts_for_nothing_where_the_life_without_it_is_known():
    spells = [Spell(0, 50, PLANNED, 50, unmaintained_h=60.0), Spell(52, 100, CENSORED, 48)]
    y, known, _ = told(spells, at=[30, 45, 49, 51])
    assert y == [20, 15, 11, 0]
    assert known == [True, True, True, False]


def test_a_record_that_ends_with_its_life_is_asked_to_the_end():
    assert told([Spell(0, 100, "wear", 100)], at=[99])[::2] == ([1], 100)
    cut = [Spell(0, 100, CENSORED, 100, unmaintained_h=107.0)]
    windows = Windows.of([record(cut)], context=4, task=TASK)
    assert life_anchors(windows, None).tolist() == [[0, 100]]
    assert life_truth(windows, life_anchors(windows, None), TASK).y_N.tolist() == [7]


def test_lives_that_a_cut_in_time_ends_are_at_risk_up_to_it_and_no_failure_is_known_beyond(tmp_path):
    """Three assets: one fails at the very end of training, one in validation, one at the very end of all."""
    rows = [f"{asset},{k},1" for asset, n in {"a": 12, "b": 14, "c": 24}.items() for k in range(n)]
    (tmp_path / "plant.csv").write_text("\n".join(["id,t,x", *rows]) + "\n")
    table = Table(str(tmp_path / "plant.csv"), time="t", asset="id", ends="wear", splits=Cuts(12, 6))
    dataset = ensure_observed(table, tmp_path / "data")

    def told(split, task):
        windows = Windows.of(dataset, split, context=2, task=task)
        asked = anchors(windows, at_risk=True)
        at = asked[:, 0], asked[:, 1] + 1
        found = np.asarray(windows.event_h_ExL)[at] + asked[:, 1], np.asarray(windows.cause_ExL)[at]
        return {windows.assets[e]: set(zip(*(x[asked[:, 0] == e].tolist() for x in found), strict=True)) for e in at[0]}

    events = TimeToEvent(edges_h=(4.0,), horizon_h=4.0)  # when each life ends that is at risk, and of which cause
    assert told("train", events) == {"a": {(12, 1)}, "b": {(12, 0)}, "c": {(12, 0)}}
    assert told("validation", events) == {"b": {(14, 1)}, "c": {(18, 0)}}
    assert told("test", events) == {"c": {(24, 1)}}
    left = RemainingLife(cap=4.0)
    assert told("train", left) == {"a": {(12, 1)}, "b": {(12, 0)}, "c": {(12, 0)}}
    assert told("test", left) == {"c": {(24, 1)}}
    # of what begins within the cap of a cut only failures would be known, whichever asset it is of
    asked = {split: Windows.of(dataset, split, context=2, task=left).last for split in dataset.splits}
    assert asked == {"train": (8, 8, 8), "validation": (12, 14, 14), "test": (12, 14, 24)}


def test_records_that_end_in_failure_are_asked_of_it_up_to_the_end():
    """Of those alive at any moment as many fail within the horizon as do, not only those that outlive it by far."""
    rng, horizon = np.random.default_rng(0), 20.0
    long = [max(int(np.ceil(rng.exponential(40))), 3) for _ in range(300)]
    records = [record([Spell(0, n, "wear", n)], n, run) for run, n in enumerate(long)]
    task = TimeToEvent(edges_h=(horizon,), horizon_h=horizon)
    windows = Windows.of(records, context=2, task=task)
    asked = event_anchors(windows, horizon, 1.0)
    truth = event_truth(records, asked, 1.0, horizon)
    assert truth.known_N.all()
    assert len(asked) == len(anchors(windows, at_risk=True))
    assert truth.failed_N.mean() == pytest.approx(-np.expm1(-horizon / 40), abs=0.04)
    cut = replace(windows, until_h=60.0)
    assert event_anchors(cut, horizon, 1.0)[:, 1].max() == 40
    lost = Windows.of([record([Spell(0, 60, CENSORED, 60)], 60)], context=2, task=task)
    assert event_anchors(lost, horizon, 1.0)[:, 1].max() == 40


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_follow_up_does_not_prefer_short_lives(seed):
    """Of every moment asked the life is known, so that none is left out for being long."""
    rng = np.random.default_rng(seed)
    spells, at = [], 0.0
    while at < 100:
        end = min(at + rng.exponential(30), 100.0)
        spells.append(Spell(at, end, "wear" if end < 100 else CENSORED, end - at))
        at = end + 1
    windows = Windows.of([record(spells)], context=4, task=TASK)
    asked = [(e, k) for e, k in anchors(windows, at_risk=True)]
    assert left(windows, np.array(asked), TASK)[1].all()


def test_unknown_lives_count_nothing_and_have_no_gradient():
    y, known = remaining(jnp.array([5.0, 30.0, 30.0, 5.0, jnp.nan]), jnp.array([1, 2, 0, 0, -1]), TASK)
    assert known.tolist() == [True, True, True, False, False]
    assert y.tolist() == [5, 20, 20, 0, 0]
    windows = Windows.of([record([Spell(0, 50, PLANNED, 50)])], context=12, task=replace(TASK, cap=40.0))
    batch = gather(windows, jnp.asarray([[0, 45]]))
    task = replace(TASK, cap=40.0)
    total, count = loss(task, jnp.zeros((1, 2, len(LEVELS))), batch)
    assert (float(total), int(count)) == (0.0, 0)
    assert np.isfinite(jax.grad(lambda q: loss(task, q, batch)[0])(jnp.zeros((1, 2, len(LEVELS))))).all()


def test_scores_by_hand():
    task = RemainingLife(cap=100.0, quantiles=(0.05, 0.5, 0.95))
    truth = LifeTruth(np.array([20.0, 50.0, 70.0]), np.array([True, True, False]))
    told = LifePrediction(np.array([7.0, 60.0, 0.0]), np.array([[0, 7, 21], [51, 60, 70], [0, 0, 0]]), LEVELS[1:4])
    told = replace(told, levels=np.asarray(task.quantiles))
    found = {name: score(np.zeros(3, int), np.ones((1, 1)))[0] for name, score in life_scores(told, truth).items()}
    assert found["rmse"] == pytest.approx(np.sqrt((13**2 + 10**2) / 2))
    assert found["mae"] == pytest.approx(11.5)
    assert found["nasa"] == pytest.approx(np.e - 1)  # 13 early costs what 10 late costs
    assert found["coverage_90"] == 0.5


def test_an_oracles_error_is_rid_of_its_few_members():
    rng = np.random.default_rng(0)
    y, members = rng.normal(50, 5, 20_000), rng.normal(50, 5, (20_000, 4))
    task, truth = RemainingLife(cap=100.0), LifeTruth(y, np.ones(len(y), bool))
    few = LifePrediction.ensemble(members, task)
    one = np.zeros(len(y), int), np.ones((1, 1))
    assert life_scores(few, truth)["rmse"](*one)[0] == pytest.approx(5, rel=0.02)
    as_it_stands = life_scores(replace(few, members_NxS=None), truth)["rmse"](*one)[0]
    assert as_it_stands == pytest.approx(5 * np.sqrt(1.25), rel=0.02)  # the planted fault


def test_a_table_of_lives_has_skill_and_calibration():
    rng = np.random.default_rng(1)
    y = rng.uniform(0, 20, 400)
    rows = {
        "age": Row("naive", LifePrediction.of(np.broadcast_to(np.linspace(0, 20, 21), (400, 21)), TASK)),
        "model": Row("model", LifePrediction.of(y[:, None] + np.linspace(-4, 4, 21), TASK)),
        "oracle": Row("oracle", LifePrediction.ensemble(y[:, None] + rng.normal(0, 1, (400, 8)), TASK)),
    }
    found = evaluate("life", rows, LifeTruth(y, y > 1), np.arange(400) // 20, primary="rmse", resamples=50)
    assert found["scored"] == (y > 1).sum()
    model = next(row for row in found["rows"] if row["name"] == "model")
    assert 0.8 < model["skill"]["mean"] <= 1
    assert len(found["calibration"]["model"]) == len(LEVELS)
    with pytest.raises(TypeError, match="row 'x' predicts ForecastPrediction"):
        evaluate("life", {"x": Row("model", rows["age"].prediction.forecast)}, LifeTruth(y, y > 1), range(400))


def wearing(run, hours=700):
    """A machine with exponential lives of 40 h mean, and one sensor that shows how near the next end is."""
    rng = np.random.default_rng(run)
    ends = np.cumsum(rng.exponential(40, 80))
    time_h = np.arange(hours)
    nearness = np.minimum(ends[np.searchsorted(ends, time_h, side="right")] - time_h, 40)
    edges = [0.0, *ends[ends < hours], float(hours)]
    spells = [Spell(a, b, "wear" if b < hours else CENSORED, b - a) for a, b in pairwise(edges)]
    return record(spells, hours, run, nearness + rng.normal(0, 1, hours))


@pytest.fixture(scope="module")
def plants():
    train = Windows.of([wearing(run) for run in range(20)], context=12, task=TASK)
    other = (range(20, 28), range(28, 36))
    return train, *(Windows.of([wearing(r) for r in runs], context=12, task=TASK, scale=train.scale) for runs in other)


def rmse(prediction, windows, asked):
    y, known = left(windows, asked, TASK)
    assert np.all(np.diff(prediction.quantiles_NxQ) >= -1e-6)
    assert prediction.quantiles_NxQ.min() >= 0
    assert prediction.quantiles_NxQ.max() <= TASK.cap
    return float(np.sqrt(np.mean((prediction.mean_N - y)[known] ** 2)))


def test_age_tells_of_memoryless_lives_their_mean_up_to_the_cap(plants):
    train, validation, test = plants
    asked = life_anchors(test, 5)
    found = AgeLife().fit(train, validation, TASK)(test, asked)
    assert found.mean_N.mean() == pytest.approx(40 * -np.expm1(-20 / 40), rel=0.06)
    assert found.mean_N.std() < 1.5  # whatever the age


def test_regressions_read_the_sensor_and_their_bands_hold(plants):
    train, validation, test = plants
    asked = life_anchors(test, 5)
    naive = rmse(AgeLife().fit(train, validation, TASK)(test, asked), test, asked)
    y, _ = left(test, asked, TASK)
    for baseline in (LifeTrees(rows=4000, leaves=(8,)), FeatureRidge(rows=4000)):
        found = baseline.fit(train, validation, TASK)(test, asked)
        assert rmse(found, test, asked) < 0.5 * naive
        low, high = (found.quantiles_NxQ[:, LEVELS.index(q)] for q in (0.1, 0.9))
        assert ((low - 1e-6 <= y) & (y <= high + 1e-6)).mean() > 0.75


@pytest.mark.parametrize("shape", [NANO, Linear()])
def test_models_learn_lives(plants, shape):
    train, _, test = plants
    asked = life_anchors(test, 5)
    model = shape.build(TASK, train)
    before = rmse(predict(model, None, test, asked), test, asked)
    fitted = fit(model, train, None, Optim(5e-3), Budget(steps=200, batch=32, chunk=100))
    assert rmse(predict(model, fitted.params, test, asked), test, asked) < 0.6 * before


def test_a_life_told_at_a_patch_does_not_see_what_comes_after_it(plants):
    model = NANO.build(TASK, plants[0])
    assert model.head.out.kernel is not None
    model.head.out.kernel[...] = jax.random.normal(jax.random.key(0), model.head.out.kernel.shape)
    batch = gather(plants[0], jnp.asarray([[0, 60]]))
    outputs = jax.jit(lambda batch: model(batch))
    out = outputs(batch)
    assert out.shape == (1, 2, len(LEVELS))
    changed = outputs(batch._replace(x_BxVxT=batch.x_BxVxT.at[..., 6:].add(3.0)))
    np.testing.assert_allclose(out[:, 0], changed[:, 0], rtol=1e-5)
    assert not np.allclose(out[:, 1], changed[:, 1])
    assert isinstance(model, nnx.Module)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cap": 0}, "cap is 0; it must be above 0"),
        ({"unit_h": -1}, "unit_h is -1"),
        ({"unit": ""}, "unit"),
        ({"causes": ()}, "causes"),
        ({"quantiles": (0.5,)}, "at least 3 levels"),
        ({"quantiles": (0.5, 0.4, 0.6)}, "rise strictly"),
    ],
)
def test_an_impossible_question_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        RemainingLife(**values)


def test_lives_that_nobody_knows_are_refused():
    windows = Windows.of([record([Spell(0, 15, PLANNED, 15)])], context=4, task=TASK)
    with pytest.raises(InputError, match="no life is known as far as the cap of 20 h"):
        FeatureRidge().fit(windows, windows, TASK)
    short = Windows.of([record([Spell(0, 15, CENSORED, 15)], hours=15)], context=4, task=TASK)
    with pytest.raises(InputError, match="no asset is at risk at any moment"):
        life_anchors(short, None)
