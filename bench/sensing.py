"""Speed of sensors: rendering against sampling at ticks, and against drawing as many random numbers, nothing else."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bench import ticking_line
from bench.turns import MINUTE_H, MONTH_H, Measured, turns
from experiments.experiment import Experiment
from sim.compiled import compiled
from twins.channel import Channel, Role
from twins.dataset import files, shards
from twins.line import LineTwin
from twins.sensors import kernels
from twins.sensors.camera import Camera
from twins.sensors.noise import Noise, address
from twins.sensors.render import Panel


def _sensors(twin: LineTwin) -> list[Channel]:
    """Ten sensors of each machine, every minute."""
    beside = ("buffer_before", "buffer_after")  # not sensors of the machine
    channels = replace(twin, step_h=MINUTE_H).channels
    return [c for c in channels if c.role is not Role.TRUTH and c.quantity not in beside]


def _full(noise: Noise) -> bool:
    return all((noise.white, noise.autocorrelated, noise.quantum, noise.dropout))


def sampling(bench: Experiment, repeats: int) -> Measured:
    """Trace and rendering against a SimPy process for each sensor: 5 machines of 10 sensors, each minute, 30 days.

    The line runs compiled, which gives the same trace. Ours is short, so that a turn of it is of many months.
    """
    world, count, months = replace(bench.world, engine="compiled"), round(MONTH_H / MINUTE_H), 50
    twin = replace(bench.twin, step_h=MINUTE_H)
    channels = _sensors(twin)
    out = np.empty((len(channels), count), np.float32)

    def render_all(turn: int) -> None:
        for seed in range(turn * months, (turn + 1) * months):
            Panel.of(world.run(world.start(seed), MONTH_H).trace, channels).render(0, count, out)

    ours, ticking = turns(render_all, lambda k: ticking_line.run(twin, k, MONTH_H), repeats)
    what = "time of a SimPy process per sensor, sampling at ticks, over trace plus rendering"
    return Measured(
        "sampling", what, "×", 400.0, True,
        tuple(b / a * months for a, b in zip(ours, ticking, strict=True)),
        {"ours_s": median(ours) / months, "ticking_s": median(ticking), "channels": len(channels), "samples": count},
    )  # fmt: skip


def rendering(bench: Experiment, repeats: int) -> Measured:
    """Sensors with white and autocorrelated noise, quantisation and dropout against NumPy drawing as many normals.

    Reading the sensors from the trace is part of it. Both write into memory they have had before.
    """
    channels = [c for c in _sensors(bench.twin) if _full(c.noise)]
    return _against_numpy(
        bench, channels, repeats, "rendering",
        "rate of rendering over the rate at which NumPy alone draws float32 normals", 1.5,
    )  # fmt: skip


def white(bench: Experiment, repeats: int) -> Measured:
    """The same with white noise alone. In the detail, the rate of the random bits and nothing else: the limit."""
    channels = [replace(c, noise=Noise(white=1.0)) for c in _sensors(bench.twin) if _full(c.noise)]
    words = [np.empty(kernels.BLOCK, np.uint32) for _ in range(3)]
    at, blocks = address(0, "m1", "x"), 1000
    bits, again = turns(lambda k: _bits(blocks, at, *words), lambda k: _bits(blocks, at, *words), 10 * repeats)
    return _against_numpy(
        bench, channels, repeats, "white",
        "rate of rendering white noise over the rate at which NumPy alone draws float32 normals", 2.0,
        bits_per_s=blocks * kernels.BLOCK / median(bits + again),
    )  # fmt: skip


@compiled()
def _bits(blocks, whose, w0, w1, w2):
    """Draw the words of so many blocks of samples, and make nothing of them."""
    k0, k1, c2, c3 = whose
    for block in range(blocks):
        for i in range(len(w0)):
            k = np.uint64(block * len(w0) + i)
            a, b, c, _ = kernels.philox(k, k >> np.uint64(32), c2, c3, k0, k1)
            w0[i], w1[i], w2[i] = np.uint32(a), np.uint32(b), np.uint32(c)


def _against_numpy(
    bench: Experiment, channels: list[Channel], repeats: int, name: str, what: str, target: float, **detail: float
) -> Measured:
    world, count, rng = bench.world, round(MONTH_H / MINUTE_H), np.random.default_rng(0)
    trace, out = world.run(world.start(0), MONTH_H).trace, np.empty((len(channels), count), np.float32)
    ours, normals = turns(
        lambda k: Panel.of(trace, channels).render(0, count, out),
        lambda k: rng.standard_normal(dtype=np.float32, out=out),
        10 * repeats,
    )
    samples = count * len(channels)
    found = {"rendered_per_s": samples / median(ours), "drawn_per_s": samples / median(normals)}
    return Measured(
        name, what, "×", target, True,
        tuple(b / a for a, b in zip(ours, normals, strict=True)), found | detail | {"channels": len(channels)},
    )  # fmt: skip


def window(bench: Experiment, repeats: int) -> Measured:
    """Windows of 128 samples of 50 sensors anywhere in a month, against NumPy drawing as many normals."""
    world, size, count = bench.world, 128, 200
    panel = Panel.of(world.run(world.start(0), MONTH_H).trace, _sensors(bench.twin))
    rng, out = np.random.default_rng(0), np.empty((len(panel.channels), size), np.float32)
    starts = rng.integers(0, panel.owned - size, count).tolist()
    ours, normals = turns(
        lambda k: [panel.render(start, size, out) for start in starts],
        lambda k: [rng.standard_normal(dtype=np.float32, out=out) for _ in starts],
        10 * repeats,
    )
    return Measured(
        "window", "time to render a window of 128 samples of 50 sensors, anywhere in a month", "µs", 100.0, False,
        tuple(1e6 * s / count for s in ours),
        {"normals_us": 1e6 * median(normals) / count, "noisy": sum(c.noise.white > 0 for c in panel.channels)},
    )  # fmt: skip


def writing(bench: Experiment, repeats: int) -> Measured:
    """Shards, hashed and moved into place, against pyarrow writing tables that are there already, in the same coding.

    In the detail, against pyarrow as it is without being told anything: which codes otherwise and larger.
    """
    world, twin = bench.world, replace(bench.twin, step_h=MINUTE_H)
    episodes = [e for seed in range(2) for e in twin.observe(world.run(world.start(seed), MONTH_H))]
    table = pq.read_table(pa.BufferReader(shards.series_bytes(episodes)))
    rows, values = shards.ROW_GROUP["series"], sum(s.values.size for e in episodes for s in e.series)
    coding = {"compression": "zstd", "use_dictionary": False, "use_byte_stream_split": shards.FLOATS["series"]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        theirs = {
            "coded": lambda k: pq.write_table(table, path / "coded", row_group_size=rows, **coding),
            "plain": lambda k: pq.write_table(table, path / "plain", row_group_size=rows),
        }
        ours, coded = turns(
            lambda k: files.write(path / "ours", [shards.series_bytes(episodes)]), theirs["coded"], repeats
        )
        again, plain = turns(lambda k: files.write(path / "ours", [shards.series_bytes(episodes)]), theirs["plain"], 3)
        sizes = {f"{name}_mb": (path / name).stat().st_size / 1e6 for name in ("ours", "coded", "plain")}
    return Measured(
        "writing", "rate of writing a shard's series over that of pyarrow writing the same table", "×", 0.5, True,
        tuple(b / a for a, b in zip(ours, coded, strict=True)),
        {"values_per_s": values / median(ours), "against_plain": median(plain) / median(again), **sizes},
    )  # fmt: skip


def pictures(bench: Experiment, repeats: int) -> Measured:
    """Pictures of inspected parts, with their masks, against NumPy drawing a normal for each pixel."""
    camera, count, rng = Camera("m5"), 2000, np.random.default_rng(0)
    part, passes, severity_NxK = np.arange(count), np.zeros(count, np.int64), rng.random((count, 3)) * 1.5
    size = camera.pixels
    ours, normals = turns(
        lambda k: camera.draw(k, part, passes, severity_NxK),
        lambda k: rng.standard_normal((count, size, size), np.float32),
        4 * repeats,
    )
    return Measured(
        "pictures", "rate of drawing pictures, a pixel, over that at which NumPy draws normals", "×", 0.3, True,
        tuple(b / a for a, b in zip(ours, normals, strict=True)),
        {"pictures_per_s": count / median(ours), "pixels": size * size},
    )  # fmt: skip
