"""Checkpoints by orbax, each sealed by the SHA-256 of its files: a half-written one does not count, a changed one is
refused by name."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import v1

from sim.errors import InputError

KEEP = 2
INFO = "info"  # among the digests of a seal


def _folder(directory: Path, step: int) -> Path:
    return directory / f"step-{step:08d}"


def _seal(directory: Path, step: int) -> Path:
    return directory / f"step-{step:08d}.json"


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def _digest(info: Any) -> str:
    return hashlib.sha256(json.dumps(info, sort_keys=True).encode()).hexdigest()


def _sealed(directory: Path, step: int) -> dict[str, Any]:
    """The seal of checkpoint *step*; raises ValueError where what it says beside the digests has changed."""
    sealed = json.loads(_seal(directory, step).read_text())
    digest = _digest(sealed["info"])
    if sealed["sha256"].pop(INFO, digest) != digest:
        raise ValueError("its info differs from what was written")
    return sealed


def flat(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by name, in their order: the keys of each one's path with dots between."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let Ctrl-C wait until the block is done: orbax leaves tracebacks of its threads when it is cut short."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed: list[Any] = []
    before = signal.signal(signal.SIGINT, lambda *what: pressed.append(what))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        signal.raise_signal(signal.SIGINT)


def steps(directory: Path) -> list[int]:
    """Steps of the sealed checkpoints, rising."""
    return sorted(int(p.stem.removeprefix("step-")) for p in Path(directory).glob("step-*.json"))


def save(directory: Path, step: int, tree: Any, info: dict[str, Any]) -> Path:
    """Write a pytree of arrays as checkpoint *step* with JSON-able *info*, and drop all but the last two.

    Where several hosts train together each calls it, and the first of them writes.
    """
    directory = Path(directory).absolute()
    folder = _folder(directory, step)
    if jax.process_index() == 0:
        directory.mkdir(parents=True, exist_ok=True)
        _seal(directory, step).unlink(missing_ok=True)
        for rest in (folder, folder.with_name(f"{folder.name}.orbax-checkpoint-tmp")):  # as a killed run leaves it
            shutil.rmtree(rest, ignore_errors=True)
    meet(f"to write {folder}")
    with _uninterrupted():
        v1.save(str(folder), flat(jax.device_get(tree)))
    if jax.process_index() == 0:
        _sealed_now(directory, step, info)
    meet(f"to have written {folder}")
    return folder


def meet(why: str) -> None:
    """Wait for all hosts that train together."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(why)


def _sealed_now(directory: Path, step: int, info: dict[str, Any]) -> None:
    folder, part = _folder(directory, step), directory / f"step-{step:08d}.part"
    try:
        digests = _digests(folder) | {INFO: _digest(info)}
        part.write_text(json.dumps({"step": step, "info": info, "sha256": digests}, indent=1))
        os.replace(part, _seal(directory, step))
    finally:
        part.unlink(missing_ok=True)
    for old in steps(directory)[:-KEEP]:
        _seal(directory, old).unlink()
        shutil.rmtree(_folder(directory, old), ignore_errors=True)


def info(directory: Path, step: int) -> dict[str, Any]:
    """What was saved beside checkpoint *step*; raises InputError where its seal is no longer readable."""
    try:
        return _sealed(Path(directory), step)["info"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _refusal(Path(directory), step, "its seal cannot be read") from error


def load(directory: Path, step: int, like: Any) -> Any:
    """Checkpoint *step* in the structure of *like*. Raises InputError for one that is corrupt or of another model."""
    directory = Path(directory).absolute()
    folder = _folder(directory, step)
    info(directory, step)
    sealed = _sealed(directory, step)["sha256"]
    found = _digests(folder)
    wrong = sorted(name for name in {*sealed, *found} if sealed.get(name) != found.get(name))
    if wrong:
        raise _refusal(directory, step, f"{wrong[0]} differs from what was written")
    leaves, structure = jax.tree_util.tree_flatten(like)
    names = list(flat(like))
    shapes = {name: np.empty(x.shape, x.dtype) for name, x in zip(names, leaves, strict=True)}
    stored = v1.metadata(str(folder)).metadata
    other = [
        name
        for name in sorted({*shapes, *stored})
        if name not in stored or name not in shapes or tuple(stored[name].shape) != shapes[name].shape
    ]
    if other:
        raise InputError(f"checkpoint {folder} is of another model: {other[0]} differs; name the run it belongs to")
    tree = v1.load(str(folder), shapes)
    return jax.tree_util.tree_unflatten(structure, [jnp.asarray(tree[name]) for name in names])


def _refusal(directory: Path, step: int, why: str) -> InputError:
    good = [s for s in steps(directory) if s != step and _intact(directory, s)]
    last = f"the last good one is {_folder(directory, good[-1]).name}" if good else "there is no other good one"
    name = _folder(directory, step).name
    return InputError(
        f"checkpoint {directory / name} is corrupt ({why}); {last}: "
        f"remove {name} and {name}.json to go on from there, or start over with fresh=true"
    )


def _intact(directory: Path, step: int) -> bool:
    try:
        return _sealed(directory, step)["sha256"] == _digests(_folder(directory, step))
    except (OSError, ValueError, KeyError, TypeError):
        return False
