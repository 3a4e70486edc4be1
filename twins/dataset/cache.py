"""The memory-mapped cache: all values of a split in one flat file of float32, series after series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from twins.dataset import files, shards
from twins.dataset.layout import KEY, Place, key, told


def build(path: Path, content: str, places: Sequence[Place], parts: list[list[Path]]) -> None:
    """Write the values of the shards of *parts* to their *places*, page checksums verified, and a certificate."""
    digest, _ = files.write(path, _values(parts, places))
    files.write_json(_certificate(path), {"content": content, "layout": told(places), "sha256": digest})


def certified(path: Path, content: str, layout: str | None = None, thorough: bool = False) -> bool:
    """Whether the cache at *path* was built from *content*, lies as *layout* says, and is whole.

    It is read once a process, since a disk that rots changes no time of modification; and again if it is touched, or
    *thorough*. One that is not whole is removed.
    """
    try:
        certificate = files.read_json(_certificate(path))
        if certificate["content"] != content or layout not in (None, certificate["layout"]):
            return False
        if thorough:
            _digest.cache_clear()
        if _digest(path, files.stamp(path)) == certificate["sha256"]:
            return True
        path.unlink()
    except (OSError, ValueError, KeyError):
        pass
    return False


@lru_cache(maxsize=256)
def _digest(path: Path, stamp: files.Stamp) -> str:
    return files.sha256(path)


def gathered(parts: list[list[Path]], places: Sequence[Place]) -> np.ndarray:
    """The same values in memory, for a folder that can only be read."""
    return np.concatenate([np.empty(0, np.float32), *_values(parts, places)])


def mapped(path: Path) -> np.ndarray:
    """The values, float32[n], read-only."""
    return np.asarray(np.memmap(path, np.float32, "r")) if path.stat().st_size else np.empty(0, np.float32)


def _certificate(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _values(parts: list[list[Path]], places: Sequence[Place]) -> Iterable[np.ndarray]:
    if len(parts) == 1:
        return (array for path in parts[0] for table in _read(path) for array in shards.floats(table.column("values")))
    pieces: dict[tuple, list[np.ndarray]] = {}
    for paths in parts:
        for path in paths:
            for table in _read(path):
                rows = table.select(KEY).to_pylist()
                for row, array in zip(rows, shards.floats(table.column("values")), strict=True):
                    pieces.setdefault(key(row), []).append(array)
    return (
        _led(piece, lead * place.size)
        for place in places
        for piece, lead in zip(pieces[key(place.row)], place.leads, strict=True)
    )


def _led(piece: np.ndarray, lead: int) -> np.ndarray:
    """A piece behind *lead* missing values; below 0 it goes without so many of its first."""
    return np.append(np.full(lead, np.nan, np.float32), piece) if lead > 0 else piece[-lead:]


def _read(path: Path) -> Iterator:
    with files.whole(path):
        yield from shards.row_groups(path, [*KEY, "values"])
