"""A cohort of patients as MEDS, the Medical Event Data Standard: `python -m twins.meds DATASET FOLDER`.

Research only, not for clinical use. One row a measurement (subject_id, time, code, numeric_value), by the schema of
MEDS 0.4: what a record shows, and nothing of the truth behind it. Patients' birth and death have the standard's own
codes; what a patient is for life has no time. `metadata/` says what codes mean and who is for training, tuning and
testing.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sim.errors import InputError
from twins.channel import Role
from twins.dataset import Dataset, files, open_dataset
from twins.episode import Episode, Series

VERSION = "0.4.0"
NOTICE = "Simulated patients of Twinworlds. Research only, not for clinical use.\n"
SPLITS = {"train": "train", "validation": "tuning", "test": "held_out"}
YEAR_DAYS = 365.25
DATA = pa.schema(
    [
        ("subject_id", pa.int64()),
        ("time", pa.timestamp("us")),
        ("code", pa.string()),
        ("numeric_value", pa.float32()),
    ]
)
CODES = pa.schema([("code", pa.string()), ("description", pa.string()), ("parent_codes", pa.list_(pa.string()))])
SUBJECTS = pa.schema([("subject_id", pa.int64()), ("split", pa.string())])
TOLD = ("visit", "decompensation", "infarction", "admission", "bed", "procedure", "discharge")  # events of a record
PER_FILE = 1000  # patients


class Row(NamedTuple):
    """One measurement; without a time it holds for life."""

    time: datetime | None
    code: str
    value: float | None


def subject(episode: Episode) -> int:
    """A patient's number, by the name of its world run and its own."""
    told = blake2b(f"{episode.run}/{episode.asset}".encode(), digest_size=8).digest()
    return int.from_bytes(told, "little") >> 1


def rows(episode: Episode) -> list[Row]:
    """What a record shows of one patient, in the order of the standard: no time first, then by time and code."""
    epoch = datetime.fromisoformat(episode.epoch)
    found = list(_static(episode, epoch))
    for series in episode.series:
        if series.role in (Role.TRUTH, Role.TRUTH.value, Role.STATIC, Role.STATIC.value) or series.shape:
            continue
        found += _measured(series, epoch)
    for event in episode.events:
        at = epoch + timedelta(hours=event.time_h)
        if event.kind == "death":
            found.append(Row(at, "MEDS_DEATH", None))
        elif event.kind in TOLD:
            found.append(Row(at, "//".join((event.kind.upper(), *([event.cause] if event.cause else []))), None))
    return sorted(found, key=lambda row: (row.time is not None, row.time or epoch, row.code))


def _static(episode: Episode, epoch: datetime) -> Iterator[Row]:
    for name, value in episode.static.items():
        if name == "age" and not isinstance(value, str):
            yield Row(epoch - timedelta(days=float(value) * YEAR_DAYS), "MEDS_BIRTH", None)
        elif name == "male":
            yield Row(None, f"GENDER//{'M' if value else 'F'}", None)
        elif isinstance(value, str):
            yield Row(None, f"{name}//{value}", None)
        else:
            yield Row(None, name, float(value))


def _measured(series: Series, epoch: datetime) -> Iterator[Row]:
    """Every sample that there is; of actions those at which something changed."""
    kept = np.isfinite(series.values)
    if series.role == Role.ACTION:
        kept &= np.append(True, np.diff(series.values) != 0)
    code = f"{series.quantity}//{series.unit}"
    for time_h, value in zip(series.clock_h()[kept].tolist(), series.values[kept].tolist(), strict=True):
        yield Row(epoch + timedelta(hours=time_h), code, value)


def export(dataset: Dataset, folder: str | Path) -> Path:
    """Write *dataset* to *folder*, which must not hold anything; returns the folder."""
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} is not empty; it must be a folder of its own")
    codes: set[str] = set()
    subjects: list[tuple[int, str]] = []
    for split in dataset.splits:
        name, episodes = SPLITS.get(split, split), dataset.episodes(split)
        for part in range(0, len(episodes), PER_FILE):
            some = sorted(episodes[part : part + PER_FILE], key=subject)
            each = [(subject(episode), rows(episode)) for episode in some]
            subjects += [(number, name) for number, _ in each]
            codes |= {row.code for _, found in each for row in found}
            columns = [
                [number for number, found in each for _ in found],
                *([row[k] for _, found in each for row in found] for k in range(3)),
            ]
            _write(folder / "data" / name / f"{part // PER_FILE}.parquet", columns, DATA)
    if len({number for number, _ in subjects}) < len(subjects):
        raise InputError("two patients have the same number; give the plan another seed")
    listed = sorted(codes)
    parents: list[list[str]] = [[] for _ in listed]
    _write(folder / "metadata" / "codes.parquet", [listed, list(map(_description, listed)), parents], CODES)
    _write(
        folder / "metadata" / "subject_splits.parquet", list(map(list, zip(*sorted(subjects), strict=True))), SUBJECTS
    )
    about = {
        "dataset_name": f"twinworlds {dataset.identity} (simulated, research only, not for clinical use)",
        "dataset_version": str(dataset.manifest["content"]),
        "etl_name": "twinworlds",
        "meds_version": VERSION,
    }
    files.write(folder / "metadata" / "dataset.json", [json.dumps(about, indent=1).encode()])
    files.write(folder / "NOTICE.txt", [NOTICE.encode()])
    return folder


def _description(code: str) -> str:
    name, _, rest = code.partition("//")
    return f"{name.replace('_', ' ').lower()}{f', {rest}' if rest else ''} (simulated)"


def _write(path: Path, columns: list, schema: pa.Schema) -> None:
    table = pa.table([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    files.write(path, [buffer.getvalue()])


def main() -> int:
    if len(sys.argv) != 3:
        print("usage: python -m twins.meds DATASET FOLDER", file=sys.stderr)
        return 2
    try:
        print(export(open_dataset(sys.argv[1]), sys.argv[2]))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
