"""Frames: where they lie in a window, that no truth reaches a model, that a model finds marks, and their scores."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from sklearn.metrics import average_precision_score

from learn.baselines import DefectLogistic, DefectTrees, RateByLevel, RateByVerdict
from learn.models.linear import Linear
from learn.models.twinformer import TwinFormer
from learn.scores.evaluate import class_truth
from learn.scores.metrics import EventPrediction, EventTruth, event_scores
from learn.serving.predict import predict
from learn.tasks import Classify
from learn.training.fit import Budget, fit
from learn.training.losses import loss
from learn.training.update import Optim
from learn.windows.batch import Windows, anchors, gather
from sim.errors import InputError
from twins.channel import Role
from twins.episode import Episode, Series

TASK = Classify(marks="marks", kinds=("blot", "line"))
SMALL = TwinFormer(width=32, layers=1, heads=2, hidden=48, patch=1, frame_patch=4)


def episode(run, n=120, side=8):
    """Frames with blots (a bright square) that make a sample bad, and a code that tells of it with errors."""
    rng = np.random.default_rng(run)
    bad = rng.random(n) < 0.4
    marks, grey = np.zeros((n, side, side), np.float32), rng.normal(0, 0.3, (n, side, side)).astype(np.float32)
    for i in np.flatnonzero(bad):
        r, c = rng.integers(0, side - 3, 2)
        marks[i, r : r + 3, c : c + 3] = 1
    verdict = np.where(rng.random(n) < 0.3, ~bad, bad).astype(np.float32)
    times_h = np.sort(rng.random(n)) * n
    named = {
        "verdict": (verdict, Role.PAST),
        "frame": (grey + marks, Role.PAST),
        "defective": (bad.astype(np.float32), Role.TRUTH),
        "marks": (marks, Role.TRUTH),
    }
    return Episode(run, "q", tuple(Series("q", k, "1", role, x, times_h=times_h) for k, (x, role) in named.items()))


EPISODES = [episode(i) for i in range(4)]
TRAIN = Windows.of(EPISODES[:2], context=5, task=TASK)
OTHER, TEST = (Windows.of([EPISODES[i]], context=5, task=TASK, scale=TRAIN.scale) for i in (2, 3))


def shuffled(episode):
    """The same with its truth in another order."""
    series = [
        s if s.role is not Role.TRUTH else Series(*s.key, s.unit, s.role, s.values[::-1].copy(), times_h=s.times_h)
        for s in episode.series
    ]
    return Episode(episode.run, episode.asset, tuple(series))


def awake(model):
    """The model with its last layers, which start at zero, at work."""
    for i, layer in enumerate((model.head.out, model.marks)):
        layer.kernel[...] = 0.1 * jax.random.normal(jax.random.PRNGKey(i), layer.kernel.shape)
    return model


FRESH = SMALL.build(TASK, TRAIN)
MODEL = awake(SMALL.build(TASK, TRAIN))
every, last = jax.jit(lambda batch: MODEL(batch)), jax.jit(lambda batch: MODEL(batch, last=True))
few = jax.jit(lambda anchors_Bx2: gather(TRAIN, anchors_Bx2))


def test_a_window_holds_the_frames_before_its_anchor_and_their_marks():
    batch = few(jnp.asarray([[1, 9], [0, 5]]))
    frame = TRAIN.scale.frames[0]
    values = {s.quantity: s.values for s in EPISODES[1].series}
    np.testing.assert_allclose(batch.frames[0][0] * frame.std + frame.mean, values["frame"][4:9], atol=1e-5)
    assert np.array_equal(batch.marks_BxTxHxW[0], values["marks"][4:9])
    assert batch.cause_BxL[0].tolist() == values["defective"][4:9].tolist()


def test_no_truth_is_among_what_a_model_sees():
    plain, other = (
        Windows.of([e], context=5, task=TASK, scale=TRAIN.scale) for e in (EPISODES[3], shuffled(EPISODES[3]))
    )
    a, b = (jax.jit(gather)(w, jnp.asarray(anchors(w)[::60])) for w in (plain, other))
    assert not np.array_equal(a.marks_BxTxHxW, b.marks_BxTxHxW)
    for x, y in zip(jax.tree.leaves(every(a)), jax.tree.leaves(every(b)), strict=True):
        assert np.array_equal(x, y)


def test_a_moment_depends_on_no_later_frame():
    batch = few(jnp.asarray([[0, 20], [1, 50]]))
    later = batch._replace(frames=(batch.frames[0].at[:, 3:].add(1.0),))
    a, b, newest = every(batch), every(later), last(batch)
    assert np.array_equal(a.logits_BxPxC[:, :3], b.logits_BxPxC[:, :3])
    assert np.array_equal(a.marks_BxPxHxWxK[:, :3], b.marks_BxPxHxWxK[:, :3])
    assert not np.allclose(a.logits_BxPxC[:, 3:], b.logits_BxPxC[:, 3:])
    np.testing.assert_allclose(newest.logits_BxPxC[:, 0], a.logits_BxPxC[:, -1], atol=1e-5)
    np.testing.assert_allclose(newest.marks_BxPxHxWxK[:, 0], a.marks_BxPxHxWxK[:, -1], atol=1e-5)


def test_the_loss_is_the_cross_entropy_of_classes_and_pixels():
    batch = few(jnp.asarray([[0, 20], [1, 50]]))
    told = every(batch)
    total, count = jax.jit(loss, static_argnums=0)(TASK, told, batch)
    p, label = np.asarray(jax.nn.softmax(told.logits_BxPxC)), np.asarray(batch.cause_BxL)
    of_class = -np.log(np.take_along_axis(p, label[..., None], -1))
    q, marks = np.asarray(jax.nn.sigmoid(told.marks_BxPxHxWxK)), np.asarray(batch.marks_BxTxHxW)
    bits = np.stack([marks & 1, marks >> 1 & 1], axis=-1)
    of_pixels = -(bits * np.log(q) + (1 - bits) * np.log(1 - q)).sum(-1).mean((-1, -2))
    assert count == 10
    assert float(total) == pytest.approx(of_class.sum() + of_pixels.sum(), rel=1e-4)


def test_a_model_finds_the_marks_and_by_them_the_class():
    budget = Budget(steps=120, batch=24, chunk=40, validate_every=40, validation_windows=64)
    done = fit(FRESH, TRAIN, OTHER, Optim(1e-2), budget)
    asked = anchors(TEST)
    truth = class_truth(TEST, asked)
    found = predict(FRESH, done.params, TEST, asked)
    everything = np.zeros(len(asked), int), np.ones((1, 1))
    scores = {name: float(s(*everything)[0]) for name, s in event_scores(found, truth).items()}
    naive = RateByVerdict().fit(TRAIN, OTHER, TASK)(TEST, asked)
    assert scores["brier"] < 0.5 * float(event_scores(naive, truth)["brier"](*everything)[0])
    assert scores["iou"] > 0.5
    assert scores["average_precision"] > 0.7
    # The planted fault, marks that are those of other samples, is told apart.
    mixed = truth._replace(marks_NxHxW=truth.marks_NxHxW[::-1])
    assert float(event_scores(found, mixed)["iou"](*everything)[0]) < 0.3


def heard(run, n=150, samples=32):
    """Waveforms of which every other one is louder in its high band, and that is what makes a sample bad."""
    rng = np.random.default_rng(run)
    bad = rng.random(n) < 0.4
    high = np.sin(2.4 * np.arange(samples) + rng.uniform(0, 7, (n, 1))) * bad[:, None]
    wave = rng.normal(0, 0.5, (n, samples)) + np.sin(0.2 * np.arange(samples) + rng.uniform(0, 7, (n, 1))) + high
    verdict = np.where(rng.random(n) < 0.3, ~bad, bad).astype(np.float32)
    times_h = np.arange(n) + 0.5
    named = {
        "verdict": (verdict, Role.PAST),
        "waveform": (wave.astype(np.float32), Role.PAST),
        "defective": (bad.astype(np.float32), Role.TRUTH),
    }
    return Episode(run, "q", tuple(Series("q", k, "1", role, x, times_h=times_h) for k, (x, role) in named.items()))


def test_a_model_hears_the_class_in_a_waveform():
    task, shape = Classify(), TwinFormer(width=32, layers=1, heads=2, hidden=48, patch=1, wave_patch=8)
    train = Windows.of([heard(0), heard(1)], context=3, task=task)
    other, test = (Windows.of([heard(i)], context=3, task=task, scale=train.scale) for i in (2, 3))
    net, asked = shape.build(task, train), anchors(test)
    budget = Budget(steps=80, batch=32, chunk=40, validate_every=40, validation_windows=64)
    done = fit(net, train, other, Optim(5e-3), budget)
    failed = class_truth(test, asked).failed_N
    deaf = RateByVerdict().fit(train, other, task)(test, asked).p_N

    def brier(p_N):
        return float(np.mean((p_N - failed) ** 2))

    assert brier(predict(net, done.params, test, asked).p_N) < 0.5 * brier(deaf)
    assert brier(DefectLogistic("frames").fit(train, other, task)(test, asked).p_N) < 0.5 * brier(deaf)
    # The planted fault, waveforms that are those of other samples, is told apart.
    mixed = replace(test, frames=(test.frames[0][:, ::-1],))
    assert brier(predict(net, done.params, mixed, asked).p_N) > brier(deaf)


def test_scores_of_marks_are_the_textbook_s():
    rng = np.random.default_rng(0)
    truth, p = rng.integers(0, 4, (30, 6, 6)).astype(np.uint8), rng.random((30, 6, 6, 2))
    p[..., 0] = np.clip(p[..., 0] * 0.6 + 0.4 * (truth & 1), 0, 1)
    scores = event_scores(
        EventPrediction(np.full(30, 0.5), marks_NxHxWxK=p), EventTruth(truth[:, 0, 0] > 1, truth[:, 0, 0] < 9, truth)
    )
    bits = np.stack([truth & 1, truth >> 1 & 1], axis=-1).astype(bool)
    once, twice = (np.arange(30) % 3, np.ones((1, 3))), (np.arange(30) % 3, np.array([[2.0, 0.0, 1.0]]))
    for weigh, index in ((once, np.arange(30)), (twice, np.r_[0:30:3, 0:30:3, 2:30:3])):
        want = average_precision_score(bits[index].ravel(), p[index].ravel())
        assert scores["average_precision"](*weigh)[0] == pytest.approx(want, abs=2e-3)
        inside = (p[index] > 0.5) & bits[index]
        assert scores["iou"](*weigh)[0] == pytest.approx(inside.sum() / ((p[index] > 0.5) | bits[index]).sum())


def test_a_rule_of_levels_gives_the_rates_of_windows_like_it():
    asked = anchors(TEST)
    rule = RateByLevel("verdict", samples=1, bins=2)
    alone = RateByVerdict().fit(TRAIN, OTHER, TASK)(TEST, asked).p_N
    np.testing.assert_allclose(rule.fit(TRAIN, OTHER, TASK)(TEST, asked).p_N, alone)
    p_N = replace(rule, samples=3, bins=10).fit(TRAIN, OTHER, TASK)(TEST, asked).p_N
    mean_N = np.stack([np.asarray(TEST.values_ExVxL)[e, 0, k + 2 : k + 5].mean() for e, k in asked])
    order = np.argsort(mean_N, kind="stable")
    assert (np.diff(p_N[order]) >= 0).all()


def test_baselines_rank_as_what_they_see():
    asked = anchors(TEST)
    truth = class_truth(TEST, asked)

    def brier(baseline):
        return float(np.mean((baseline.fit(TRAIN, OTHER, TASK)(TEST, asked).p_N - truth.failed_N) ** 2))

    verdict = brier(RateByVerdict())
    for kind in (DefectLogistic, DefectTrees):
        assert brier(kind(sees="frames")) < 0.8 * verdict
        assert brier(kind(sees="both")) < 0.8 * verdict
        assert brier(kind(sees="series")) < 1.2 * verdict


def test_a_linear_model_classifies_by_series_alone():
    model = Linear().build(TASK, TRAIN)
    out = jax.jit(lambda batch: model(batch))(few(jnp.asarray([[0, 20], [1, 50]])))
    assert out.logits_BxPxC.shape == (2, 1, 2)
    assert out.marks_BxPxHxWxK is None


def test_what_has_no_frames_has_no_parameter_of_theirs():
    bare = [Episode(e.run, e.asset, tuple(s for s in e.series if not s.shape)) for e in EPISODES[:2]]
    task = Classify()
    model = SMALL.build(task, Windows.of(bare, context=5, task=task))
    names = {str(path) for path, _ in jax.tree_util.tree_leaves_with_path(nnx.split(model)[1])}
    assert not [name for name in names if "readers" in name or "marks" in name]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Windows.of(EPISODES, context=5, task=Classify("rust")),
            "no hidden channel is called 'rust', as task.truth says; there is",
        ),
        (
            lambda: Windows.of(EPISODES, context=5, task=Classify(marks="defective")),
            r"task.marks is 'defective', of samples of shape \(\); those of",
        ),
        (
            lambda: Windows.of([EPISODES[0], episode(9, side=12)], context=5, task=TASK),
            "frames of frame are of different",
        ),
        (lambda: TwinFormer(frame_patch=5, patch=1).build(TASK, TRAIN), "frame_patch 5 divides both"),
        (
            lambda: TwinFormer(wave_patch=5, patch=1).build(
                Classify(), Windows.of([heard(0)], context=3, task=Classify())
            ),
            r"waveforms that wave_patch 5 divides",
        ),
        (lambda: Classify(classes=("good",)), "at least two names"),
        (lambda: DefectTrees(sees="sound"), "series, frames or both"),  # type: ignore[arg-type]
        (lambda: RateByLevel("word").fit(TRAIN, OTHER, TASK), "there is no channel 'word'"),
        (lambda: RateByLevel("verdict", bins=1), "bins"),
        (lambda: RateByVerdict("word").fit(TRAIN, OTHER, TASK), "there is no channel 'word'"),
    ],
)
def test_bad_input_is_one_sentence(make, message):
    with pytest.raises(InputError, match=message):
        make()
