"""What this machine is, and how it computes: the stamp that goes with results, and a probe of its arithmetic."""

from __future__ import annotations

import hashlib
import math
import os
import platform as system
from functools import cache
from importlib import metadata
from pathlib import Path

import numba
import numpy as np
from scipy import special

from sim.laws import InverseGaussian

LIBRARIES = ("twinworlds", "simpy", "numpy", "scipy", "numba", "llvmlite", "pyarrow", "jax", "jaxlib", "flax", "optax")
FEATURES = (
    "sse4_2",
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_bf16",
    "amx_bf16",
    "neon",
    "asimd",
)


@cache
def stamp() -> dict:
    """Python, operating system, processor with its vector features, and library versions: plain JSON, no time in it."""
    model, flags = _processor()
    return {
        "python": system.python_version(),
        "system": system.system(),
        "release": system.release(),
        "machine": system.machine(),
        "processor": model,
        "features": [feature for feature in FEATURES if feature in flags],
        "cores": os.cpu_count(),
        "libraries": {name: version for name in LIBRARIES if (version := _version(name))},
    }


@cache
def probe() -> str:
    """SHA-256 over the results of the floating-point operations that generation uses, on fixed inputs.

    Two processes with the same probe may share the work of one dataset. NumPy and the maths library choose code by
    processor, so the last bit of a logarithm can differ between machines with the same libraries.
    """
    u = np.random.Generator(np.random.Philox(key=20250101)).random(4096)
    results = [
        u,
        np.log(u),
        np.exp(-9 * u),
        u**0.731,
        np.sqrt(u),
        np.sin(7 * u),
        np.tanh(3 * u),
        np.cumsum(u),
        np.log(u.astype(np.float32)),
        np.exp(u.astype(np.float32)),
        special.ndtri(u),
        special.ndtr(4 * u - 2),
        special.gammainccinv(2.5, u),
        special.gammaincc(2.5, 4 * u),
        InverseGaussian(1.0, 2.0).isf(u),
        InverseGaussian(1.0, 2.0).sf(4 * u),
        _compiled(u),
        _compiled(u.astype(np.float32)),
    ]
    digest = hashlib.sha256()
    for result in results:
        digest.update(np.ascontiguousarray(result).tobytes())
    return digest.hexdigest()


@numba.njit(cache=True)
def _compiled(u):
    """Box–Muller, a decay and a recursion, as rendering compiles them."""
    out = np.empty_like(u)
    last = u[0]
    for i in range(u.size - 1):
        normal = math.sqrt(-2 * math.log(u[i])) * math.cos(2 * math.pi * u[i + 1])
        last = 0.9 * last + math.exp(-u[i]) * normal
        out[i] = last
    out[-1] = u[-1] ** 1.7
    return out


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> tuple[str, set[str]]:
    model, flags = system.processor() or system.machine(), set()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return model, flags
    for line in lines:
        name, _, value = (part.strip() for part in line.partition(":"))
        if name == "model name":
            model = value
        elif name in ("flags", "Features"):
            flags = set(value.split())
        if not name:  # the first processor's block ends at the first blank line
            break
    return model, flags
