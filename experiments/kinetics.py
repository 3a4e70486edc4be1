"""A drug's kinetics from a table: `python -m experiments.kinetics path=Theoph.csv`.

Prints the population and each subject, and writes a report with a visual predictive check and `drug.yaml`, the typical
subject's drug for `sim.patient`. Research only, not for clinical use.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "kinetics")


def job(config: Any) -> None:
    from omegaconf import OmegaConf

    from experiments.build import build, fit
    from experiments.medicine import kinetics_report
    from experiments.run_dir import config_hash, to_yaml, write_json, write_text
    from sim.errors import InputError
    from twins import dosed

    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    columns = fit(build(plain["columns"], "columns"), dosed.Columns, "columns")
    for key, least, most in (("replicates", 100, 100_000), ("bins", 1, 1000), ("seed", 0, 2**31 - 1)):
        if not least <= fit(plain[key], int, key) <= most:
            raise InputError(f"{key} is {plain[key]}; it must be between {least} and {most}")
    subjects = dosed.read(plain["path"], columns)
    kinetics = dosed.fit(subjects)
    bands = dosed.predictive_check(kinetics, subjects, plain["replicates"], plain["bins"], seed=plain["seed"])
    of = hashlib.sha256(Path(plain["path"]).read_bytes()).hexdigest()
    folder = Path(plain["outputs"]) / plain["name"] / config_hash(plain, of)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "config.yaml", to_yaml(plain))
    found = kinetics_report.told(subjects, kinetics, bands)
    write_json(folder / "metrics.json", found)
    kinetics_report.show(found)
    print(kinetics_report.write(folder, plain, subjects, kinetics, bands, found))


if __name__ == "__main__":
    main()
