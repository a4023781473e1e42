"""The TensorFlow side of an index: ids in a graph, and what a SavedModel holds."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf


class GraphIds:
    """Ids of the candidates as TensorFlow constants.

    Args:
        values: `(C,)` int64 or object array of str.
        missing: Id of an empty slot.
    """

    def __init__(self, values: np.ndarray, missing: str | int) -> None:
        self._dtype = tf.int64 if values.dtype == np.int64 else tf.string
        with tf.init_scope():
            self._values = tf.constant([*values.tolist(), missing], self._dtype)
        self._table: Any = None

    def lookup(self, positions: Any) -> tf.Tensor:
        """Returns the ids at `positions`, which may be -1."""
        last = tf.size(self._values) - 1
        positions = tf.cast(positions, tf.int32)
        return tf.gather(self._values, tf.where(positions < 0, last, positions))

    def positions(self, ids: tf.Tensor) -> tf.Tensor:
        """Returns the positions of `ids`; unknown and missing ids give -1."""
        if self._table is None:
            with tf.init_scope():
                values = self._values[:-1]
                places = tf.range(tf.size(values), dtype=tf.int64)
                self._table = tf.lookup.StaticHashTable(
                    tf.lookup.KeyValueTensorInitializer(values, places), -1
                )
        return tf.cast(self._table.lookup(tf.cast(ids, self._dtype)), tf.int32)


class ExactModule(tf.Module):
    """Exact search for a SavedModel: one raw variable, stock operations.

    Args:
        table: The variable that `search` reads.
        search: `(table, queries, k, exclude_positions) -> scores, positions`.
    """

    def __init__(self, table: tf.Variable, search: Callable[..., tuple[Any, Any]]) -> None:
        super().__init__()
        self.table = table
        self._search = search

    @tf.autograph.experimental.do_not_convert
    def __call__(
        self, queries: tf.Tensor, k: tf.Tensor, exclude_positions: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.control_dependencies([check_k(k, tf.shape(self.table)[1])]):
            k = tf.identity(k)
        return self._search(self.table, queries, k, exclude_positions)


def check_k(k: tf.Tensor, num_candidates: Any) -> tf.Operation:
    """Returns an operation that fails unless 1 <= k <= num_candidates."""
    return tf.debugging.Assert(
        tf.logical_and(k >= 1, k <= num_candidates),
        ["`k` must be between 1 and the number of candidates. Received:", k, num_candidates],
    )
