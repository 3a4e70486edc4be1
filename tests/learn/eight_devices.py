"""Run by test_sharding in a process of its own, whose one CPU acts as eight devices: prints what it found as JSON."""

import contextlib
import json
import os
import sys

os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"

import jax
import jax.numpy as jnp
import numpy as np
import optax

from learn.models.twinformer import TwinFormer
from learn.tasks import TimeToEvent
from learn.training.fit import Budget, fit
from learn.training.sharding import Layout, deal, everywhere, held, place, shardings
from learn.training.update import Optim, make_update, split, start
from learn.windows.batch import Windows, anchors, gather
from tests.learn.conftest import CONTEXT, _episode

SHAPE = TwinFormer(width=32, layers=1, heads=4, hidden=64, patch=8)
STEPS = 10


def apart(a, b):
    """The largest difference of two trees, relative to the largest entry of each leaf."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    found = [(np.abs(np.asarray(x) - np.asarray(y)).max(), np.abs(np.asarray(y)).max()) for x, y in pairs]
    return max(float(difference / (size + 1e-6)) for difference, size in found)


def main(folder):
    windows = Windows.of([_episode(run) for run in range(4)], context=CONTEXT, task=TimeToEvent())
    graphdef, params = split(SHAPE.build(TimeToEvent(), windows))
    found = anchors(windows)
    picked = jnp.asarray(np.stack([found[i::11][:16] for i in range(STEPS)]))
    transform = Optim(1e-3).transform(STEPS)
    update, first = make_update(graphdef, transform), start(params, transform)

    def moment(state):  # what Adam keeps of the first gradient
        return optax.tree.get(state.opt_state, "mu")

    def loop(mesh=None):
        step = jax.jit(lambda s, a, w: (lambda t: (held(t[0], mesh), t[1]))(update(s, gather(w, a))))
        state, losses, gradient = place(first, mesh), [], None
        all_windows = everywhere(windows, mesh)
        for each in picked:
            state, metrics = step(state, deal(each, mesh), all_windows)
            gradient = moment(state) if gradient is None else gradient
            losses.append(float(metrics["loss"]))
        return losses, gradient, state

    losses, gradient, last = loop()
    told = {"losses": {"loop": losses}, "gradient": {}}
    _, scanned = jax.jit(lambda s: jax.lax.scan(lambda s, a: update(s, gather(windows, a)), s, picked))(first)
    one, _ = jax.jit(lambda s: jax.lax.scan(lambda s, a: update(s, gather(windows, a)), s, picked[:1]))(first)
    told["losses"]["scan"] = scanned["loss"].tolist()
    told["gradient"]["scan"] = apart(moment(one), gradient)
    two = jax.tree.map(lambda leaf: jnp.stack((leaf, leaf)), first)
    many = jax.jit(jax.vmap(lambda s: jax.lax.scan(lambda s, a: update(s, gather(windows, a)), s, picked)))(two)
    told["losses"]["vmap"] = many[1]["loss"][1].tolist()
    stepped = jax.jit(jax.vmap(update, in_axes=(0, None)))(two, gather(windows, picked[0]))[0]
    told["gradient"]["vmap"] = apart(jax.tree.map(lambda g: g[1], moment(stepped)), gradient)
    for name, layout in (("mesh", Layout(2, 2, 2)), ("tensor", Layout(1, 1, 8))):
        told["losses"][name], found_gradient, state = loop(layout.mesh())
        told["gradient"][name] = apart(found_gradient, gradient)
        told[f"{name}_end"] = apart(state.params, last.params)
    placed = place(first, Layout(2, 2, 2).mesh())
    told["held"] = sum(leaf.addressable_shards[0].data.size for leaf in jax.tree.leaves(placed.params))
    told["whole"] = sum(leaf.size for leaf in jax.tree.leaves(first.params))
    told["cut"] = sum(not s.is_fully_replicated for s in jax.tree.leaves(shardings(first, Layout(2, 2, 2).mesh())))

    budget = Budget(steps=30, batch=16, chunk=5, validate_every=10, validation_windows=32)

    class Stop(Exception):
        pass

    def until(step):
        def progress(row):
            if row["step"] == step:
                raise Stop

        return progress

    model, optim = SHAPE.build(TimeToEvent(), windows), Optim(1e-3)
    whole = fit(model, windows, windows, optim, budget)
    for layout, stop in ((Layout(2, 2, 2), 15), (Layout(2, 2, 1), 25)):
        with contextlib.suppress(Stop):
            fit(model, windows, windows, optim, budget, folder, until(stop), layout.mesh())
    again = fit(model, windows, windows, optim, budget, folder)
    told["resumed"] = [[row["loss"] for row in fitted.rows] for fitted in (whole, again)]
    print(json.dumps(told))


main(sys.argv[1])
