"""Several seeds of one experiment in one table: `python -m experiments.compare 'runs=outputs/cmapss/*'`."""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "compare")


def job(config: Any) -> None:
    from omegaconf import OmegaConf

    from experiments.console import show_scores
    from experiments.run import seeds
    from experiments.run_dir import write_json

    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    models = seeds.found(plain["runs"])
    scores = seeds.compare(models, {key: plain[key] for key in ("datasets", "outputs", "workers", "executor")})
    last = list(models.values())[-1]
    path = last[0].parent / "seeds.json"
    write_json(path, scores)
    show_scores(scores)
    print(path)


if __name__ == "__main__":
    main()
