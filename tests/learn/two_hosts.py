"""Run by test_hosts in processes of their own, each as on a host of its own: prints what it found as JSON."""

import json
import sys

import jax
import numpy as np

from learn.models.linear import Linear
from learn.tasks import TimeToEvent
from learn.training.fit import Budget, fit
from learn.training.sharding import Layout
from learn.training.update import Optim
from learn.windows.feed import Feed, FreshFeed
from tests.learn.conftest import CONTEXT, _episode

BUDGET = Budget(steps=20, batch=16, chunk=5, validate_every=10, validation_windows=32, stride=2)


class Counted(Feed):
    """Says how many windows were cut on this host."""

    cuts = 0

    def cut(self, anchors_Bx2):
        Counted.cuts += len(anchors_Bx2)
        return super().cut(anchors_Bx2)


def main(host, hosts, port, folder):
    if hosts > 1:
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.distributed.initialize(f"localhost:{port}", hosts, host)
    task, mesh = TimeToEvent(), Layout(data=hosts).mesh()
    feed = Feed.of([_episode(run) for run in range(4)], context=CONTEXT, task=task)
    counted, whole = Counted(feed.laid, feed.scale), feed.whole()
    stream = FreshFeed(feed, task, lambda run: [_episode(50 + run)], 2, 5)
    told = {}
    for name, train, path in (
        ("feed", counted, f"{folder}/feed"),
        ("stream", stream, None),
        ("whole", whole, None),
        ("again", feed, f"{folder}/feed"),  # which is finished
    ):
        found = fit(Linear().build(task, feed), train, feed, Optim(1e-3), BUDGET, path, mesh=mesh)
        told[name] = [row["loss"] for row in found.rows]
        told["params"] = [float(np.abs(np.asarray(leaf)).sum()) for leaf in jax.tree.leaves(found.params)]
    print(json.dumps(told | {"cuts": Counted.cuts}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
