"""What a set of items is like: minimum, maximum and mean of their content vectors."""

from typing import Any

from keras import ops

Tensor = Any  # a tensor of whichever backend Keras runs on


def history_vectors(rows: Tensor, mask: Tensor) -> Tensor:
    """Returns `(min, max, mean, empty)` of the vectors of each set, coordinate by coordinate.

    An empty set gives zeros and a 1 at the end, which tells it from items at the origin.

    Args:
        rows: Float tensor `(B, L, D)`, the vectors of the items, padded to any length.
        mask: Bool tensor `(B, L)`, `False` for padding.

    Returns:
        `(B, 3 D + 1)`.

    Example:

    >>> rows = ops.array([[[1.0, -2.0], [3.0, 0.0], [9.0, 9.0]]])
    >>> print(history_vectors(rows, ops.array([[True, True, False]])).numpy())
    [[ 1. -2.  3.  0.  2. -1.  0.]]
    >>> print(history_vectors(rows, ops.array([[False, False, False]])).numpy())
    [[0. 0. 0. 0. 0. 0. 1.]]
    """
    empty = ops.logical_not(ops.any(mask, axis=1))[:, None]  # (B, 1)
    # one more place, which is taken for an empty set alone: L may be 0
    mask = ops.concatenate([mask, empty], axis=1)
    rows = ops.pad(rows, ((0, 0), (0, 1), (0, 0)))
    known = mask[..., None]  # (B, L + 1, 1)
    # large, but finite in float16 as well
    low = ops.min(ops.where(known, rows, 3e4), axis=1)
    high = ops.max(ops.where(known, rows, -3e4), axis=1)
    weights = ops.cast(known, rows.dtype)
    mean = ops.sum(rows * weights, axis=1) / ops.sum(weights, axis=1)
    return ops.concatenate([low, high, mean, ops.cast(empty, rows.dtype)], axis=1)
