"""Windows that are cut while a model learns: the same numbers as from memory, wherever they come from."""

import threading
import time
from dataclasses import replace

import jax
import numpy as np
import pytest

from learn.batch import Windows, anchors, batch_of, gather
from learn.feed import Ahead, Feed
from learn.fit import Budget, fit
from learn.tasks import Forecast, TimeToEvent
from learn.twinformer import TwinFormer
from learn.update import Optim
from sim.errors import InputError
from tests.learn.conftest import CONTEXT
from twins.channel import Role
from twins.episode import Episode, Series

BUDGET = Budget(steps=30, batch=16, chunk=5, validate_every=10, validation_windows=64, stride=2)


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
    ("kind", "task"), [(visits, Forecast(3)), (mixed, Forecast(3)), (None, TimeToEvent()), (None, Forecast(4))]
)
def test_cut_windows_are_those_of_the_whole(make_episode, kind, task):
    episodes = [(kind or make_episode)(run) for run in range(3)]
    whole, feed = Windows.of(episodes, context=8, task=task), Feed.of(episodes, context=8, task=task)
    assert feed.scale == whole.scale
    found = anchors(whole, 3)
    np.testing.assert_array_equal(feed.anchors(3), found)
    same(jax.jit(batch_of)(feed.cut(found)), jax.jit(gather)(whole, found))
    same(feed.whole(), whole)
    assert feed.whole(2).runs == (0, 2)
    assert (feed.runs, feed.step_h, feed.variates) == (whole.runs, whole.step_h, whole.variates)


@pytest.mark.parametrize("task", [TimeToEvent(), Forecast(4)])
def test_a_feed_trains_the_very_model_that_memory_does(episodes, task, tmp_path):
    whole, feed = Windows.of(episodes, context=CONTEXT, task=task), Feed.of(episodes, context=CONTEXT, task=task)
    shape = TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=6, dropout=0.1)
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
