"""One experiment over a grid: `python -m experiments.study study=data_amount experiment=line_failure`.

Each point is a run of its own, as `experiments.train` makes it; the same command again takes up where it was stopped,
and gathers anew what is there. The last line is the path of the page.
"""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "study")


def job(config: Any) -> None:
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import OmegaConf

    from experiments.build import fit
    from experiments.studies import studied
    from experiments.studies.grid import Study

    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    study = fit(plain.pop("study"), Study, "study")
    typed = [text for text in HydraConfig.get().overrides.task if not text.lstrip("+~").startswith("study")]
    path = studied.execute(study, plain, typed)
    studied.show(studied.told(path))
    print(path / "report.html")


if __name__ == "__main__":
    main()
