"""Windows that are cut while a model learns: the same numbers as from memory, wherever they come from."""

import threading
import time
from dataclasses import fields, replace

import jax
import numpy as np
import pytest

from learn.models.linear import Linear
from learn.models.twinformer import TwinFormer
from learn.tasks import Forecast, Imputation, TimeToEvent
from learn.training.fit import Budget, fit
from learn.training.update import Optim
from learn.windows.ahead import Ahead
from learn.windows.batch import Windows, anchors, batch_of, gather
from learn.windows.feed import Feed, FreshFeed
from sim.errors import InputError
from tests.learn.conftest import CONTEXT, _episode
from twins.channel import Role
from twins.episode import Episode, Series

BUDGET = Budget(steps=30, batch=16, chunk=5, validate_every=10, validation_windows=64, stride=2)
SHAPE = TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=6, dropout=0.1)


def same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def visits(run):
    rng = np.random.default_rng(run)
    times_h = np.sort(rng.uniform(0, 400, 60))
    series = [
        Series("p", q, "1", role, rng.normal(size=n).astype(np.float32), times_h=times_h[:: 60 // n][:n])
        for q, role, n in (("pressure", Role.TARGET, 60), ("dose", Role.ACTION, 20))
    ]
    return Episode(run, "p", tuple(series), epoch="2025-03-05T07:30:00", end_h=400.0)


def mixed(run):
    """Two regular clocks, a late start, and one that is not regular."""
    rng = np.random.default_rng(run)
    series = (
        Series("m", "fast", "1", Role.TARGET, rng.normal(size=90).astype(np.float32), step_h=0.5),
        Series("m", "slow", "1", Role.PAST, rng.normal(size=15).astype(np.float32), step_h=3.0),
        Series("m", "late", "1", Role.KNOWN, rng.normal(size=80).astype(np.float32), start_h=5.0, step_h=0.5),
        Series("m", "rare", "1", Role.PAST, np.float32([1, 2, 3]), times_h=np.array([0.2, 0.3, 30.1])),
    )
    return Episode(run, "m", series[: 4 - run % 2], end_h=45.0)


@pytest.mark.parametrize(
    ("kind", "task"),
    [(visits, Forecast(3)), (mixed, Forecast(3)), (None, TimeToEvent()), (None, Forecast(4))]
    + [(kind, Imputation(6, longest=4)) for kind in (visits, mixed)],
)
def test_cut_windows_are_those_of_the_whole(make_episode, kind, task):
    episodes = [(kind or make_episode)(run) for run in range(3)]
    whole, feed = Windows.of(episodes, context=8, task=task), Feed.of(episodes, context=8, task=task)
    assert feed.scale == whole.scale
    found = anchors(whole, 3)
    np.testing.assert_array_equal(anchors(feed, 3), found)
    same(jax.jit(batch_of)(feed.cut(found)), jax.jit(gather)(whole, found))
    same(feed.whole(), whole)
    assert feed.whole(2).runs == (0, 2)
    assert (feed.runs, feed.step_h, feed.variates) == (whole.runs, whole.step_h, whole.variates)


@pytest.mark.parametrize("task", [TimeToEvent(), Imputation(6, longest=4)])
def test_a_feed_tells_of_itself_without_reading_all_windows(make_episode, task, monkeypatch):
    episodes = [make_episode(run) for run in range(2)]
    whole, feed = Windows.of(episodes, context=8, task=task), Feed.of(episodes, context=8, task=task)

    def forbidden(*_):
        raise AssertionError("all windows were read")

    monkeypatch.setattr(Feed, "whole", forbidden)
    for name in ("like", "frame", "_hidden"):
        assert getattr(feed, name, None) is None
        with pytest.raises(AttributeError, match=name):
            getattr(feed, name)
    told = [field.name for field in fields(Windows)] + ["variates", "seen_ahead"]
    for name in set(told) - {"values_ExVxL", "marks_ExLxHxW"}:
        same(getattr(feed, name), getattr(whole, name))
    with pytest.raises(AssertionError, match="all windows"):
        feed.values_ExVxL  # noqa: B018


@pytest.mark.parametrize(("shape", "task"), [(SHAPE, TimeToEvent()), (Linear(), Forecast(4))])
def test_a_feed_trains_the_very_model_that_memory_does(episodes, shape, task, tmp_path):
    whole, feed = Windows.of(episodes, context=CONTEXT, task=task), Feed.of(episodes, context=CONTEXT, task=task)
    straight = fit(shape.build(task, whole), whole, whole, Optim(3e-3), BUDGET)

    class Killed(Exception):
        pass

    def interrupt(row):
        if row["step"] == 20:
            raise Killed

    model = shape.build(task, feed)
    with pytest.raises(Killed):
        fit(model, feed, feed, Optim(3e-3), BUDGET, tmp_path, interrupt)
    fed = fit(model, feed, feed, Optim(3e-3), BUDGET, tmp_path)
    assert fed.rows == straight.rows
    same(fed.state, straight.state)
    same(fed.best, straight.best)
    assert 0 < fed.waited_s < fed.seconds


def test_waiting_counts_where_the_device_has_nothing_to_do():
    def slow(item):
        time.sleep(0.05)
        return item

    with Ahead(slow, range(4)) as ahead:
        assert [ahead.next() for _ in range(4)] == list(range(4))
    assert ahead.waited_s > 0.15
    with Ahead(slow, range(4)) as ahead:
        assert [ahead.next(busy=lambda: True) for _ in range(4)] == list(range(4))
    assert ahead.waited_s == 0
    with Ahead(lambda item: 1 / item, (1, 0)) as ahead:
        assert ahead.next() == 1
        with pytest.raises(ZeroDivisionError):
            ahead.next()


def test_an_abandoned_feed_leaves_no_thread():
    before = threading.active_count()
    with Ahead(lambda item: item, iter(int, 1)) as ahead:
        ahead.next()
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


def test_frames_are_refused(make_episode):
    episode = make_episode(0)
    picture = Series("m1", "picture", "1", Role.PAST, np.zeros((160, 2, 2), np.float32), step_h=1.0)
    with pytest.raises(InputError, match=r"feed\.cut"):
        Feed.of([replace(episode, series=(*episode.series, picture))], context=8)


def test_a_stream_shows_each_step_what_its_number_says(make_episode, episodes, tmp_path):
    """Whoever simulates, at whatever speed, and however often training is stopped."""
    task = TimeToEvent()
    like = Feed.of(episodes, context=CONTEXT, task=task)
    model = Linear().build(task, like)
    asked = []

    def observe(run):
        asked.append(run)
        return [make_episode(100 + run)]

    def stream(workers=1, make=observe):
        return FreshFeed(like, task, make, runs=2, every=7, workers=workers)

    straight = fit(model, stream(), like, Optim(3e-3), BUDGET)
    assert asked == list(range(10))  # 30 steps of 7 to a pool are 5 pools of 2 runs
    del asked[:]

    class Killed(Exception):
        pass

    def interrupt(row):
        if row["step"] == 20:
            raise Killed

    with pytest.raises(Killed):
        fit(model, stream(), like, Optim(3e-3), BUDGET, tmp_path, interrupt)
    del asked[:]
    resumed = fit(model, stream(), like, Optim(3e-3), BUDGET, tmp_path)
    assert min(asked) == 4  # step 20 lies in the third pool
    spawned = fit(model, stream(2, _slow), like, Optim(3e-3), BUDGET)
    for other in (resumed, spawned):
        assert other.rows == straight.rows
        same(other.state, straight.state)
    assert fit(model, like, like, Optim(3e-3), BUDGET).rows != straight.rows


def _slow(run):
    time.sleep(0.02 * (run % 3))  # so that runs are not done in their order
    return [_episode(100 + run)]


def test_a_stream_that_goes_wrong_says_so(episodes, make_episode):
    task = TimeToEvent()
    like = Feed.of(episodes, context=CONTEXT, task=task)
    model = Linear().build(task, like)

    def ill(run):
        if run == 3:
            raise InputError("run 3 cannot be")
        return [make_episode(run)]

    before = threading.active_count()
    with pytest.raises(InputError, match="run 3 cannot be"):
        fit(model, FreshFeed(like, task, ill, 1, 5), like, Optim(3e-3), BUDGET)
    short = [make_episode(0, n=CONTEXT + 10)]
    with pytest.raises(InputError, match="fewer than a batch of 16"):
        fit(model, FreshFeed(like, task, lambda run: short, 1, 5), like, Optim(3e-3), BUDGET)
    assert threading.active_count() == before
