"""What a run of training leaves in its folder: rows of metrics, checkpoints, and by them where it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np

from learn.training import checkpoint
from learn.training.update import TrainState
from sim.errors import InputError

if TYPE_CHECKING:
    from learn.training.fit import Best

Row = dict[str, float]


class Diverged(InputError):
    """A loss that is no number stopped a run."""


def at(state: TrainState) -> int:
    """The step that a run, all members of an ensemble alike, has come to."""
    return int(np.max(state.step))


class Journal:
    """What a run leaves in its directory: rows of metrics, and checkpoints at steps whose rows are known to be good.

    Of several hosts that train together each reads it, and the first writes; it has to lie where all of them see it.
    """

    def __init__(self, directory: Path | None, identity: str, progress: Callable[[Row], None] | None):
        self.directory, self.identity, self.progress = directory, identity, progress
        self.rows: list[Row] = []

    @property
    def _checkpoints(self) -> Path:
        assert self.directory is not None
        return self.directory / "checkpoints"

    def resume(self, state: TrainState, best: Best) -> tuple[TrainState, Best]:
        """The last checkpoint, with the rows up to it; what came after it is dropped and will come again."""
        if self.directory is None:
            return state, best
        self.directory.mkdir(parents=True, exist_ok=True)
        saved = checkpoint.steps(self._checkpoints)
        if saved:
            identity = checkpoint.info(self._checkpoints, saved[-1]).get("identity")
            if identity != self.identity:
                raise InputError(f"{self._checkpoints} belongs to a run of {identity}; this one is {self.identity}")
            state, best = checkpoint.load(self._checkpoints, saved[-1], (state, best))
        file = self.directory / "metrics.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                break  # the line that a kill cut short
            if row["step"] > at(state):
                break
            self.rows.append(row)
        checkpoint.meet(f"to have read {file}")
        if jax.process_index() == 0:
            part = file.with_suffix(".part")
            part.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
            part.replace(file)
        return state, best

    def stale(self, patience: int) -> bool:
        """Whether the last *patience* validations, or more, were none better than one before."""
        scores = [row["validation"] for row in self.rows if "validation" in row]
        best = int(np.argmin(np.nan_to_num(scores, nan=np.inf))) if scores else 0
        return bool(scores) and len(scores) - 1 - best >= patience

    def settle(self, first: int, metrics: dict, score: jax.Array | None, kept: tuple[TrainState, Best] | None) -> None:
        """Fetch the metrics of the chunk that began at step *first*; stop at the first that is no number."""
        values = {name: np.asarray(value) for name, value in metrics.items()}
        bad = ~np.all([np.isfinite(value) for value in values.values()], axis=0)
        if bad.any():
            saved = checkpoint.steps(self._checkpoints) if self.directory is not None else []
            last = f"the last good checkpoint is step-{saved[-1]:08d}" if saved else "there is no checkpoint yet"
            raise Diverged(
                f"the loss of step {first + int(bad.argmax()) + 1} is not a number; {last}; "
                "lower optim.learning_rate or optim.clip"
            )
        row: Row = {"step": first + len(bad), **{name: float(value.mean()) for name, value in values.items()}}
        if score is not None:
            row["validation"] = float(score)
        self.rows.append(row)
        if self.directory is not None:
            if jax.process_index() == 0:
                with (self.directory / "metrics.jsonl").open("a") as file:
                    file.write(json.dumps(row) + "\n")
            if kept is not None:
                checkpoint.save(self._checkpoints, first + len(bad), kept, {"identity": self.identity})
        if self.progress is not None:
            self.progress(row)
