"""What cleaning does to an experiment's data, and how well: `python -m experiments.clean experiment=line_failure`.

Faults are planted into simulated readings (`faults=`), the steps of `clean=` look for them, and a page tells which they
found and how far readings then lie from those of a sensor without noise. The last line is the path of the page.
"""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "clean")


def job(config: Any) -> None:
    from experiments.datasets import cleaning
    from experiments.experiment import Experiment

    print(cleaning.write(Experiment.of(config)))


if __name__ == "__main__":
    main()
