"""Several tasks and twins in one model: what is shared, what is not, and one step that is the sum of theirs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from learn.models.twinformer import TwinFormer
from learn.serving.predict import predict
from learn.tasks import Forecast, TimeToEvent
from learn.training import joint
from learn.training.fit import Budget, fit_together
from learn.training.joint import Joint, Part
from learn.training.losses import loss
from learn.training.update import Optim, make_update, split, start
from learn.windows.batch import Windows, anchors, gather
from sim.errors import InputError

SHAPE = TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=6)
OTHER = TwinFormer(width=16, layers=1, heads=2, hidden=24, patch=4)
TASKS = (TimeToEvent(), Forecast(4), Forecast(4))


@pytest.fixture(scope="module")
def windows(event_windows, series_windows, make_episode):
    wider = [make_episode(run, variates=5) for run in (7, 8)]
    return event_windows, series_windows, Windows.of(wider, context=16, task=Forecast(4))


@pytest.fixture(scope="module")
def model(windows):
    return joint.build((SHAPE, SHAPE, OTHER), TASKS, windows)


def test_nets_share_their_blocks_and_what_else_is_alike(model):
    events, series, wider = model.nets
    assert events.blocks is series.blocks is wider.blocks
    assert events.words is wider.words
    assert events.patches is series.patches
    assert events.patches is not wider.patches  # patches of another size
    assert series.head is wider.head  # the same forecast
    assert events.head is not series.head
    alone = [sum(p.size for p in jax.tree.leaves(split(net)[1])) for net in model.nets]
    together = sum(p.size for p in jax.tree.leaves(split(model)[1]))
    assert max(alone) < together < sum(alone)


def test_the_step_is_the_weighted_mean_of_the_tasks(model, windows):
    graphdef, params = split(model)
    weights = (2.0, 1.0, 1.0)
    batches = tuple(gather(w, jnp.asarray(anchors(w)[:8])) for w in windows)

    def of(net):
        def mean(params):
            each = nnx.merge(graphdef, params).nets[net]
            total, count = loss(each.task, each(batches[net]), batches[net])
            return total / count

        return jax.jit(jax.value_and_grad(mean))(params)

    found = [jax.device_get(of(net)) for net in range(3)]
    wanted = jax.tree.map(lambda *g: sum(w * x for w, x in zip(weights, g, strict=True)) / 4, *(g for _, g in found))
    norm = float(np.sqrt(sum(np.sum(g**2) for g in jax.tree.leaves(wanted))))
    transform = Optim().transform(10)
    _, metrics = jax.jit(make_update(graphdef, transform, None, weights))(start(params, transform), batches)
    assert float(metrics["gradient"]) == pytest.approx(norm, rel=1e-5)
    for net, (value, _) in enumerate(found):
        assert float(metrics[f"loss_{net}"]) == pytest.approx(float(value), rel=1e-5)
    assert float(metrics["loss"]) == pytest.approx(sum(w * v for w, (v, _) in zip(weights, found, strict=True)) / 4)


def test_a_net_is_a_model_of_its_own(model, windows):
    _, params = split(model.nets[1])
    again = SHAPE.build(TASKS[1], windows[1])
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, split(again)[1])
    at = anchors(windows[1])[:9]
    kept = predict(again, params, windows[1], at)
    np.testing.assert_allclose(kept.mean_NxVxH, predict(model.nets[1], None, windows[1], at).mean_NxVxH, atol=1e-6)


def test_together_they_learn_and_a_stopped_run_goes_on_to_the_same_end(model, windows, tmp_path):
    parts = [Part(w, w, stride=2, weight=weight) for w, weight in zip(windows, (1.0, 1.0, 0.5), strict=True)]
    optim, budget = Optim(1e-2), Budget(steps=20, batch=24, chunk=5, validate_every=10)
    whole = fit_together(model, parts, optim, budget, tmp_path / "whole")
    assert whole.rows[-1]["loss"] < whole.rows[0]["loss"]
    for net in range(3):
        assert f"loss_{net}" in whole.rows[0]

    class Stop(Exception):
        pass

    def stop(row):
        if row["step"] == 15:
            raise Stop

    with pytest.raises(Stop):
        fit_together(model, parts, optim, budget, tmp_path / "stopped", stop)
    again = fit_together(model, parts, optim, budget, tmp_path / "stopped")
    jax.tree.map(np.testing.assert_array_equal, whole.state.params, again.state.params)
    trained = nnx.merge(split(model)[0], whole.params)
    assert isinstance(trained, Joint)
    assert trained.nets[0].blocks is trained.nets[2].blocks


def test_blocks_that_cannot_be_shared_are_refused(windows):
    with pytest.raises(InputError, match="have blocks in common"):
        joint.build((SHAPE, TwinFormer(width=8, layers=1, heads=2, hidden=24, patch=6)), TASKS[:2], windows[:2])
