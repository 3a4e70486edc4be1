"""Speed of learning: our training step against a PyTorch program of the same model, and against plain products."""

from __future__ import annotations

import time
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np

from bench.turns import Measured
from experiments.experiment import Experiment
from learn.compute.work import flops
from learn.models.twinformer import TwinFormer
from learn.training import update
from learn.training.checkpoint import flat
from learn.windows.batch import Windows, anchors, gather
from learn.windows.identity import BUCKETS

TINY = TwinFormer(width=192, layers=3, hidden=384)  # model=tiny
BATCH, CONTEXT, STEPS = 64, 144, 2
MICRO = (16, BATCH)  # windows whose gradient is computed at once; each side takes what is fastest for it


def training_set(bench: Experiment) -> tuple[Windows, list[np.ndarray]]:
    """Windows of two months of the line, and the anchors of STEPS batches."""
    world = bench.world
    episodes = [e for seed in range(2) for e in bench.twin.observe(world.run(world.start(seed), 480.0))]
    windows = Windows.of(episodes, context=CONTEXT, task=bench.task)
    picked = np.random.default_rng(0).permutation(anchors(windows))[: STEPS * BATCH]
    return windows, np.split(picked, STEPS)


class Ours:
    """Steps of `update`, as `fit` runs them: a scan over batches that are gathered on the device."""

    def __init__(self, bench: Experiment, windows: Windows, picked: list[np.ndarray], microbatch: int):
        self.optim = bench.part("optim")
        self.graphdef, self.params = update.split(TINY.build(bench.task, windows))
        transform = self.optim.transform(1000)
        step = update.make_update(self.graphdef, transform, microbatch)

        @jax.jit
        def run(windows, state, picked):
            return jax.lax.scan(lambda s, at: step(s, gather(windows, at)), state, picked)

        self.start = update.start(self.params, transform)
        self.run = lambda: jax.block_until_ready(run(windows, self.start, jnp.asarray(np.stack(picked))))

    def losses(self) -> list[float]:
        return [float(loss) for loss in self.run()[1]["loss"]]


class Theirs:
    """The same steps in PyTorch, from the same parameters, on batches that are there already."""

    def __init__(
        self, bench: Experiment, windows: Windows, picked: list[np.ndarray], microbatch: int, compiled: bool = False
    ):
        from bench import torch_twinformer

        _, params = update.split(TINY.build(bench.task, windows))
        params = {name.removesuffix(".value"): np.asarray(leaf) for name, leaf in flat(params).items()}
        self.batches = [torch_twinformer.tensors(gather(windows, at)) for at in picked]
        net = torch_twinformer.Net(TINY, bench.task, BUCKETS)
        torch_twinformer.carry(net, params)
        self.step = torch_twinformer.stepper(net, bench.part("optim"), 1000, microbatch, compiled)

    def run(self) -> list[float]:
        return [self.step(batch) for batch in self.batches]


def against_torch(bench: Experiment, repeats: int) -> Measured:
    """Training steps of the tiny model against PyTorch, which has the same losses, on as many threads.

    Of PyTorch the faster of two sizes of microbatch, compiled and not, is taken; of ours the faster of the two.
    """
    import torch

    windows, picked = training_set(bench)
    ours = {size: Ours(bench, windows, picked, size) for size in MICRO}
    theirs = {(size, c): Theirs(bench, windows, picked, size, c) for size in MICRO for c in (False, True)}
    mine, its = fastest(ours), fastest(theirs)
    spent: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for model, seconds in zip((ours[mine], theirs[its]), spent, strict=True):
            seconds.append(timed(model))
    return Measured(
        "against_torch", "time of a training step of the tiny model in PyTorch over ours", "×", 1.0, True,
        tuple(b / a for a, b in zip(*spent, strict=True)),
        {"ours_s": median(spent[0]) / STEPS, "torch_s": median(spent[1]) / STEPS, "microbatch": mine,
         "torch_microbatch": its[0], "torch_compiled": its[1], "threads": torch.get_num_threads(),
         "variates": windows.variates, "torch": torch.__version__},
    )  # fmt: skip


def products(bench: Experiment, repeats: int) -> Measured:
    """Floating-point operations a second of the tiny model's training step, as a share of a plain matrix product's."""
    windows, picked = training_set(bench)
    sizes = {size: Ours(bench, windows, picked, size) for size in MICRO}
    ours = sizes[fastest(sizes)]
    step = update.make_update(ours.graphdef, ours.optim.transform(1000))
    work = STEPS * flops(step, ours.start, jax.eval_shape(gather, windows, picked[0]))
    n = 1024
    a = jnp.asarray(np.random.default_rng(0).standard_normal((n, n), np.float32))
    product = jax.jit(lambda a: a @ a)
    jax.block_until_ready(product(a))
    rates: tuple[list[float], list[float]] = ([], [])
    for _ in range(2 * repeats):
        rates[0].append(work / timed(ours))
        began = time.perf_counter()
        for _ in range(10):
            jax.block_until_ready(product(a))
        rates[1].append(10 * 2 * n**3 / (time.perf_counter() - began))
    return Measured(
        "products", "FLOPs a second of the tiny model's training step over those of a matrix product", "×", 0.4, True,
        tuple(a / b for a, b in zip(*rates, strict=True)),
        {"step_gflops_per_s": median(rates[0]) / 1e9, "product_gflops_per_s": median(rates[1]) / 1e9, "product": n},
    )  # fmt: skip


def fastest(models: dict) -> object:
    for model in models.values():
        model.run()
    return min(models, key=lambda name: timed(models[name]))


def timed(model: Ours | Theirs) -> float:
    began = time.perf_counter()
    model.run()
    return time.perf_counter() - began
