"""Presets that learn in one model, each then evaluated as a run of its own, beside what it learns alone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from experiments import cli
from experiments.build import fit as fitting
from experiments.experiment import Experiment, run_path
from experiments.run_dir import RunDir, open_run
from sim.errors import InputError, require

ALONE = "trained_alone"
# Of a model what is its preset's own; the rest is one for all.
OWN = ("patch", "frame_patch", "wave_patch", "levels", "overlap", "skip", "growth", "mix")


@dataclass(frozen=True)
class Member:
    """One preset among those that learn together."""

    weight: float = 1.0  # of its loss, in its own unit, beside the others'
    set: tuple[str, ...] = ()  # what is set in it, as on a command line

    def __post_init__(self):
        object.__setattr__(self, "set", tuple(self.set))
        require(self.weight > 0, self, "weight", "above 0")


class Together:
    """The presets of `presets`, each an experiment whose model, optimiser and budget are the ones of all."""

    def __init__(self, config: Mapping[str, Any], debug: str | None = None):
        self.config, self.debug = config, debug

    @staticmethod
    def of(config: Any, debug: str | None = None) -> Together:
        """From Hydra's DictConfig; *debug* is the choice of that group, which every preset takes as well."""
        from omegaconf import OmegaConf

        found = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        return Together(cast(dict[str, Any], found), debug)

    @cached_property
    def members(self) -> dict[str, Member]:
        found = {}
        for name, given in fitting(self.config["presets"] or {}, dict[str, Any], "presets").items():
            unknown = set(given or {}) - {"weight", "set"}
            if unknown:
                raise InputError(f"unknown key presets.{name}.{min(unknown)}; a preset has weight and set")
            found[name] = Member(**(given or {}))
        if len(found) < 2:
            raise InputError(f"presets names {len(found)}; it takes two or more to learn together")
        return found

    @cached_property
    def experiments(self) -> dict[str, Experiment]:
        """Each preset with what is common to all in place of its own."""
        found = {}
        for name, member in self.members.items():
            debug = [f"debug={self.debug}"] if self.debug else []
            own = cli.compose("train", [f"experiment={name}", *debug, *member.set]).config
            common, budget = self.config["model"], self.config["fit"]
            if own["model"]["_target_"] != common["_target_"]:
                raise InputError(
                    f"presets.{name} is of {own['model']['_target_']}; what learns together is {common['_target_']}"
                )
            model = dict(common) | {key: own["model"][key] for key in OWN if key in own["model"]}
            share = max(budget["batch"] // len(self.members), 1)
            micro = budget["microbatch"] if budget["microbatch"] and share % budget["microbatch"] == 0 else None
            steps = dict(budget) | {"batch": share, "microbatch": micro, "stride": own["fit"]["stride"]}
            places = {key: self.config[key] for key in ("seed", "workers", "executor", "datasets", "debug", "mesh")}
            found[name] = Experiment(
                dict(own) | places | {"model": model, "optim": self.config["optim"], "fit": steps, "fresh": False}
            )
        return found

    @contextlib.contextmanager
    def open_run(self) -> Iterator[RunDir]:
        """The folder of the run, locked; named by the presets as well, and their data."""
        from experiments.run.checks import check

        for name, experiment in self.experiments.items():
            try:
                check(experiment)
            except InputError as error:
                raise InputError(f"presets.{name}: {error}") from None
        each = [run_path(e.config, e.source.identity).name for e in self.experiments.values()]
        path = run_path(self.config, " ".join(each))
        with open_run(path, self.config, fitting(self.config["fresh"], bool, "fresh")) as run:
            yield run

    def execute(self, run: RunDir) -> tuple[dict[str, Any], dict[str, float]]:
        """Do what is left to do of a run. Returns the scores of all presets and the seconds of each stage."""
        from experiments.run import joint_report, pipeline, training
        from experiments.run.model import Model
        from experiments.run_dir import stamp, write_json

        costs = training.Costs(run.path / "cost.json")
        with costs.stage("datasets"):
            content = " ".join(e.dataset.manifest["content"] for e in self.experiments.values())
            write_json(run.path / "stamp.json", stamp(content) | {"command": cli.command()})
        with costs.stage("together", accelerated=True):
            models, size = self._learned(run)
        scores: dict[str, Any] = {}
        for name, experiment in self.experiments.items():
            inner = Experiment(dict(experiment.config) | {"outputs": str(run.path), "name": name})
            path = run.path / name
            with costs.stage(name, accelerated=True), open_run(path, inner.config, False) as part:
                beside: dict[str, Model] = {}
                if fitting(self.config["alone"], bool, "alone"):
                    with open_run(path / "alone", inner.config, False) as alone:
                        beside[ALONE], _ = training.train(inner, alone)
                if not Model.saved(part.path):
                    models[name].save(part.path)
                scores[name], _ = pipeline.execute(inner, part, beside)
        found = {"together": scores, "parameters": size, "members": {n: m.weight for n, m in self.members.items()}}
        write_json(run.path / "metrics.json", found | {"cost": costs.report()})
        joint_report.write(run.path)
        return found, costs.seconds

    def _learned(self, run: RunDir) -> tuple[dict[str, Any], int]:
        """The model of each preset after they have learned together, and the number of all parameters."""
        import jax
        from flax import nnx

        from experiments.console import progress, say
        from experiments.run.model import Model
        from experiments.run.training import learned_from
        from learn.training import joint
        from learn.training.fit import Budget, fit_together
        from learn.training.sharding import Layout
        from learn.training.update import Optim, split

        each = list(self.experiments.values())
        trains = [learned_from(e, "train") for e in each]
        module = joint.build([e.part("model") for e in each], [e.task for e in each], trains, each[0].seed)
        weights = [member.weight for member in self.members.values()]
        parts = [
            joint.Part(train, learned_from(e, "validation"), e.part("fit", Budget).stride, weight)
            for e, train, weight in zip(each, trains, weights, strict=True)
        ]
        budget = Experiment(self.config).part("fit", Budget)
        say(f"training {len(each)} presets together: compiling the step, before the first row")
        with progress("training together") as advance:
            done = fit_together(
                module,
                parts,
                each[0].part("optim", Optim),
                budget,
                run.path,
                lambda row: advance(int(row["step"]), budget.steps, f"loss {row['loss']:.4f}"),
                Experiment(self.config).part("mesh", Layout).mesh(),
            )
        graphdef, params = split(module)
        trained = nnx.merge(graphdef, done.params)
        models = {
            name: Model.of(e, net, int(done.state.step))
            for (name, e), net in zip(self.experiments.items(), trained.nets, strict=True)
        }
        return models, sum(leaf.size for leaf in jax.tree.leaves(params))
