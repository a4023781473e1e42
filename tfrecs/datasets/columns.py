"""Checks of one column: there, of the type its feature says, nothing missing, all finite."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.spec import (
    Attributes,
    Categorical,
    Feature,
    MultiCategorical,
    Numeric,
    Sequence,
    Text,
    Vector,
)

_OFFSETS = 2**31  # bytes that one array of text can hold


def check_present(table: str, rows: pa.Table, name: str) -> None:
    """Raises ValueError unless the table called `table` has the column `name`."""
    if name not in rows.column_names:
        near = checks.did_you_mean(name, rows.column_names)
        raise ValueError(
            checks.expected(table, f"a table with the column {name!r}", rows.column_names, near)
        )


def check_type(table: str, column: pa.ChunkedArray, feature: Feature) -> None:
    """Raises ValueError unless the values of `column` are of the type that `feature` says."""
    kind = column.type
    several = isinstance(feature, Vector) and feature.max_count is not None
    if several or isinstance(feature, Attributes):
        _check_nested(table, column, feature)
        return
    listed = isinstance(feature, MultiCategorical | Sequence | Vector)
    if listed and is_list(kind):
        kind = kind.value_type
    elif listed:
        kind = pa.null()
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    wanted, fits = _wanted(feature, kind)
    if not fits:
        wanted = f"lists of {wanted}" if listed else wanted
        raise ValueError(
            f"Column `{feature.name}` of `{table}` must hold {wanted}, as its feature "
            f"{type(feature).__name__} says. Received: {column.type}. "
            "Cast the column, or give the feature another kind or dtype."
        )


def _check_nested(table: str, column: pa.ChunkedArray, feature: Feature) -> None:
    """Raises ValueError unless a column holds lists of vectors, or attributes."""
    kind = column.type
    inner = kind.value_type if is_list(kind) else kind
    if isinstance(feature, Attributes):
        pairs = pa.types.is_struct(inner) or (is_list(kind) and (is_list(inner) or is_text(inner)))
        wanted, fits = "maps, structs or lists of pairs", pa.types.is_map(kind) or pairs
    else:
        value = inner.value_type if is_list(kind) and is_list(inner) else inner
        number = is_list(kind) and _wanted(Numeric(feature.name), value)[1]
        wanted, fits = "lists of vectors of numbers", number
    if not fits:
        raise ValueError(
            f"Column `{feature.name}` of `{table}` must hold {wanted}, as its feature "
            f"{type(feature).__name__} says. Received: {kind}. "
            "Cast the column, or give the feature another kind."
        )


def _wanted(feature: Feature, kind: pa.DataType) -> tuple[str, bool]:
    """Returns what the feature wants in words, and whether `kind` is that."""
    if isinstance(feature, Text) or getattr(feature, "dtype", "") == "string":
        return "text", is_text(kind)
    if isinstance(feature, Categorical | MultiCategorical | Sequence) and feature.dtype == "int64":
        return "integers", pa.types.is_integer(kind)
    if isinstance(feature, Numeric | Vector | Sequence):
        numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
        return "numbers", any(fits(kind) for fits in numbers)
    unit = getattr(feature, "unit", "s")
    fits = pa.types.is_timestamp(kind) and kind.unit == unit
    return f"integers or timestamps of unit {unit!r}", pa.types.is_integer(kind) or fits


def check_values(
    table: str, column: pa.ChunkedArray, feature: Feature, *, required: bool = False
) -> None:
    """Raises ValueError where a required value is missing, or a number is NaN or infinite."""
    if required:
        missing = _missing(column, feature)
        _refuse(table, feature.name, missing, "has no value", "Drop the rows without one.")
    parts, offsets = column, None
    if is_list(column.type):
        parts = pc.list_flatten(column)
        offsets = pc.list_parent_indices(column)
    if offsets is not None and is_list(parts.type):
        offsets = offsets.take(pc.list_parent_indices(parts))
        parts = pc.list_flatten(parts)
    if pa.types.is_floating(parts.type):
        wrong = pc.fill_null(pc.invert(pc.is_finite(parts)), False)
        if pc.any(wrong, min_count=0).as_py():
            place = int(np.argmax(wrong.to_numpy(zero_copy_only=False)))
            row = place if offsets is None else offsets[place].as_py()
            raise ValueError(
                f"Column `{feature.name}` of `{table}` must hold finite numbers. Received: "
                f"{parts[place].as_py()} in row {row} ({pc.sum(wrong).as_py()} such values). "
                "Replace them by null, which means missing, or drop the rows."
            )


def _missing(column: pa.ChunkedArray, feature: Feature) -> Any:
    """Returns which values are missing: null, "" in text, -1 in integer ids."""
    missing = column.is_null()
    if is_text(column.type):
        empty = pc.equal(pc.binary_length(plain(column)), 0)
        missing = pc.or_(missing, pc.fill_null(empty, False))
    elif pa.types.is_integer(column.type) and isinstance(feature, Categorical):
        missing = pc.or_(missing, pc.fill_null(pc.equal(column, -1), False))
    return missing


def _refuse(table: str, name: str, wrong: Any, what: str, remedy: str) -> None:
    count = pc.sum(wrong).as_py()
    if count:
        row = int(np.argmax(wrong.to_numpy()))
        raise ValueError(
            f"Column `{name}` of `{table}` {what} in row {row} ({count} such rows). {remedy}"
        )


def check_distinct(table: str, ids: pa.ChunkedArray, name: str) -> None:
    """Raises ValueError, with an id and its rows, where an id is there twice."""
    ids = plain(ids)
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counts = pc.value_counts(ids)
    repeated = counts.filter(pc.greater(counts.field("counts"), 1))
    value = repeated.field("values")[0]
    rows = np.flatnonzero(pc.equal(ids, value).to_numpy())
    raise ValueError(
        f"Column `{name}` of `{table}` must hold distinct ids. Received: {value.as_py()!r} in rows "
        f"{', '.join(map(str, rows[:5]))} ({len(repeated)} such ids). Keep one row an id."
    )


def check_known(events: pa.ChunkedArray, known: pa.ChunkedArray, name: str, table: str) -> None:
    """Raises ValueError where an id of `events` has no row in the table called `table`."""
    found = positions(events, known)
    unknown = found < 0
    if unknown.any():
        row = int(np.argmax(unknown))
        raise ValueError(
            f"Every {name} of `events` must have a row in `{table}`. Received: "
            f"{events[row].as_py()!r} in row {row} of `events` ({unknown.sum():,} such rows). "
            f"Add its row to `{table}`, or drop its events."
        )


def positions(wanted: Any, known: Any) -> np.ndarray:
    """Returns the row in `known` of each wanted id, int64 `(N,)`, -1 where there is none."""
    wanted = plain(wanted)
    if isinstance(wanted, pa.ChunkedArray) and wanted.nbytes < _OFFSETS:
        wanted = wanted.combine_chunks()  # Arrow hashes `known` anew for each chunk
    found = pc.index_in(wanted, value_set=plain(known))
    rows: np.ndarray = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    return rows


def plain(ids: Any) -> Any:
    """Returns ids as string or int64, whatever they were stored as."""
    return ids.cast(pa.string() if is_text(ids.type) else pa.int64())


def is_text(kind: pa.DataType) -> bool:
    """Returns whether values of `kind` are text, dictionaries of text included."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def is_list(kind: pa.DataType) -> bool:
    """Returns whether values of `kind` are lists, of fixed length or not."""
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
