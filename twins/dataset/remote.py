"""Datasets in stores behind a URL (`s3://bucket/folder`, `memory://folder`; fsspec): copied there and back, whole.

The manifest is written last, so that a copy that was interrupted is no dataset; the same call goes on from the files
that are whole. What comes back is checked against the manifest's hashes as it arrives. Keys and passwords are the
store's own business (its environment or configuration files): none is written down here, nor said in a message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from sim.errors import InputError
from twins.dataset import files, manifest
from twins.dataset.generate import Progress
from twins.dataset.store import Dataset

CHUNK = 1 << 22  # bytes that are on their way at once


def is_url(name: str | Path) -> bool:
    """Whether *name* is a URL of a store, and no folder."""
    return "://" in str(name)


def push(dataset: Dataset, url: str, progress: Progress | None = None) -> str:
    """Copy *dataset* into the folder *url* of a store, under its own name; returns where it is.

    Files that are there with the right size are kept. Raises InputError for a store that cannot be reached or written
    to, and for a dataset that is damaged here.
    """
    dataset.verify()
    target = f"{url.rstrip('/')}/{dataset.path.name}"
    tell = progress or (lambda done, total, what: None)
    with _store(target) as (fs, root):
        there = f"{root}/{manifest.MANIFEST}"
        if fs.exists(there):
            known = _manifest(fs.cat_file(there), target)
            if known["identity"] != dataset.identity or known["content"] != dataset.manifest["content"]:
                raise InputError(f"{shown(target)} holds another dataset of that name; choose another folder")
        names = dataset.manifest["files"]
        for done, (name, entry) in enumerate(names.items()):
            tell(done, len(names), name)
            remote = f"{root}/{name}"
            if not (fs.exists(remote) and fs.info(remote)["size"] == entry["bytes"]):
                fs.makedirs(str(PurePosixPath(remote).parent), exist_ok=True)
                fs.put_file(str(dataset.path / name), remote)
        fs.pipe_file(there, (dataset.path / manifest.MANIFEST).read_bytes())
        tell(len(names), len(names), manifest.MANIFEST)
    return shown(target)


def pull(url: str, root: str | Path, progress: Progress | None = None) -> Dataset:
    """The dataset at *url* as one under the folder *root*, with what is there already and whole kept.

    Raises InputError where the store holds none, or one that is damaged, naming the file.
    """
    tell = progress or (lambda done, total, what: None)
    with _store(url) as (fs, source):
        there = f"{source}/{manifest.MANIFEST}"
        if not fs.exists(there):
            raise InputError(f"{shown(url)} holds no finished dataset ({manifest.MANIFEST} is missing); push it first")
        raw = fs.cat_file(there)
        told = _manifest(raw, url)
        directory = Path(root) / PurePosixPath(source).name
        with files.locked(directory, lambda: tell(0, 1, f"waiting for the process that holds {directory}")):
            files.sweep(directory)
            if (here := manifest.check(directory)) and here["identity"] != told["identity"]:
                raise InputError(f"{directory} holds another dataset; move it away, or choose another folder")
            for done, (name, entry) in enumerate(told["files"].items()):
                tell(done, len(told["files"]), name)
                if not files.intact(directory / name, entry):
                    _fetch(fs, f"{source}/{name}", directory / name, entry, url)
            files.write(directory / manifest.MANIFEST, [raw])
    return Dataset.open(directory)


def shown(url: str) -> str:
    """*url* without what may be secret: a user and password before the host, and a query after the path."""
    parts = urlsplit(str(url))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _fetch(fs: Any, remote: str, path: Path, entry: dict, url: str) -> None:
    def chunks() -> Iterator[bytes]:
        if not fs.exists(remote):
            raise InputError(f"{shown(url)} lacks {path.name}; push the dataset again")
        with fs.open(remote, "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    digest, _ = files.write(path, chunks())
    if digest != entry["sha256"]:
        path.unlink()
        raise InputError(
            f"{path.parent.name}/{path.name} at {shown(url)} is damaged (its SHA-256 is not the manifest's); remove it "
            "there and push the dataset again"
        )


def _manifest(raw: bytes, url: str) -> dict:
    """A manifest as it came, once its seal and the names in it are right."""
    try:
        told = files.sealed(raw)
        names = [PurePosixPath(name) for name in told["files"]]
        configured = manifest.identity_of(told["configuration"]) == told["identity"]
    except (ValueError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"the manifest at {shown(url)} is damaged ({error}); remove it and push again") from None
    if any(name.is_absolute() or ".." in name.parts for name in names) or not configured:
        raise InputError(f"the manifest at {shown(url)} names files outside the dataset, or another configuration")
    return told


@contextmanager
def _store(url: str) -> Iterator[tuple[Any, str]]:
    """The file system of *url* and the path in it; what goes wrong there is one sentence without a secret."""
    try:
        import fsspec
    except ImportError:
        raise InputError(f"{shown(url)} needs fsspec; install it with pip install -e '.[store]'") from None
    try:
        fs, root = fsspec.url_to_fs(url)
        yield fs, root.rstrip("/")
    except InputError:
        raise
    except Exception as error:
        told = " ".join(str(error).split())
        for secret in _secrets(url):
            told = told.replace(secret, "…")
        raise InputError(
            f"{shown(url)}: {type(error).__name__}: {told}; the copy goes on with the same command"
        ) from None


def _secrets(url: str) -> list[str]:
    parts = urlsplit(str(url))
    pieces = [str(url), parts.query, parts.netloc.rpartition("@")[0], *re.split(r"[&=]", parts.query)]
    pieces += [piece for piece in (parts.username, parts.password) if piece]
    return sorted((piece for piece in pieces if len(piece) > 2), key=len, reverse=True)
