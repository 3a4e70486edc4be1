"""A world against what is known of it: `python -m experiments.validate world=line`. Exits with 1 if a check fails.

With `plant=.05` every check gets a world with a fault of 5 %, and exits with 1 if one is missed.
"""

from __future__ import annotations

import sys
from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "validate")


def job(config: Any) -> None:
    from omegaconf import OmegaConf

    from experiments import validation

    plain: Any = OmegaConf.to_container(config, resolve=True)
    checks = validation.chosen(plain)
    outcome = validation.run(plain, checks)
    plant = plain["plant"]
    validation.show(
        outcome.results, outcome.seconds, None if plant is None else f"with a planted fault of {plant:+.1%}"
    )
    well = "pass" if plant is None else "catch the planted fault"
    wrong = f"; not: {', '.join(outcome.wrong)}" if outcome.wrong else ""
    taken = f"{sum(outcome.seconds.values()):.0f} s ({outcome.cpu_s:.0f} s of processor time)"
    print(f"{len(checks) - len(outcome.wrong)} of {len(checks)} checks {well}, in {taken}{wrong}")
    print(validation.write(plain, outcome))
    if outcome.wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
