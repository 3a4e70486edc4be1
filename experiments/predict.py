"""A trained model on one's own table: `python -m experiments.predict run=outputs/… source.path=my.csv`."""

from __future__ import annotations

from typing import Any

from experiments import cli


def main() -> None:
    cli.run(job, "predict")


def job(config: Any) -> None:
    import tempfile
    from pathlib import Path

    from experiments.build import fit
    from experiments.console import say
    from experiments.datasets import own_data
    from experiments.experiment import Experiment
    from experiments.run.model import Model
    from experiments.source import Observed

    plain = Experiment.of(config)
    output, every = own_data.output(plain.config["output"]), fit(plain.config["every"], int | None, "every")
    model = Model.load(Path(str(plain.config["run"])))
    table, missing = own_data.matched(plain.part("source", Observed), model)
    if missing:
        say(f"not in the table, so missing to the model: {', '.join(missing)}")
    with tempfile.TemporaryDirectory() as folder:
        dataset = table.ensure(Path(folder))
        for found in dataset.manifest["findings"]:
            say(own_data.told(found))
        episodes, changed = own_data.cleaned(dataset.episodes(dataset.splits[0]), model)
        for sentence in [*changed, *own_data.short(episodes, model), *own_data.strange(episodes, model)]:
            say(sentence)
        rows = own_data.predictions(model, episodes, every)
    own_data.write(rows, output)
    print(output)


if __name__ == "__main__":
    main()
