"""Examples on disk: TFRecord shards of tf.Example by split, written and read a block at a time."""

import json
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from tfrecs import checks
from tfrecs.components import wire
from tfrecs.components.artifacts import Examples, damaged
from tfrecs.features import nested
from tfrecs.features.arrow import Layout, layouts

COLUMNS = "columns.json"
_BUFFER = 4 << 20  # bytes read at once
_MISSING: dict[str, Any] = {  # defaults of what an Example lacks
    "string": b"\x00tfrecs: missing",
    "int64": np.iinfo(np.int64).min,
    "float32": np.nan,
}


def normalised(table: pa.Table) -> pa.Table:
    """Returns columns of the types that tf.Example has: times as integers, plain text.

    Lists of vectors, and of pairs, become lists of their values, one behind the other.
    """
    for place, field in enumerate(table.schema):
        column, kind = table.column(place), field.type
        flattened = nested.flattened(field.name, column)
        if flattened is not None:
            table = table.set_column(place, field.name, flattened)
            continue
        if pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
        elif pa.types.is_date(kind):
            column = column.cast(pa.timestamp("s")).cast(pa.int64())
        elif pa.types.is_timestamp(kind):
            column = column.cast(pa.int64())
        elif pa.types.is_null(kind):
            column = column.cast(pa.string())
        elif pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
            column = column.cast(pa.float32())
        table = table.set_column(place, field.name, column)
    return table


class ShardWriter:
    """Writes one compressed TFRecord file; a thread compresses while the next block is encoded.

    Args:
        path: The file.
        columns: Layouts of the columns.
        compressor: Threads that compress.
    """

    def __init__(self, path: Path, columns: Sequence[Layout], compressor: ThreadPoolExecutor):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows = 0
        self._file = path.open("wb")
        self._dtypes = {layout.name: layout.dtype for layout in columns}
        self._zip = zlib.compressobj(1, wbits=31)  # gzip: a third of the time of the default level
        self._compressor = compressor
        self._busy: Future[None] | None = None

    def write(self, table: pa.Table) -> None:
        """Writes rows."""
        self.rows += table.num_rows
        for start in range(0, table.num_rows, wire.ROWS):
            frames = wire.tfrecords(table.slice(start, wire.ROWS), self._dtypes)
            self._wait()
            self._busy = self._compressor.submit(self._compress, frames)

    def _compress(self, frames: np.ndarray) -> None:
        self._file.write(self._zip.compress(frames.data))

    def _wait(self) -> None:
        if self._busy is not None:
            self._busy.result()

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(self, *error: object) -> None:
        """Ends the file."""
        with self._file:
            self._wait()
            self._file.write(self._zip.flush())


def write_columns(folder: Path, columns: Sequence[Layout]) -> None:
    """Writes what the columns are, for those who read the Examples."""
    said = json.dumps([asdict(layout) for layout in columns], indent=1)
    (folder / COLUMNS).write_text(said)


def read_columns(examples: Examples) -> list[Layout]:
    """Returns what the columns are."""
    with damaged(examples.path / COLUMNS) as file:
        return [Layout(**layout) for layout in json.loads(file.read_text())]


def write_tables(examples: Examples, tables: dict[str, pa.Table]) -> None:
    """Writes tables in memory as the splits of an artifact, a file each."""
    tables = {split: normalised(table) for split, table in tables.items()}
    columns = layouts(next(iter(tables.values())).schema)
    with ThreadPoolExecutor(1) as compressor:
        for split, table in tables.items():
            with ShardWriter(shard(examples.path, split, 0, 1), columns, compressor) as writer:
                writer.write(table)
    write_columns(examples.path, columns)
    say(examples, {split: table.num_rows for split, table in tables.items()})


def say(examples: Examples, rows: dict[str, int], **more: Any) -> None:
    """Notes splits, rows and what else is known as properties."""
    examples.properties |= {"split_names": sorted(rows), "num_examples": rows, **more}


def shard(folder: Path, split: str, number: int, count: int) -> Path:
    """Returns the path of a shard, as TFX names it."""
    return folder / f"Split-{split}" / f"data_tfrecord-{number:05d}-of-{count:05d}.gz"


def shards(examples: Examples, split: str) -> list[Path]:
    """Returns the files of a split.

    Raises:
        FileNotFoundError: There is no such split.
    """
    files = sorted((examples.path / f"Split-{split}").glob("*.gz"))
    if not files:
        known = sorted(path.name[6:] for path in examples.path.glob("Split-*"))
        raise FileNotFoundError(checks.expected("split", f"one of {known}", split))
    return files


def splits(examples: Examples) -> list[str]:
    """Returns the names of the splits."""
    return sorted(path.name.removeprefix("Split-") for path in examples.path.glob("Split-*"))


def read_shard(
    path: Path, columns: Sequence[Layout], batch_size: int = 16_384
) -> Iterator[pa.Table]:
    """Yields the rows of a shard as tables; what an Example lacks is null.

    Raises:
        ValueError: The file is damaged; the message names it.
    """
    features = {layout.name: _parsing(layout) for layout in columns}
    records = tf.data.TFRecordDataset(str(path), "GZIP", buffer_size=_BUFFER)

    @tf.autograph.experimental.do_not_convert  # nothing to convert, and it is slow to look
    def parse(examples: tf.Tensor) -> tuple[Any, ...]:
        parsed = tf.io.parse_example(examples, features)
        return tuple(_taken_apart(parsed[layout.name], layout) for layout in columns)

    batches = iter(records.batch(batch_size).map(parse, num_parallel_calls=1).prefetch(2))
    while True:
        try:
            parts = next(batches, None)
        except tf.errors.OpError as error:
            about = error.message.splitlines()[0]
            raise ValueError(f"{path} is damaged: {about}. Make the Examples anew.") from error
        if parts is None:
            return
        arrays = [_array(part, layout) for part, layout in zip(parts, columns, strict=True)]
        yield pa.table(arrays, names=[layout.name for layout in columns])


def read_table(examples: Examples, split: str) -> pa.Table:
    """Returns all rows of a split."""
    columns = read_columns(examples)
    tables = [t for path in shards(examples, split) for t in read_shard(path, columns)]
    if not tables:
        raise ValueError(checks.expected("examples", f"rows in split {split!r}", examples.uri))
    return pa.concat_tables(tables).combine_chunks()


def _parsing(layout: Layout) -> Any:
    dtype = tf.as_dtype(layout.dtype)
    if layout.lists or layout.width is not None:
        return tf.io.RaggedFeature(dtype)
    return tf.io.FixedLenFeature([], dtype, _MISSING[layout.dtype])


def _taken_apart(tensor: Any, layout: Layout) -> tuple[tf.Tensor, ...]:
    """Returns a parsed column as what Arrow takes without a loop over values."""
    values = tensor.flat_values if isinstance(tensor, tf.RaggedTensor) else tensor
    parts = (tensor.row_splits,) if isinstance(tensor, tf.RaggedTensor) else ()
    if layout.dtype != "string":
        return (*parts, values)
    missing = values == _MISSING["string"]
    values = tf.where(missing, "", values)
    return (*parts, tf.strings.length(values), tf.strings.reduce_join(values), missing)


def _array(parts: Sequence[tf.Tensor], layout: Layout) -> pa.Array:
    lists = layout.lists or layout.width is not None
    rest = [part.numpy() for part in parts[1 if lists else 0 :]]
    if layout.dtype == "string":
        values = _texts(*rest)
    else:
        numbers = rest[0]
        missing = np.isnan(numbers) if layout.dtype == "float32" else numbers == _MISSING["int64"]
        values = pa.array(numbers, mask=missing if missing.any() else None)
    if not lists:
        return values
    splits_of = pa.array(parts[0].numpy(), pa.int64()).cast(pa.int32())
    if layout.width is None:
        return pa.ListArray.from_arrays(splits_of, values)
    return pa.ListArray.from_arrays(splits_of, values).cast(pa.list_(values.type, layout.width))


def _texts(lengths: np.ndarray, data: bytes, missing: np.ndarray) -> pa.Array:
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    values = pa.Array.from_buffers(pa.binary(), len(lengths), buffers)
    try:
        texts = values.cast(pa.string())
    except pa.ArrowInvalid:  # bytes that are no text stay bytes
        texts = values
    if missing.any():
        texts = pc.if_else(pa.array(missing), None, texts)
    return texts
