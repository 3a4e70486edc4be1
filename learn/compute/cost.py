"""What a result cost: seconds by stage, floating-point operations, an estimate of energy, peak memory."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sim.errors import require

_KEYS = ("seconds", "core_seconds", "flops", "energy_wh")


@dataclass(frozen=True)
class Power:
    """Watts assumed, not measured: a busy core with its share of memory and supply, and a busy accelerator."""

    core_w: float = 10.0
    accelerator_w: float = 400.0

    def __post_init__(self) -> None:
        for name in ("core_w", "accelerator_w"):
            require(getattr(self, name) >= 0, self, name, "0 or more watts")

    def energy_wh(self, core_seconds: float, accelerator_seconds: float = 0.0) -> float:
        return (core_seconds * self.core_w + accelerator_seconds * self.accelerator_w) / 3600


@dataclass
class Cost:
    """A stopwatch: `with cost.stage("training"): …`, then `cost.report()`. Stages of one name add up."""

    power: Power = field(default_factory=Power)
    accelerators: int = 0  # busy during the stages opened with accelerated=True
    stages: dict[str, dict[str, float]] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str, accelerated: bool = False) -> Iterator[None]:
        wall_s, core_s = time.perf_counter(), _core_seconds()
        try:
            yield
        finally:
            wall_s, core_s = time.perf_counter() - wall_s, _core_seconds() - core_s
            stage = self.stages.setdefault(name, dict.fromkeys(_KEYS, 0.0))
            stage["seconds"] += wall_s
            stage["core_seconds"] += core_s
            stage["energy_wh"] += self.power.energy_wh(core_s, wall_s * self.accelerators * accelerated)

    def add_flops(self, name: str, flops: float) -> None:
        """Count floating-point operations to a stage that has been opened."""
        self.stages[name]["flops"] += flops

    def add_waiting(self, name: str, seconds: float) -> None:
        """Count seconds in which the device waited for data to a stage."""
        stage = self.stages.setdefault(name, dict.fromkeys(_KEYS, 0.0))
        stage["waited_seconds"] = stage.get("waited_seconds", 0.0) + seconds

    def report(self) -> dict[str, Any]:
        """{stages: {name: {seconds, core_seconds, flops, energy_wh}}, total: likewise, peak_memory_gb, assumed}.

        A stage that data were counted for has waited_seconds as well: those in which a device waited for them.

        Core seconds are processor time of this process and of those of its children that have ended.
        """
        total = {key: sum(stage[key] for stage in self.stages.values()) for key in _KEYS}
        assumed = {"core_w": self.power.core_w, "accelerator_w": self.power.accelerator_w}
        return {"stages": self.stages, "total": total, "peak_memory_gb": peak_memory_gb(), "assumed": assumed}


def peak_memory_gb() -> float:
    """The largest resident size of this process so far, in 1e9 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9


def _core_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system
