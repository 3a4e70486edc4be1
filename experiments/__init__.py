"""Commands that say what runs, and the same things from Python: `from experiments import load`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.experiment import Experiment


def load(name: str, overrides: Sequence[str] = (), config_dir: str | Path | None = None) -> Experiment:
    """The preset *name* of conf/experiment, or of *config_dir*, as objects that are built when they are first used.

        line = load("line_failure", ["debug=fast"])
        line.world, line.twin, line.dataset, line.model

    A dataset that is not on disk is generated, in this process unless `workers` is among the overrides. JAX is
    imported only for the model. Raises InputError for an unknown preset or key.
    """
    from experiments import cli

    return cli.compose("train", [f"experiment={name}", "workers=1", *overrides], config_dir)
