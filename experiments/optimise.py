"""How to lay out a line, by search over its simulation: `python -m experiments.optimise experiment=line_optimise`.

The same command again says that it is done, or takes up where it was stopped; `fresh=true` starts over.
"""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "optimise")


def job(config: Any) -> None:
    import json

    from experiments.console import say, show_seconds
    from experiments.deciding import layout, layout_report
    from experiments.experiment import Experiment

    study = layout.Study.of(Experiment.of(config))
    with study.open_run() as run:
        if run.done:
            say(f"done before; fresh=true starts over: {run.path}")
            layout_report.show(json.loads((run.path / "metrics.json").read_text(encoding="utf-8")))
        else:
            found, seconds = layout.execute(study, run)
            layout_report.show(found)
            show_seconds(seconds)
    print(run.report)


if __name__ == "__main__":
    main()
