"""Rows of training as TensorBoard has them: `python -m experiments.tensorboard 'runs=outputs/line_failure/*'`.

metrics.jsonl stays what training writes; this mirrors it, also while it grows.
"""

from __future__ import annotations

import glob
import json
import time
from pathlib import Path
from typing import Any

from experiments import cli
from sim.errors import InputError

ROWS, FOLDER = "metrics.jsonl", "tensorboard"


def main() -> None:
    cli.run(job, "tensorboard")


def job(config: Any) -> None:
    from importlib.util import find_spec

    from experiments.build import fit
    from experiments.experiment import Experiment

    if find_spec("tensorboardX") is None:
        raise InputError("event files take tensorboardX; install it with the extra: pip install -e '.[tensorboard]'")
    plain = Experiment.of(config).config
    runs, every = fit(plain["runs"], str | list[str], "runs"), fit(plain["every"], float, "every")
    follow = fit(plain["follow"], bool, "follow")
    if every <= 0:
        raise InputError(f"every is {every}; it must be above 0 seconds")
    mirrors: dict[Path, Mirror] = {}
    while True:
        for path in _found(runs):
            mirrors.setdefault(path, Mirror(path)).look()
        if not follow:
            break
        time.sleep(every)
    if not mirrors:
        raise InputError(f"runs is {runs!r}, which finds no {ROWS}; it must name folders of runs, as outputs/<name>/*")
    for path, mirror in mirrors.items():
        mirror.close()
        print(path / FOLDER)


def _found(runs: str | list[str]) -> list[Path]:
    paths = sorted(glob.glob(runs)) if isinstance(runs, str) else runs
    return [path for path in map(Path, paths) if (path / ROWS).exists()]


class Mirror:
    """The rows of one run's folder in event files; what lay there before is replaced."""

    def __init__(self, run: Path):
        self.run, self.rows = run, list[dict[str, float]]()
        self._writer: Any = None  # of tensorboardX

    def look(self) -> int:
        """Write the rows that came since the last look, and say how many; all anew where a run took some back."""
        from tensorboardX.proto.event_pb2 import Event  # type: ignore[attr-defined]
        from tensorboardX.proto.summary_pb2 import Summary  # type: ignore[attr-defined]

        rows = self._read()
        taken_back = rows[: len(self.rows)] != self.rows
        writer = self._begin() if self._writer is None or taken_back else self._writer
        new = rows[len(self.rows) :]
        for row in new:
            values = [Summary.Value(tag=name, simple_value=value) for name, value in row.items() if name != "step"]
            step = int(row["step"])
            writer.write_event(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        writer.flush()
        self.rows = rows
        return len(new)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _begin(self) -> Any:
        from tensorboardX.event_file_writer import EventsWriter  # which writes at once, and not in a thread

        self.close()
        folder = self.run / FOLDER
        folder.mkdir(exist_ok=True)
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        self._writer, self.rows = EventsWriter(str(folder / "events")), []
        return self._writer

    def _read(self) -> list[dict[str, float]]:
        """The rows that are whole: of a line that is being written its end is not there yet."""
        lines = (self.run / ROWS).read_text(encoding="utf-8").split("\n")[:-1]
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise InputError(f"{self.run / ROWS} is damaged ({error}); the command that made it mends it") from None


if __name__ == "__main__":
    main()
