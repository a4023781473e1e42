"""Rows of values of any length, laid out as `(B, L)` with a mask: the same twice, NumPy and TF."""

import numpy as np
import tensorflow as tf

from tfrecs.spec import Attributes, Feature, Sequence, Vector


def dense(
    feature: Feature,
    values: np.ndarray,
    missing: np.ndarray,
    lengths: np.ndarray,
    leader: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Lays out flat values in NumPy.

    A Sequence ends at its last value that is not missing and keeps its LAST `max_length` places;
    vectors do with their first `max_count`; a set, a text or attributes leave missing values out
    and keep the first ones.

    Args:
        feature: A Sequence, MultiCategorical, Text, Attributes or Vector of several a row.
        values: `(N,)`, 0 where missing, or with more axes, which stay.
        missing: bool `(N,)`.
        lengths: int64 `(B,)`, summing to `N`.
        leader: bool `(N,)`, where the list that decides the places is missing; `None` for itself.

    Returns:
        values: `(B, L)`, `L` at least 1, padded at the end with 0.
        mask: bool `(B, L)`, `True` where a value is.
    """
    rows, places = slots(feature, missing if leader is None else leader, lengths)
    keep = places >= 0
    rows, places = rows[keep], places[keep]
    shape = (len(lengths), int(places.max(initial=0)) + 1)
    out, mask = np.zeros((*shape, *values.shape[1:]), values.dtype), np.zeros(shape, bool)
    out[rows, places] = values[keep]
    mask[rows, places] = ~missing[keep]
    return out, mask


def slots(
    feature: Feature, missing: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the row and the place of each value, int64 `(N,)`, place -1 for those not kept."""
    limit = _limit(feature)
    rows = np.repeat(np.arange(len(lengths)), lengths)
    if not isinstance(feature, Sequence | Vector):
        known = np.cumsum(~missing)
        before = np.concatenate([[0], known])[np.cumsum(lengths) - lengths]
        places = known - 1 - before[rows]
        return rows, np.where(~missing & (places < limit), places, -1)
    starts = np.cumsum(lengths) - lengths
    places = np.arange(len(rows)) - starts[rows]
    known = ~missing & (places < limit) if isinstance(feature, Vector) else ~missing
    ends = np.zeros(len(lengths), np.int64)
    np.maximum.at(ends, rows[known], places[known] + 1)
    begins = np.maximum(ends - limit, 0)[rows]
    return rows, np.where((places >= begins) & (places < ends[rows]), places - begins, -1)


def _limit(feature: Feature) -> int:
    name = "max_count" if isinstance(feature, Attributes | Vector) else "max_length"
    limit: int | None = getattr(feature, name, None)
    return int(np.iinfo(np.int64).max) if limit is None else limit


def dense_tensor(
    feature: Feature,
    values: tf.Tensor,
    missing: tf.Tensor,
    rows: tf.Tensor,
    num_rows: tf.Tensor,
    leader: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Does what `dense` does in the graph; `rows` is int64 `(N,)`, the row of each value."""
    places = slots_tensor(feature, missing if leader is None else leader, rows, num_rows)
    keep = places >= 0
    rows, places = tf.boolean_mask(rows, keep), tf.boolean_mask(places, keep)
    longest = tf.reduce_max(tf.concat([places, [tf.constant(0, tf.int64)]], 0)) + 1
    shape = tf.stack([num_rows, longest])
    at = tf.stack([rows, places], axis=1)
    whole = tf.concat([shape, tf.shape(values, tf.int64)[1:]], 0)
    out = tf.scatter_nd(at, tf.boolean_mask(values, keep), whole)
    mask = tf.scatter_nd(at, tf.boolean_mask(tf.logical_not(missing), keep), shape)
    return tf.ensure_shape(out, [None, None, *values.shape[1:]]), mask


def slots_tensor(
    feature: Feature, missing: tf.Tensor, rows: tf.Tensor, num_rows: tf.Tensor
) -> tf.Tensor:
    """Returns the places that `slots` returns, int64 `(N,)`."""
    limit = _limit(feature)
    counts = tf.math.bincount(tf.cast(rows, tf.int32), minlength=tf.cast(num_rows, tf.int32))
    starts = tf.cumsum(tf.cast(counts, tf.int64), exclusive=True)
    known = tf.logical_not(missing)
    nowhere = tf.constant(-1, tf.int64)
    if not isinstance(feature, Sequence | Vector):
        seen = tf.cumsum(tf.cast(known, tf.int64))
        before = tf.gather(tf.concat([[tf.constant(0, tf.int64)], seen], 0), starts)
        places = seen - 1 - tf.gather(before, rows)
        return tf.where(known & (places < limit), places, nowhere)
    places = tf.range(tf.size(rows, tf.int64)) - tf.gather(starts, rows)
    known = known & (places < limit) if isinstance(feature, Vector) else known
    lengths = tf.where(known, places + 1, 0)
    ends = tf.maximum(tf.math.unsorted_segment_max(lengths, rows, num_rows), 0)
    begins = tf.gather(tf.maximum(ends - limit, 0), rows)
    keep = (places >= begins) & (places < tf.gather(ends, rows))
    return tf.where(keep, places - begins, nowhere)
