"""What the machine itself can do, so that a rate can be seen against it: random numbers, memory, disk. One thread."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable

import numpy as np

MEBI = 1 << 20


def limits() -> dict[str, float]:
    """Float32 normals a second by NumPy; gigabytes a second copied in memory, and written and synchronised to disk."""
    normals, source = np.empty(MEBI // 4, np.float32), np.ones(64 * MEBI, np.uint8)
    target, rng = np.zeros_like(source), np.random.default_rng(0)
    copied_s = _best(lambda: np.copyto(target, source))
    drawn_s = _best(lambda: rng.standard_normal(dtype=np.float32, out=normals))
    with tempfile.TemporaryFile() as file:

        def write() -> None:
            file.seek(0)
            file.write(source.data)
            file.flush()
            os.fsync(file.fileno())

        written_s = _best(write, 10)
    return {
        "normals_per_s": len(normals) / drawn_s,
        "copied_gb_per_s": len(source) / copied_s / 1e9,
        "written_gb_per_s": len(source) / written_s / 1e9,
    }


def _best(job: Callable[[], object], times: int = 40) -> float:
    """The shortest of many short times, which others on the machine disturb least."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        job()
        taken.append(time.perf_counter() - began)
    return min(taken)
