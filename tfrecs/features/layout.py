"""Rows of values of any length, laid out as `(B, L)` with a mask: the same twice, NumPy and TF."""

import numpy as np
import tensorflow as tf

from tfrecs.spec import Feature, Sequence


def dense(
    feature: Feature, values: np.ndarray, missing: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Lays out flat values in NumPy.

    A Sequence ends at its last value that is not missing and keeps its LAST `max_length` places; a
    set or a text leaves missing values out and keeps its first `max_length`.

    Args:
        feature: A Sequence, MultiCategorical or Text.
        values: `(N,)`, 0 where missing.
        missing: bool `(N,)`.
        lengths: int64 `(B,)`, summing to `N`.

    Returns:
        values: `(B, L)`, `L` at least 1, padded at the end with 0.
        mask: bool `(B, L)`, `True` where a value is.
    """
    limit = getattr(feature, "max_length", None) or np.iinfo(np.int64).max
    rows = np.repeat(np.arange(len(lengths)), lengths)
    if isinstance(feature, Sequence):
        starts = np.cumsum(lengths) - lengths
        places = np.arange(len(values)) - starts[rows]
        known = ~missing
        ends = np.zeros(len(lengths), np.int64)
        np.maximum.at(ends, rows[known], places[known] + 1)
        begins = np.maximum(ends - limit, 0)
        keep = (places >= begins[rows]) & (places < ends[rows])
        places -= begins[rows]
    else:
        known = np.cumsum(~missing)
        before = np.concatenate([[0], known])[np.cumsum(lengths) - lengths]
        places = known - 1 - before[rows]
        keep = ~missing & (places < limit)
    rows, places = rows[keep], places[keep]
    shape = (len(lengths), int(places.max(initial=0)) + 1)
    out, mask = np.zeros(shape, values.dtype), np.zeros(shape, bool)
    out[rows, places] = values[keep]
    mask[rows, places] = ~missing[keep]
    return out, mask


def dense_tensor(
    feature: Feature, values: tf.Tensor, missing: tf.Tensor, rows: tf.Tensor, num_rows: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Does what `dense` does in the graph; `rows` is int64 `(N,)`, the row of each value."""
    limit = getattr(feature, "max_length", None) or np.iinfo(np.int64).max
    counts = tf.math.bincount(tf.cast(rows, tf.int32), minlength=tf.cast(num_rows, tf.int32))
    starts = tf.cumsum(tf.cast(counts, tf.int64), exclusive=True)
    known = tf.logical_not(missing)
    if isinstance(feature, Sequence):
        places = tf.range(tf.size(values, tf.int64)) - tf.gather(starts, rows)
        lengths = tf.where(known, places + 1, 0)
        ends = tf.maximum(tf.math.unsorted_segment_max(lengths, rows, num_rows), 0)
        begins = tf.maximum(ends - limit, 0)
        first = tf.gather(begins, rows)
        keep = (places >= first) & (places < tf.gather(ends, rows))
        places -= first
    else:
        seen = tf.cumsum(tf.cast(known, tf.int64))
        before = tf.gather(tf.concat([[tf.constant(0, tf.int64)], seen], 0), starts)
        places = seen - 1 - tf.gather(before, rows)
        keep = known & (places < limit)
    rows, places = tf.boolean_mask(rows, keep), tf.boolean_mask(places, keep)
    longest = tf.reduce_max(tf.concat([places, [tf.constant(0, tf.int64)]], 0)) + 1
    shape = tf.stack([num_rows, longest])
    places = tf.stack([rows, places], axis=1)
    out = tf.scatter_nd(places, tf.boolean_mask(values, keep), shape)
    mask = tf.scatter_nd(places, tf.boolean_mask(known, keep), shape)
    return out, mask
