"""A trial of a medicine in silico: `python -m experiments.trial`. Research only, not for clinical use."""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "trial")


def job(config: Any) -> None:
    from omegaconf import OmegaConf

    from experiments.medicine import trials

    plain: Any = OmegaConf.to_container(config, resolve=True)
    found = trials.run(plain)
    trials.show(found)
    print(trials.write(plain, found))


if __name__ == "__main__":
    main()
