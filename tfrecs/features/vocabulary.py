"""Vocabularies and hashing: values to ids, in the graph and on Arrow columns alike."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from tfrecs.files import written_aside
from tfrecs.spec import NUM_RESERVED_IDS, PADDING_ID, UNKNOWN_ID

_SLICE = 1 << 17  # values written at a time
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}


class Vocabulary(tf.Module):
    """The known values of a feature, one a line of a text file; value `i` has id `i + 2`.

    The table is initialised from the file, so that a SavedModel carries it in `assets/`. A line
    cannot hold a line break: if any value has one, all lines are written with backslash escapes
    and so is what is looked up (`escaped`); without such values nothing is escaped, and a value
    with a line break is unknown.

    Args:
        path: The file, as written by `write_values`. It must stay as long as the vocabulary.
        dtype: "string" or "int64".
        escaped: Whether the lines are escaped.
    """

    def __init__(self, path: Path, dtype: str, escaped: bool) -> None:
        super().__init__(name="vocabulary")
        self.path = path
        self.dtype = dtype
        self.escaped = escaped
        self.values = read_values(path, dtype, escaped)
        initializer = tf.lookup.TextFileInitializer(
            str(path),
            tf.as_dtype(dtype),
            tf.lookup.TextFileIndex.WHOLE_LINE,
            tf.int64,
            tf.lookup.TextFileIndex.LINE_NUMBER,
            vocab_size=max(len(self.values), 1),  # or TensorFlow reads the file twice
            value_index_offset=NUM_RESERVED_IDS,
        )
        self.table = tf.lookup.StaticHashTable(initializer, UNKNOWN_ID)

    @property
    def size(self) -> int:
        """Number of ids, reserved ones included."""
        return len(self.values) + NUM_RESERVED_IDS

    def __call__(self, values: tf.Tensor) -> tf.Tensor:
        """Returns int32 ids of the shape of `values`."""
        keys = _escape_tensor(values) if self.escaped else values
        ids = tf.cast(self.table.lookup(keys), tf.int32)
        return tf.where(is_missing(values), PADDING_ID, ids)

    def encode(self, values: pa.ChunkedArray) -> np.ndarray:
        """Returns int32 ids `(N,)` of an Arrow column: what `__call__` returns, without TF.

        Arrow hashes the whole vocabulary anew each time; where the column is shorter, its distinct
        values go through the table, which is there already.
        """
        if len(values) < len(self.values):
            return _by_graph(values, self.dtype, self)
        missing = missing_value(self.dtype)

        def lookup(column: pa.ChunkedArray) -> np.ndarray:
            known = self.values.cast(column.type)
            reserved = pa.array([missing, None], type=column.type)  # take the places 0 and 1
            table = pa.concat_arrays([reserved, known])
            found = pc.fill_null(pc.index_in(column, value_set=table), -1).to_numpy()
            ids = np.where(found == UNKNOWN_ID, PADDING_ID, found)  # null is at place 1
            return np.where(found < 0, UNKNOWN_ID, ids).astype(np.int32, copy=False)

        return _by_dictionary(values, lookup)


class HashBins(tf.Module):
    """Values hashed into `bins` ids from 2 on, by `tf.strings.to_hash_bucket_fast`.

    Integers are hashed as their decimal text. Nothing is learned, id 1 is never used and values
    collide: with as many bins as values, about two in three share their bin with another.
    """

    def __init__(self, bins: int, dtype: str) -> None:
        super().__init__(name="hash_bins")
        self.bins = bins
        self.dtype = dtype

    @property
    def size(self) -> int:
        """Number of ids, reserved ones included."""
        return self.bins + NUM_RESERVED_IDS

    def __call__(self, values: tf.Tensor) -> tf.Tensor:
        """Returns int32 ids of the shape of `values`."""
        return tf.where(is_missing(values), PADDING_ID, hash_ids(values, self.bins))

    def encode(self, values: pa.ChunkedArray) -> np.ndarray:
        """Returns int32 ids `(N,)` of an Arrow column; only distinct values are hashed."""
        return _by_graph(values, self.dtype, self)


Lookup = Vocabulary | HashBins


def missing_value(dtype: str) -> str | int:
    """Returns what stands for a missing id in raw tensors: "" or -1."""
    return "" if dtype == "string" else -1


def is_missing(values: tf.Tensor) -> tf.Tensor:
    """Returns where raw ids are missing: bool of the shape of `values`."""
    return tf.equal(values, "" if values.dtype == tf.string else tf.constant(-1, values.dtype))


def hash_ids(values: tf.Tensor, bins: int) -> tf.Tensor:
    """Returns int32 ids from 2 on, missing values hashed like any other."""
    texts = values if values.dtype == tf.string else tf.strings.as_string(values)
    return tf.cast(tf.strings.to_hash_bucket_fast(texts, bins), tf.int32) + NUM_RESERVED_IDS


def _by_graph(values: pa.ChunkedArray, dtype: str, module: "Lookup") -> np.ndarray:
    """Sends the distinct values of a column through the TensorFlow ops of `module`."""

    def lookup(column: pa.ChunkedArray) -> np.ndarray:
        if pa.types.is_integer(column.type):
            distinct = pc.fill_null(column, -1).to_numpy()
        else:
            binary = pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary()
            distinct = pc.fill_null(column, "").cast(binary).to_numpy().astype(object)
        return np.asarray(module(tf.constant(distinct, dtype=tf.as_dtype(dtype))))

    return _by_dictionary(values, lookup, distinct=True)


def _by_dictionary(
    values: pa.ChunkedArray,
    lookup: Callable[[pa.ChunkedArray], np.ndarray],
    *,
    distinct: bool = False,
) -> np.ndarray:
    """Looks up dictionary-encoded columns by their dictionary; any column with `distinct`."""
    if not pa.types.is_dictionary(values.type):
        if not distinct:
            return lookup(values)
        values = values.dictionary_encode()
    parts = [np.zeros(0, np.int32)]
    for chunk in values.unify_dictionaries().chunks:
        ids = lookup(pa.chunked_array([chunk.dictionary]))
        indices = pc.fill_null(chunk.indices.cast(pa.int64()), len(ids)).to_numpy()
        parts.append(np.append(ids, np.int32(PADDING_ID))[indices])  # null: one past the end
    return np.concatenate(parts)


def write_values(values: pa.Array, path: Path) -> bool:
    """Writes values one a line and returns whether the lines are escaped.

    An empty vocabulary is written as one line that no looked-up value equals, because TensorFlow's
    tables refuse an empty file: -1, or for texts a lone backslash, which escaping doubles.
    """
    texts = pa.types.is_large_string(values.type)
    breaks = pc.match_substring_regex(values, "[\n\r]") if texts else None
    escaped = bool(breaks is not None and pc.any(breaks).as_py())
    if escaped:
        for char, escape in _ESCAPES.items():
            values = pc.replace_substring(values, char, escape)
    if not len(values):
        values, escaped = pa.array(["\\"] if texts else [-1], type=values.type), texts
    with written_aside(path) as aside, open(aside, "w", encoding="utf-8", newline="\n") as file:
        for start in range(0, len(values), _SLICE):
            for value in values.slice(start, _SLICE).to_pylist():
                file.write(f"{value}\n")
    return escaped


def read_values(path: Path, dtype: str, escaped: bool) -> pa.Array:
    """Reads what `write_values` wrote: large_string or int64."""
    lines: list[Any] = path.read_bytes().decode("utf-8").split("\n")[:-1]
    if dtype == "int64":
        values = pa.array([int(line) for line in lines], type=pa.int64())
    else:
        values = pa.array(map(_unescape, lines) if escaped else lines, type=pa.large_string())
    nothing = "-1" if dtype == "int64" else "\\" if escaped else None
    return values[:0] if lines == [nothing] else values


def _unescape(line: str) -> str:
    back = {escape[1]: char for char, escape in _ESCAPES.items()}
    return re.sub(r"\\(.)", lambda match: back[match[1]], line)


def _escape_tensor(values: tf.Tensor) -> tf.Tensor:
    for char, escape in _ESCAPES.items():
        rewrite = escape.replace("\\", "\\\\")  # RE2's rewrite string escapes once more
        values = tf.strings.regex_replace(values, re.escape(char), rewrite)
    return values
