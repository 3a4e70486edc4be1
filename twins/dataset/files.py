"""Files that are whole or not there: written to a temporary name and moved into place, hashed, sealed, locked."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sim.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
Stamp = tuple[int, int]  # size in bytes, modification time in ns


def write(path: Path, chunks: Iterable[Any]) -> tuple[str, int]:
    """`put` that returns the SHA-256 and the number of bytes."""
    digest, size = hashlib.sha256(), 0

    def counted() -> Iterator[Any]:
        nonlocal size
        for chunk in chunks:
            digest.update(chunk)
            size += memoryview(chunk).nbytes
            yield chunk

    put(path, counted())
    return digest.hexdigest(), size


def put(path: Path, chunks: Iterable[Any]) -> None:
    """Write *chunks* to *path*, all or nothing.

    A full disk, a quota or a folder that cannot be written to raises InputError and leaves nothing of the file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")  # hosts may share a folder
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        _discard(temporary)
        raise _sentence(error, path) from error
    except BaseException:
        _discard(temporary)
        raise


def write_json(path: Path, value: dict) -> tuple[str, int]:
    """Write *value* with a seal: a hash of all the rest under the key `seal`."""
    return write(path, [seal(value)])


def seal(value: dict) -> bytes:
    """What `write_json` writes."""
    return _text(value | {"seal": _seal(value)})


def read_json(path: Path) -> dict:
    """Read what `write_json` wrote; raises ValueError where a bit of it has changed, OSError where it is not there."""
    return sealed(path.read_bytes())


def sealed(data: bytes) -> dict:
    """The value in *data*, as `write_json` wrote it."""
    value = json.loads(data)
    if not isinstance(value, dict) or _text(value) != data or value.pop("seal", None) != _seal(value):
        raise ValueError("its seal does not match its content")
    return value


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def intact(path: Path, entry: dict) -> bool:
    """Whether a file has the size and the SHA-256 of its *entry* in a manifest; one that the disk cannot read has not.

    Raises InputError where it cannot be read for another reason, which says nothing about the file.
    """
    try:
        return path.stat().st_size == entry["bytes"] and sha256(path) == entry["sha256"]
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR):
            return False
        raise InputError(f"cannot read {path}: {error.strerror or error}; nothing was changed") from error


def stamp(path: Path) -> Stamp:
    """Size and modification time."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@contextmanager
def locked(directory: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold *directory* for this process; the kernel lets go when the process ends, however it ends."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not os.access(directory, os.W_OK):  # nothing can be written there, so nothing needs to be kept apart
            yield
            return
        file = open(directory / ".lock", "w")  # noqa: SIM115
    except OSError as error:
        raise _sentence(error, directory) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def sweep(directory: Path) -> None:
    """Remove what writers that were killed have left."""
    for temporary in directory.glob("**/.*.tmp"):
        _discard(temporary)


def remove(path: Path) -> None:
    """Delete a file; raises InputError where it cannot be."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _sentence(error, path) from error


def damaged(path: object, why: object = "its SHA-256 is not the manifest's") -> InputError:
    """The refusal of a file of a dataset, with the command that mends it."""
    return InputError(
        f"{path} is damaged ({why}); run `rm '{path}'` and then the command that made the dataset again, which makes "
        "that file anew and keeps the others"
    )


@contextmanager
def whole(path: Path) -> Iterator[None]:
    """Refuse *path* by name if what is read of it in the block cannot be: Arrow says that in many ways."""
    try:
        yield
    except InputError:
        raise
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise damaged(path, str(error).partition("\n")[0]) from error


def _text(value: dict) -> bytes:
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def _seal(value: dict) -> str:
    return hashlib.sha256(_text(value)).hexdigest()


def _discard(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)


def _sentence(error: OSError, path: Path) -> InputError:
    if error.errno in FULL:
        try:
            free = f"{shutil.disk_usage(path.parent).free / 1e6:.1f} MB free"
        except OSError:
            free = "none free"
        return InputError(
            f"no room to write {path}: {os.strerror(error.errno or 0)} ({free}); what is finished is kept: make "
            "room and run the same command again"
        )
    return InputError(f"cannot write {path}: {error.strerror or error}; give a folder that can be written to")
