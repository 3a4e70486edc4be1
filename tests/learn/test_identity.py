"""A channel is known by its words: places, numbers and the rest of a plant tell nothing of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learn.models.twinformer import TwinFormer
from learn.tasks import Forecast
from learn.windows.batch import Windows, anchors, gather
from learn.windows.identity import BUCKETS, HASHES, buckets, kind, words
from twins.channel import Role
from twins.episode import Episode, Series

SHAPE = TwinFormer(width=16, layers=2, heads=2, hidden=24, patch=6)
TASK = Forecast(4)


def plant(*names, run=0, roles=None):
    rng = np.random.default_rng(run)
    series = [
        Series(f"m{v + 1}", name, "Cel", (roles or {}).get(name, Role.TARGET), x, step_h=1.0)
        for v, (name, x) in enumerate((name, rng.normal(size=90).astype(np.float32)) for name in names)
    ]
    return Episode(run, "m1", tuple(series))


def awake(model):
    model.head.out.kernel[...] = 0.1 * jax.random.normal(jax.random.PRNGKey(1), model.head.out.kernel.shape)
    return model


@given(st.text("ab_c", min_size=1), st.sampled_from(["1", "Cel", "mm/s"]), st.text("mn", min_size=1))
def test_a_channel_falls_into_the_same_buckets_wherever_it_stands(name, unit, of):
    alone = buckets((name,), (unit,), (of,))[0]
    beside = buckets((f"{name}_and_more_words", name), (unit, unit), (of, of))[1]
    assert set(alone) == {b for b in beside if b >= 0}
    assert alone.max() < BUCKETS
    assert len(alone) == HASHES * len(words(name, unit, of))
    np.testing.assert_array_equal(buckets((f"{name}#2",), (unit,), (of,))[0], alone)


def test_the_kind_of_an_entity_is_its_name_without_numbers():
    assert [kind(e) for e in ("m3", "house_12", "feeder", "t1b")] == ["m", "house", "feeder", "tb"]


def test_the_order_of_channels_changes_nothing():
    names, order = ("oil", "load", "flow"), [2, 0, 1]
    a = Windows.of([plant(*names)], context=24, task=TASK)
    episode = plant(*names)
    b = Windows.of([Episode(0, "m1", tuple(episode.series[v] for v in order))], context=24, task=TASK)
    model = awake(SHAPE.build(TASK, a))
    at = jnp.asarray(anchors(a)[::20])
    out_a, out_b = (np.asarray(jax.jit(lambda w: model(gather(w, at)))(w)) for w in (a, b))
    np.testing.assert_allclose(out_b, out_a[:, order], atol=1e-5)
    assert np.abs(out_b - out_a).max() > 1e-3


def test_a_model_reads_a_plant_with_more_channels_and_other_names():
    a = Windows.of([plant("oil", "load")], context=24, task=TASK)
    b = Windows.of([plant("oil", "pressure", "load", "speed")], context=24, task=TASK)
    model = awake(SHAPE.build(TASK, a))
    at = jnp.asarray(anchors(b)[:3])
    out = jax.jit(lambda windows: model(gather(windows, at)))(b)
    assert out.shape[:2] == (3, 4)
    assert np.isfinite(out).all()


def test_what_is_known_ahead_is_read_and_never_reads():
    windows = Windows.of([plant("load", "tariff", roles={"tariff": Role.KNOWN})], context=24, task=TASK)
    model, batch = awake(SHAPE.build(TASK, windows)), gather(windows, jnp.asarray([[0, 40], [0, 60]]))

    def of(variate):
        return jax.jit(jax.grad(lambda x: jnp.sum(model(batch._replace(x_BxVxT=x))[:, variate] ** 2)))(batch.x_BxVxT)

    load, tariff = (np.asarray(of(v)) for v in (0, 1))
    assert np.abs(load[:, 1]).max() > 0
    assert np.all(tariff[:, 0] == 0)
    # The planted fault: as one of the measured, the tariff would read the load.
    blind = batch._replace(role_BxV=jnp.zeros_like(batch.role_BxV))
    read = jax.jit(jax.grad(lambda x: jnp.sum(model(blind._replace(x_BxVxT=x))[:, 1] ** 2)))(batch.x_BxVxT)
    assert np.abs(np.asarray(read)[:, 0]).max() > 0


def test_words_tell_channels_apart():
    windows = Windows.of([plant("oil", "load")], context=24, task=TASK)
    model, batch = awake(SHAPE.build(TASK, windows)), gather(windows, jnp.asarray([[0, 40]]))
    assert model.words is not None
    model.words.embedding[...] *= 50
    same = batch._replace(x_BxVxT=batch.x_BxVxT[:, :1].repeat(2, 1), mask_BxVxT=batch.mask_BxVxT[:, :1].repeat(2, 1))
    out = np.asarray(jax.jit(lambda b: model(b, last=True))(same))
    assert np.abs(out[:, 0] - out[:, 1]).max() > 1e-3
    nameless = same._replace(words_BxVxW=jnp.full_like(same.words_BxVxW, -1))
    out = np.asarray(jax.jit(lambda b: model(b, last=True))(nameless))
    assert out[:, 0] == pytest.approx(out[:, 1], abs=1e-5)
