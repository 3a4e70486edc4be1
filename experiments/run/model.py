"""A trained model on disk, with all that is needed to use it where its training data is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments.build import build
from experiments.run_dir import config_of
from learn.models import ensemble
from learn.scores.metrics import Prediction
from learn.serving.predict import predict
from learn.tasks import Task
from learn.training import checkpoint
from learn.training.fit import Budget
from learn.windows.batch import ROLES, Frame, Scale, Windows
from sim.errors import InputError
from twins.clean.pipeline import Closed

if TYPE_CHECKING:
    from experiments.experiment import Experiment

FOLDER = "model"  # in a run's folder


@dataclass(frozen=True, eq=False)
class Model:
    """A module with its parameters, and the channels that it knows: names, scale, role and unit of each."""

    module: Any
    task: Task
    context: int
    scale: Scale
    roles: tuple[str, ...]
    step_h: float | None
    step: int = 0  # updates of its parameters; 0: not trained
    cleaning: Closed | None = None  # the steps that what it learned from went through, and what it is fed has to

    def predict(self, windows: Windows, anchors_Nx2: np.ndarray, passes: int = 0, seed: int = 0) -> Prediction:
        """Predictions at the anchors of *windows* that are in this model's scale; of many *passes* with dropout on."""
        module = ensemble.Sampled(self.module, passes, seed) if passes else self.module
        return predict(module, None, windows, anchors_Nx2)

    @staticmethod
    def first(experiment: Experiment) -> Model:
        """Before training."""
        shape, members = experiment.part("model"), experiment.part("fit", Budget).members
        return Model.of(experiment, _built(shape, experiment.task, experiment.feed("train"), experiment.seed, members))

    @staticmethod
    def of(experiment: Experiment, module: Any, step: int = 0) -> Model:
        """A *module* of the experiment's task and channels, after *step* updates."""
        train = experiment.feed("train")
        roles = tuple(str(ROLES[role]) for role in np.asarray(train.role_ExV).max(0))
        told = experiment.dataset.manifest.get("closed", {}).get("clean")
        cleaning = Closed.of(told) if told else None
        return Model(module, experiment.task, train.context, train.scale, roles, train.step_h, step, cleaning)

    def with_parameters(self, params: Any, step: int) -> Model:
        return replace(self, module=nnx.merge(nnx.split(self.module)[0], params), step=step)

    def save(self, run: Path) -> None:
        """Write it into a run's folder."""
        about = {
            "names": self.scale.names,
            "mean": self.scale.mean,
            "std": self.scale.std,
            "roles": self.roles,
            "units": self.scale.units,
            "kinds": self.scale.kinds,
            "step_h": self.step_h,
        }
        if self.scale.frames:
            about["frames"] = [list(frame) for frame in self.scale.frames]
        if self.cleaning:
            about["clean"] = self.cleaning.told()
        checkpoint.save(run / FOLDER, self.step, nnx.split(self.module)[1], about)

    @staticmethod
    def saved(run: Path) -> bool:
        return bool(checkpoint.steps(run / FOLDER))

    @staticmethod
    def load(run: Path) -> Model:
        """From a run's folder; raises InputError where there is no whole model in it."""
        config = config_of(run)
        if not Model.saved(run):
            raise InputError(f"{run} holds no trained model yet; run the command that began it again to finish it")
        step = checkpoint.steps(run / FOLDER)[-1]
        about = checkpoint.info(run / FOLDER, step)
        if lacking := {"names", "mean", "std", "units", "kinds", "roles", "step_h"} - set(about):
            raise InputError(
                f"the model in {run} was written by an earlier version, without {min(lacking)}; "
                "train it anew with fresh=true"
            )
        frames = tuple(Frame(name, tuple(shape), *rest) for name, shape, *rest in about.get("frames", ()))
        names, mean, std, units, kinds = (tuple(about[what]) for what in ("names", "mean", "std", "units", "kinds"))
        scale = Scale(names, mean, std, units, kinds, frames)
        try:
            task, shape = build(config["task"], "task"), build(config["model"], "model")
        except InputError as error:
            raise InputError(
                f"{run / 'config.yaml'} is not of this code: {error}; train it anew with fresh=true"
            ) from error
        context = config["context"]
        like = blank(scale, about["roles"], context, task.samples_ahead, about["step_h"])
        members = config["fit"].get("members", 1)
        module = _built(shape, task, like, config["seed"], members)
        params = checkpoint.load(run / FOLDER, step, nnx.split(module)[1])
        cleaning = Closed.of(about["clean"]) if "clean" in about else None
        model = Model(module, task, context, scale, tuple(about["roles"]), about["step_h"], cleaning=cleaning)
        return model.with_parameters(params, step)


def _built(shape: Any, task: Task, windows: Any, seed: int, members: int) -> Any:
    """A module, or an ensemble of *members*, the k-th with the parameters that seed + k begins with."""
    each = [shape.build(task, windows, seed + member) for member in range(members)]
    return ensemble.Ensemble(each) if members > 1 else each[0]


def blank(scale: Scale, roles: Sequence[str], context: int, horizon: int, step_h: float | None) -> Windows:
    """Windows of one empty episode, from which a module learns the shapes that it has to have."""
    length, count = context + horizon, len(roles)
    return Windows(
        jnp.full((1, count, length), jnp.nan),
        jnp.zeros((1, length)),
        jnp.zeros((1, length)),
        jnp.full((1, length), jnp.nan),
        jnp.full((1, length), -1, jnp.int32),
        jnp.asarray([[[str(r) for r in ROLES].index(role) for role in roles]], jnp.int32),
        jnp.ones((1, count), bool),
        context=context,
        horizon=horizon,
        step_h=step_h,
        scale=scale,
        runs=(0,),
        assets=("",),
        first=(0,),
        last=(0,),
        frames=tuple(jnp.full((1, length, *frame.shape), jnp.nan) for frame in scale.frames),
    )
