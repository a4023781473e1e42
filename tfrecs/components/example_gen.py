"""ExampleGen: files of rows into TFRecord shards of tf.Example, split for training and judging."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from tfrecs import checks
from tfrecs.components import examples as io
from tfrecs.components import sources, spans
from tfrecs.components.artifacts import Examples
from tfrecs.components.component import Component, Output
from tfrecs.components.driver import drive
from tfrecs.features.arrow import Layout, layouts

_ROWS = 65_536  # read at a time
Assign = Callable[[pa.Table, int], np.ndarray]  # rows and the number of the first -> split


def example_gen(
    examples: Output[Examples],
    *,
    source: str,
    query: str | None = None,
    columns: dict[str, str] = {},  # noqa: B006 read alone
    splits: dict[str, int] = {"train": 9, "eval": 1},  # noqa: B006
    partition: str | None = None,
    time: str | None = None,
    span: int | None = None,
    rows_per_shard: int = 1_000_000,
    runner: str = "local",
    beam_options: list[str] = [],  # noqa: B006
) -> None:
    """Files of rows into TFRecord shards of tf.Example, split for training and judging.

    Memory is bounded by the blocks of 65,536 rows that each process holds, and with `time` by 8
    bytes a row, with `partition` too by each group's value and first time.

    Args:
        examples: Shards by split.
        source: CSV, TSV, Parquet or JSON lines, the texts also compressed (.gz): a file, a folder
            with all that is in it (`day=3/` becomes a column "day") or a pattern, which may hold
            `{SPAN}` and `{VERSION}`, on this machine or as a URI such as `gs://bucket/events`; a
            database, `sqlite:///FILE` or `duckdb:///FILE`; or `tfds://name`.
        query: What is read of a database, a SELECT; `None` for other sources.
        columns: Types by name, as `{"label": "int64", "C1": "string"}`, of CSV and TSV files that
            have no line of names, and of those columns of a query whose first rows mislead.
            Defaults to none: the first line names the columns, and types are inferred.
        splits: Shares by name, in order. Defaults to nine parts "train", one "eval".
        partition: Column whose values stay together (all rows of a user in one split), by hash;
            `None` goes by the row's number.
        time: Column by whose order the splits are cut, the oldest first; with `partition`, whole
            groups (sessions) by their first time. `None` to hash.
        span: Span to read; `None` for the last one.
        rows_per_shard: Rows of a shard, where the source is Parquet. Defaults to 1,000,000.
        runner: "local" or "beam". Defaults to "local".
        beam_options: Options of the Beam pipeline, as `--runner=FlinkRunner`.
    """
    checks.positive("rows_per_shard", rows_per_shard)
    path, number, version = spans.resolve_span(source, span)
    found = sources.pieces(path, rows_per_shard, columns, query)
    first = io.normalised(_first(found, path))
    for column in (partition, time):
        if column is not None:
            checks.one_of("column", column, first.column_names)
    laid = layouts(first.schema)
    bounds = _bounds(splits)
    assign: Assign = _ByHash(bounds, partition)
    if time is not None and partition is not None:
        assign = _ByGroup(partition, *_groups(found, partition, time, bounds))
    elif time is not None:
        assign = _ByTime(_cuts(found, time, bounds), time)
    work = partial(
        _write_piece,
        pieces=found,
        folder=examples.uri,
        schema=first.schema,
        columns=laid,
        names=list(splits),
        assign=assign,
    )
    rows = dict.fromkeys(splits, 0)
    examples.path.mkdir(parents=True, exist_ok=True)
    size = sum(piece.size for piece in found)
    parts = range(len(found))
    for counts in drive(work, parts, runner, beam_options, size=size, scratch=examples.path):
        rows = {split: rows[split] + counts[split] for split in splits}
    for split, count in rows.items():
        if count == 0:
            remedy = "Give it a greater share, or another `partition`."
            raise ValueError(checks.expected("splits", f"with rows in {split!r}", rows, remedy))
    io.write_columns(examples.path, laid)
    io.say(examples, rows, source=path, span=number, version=version)


ExampleGen = Component(
    example_gen,
    files=lambda given: sources.inputs(given["source"], given["span"]),
    places=("source",),
)


def _first(found: list[sources.Piece], source: str) -> pa.Table:
    """Returns the first rows there are."""
    for piece in found:
        for table in piece.read(_ROWS):
            if table.num_rows:
                return table
    raise ValueError(checks.expected("source", "with rows", source))


def _write_piece(
    number: int,
    pieces: list[sources.Piece],
    folder: str,
    schema: pa.Schema,
    columns: list[Layout],
    names: list[str],
    assign: Assign,
) -> dict[str, int]:
    """Writes a piece as a shard of each split and returns their rows."""
    where = Path(folder)
    with ThreadPoolExecutor(1) as compressor, ExitStack() as files:
        paths = [io.shard(where, name, number, len(pieces)) for name in names]
        writers = [files.enter_context(io.ShardWriter(path, columns, compressor)) for path in paths]
        first = number << 40  # rows are numbered within their piece
        for table in pieces[number].read(_ROWS):
            table = _as(io.normalised(table), schema, pieces[number].path)
            sides = assign(table, first)
            first += table.num_rows
            for side, writer in enumerate(writers):
                rows = np.flatnonzero(sides == side)
                if len(rows):
                    writer.write(table.take(rows))
    return {name: writer.rows for name, writer in zip(names, writers, strict=True)}


def _as(table: pa.Table, schema: pa.Schema, path: str) -> pa.Table:
    """Returns the columns of `schema` as its types."""
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        there = ", ".join(table.column_names)
        raise ValueError(f"{path} lacks the columns {missing} of the first file. It has: {there}.")
    try:
        return table.select(schema.names).cast(schema)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{path} holds other types than the first file: {error}.") from error


@dataclass(frozen=True)
class _ByHash:
    """Assigns rows by a hash of a column, or of their numbers."""

    bounds: np.ndarray
    partition: str | None

    def __call__(self, table: pa.Table, first: int) -> np.ndarray:
        total = int(self.bounds[-1])
        if self.partition is None:
            keys = tf.as_string(tf.range(first, first + table.num_rows, dtype=tf.int64))
            buckets = tf.strings.to_hash_bucket_fast(keys, total).numpy()
        else:
            column = table[self.partition].combine_chunks().dictionary_encode()
            values = [str(value) for value in column.dictionary.to_pylist()]
            hashed = tf.strings.to_hash_bucket_fast(tf.constant(values, tf.string), total).numpy()
            places = column.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
            buckets = np.append(hashed, 0)[places]
        return np.asarray(np.searchsorted(self.bounds, buckets, side="right"))


@dataclass(frozen=True)
class _ByTime:
    """Assigns rows by the quantiles of a column of times."""

    cuts: np.ndarray
    time: str

    def __call__(self, table: pa.Table, first: int) -> np.ndarray:
        del first
        return np.asarray(np.searchsorted(self.cuts, table[self.time].to_numpy(), side="right"))


@dataclass(frozen=True)
class _ByGroup:
    """Assigns whole groups of rows."""

    partition: str
    groups: pa.Array
    sides: np.ndarray

    def __call__(self, table: pa.Table, first: int) -> np.ndarray:
        del first
        column = table[self.partition].combine_chunks()
        return np.asarray(self.sides[pc.index_in(column, value_set=self.groups).to_numpy()])


def _bounds(splits: dict[str, int]) -> np.ndarray:
    """Returns the last bucket of each split, and one."""
    for name, share in splits.items():
        if isinstance(share, bool) or not isinstance(share, int) or share < 1:
            raise ValueError(checks.expected(f"splits[{name!r}]", "an integer of 1 or more", share))
    return np.cumsum(list(splits.values()))


def _groups(
    found: list[sources.Piece], partition: str, time: str, bounds: np.ndarray
) -> tuple[pa.Array, np.ndarray]:
    """Returns the groups and their splits, in order of their first times."""

    def first_times(table: pa.Table) -> pa.Table:
        firsts = table.group_by("group").aggregate([("time", "min")])
        return firsts.rename_columns(["group", "time"])

    names = ["group", "time"]
    blocks = [
        first_times(io.normalised(table.select([partition, time])).rename_columns(names))
        for piece in found
        for table in piece.read(_ROWS)
    ]
    order = [("time", "ascending"), ("group", "ascending")]
    firsts = first_times(pa.concat_tables(blocks)).sort_by(order)
    ends = bounds * len(firsts) // bounds[-1]
    sides = np.searchsorted(ends, np.arange(len(firsts)), side="right")
    return firsts["group"].combine_chunks(), sides


def _cuts(found: list[sources.Piece], time: str, bounds: np.ndarray) -> np.ndarray:
    """Returns the times at which splits end."""
    times = [
        io.normalised(table.select([time]))[time].to_numpy()
        for piece in found
        for table in piece.read(_ROWS)
    ]
    ordered = np.sort(np.concatenate(times))
    return np.asarray(ordered[(bounds[:-1] * len(ordered)) // bounds[-1]])
