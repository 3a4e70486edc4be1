"""A model as one program of plain arrays, and the bundle that holds it with its weights; `bundle` reads that.

The program takes readings in physical units and does all that lies between them and the answer: what is missing, the
scale of each channel, the calendar, the causal scale, the net, and the way back into units. Weights are its inputs, so
they are stored once. The number of windows is free, and of channels where the model reads each by what it is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import export

from learn.models import counts
from learn.models.heads import incidence
from learn.scores.metrics import quadrature
from learn.serving import bundle
from learn.tasks import Classify, Forecast, Imputation, RemainingLife, States, Task
from learn.training.checkpoint import flat
from learn.windows.batch import ROLES, WEEK_H, Batch, Scale
from learn.windows.identity import buckets
from twins.channel import Role

PLATFORMS = ("cpu", "cuda", "tpu")
EXAMPLES = 2  # windows

Arrays = Mapping[str, Any]


def answer(task: Task, out: Any, channels: Arrays) -> dict[str, jax.Array]:
    """What is told of the newest moment, in physical units; as `learn.serving.predict` has it."""
    if isinstance(task, Classify):
        told = {"p": jax.nn.softmax(out.logits_BxPxC[:, -1])}
        return told if out.marks_BxPxHxWxK is None else told | {"marks": jax.nn.sigmoid(out.marks_BxPxHxWxK[:, -1])}
    if isinstance(task, States):
        return {"p": jax.nn.softmax(out[:, -1])}
    if isinstance(task, Forecast):
        if task.loss == "counts":
            law_BxVxHxKx3 = out[:, :, -1]
            return {"mean": counts.mean(law_BxVxHxKx3), "quantiles": counts.quantiles(law_BxVxHxKx3, task.quantiles)}
        std, mean = (channels[name][:, None] for name in ("std", "mean"))
        quantiles_BxVxHxQ = out[:, :, -1]
        if task.loss == "mse":
            return {"mean": quantiles_BxVxHxQ[..., 0] * std + mean}
        weights_Q = quadrature(np.asarray(task.quantiles)).astype(np.float32)
        quantiles = quantiles_BxVxHxQ * std[..., None] + mean[..., None]
        return {"mean": (quantiles_BxVxHxQ @ weights_Q) * std + mean, "quantiles": quantiles}
    if isinstance(task, RemainingLife):
        held_BxQ = jnp.clip(out[:, -1], 0.0, task.cap)
        weights_Q = quadrature(np.asarray(task.quantiles)).astype(np.float32)
        return {"mean": held_BxQ @ weights_Q, "quantiles": held_BxQ}
    survival_BxK, cif_BxCxK = incidence(out[:, -1])
    fails_B = 1 - survival_BxK[:, task.edges_h.index(task.horizon_h)]
    return {"fails": fails_B, "incidence": cif_BxCxK, "survival": survival_BxK}


def outputs(task: Task, marks: bool) -> dict[str, dict[str, Any]]:
    """The axes of each output, after that of windows, and what it is."""
    if isinstance(task, Classify):
        told = {"p": {"axes": ["window", "class"], "what": f"probability of {', '.join(task.classes)}"}}
        pixels = {"axes": ["window", "row", "column", "mark"], "what": f"probability of {', '.join(task.kinds)}"}
        return told | ({"marks": pixels} if marks else {})
    if isinstance(task, States):
        return {"p": {"axes": ["window", "step", "state"], "what": f"probability of {', '.join(task.states)}"}}
    if isinstance(task, Forecast):
        where = f" at the newest {task.horizon} samples, of use where they are missing" * isinstance(task, Imputation)
        mean = {"axes": ["window", "target", "step"], "what": f"expected value{where}, in the target's unit"}
        levels = {"axes": ["window", "target", "step", "level"], "what": f"quantiles{where}, in the target's unit"}
        return (
            {"mean": mean} if task.loss == "mse" else {"mean": mean, "quantiles": levels | {"levels": task.quantiles}}
        )
    if isinstance(task, RemainingLife):
        mean = {"axes": ["window"], "what": f"expected life left, {task.unit}, held at {task.cap:g}"}
        levels = {"axes": ["window", "level"], "what": f"quantiles of it, {task.unit}", "levels": task.quantiles}
        return {"mean": mean, "quantiles": levels}
    until = {"edges_h": task.edges_h}
    return {
        "fails": {"axes": ["window"], "what": f"probability of failing within {task.horizon_h:g} h"},
        "incidence": {
            "axes": ["window", "cause", "edge"],
            "what": "probability of having failed of each cause by each edge, in hours from now",
            "causes": task.causes,
        }
        | until,
        "survival": {"axes": ["window", "edge"], "what": "probability of having not failed by each edge"} | until,
    }


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """What is exported: a module with its parameters, what it was asked, and the channels that it knows."""

    module: Any
    task: Task
    context: int
    scale: Scale
    roles: tuple[str, ...]
    step_h: float | None

    @property
    def any_channels(self) -> bool:
        """Whether the number of channels is free: each is read by what it is, not by its place."""
        return not getattr(getattr(self.module, "shape", None), "join", True)

    @property
    def _roles(self) -> list[int]:
        return [[str(role) for role in ROLES].index(role) for role in self.roles]

    @property
    def ahead(self) -> tuple[str, ...]:
        """The channels that are read over the horizon."""
        ours = self.module.known if self.task.samples_ahead else ()
        of = self._roles if hasattr(self.module, "shape") else range(len(self.roles))  # a linear model knows places
        return tuple(name for name, which in zip(self.scale.names, of, strict=True) if which in ours)

    @property
    def targets(self) -> tuple[str, ...]:
        """The channels that are forecast."""
        asked = isinstance(self.task, Forecast)
        return tuple(n for n, r in zip(self.scale.names, self.roles, strict=True) if asked and r == Role.TARGET)

    def weights(self) -> dict[str, np.ndarray]:
        """All arrays that the program takes, by name: `net/…`, `channels/…`, `frames/…`."""
        scale = self.scale
        net = {name: np.asarray(leaf) for name, leaf in flat(nnx.split(self.module)[1]).items()}
        channels = {
            "mean": np.asarray(scale.mean, np.float32),
            "std": np.asarray(scale.std, np.float32),
            "zero": scale.zero,
            "one": scale.one,
            "role": np.asarray(self._roles, np.int32),
            "words": buckets(scale.names, scale.units, scale.kinds),
        }
        frames = {frame.name: np.asarray([frame.mean, frame.std], np.float32) for frame in scale.frames}
        parts = {"net": net, "channels": channels, "frames": frames}
        return {f"{part}/{name}": array for part, arrays in parts.items() for name, array in arrays.items()}

    def answers(self, net: Arrays, channels: Arrays, frames: Arrays, given: Any) -> dict[str, jax.Array]:
        """The program: as `learn.windows.batch.gather` makes a batch of what was read, what the net says of it."""
        graphdef, like = nnx.split(self.module)
        module = nnx.merge(graphdef, jax.tree.unflatten(jax.tree.structure(like), [net[name] for name in flat(like)]))
        return answer(self.task, module(self._batch(channels, frames, given), last=True), channels)

    def _batch(self, channels: Arrays, frames: Arrays, given: Any) -> Batch:
        mean_Vx1, std_Vx1 = channels["mean"][:, None], channels["std"][:, None]
        mask_BxVxT = given["mask"] & jnp.isfinite(given["values"])
        x_BxVxT = jnp.where(mask_BxVxT, (given["values"] - mean_Vx1) / std_Vx1, 0.0)
        future_BxVxH = (given["ahead"] - mean_Vx1) / std_Vx1
        angle_BxT = given["hour"][..., None] * jnp.asarray([2 * np.pi / 24, 2 * np.pi / WEEK_H])
        b, v, t = x_BxVxT.shape
        role_BxV = jnp.where(given["present"], channels["role"], 0)
        return Batch(
            x_BxVxT=x_BxVxT,
            mask_BxVxT=mask_BxVxT,
            time_BxTxF=jnp.concatenate((jnp.sin(angle_BxT), jnp.cos(angle_BxT)), axis=-1).astype(jnp.float32),
            role_BxV=role_BxV,
            words_BxVxW=jnp.broadcast_to(channels["words"], (b, *channels["words"].shape)),
            zero_BxV=jnp.broadcast_to(channels["zero"], (b, v)),
            one_BxV=jnp.broadcast_to(channels["one"], (b, v)),
            gap_BxT=given["gap"],
            group_BxV=jnp.zeros_like(role_BxV),
            variate_mask_BxV=given["present"],
            future_BxVxH=jnp.where(jnp.isfinite(future_BxVxH), future_BxVxH, 0.0),
            future_mask_BxVxH=jnp.zeros(future_BxVxH.shape, bool),
            event_h_BxT=jnp.full((b, t), jnp.nan),
            cause_BxL=jnp.full((b, t), -1, jnp.int32),
            frames=tuple((given["frames"][f.name] - frames[f.name][0]) / frames[f.name][1] for f in self.scale.frames),
        )

    def program(self, platforms: Sequence[str] = PLATFORMS) -> export.Exported:
        """`answers` lowered for *platforms*, its number of windows free."""
        b, v = export.symbolic_shape("b, v")
        v = v if self.any_channels else len(self.roles)
        like = {name: jax.ShapeDtypeStruct(a.shape, a.dtype) for name, a in self.weights().items()}
        net, channels, frames = (bundle.group(like, part) for part in ("net", "channels", "frames"))
        channels = {name: jax.ShapeDtypeStruct((v, *a.shape[1:]), a.dtype) for name, a in channels.items()}

        def array(*shape: Any, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(shape, dtype)

        given = {
            "values": array(b, v, self.context),
            "mask": array(b, v, self.context, dtype=bool),
            "present": array(b, v, dtype=bool),
            "hour": array(b, self.context),
            "gap": array(b, self.context),
            "ahead": array(b, v, self.task.samples_ahead),
            "frames": {f.name: array(b, self.context, *f.shape) for f in self.scale.frames},
        }
        before = jax.config.jax_traceback_in_locations_limit  # type: ignore[attr-defined]
        jax.config.update("jax_traceback_in_locations_limit", 0)  # the program tells nothing of this machine's folders
        try:
            return export.export(jax.jit(self.answers), platforms=platforms)(net, channels, frames, given)
        finally:
            jax.config.update("jax_traceback_in_locations_limit", before)

    def manifest(self, about: Mapping[str, Any], program: export.Exported) -> dict[str, Any]:
        """What a user of the bundle has to know, as JSON takes it."""
        scale = self.scale
        columns = (scale.names, scale.units, self.roles, scale.kinds, scale.mean, scale.std)
        keys = ("name", "unit", "role", "entity", "mean", "std")
        task = {field.name: getattr(self.task, field.name) for field in dataclasses.fields(self.task)}
        return {
            "format": bundle.FORMAT,
            **about,
            "task": {"kind": type(self.task).__name__} | task,
            "context": self.context,
            "horizon": self.task.samples_ahead,
            "step_h": self.step_h,
            "channels": [dict(zip(keys, column, strict=True)) for column in zip(*columns, strict=True)],
            "any_channels": self.any_channels,
            "targets": self.targets,
            "ahead": self.ahead,
            "frames": [frame._asdict() for frame in scale.frames],
            "outputs": outputs(self.task, getattr(self.module, "marks", None) is not None),
            "platforms": program.platforms,
            "calling_convention": program.calling_convention_version,
        }

    def write(self, path: Path, about: Mapping[str, Any], texts: Mapping[str, str]) -> bundle.Bundle:
        """Write the bundle, with *texts* as further files of it, and give it back as it is read.

        It is moved into place when it is whole and has been read again.
        """
        program, weights = self.program(), self.weights()
        manifest = json.loads(json.dumps(self.manifest(about, program), default=list))
        example = self._example(bundle.Bundle(manifest, program, weights, {}))
        loader = Path(bundle.__file__).read_text(encoding="utf-8")
        files = {
            bundle.MANIFEST: (json.dumps(manifest, indent=1) + "\n").encode(),
            bundle.PROGRAM: bytes(program.serialize()),
            bundle.WEIGHTS: _npz(weights),
            bundle.EXAMPLE: _npz(example),
            **{name: text.encode() for name, text in texts.items()},
            "bundle.py": loader.encode(),
            "__main__.py": b"from bundle import main\n\nmain()\n",
        }
        sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
        part = path.with_name(f".{path.name}.part")
        try:
            with zipfile.ZipFile(part, "w") as archive:
                for name, data in (files | {bundle.SUMS: sums.encode()}).items():
                    archive.writestr(zipfile.ZipInfo(name), data)
            found = bundle.load(part)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        return found

    def _example(self, whole: bundle.Bundle) -> dict[str, np.ndarray]:
        """Windows of noise about the training mean, some of it missing, and what the model says of them."""
        rng = np.random.default_rng(0)

        def noise(mean: Any, std: Any, *shape: int) -> np.ndarray:
            return (mean + std * rng.normal(size=shape)).astype(np.float32)

        mean, std = (np.asarray(x)[:, None] for x in (self.scale.mean, self.scale.std))
        values = noise(mean, std, EXAMPLES, len(mean), self.context)
        values[rng.random(values.shape) < 0.05] = np.nan
        known = {n: self.scale.names.index(n) for n in self.ahead}
        ahead = {n: noise(mean[v], std[v], EXAMPLES, self.task.samples_ahead) for n, v in known.items()}
        frames = {f.name: noise(f.mean, f.std, EXAMPLES, self.context, *f.shape) for f in self.scale.frames}
        at_h = 10.0 + np.arange(EXAMPLES)
        at_h = at_h if self.step_h else at_h[:, None] + np.cumsum(rng.random(self.context))
        told = whole.predict(values, at_h, ahead=ahead, frames=frames)
        given = {"values": values, "at": at_h, **_named("ahead", ahead), **_named("frames", frames)}
        return _named("given", given) | _named("told", told)


def _named(group: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{group}/{name}": array for name, array in arrays.items()}


def _npz(arrays: Mapping[str, Any]) -> bytes:
    held = io.BytesIO()
    np.savez(held, allow_pickle=False, **arrays)
    return held.getvalue()
