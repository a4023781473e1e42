"""Columns of a table as arrays, checked."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tfrecs import checks
from tfrecs.spec import FeatureSpec


def column(table: pa.Table, name: str) -> pa.Array:
    """Returns the column `name` of `table`, in one piece.

    Raises:
        ValueError: If it is missing, or a value in it is.
    """
    if name not in table.column_names:
        raise ValueError(
            checks.expected(
                "events",
                f"a table with the column {name!r}",
                table.column_names,
                checks.did_you_mean(name, table.column_names),
            )
        )
    found = table[name]
    if found.null_count:
        row = int(np.argmax(found.is_null().to_numpy()))
        raise ValueError(
            f"`events` has no {name} in row {row} ({found.null_count} such rows). Drop those rows."
        )
    if pa.types.is_dictionary(found.type):
        found = found.cast(found.type.value_type)
    return found.combine_chunks()


def codes(table: pa.Table, name: str) -> np.ndarray:
    """Returns the rank of each row's value among the sorted distinct values, int64 `(N,)`."""
    encoded = column(table, name).dictionary_encode()
    rank = np.empty(len(encoded.dictionary), np.int64)
    rank[pc.sort_indices(encoded.dictionary).to_numpy()] = np.arange(len(rank))
    ranks: np.ndarray = rank[encoded.indices.to_numpy()]
    return ranks


def times_of(table: pa.Table, spec: FeatureSpec) -> np.ndarray:
    """Returns the time of each row, in its own unit, `(N,)`.

    Raises:
        ValueError: If `spec` has no one time, or the column holds no number or a NaN.
    """
    found = spec.by_role("time")
    if len(found) != 1:
        raise ValueError(
            "Splitting by time needs one feature with role='time' in `spec`. "
            f"Received: {[feature.name for feature in found]}. "
            "Add Timestamp('<column>', role='time'), or split with `random`."
        )
    values = column(table, found[0].name)
    if pa.types.is_temporal(values.type):
        values = values.cast(pa.int64())
    times = np.asarray(values)
    if times.dtype.kind not in "iuf" or np.isnan(times).any():
        raise ValueError(
            checks.expected(
                found[0].name, "a column of numbers, none of them NaN", str(values.type)
            )
        )
    return times
