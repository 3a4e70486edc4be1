"""A page of what is in a dataset: `python -m experiments.look dataset=datasets/line-…`, or of `experiment=…`.

`against=` another dataset tells, channel by channel, whether the two differ.
"""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "look")


def job(config: Any) -> None:
    from experiments.datasets import looking
    from experiments.experiment import Experiment

    print(looking.write(Experiment.of(config)))


if __name__ == "__main__":
    main()
