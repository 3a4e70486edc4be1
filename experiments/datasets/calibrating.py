"""From a table of lives to a preset of simulated ones."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from experiments.build import fit
from experiments.experiment import Experiment
from experiments.run_dir import config_hash, to_yaml, write_text
from experiments.source import Observed
from learn.tasks import RemainingLife
from sim.errors import InputError
from twins.channel import Role
from twins.fitted import Calibrated, calibrate
from twins.sensors.noise import Noise

KEPT = ("context", "task", "model", "optim", "fit", "evaluate")  # of the table's own experiment


def fitted(experiment: Experiment) -> Calibrated:
    """Wear and sensors fitted to the train and validation splits of the experiment's table."""
    if not isinstance(experiment.source, Observed) or not isinstance(experiment.task, RemainingLife):
        raise InputError("source and task must be a table and a RemainingLife, as in experiment=cmapss")
    levels = fit(experiment.config["calibration"]["levels"], int, "calibration.levels")
    return calibrate(_records(experiment), levels)


def _records(experiment: Experiment) -> list[Any]:
    dataset = experiment.dataset
    return [e for split in ("train", "validation") if split in dataset.splits for e in dataset.episodes(split)]


def show(found: Calibrated) -> None:
    """How far the simulated lives are from the recorded ones, and what was fitted to each sensor."""
    table = Table("sensor", "new", "gain by failure", "power of wear", "white", "slow", "explained by wear")
    for sensor in found.sensors:
        noise = sensor.noise
        numbers = (sensor.level, sensor.gain, sensor.power, noise.white, noise.autocorrelated)
        table.add_row(sensor.quantity, *(f"{x:.4g}" for x in numbers), f"{found.explained[sensor.quantity]:.0%}")
    Console().print(table)
    Console(highlight=False).print(
        f"{found.lives} lives; the simulated ones are {found.life_distance:.3f} from them (Kolmogorov-Smirnov)"
    )


def write(experiment: Experiment, found: Calibrated) -> Path:
    """The preset `calibrated` in a folder of its own, named by configuration and data."""
    records, config = _records(experiment), experiment.config
    series = records[0].series
    step_h = float(series[0].step_h)
    counters = [s.quantity for s in series if Role(s.role) is Role.PAST]
    longest_h = max(e.spells[-1].end_h - e.spells[-1].start_h for e in records if e.spells)
    preset: dict[str, Any] = {
        "name": "calibrated",
        **{key: config[key] for key in KEPT},
        "world": {
            "_target_": "sim.line.Line",
            "stations": [
                {
                    "_target_": "sim.line.Station",
                    "cycle": {"_target_": "sim.laws.Deterministic", "mean_h": step_h},
                    "wear": {"_target_": "sim.wear.Cmapss", **_plain(found.wear)},
                    "repair": {"_target_": "sim.laws.Deterministic", "mean_h": 1e9},  # one life a run
                }
            ],
        },
        "twin": {
            "_target_": "twins.fitted.FittedTwin",
            "world": "${world}",
            "step_h": step_h,
            "counter": counters[0] if counters else "",
            "sensors": [
                {"_target_": "twins.fitted.Response", **_plain(sensor), "noise": _noise(sensor.noise)}
                for sensor in found.sensors
            ],
        },
        "plan": dict(config["calibration"]["plan"]) | {"duration_h": longest_h + max(longest_h, experiment.task.cap_h)},
    }
    preset["task"] = dict(preset["task"]) | {"causes": ["wear"]}
    preset["fit"] = dict(preset["fit"]) | {"seed": "${seed}"}
    preset["evaluate"] = dict(preset["evaluate"]) | {"every": config["context"]}
    text = (
        "# @package _global_\n"
        f"# Simulated assets whose lives and sensors are fitted to {len(records)} records of a table.\n"
        "#   python -m experiments.train --config-dir FOLDER experiment=calibrated\n"
        "defaults:\n"
        + "".join(f"  - override /{g}: null\n" for g in ("world", "twin", "oracle"))
        + "  - override /task: life\n  - override /baselines: life\n\n"
        + to_yaml(preset)
    )
    folder = Path(str(config["outputs"])) / "calibrated" / config_hash(preset, experiment.source.identity)
    (folder / "experiment").mkdir(parents=True, exist_ok=True)
    write_text(folder / "experiment" / "calibrated.yaml", text)
    return folder


def _noise(noise: Noise) -> dict[str, Any]:
    return {"_target_": "twins.sensors.noise.Noise", **asdict(noise)}


def _plain(value: Any) -> dict[str, Any]:
    return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(value).items() if k != "noise"}
