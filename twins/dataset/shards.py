"""A shard on disk: three Parquet tables of a few world runs, and the hash of what they say however it is encoded.

`series` has one row a channel of an episode, `episodes` one row an asset of a run, `traces` one row a run.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sim.errors import InputError
from sim.trace import Event, Form, Signal, Trace
from twins import units
from twins.channel import Role
from twins.episode import Episode, Record, Series, Spell
from twins.sensors.render import Sensed

SCHEMA_VERSION = 3
READABLE = (1, 2, SCHEMA_VERSION)  # 1 knows no records, 2 no frames
FLOATS = {  # the columns of samples, which byte-stream-split makes compressible
    "series": ["times_h.list.element", "values.list.element"],
    "episodes": [],
    "records": [],
    "changes": ["values.list.element"],
    "traces": [f"signals.list.element.{name}.list.element" for name in ("time_h", "value", "target")],
}
ROW_GROUP = {
    "series": 4,
    "episodes": 256,
    "records": 4096,
    "traces": 1,
    "changes": 256,
}  # series: episodes a row group; else rows

_EVENT = pa.struct(
    {"time_h": pa.float64(), "entity": pa.string(), "kind": pa.string(), "cause": pa.string(), "value": pa.float64()}
)
_SPELL = pa.struct({name: pa.string() if name == "cause" else pa.float64() for name in Spell._fields})
_FACT = pa.struct({"name": pa.string(), "number": pa.float64(), "text": pa.string()})
_TRUTH = pa.struct({"name": pa.string(), "number": pa.float64()})
_SIGNAL = pa.struct(
    {"entity": pa.string(), "quantity": pa.string(), "form": pa.string(), "tau_h": pa.float64()}
    | {name: pa.list_(pa.float64()) for name in ("time_h", "value", "target")}
)
_METADATA = {"twinworlds.schema": str(SCHEMA_VERSION)}
SCHEMAS = {
    "series": pa.schema(
        {
            "run": pa.int64(),
            "asset": pa.string(),
            "entity": pa.string(),
            "quantity": pa.string(),
            "unit": pa.string(),
            "role": pa.string(),
            "start_h": pa.float64(),
            "step_h": pa.float64(),  # null where times_h is given
            "samples": pa.int64(),
            "shape": pa.list_(pa.int32()),  # of a sample; empty where it is a number
            "times_h": pa.list_(pa.float64()),  # null where step_h is given
            "values": pa.list_(pa.float32()),  # NaN where missing; frames flat, one after the other; null: rendered
        },
        _METADATA,
    ),
    "episodes": pa.schema(
        {
            "run": pa.int64(),
            "asset": pa.string(),
            "epoch": pa.string(),
            "end_h": pa.float64(),
            "events": pa.list_(_EVENT),
            "spells": pa.list_(_SPELL),
            "static": pa.list_(_FACT),
            "truth": pa.list_(_TRUTH),
        },
        _METADATA,
    ),
    "records": pa.schema(
        {
            "run": pa.int64(),
            "asset": pa.string(),
            "number": pa.int64(),
            "opened_h": pa.float64(),
            "closed_h": pa.float64(),
            "written_h": pa.float64(),  # nobody can read it before
            "kind": pa.string(),
            "code": pa.string(),  # as written; empty where missing
            "duration_h": pa.float64(),
            "note": pa.string(),
            "true_cause": pa.string(),  # hidden truth
        },
        _METADATA,
    ),
    "changes": pa.schema(
        {
            "run": pa.int64(),
            "asset": pa.string(),
            "entity": pa.string(),
            "quantity": pa.string(),
            "step": pa.int32(),  # the first is 0
            "unit": pa.string(),  # before this step, as all that follows
            "start_h": pa.float64(),
            "step_h": pa.float64(),  # null where times were explicit
            "samples": pa.int64(),
            "source": pa.list_(pa.int32()),  # of each sample after, the one before, -1 none; null: the same places
            "at": pa.list_(pa.int32()),  # samples that what is there now does not tell
            "values": pa.list_(pa.float32()),  # theirs
            "times_at": pa.list_(pa.int32()),
            "times_h": pa.list_(pa.float64()),
        },
        _METADATA,
    ),
    "traces": pa.schema(
        {
            "run": pa.int64(),
            "start_h": pa.float64(),
            "end_h": pa.float64(),
            "events": pa.list_(_EVENT),
            "signals": pa.list_(_SIGNAL),
        },
        _METADATA,
    ),
}


def series_bytes(episodes: Sequence[Episode]) -> pa.Buffer:
    """The `series` table of *episodes* as a Parquet file."""
    groups = (episodes[i : i + ROW_GROUP["series"]] for i in range(0, len(episodes), ROW_GROUP["series"]))
    return _parquet("series", (_series_table(group) for group in groups))


def episodes_bytes(episodes: Sequence[Episode]) -> pa.Buffer:
    """The `episodes` table as a Parquet file."""
    rows = [
        {
            "run": episode.run,
            "asset": episode.asset,
            "epoch": episode.epoch,
            "end_h": episode.end_h,
            "events": [event._asdict() for event in episode.events],
            "spells": [spell._asdict() for spell in episode.spells],
            "static": [_fact(name, value) for name, value in episode.static.items()],
            "truth": [{"name": name, "number": float(value)} for name, value in episode.truth.items()],
        }
        for episode in episodes
    ]
    return _parquet("episodes", _in_groups("episodes", rows))


def records_bytes(episodes: Sequence[Episode]) -> pa.Buffer:
    """The `records` table, a row an order; without rows if nothing was written."""
    rows = [
        {"run": episode.run, "asset": episode.asset, "true_cause": record.cause} | record._asdict()
        for episode in episodes
        for record in episode.records or ()
    ]
    return _parquet("records", _in_groups("records", rows))


def records_of(rows: Iterable[dict]) -> dict[tuple[int, str], tuple[Record, ...]]:
    """The records of each (run, asset) from rows of the `records` table."""
    found: dict[tuple[int, str], list[Record]] = {}
    for row in rows:
        facts = {name: row["true_cause" if name == "cause" else name] for name in Record._fields}
        found.setdefault((row["run"], row["asset"]), []).append(Record(**facts))
    return {key: tuple(records) for key, records in found.items()}


def traces_bytes(traces: Sequence[Trace]) -> pa.Buffer:
    """The `traces` table as a Parquet file."""
    rows = [
        {
            "run": trace.seed,
            "start_h": trace.start_h,
            "end_h": trace.end_h,
            "events": [event._asdict() for event in trace.events],
            "signals": [
                {"entity": entity, "quantity": quantity, "form": str(signal.form), "tau_h": signal.tau_h}
                | {name: getattr(signal, name) for name in ("time_h", "value", "target")}
                for (entity, quantity), signal in trace.signals.items()
            ],
        }
        for trace in traces
    ]
    return _parquet("traces", _in_groups("traces", rows))


def changes_bytes(rows: Sequence[Mapping[str, Any]]) -> pa.Buffer:
    """The `changes` table: a row a series that a step has changed."""
    return _parquet("changes", _in_groups("changes", [dict(row) for row in rows]))


def read(path: Any, columns: Sequence[str] | None = None) -> pa.Table:
    """A table of a shard, page checksums verified; raises OSError where one does not match."""
    return pq.ParquetFile(path, page_checksum_verification=True).read(columns)


def row_groups(path: Any, columns: Sequence[str]) -> Iterable[pa.Table]:
    """The same, one row group at a time."""
    file = pq.ParquetFile(path, page_checksum_verification=True)
    return (file.read_row_group(i, columns) for i in range(file.num_row_groups))


def floats(column: pa.ChunkedArray) -> list[np.ndarray]:
    """The float arrays of a list column, without copies; a null row gives an empty one."""
    parts = []
    for chunk in column.chunks:
        offsets, flat = chunk.offsets.to_numpy(), chunk.values.to_numpy(zero_copy_only=True)
        parts += [flat[a:b] for a, b in pairwise(offsets)]
    return parts


def episode_of(row: dict, series: tuple[Series, ...], records: tuple[Record, ...] | None = None) -> Episode:
    """An episode from a row of the `episodes` table, its series and its records."""
    return Episode(
        run=row["run"],
        asset=row["asset"],
        series=series,
        events=tuple(Event(**event) for event in row["events"]),
        spells=tuple(Spell(**spell) for spell in row["spells"]),
        static={fact["name"]: fact["number"] if fact["text"] is None else fact["text"] for fact in row["static"]},
        truth={fact["name"]: fact["number"] for fact in row["truth"]},
        epoch=row["epoch"],
        end_h=row["end_h"],
        records=records,
    )


def series_of(row: dict, values: np.ndarray, times_h: np.ndarray | None) -> Series:
    """A series from a row of the `series` table and its arrays."""
    step_h = row["step_h"]
    return Series(
        row["entity"],
        row["quantity"],
        row["unit"],
        Role(row["role"]),
        values.reshape(-1, *(row.get("shape") or ())),
        row["start_h"],
        step_h,
        times_h if step_h is None else None,
    )


def traces_of(path: Any, run: int | None = None) -> Iterator[Trace]:
    """The traces of a `traces` table, one at a time; only that of *run* where it is given."""
    file = pq.ParquetFile(path, page_checksum_verification=True)
    for i in range(file.num_row_groups):
        if run is None or run in file.read_row_group(i, ["run"]).column("run").to_pylist():
            for row in file.read_row_group(i).combine_chunks().to_batches(max_chunksize=1):
                if run in (None, row.column("run")[0].as_py()):
                    yield _trace(row)


def _trace(batch: pa.RecordBatch) -> Trace:
    about = batch.drop_columns("signals").to_pylist()[0]
    told = batch.column("signals").flatten()
    names = zip(*(told.field(name).to_pylist() for name in ("entity", "quantity", "form", "tau_h")), strict=True)
    columns = (floats(pa.chunked_array([told.field(name)])) for name in ("time_h", "value", "target"))
    signals = {
        (entity, quantity): Signal(Form(form), *map(np.array, arrays), tau_h=tau_h)
        for (entity, quantity, form, tau_h), *arrays in zip(names, *columns, strict=True)
    }
    events = tuple(Event(**event) for event in about["events"])
    return Trace(about["run"], about["start_h"], about["end_h"], signals, events)


def content(episodes: Iterable[Episode], trace: Trace | None = None) -> str:
    """SHA-256 of one run's facts and arrays, independent of how files encode them."""
    digest = hashlib.sha256()
    for episode in episodes:
        _feed(digest, [episode.run, episode.asset, episode.epoch, episode.end_h])
        _feed(digest, [[*map(_plain, item)] for item in (*episode.events, *episode.spells)])
        _feed(digest, [[name, _plain(value)] for name, value in (*episode.static.items(), *episode.truth.items())])
        if episode.records is not None:
            _feed(digest, [[*map(_plain, record)] for record in episode.records])
        for s in episode.series:
            times_h = np.empty(0) if s.times_h is None else s.times_h
            _feed(digest, [s.entity, s.quantity, s.unit, str(s.role), s.start_h, s.step_h, *s.values.shape])
            _feed_arrays(digest, times_h, s.values)
    if trace is not None:
        _feed(digest, [trace.seed, trace.start_h, trace.end_h, [[*map(_plain, event)] for event in trace.events]])
        for (entity, quantity), s in trace.signals.items():
            _feed(digest, [entity, quantity, str(s.form), s.tau_h, len(s.time_h)])
            _feed_arrays(digest, s.time_h, s.value, s.target)
    return digest.hexdigest()


def check(episodes: Sequence[Episode]) -> None:
    """Refuse episodes of one run that the store cannot hold, by name."""
    if double := _repeated(episode.asset for episode in episodes):
        raise InputError(f"two episodes of run {episodes[0].run} are of the asset {double!r}; an asset has one a run")
    for episode in episodes:
        _check(episode)


def _check(episode: Episode) -> None:
    name = f"asset {episode.asset!r} of run {episode.run}"
    if not episode.series:
        raise InputError(f"{name} has no series; an episode needs at least one channel")
    if double := _repeated("/".join(s.key) for s in episode.series):
        raise InputError(f"{name} has two series {double}; a quantity of an entity is one channel")
    for s in episode.series:
        units.parse(s.unit)
        if s.values.dtype != np.float32 or s.values.ndim < 1 or 0 in s.shape:
            raise InputError(
                f"{'/'.join(s.key)} of {name} has {s.values.dtype} values of shape {s.values.shape}; "
                "a series is an array of float32, one number or one frame a sample"
            )
        if s.times_h is not None and len(s.times_h) != len(s.values):
            raise InputError(f"{'/'.join(s.key)} of {name} has {len(s.values)} values at {len(s.times_h)} times")


def _repeated(names: Iterable[str]) -> str | None:
    return next((name for name, count in Counter(names).items() if count > 1), None)


def _series_table(episodes: Sequence[Episode]) -> pa.Table:
    rows = [(episode, s) for episode in episodes for s in episode.series]

    def column(get: Callable) -> list:
        return [get(episode, s) for episode, s in rows]

    arrays = [
        column(lambda e, _: e.run),
        column(lambda e, _: e.asset),
        column(lambda _, s: s.entity),
        column(lambda _, s: s.quantity),
        column(lambda _, s: s.unit),
        column(lambda _, s: str(s.role)),
        column(lambda _, s: s.start_h),
        column(lambda _, s: s.step_h),
        column(lambda _, s: len(s.values)),
        column(lambda _, s: list(s.shape)),
        _lists([s.times_h for _, s in rows], np.float64),
        _lists([None if isinstance(s.values, Sensed) else s.values.reshape(-1) for _, s in rows], np.float32),
    ]
    schema = SCHEMAS["series"]
    return pa.table(
        [pa.array(a, t) if isinstance(a, list) else a for a, t in zip(arrays, schema.types, strict=True)], schema=schema
    )


def _lists(arrays: Sequence[np.ndarray | None], dtype: type) -> pa.ListArray:
    empty = np.empty(0, dtype)
    filled = [empty if a is None else a for a in arrays]
    offsets = np.zeros(len(filled) + 1, np.int64)
    np.cumsum([len(a) for a in filled], out=offsets[1:])
    if offsets[-1] > np.iinfo(np.int32).max:
        raise InputError(f"{offsets[-1]} samples in one row group; split the record into shorter episodes")
    flat = np.concatenate([empty, *filled]).astype(dtype, copy=False)
    return pa.ListArray.from_arrays(
        pa.array(offsets.astype(np.int32)), pa.array(flat), mask=pa.array([a is None for a in arrays])
    )


def _in_groups(kind: str, rows: list[dict]) -> Iterable[pa.Table]:
    step = ROW_GROUP[kind]
    return (pa.Table.from_pylist(rows[i : i + step], SCHEMAS[kind]) for i in range(0, len(rows), step))


def _parquet(kind: str, tables: Iterable[pa.Table]) -> pa.Buffer:
    schema, sink = SCHEMAS[kind], pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        use_dictionary=False,
        use_byte_stream_split=FLOATS[kind],  # pyright: ignore[reportArgumentType]
        write_page_checksum=True,
    ) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=max(len(table), 1))
    return sink.getvalue()


def _fact(name: str, value: float | str) -> dict:
    text = value if isinstance(value, str) else None
    return {"name": name, "number": None if text is not None else float(value), "text": text}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else float(value)


def _feed(digest: Any, value: Any) -> None:
    digest.update(json.dumps(value, allow_nan=True).encode() + b"\n")


def _feed_arrays(digest: Any, *arrays: np.ndarray) -> None:
    for array in arrays:
        digest.update(np.ascontiguousarray(array))
