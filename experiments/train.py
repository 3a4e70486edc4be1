"""An experiment from its data to its report: `python -m experiments.train experiment=line_failure`.

The same command again says that it is done, or takes up where it was stopped; `fresh=true` starts over.
"""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "train")


def job(config: Any) -> None:
    from experiments.console import say, show_scores, show_seconds
    from experiments.experiment import Experiment

    experiment = Experiment.of(config)
    with experiment.open_run() as run:
        if run.done:
            say(f"done before; fresh=true starts over: {run.path}")
        else:
            from experiments.run import pipeline  # which brings JAX

            scores, seconds = pipeline.execute(experiment, run)
            show_scores(scores)
            if experiment.config["debug"]["fast"]:
                say("debug=fast: a few short runs and steps, which show that it works and not what it comes to")
            show_seconds(seconds)
    print(run.report)


if __name__ == "__main__":
    main()
