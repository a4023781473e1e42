"""Arrow columns in the few forms that adapting and encoding work on, or a clear error."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.features import layout, nested
from tfrecs.features.nested import row_of
from tfrecs.features.vocabulary import missing_value
from tfrecs.spec import Attributes, Cross, Feature, Numeric, Sequence, Timestamp, Vector

_SECONDS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True)
class Column:
    """The values of a feature, flattened.

    Args:
        values: Arrow strings or int64 with nulls; float32 with NaN for null, `(N, dim)` for
            several vectors a row; int64 seconds.
        lengths: int64 `(B,)`, how many of the values each row has; `None` for one a row.
    """

    values: Any
    lengths: np.ndarray | None


def read(table: pa.Table, feature: Feature, first_row: int = 0) -> Column:
    """Reads the column of a feature.

    Args:
        table: The rows.
        feature: Any feature but a Cross, which has no column, and Attributes: `read_pairs`.
        first_row: Row of the source that the table begins with, for error messages.

    Raises:
        ValueError: If the column is missing or holds a value that has no place.
        TypeError: If the column is of another type.
    """
    column = _named(table, feature)
    if isinstance(feature, Vector) and feature.max_count is not None:
        return _several(feature, column, first_row)
    if pa.types.is_null(column.type):
        return _all_missing(feature, len(column))
    if isinstance(feature, Timestamp):
        return Column(_seconds(feature, column), None)
    column, lengths = _flatten(feature, column)
    if isinstance(feature, Numeric | Vector) or getattr(feature, "dtype", "") == "float32":
        values = _floats(feature, column)
        _check_finite(feature, values, lengths, first_row)
        if isinstance(feature, Vector):
            values = _vectors(feature, values, lengths, first_row)
            lengths = None
        return Column(values, lengths)
    dtype = getattr(feature, "dtype", "string")
    return Column(_texts(feature, column) if dtype == "string" else _ints(feature, column), lengths)


def read_pairs(table: pa.Table, feature: Attributes, first_row: int = 0) -> tuple[Column, Column]:
    """Reads the pairs that are kept of each row, `max_count` at most: the keys and the values."""
    column = _named(table, feature)
    keys, values, lengths = nested.pairs(feature.name, column, first_row)
    left_out = missing(Column(keys, lengths)) | missing(Column(values, lengths))
    rows, places = layout.slots(feature, left_out, lengths)
    kept = pa.array(places >= 0)
    lengths = np.bincount(rows[places >= 0], minlength=len(lengths)).astype(np.int64)
    return Column(keys.filter(kept), lengths), Column(values.filter(kept), lengths)


def missing(column: Column) -> np.ndarray:
    """Returns which values of a list column are missing: bool `(N,)`."""
    values = column.values
    if isinstance(values, np.ndarray):
        return np.asarray(np.isnan(values))
    kind = _value_type(values.type)
    known = missing_value("int64" if pa.types.is_integer(kind) else "string")
    return np.asarray(pc.fill_null(pc.equal(values.cast(kind), known), True).to_numpy())


def aligned(
    table: pa.Table, feature: Feature, leader: Feature, column: Column, first_row: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reads how the lists of a feature stand to those that it is aligned with.

    Returns:
        places: int64 `(N,)` for each value of the leader the place of the feature's, -1 for none.
        left_out: bool `(N,)`, which values of the leader are missing.
        lengths: int64 `(B,)`, how many values the leader has.

    Raises:
        ValueError: If a row has lists of two lengths.
    """
    other = read(table, leader, first_row)
    sizes, lengths = _lengths(column), _lengths(other)
    wrong = np.flatnonzero((sizes != lengths) & (sizes != 0))
    if len(wrong):
        row = int(wrong[0])
        where = f"row {first_row + row} of columns {leader.name} and {feature.name}"
        received = f"{lengths[row]} and {sizes[row]}"
        raise ValueError(checks.expected(where, "aligned lists of one length", received))
    rows = np.repeat(np.arange(len(lengths)), lengths)
    starts, own = np.cumsum(lengths) - lengths, np.cumsum(sizes) - sizes
    places = np.arange(len(rows)) - starts[rows] + own[rows]
    return np.where(sizes[rows] > 0, places, -1), missing(other), lengths


def _lengths(column: Column) -> np.ndarray:
    return np.zeros(0, np.int64) if column.lengths is None else column.lengths


def _named(table: pa.Table, feature: Feature) -> pa.ChunkedArray:
    if isinstance(feature, Cross):
        raise TypeError(checks.expected("feature", "a feature with a column", feature))
    names = table.column_names
    if feature.name not in names:
        raise ValueError(
            checks.expected("table", f"a table with column {feature.name!r}", names)
            + " "
            + checks.did_you_mean(feature.name, names)
        )
    return table[feature.name]


def _several(feature: Vector, column: pa.ChunkedArray, first_row: int) -> Column:
    values, lengths = nested.vectors(feature.name, feature.dim, column, first_row)
    _check_finite(feature, values.ravel(), lengths * feature.dim, first_row)
    return Column(values, lengths)


def _all_missing(feature: Feature, rows: int) -> Column:
    """Returns a column of nothing but nulls, whose Arrow type says nothing."""
    lengths = None if _one_a_row(feature) else np.zeros(rows, np.int64)
    if isinstance(feature, Vector):
        return Column(np.zeros((rows, feature.dim), np.float32), None)
    if isinstance(feature, Timestamp):
        return Column(np.full(rows, -1), None)
    count = rows if lengths is None else 0
    dtype = "float32" if isinstance(feature, Numeric) else getattr(feature, "dtype", "string")
    if dtype == "float32":
        return Column(np.full(count, np.nan, np.float32), lengths)
    kind = pa.string() if dtype == "string" else pa.int64()
    return Column(pa.chunked_array([pa.nulls(count, kind)]), lengths)


def _one_a_row(feature: Feature) -> bool:
    return feature.kind in ("categorical", "numeric", "text", "timestamp")


def _flatten(
    feature: Feature, column: pa.ChunkedArray
) -> tuple[pa.ChunkedArray, np.ndarray | None]:
    """Takes the lists of a column apart: a null list is an empty one."""
    if not nested.is_list(column.type):
        if not _one_a_row(feature):
            raise _type_error(feature, column.type, "lists")
        return column, None
    if feature.kind == "text":
        raise _type_error(feature, column.type, "strings")
    return nested.apart(column)


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _texts(feature: Feature, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = _value_type(column.type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(kind) if feature.kind == "text" and kind != column.type else column
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        text = pa.string() if pa.types.is_binary(kind) else pa.large_string()
        chunks = [chunk.view(text) for chunk in column.cast(kind).chunks]  # checked where used
        return pa.chunked_array(chunks, type=text)
    if pa.types.is_null(kind) or pa.types.is_string_view(kind):
        return column.cast(pa.large_string())
    remedy = "Set dtype='int64' in the spec." if pa.types.is_integer(kind) else ""
    raise _type_error(feature, column.type, "strings", remedy)


def _ints(feature: Feature, column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = _value_type(column.type)
    if kind == pa.int64():
        return column
    if pa.types.is_integer(kind) or pa.types.is_null(kind):
        return column.cast(kind).cast(pa.int64())
    remedy = "Cast the column to integers, missing values to null."
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        remedy = "Set dtype='string' in the spec."
    raise _type_error(feature, column.type, "integers", remedy)


def _floats(feature: Feature, column: pa.ChunkedArray) -> np.ndarray:
    kind = column.type
    number = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not (number or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise _type_error(feature, kind, "numbers")
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    with np.errstate(over="ignore"):  # a double out of float32's range is infinite: reported
        return np.asarray(column.cast(pa.float32(), safe=False).to_numpy(), np.float32)


def _seconds(feature: Timestamp, column: pa.ChunkedArray) -> np.ndarray:
    kind, unit = column.type, feature.unit
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(column.type):
        unit = column.type.unit
    elif not pa.types.is_integer(kind):
        raise _type_error(feature, kind, "integers, dates or timestamps")
    ticks = pc.fill_null(column.cast(pa.int64()), -1).to_numpy()
    return np.asarray(ticks // _SECONDS[unit])


def _vectors(
    feature: Vector, values: np.ndarray, lengths: np.ndarray | None, first_row: int
) -> np.ndarray:
    lengths = np.zeros(0, np.int64) if lengths is None else lengths
    wrong = np.flatnonzero((lengths != feature.dim) & (lengths != 0))
    if len(wrong):
        raise ValueError(
            checks.expected(
                f"row {first_row + wrong[0]} of column {feature.name}",
                f"a vector of {feature.dim} numbers, or null",
                f"{lengths[wrong[0]]} numbers",
            )
        )
    vectors = np.zeros((len(lengths), feature.dim), np.float32)
    vectors[lengths > 0] = values.reshape(-1, feature.dim)
    return np.nan_to_num(vectors, copy=False)


def _check_finite(
    feature: Feature, values: np.ndarray, lengths: np.ndarray | None, first_row: int
) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        place = int(infinite.argmax())
        row = place if lengths is None else row_of(place, lengths)
        raise ValueError(
            checks.expected(
                f"row {first_row + row} of column {feature.name}",
                "a finite number of float32's range, or null",
                float(values[place]),
            )
        )


def check_utf8(feature: Feature, column: Column, first_row: int) -> None:
    """Raises ValueError naming the first row whose text is not UTF-8.

    The common case looks at distinct values only.
    """
    if _is_utf8(pc.unique(column.values)):
        return
    place = 0
    for chunk in column.values.chunks:
        for i in range(len(chunk)):
            if not _is_utf8(chunk.slice(i, 1)):
                row = place if column.lengths is None else row_of(place, column.lengths)
                raise ValueError(
                    checks.expected(
                        f"row {first_row + row} of column {feature.name}",
                        "valid UTF-8",
                        chunk.slice(i, 1).cast(pa.binary())[0].as_py(),
                        "Read the file with its own encoding.",
                    )
                )
            place += 1


def _is_utf8(values: pa.Array) -> bool:
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _type_error(feature: Feature, kind: pa.DataType, wanted: str, remedy: str = "") -> TypeError:
    what = f"{type(feature).__name__} feature `{feature.name}`"
    if isinstance(feature, Sequence | Vector):
        wanted = f"lists of {wanted}" if wanted != "lists" else wanted
    message = checks.expected(f"column {feature.name}", f"{wanted} for {what}", str(kind), remedy)
    return TypeError(message)
