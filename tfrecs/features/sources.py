"""Whatever rows come in, as Arrow tables of bounded size."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from tfrecs import checks
from tfrecs.arrow import as_table

_ROWS = 1 << 20  # rows of a slice


def tables(source: Any) -> Iterator[pa.Table]:
    """Yields a source as tables.

    Args:
        source: A `pa.Table`, `pa.RecordBatch`, `pa.RecordBatchReader`, dict of arrays,
            `tf.data.Dataset` of dicts, or an iterable of any of these.

    Raises:
        TypeError: If the source is none of them.
    """
    if isinstance(source, pa.RecordBatch):
        source = pa.Table.from_batches([source])
    if isinstance(source, pa.Table):
        for start in range(0, max(len(source), 1), _ROWS):
            yield source.slice(start, _ROWS)
    elif isinstance(source, pa.RecordBatchReader):
        yield from _gathered(source)
    elif isinstance(source, dict):
        yield pa.table({name: to_arrow(name, value) for name, value in source.items()})
    elif isinstance(source, tf.data.Dataset):
        for element in source:
            yield from tables(element[0] if isinstance(element, tuple) else element)
    elif hasattr(source, "__arrow_c_stream__"):
        yield from tables(as_table("source", source))
    elif isinstance(source, Iterable) and not isinstance(source, str | bytes | np.ndarray):
        for part in source:
            yield from tables(part)
    else:
        expectation = "a pa.Table, pa.RecordBatchReader, tf.data.Dataset or dicts of arrays"
        raise TypeError(checks.expected("source", expectation, source))


def _gathered(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Joins small record batches, which would cost more to start on than to work through."""
    batches: list[pa.RecordBatch] = []
    rows = 0
    for batch in reader:
        batches.append(batch)
        rows += len(batch)
        if rows >= _ROWS >> 3:
            yield pa.Table.from_batches(batches)
            batches, rows = [], 0
    yield pa.Table.from_batches(batches, schema=reader.schema)


def to_arrow(name: str, value: Any) -> Any:
    """Returns raw values as an Arrow array: ragged tensors and arrays of more axes as lists."""
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value
    if isinstance(value, tf.RaggedTensor | tf.compat.v1.ragged.RaggedTensorValue):
        splits = np.asarray(value.row_splits).astype(np.int64)
        return pa.LargeListArray.from_arrays(splits, to_arrow(name, value.values))
    array = np.asarray(value) if not isinstance(value, list) else _from_list(value)
    if array.ndim == 1:
        return _flat(array)
    if array.ndim == 2:
        return pa.FixedSizeListArray.from_arrays(_flat(array.ravel()), array.shape[1])
    if array.ndim == 3:
        splits = np.arange(len(array) + 1, dtype=np.int64) * array.shape[1]
        inner = to_arrow(name, array.reshape(-1, array.shape[2]))
        return pa.LargeListArray.from_arrays(splits, inner)
    remedy = "Batch the rows first." if array.ndim == 0 else ""
    raise ValueError(checks.expected(f"raw['{name}']", "of 1 to 3 axes", array.shape, remedy))


def _from_list(value: list[Any]) -> np.ndarray:
    """Keeps as objects what Arrow reads better than NumPy: lists, texts that may end with a NUL."""
    if value and isinstance(value[0], list | tuple | np.ndarray):
        out = np.empty(len(value), object)
        out[:] = value
        return out
    texts = any(isinstance(one, str | bytes) for one in value)
    return np.asarray(value, dtype=object if texts or None in value else None)


def _flat(array: np.ndarray) -> pa.Array:
    if array.dtype.kind == "S":
        array = array.astype(object)
    return pa.array(array, from_pandas=array.dtype == object)
