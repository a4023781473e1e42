"""Shares of values below a number, by linear interpolation: the same twice, NumPy and TF."""

import numpy as np
import tensorflow as tf

MIDDLE = 0.5  # what a missing number becomes


def cdf(edges: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns F(x), float32 in [0, 1]: linear between edges, 0 below and 1 above them.

    Args:
        edges: float32 `(K + 1,)`, not falling; F of edge `i` is `i / K`, and where several edges
            are equal the mean of theirs.
        values: float32, of any shape; NaN gives 0.5.

    Example:

    >>> cdf(np.float32([0, 1, 1, 3, 7]), np.float32([-1, 0.5, 1, 2, 5, 7, np.nan])).tolist()
    [0.0, 0.125, 0.375, 0.625, 0.875, 1.0, 0.5]
    """
    low = np.searchsorted(edges, values, "left")
    high = np.searchsorted(edges, values, "right")
    last = len(edges) - 1
    wide, x = edges.astype(np.float64), values.astype(np.float64)  # differences stay finite
    left, right = wide[np.clip(low - 1, 0, last)], wide[np.clip(low, 0, last)]
    between = (low - 1) + (x - left) / np.where(right > left, right - left, 1.0)
    place = np.where(low < high, (low + high - 1) / 2, between)
    place = np.where(high == 0, 0.0, np.where(low > last, last, place))
    return np.where(np.isnan(values), MIDDLE, place / last).astype(np.float32)


def cdf_tensor(edges: np.ndarray, values: tf.Tensor) -> tf.Tensor:
    """Does what `cdf` does in the graph; numbers that are not finite give 0.5."""
    flat, last = tf.reshape(values, [-1]), len(edges) - 1
    low = tf.searchsorted(tf.constant(edges), flat, side="left")
    high = tf.searchsorted(tf.constant(edges), flat, side="right")
    wide, x = tf.constant(edges, tf.float64), tf.cast(flat, tf.float64)
    left = tf.gather(wide, tf.clip_by_value(low - 1, 0, last))
    right = tf.gather(wide, tf.clip_by_value(low, 0, last))
    first, past = tf.cast(low, tf.float64), tf.cast(high, tf.float64)
    between = (first - 1) + (x - left) / tf.where(right > left, right - left, tf.ones_like(left))
    place = tf.where(low < high, (first + past - 1) / 2, between)
    least, most, middle = (tf.constant(v, tf.float64) for v in (0.0, last, MIDDLE))
    place = tf.where(high == 0, least, tf.where(low > last, most, place))
    share = tf.where(tf.math.is_finite(flat), place / most, middle)
    return tf.reshape(tf.cast(share, tf.float32), tf.shape(values))
