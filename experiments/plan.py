"""What training takes on devices that are not there: `python -m experiments.plan model=xxl mesh.fsdp=8`."""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "plan")


def job(config: Any) -> None:
    import os

    from experiments.experiment import Experiment

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # XLA warns of what the figures show
    experiment = Experiment.of(config)
    stand_ins(experiment.config["mesh"])

    from pathlib import Path

    from experiments.console import say
    from experiments.run import training_plan
    from experiments.run_dir import write_json

    asked = training_plan.Asked.of(experiment)
    output = training_plan.output(experiment.config["output"])
    say(f"compiling a step for {asked.devices} device{'s' * (asked.devices > 1)}")
    told = asked.told()
    training_plan.show(told)
    if output is not None:
        write_json(Path(output), told)
        print(output)


def stand_ins(mesh: Any) -> None:
    """Let this process's CPU act as all the devices of a *mesh* of the configuration; before JAX looks for devices."""
    import math

    import jax

    from experiments.build import fit

    sides = [fit(side, int, f"mesh.{axis}") for axis, side in mesh.items() if axis != "_target_"]
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", max(math.prod(sides), 1))


if __name__ == "__main__":
    main()
