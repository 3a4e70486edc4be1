"""A plan of training from its configuration to a table."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from rich.table import Table

from experiments.build import fit
from experiments.experiment import Experiment
from experiments.run.model import blank
from learn.compute.plan import Device, expected, plan
from learn.tasks import Task
from learn.training.fit import Budget
from learn.training.sharding import Layout
from learn.training.update import Optim
from learn.windows.batch import Scale, Windows
from sim.errors import InputError, require


@dataclass(frozen=True)
class Data:
    """What a device holds of the data."""

    channels: int = 16
    episodes: int = 64
    samples: int = 4096  # of each

    def __post_init__(self):
        for field in ("channels", "episodes", "samples"):
            require(getattr(self, field) >= 1, self, field, "at least 1")

    def windows(self, task: Task, context: int) -> Windows:
        """The shapes of so much data; the first channel is the target."""
        v = self.channels
        names = tuple(f"channel_{i}" for i in range(v))
        scale = Scale(names, (0.0,) * v, (1.0,) * v, ("1",) * v, ("asset",) * v)
        small = blank(scale, ["target", *["past"] * (v - 1)], context, task.samples_ahead, 1.0)
        longer = self.samples - 1

        def shape(array: jax.Array) -> jax.ShapeDtypeStruct:
            over_time = array.shape[-1] == context + task.samples_ahead
            sides = (*array.shape[1:-1], array.shape[-1] + longer) if over_time else array.shape[1:]
            return jax.ShapeDtypeStruct((self.episodes, *sides), array.dtype)

        return jax.tree.map(shape, small)


@dataclass(frozen=True)
class Asked:
    shape: Any
    task: Task
    optim: Optim
    budget: Budget
    layout: Layout
    device: Device
    windows: Windows
    mfu: float

    @staticmethod
    def of(experiment: Experiment) -> Asked:
        """From `plan.yaml`; raises InputError for what cannot be right."""
        mfu = fit(experiment.config["mfu"], float, "mfu")
        if not 0 < mfu <= 1:
            raise InputError(f"mfu is {mfu}; it must be a share of the peak, above 0 and at most 1")
        task, budget = experiment.task, experiment.part("fit", Budget)
        if budget.members != 1:
            raise InputError(f"fit.members is {budget.members}; a plan is of one model, so it must be 1")
        return Asked(
            experiment.part("model"),
            task,
            experiment.part("optim", Optim),
            budget,
            experiment.part("mesh", Layout),
            experiment.part("device", Device),
            experiment.part("data", Data).windows(task, experiment.context),
            mfu,
        )

    @property
    def devices(self) -> int:
        return self.layout.data * self.layout.fsdp * self.layout.tensor

    def told(self) -> dict[str, Any]:
        """The plan as plan.json holds it; bytes are of one device, operations and energy of all."""
        found = plan(self.shape, self.task, self.windows, self.optim, self.budget, self.layout.mesh())
        bf16 = bool(getattr(self.shape, "bf16", False))
        step = expected(found, self.device, self.mfu, bf16)
        memory, work = found.memory, found.work
        return {
            "parameters": found.parameters,
            "tokens": found.tokens,
            "devices": found.devices,
            "device": self.device.name,
            "precision": "bfloat16" if bf16 else "TensorFloat-32",
            "mfu": self.mfu,
            "memory": memory._asdict() | {"peak": memory.peak, "room": self.device.memory_gb * 1e9},
            "flops": work._asdict() | {"six_nd": 6.0 * found.parameters * found.tokens},
            "collectives": found.traffic.by_kind | {"sent": found.traffic.sent},
            "endless_loops": found.traffic.endless,
            "step": step._asdict() | {"step_s": step.step_s},
            "run": {
                "steps": self.budget.steps,
                "hours": step.step_s * self.budget.steps / 3600,
                "energy_kwh": step.energy_j * self.budget.steps / 3.6e6,
            },
            "compile_s": found.compile_s,
        }


def output(name: Any) -> Path | None:
    """The path to write to, checked before any work is done."""
    path = None if name is None else Path(str(name))
    if path is not None and (path.suffix != ".json" or not path.absolute().parent.is_dir()):
        raise InputError(f"output is {path}; it must be a .json in a folder that exists, or null")
    return path


def show(told: Mapping[str, Any]) -> None:
    """The plan as a table, on stdout."""
    from rich.console import Console

    table = Table("what", "", "")
    table.columns[1].justify = "right"
    for row in rows(told):
        table.add_row(*row)
    Console().print(table)


def rows(told: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What is planned, its value, and what that is."""
    memory, work, step, run = (told[key] for key in ("memory", "flops", "step", "run"))
    fits = "fits" if memory["peak"] <= memory["room"] else "does NOT fit"
    other = work["analytic"] or work["six_nd"]
    formula = "6 a weight and token, and attention" if work["analytic"] else "6 N D"
    bound = max(("compute_s", "memory_s", "link_s"), key=lambda key: step[key])
    by = {"compute_s": "computing", "memory_s": "reading and writing the state", "link_s": "sending"}[bound]
    sent = ", ".join(f"{kind} {size(of)}" for kind, of in told["collectives"].items() if kind != "sent") or "none"
    if told["endless_loops"]:
        sent += f"; {told['endless_loops']} loops of unknown length counted once"
    return [
        ("parameters", f"{told['parameters']:,}", f"{told['tokens']:,} tokens an update"),
        ("parameters on a device", size(memory["parameters"]), f"of {told['devices']}, exact"),
        ("optimiser on a device", size(memory["optimiser"]), "exact"),
        ("data on a device", size(memory["data"]), "exact"),
        ("arguments of the step", size(memory["arguments"]), "all that it reads of them"),
        ("results of the step", size(memory["outputs"]), "metrics; the next state lies where this one did"),
        ("temporaries", size(memory["temporary"]), "gradients and activations, as XLA lays them out on a CPU"),
        ("peak", size(memory["peak"]), f"{fits} into {size(memory['room'])} of {told['device']}"),
        ("operations an update", f"{work['xla']:.3e}", "as XLA counts them"),
        ("by formula", f"{other:.3e}", f"{formula}; XLA's are {100 * work['xla'] / other - 100:+.1f} %"),
        ("6 N D", f"{work['six_nd']:.3e}", "of all parameters and tokens"),
        ("collectives an update", size(told["collectives"]["sent"]), f"sent by a device; it gets {sent}"),
        (
            "step",
            seconds(step["step_s"]),
            f"bound by {by}; {100 * told['mfu']:.0f} % of the peak in {told['precision']}",
        ),
        ("energy an update", f"{step['energy_j']:.3g} J", "of all devices at full power"),
        (f"{run['steps']:,} updates", f"{run['hours']:.3g} h", f"{run['energy_kwh']:.3g} kWh"),
        ("compiled in", seconds(told["compile_s"]), ""),
    ]


def size(count: float) -> str:
    """Bytes as people say them."""
    units = ("B", "kB", "MB", "GB", "TB")
    power = min(int(math.log10(max(count, 1)) // 3), len(units) - 1)
    return f"{count / 1000**power:.3g} {units[power]}"


def seconds(value: float) -> str:
    return f"{value:.3g} s" if value >= 1 else f"{1000 * value:.3g} ms"
