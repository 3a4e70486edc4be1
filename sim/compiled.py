"""How this project compiles its loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import njit


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`numba.njit` without fast-math, kept on disk so that workers need not compile (where a folder is writable)."""

    def decorate(function):
        try:
            return njit(cache=True, error_model="numpy", **options)(function)
        except RuntimeError:
            return njit(error_model="numpy", **options)(function)

    return decorate
