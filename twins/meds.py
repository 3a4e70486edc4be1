"""A cohort as MEDS, the Medical Event Data Standard: `python -m twins.meds DATASET FOLDER`.

A row a measurement: subject, time, code, number or text (https://medical-event-data-standard.github.io, version 0.4).
What a record would hold goes out: observed samples of channels, changes of what was prescribed, events, birth and
death. Hidden truth stays in the dataset, and so does what no record shows. Simulated, for research only and never for
clinical use, as the folder says of itself.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from sim.errors import InputError
from twins.channel import Role
from twins.dataset import files, open_dataset
from twins.episode import Episode, Series

VERSION = "0.4"
BIRTH, DEATH = "MEDS_BIRTH", "MEDS_DEATH"
SPLITS = {"train": "train", "validation": "tuning", "test": "held_out"}  # others keep their names
UNRECORDED = ("missed", "failure", "planned", "renewal")  # a dose that was not taken; the bounds of lives
YEAR_H = 8766.0
DATA = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("time", pa.timestamp("us")),
        pa.field("code", pa.string(), nullable=False),
        pa.field("numeric_value", pa.float32()),
        pa.field("text_value", pa.large_string()),
    ]
)
CODES = pa.schema(
    [
        pa.field("code", pa.string(), nullable=False),
        pa.field("description", pa.string()),
        pa.field("parent_codes", pa.list_(pa.string())),
    ]
)
SUBJECTS = pa.schema(
    [pa.field("subject_id", pa.int64(), nullable=False), pa.field("split", pa.string(), nullable=False)]
)


class Row(NamedTuple):
    """A measurement: its time (None where it holds always), code, number (NaN: none) and text."""

    time: datetime | None
    code: str
    number: float = math.nan
    text: str | None = None


def rows(episode: Episode) -> Iterator[Row]:
    """All that a record would hold of one patient, not yet in order."""
    epoch = datetime.fromisoformat(episode.epoch)
    epoch = epoch.astimezone(UTC).replace(tzinfo=None) if epoch.tzinfo else epoch
    if "age" in episode.static:
        yield Row(epoch - timedelta(hours=YEAR_H * float(episode.static["age"])), BIRTH)
    for name, value in episode.static.items():
        if isinstance(value, str):
            yield Row(None, name.upper(), text=value)
        else:
            yield Row(None, name.upper(), float(value))
    died_h = min((event.time_h for event in episode.events if event.kind == "death"), default=math.inf)
    for series in episode.series:
        if series.role != Role.TRUTH and not series.shape and series.quantity not in episode.static:
            for time_h, value in _told(series):
                if time_h <= died_h:  # a twin may label the dead for a learner; no record holds that
                    yield Row(epoch + timedelta(hours=time_h), f"{series.quantity.upper()}//{series.unit}", value)
    for event in episode.events:
        if event.kind not in UNRECORDED:
            code = DEATH if event.kind == "death" else "//".join(filter(None, (event.kind.upper(), event.cause)))
            text = event.cause if event.kind == "death" else None
            yield Row(epoch + timedelta(hours=event.time_h), code, event.value or math.nan, text)


def _told(series: Series) -> Iterator[tuple[float, float]]:
    """Samples that were observed; of what was done, only those that differ from the one before."""
    before = math.nan
    for time_h, value in zip(series.clock_h().tolist(), series.values.tolist(), strict=True):
        if math.isfinite(value) and not (series.role == Role.ACTION and value == before):
            yield time_h, value
        before = value


def export(dataset: str | Path, folder: str | Path) -> Path:
    """Write a finished dataset as MEDS into *folder*, all or nothing. Raises InputError where the folder is there."""
    source, folder = open_dataset(dataset), Path(folder)
    if folder.exists():
        raise InputError(f"{folder} is there already; name a folder that is not")
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    codes: set[str] = set()
    subjects: list[tuple[int, str]] = []
    try:
        for split in source.splits:
            told = SPLITS.get(split, split)
            table = []
            for number, episode in enumerate(source.episodes(split), len(subjects) + 1):
                if not {"age", "stage"} & set(episode.static):
                    raise InputError(f"{source.path} is of {episode.asset}, no patient; MEDS is of patients")
                subjects.append((number, told))
                mine = sorted(rows(episode), key=lambda row: (row.time is not None, row.time or datetime.min, row.code))
                codes.update(row.code for row in mine)
                table += [(number, *row) for row in mine]
            _write(temporary / "data" / told / "0.parquet", table, DATA)
        about = temporary / "metadata"
        _write(about / "codes.parquet", [(code, describe(code), None) for code in sorted(codes)], CODES)
        _write(about / "subject_splits.parquet", subjects, SUBJECTS)
        made = {"dataset_name": f"twinworlds {source.identity}", "dataset_version": source.identity}
        made |= {"etl_name": "twinworlds", "etl_version": _version(), "meds_version": VERSION}
        files.write(about / "dataset.json", [json.dumps(made, indent=1).encode()])
        files.write(temporary / "README.md", [README.encode()])
        os.replace(temporary, folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


README = """# A simulated cohort

Simulated patients as the Medical Event Data Standard (MEDS). Research only, not for clinical use: nobody here has
lived.
"""


def describe(code: str) -> str:
    """A code in words."""
    if code in (BIRTH, DEATH):
        return {BIRTH: "birth", DEATH: "death; its cause is the text"}[code]
    what, _, rest = code.partition("//")
    return what.lower().replace("_", " ") + (f", {rest}" if rest else "")


def _write(path: Path, table: list[tuple], schema: pa.Schema) -> None:
    columns = list(zip(*table, strict=True)) or [()] * len(schema)
    arrays = [
        pa.array([None if isinstance(x, float) and math.isnan(x) else x for x in column], field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), path)


def _version() -> str:
    try:
        return version("twinworlds")
    except PackageNotFoundError:
        return "from source"


def main() -> int:
    if len(sys.argv) != 3:
        print("python -m twins.meds DATASET FOLDER", file=sys.stderr)
        return 2
    try:
        print(export(*sys.argv[1:]))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
