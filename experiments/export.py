"""A trained model as one file that runs without Twinworlds: `python -m experiments.export run=outputs/…`."""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "export")


def job(config: Any) -> None:
    from pathlib import Path

    from experiments.console import say
    from experiments.experiment import Experiment
    from experiments.run import exported

    plain = Experiment.of(config).config
    output = exported.output(plain["output"])
    found = exported.export(Path(str(plain["run"])), output, str(plain["licence"]))
    if found.cleaning:
        say(f"it does not clean: readings have to go through {', '.join(found.cleaning)} before they are given to it")
    say(f"its example differs by {found.check():.1e} here; `python {output}` checks the same anywhere")
    print(output)


if __name__ == "__main__":
    main()
