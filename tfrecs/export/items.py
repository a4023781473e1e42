"""The raw features of all candidates inside a SavedModel, by position in the index."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from tfrecs import checks
from tfrecs.export.requests import MISSING
from tfrecs.features import nested

_ARROW = {"string": pa.large_string(), "int64": pa.int64(), "float32": pa.float32()}
_NUMPY: dict[str, Any] = {"string": object, "int64": np.int64, "float32": np.float32}


class Items(tf.Module):
    """Columns of the candidates; the row after the last one is all missing values.

    Args:
        candidates: One row a candidate, in the order of the index.
        specs: Raw features to keep, as the transform declares them.
    """

    def __init__(self, candidates: pa.Table, specs: Mapping[str, tf.TensorSpec]) -> None:
        super().__init__(name="items")
        self.columns = {}
        for name, spec in specs.items():
            if name not in candidates.column_names:
                expectation = f"a table with the column {name!r}, which the ranker reads"
                raise ValueError(
                    checks.expected("candidates", expectation, candidates.column_names)
                )
            values = padded(candidates[name], spec)
            self.columns[name] = tf.Variable(values, trainable=False, dtype=spec.dtype, name=name)

    def rows(self, positions: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the columns at positions of any shape; -1 gives missing values."""
        last = {name: tf.shape(column)[0] - 1 for name, column in self.columns.items()}
        return {
            name: tf.gather(column, tf.where(positions < 0, last[name], positions))
            for name, column in self.columns.items()
        }


def padded(column: pa.ChunkedArray, spec: tf.TensorSpec) -> np.ndarray:
    """Returns a column as an array with missing values for nulls, short lists and one row more.

    Args:
        column: Values, lists of values, vectors or pairs of texts.
        spec: Raw signature of the feature: dtype, and the width of lists (`None`: the longest).

    Example:

    >>> spec = tf.TensorSpec([None, None], tf.int64)
    >>> padded(pa.chunked_array([[[1, 2], None, [3]]]), spec).tolist()
    [[1, 2], [-1, -1], [3, -1], [-1, -1]]
    """
    kind = spec.dtype.name
    missing = MISSING[kind]
    if len(spec.shape) == 1:
        values = pc.fill_null(column.cast(_ARROW[kind]), pa.scalar(missing, _ARROW[kind]))
        return np.append(values.to_numpy().astype(_NUMPY[kind]), missing).astype(_NUMPY[kind])
    if len(spec.shape) == 3:
        return _padded_lists(column, spec)
    lists = column.cast(pa.large_list(_ARROW[kind])).combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()  # (C,)
    width = spec.shape[1] or int(lengths.max(initial=0))
    out = np.full((len(lengths) + 1, width), missing, _NUMPY[kind])
    inside = np.arange(width) < lengths[:, None]  # (C, width)
    values = pc.fill_null(pc.list_flatten(lists), pa.scalar(missing, _ARROW[kind]))
    out[:-1][inside] = values.to_numpy(zero_copy_only=False)
    return out


def _padded_lists(column: pa.ChunkedArray, spec: tf.TensorSpec) -> np.ndarray:
    """Returns lists of vectors or of pairs as an array `(C + 1, longest, width)`."""
    kind, width = spec.dtype.name, spec.shape[2]
    rows = nested.rows_of(column, spec.name, width, kind, MISSING[kind])
    most = max([1, *map(len, rows)])
    out = np.full((len(rows) + 1, most, width), MISSING[kind], _NUMPY[kind])
    for place, row in enumerate(rows):
        out[place, : len(row)] = row or out[place, :0]
    return out
