"""One model for several presets at once: `python -m experiments.together experiment=all_twins`.

The same command again says that it is done, or takes up where it was stopped; `fresh=true` starts over.
"""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "together")


def job(config: Any) -> None:
    from hydra.core.hydra_config import HydraConfig

    from experiments.console import say, show_seconds
    from experiments.run.joint import Together

    together = Together.of(config, HydraConfig.get().runtime.choices.get("debug"))
    with together.open_run() as run:
        if run.done:
            say(f"done before; fresh=true starts over: {run.path}")
        else:
            from experiments.run import joint_report  # which brings JAX

            scores, seconds = together.execute(run)
            joint_report.show(scores)
            show_seconds(seconds)
    print(run.report)


if __name__ == "__main__":
    main()
