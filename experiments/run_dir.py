"""A run's folder, outputs/<name>/<hash>/: named by what was asked for, so that the same command finds it again."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sim.errors import InputError

# Keys that change where or how fast a run happens, or what it says meanwhile, but no number in it beyond rounding.
UNHASHED = frozenset({"fresh", "workers", "executor", "datasets", "outputs", "debug", "hydra", "mesh"})
# A run that says nothing by these keys is the one from before they were.
UNFED = {"_target_": "experiments.settings.Feeding", "cut": False, "sample": None, "fresh_runs": 0, "fresh_steps": 50}
UNSAID = (
    ("vary", {}), ("train_runs", None), ("faults", []), ("clean", []), ("render", "stored"), ("feed", UNFED),
)  # fmt: skip
LIBRARIES = ("twinworlds", "numpy", "simpy", "numba", "pyarrow", "jax", "jaxlib", "flax", "optax", "scikit-learn")


def config_hash(config: Mapping[str, Any], identity: str = "") -> str:
    """12 hex digits of the resolved configuration and the identity of the data it trains on."""
    relevant = {key: value for key, value in config.items() if key not in UNHASHED and (key, value) not in UNSAID}
    if isinstance(source := relevant.get("source"), Mapping):
        relevant["source"] = {key: value for key, value in source.items() if (key, value) not in UNSAID}
    text = json.dumps([relevant, identity], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


@dataclass(frozen=True)
class RunDir:
    """A run's folder, held by one process at a time."""

    path: Path

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def done(self) -> bool:
        """Scores and report are there and whole; a damaged metrics.json is made again from the stages that are kept."""
        try:
            json.loads((self.path / "metrics.json").read_text())
        except (OSError, ValueError):
            return False
        return self.report.exists()


@contextlib.contextmanager
def open_run(path: Path, config: Mapping[str, Any], fresh: bool) -> Iterator[RunDir]:
    """The folder *path* of a run, made if need be and locked until the block ends; *fresh* deletes what was there.

    A folder in which nothing was done before its configuration was refused is taken away again.
    """
    path.mkdir(parents=True, exist_ok=True)
    with _lock(path):
        if fresh:
            _empty(path)
        if not (path / "config.yaml").exists():
            write_text(path / "config.yaml", to_yaml(config))
        try:
            yield RunDir(path)
        except InputError:
            if {item.name for item in path.iterdir()} <= {"config.yaml", "cost.json", "lock"}:
                shutil.rmtree(path)
            raise


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """An advisory lock that the operating system drops when its holder dies, however it dies."""
    with (path / "lock").open("a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another process is running in {path}; wait for it, or stop it first") from None
        yield


def _empty(path: Path) -> None:
    """Delete everything but the lock; the results go first, so that a half-emptied folder never reads as done."""
    rest = [p for p in path.iterdir() if p.name != "lock"]
    for item in sorted(rest, key=lambda p: p.name not in ("metrics.json", "report.html")):
        shutil.rmtree(item) if item.is_dir() else item.unlink()


def find_run(path: Path) -> Path:
    """*path* as a run's folder; raises InputError where it holds no configuration."""
    if not (path / "config.yaml").exists():
        raise InputError(f"run={path} is no run's folder: it has no config.yaml; it must be outputs/<name>/<hash>")
    return path


def config_of(path: Path) -> dict[str, Any]:
    """The resolved configuration of a run's folder."""
    import yaml

    file = find_run(path) / "config.yaml"
    try:
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise damaged(file, error) from None
    if not isinstance(config, dict) or "name" not in config:
        raise damaged(file, "it holds no configuration of a run")
    return config


def damaged(path: Path, why: object) -> InputError:
    """The refusal of a file of a run's folder that cannot be read."""
    return InputError(
        f"{path} is damaged ({' '.join(str(why).split())}); remove it and run the command that made it again"
    )


def stamp(dataset_hash: str) -> dict[str, Any]:
    """What a run was made with: commit, versions, platform, device and data. Imports JAX for the device."""
    import jax

    from twins.executors.platform import stamp as platform_stamp

    device = jax.devices()[0]
    return {
        "commit": _git("rev-parse", "HEAD"),
        "dirty": _dirty(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in LIBRARIES},
        "platform": {
            "system": platform.platform(),
            "processor": platform_stamp()["processor"],
            "cpus": os.cpu_count(),
        },
        "device": {"platform": device.platform, "kind": device.device_kind, "count": jax.device_count()},
        "dataset": dataset_hash,
    }


def _git(*args: str) -> str | None:
    """The answer of git on the source's own checkout; None for an installed copy."""
    root = Path(__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(["git", "-C", str(root), *args], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _dirty() -> bool | None:
    status = _git("status", "--porcelain", "--untracked-files=no")
    return None if status is None else bool(status)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def to_yaml(config: Mapping[str, Any]) -> str:
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(dict(config)))


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, allow_nan=True) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write under a temporary name and move into place."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
