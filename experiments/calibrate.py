"""Simulated assets like those of a table: `python -m experiments.calibrate experiment=cmapss source.path=…`."""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "calibrate")


def job(config: Any) -> None:
    from experiments.datasets import calibrating
    from experiments.experiment import Experiment

    experiment = Experiment.of(config)
    found = calibrating.fitted(experiment)
    calibrating.show(found)
    print(calibrating.write(experiment, found))


if __name__ == "__main__":
    main()
