"""The stopwatch, the count of operations and the estimate of energy."""

import math

import jax
import jax.numpy as jnp
import pytest

from learn.compute.cost import Cost, Power
from learn.compute.work import Work, analytic, flops
from learn.models.ensemble import Ensemble
from learn.models.twinformer import TwinFormer
from learn.tasks import TimeToEvent
from learn.training.fit import Budget
from learn.training.update import Optim, make_update, split, start
from learn.windows.batch import Windows, anchors, gather
from learn.windows.feed import Feed, FreshFeed
from sim.errors import InputError
from tests.learn.conftest import CONTEXT


def test_a_matrix_product_costs_two_operations_a_term():
    a, b = jnp.ones((64, 128)), jnp.ones((128, 32))
    assert flops(jnp.matmul, a, b) == 2 * 64 * 128 * 32
    assert flops(jax.jit(jnp.matmul), a, b) == 2 * 64 * 128 * 32


def test_a_training_takes_what_its_updates_do_from_memory_or_cut(episodes, monkeypatch):
    task, shape = TimeToEvent(), TwinFormer(width=32, layers=1, heads=2, hidden=48, patch=6)
    whole, feed = (kind.of(episodes, context=CONTEXT, task=task) for kind in (Windows, Feed))
    monkeypatch.setattr(Feed, "whole", lambda *_: pytest.fail("all windows were read"))
    model, budget = shape.build(task, whole), Budget(steps=1, batch=24)
    found = Work.of_training(model, Optim(), budget, whole)
    batch = gather(whole, jnp.asarray(anchors(whole)[:24]))
    graphdef, params = split(model)
    transform = Optim().transform(1)
    assert found.xla == flops(make_update(graphdef, transform), start(params, transform), batch)
    assert found.analytic == analytic(shape, task, params, batch) == pytest.approx(found.xla, rel=0.25)
    streamed = FreshFeed(feed, task, lambda run: [], 1, 1)
    for train in (feed, streamed):
        assert Work.of_training(model, Optim(), budget, train) == found
    both = Ensemble([shape.build(task, whole, seed) for seed in (0, 1)])
    assert Work.of_training(both, Optim(), budget, whole) == found  # a member's
    few = Work.of_training(model, Optim(), Budget(steps=1, batch=10**6), whole)
    assert few.analytic == pytest.approx(found.analytic * len(anchors(whole)) / 24)


@pytest.mark.parametrize(("xla", "by_formula", "most"), [(2.0, 3.0, 3.0), (2.0, 1.0, 2.0), (math.nan, None, 0.0)])
def test_the_most_that_is_known_of_counts(xla, by_formula, most):
    assert Work(xla, by_formula).most == most


def test_stages_of_one_name_add_up():
    cost = Cost(Power(core_w=36.0))
    for _ in range(2):
        with cost.stage("work"):
            sum(range(10**6))
    with pytest.raises(KeyError), cost.stage("broken"):
        raise KeyError
    cost.add_flops("work", 5.0)
    report = cost.report()
    work = report["stages"]["work"]
    assert set(report["stages"]) == {"work", "broken"}
    assert min(work["core_seconds"], work["seconds"]) > 0
    assert work["energy_wh"] == pytest.approx(work["core_seconds"] * 36 / 3600)
    assert report["total"]["flops"] == 5.0
    assert 0 < report["peak_memory_gb"] < 1000


def test_energy_is_watts_times_hours():
    assert Power(10, 400).energy_wh(core_seconds=3600, accelerator_seconds=1800) == 210
    with pytest.raises(InputError, match=r"Power.core_w is -1; it must be 0 or more watts"):
        Power(core_w=-1)
