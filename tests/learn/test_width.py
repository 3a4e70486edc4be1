"""A learning rate holds at any width where it is told at which it was found; otherwise it does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from learn.models.recurrent import Recurrent
from learn.models.twinformer import TwinFormer
from learn.tasks import Forecast
from learn.training.update import Optim, make_update, split, start
from learn.windows.batch import anchors, gather
from sim.errors import InputError

OPTIM = Optim(learning_rate=0.01, weight_decay=0, warmup=0, final=1, clip=None)
KINDS = [TwinFormer, Recurrent]


def built(kind, windows, width, base):
    layers = 2 if kind is Recurrent else 1
    shape = kind(width=width, hidden=2 * width, heads=2, layers=layers, patch=6, mup_base_width=base)
    return split(shape.build(Forecast(4), windows))


@pytest.fixture(scope="module")
def moved(series_windows):
    """Of a model of some kind and width: how much its features and its answers change in four steps of Adam."""
    batch, known = gather(series_windows, jnp.asarray(anchors(series_windows)[:64:4])), {}

    def seen(graphdef, params):
        model, features = nnx.merge(graphdef, params), []
        norm = model.norm
        model.norm = lambda z: (features.append(z), norm(z))[1]
        return model(batch), features[0]

    def changes(kind, width, base):
        if (kind, width, base) not in known:
            graphdef, params = built(kind, series_windows, width, base)
            transform = OPTIM.transform(100)
            update, state = jax.jit(make_update(graphdef, transform)), start(params, transform)
            for _ in range(4):
                state, _ = update(state, batch)
            pairs = zip(seen(graphdef, params), seen(graphdef, state.params), strict=True)
            known[kind, width, base] = np.array([float(jnp.abs(b - a).mean()) for a, b in pairs])
        return known[kind, width, base]

    return changes


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_step_changes_is_as_large_at_any_width(moved, kind):
    """The coordinate check of Yang et al. 2022: eight times as wide, features and answers move alike."""
    np.testing.assert_allclose(moved(kind, 256, 32) / moved(kind, 32, None), 1, atol=0.2)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_without_the_base_width_a_step_changes_more_the_wider_the_model(moved, kind):
    """The planted fault: the same check of models that are widened alone."""
    answers, features = moved(kind, 256, None) / moved(kind, 32, None)
    assert features > 1.35
    assert abs(answers - 1) > 0.35


@pytest.mark.parametrize("kind", KINDS)
def test_at_the_base_width_it_is_the_model_that_it_was(series_windows, kind):
    (a, first), (b, second) = (built(kind, series_windows, 32, base) for base in (None, 32))
    jax.tree.map(np.testing.assert_array_equal, first, second)
    batch = gather(series_windows, jnp.asarray([[0, 40]]))
    np.testing.assert_array_equal(nnx.merge(a, first)(batch), nnx.merge(b, second)(batch))


def test_attention_is_scaled_by_as_many_heads_however_wide(series_windows):
    """By 1/d, of which the check of four steps from small weights sees little."""
    one, eight = (nnx.merge(*built(TwinFormer, series_windows, w, 32)).blocks[0].time.scale for w in (32, 256))
    assert one == pytest.approx(8 * eight)
    assert nnx.merge(*built(TwinFormer, series_windows, 256, None)).blocks[0].time.scale == pytest.approx(128**-0.5)


def test_a_base_width_of_nothing_is_refused():
    with pytest.raises(InputError, match=r"TwinFormer\.mup_base_width"):
        TwinFormer(mup_base_width=0)
