"""A trained model on a dataset: `python -m experiments.evaluate run=outputs/… dataset=datasets/…`."""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "evaluate")


def job(config: Any) -> None:
    from pathlib import Path

    from omegaconf import OmegaConf

    from experiments.console import show_scores
    from experiments.experiment import Experiment
    from experiments.run import pipeline
    from experiments.run.model import Model
    from experiments.run_dir import config_of, write_json
    from twins.dataset import open_dataset

    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    run, split = Path(str(plain["run"])), str(plain["split"])
    places = {key: plain[key] for key in ("datasets", "outputs", "workers", "executor")}
    experiment = Experiment(config_of(run) | places)
    model = Model.load(run)
    dataset = experiment.dataset if plain["dataset"] is None else open_dataset(str(plain["dataset"]))
    scores = pipeline.examine(experiment, model, dataset, split)
    path = run / "evaluations" / f"{dataset.path.name}-{split}.json"
    path.parent.mkdir(exist_ok=True)
    write_json(path, scores)
    show_scores(scores)
    print(path)


if __name__ == "__main__":
    main()
