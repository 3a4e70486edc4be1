"""What a battery saves when forecasts plan it: `python -m experiments.save experiment=grid_saving`.

The same command again says that it is done, or takes up where it was stopped; `fresh=true` starts over.
"""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "save")


def job(config: Any) -> None:
    from experiments.console import say, show_seconds
    from experiments.experiment import Experiment

    experiment = Experiment.of(config)
    with experiment.open_run() as run:
        if run.done:
            say(f"done before; fresh=true starts over: {run.path}")
        else:
            from experiments.deciding import saving, saving_report  # which bring JAX

            scores, seconds = saving.execute(experiment, run)
            saving_report.show(scores)
            show_seconds(seconds)
    print(run.report)


if __name__ == "__main__":
    main()
