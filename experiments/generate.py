"""Make the dataset of an experiment, or take it up where it was left: `python -m experiments.generate`."""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "generate")


def job(config: Any) -> None:
    from experiments.console import say
    from experiments.datasets import changes
    from experiments.experiment import Experiment

    dataset = Experiment.of(config).dataset
    for line in changes(dataset.manifest):
        say(line)
    print(dataset.path)


if __name__ == "__main__":
    main()
