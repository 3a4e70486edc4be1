"""An experiment as objects, each built from its part of the configuration when it is first asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from experiments.build import build
from experiments.console import progress
from sim.errors import InputError


class Experiment:
    """`world`, `twin`, `source`, `task`, `dataset` (generated if need be) and `model` (trained, once a run is)."""

    def __init__(self, config: Mapping[str, Any]):
        self.config = config

    @staticmethod
    def of(config: Any) -> Experiment:
        """From Hydra's DictConfig; raises where a mandatory value is missing."""
        from omegaconf import OmegaConf

        return Experiment(cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True)))

    def part(self, key: str) -> Any:
        """The object built from one key of the configuration."""
        if key not in self.config:
            raise InputError(f"{key} is missing from the configuration, which has {', '.join(self.config)}")
        return build(self.config[key], key)

    @cached_property
    def world(self) -> Any:
        return self.part("world")

    @cached_property
    def twin(self) -> Any:
        return self.part("twin")

    @cached_property
    def source(self) -> Any:
        return self.part("source")

    @cached_property
    def task(self) -> Any:
        return self.part("task")

    @cached_property
    def dataset(self) -> Any:
        with progress("dataset") as advance:
            return self.source.ensure(Path(self.config["datasets"]), self.config["workers"], advance)
