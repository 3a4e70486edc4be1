"""Hyperparameters by search: `python -m experiments.sweep experiment=line_failure`.

The same command again says that it is done, or takes up where it was stopped; with more `sweep.trials` it goes on from
those that there are; `fresh=true` starts over.
"""

from __future__ import annotations

import os
from typing import Any

from experiments import cli
from sim.errors import InputError


def main() -> None:
    cli.run(job, "sweep")


def job(config: Any) -> None:
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise InputError(f"{error}; sweeps need the extra: pip install -e '.[sweep]'") from None
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several trainings share an accelerator's memory
    from hydra.core.hydra_config import HydraConfig

    from experiments.console import say
    from experiments.sweeps.search import Sweep

    sweep = Sweep.of(config, HydraConfig.get().overrides.task)
    sweep.check()
    with sweep.open_run() as run:
        if sweep.done(run):
            say(f"done before; more sweep.trials go on from there, fresh=true starts over: {run.path}")
        else:
            from experiments.sweeps import search_report

            found = sweep.execute(run)
            search_report.show(found)
            page = search_report.write(run.path)
            if found["best"] is None:
                raise InputError(
                    f"no trial came to a score; {page} says why, the first: {found['trials'][0]['sentence']}"
                )
    print(run.report)


if __name__ == "__main__":
    main()
